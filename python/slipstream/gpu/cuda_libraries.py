"""Loads the CUDA libraries of the ``nvidia-*`` wheels before ONNX Runtime looks for them.

A provider of onnxruntime-gpu names its libraries (``libcublasLt.so.13``, ``libcudnn.so.9``) and no
folder, so the dynamic linker finds them only where the process has them already, or the system
does. Which these are is read from the provider itself, and what each of them needs from it, so
whatever it needs is there first. Nothing is loaded before a model is to run on a GPU.
"""

from __future__ import annotations

import ctypes
import importlib.util
import re
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from slipstream.errors import MissingDependencyError
from slipstream.gpu.elf import needed

PROVIDERS = {
    "cuda": "libonnxruntime_providers_cuda.so",
    "tensorrt": "libonnxruntime_providers_tensorrt.so",
}
"""Beside ONNX Runtime's library, in the package that has them."""
_OPENED_LATER = ("libnvrtc.so",)
"""What no library names and cuDNN opens by its name when it first compiles a kernel."""
_NAME = re.compile(r"lib([A-Za-z_]+?)(?:_[a-z_]+)?\.so\.([0-9]+)")
_PARTS = {
    "cublas": "cublas",
    "cublasLt": "cublas",
    "cudart": "cuda-runtime",
    "cufft": "cufft",
    "curand": "curand",
    "nvrtc": "cuda-nvrtc",
    "nvJitLink": "nvjitlink",
    "cusparse": "cusparse",
    "cusolver": "cusolver",
}
"""Libraries of CUDA, and the wheels that bring them, as they are called after ``nvidia-``."""
_NUMBERED_AS_CUDA = ("cudart", "cublas", "cublasLt", "nvrtc", "nvJitLink")
_FIRST_WITHOUT_SUFFIX = 13
"""From this CUDA on the wheels of its parts have no ``-cuN`` behind their names."""

Open = Callable[[str], object]
_lock = threading.Lock()
_done: set[Path] = set()


def wheel_folders() -> list[Path]:
    """Folders of the installed wheels that may hold such libraries; nothing is imported."""
    folders: list[Path] = []
    for package, pattern in (("nvidia", "*/lib"), ("tensorrt_libs", ".")):
        found = importlib.util.find_spec(package)
        for location in (found.submodule_search_locations or []) if found else []:
            folders += sorted(path for path in Path(location).glob(pattern) if path.is_dir())
    return folders


def preload(
    library: Path, folders: Iterable[Path] | None = None, open_library: Open = ctypes.CDLL
) -> list[str]:
    """Loads what a provider's library needs; nothing the second time.

    Args:
        library: Of the provider; it is read, and not loaded.
        folders: Where the libraries may be; None: `wheel_folders`.
        open_library: Loads one, by its path or by its name, and keeps it.

    Returns:
        What was loaded from the folders, in this order.

    Raises:
        MissingDependencyError: one is neither there nor on the system; names the wheel.
    """
    with _lock:
        if library in _done:
            return []
        found = _Found(wheel_folders() if folders is None else list(folders), open_library)
        named = needed(library)
        cuda = _cuda_of(named)
        for name in named:
            if wheel_of(name, cuda) is not None:
                found.load(name, library.name, cuda)
        found.load_if_there(_OPENED_LATER)
        _done.add(library)
        return found.loaded


def wheel_of(name: str, cuda: int | None) -> str | None:
    """The wheel that brings a library of NVIDIA's; None for one of somebody else.

    Args:
        name: ``libcublasLt.so.13``.
        cuda: The CUDA that it is for, where that is known.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    stem = match[1]
    number = f"-cu{cuda or _FIRST_WITHOUT_SUFFIX}"
    if stem.startswith("cudnn"):
        return f"nvidia-cudnn{number}"
    if stem.startswith(("nvinfer", "nvonnxparser")):
        return f"tensorrt{number}"
    part = _PARTS.get(stem)
    if part is None:
        return None
    return f"nvidia-{part}" + ("" if (cuda or 0) >= _FIRST_WITHOUT_SUFFIX else number)


def _cuda_of(names: Iterable[str]) -> int | None:
    """The version of CUDA whose libraries these are."""
    for name in names:
        match = _NAME.fullmatch(name)
        if match is not None and match[1] in _NUMBERED_AS_CUDA:
            return int(match[2])
    return None


class _Found:
    """What is in the wheels, and what of it has been loaded. One use."""

    def __init__(self, folders: list[Path], open_library: Open) -> None:
        self._files = {
            file.name: file for folder in reversed(folders) for file in folder.glob("lib*.so*")
        }
        self._open = open_library
        self._begun: set[str] = set()
        self.loaded: list[str] = []

    def load(self, name: str, user: str, cuda: int | None) -> None:
        """Loads one after what it needs itself.

        Raises:
            MissingDependencyError: it is not there, or does not load.
        """
        if name in self._begun:
            return
        self._begun.add(name)
        file = self._files.get(name)
        if file is not None:
            for other in needed(file):
                if wheel_of(other, cuda) is not None:
                    self.load(other, name, cuda)
        try:
            self._open(name if file is None else str(file))
        except OSError as error:
            package = wheel_of(name, cuda)
            where = "is neither in an installed package nor on this system"
            said = f"{where} ({error})" if file is None else f"does not load: {error}"
            raise MissingDependencyError(
                f"{user} needs {name}, which {said}; it comes with {package}: pip install "
                f"{package}, or 'slipstream[cuda]' for all of them",
                package=package,
            ) from error
        if file is not None:
            self.loaded.append(name)

    def load_if_there(self, prefixes: tuple[str, ...]) -> None:
        """Loads those of the wheels whose names begin so, and that can be."""
        for name, file in sorted(self._files.items()):
            if name.startswith(prefixes) and name not in self._begun:
                self._begun.add(name)
                try:
                    self._open(str(file))
                except OSError:  # whoever opens it later will say what is missing
                    continue
                self.loaded.append(name)
