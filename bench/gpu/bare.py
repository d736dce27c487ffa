"""The C++ of ``driver/``, by ctypes: what libtorch and the device do without slipstream around."""

from __future__ import annotations

import ctypes
import sys
from functools import cache
from pathlib import Path
from typing import Self

import numpy as np

from bench.gpu.networks import Array
from bench.lib import tools
from bench.lib.suite import WrongError
from slipstream.engine.torch_library import torch_folder

_HERE = Path(__file__).resolve().parent
_TARGET = "gpu_bench_driver"
_STAGES = ("gather", "copy_in", "compute", "copy_out", "wall")


@cache
def library() -> ctypes.CDLL:
    """The driver, compiled against the installed torch.

    Raises:
        SetupError: it does not compile, or torch is not installed.
    """
    torch_at = torch_folder()
    if torch_at is None:
        raise tools.SetupError("torch is not installed")
    build = tools.WORK / "gpu"
    words = (f"-DSLIPSTREAM_TORCH_DIR={torch_at}", f"-DPython_EXECUTABLE={sys.executable}")
    tools.cmake(_HERE / "driver", build, _TARGET, *words)
    import torch  # noqa: F401  (its libraries find those of CUDA, which the driver's then are)

    loaded = ctypes.CDLL(str(build / f"lib{_TARGET}.so"))
    pointer, number, size = ctypes.c_void_p, ctypes.c_int64, ctypes.c_size_t
    for name, result, *arguments in (
        ("bench_error", ctypes.c_char_p),
        ("bench_open", pointer, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, pointer, size),
        ("bench_close", None, pointer),
        ("bench_is_recorded", ctypes.c_bool, pointer),
        ("bench_answer", size, pointer, pointer),
        ("bench_set_input", None, pointer, pointer),
        ("bench_call", ctypes.c_bool, pointer, number, pointer),
        ("bench_back_to_back", number, pointer, number),
        ("bench_overlap", ctypes.c_bool, pointer, size, number, pointer),
        ("bench_bandwidth", ctypes.c_bool, ctypes.c_int, size, size, number, pointer),
    ):
        function = getattr(loaded, name)
        function.restype, function.argtypes = result, arguments
    return loaded


def _failed(loaded: ctypes.CDLL, doing: str) -> WrongError:
    return WrongError(f"{doing}: {loaded.bench_error().decode(errors='replace')}")


class Bare:
    """A network at one shape on the first device, recorded as a graph. A context manager.

    Args:
        file: TorchScript.
        rows: The input, copied to the device by every call.

    Raises:
        SetupError: there is no driver.
        WrongError: the network does not run there.
    """

    def __init__(self, file: Path, rows: Array) -> None:
        self._library = library()
        self._rows = np.ascontiguousarray(rows)
        dims = np.array(rows.shape, np.int64)
        self._handle = self._library.bench_open(
            *(str(file).encode(), 0, str(rows.dtype).encode(), dims.ctypes.data, dims.size)
        )
        if not self._handle:
            raise _failed(self._library, f"libtorch and {file.name}")
        self._library.bench_set_input(self._handle, self._rows.ctypes.data)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._library.bench_close(self._handle)

    def require_recorded(self, device: str) -> None:
        """A graph, or nothing to compare with; but where the processor plays the device.

        Raises:
            WrongError: libtorch could not record it.
        """
        if device != "cpu" and not self._library.bench_is_recorded(self._handle):
            raise WrongError("libtorch cannot record the network as a graph")

    def call(self, calls: int) -> Array:
        """Nanoseconds of each of so many calls: copy in, launch, copy out, wait."""
        took = np.zeros(calls, np.int64)
        if not self._library.bench_call(self._handle, calls, took.ctypes.data):
            raise _failed(self._library, "a bare call")
        return took

    def answer(self) -> Array:
        """Of the last call, as float32."""
        values = np.zeros(self._library.bench_answer(self._handle, None) // 4, np.float32)
        self._library.bench_answer(self._handle, values.ctypes.data)
        return values.reshape(len(self._rows), -1)

    def back_to_back(self, times: int) -> int:
        """Nanoseconds of so many computations without copies, by the device's clock."""
        took = int(self._library.bench_back_to_back(self._handle, times))
        if took < 0:
            raise _failed(self._library, "computations back to back")
        return took

    def overlap(self, pieces: int, batches: int) -> dict[str, float]:
        """Nanoseconds a batch of each stage of the pipeline, and of the whole."""
        took = np.zeros(len(_STAGES), np.float64)
        if not self._library.bench_overlap(self._handle, pieces, batches, took.ctypes.data):
            raise _failed(self._library, "the pipeline")
        found = dict(zip(_STAGES, took.tolist(), strict=True))
        return found | {"compute": self.back_to_back(batches) / batches}


def bandwidth(size: int, pieces: int, batches: int) -> tuple[float, float, float]:
    """Nanoseconds a batch of so many bytes: a bare copy, gathering, and both by the pipeline.

    Raises:
        SetupError: there is no driver.
        WrongError: the device refused.
    """
    loaded = library()
    took = np.zeros(3, np.float64)
    if not loaded.bench_bandwidth(0, size, pieces, batches, took.ctypes.data):
        raise _failed(loaded, f"copies of {size} bytes")
    return float(took[0]), float(took[1]), float(took[2])
