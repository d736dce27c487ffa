"""``slipstream build-backend NAME``: compiles a backend against what is installed here.

It takes a minute or two, a C++20 compiler and CMake, and does nothing where there is a library of
the same sources for the same torch, or the same headers of TensorRT, already.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from slipstream.engine import tensorrt_library
from slipstream.engine.torch_library import (
    EXAMPLE_FILE,
    LIBRARY,
    SOURCES_FILE,
    library_folders,
    torch_folder,
    torch_version,
)
from slipstream.errors import MissingDependencyError, SlipstreamError

_SHOWN_LINES = 30


class BuildError(SlipstreamError):
    """The backend could not be compiled; the message has the compiler's own."""


def register(commands: argparse._SubParsersAction[Any]) -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser(
        "build-backend",
        help="compile a backend against a library that is installed here",
        description="Compiles a backend against a library that is installed here. Needs a C++20 "
        "compiler and CMake 3.25 (pip install cmake ninja).",
    )
    parser.add_argument("backend", choices=["torch", "tensorrt"], help="which one")
    parser.add_argument(
        "--include", type=Path, help="of tensorrt: the folder with NvInfer.h, if it is not found"
    )
    parser.add_argument("--force", action="store_true", help="also where it was compiled before")
    parser.add_argument("--jobs", type=int, help="compilers at once (default: one per core)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Compiles it where that is needed; prints where the library is."""
    force, jobs = arguments.force, arguments.jobs
    if arguments.backend == "tensorrt":
        print(build_tensorrt(arguments.include, force=force, jobs=jobs))
        return 0
    if arguments.include is not None:
        raise BuildError("--include is for the tensorrt backend: torch brings its own headers")
    print(build_torch(force=force, jobs=jobs))
    return 0


def build_torch(*, force: bool = False, jobs: int | None = None) -> Path:
    """The torch backend's library, compiled now unless it is there.

    Args:
        force: Compile in any case.
        jobs: Compilers at once; None: one per core.

    Raises:
        MissingDependencyError: no torch, no CMake.
        BuildError: no folder to put it in, or it does not compile.
    """
    from slipstream.engine.runtime import module_folder  # here: it loads the compiled module

    torch = torch_folder()
    if torch is None:
        raise MissingDependencyError(
            "the torch backend needs torch: pip install 'slipstream[torch]'", package="torch"
        )
    sources = module_folder() / "_sources"
    digest = _digest_of(sources, "core", "device", "cuda", "backends/torch")
    folders = library_folders(module_folder())
    for folder in folders:
        stamp = folder / SOURCES_FILE
        is_there = all((folder / name).is_file() for name in (LIBRARY, EXAMPLE_FILE, SOURCES_FILE))
        if is_there and stamp.read_text().strip() == digest and not force:
            return folder / LIBRARY
    target = _writable(folders)
    print(f"compiling the torch backend for torch {torch_version()} …", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="slipstream-torch-") as scratch:
        defines = ("-DSLIPSTREAM_ONLY=torch", f"-DSLIPSTREAM_TORCH_DIR={torch}")
        built = _compile(sources, LIBRARY, defines, Path(scratch), jobs)
        _put(built, target / LIBRARY)
        _make_example(target / EXAMPLE_FILE)
        (target / SOURCES_FILE).write_text(f"{digest}\n")
    return target / LIBRARY


def build_tensorrt(
    include: Path | None = None, *, force: bool = False, jobs: int | None = None
) -> Path:
    """The tensorrt backend's library, compiled now unless it is there.

    Args:
        include: The folder with ``NvInfer.h``; None: where NVIDIA's packages and containers put it.
        force: Compile in any case.
        jobs: Compilers at once; None: one per core.

    Raises:
        MissingDependencyError: no CMake.
        BuildError: no headers, no folder to put it in, or it does not compile.
    """
    from slipstream.engine.runtime import module_folder  # here: it loads the compiled module

    defines = ["-DSLIPSTREAM_ONLY=tensorrt"]
    version = "found by CMake"
    if include is not None:
        header = include.resolve() / "NvInferVersion.h"
        if not header.is_file():
            raise BuildError(f"{include} has no NvInferVersion.h: name the folder with NvInfer.h")
        version = hashlib.sha256(header.read_bytes()).hexdigest()
        defines.append(f"-DSLIPSTREAM_TENSORRT_DIR={header.parent}")
    sources = module_folder() / "_sources"
    used = _digest_of(sources, "core", "device", "cuda", "backends/tensorrt")
    digest = f"{used} {version}"
    folders = tensorrt_library.library_folders(module_folder())
    for folder in folders:
        library, stamp = folder / tensorrt_library.LIBRARY, folder / tensorrt_library.SOURCES_FILE
        is_there = library.is_file() and stamp.is_file()
        if is_there and stamp.read_text().strip() == digest and not force:
            return library
    target = _writable(folders)
    print("compiling the tensorrt backend …", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="slipstream-tensorrt-") as scratch:
        built = _compile(sources, tensorrt_library.LIBRARY, defines, Path(scratch), jobs)
        _put(built, target / tensorrt_library.LIBRARY)
        (target / tensorrt_library.SOURCES_FILE).write_text(f"{digest}\n")
    return target / tensorrt_library.LIBRARY


def _digest_of(sources: Path, *folders: str) -> str:
    """Of the names and contents of all files of the build, and of those folders of ``csrc``.

    Raises:
        BuildError: there are none.
    """
    digest = hashlib.sha256()
    found = [sources / "CMakeLists.txt", *(sources / "cmake").rglob("*")]
    for folder in folders:
        found += (sources / "csrc" / folder).rglob("*")
    files = sorted(file for file in found if file.is_file())
    if not files:
        raise BuildError(f"the sources of the backends are not in {sources}: reinstall")
    for file in files:
        digest.update(f"{file.relative_to(sources)}\0{file.stat().st_size}\0".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _writable(folders: list[Path]) -> Path:
    refusals = []
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                return folder
        except OSError as error:
            refusals.append(f"{folder} ({error.strerror})")
    raise BuildError(f"no folder for the library can be written to: {', '.join(refusals)}")


def _compile(
    sources: Path, library: str, defines: Sequence[str], scratch: Path, jobs: int | None
) -> Path:
    """The compiled library, in the scratch folder.

    Raises:
        MissingDependencyError: no CMake.
        BuildError: it does not compile.
    """
    beside_python = Path(sys.executable).parent
    search = os.pathsep.join([str(beside_python), os.environ.get("PATH", os.defpath)])
    cmake = shutil.which("cmake", path=search)
    if cmake is None:
        raise MissingDependencyError(
            "compiling a backend needs CMake: pip install cmake ninja", package="cmake"
        )
    configure = [
        *(cmake, "-S", str(sources), "-B", str(scratch), "-DCMAKE_BUILD_TYPE=Release"),
        # Through it CUDA's headers are looked for, where they are in a wheel.
        *(f"-DPython_EXECUTABLE={sys.executable}", *defines),
    ]
    ninja = shutil.which("ninja", path=search)
    if ninja is not None:
        configure += ["-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={ninja}"]
    cores = str(jobs or len(os.sched_getaffinity(0)))
    for command in (configure, [cmake, "--build", str(scratch), "--parallel", cores]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            said = "\n".join((done.stdout + done.stderr).splitlines()[-_SHOWN_LINES:])
            raise BuildError(f"the backend does not compile (CMake's last words):\n{said}")
    return next(scratch.rglob(library))


def _make_example(file: Path) -> None:
    """The model `example` as TorchScript, so that no server has to make it.

    Raises:
        BuildError: torch cannot be imported, say.
    """
    command = [sys.executable, "-m", "slipstream.example.script", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise BuildError(f"the model 'example' cannot be made with the installed torch: {said}")


def _put(built: Path, library: Path) -> None:
    """Into its place at once: a server may be opening the old one."""
    unfinished = library.with_name(f".{library.name}.{os.getpid()}")
    shutil.copyfile(built, unfinished)
    unfinished.chmod(0o755)
    os.replace(unfinished, library)
