"""What the OpenAPI document says of the routes of speech."""

from __future__ import annotations

from slipstream.http.schemas.speech import (
    SynthesizeAnswer,
    SynthesizeRequest,
    TranscribeAnswer,
    TranscribeForm,
    TranscribeQuery,
)
from slipstream.http.types import About

SPEECH_ABOUTS: dict[str, About] = {
    "POST /synthesize": About(
        *("Speak a text", SynthesizeAnswer, SynthesizeRequest),
        fails=(404, 504),
        gives_files=("audio/wav", "audio/flac", "audio/ogg"),
    ),
    "POST /transcribe": About(
        *("Write down what is said", TranscribeAnswer, TranscribeForm),
        fails=(404, 504),
        query=TranscribeQuery,
        files=("audio/wav", "audio/flac", "audio/ogg", "audio/mpeg"),
        gives_files=("text/event-stream",),
    ),
}
"""Method and path → what it is."""
