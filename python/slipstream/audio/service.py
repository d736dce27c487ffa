"""Speech as the HTTP layer uses it: two requests, and what may be said of them all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Literal, NamedTuple, TypeVar

from slipstream.api import Engine
from slipstream.audio.formats import recognised
from slipstream.audio.known import KNOWN
from slipstream.audio.library import Library
from slipstream.audio.pipeline import PipelineVoice
from slipstream.audio.places import find
from slipstream.audio.sentences import sentences_of
from slipstream.audio.synthesis import Limits, Synthesis
from slipstream.audio.tally import Tally, Totals
from slipstream.audio.transcription import Transcription
from slipstream.audio.voice import (
    MOST_VARIATION,
    QUICKEST,
    SLOWEST,
    Manner,
    primary,
)
from slipstream.errors import InvalidInputError, QueueFullError, SlipstreamError
from slipstream.own_threads import call_thread

T = TypeVar("T")
_THREADS = 2
_LONGEST_WORD = 128


class Figures(NamedTuple):
    """Speech, as it is at one moment."""

    voices: tuple[str, ...]
    languages: tuple[str, ...]
    loaded_models: tuple[str, ...]
    transcribers: tuple[str, ...]
    known_models: tuple[str, ...]
    default: Literal["ready", "missing"] | None
    """Whether the voice that the settings name is there; None: they name none."""
    backend: str | None
    """What runs the voices that are open; None: there are none."""
    synthesized: Totals


class Speech:
    """One per server. All methods on the event loop's thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._library: Library | None = None
        self._synthesized = Tally()
        self._transcribed = Tally()
        self._threads: ThreadPoolExecutor | None = None

    @property
    def library(self) -> Library:
        """Made on first use, on the loop."""
        if self._library is None:
            self._library = Library(self._engine)
        return self._library

    async def on_thread(self, work: Callable[[], T]) -> T:
        """Does what would hold the loop up: splitting long texts, encoding."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(
                _THREADS, "slipstream-speech", call_thread, ("speech",)
            )
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def synthesis(self, text: str, model_name: str | None, manner: Manner) -> Synthesis:
        """A text, ready to be spoken; whoever asked for it must use `Synthesis.spoken`.

        Raises:
            InvalidInputError: text, voice or manner do not fit.
            ModelNotFoundError: nothing of that name is there.
            QueueFullError: as many are in progress as may be.
            SlipstreamError: the voice cannot be loaded.
        """
        settings, began_s = self._engine.settings, time.monotonic()
        _check(text, manner, settings.tts_max_text_chars)
        if self._synthesized.active >= settings.tts_max_concurrent:
            raise QueueFullError(
                f"{self._synthesized.active} texts are being spoken, as many as may be "
                "(TTS_MAX_CONCURRENT); try again later",
                retry_after_s=2,
            )
        self._synthesized.start()
        try:
            voice = await self.library.voice(model_name)
            language = voice.check(manner)
            sentences = await self.on_thread(partial(sentences_of, text, language))
            prepared = await voice.prepare(sentences, manner)
        except BaseException:
            self._synthesized.fail()
            raise
        limits = Limits(settings.speech_timeout_s, settings.tts_max_audio_s)
        return Synthesis(
            *(voice, manner, language, sentences, prepared, limits),
            on_end=self._spoken,
            began_s=began_s,
        )

    def _spoken(self, synthesis: Synthesis) -> None:
        if not synthesis.is_complete or synthesis.first_audio_s is None:
            self._synthesized.fail()
            return
        self._synthesized.complete(synthesis.took_s, synthesis.first_audio_s, synthesis.audio_s)

    async def transcription(
        self, data: bytes, model_name: str | None, language: str | None
    ) -> Transcription:
        """A file, ready to be transcribed; whoever asked for it must use `Transcription.parts`.

        Raises:
            InvalidInputError: it is no audio that is read here, or the model transcribes nothing.
            ModelNotFoundError: nothing of that name is there.
        """
        recognised(data)
        settings = self._engine.settings
        transcriber = await self.library.transcriber(model_name)
        self._transcribed.start()
        return Transcription(
            transcriber,
            data,
            None if language is None else primary(language[:_LONGEST_WORD]),
            most_audio_s=settings.asr_max_audio_s,
            timeout_s=settings.speech_timeout_s,
            on_end=self._heard,
        )

    def _heard(self, transcription: Transcription) -> None:
        head = transcription.head
        if not transcription.is_complete or head is None:
            self._transcribed.fail()
            return
        self._transcribed.complete(transcription.took_s, transcription.first_s, head.duration_s)

    def figures(self) -> Figures:
        """As they are now."""
        voices = [] if self._library is None else self._library.voices()
        transcribers = [] if self._library is None else self._library.transcribers()
        pipelines = any(isinstance(voice, PipelineVoice) for voice in voices)
        graphs = any(not isinstance(voice, PipelineVoice) for voice in voices)
        backends = [*(["onnx"] if graphs else []), *(["transformers"] if pipelines else [])]
        return Figures(
            voices=tuple(dict.fromkeys(name for one in voices for name in one.voices)),
            languages=tuple(dict.fromkeys(name for one in voices for name in one.languages)),
            loaded_models=tuple(voice.model_name for voice in voices),
            transcribers=tuple(one.model_name for one in transcribers),
            known_models=tuple(one.name for one in KNOWN if one.speaks),
            default=self._default(),
            backend="+".join(backends) or None,
            synthesized=self._synthesized.totals(),
        )

    def counts(self) -> tuple[Totals, Totals]:
        """Of syntheses and of transcriptions. Any thread."""
        return self._synthesized.totals(), self._transcribed.totals()

    def _default(self) -> Literal["ready", "missing"] | None:
        settings = self._engine.settings
        if settings.tts_model is None:
            return None
        if any(model.model_id == settings.tts_model for model in self._engine.models()):
            return "ready"
        try:
            find(settings.tts_model, settings.model_dir)
        except SlipstreamError:  # which a request for it will be told
            return "missing"
        return "ready"

    async def close(self) -> None:
        """Ends the children, whatever they do."""
        if self._library is not None:
            await self._library.close()
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)


def _check(text: str, manner: Manner, most_chars: int) -> None:
    if len(text) > most_chars:
        raise InvalidInputError(
            f"'text' has {len(text)} characters, more than the {most_chars} that are taken "
            "(TTS_MAX_TEXT_CHARS); send it in parts",
            key="text",
            max_text_chars=most_chars,
        )
    if not SLOWEST <= manner.speed <= QUICKEST:
        raise InvalidInputError(
            f"'speed' is not valid: {manner.speed:g}; it is a number from {SLOWEST:g} to "
            f"{QUICKEST:g}",
            key="speed",
        )
    if not 0.0 <= manner.variation <= MOST_VARIATION:
        raise InvalidInputError(
            f"'variation' is not valid: {manner.variation:g}; it is a number from 0 to "
            f"{MOST_VARIATION:g}",
            key="variation",
        )
    for key, word in (("voice", manner.voice), ("language", manner.language)):
        if word is not None and not 0 < len(word) <= _LONGEST_WORD:
            raise InvalidInputError(f"'{key}' has {len(word)} characters", key=key)
