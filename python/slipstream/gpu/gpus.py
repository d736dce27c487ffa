"""Which GPUs models may be put on: what is there, and which backends can use it here.

Asking is cheap where there is nothing: whether a backend can is seen from its files, so that a
driver is looked for only where one could be used, and once in a process.
"""

from __future__ import annotations

import functools
from pathlib import Path

from slipstream.engine.devices import CudaDevice, Devices, devices
from slipstream.engine.runtime import onnxruntime_library, torch_backend_folder
from slipstream.engine.torch_library import LIBRARY
from slipstream.gpu import nvml
from slipstream.gpu.cuda_libraries import PROVIDERS
from slipstream.gpu.elf import needed

GPU_BACKENDS = ("onnx", "torch", "tensorrt")
"""Those that compute on GPUs; the others are made for the processor."""
_TORCH_ON_CUDA = "libc10_cuda.so"
"""Is needed by a torch backend that was built for a torch with CUDA."""


@functools.cache
def survey() -> Devices:
    """The devices that there are, as this process saw them when it first asked."""
    return devices()


def why_not(backend: str, provider: str = "cuda") -> str | None:
    """Why a backend cannot compute on a GPU as it is installed, and what helps; None: it can.

    Args:
        backend: One of `GPU_BACKENDS`.
        provider: Of ONNX Runtime, ``cuda`` or ``tensorrt``.

    Raises:
        MissingDependencyError: there is no ONNX Runtime.
    """
    if backend == "onnx":
        folder = onnxruntime_library().parent
        if not (folder / PROVIDERS[provider]).is_file():
            return (
                f"the installed ONNX Runtime has no {PROVIDERS[provider]}: install onnxruntime-gpu "
                "instead of onnxruntime, whose module it is as well (pip install "
                "'slipstream[cuda]'; pip uninstall -y onnxruntime; pip install --force-reinstall "
                "--no-deps onnxruntime-gpu)"
            )
    if backend == "torch" and not _is_torch_on_cuda():
        return (
            "the torch backend was built for a torch without CUDA, or without CUDA's headers: "
            "install a torch for CUDA, nvidia-cuda-runtime and nvidia-cuda-crt, and run "
            "`slipstream build-backend torch`"
        )
    return None


def _is_torch_on_cuda() -> bool:
    folder = torch_backend_folder()
    if folder is None:  # which the load will say
        return False
    state = (folder / LIBRARY).stat()
    return _needs_cuda(folder / LIBRARY, state.st_mtime_ns)


@functools.lru_cache(maxsize=4)
def _needs_cuda(library: Path, _changed_ns: int) -> bool:
    return _TORCH_ON_CUDA in needed(library)


def free_bytes(device: CudaDevice) -> int | None:
    """Memory that nobody uses on a device; None where nothing tells."""
    library = nvml.begun()
    return None if library is None else nvml.free_bytes(library, device.pci_bus_id)


def provider_library(provider: str) -> Path:
    """The library of one of ONNX Runtime's providers, of those that `why_not` speaks of."""
    return onnxruntime_library().parent / PROVIDERS[provider]
