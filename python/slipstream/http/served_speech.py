"""Speech of one server, for its routes and for the endpoints that tell of it."""

from __future__ import annotations

import importlib.util
from functools import cache
from typing import TYPE_CHECKING, Literal

from slipstream.http.routes.interfaces import SpeechFigures

if TYPE_CHECKING:
    from slipstream.api import Engine
    from slipstream.audio.service import Speech
    from slipstream.audio.tally import Totals

_FEATURES = ("speech synthesis", "transcription", "streaming audio", "wav, flac and ogg")


class ServedSpeech:
    """Holds `slipstream.audio.service.Speech`; the event loop's thread, but for `counts`."""

    def __init__(self, engine: Engine) -> None:
        from slipstream.audio.service import Speech  # here: as the engine is

        self.service: Speech = Speech(engine)

    def figures(self) -> SpeechFigures:
        """As they are now.

        It is ``healthy`` with a voice open, or one to be opened when it is asked for, and
        ``degraded`` if that one is not there.
        """
        now = self.service.figures()
        status: Literal["healthy", "degraded", "unavailable"] = "unavailable"
        if is_installed() and (now.loaded_models or now.default is not None):
            status = "degraded" if now.default == "missing" else "healthy"
        factor = now.synthesized.real_time_factor
        completed = now.synthesized.completed
        return SpeechFigures(
            status=status,
            voices=now.voices,
            languages=now.languages,
            loaded_models=now.loaded_models,
            supported_models=now.known_models if is_installed() else (),
            features=_FEATURES if is_installed() else (),
            backend=now.backend,
            requests_total=completed,
            average_synthesis_s=now.synthesized.took_s / completed if completed else None,
            is_real_time=factor is not None and factor < 1.0,
        )

    def counts(self) -> dict[str, Totals]:
        """What was done so far, by kind. Any thread."""
        synthesized, transcribed = self.service.counts()
        return {"synthesis": synthesized, "transcription": transcribed}

    async def close(self) -> None:
        """Ends the child processes of speech."""
        await self.service.close()


@cache
def is_installed() -> bool:
    """Whether the packages for speech are there; they are looked for, not imported."""
    return all(importlib.util.find_spec(name) for name in ("sentencex", "soundfile"))
