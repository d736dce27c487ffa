"""Makes what the benchmark needs of others: one environment a rival, its library, the driver.

Everything lands in ``build/bench`` and is kept until what it was made from changes.
"""

from __future__ import annotations

import shutil
import sys
import tarfile
from pathlib import Path

from bench.lib import tools
from bench.lib.tools import ROOT, WORK, SetupError, call

__all__ = ["ROOT", "WORK", "SetupError", "call"]

HERE = Path(__file__).resolve().parent
RECIPES = HERE / "recipes"
"""Per environment its requirements; and the scripts that run in them."""
ENVIRONMENTS = ("lightgbm", "xgboost", "onnx", "onnxruntime", "lleaves", "lignum", "treelite")
DRIVER = WORK / "driver" / "forest_bench_driver"


def environment(name: str) -> Path:
    """The interpreter of a rival's environment, which is made if needed."""
    return tools.environment(RECIPES / f"{name}.txt", name)


def packages(name: str) -> dict[str, str]:
    """What a rival's requirements pin, by distribution."""
    return tools.packages(RECIPES / f"{name}.txt")


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
    tools.cmake(next(path for path in sources.iterdir() if path.is_dir()), build, "lignum_c")
    return library


def driver() -> Path:
    """The driver, compiled from the sources as they are now."""
    tools.cmake(HERE / "driver", DRIVER.parent, DRIVER.name)
    return DRIVER
