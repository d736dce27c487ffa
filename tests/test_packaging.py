"""What gets installed: pinned, light to import, complete; and the commands that install it."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
FRAMEWORKS = {
    "lightgbm",
    "onnx",
    "onnxruntime",
    "pandas",
    "scipy",
    "sklearn",
    "tensorflow",
    "torch",
}
FRAMEWORKS |= {"faster_whisper", "skl2onnx", "transformers", "xgboost"}


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    """pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def pins() -> dict[str, Version]:
    """constraints.txt: the exact version of each distribution."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    found = [line.split("==") for line in lines if line and not line.startswith("#")]
    assert all(len(pin) == 2 for pin in found), "constraints.txt holds exact versions only"
    return {canonicalize_name(name): Version(version) for name, version in found}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built as a user's ``pip install`` builds it, in the build folder of make install."""
    folder = tmp_path_factory.mktemp("wheel")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(ROOT)]
    run = subprocess.run(
        command, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    (built,) = folder.glob("slipstream-*.whl")
    return built


def test_every_requirement_is_pinned_within_its_range(
    project: dict[str, Any], pins: dict[str, Version]
) -> None:
    sets = [project["project"]["dependencies"], project["build-system"]["requires"]]
    sets += project["project"]["optional-dependencies"].values()
    sets += project["dependency-groups"].values()
    # xgboost is tested as xgboost-cpu, which is the same module, and tensorflow as tensorflow-cpu.
    twins = {"xgboost": "xgboost-cpu", "tensorflow": "tensorflow-cpu"}
    for line in (line for requirements in sets for line in requirements):
        requirement = Requirement(line)
        name = canonicalize_name(requirement.name)
        if name != "slipstream":
            pin = pins.get(name) or pins[twins[name]]
            assert requirement.specifier.contains(pin), f"{line} excludes the tested {pin}"


def test_all_holds_every_extra_but_some(project: dict[str, Any]) -> None:
    """Not what only a GPU needs, what tests need, and what is under the GPL."""
    extras = project["project"]["optional-dependencies"]
    (everything,) = extras["all"]
    assert Requirement(everything).extras == set(extras) - {
        *("all", "audio-test", "cuda", "espeak", "tensorrt")
    }


def test_extras_for_gpus_bring_what_tells_of_gpus(project: dict[str, Any]) -> None:
    extras = project["project"]["optional-dependencies"]
    for extra in ("cuda", "tensorrt"):
        assert "nvidia-ml-py" in {Requirement(line).name for line in extras[extra]}


def test_the_build_has_all_headers_of_cuda(project: dict[str, Any]) -> None:
    """Those of the runtime alone include some that are in a wheel of their own."""
    for lines in (project["build-system"]["requires"], project["dependency-groups"]["build"]):
        assert {"nvidia-cuda-runtime", "nvidia-cuda-crt"} <= {
            Requirement(one).name for one in lines
        }


def test_the_metadata_has_the_version_of_the_source() -> None:
    import slipstream

    source = (ROOT / "python" / "slipstream" / "_version.py").read_text(encoding="utf-8")
    assert f'"{slipstream.__version__}"' in source
    assert importlib.metadata.version("slipstream") == slipstream.__version__


def test_importing_slipstream_imports_no_framework() -> None:
    code = "import json, sys, slipstream; print(json.dumps(sorted(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    loaded = {name.partition(".")[0] for name in json.loads(run.stdout)}
    assert not loaded & FRAMEWORKS


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    assert f"slipstream/_engine{suffix}" in names
    for backend in ("echo", "onnx", "process"):
        assert f"slipstream/backends/libslipstream_backend_{backend}.so" in names
    assert {"slipstream/py.typed", "slipstream/_engine.pyi", "slipstream/__init__.py"} <= set(names)
    top = {name.partition("/")[0] for name in names}
    assert {re.sub(r"-.*\.", ".", name) for name in top} == {"slipstream", "slipstream.dist-info"}


def test_the_unpacked_wheel_runs_without_the_checkout(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path)
    # -S: no .pth file, so no editable install; the dependencies still come from this environment.
    path = os.pathsep.join([str(tmp_path), sysconfig.get_path("purelib")])
    code = "import slipstream, slipstream._engine as e; print(slipstream.__file__, e.__file__)"
    run = subprocess.run(
        [sys.executable, "-S", "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert all(Path(file).is_relative_to(tmp_path) for file in run.stdout.split())


def test_nothing_that_ships_needs_cuda(wheel: Path, tmp_path: Path) -> None:
    """The driver is opened at run time: a machine without one runs the same files."""
    zipfile.ZipFile(wheel).extractall(tmp_path)
    libraries = [path for path in tmp_path.rglob("*.so*") if path.is_file()]
    assert len(libraries) >= 4
    for library in libraries:
        dynamic = _told_by("readelf", "--dynamic", "--wide", library)
        needed = re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic)
        assert needed, dynamic
        assert not [name for name in needed if name.startswith(("libcuda", "libcudart", "libnv"))]
        undefined = _told_by("nm", "--dynamic", "--undefined-only", "--format=posix", library)
        symbols = [line.split()[0] for line in undefined.splitlines()]
        assert symbols, library
        assert not [name for name in symbols if re.match(r"(?:cu|cuda|nv)[A-Z]", name)]


def _told_by(program: str, *arguments: str | Path) -> str:
    command = [program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_the_wheel_is_built_with_the_headers_of_cuda_where_they_are(wheel: Path) -> None:
    try:
        importlib.metadata.version("nvidia-cuda-runtime")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("nvidia-cuda-runtime has no wheel for this machine")
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    module = zipfile.ZipFile(wheel).read(f"slipstream/_engine{suffix}")
    assert b"cuDevicePrimaryCtxRetain" in module
    assert b"made without CUDA's headers" not in module


def test_the_command_line_is_installed() -> None:
    command = Path(sys.executable).parent / "slipstream"
    run = subprocess.run([command, "--help"], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert "serve" in run.stdout


def test_bare_make_lists_every_target() -> None:
    run = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True)
    listed = set(re.findall(r"^  make ([\w-]+)  +\S", run.stdout, re.MULTILINE))
    assert listed >= {"install", "serve", "test", "lint", "sanitize", "bench", "format", "clean"}


def test_an_install_that_is_current_does_nothing() -> None:
    run = subprocess.run(
        ["scripts/install.sh", "dev"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout == ""


def test_requirements_resolves_extras_of_our_own() -> None:
    command = [sys.executable, "scripts/requirements.py", "all", "--without", "torch"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    names = {canonicalize_name(Requirement(line).name) for line in run.stdout.splitlines()}
    assert {"scikit-learn", "xgboost", "lightgbm", "soundfile"} <= names
    assert not names & {"slipstream", "torch"}


def test_an_unknown_set_is_named() -> None:
    run = subprocess.run(
        ["scripts/install.sh", "nonsense"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 2
    assert "'nonsense'" in run.stderr
