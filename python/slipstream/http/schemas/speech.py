"""Speech: text to audio, and audio to text."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import msgspec


class SynthesizeRequest(msgspec.Struct):
    """POST /synthesize."""

    text: str
    model_name: str | None = None
    """A voice: the id of a loaded model, or a path below MODEL_DIR. Default: TTS_MODEL."""
    voice: str | None = None
    """Which of the model's voices."""
    speed: float = 1.0
    """2.0 is twice as fast."""
    format: Literal["wav", "flac", "ogg"] = "wav"
    language: str | None = None
    """Must be one that the voice speaks."""
    variation: float = 1.0
    """How much of the model's own randomness is used; 0 makes the same audio each time."""
    stream: bool = True
    """Whether audio is sent as it is made; false: whole, with its length in the header."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"text": "Hello there.", "format": "wav"}


class SpokenSentence(msgspec.Struct):
    """One sentence, and where it is in the audio."""

    text: str
    start: float
    """Seconds from the beginning."""
    end: float


class SynthesizeAnswer(msgspec.Struct):
    """POST /synthesize with ``Accept: application/json``."""

    model_name: str
    voice: str | None
    language: str
    format: str
    sample_rate: int
    """Hz."""
    duration_s: float
    time_to_first_audio_ms: float
    """From the request to the first sentence's samples."""
    synthesis_time_ms: float
    """From the request to the last sentence's."""
    sentences: list[SpokenSentence]
    audio: bytes
    """The file, as base64."""


_File = Annotated[str, msgspec.Meta(extra_json_schema={"format": "binary"})]


class TranscribeForm(msgspec.Struct):
    """POST /transcribe as multipart/form-data."""

    file: _File
    """Audio: wav, flac, ogg or mp3."""
    model_name: str | None = None
    """A folder of a Whisper model below MODEL_DIR. Default: ASR_MODEL."""
    language: str | None = None
    """Of the speech; default: what the model hears."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"file": "(the bytes of a file)", "language": "en"}


class TranscribeQuery(msgspec.Struct):
    """The same beside a body that is the file itself."""

    model_name: str | None = None
    """A folder of a Whisper model below MODEL_DIR. Default: ASR_MODEL."""
    language: str | None = None
    """Of the speech; default: what the model hears."""


class TranscribedSegment(msgspec.Struct):
    """A stretch of speech."""

    start: float
    """Seconds from the beginning."""
    end: float
    text: str


class TranscribeAnswer(msgspec.Struct):
    """POST /transcribe."""

    text: str
    language: str
    language_probability: float | None
    """Of the language, where the model guessed it; null where it cannot say."""
    duration_s: float
    """Of the audio."""
    segments: list[TranscribedSegment]
    model_name: str
    transcription_time_ms: float


class TranscriptionHead(msgspec.Struct):
    """The first event of a transcription."""

    language: str
    language_probability: float | None
    duration_s: float
    model_name: str
