"""``slipstream build-backend NAME``: compiles a backend against what is installed here.

It takes a minute or two, a C++20 compiler and CMake, and does nothing where there is a library of
the same sources for the same torch and the same headers, of CUDA and of TensorRT, already.
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
from typing import Any, NamedTuple

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
_VERSIONS = ("cuda.h", "NvInferVersion.h")
"""Headers that have the version of what they belong to."""


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


class _Backend(NamedTuple):
    """One that is compiled here."""

    name: str
    parts: tuple[str, ...]
    """Folders of ``csrc`` that it is made of."""
    defines: tuple[str, ...]
    folders: list[Path]
    """Where it may be, best first."""
    library: str
    sources_file: str
    example_file: str | None = None


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
    backend = _Backend(
        f"torch backend for torch {torch_version()}",
        ("core", "device", "cuda", "backends/torch"),
        ("-DSLIPSTREAM_ONLY=torch", f"-DSLIPSTREAM_TORCH_DIR={torch}"),
        library_folders(module_folder()),
        *(LIBRARY, SOURCES_FILE, EXAMPLE_FILE),
    )
    return _built(backend, module_folder() / "_sources", force, jobs)


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
    if include is not None:
        folder = include.resolve()
        if not (folder / "NvInferVersion.h").is_file():
            raise BuildError(f"{include} has no NvInferVersion.h: name the folder with NvInfer.h")
        defines.append(f"-DSLIPSTREAM_TENSORRT_DIR={folder}")
    backend = _Backend(
        "tensorrt backend",
        ("core", "device", "cuda", "backends/tensorrt"),
        tuple(defines),
        tensorrt_library.library_folders(module_folder()),
        *(tensorrt_library.LIBRARY, tensorrt_library.SOURCES_FILE),
    )
    return _built(backend, module_folder() / "_sources", force, jobs)


def _built(backend: _Backend, sources: Path, force: bool, jobs: int | None) -> Path:
    """The library that is there, if it was made of the same; else a new one.

    CMake looks first: whether there are headers of CUDA, and of which TensorRT, decides what is
    compiled, and nobody but CMake knows where it finds them.
    """
    digest = _digest_of(sources, *backend.parts)
    with tempfile.TemporaryDirectory(prefix="slipstream-build-") as folder:
        scratch = Path(folder).resolve()
        cmake = _configure(sources, backend.defines, scratch)
        stamp = f"{digest} {_found(scratch)}"
        needed = (backend.library, backend.sources_file, backend.example_file)
        for place in backend.folders:
            is_there = all((place / name).is_file() for name in needed if name is not None)
            is_same = is_there and (place / backend.sources_file).read_text().strip() == stamp
            if is_same and not force:
                return place / backend.library
        target = _writable(backend.folders)
        print(f"compiling the {backend.name} …", file=sys.stderr)
        _put(_compile(cmake, backend.library, scratch, jobs), target / backend.library)
    if backend.example_file is not None:
        _make_example(target / backend.example_file)
    (target / backend.sources_file).write_text(f"{stamp}\n")
    return target / backend.library


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


def _configure(sources: Path, defines: Sequence[str], scratch: Path) -> str:
    """Has CMake look for what is needed, into the scratch folder; returns the program.

    Raises:
        MissingDependencyError: no CMake.
        BuildError: something is not there.
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
        "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON",
        # Through it CUDA's headers are looked for, where they are in a wheel.
        *(f"-DPython_EXECUTABLE={sys.executable}", *defines),
    ]
    ninja = shutil.which("ninja", path=search)
    if ninja is not None:
        configure += ["-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={ninja}"]
    _run(configure)
    return cmake


def _found(scratch: Path) -> str:
    """A digest of what CMake has found: files to compile, and headers, with their versions."""
    commands = (scratch / "compile_commands.json").read_text(encoding="utf-8")
    digest = hashlib.sha256(commands.replace(str(scratch), "").encode())
    for line in (scratch / "CMakeCache.txt").read_text(encoding="utf-8").splitlines():
        name, _, folder = line.partition("=")
        if name.endswith("Headers_INCLUDE_DIR:PATH"):
            for file in (Path(folder, header) for header in _VERSIONS):
                digest.update(file.read_bytes() if file.is_file() else b"")
    return digest.hexdigest()


def _compile(cmake: str, library: str, scratch: Path, jobs: int | None) -> Path:
    """The compiled library, in the scratch folder, which is configured.

    Raises:
        BuildError: it does not compile.
    """
    cores = str(jobs or len(os.sched_getaffinity(0)))
    _run([cmake, "--build", str(scratch), "--parallel", cores])
    return next(scratch.rglob(library))


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = "\n".join((done.stdout + done.stderr).splitlines()[-_SHOWN_LINES:])
        raise BuildError(f"the backend does not compile (CMake's last words):\n{said}")


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
