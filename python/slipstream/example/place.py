"""Where the example is kept: with the state of a server, made when it is missing or another one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from slipstream.api.state_file import write_whole
from slipstream.child_environment import child_environment
from slipstream.engine.runtime import torch_backend_folder
from slipstream.engine.torch_library import EXAMPLE_FILE
from slipstream.errors import ModelLoadError
from slipstream.example.graph import onnx_bytes
from slipstream.models.beside import file_beside
from slipstream.settings import Settings

EXAMPLE_ID = "example"
_FOLDER = "example"
_SIDECAR = b'# A string is a row, too.\n[text]\nrows = "utf-8"\n'
_CHILD_S = 120.0


def graph_file(settings: Settings) -> Path:
    """The example as an ONNX graph.

    Raises:
        UnavailableError: it cannot be written.
    """
    return _kept(settings.state_path / _FOLDER / "example.onnx", onnx_bytes())


def script_file(settings: Settings) -> Path:
    """The same network as TorchScript. Blocks.

    It is what was made with the torch backend, or else made now, in a process of its own, which
    imports torch.

    Raises:
        ModelLoadError: there is no torch that could make it.
        UnavailableError: it cannot be written.
    """
    file = settings.state_path / _FOLDER / EXAMPLE_FILE
    folder = torch_backend_folder()
    if folder is not None and (folder / EXAMPLE_FILE).is_file():
        return _kept(file, (folder / EXAMPLE_FILE).read_bytes())
    write_whole(file_beside(file), _SIDECAR)
    if file.exists():
        return file
    command = [sys.executable, "-m", "slipstream.example.script", str(file)]
    try:
        made = subprocess.run(
            command,
            capture_output=True,
            timeout=_CHILD_S,
            check=False,
            env=child_environment(),
        )
    except subprocess.TimeoutExpired as error:
        raise ModelLoadError(f"example.pt was not made within {_CHILD_S:g} s") from error
    if made.returncode != 0:
        lines = made.stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"]
        raise ModelLoadError(f"example.pt cannot be made: {lines[-1]}")
    return file


def _kept(file: Path, data: bytes) -> Path:
    for path, wanted in ((file, data), (file_beside(file), _SIDECAR)):
        if not path.is_file() or path.read_bytes() != wanted:
            write_whole(path, wanted)
    return file
