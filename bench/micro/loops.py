"""The C++ loops of ``driver/``, compiled when they are needed, and how each is timed."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.lib import tools
from bench.lib.interleave import ContenderFailedError, Timer

_HERE = Path(__file__).resolve().parent
_BUILD = tools.WORK / "micro"
_TARGET = "micro_bench_driver"
LOOPS = (
    "time_from_chars", "time_decode", "time_to_chars", "time_encode",
    "time_mpmc_ring", "time_mutex_ring", "time_batcher", "time_completion", "time_gather",
)  # fmt: skip
"""Functions of ``driver/`` that take arguments and a number of calls, and return nanoseconds."""

Array = npt.NDArray[Any]


@cache
def library() -> ctypes.CDLL:
    """The loops, compiled from the sources as they are now.

    Raises:
        SetupError: there is no CMake, or it failed.
    """
    tools.cmake(_HERE / "driver", _BUILD, _TARGET)
    loaded = ctypes.CDLL(str(_BUILD / f"lib{_TARGET}.so"))
    for name in LOOPS:
        getattr(loaded, name).restype = ctypes.c_int64
    return loaded


def python(call: Callable[[], object]) -> Timer:
    """Times calls of a Python function."""

    def run(calls: int) -> int:
        begin = time.perf_counter_ns()
        for _ in range(calls):
            call()
        return time.perf_counter_ns() - begin

    return run


def from_chars(document: bytes, out: Array) -> Timer:
    """``std::from_chars`` number by number into ``out``, with nothing checked around it."""
    return _timer("time_from_chars", document, len(document), out.ctypes.data, out.size)


def decode(document: bytes, out: Array) -> Timer:
    """``decode_inputs``; the first call's values are copied to ``out``, ``[rows, width]``."""
    shape = (out.size, out.shape[1])
    return _timer("time_decode", document, len(document), out.ctypes.data, *shape)


def to_chars(values: Array) -> Timer:
    """``std::to_chars`` number by number, with the brackets and commas."""
    return _timer("time_to_chars", values.ctypes.data, *values.shape)


def encode(values: Array) -> Timer:
    """``encode_numbers``."""
    return _timer("time_encode", values.ctypes.data, *values.shape)


def part(name: str, size: int) -> Timer:
    """One of the loops that take a number of something before the calls."""
    return _timer(name, size)


def _timer(name: str, *arguments: bytes | int) -> Timer:
    function = getattr(library(), name)
    wrapped = [
        ctypes.c_void_p(a) if isinstance(a, int) and a > 1 << 32 else
        ctypes.c_char_p(a) if isinstance(a, bytes) else ctypes.c_int64(a)
        for a in arguments
    ]  # fmt: skip

    def run(calls: int) -> int:
        elapsed: int = function(*wrapped, ctypes.c_int64(calls))
        if elapsed < 0:
            raise ContenderFailedError(f"{name} could not do its work")
        return elapsed

    return run


def same_bits(a: Array, b: Array) -> bool:
    """Whether two arrays of doubles are the same to the last bit."""
    return a.shape == b.shape and a.tobytes() == np.ascontiguousarray(b).tobytes()
