"""One text being spoken: sentence by sentence, several at once, in order."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable
from typing import Any, NamedTuple

from slipstream.audio.voice import Manner, Samples, Voice, checked_voice
from slipstream.errors import DeadlineExceededError, InvalidInputError

SENTENCES_AHEAD = 8
"""As many are in progress: instances find the next one waiting, and little is made in vain."""


class Limits(NamedTuple):
    """What one synthesis may take."""

    timeout_s: float
    most_audio_s: float


class Spoken(NamedTuple):
    """One sentence with its place in the whole."""

    text: str
    samples: Samples
    start_s: float
    end_s: float


class Synthesis:
    """One request. On the event loop's thread; `spoken` is to be used once, and closed.

    Args:
        voice: Who speaks.
        manner: How.
        language: Which one, as the voice has checked it.
        sentences: The text.
        prepared: Of each sentence, what `Voice.say` takes.
        limits: What it may take.
        on_end: Called once, with this, whatever comes of it.
    """

    def __init__(
        self,
        voice: Voice,
        manner: Manner,
        language: str,
        sentences: list[str],
        prepared: list[Any],
        limits: Limits,
        on_end: Callable[[Synthesis], None],
        began_s: float,
    ) -> None:
        self.voice = voice
        self.voice_name = checked_voice(manner, voice.model_name, voice.voices)
        self.manner = manner
        self.language = language
        self.sentences = sentences
        self.first_audio_s: float | None = None
        """From the request to the samples of the first sentence."""
        self.took_s = 0.0
        """From the request to those of the last one so far."""
        self.audio_s = 0.0
        self.is_complete = False
        self._has_ended = False
        self._prepared = prepared
        self._limits = limits
        self._on_end = on_end
        self._began_s = began_s
        self._deadline_s = began_s + limits.timeout_s

    async def spoken(self) -> AsyncGenerator[Spoken]:
        """The sentences in order.

        Raises:
            DeadlineExceededError: it takes too long.
            InvalidInputError: it is longer than is allowed.
            SlipstreamError: what the voice says.
        """
        running: deque[asyncio.Task[Samples]] = deque()
        waiting = deque(self._prepared)
        try:
            for text in self.sentences:
                while waiting and len(running) < SENTENCES_AHEAD:
                    running.append(asyncio.ensure_future(self._say(waiting.popleft())))
                samples = await running[0]
                running.popleft()
                yield self._placed(text, samples)
            self.is_complete = True
        finally:
            for task in running:
                task.cancel()
            if running:
                await asyncio.wait(running)
            self.end()

    def end(self) -> None:
        """It is over, however it ended, or nobody will use it. May be called again."""
        if not self._has_ended:
            self._has_ended = True
            self._on_end(self)

    async def _say(self, prepared: Any) -> Samples:
        left_s = self._deadline_s - time.monotonic()
        if left_s <= 0:
            raise DeadlineExceededError(
                f"the text was not spoken within {self._limits.timeout_s:g} s (SPEECH_TIMEOUT_S)"
            )
        return await self.voice.say(prepared, self.manner, left_s)

    def _placed(self, text: str, samples: Samples) -> Spoken:
        self.took_s = time.monotonic() - self._began_s
        if self.first_audio_s is None:
            self.first_audio_s = self.took_s
        start_s = self.audio_s
        self.audio_s += len(samples) / self.voice.sample_rate
        if self.audio_s > self._limits.most_audio_s:
            raise InvalidInputError(
                f"the audio would be longer than {self._limits.most_audio_s:g} s "
                "(TTS_MAX_AUDIO_S); send the text in parts",
                key="text",
            )
        return Spoken(text, samples, start_s, self.audio_s)
