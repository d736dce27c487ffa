"""From files of torch to artifacts of the torch backend, by kind: in the converter child only."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from slipstream.convert.torch_export import build_program
from slipstream.convert.torch_package import build_package
from slipstream.convert.torch_pickle import build_pickle
from slipstream.convert.torch_script import build_script
from slipstream.convert.torch_told import Told
from slipstream.models.manifest import Manifest

KINDS: dict[str, Callable[[Path, str, Told, Path, Callable[[str], None]], Manifest]] = {
    "torchscript": build_script,
    "torch-export": build_program,
    "torch-package": build_package,
    "torch-save": build_pickle,
}
"""Kind of file (`slipstream.models.containers`) → ``build(source, sha256, told, out, say)``."""
