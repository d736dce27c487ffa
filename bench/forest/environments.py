"""Makes what the benchmark needs of others: one environment a rival, its library, the driver.

Everything lands in ``build/bench`` and is kept until what it was made from changes.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
WORK = ROOT / "build" / "bench"
RECIPES = HERE / "recipes"
"""Per environment its requirements; and the scripts that run in them."""
ENVIRONMENTS = ("lightgbm", "xgboost", "onnx", "onnxruntime", "lleaves", "lignum", "treelite")
DRIVER = WORK / "driver" / "forest_bench_driver"


class SetupError(Exception):
    """A rival could not be installed or built; the text holds the end of what the tool said."""


def call(command: Sequence[str | Path], timeout_s: float = 1800.0) -> str:
    """Runs a tool and returns what it printed.

    Raises:
        SetupError: it failed, is not there, or took too long.
    """
    scripts = [Path(word).name for word in command if Path(word).suffix == ".py"]
    name = (scripts or [Path(command[0]).name])[0]
    try:
        ended = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout_s,
            check=False, cwd=ROOT,
        )  # fmt: skip
    except OSError as error:
        raise SetupError(f"{name} cannot be run: {error}") from error
    except subprocess.TimeoutExpired as error:
        raise SetupError(f"{name} took more than {timeout_s:g} s") from error
    text = ended.stdout.decode("utf-8", "replace")
    if ended.returncode != 0:
        raise SetupError(f"{name} failed ({ended.returncode}): {' '.join(text.split())[-400:]}")
    return text


def environment(name: str) -> Path:
    """The interpreter of a rival's environment, which is made if needed."""
    requirements = RECIPES / f"{name}.txt"
    folder = WORK / "env" / name
    python = folder / "bin" / "python"
    wanted = _digest(requirements.read_bytes(), sys.version.encode())
    stamp = folder / "made-from"
    if not (stamp.is_file() and stamp.read_text() == wanted):
        print(f"installing {name} into {folder.relative_to(ROOT)}", flush=True)
        call([sys.executable, "-m", "venv", "--clear", folder])
        call([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
              "-r", requirements])  # fmt: skip
        stamp.write_text(wanted)
    return python


def packages(name: str) -> dict[str, str]:
    """What a rival's requirements pin, by distribution."""
    lines = (RECIPES / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    pins = [line.partition("==") for line in lines if "==" in line and not line.startswith("#")]
    return {package: version for package, _, version in pins}


def shared_library(name: str, pattern: str) -> Path:
    """The library inside a rival's wheel that ``pattern`` (below site-packages) finds.

    Raises:
        SetupError: the wheel does not hold it.
    """
    python = environment(name)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    site = python.parent.parent / "lib" / version / "site-packages"
    found = sorted(site.glob(pattern))
    if not found:
        raise SetupError(f"the environment {name} has no {pattern}")
    return found[-1]


def lignum_library() -> Path:
    """The C API of lignum, built from the sources of the version whose wheel is installed."""
    version = packages("lignum")["pylignum"]
    build = WORK / "lignum" / version
    library = build / "liblignum.so"
    if library.is_file():
        return library
    print(f"building lignum {version}'s C API", flush=True)
    sources = WORK / "lignum" / "sources"
    shutil.rmtree(sources, ignore_errors=True)
    sources.mkdir(parents=True)
    # Without isolation: .venv holds the build backend that only prints the metadata here.
    call([sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
          "--no-deps", "--no-build-isolation", "--no-binary", "pylignum", "--dest", sources,
          f"pylignum=={version}"])  # fmt: skip
    with tarfile.open(next(sources.glob("*.tar.gz"))) as archive:
        archive.extractall(sources, filter="data")
    _cmake(next(path for path in sources.iterdir() if path.is_dir()), build, "lignum_c")
    return library


def driver() -> Path:
    """The driver, compiled from the sources as they are now."""
    _cmake(HERE / "driver", DRIVER.parent, DRIVER.name)
    return DRIVER


def _cmake(sources: Path, build: Path, target: str) -> None:
    scripts = Path(sysconfig.get_path("scripts"))
    cmake = shutil.which("cmake", path=f"{scripts}{os.pathsep}{os.environ.get('PATH', '')}")
    if cmake is None:
        raise SetupError("cmake is not installed: run `make install`")
    ninja = scripts / "ninja"
    generator = ["-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={ninja}"] if ninja.is_file() else []
    call([cmake, "-S", sources, "-B", build, *generator, "-DCMAKE_BUILD_TYPE=Release"])
    call([cmake, "--build", build, "--target", target])


def _digest(*parts: bytes) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()
