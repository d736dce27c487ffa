"""The formats of audio that come in and go out."""

from __future__ import annotations

from typing import Final, Literal

from slipstream.errors import InvalidInputError

Format = Literal["wav", "flac", "ogg"]
CONTENT_TYPES: Final[dict[str, str]] = {
    "wav": "audio/wav",
    "flac": "audio/flac",
    "ogg": "audio/ogg",
}
"""Of what is synthesized."""
READ: Final = ("wav", "flac", "ogg", "mp3")
"""Of what is transcribed."""


def recognised(data: bytes) -> str:
    """The format of a file, by its content; what it is called, or said to be, does not matter.

    Raises:
        InvalidInputError: none that is read here.
    """
    if data[:4] in (b"RIFF", b"RF64") and data[8:12] == b"WAVE":
        return "wav"
    if data[:4] == b"fLaC":
        return "flac"
    if data[:4] == b"OggS":
        return "ogg"
    # An ID3 tag, or the sync word of a frame of layer III (ISO 11172-3, section 2.4.2.3).
    if data[:3] == b"ID3" or (len(data) > 1 and data[0] == 0xFF and data[1] & 0xE6 == 0xE2):
        return "mp3"
    raise InvalidInputError(
        "The body holds no audio that is read here"
        if data
        else "The body is empty; send a file of audio",
        formats=list(READ),
    )
