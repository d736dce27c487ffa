"""Phonemes of text, by espeak-ng as Piper's voices were trained on them.

``piper-tts`` and the espeak-ng inside it are under the GPL-3.0-or-later: this process is the only
one that loads them (docs/decisions/006-phonemes.md).
"""

from __future__ import annotations

from typing import Any

from slipstream.audio.child import Job
from slipstream.errors import InvalidInputError, MissingDependencyError

_CLUSTERS_MOST = 4096


class PhonemeWorker:
    """Asked ``{"voice", "texts", "clusters"?}``; answers ``{"phonemes"}``: a list for each text."""

    def __init__(self, phonemizer: Any) -> None:
        self._phonemizer = phonemizer

    def run(self, job: Job) -> tuple[dict[str, Any], bytes]:
        """One list of phonemes, Unicode code points in NFD, for each text."""
        voice, texts = job.body["voice"], job.body["texts"]
        given = job.body.get("clusters") or []
        clusters = {tuple(one) for one in given[:_CLUSTERS_MOST]} or None
        try:
            found = [self._phonemizer.phonemize(voice, text, clusters) for text in texts]
        except RuntimeError as error:  # what espeak-ng's bridge raises of a voice
            raise InvalidInputError(f"espeak-ng does not know the voice {voice!r}") from error
        return {"phonemes": [_joined(sentences) for sentences in found]}, b""


def _joined(sentences: list[list[str]]) -> list[str]:
    """What espeak-ng takes for several sentences is one of ours: a space between them."""
    joined: list[str] = []
    for sentence in sentences:
        if joined and sentence:
            joined.append(" ")
        joined += sentence
    return joined


def open_worker(options: dict[str, Any]) -> PhonemeWorker:
    """Loads espeak-ng and its data."""
    try:
        from piper.phonemize_espeak import EspeakPhonemizer
    except ImportError as error:
        raise MissingDependencyError(
            "This voice needs phonemes from espeak-ng, which is not installed: "
            "pip install 'slipstream[espeak]' (under the GPL-3.0, see docs/api/speech.md)"
        ) from error
    return PhonemeWorker(EspeakPhonemizer())
