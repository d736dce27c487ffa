"""Text into sentences, which are what voices are given: one request each.

Where sentences end is sentencex's to say (rules and abbreviations by language). What has no end for
long is cut at a comma, or between words: a voice's memory grows with the length of a sentence.
"""

from __future__ import annotations

import re
import unicodedata

from slipstream.errors import InvalidInputError, MissingDependencyError

LONGEST_CHARS = 400
_CLAUSE_END = re.compile(r"[,;:、，；：](?=\s|\Z)|[、，；：]")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def sentences_of(text: str, language: str) -> list[str]:
    """The sentences of a text in their order, without space around them and none of it empty.

    Args:
        text: Of any length.
        language: ISO 639-1; of one that is not known, general rules hold.

    Raises:
        InvalidInputError: nothing in it can be spoken.
        MissingDependencyError: sentencex is not installed.
    """
    try:
        import sentencex
    except ImportError as error:
        raise MissingDependencyError(
            "Speech needs sentencex, which is not installed: pip install 'slipstream[audio]'"
        ) from error
    plain = _CONTROLS.sub(" ", text)
    found: list[str] = []
    for segment in sentencex.segment(language, plain):
        found += filter(is_spoken, cut(" ".join(segment.split())))
    if not found:
        raise InvalidInputError("'text' holds nothing that can be spoken", key="text")
    return found


def is_spoken(sentence: str) -> bool:
    """Whether there is a letter or a number in it, or a symbol that may be read out."""
    return any(unicodedata.category(char)[0] in "LNS" for char in sentence)


def cut(sentence: str) -> list[str]:
    """A sentence in pieces of at most `LONGEST_CHARS`."""
    pieces = []
    while len(sentence) > LONGEST_CHARS:
        ends = [match.end() for match in _CLAUSE_END.finditer(sentence, 0, LONGEST_CHARS)]
        end = ends[-1] if ends else sentence.rfind(" ", 1, LONGEST_CHARS)
        end = end if end > 0 else LONGEST_CHARS
        pieces.append(sentence[:end].rstrip())
        sentence = sentence[end:].lstrip()
    return [*pieces, sentence] if sentence else pieces
