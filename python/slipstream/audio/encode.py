"""Samples → bytes of a format, piece by piece as they are made, or whole.

Of a stream nobody knows the length at its start. FLAC says 0 for *unknown* (RFC 9639, section 8.2),
Ogg needs none. WAV has no word for it: we write the largest sizes there are, as ffmpeg does into a
pipe, which players and libsndfile take as *to the end*; a size of 0 they would take at its word.
"""

from __future__ import annotations

import struct
from typing import Any, Final, Protocol

import numpy as np

from slipstream.audio.formats import Format
from slipstream.audio.voice import Samples
from slipstream.errors import MissingDependencyError

_UNKNOWN: Final = 0xFFFFFFFF
_HEADER: Final = struct.Struct("<4sI4s4sIHHIIHH4sI")
_BLOCK_SAMPLES = 8192
"""libsndfile's Vorbis keeps a block on its stack."""
_SUBTYPES: Final = {"flac": "PCM_16", "ogg": "VORBIS"}


class Encoder(Protocol):
    """Makes one file. One thread at a time."""

    def write(self, samples: Samples) -> bytes:
        """What is there now; may be empty."""

    def finish(self) -> bytes:
        """The rest."""


def wav_header(sample_rate: int, data_bytes: int | None) -> bytes:
    """RIFF/WAVE, 16-bit PCM, mono. ``data_bytes`` None: nobody knows yet."""
    size = _UNKNOWN if data_bytes is None else data_bytes
    riff = _UNKNOWN if data_bytes is None else data_bytes + _HEADER.size - 8
    return _HEADER.pack(
        *(b"RIFF", riff, b"WAVE"),
        *(b"fmt ", 16, 1, 1, sample_rate, sample_rate * 2, 2, 16),
        *(b"data", size),
    )


def pcm16(samples: Samples) -> bytes:
    """Little-endian 16-bit samples."""
    scaled = np.rint(np.clip(samples, -1.0, 1.0) * 32767.0)
    return bytes(scaled.astype("<i2").tobytes())


class _Wav:
    def __init__(self, sample_rate: int) -> None:
        self._header = wav_header(sample_rate, None)

    def write(self, samples: Samples) -> bytes:
        header, self._header = self._header, b""
        return header + pcm16(samples)

    def finish(self) -> bytes:
        return self._header


class _Sink:
    """A file that is only ever appended to, as far as its reader is concerned.

    What was taken is gone: a header that libsndfile corrects at the end stays as it was sent.
    """

    def __init__(self) -> None:
        self._taken = 0
        self._kept = bytearray()
        self._at = 0

    def take(self) -> bytes:
        taken, self._kept = bytes(self._kept), bytearray()
        self._taken += len(taken)
        return taken

    def write(self, data: Any) -> int:
        data = bytes(data)
        start = self._at - self._taken
        self._at += len(data)
        if start < 0:
            data, start = data[-start:], 0
        self._kept[start : start + len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        end = self._taken + len(self._kept)
        self._at = offset + (0, self._at, end)[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def flush(self) -> None:
        """Nothing is held back."""


class _Compressed:
    def __init__(self, kind: Format, sample_rate: int) -> None:
        try:
            import soundfile
        except ImportError as error:
            raise MissingDependencyError(
                f"Audio as {kind} needs soundfile, which is not installed: "
                "pip install 'slipstream[audio]', or ask for wav"
            ) from error
        self._sink = _Sink()
        self._file = soundfile.SoundFile(
            self._sink,
            "w",
            samplerate=sample_rate,
            channels=1,
            format=kind.upper(),
            subtype=_SUBTYPES[kind],
        )

    def keep(self, samples: Samples) -> None:
        """Encodes without giving anything away yet."""
        for start in range(0, len(samples), _BLOCK_SAMPLES):
            self._file.write(samples[start : start + _BLOCK_SAMPLES])

    def write(self, samples: Samples) -> bytes:
        self.keep(samples)
        return self._sink.take()

    def finish(self) -> bytes:
        self._file.close()
        return self._sink.take()


def encoder(kind: Format, sample_rate: int) -> Encoder:
    """One for a file that is sent as it is made.

    Raises:
        MissingDependencyError: the format needs a library that is not installed.
    """
    return _Wav(sample_rate) if kind == "wav" else _Compressed(kind, sample_rate)


class Stored:
    """One file whose length is in its header; written piece by piece, read when it is whole.

    Raises:
        MissingDependencyError: as `encoder`.
    """

    def __init__(self, kind: Format, sample_rate: int) -> None:
        self._sample_rate = sample_rate
        self._compressed = None if kind == "wav" else _Compressed(kind, sample_rate)
        self._pieces: list[bytes] = []

    def write(self, samples: Samples) -> None:
        """Adds samples."""
        if self._compressed is None:
            self._pieces.append(pcm16(samples))
        else:
            self._compressed.keep(samples)

    def finish(self) -> bytes:
        """The file."""
        if self._compressed is not None:
            return self._compressed.finish()
        data_bytes = sum(map(len, self._pieces))
        return b"".join([wav_header(self._sample_rate, data_bytes), *self._pieces])
