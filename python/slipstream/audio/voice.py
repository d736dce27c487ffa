"""What every voice is: a model that speaks sentences, whatever runs it."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from slipstream.errors import InferenceError, InvalidInputError

Samples = npt.NDArray[np.float32]
"""Mono, shape ``(n,)``, from -1 to 1."""

SLOWEST, QUICKEST = 0.25, 4.0
MOST_VARIATION = 2.0


class Manner(NamedTuple):
    """How sentences are to be spoken."""

    voice: str | None = None
    """Which of the model's voices; None: its first."""
    speed: float = 1.0
    """2.0 is twice as fast."""
    language: str | None = None
    """As the client wrote it: ``en``, ``en-US``."""
    variation: float = 1.0
    """How much of a model's own randomness; 0 makes the same audio each time."""


class Voice(Protocol):
    """A model that speaks. On the event loop's thread."""

    model_name: str
    sample_rate: int
    voices: tuple[str, ...]
    languages: tuple[str, ...]
    """ISO 639-1."""

    def check(self, manner: Manner) -> str:
        """The language that would be spoken.

        Raises:
            InvalidInputError: this voice cannot speak so.
        """

    async def prepare(self, sentences: list[str], manner: Manner) -> list[Any]:
        """What `say` takes, for each sentence; quick."""

    async def say(self, prepared: Any, manner: Manner, timeout_s: float) -> Samples:
        """The audio of one sentence."""


def primary(language: str) -> str:
    """The language of a tag: ``en`` of ``en-US`` and of ``en_GB`` (RFC 5646, section 2.2.1)."""
    return language.replace("_", "-").partition("-")[0].lower()


def checked_language(manner: Manner, model_name: str, languages: tuple[str, ...]) -> str:
    """The language of a request: the one it names, else the voice's first.

    Raises:
        InvalidInputError: the voice does not speak it.
    """
    if manner.language is None:
        return languages[0] if languages else "en"
    wanted = primary(manner.language)
    if languages and wanted not in languages:
        raise InvalidInputError(
            f"'{model_name}' speaks {', '.join(languages)}, not {manner.language!r}; choose "
            "another model_name for it",
            key="language",
            supported_languages=list(languages),
        )
    return wanted


def checked_voice(manner: Manner, model_name: str, voices: tuple[str, ...]) -> str | None:
    """The voice of a request: the one it names, else the model's first; None if it has no names.

    Raises:
        InvalidInputError: the model has no such voice.
    """
    wanted = manner.voice
    if wanted is None or (wanted == "default" and wanted not in voices):
        return voices[0] if voices else None
    if wanted not in voices:
        has = ", ".join(voices[:20]) if voices else "one voice without a name"
        raise InvalidInputError(
            f"'{model_name}' has no voice {wanted!r}; it has {has}",
            key="voice",
            available_voices=list(voices[:100]),
        )
    return wanted


def sound_of(answer: object, model_name: str) -> Samples:
    """What a graph answered, as samples.

    Raises:
        InferenceError: it is no audio.
    """
    if not isinstance(answer, np.ndarray) or answer.dtype.kind != "f":
        raise InferenceError(f"'{model_name}' did not answer with audio")
    samples = answer.reshape(-1).astype(np.float32, copy=False)
    if not np.isfinite(samples).all():
        raise InferenceError(f"'{model_name}' answered with samples that are not finite")
    return samples


def levelled(samples: Samples) -> Samples:
    """As loud as it can be without clipping, as Piper plays its voices; silence stays silence."""
    peak = float(np.max(np.abs(samples), initial=0.0))
    return samples if peak < 1e-8 else samples / np.float32(peak)
