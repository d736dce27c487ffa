"""Triton's model repository, and the tritonserver inside nvidia-pytriton's wheel."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from pathlib import Path

from bench.lib import tools
from bench.lib.tools import SetupError
from bench.rivals.launch import RECIPES, Launch

_VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
_MAX_BATCH = 64
"""Requests of 64 rows have to fit; the wait for companions is 1 ms, as elsewhere."""

_BATCHED = """\
max_batch_size: {batch}
dynamic_batching {{ preferred_batch_size: [ 32 ] max_queue_delay_microseconds: 1000 }}
input [ {{ name: "x" data_type: TYPE_FP32 dims: [ {width} ] }} ]
output [ {{ name: "y" data_type: TYPE_FP32 dims: [ -1 ] }} ]
"""
_PLAIN = """\
max_batch_size: 0
input [ {{ name: "x" data_type: TYPE_FP32 dims: [ -1, {width} ] }} ]
output [ {{ name: "y" data_type: TYPE_FP32 dims: [ -1, -1 ] }} ]
"""
_COMMON = """\
name: "{name}"
backend: "python"
instance_group [ {{ count: 1 kind: KIND_CPU }} ]
"""


def command(launch: Launch) -> list[str | Path]:
    """Writes the repository and returns what starts Triton with it.

    Raises:
        SetupError: the wheel lacks the server, or a stub for this Python.
    """
    version = f"python{_VERSION}"
    site = launch.python.parent.parent / "lib" / version / "site-packages"
    bundled = site / "pytriton" / "tritonserver"
    server = bundled / "bin" / "tritonserver"
    if not server.is_file():
        raise SetupError("nvidia-pytriton holds no tritonserver here")
    way = "batched" if launch.batching else "plain"
    folder = tools.WORK / "http" / "triton" / f"{launch.model.name}-{way}"
    repository = _repository(launch, folder / "models")
    backends = _backends(bundled, folder / "backends")
    libraries = [
        site / "nvidia_pytriton.libs",
        Path(sysconfig.get_config_var("LIBDIR") or "."),
    ]
    return [
        "env",
        f"LD_LIBRARY_PATH={os.pathsep.join(map(str, libraries))}",
        f"PYTHONPATH={os.pathsep.join(map(str, (RECIPES, site)))}",
        server,
        "--model-repository", repository,
        "--backend-directory", backends,
        "--http-address", "127.0.0.1",
        "--http-port", str(launch.port),
        "--allow-grpc", "false",
        "--allow-metrics", "false",
        "--log-info", "false",
    ]  # fmt: skip


def _repository(launch: Launch, folder: Path) -> Path:
    model = folder / launch.model.name
    (model / "1").mkdir(parents=True, exist_ok=True)
    shutil.copyfile(RECIPES / "triton_model.py", model / "1" / "model.py")
    form = _COMMON + (_BATCHED if launch.batching else _PLAIN)
    text = form.format(name=launch.model.name, width=launch.model.width, batch=_MAX_BATCH)
    (model / "config.pbtxt").write_text(text, encoding="utf-8")
    return folder


def _backends(bundled: Path, folder: Path) -> Path:
    """A copy of the python backend with the stub of this version of Python in its place."""
    stubs = sorted(bundled.rglob(f"python_backend_stubs/{_VERSION}/triton_python_backend_stub"))
    if not stubs:
        raise SetupError(f"nvidia-pytriton has no stub for Python {_VERSION}")
    target = folder / "python"
    if not target.is_dir():
        shutil.copytree(bundled / "backends" / "python", target)
    shutil.copy2(stubs[0], target / "triton_python_backend_stub")
    return folder
