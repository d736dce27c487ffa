"""One file being transcribed: a head, then segments as they are found."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from slipstream.audio.places import Sort
from slipstream.audio.process import ChildOptions, SpeechProcess


class Head(NamedTuple):
    """What is known before the first segment."""

    language: str
    """ISO 639-1."""
    language_probability: float | None
    """Of that language, where the model guessed it."""
    duration_s: float


class Segment(NamedTuple):
    """A stretch of speech."""

    start: float
    """Seconds from the beginning."""
    end: float
    text: str


class Transcriber:
    """A model that transcribes, in a process of its own, one file at a time."""

    def __init__(
        self, model_name: str, sort: Sort, folder: Path, child: ChildOptions, most_waiting: int
    ) -> None:
        self.model_name = model_name
        self.process = SpeechProcess(
            sort, f"the model '{model_name}'", {"folder": str(folder)}, child, most_waiting
        )


class Transcription:
    """One request. On the event loop's thread; `parts` is to be used once, and closed."""

    def __init__(
        self,
        transcriber: Transcriber,
        data: bytes,
        language: str | None,
        *,
        most_audio_s: float,
        timeout_s: float,
        on_end: Callable[[Transcription], None],
    ) -> None:
        self.model_name = transcriber.model_name
        self.head: Head | None = None
        self.segments: list[Segment] = []
        self.took_s = 0.0
        self.first_s = 0.0
        """Until the first segment; of a file without speech, until the end."""
        self.is_complete = False
        self._has_ended = False
        self._transcriber = transcriber
        self._data = data
        self._asked = {"language": language, "most_s": most_audio_s}
        self._timeout_s = timeout_s
        self._on_end = on_end
        self._began_s = time.monotonic()

    @property
    def text(self) -> str:
        """What was found so far."""
        return " ".join(segment.text for segment in self.segments)

    async def parts(self) -> AsyncGenerator[Head | Segment]:
        """The head, then the segments.

        Raises:
            InvalidInputError: the file is damaged or too long, or the language is not known.
            SlipstreamError: as `SpeechProcess.run`.
        """
        found: asyncio.Queue[Mapping[str, Any] | None] = asyncio.Queue()
        run = asyncio.ensure_future(
            self._transcriber.process.run(
                self._asked,
                self._data,
                timeout_s=self._timeout_s,
                on_part=lambda body, _: found.put_nowait(body),
            )
        )
        run.add_done_callback(lambda _: found.put_nowait(None))
        self._data = b""
        try:
            while (part := await found.get()) is not None:
                yield self._noted(part)
            await run
            self.is_complete = True
        finally:
            self.took_s = time.monotonic() - self._began_s
            self.first_s = self.first_s or self.took_s
            if not run.done():
                run.cancel()
                await asyncio.wait({run})
            self.end()

    def end(self) -> None:
        """It is over, however it ended, or nobody will use it. May be called again."""
        if not self._has_ended:
            self._has_ended = True
            self._on_end(self)

    def _noted(self, part: Mapping[str, Any]) -> Head | Segment:
        if "head" in part:
            self.head = Head(**part["head"])
            return self.head
        segment = Segment(**part["segment"])
        if not self.segments:
            self.first_s = time.monotonic() - self._began_s
        self.segments.append(segment)
        return segment
