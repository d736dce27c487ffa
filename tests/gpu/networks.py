"""Networks for GPUs as files of every kind, and what torch on the processor answers."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from torch_models import cnn, mlp, save_script

Array = npt.NDArray[Any]
OPSET = 17
_making = threading.Lock()
_made: dict[str, torch.nn.Module] = {}
"""By name."""


@dataclass(frozen=True)
class Network:
    """One network with one input, whose first dimension is rows."""

    name: str
    module: Callable[[], torch.nn.Module]
    """Makes it, by the random numbers of the process: one thread at a time."""
    shapes: tuple[tuple[int, ...], ...]
    """Of rows that it takes."""
    sizes: Mapping[int, str]
    """Axes beside the first that may have any size."""

    def rows(self, count: int, shape: tuple[int, ...] | None = None) -> Array:
        """Random rows of that shape, or of its first."""
        shape = self.shapes[0] if shape is None else shape
        return np.random.default_rng(count).normal(size=(count, *shape)).astype(np.float32)

    def right(self, rows: Array) -> Array:
        """What plain torch answers on the processor. From any thread."""
        with torch.inference_mode():
            answer: Array = self._made()(torch.from_numpy(rows)).numpy()
        return answer

    def _made(self) -> torch.nn.Module:
        with _making:
            if self.name not in _made:
                _made[self.name] = self.module()
            return _made[self.name]


MLP = Network("mlp", mlp, ((16,),), {})
CNN = Network("cnn", cnn, ((3, 32, 32), (3, 48, 20), (3, 17, 31)), {2: "height", 3: "width"})
EVERY = (MLP, CNN)


class Hungry(torch.nn.Module):
    """Takes memory with the cube of a row's length: a long one is more than any GPU has."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        length = x.shape[1]
        return x * 2 + x.new_zeros(length, length, 64).sum()


LITTLE, MUCH = 8, 150_000
HUNGRY = Network("hungry", Hungry, ((LITTLE,),), {1: "length"})


def write_script(network: Network, folder: Path) -> Path:
    """TorchScript."""
    shape = ['"any"' if i in network.sizes else str(size)
             for i, size in enumerate(network.shapes[0], 1)]  # fmt: skip
    beside = f'[inputs.{_input(network)}]\nshape = ["rows", {", ".join(shape)}]\n'
    return save_script(network.module(), folder / f"{network.name}.pt", beside)


def _input(network: Network) -> str:
    """How forward() calls it."""
    return "input" if isinstance(network.module(), torch.nn.Sequential) else "x"


def write_onnx(network: Network, folder: Path) -> Path:
    """ONNX, by the exporter that needs nothing but torch and onnx."""
    file = folder / f"{network.name}.onnx"
    axes = {"x": {0: "rows", **network.sizes}, "y": {0: "rows"}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network.module(), (torch.from_numpy(network.rows(2)),), str(file), dynamo=False,
            input_names=["x"], output_names=["y"], opset_version=OPSET, dynamic_axes=axes,
        )  # fmt: skip
    return file


def write_package(network: Network, folder: Path, device: str) -> Path:
    """Machine code of AOTInductor for that device, with what it takes beside it."""
    rows = torch.export.Dim("rows", min=1, max=64)
    example = torch.from_numpy(network.rows(2)).to(device)
    module = network.module().to(device)
    with torch.no_grad():
        exported = torch.export.export(module, (example,), dynamic_shapes=({0: rows},))
        package: Any = torch._inductor.aoti_compile_and_package
        file = Path(package(exported, package_path=str(folder / f"{network.name}.pt2")))
    dims = ", ".join(map(str, network.shapes[0]))
    name = next(iter(exported.graph_signature.user_inputs))
    file.with_name(f"{file.name}.toml").write_text(f'[inputs.{name}]\nshape = ["rows", {dims}]\n')
    return file
