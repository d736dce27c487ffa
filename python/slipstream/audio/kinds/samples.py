"""Files of audio → samples of 16 kHz, as transcription takes them.

In children only: libsndfile reads bytes that a stranger sent.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from slipstream.audio.formats import READ, recognised
from slipstream.errors import InvalidInputError

SAMPLE_RATE = 16_000
_BLOCK_SAMPLES = 1 << 20
"""Over all channels."""


def read_samples(data: bytes, most_s: float) -> Any:
    """Mono float32 of shape ``(n,)`` at `SAMPLE_RATE`; channels are averaged.

    Args:
        data: A file of a format that `slipstream.audio.formats` knows.
        most_s: The longest that is taken.

    Raises:
        InvalidInputError: it is damaged, empty, or too long.
    """
    import numpy as np
    import soxr

    pieces, left = [], most_s
    with _quietly(), _opened(data) as file:
        rate = file.samplerate
        resampler = soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32")
        block = max(1, _BLOCK_SAMPLES // file.channels)
        is_last = False
        while not is_last:
            samples = _block(file, block, most_s - left)
            left -= len(samples) / rate
            if left < 0:
                raise InvalidInputError(
                    f"The audio is longer than the {most_s:g} s that are taken (ASR_MAX_AUDIO_S); "
                    "send it in pieces",
                    max_audio_s=most_s,
                )
            is_last = len(samples) < block
            mono = np.nan_to_num(samples.mean(axis=1, dtype=np.float32), posinf=0, neginf=0)
            pieces.append(resampler.resample_chunk(mono, last=is_last))
    found = np.concatenate(pieces)
    if len(found) == 0:
        raise InvalidInputError("The audio holds no samples")
    return np.clip(found, -1.0, 1.0)


def _opened(data: bytes) -> Any:
    import soundfile

    class Forward(soundfile.SoundFile):  # type: ignore[misc]
        """Never seeks, which libsndfile cannot where a FLAC stream does not say how long it is."""

        def seekable(self) -> bool:
            return False

    try:
        return Forward(io.BytesIO(data))
    except soundfile.LibsndfileError as error:
        # What libsndfile says is of the calls that we make ("possibly a pipe?"), not of the file.
        kind = recognised(data)
        raise InvalidInputError(
            f"The audio cannot be read: it begins as {kind} does, and what follows is damaged, or "
            f"not among what is read of {kind}; send a whole file",
            formats=list(READ),
        ) from error


def _block(file: Any, count: int, after_s: float) -> Any:
    import soundfile

    try:
        return file.read(count, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise InvalidInputError(
            f"The audio cannot be read: it is damaged after its first {after_s:.3f} s; send a "
            "whole file",
            formats=list(READ),
        ) from error


@contextmanager
def _quietly() -> Iterator[None]:
    """Keeps libraries from writing what they think of a stranger's bytes on standard error."""
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
