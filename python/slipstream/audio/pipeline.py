"""Voices of ``transformers``: SpeechT5, Bark and VITS from a local folder, in a child process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from slipstream.audio.process import ChildOptions, SpeechProcess
from slipstream.audio.voice import Manner, Samples, checked_language, checked_voice, sound_of
from slipstream.errors import InvalidInputError

_MOST_WAITING = 32


class PipelineVoice:
    """One folder, open in one child. See `slipstream.audio.voice.Voice`."""

    def __init__(self, model_name: str, folder: Path, child: ChildOptions) -> None:
        self.model_name = model_name
        self.process = SpeechProcess(
            *("pipeline", f"the voice '{model_name}'", {"folder": str(folder)}),
            child,
            _MOST_WAITING,
        )
        self.sample_rate = 0
        self.voices: tuple[str, ...] = ()
        self.languages: tuple[str, ...] = ()
        self._has_speed = False

    async def open(self, timeout_s: float) -> None:
        """Starts the child, which says what it has opened.

        Raises:
            ModelLoadError: the folder holds no such model, or lacks something; says what.
            SlipstreamError: as `SpeechProcess.run`.
        """
        about, _ = await self.process.run({"about": True}, timeout_s=timeout_s)
        self.sample_rate = int(about["sample_rate"])
        self.voices = tuple(map(str, about["voices"]))
        self.languages = tuple(map(str, about["languages"]))
        self._has_speed = bool(about["has_speed"])

    def check(self, manner: Manner) -> str:
        """See `Voice`."""
        checked_voice(manner, self.model_name, self.voices)
        if manner.speed != 1.0 and not self._has_speed:
            raise InvalidInputError(
                f"'{self.model_name}' speaks at one speed only; leave 'speed' out", key="speed"
            )
        return checked_language(manner, self.model_name, self.languages)

    async def prepare(self, sentences: list[str], manner: Manner) -> list[Any]:
        """See `Voice`: the child makes of them what its model takes."""
        return list(sentences)

    async def say(self, prepared: Any, manner: Manner, timeout_s: float) -> Samples:
        """See `Voice`."""
        body = {
            "text": prepared,
            "voice": checked_voice(manner, self.model_name, self.voices),
            "speed": manner.speed,
            "variation": manner.variation,
        }
        _, payload = await self.process.run(body, timeout_s=timeout_s)
        samples = sound_of(np.frombuffer(payload, dtype="<f4"), self.model_name)
        return np.clip(samples, -1.0, 1.0)
