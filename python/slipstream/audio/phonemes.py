"""Phonemes of sentences, from the child that knows espeak-ng, or without it."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from slipstream.audio.process import ChildOptions, SpeechProcess

_TIMEOUT_S = 30.0
_MOST_WAITING = 64


class Phonemes:
    """One child for all voices: it takes a fraction of a millisecond a sentence."""

    def __init__(self, child: ChildOptions) -> None:
        self.process = SpeechProcess("phonemes", "espeak-ng", {}, child, _MOST_WAITING)

    async def of(
        self,
        sentences: list[str],
        kind: str,
        espeak_voice: str,
        clusters: Sequence[Sequence[str]] = (),
    ) -> list[list[str]]:
        """The phonemes of each sentence: code points in NFD, punctuation included.

        Args:
            sentences: As they are written.
            kind: ``espeak``, or ``text``: a voice that was trained on letters.
            espeak_voice: As espeak-ng calls it: ``en-us``.
            clusters: Of phonemes that the voice takes as one.

        Raises:
            MissingDependencyError: what it needs is not installed.
            InvalidInputError: espeak-ng has no such voice.
            SlipstreamError: as `SpeechProcess.run`.
        """
        if kind == "text":
            return [list(unicodedata.normalize("NFD", sentence)) for sentence in sentences]
        body = {"voice": espeak_voice, "texts": sentences, "clusters": clusters}
        answer, _ = await self.process.run(body, timeout_s=_TIMEOUT_S)
        return [[str(phoneme) for phoneme in one] for one in answer["phonemes"]]
