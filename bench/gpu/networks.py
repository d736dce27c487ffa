"""The networks that are measured: random weights, always the same, built of plain ``torch.nn``.

A small and a wide stack of layers in float32; a ResNet-50 and an encoder of twelve layers in
float16. Of the last two there are tiny ones, which only show that everything runs.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

Array = npt.NDArray[Any]
Tensor = torch.Tensor
_WORDS = 30_000
_TOML = '[inputs.x]\ndtype = "{dtype}"\nshape = ["rows", {dims}]\n'


@dataclass(frozen=True)
class Network:
    """One of them.

    Attributes:
        name: Of its files, and in scenarios.
        title: For tables.
        dims: Of a row.
        dtype: Of the input; answers are float32.
        module: Makes it, on the processor.
        apart: How far an answer may be from another one: of the largest value that is right.
        request_rows: Rows of a request where many are under way.
    """

    name: str
    title: str
    dims: tuple[int, ...]
    dtype: str
    module: Callable[[], nn.Module]
    apart: float
    request_rows: int = 1

    def rows(self, count: int, seed: int = 0) -> Array:
        """Rows that nothing was trained on."""
        rng = np.random.default_rng(seed)
        if self.dtype == "int64":
            return rng.integers(0, _WORDS, (count, *self.dims), dtype=np.int64)
        return rng.normal(size=(count, *self.dims)).astype(self.dtype)

    def script(self, folder: Path) -> Path:
        """Its TorchScript file, with what the input is beside it."""
        file = folder / f"{self.name}.pt"
        if not file.is_file():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                scripted: Any = torch.jit.script(self.module())
                scripted.save(str(file))
            dims = ", ".join(map(str, self.dims))
            file.with_name(f"{file.name}.toml").write_text(
                _TOML.format(dtype=self.dtype, dims=dims)
            )
        return file

    def onnx(self, folder: Path) -> Path:
        """The same network as ONNX, its first dimension any number of rows."""
        file = folder / f"{self.name}.onnx"
        if not file.is_file():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                torch.onnx.export(
                    self.module(), (torch.from_numpy(self.rows(2)),), str(file), dynamo=False,
                    input_names=["x"], output_names=["y"], opset_version=17,
                    dynamic_axes={"x": {0: "rows"}, "y": {0: "rows"}},
                )  # fmt: skip
        return file


def expected(network: Network, rows: Array, device: str = "cpu") -> Array:
    """What torch itself answers."""
    with torch.inference_mode():
        module = network.module().to(device)
        answer: Array = module(torch.from_numpy(rows).to(device)).cpu().numpy()
    return answer


class _Dense(nn.Module):
    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for taken, given in pairwise(widths):
            layers += [nn.Linear(taken, given), nn.ReLU()]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, x: Tensor) -> Tensor:
        return torch.softmax(self.layers(x), 1)


def dense(*widths: int) -> nn.Module:
    """Layers of these widths, ending in probabilities."""
    torch.manual_seed(len(widths))
    return _Dense(widths).eval()


class _Bottleneck(nn.Module):
    """Three convolutions around which the input goes as it is, or projected."""

    def __init__(self, taken: int, width: int, stride: int) -> None:
        super().__init__()
        given = 4 * width
        self.path = nn.Sequential(
            *_convolution(taken, width, 1, 1), nn.ReLU(inplace=True),
            *_convolution(width, width, 3, stride), nn.ReLU(inplace=True),
            *_convolution(width, given, 1, 1),
        )  # fmt: skip
        self.around = (
            nn.Sequential(*_convolution(taken, given, 1, stride))
            if stride != 1 or taken != given
            else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.path(x) + self.around(x))


def _convolution(taken: int, given: int, size: int, stride: int) -> tuple[nn.Module, nn.Module]:
    return (
        nn.Conv2d(taken, given, size, stride, size // 2, bias=False),
        nn.BatchNorm2d(given),
    )


class _Convolutions(nn.Module):
    """ResNet, as its paper has it."""

    def __init__(self, width: int, blocks: tuple[int, ...], classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            *_convolution(3, width, 7, 2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1),
        ]  # fmt: skip
        taken = width
        for stage, count in enumerate(blocks):
            for block in range(count):
                stride = 2 if stage and not block else 1
                layers.append(_Bottleneck(taken, width << stage, stride))
                taken = 4 * (width << stage)
        self.layers = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.classes = nn.Linear(taken, classes)

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.classes(self.layers(x)).float()
        return answer


def convolutions(width: int, blocks: tuple[int, ...], classes: int) -> nn.Module:
    """A ResNet in float16: 64, (3, 4, 6, 3) and 1000 are ResNet-50."""
    torch.manual_seed(3)
    made = _Convolutions(width, blocks, classes)
    # As nothing was trained, and nothing is normalized: so that answers depend on what is asked.
    for module in made.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
        if isinstance(module, _Bottleneck):
            last: Any = module.path[-1]
            nn.init.constant_(last.weight, 0.3)
    return made.half().eval()


class _EncoderLayer(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.first = nn.LayerNorm(width)
        self.second = nn.LayerNorm(width)
        self.forth = nn.Linear(width, 4 * width)
        self.back = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        rows, length, width = x.shape
        parts = self.qkv(x).view(rows, length, 3, self.heads, width // self.heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4).unbind(0)
        seen = nn.functional.scaled_dot_product_attention(q, k, v)
        x = self.first(x + self.out(seen.transpose(1, 2).reshape(rows, length, width)))
        answer: Tensor = self.second(x + self.back(nn.functional.gelu(self.forth(x))))
        return answer


class _Encoder(nn.Module):
    """Numbers of words to two numbers, from where the first word is."""

    def __init__(self, layers: int, width: int, heads: int, length: int) -> None:
        super().__init__()
        self.words = nn.Embedding(_WORDS, width)
        self.places = nn.Parameter(torch.randn(1, length, width) * 0.02)
        self.layers = nn.Sequential(*(_EncoderLayer(width, heads) for _ in range(layers)))
        self.out = nn.Linear(width, 2)

    def forward(self, x: Tensor) -> Tensor:
        encoded = self.layers(self.words(x) + self.places)
        answer: Tensor = self.out(encoded[:, 0]).float()
        return answer


def encoder(layers: int, width: int, heads: int, length: int) -> nn.Module:
    """An encoder in float16: 12, 768, 12 and 128 are the base size of BERT."""
    torch.manual_seed(4)
    return _Encoder(layers, width, heads, length).half().eval()


SMALL = Network(
    "small", "16→64→3", (16,), "float32", lambda: dense(16, 64, 3), 1e-4, request_rows=64
)
WIDE = Network(
    *("wide", "512→1024→1024→10", (512,), "float32"),
    lambda: dense(512, 1024, 1024, 10), 1e-3, request_rows=16,
)  # fmt: skip
CONVOLUTIONS = Network(
    *("convolutions", "ResNet-50, float16", (3, 224, 224), "float16"),
    lambda: convolutions(64, (3, 4, 6, 3), 1000), 0.05,
)  # fmt: skip
ENCODER = Network(
    *("encoder", "encoder of 12 layers, float16", (128,), "int64"),
    lambda: encoder(12, 768, 12, 128), 0.05,
)  # fmt: skip
NETWORKS = (SMALL, WIDE, CONVOLUTIONS, ENCODER)
TINY = (
    SMALL,
    Network(
        "convolutions", "tiny", (3, 32, 32), "float16", lambda: convolutions(8, (1, 1), 10), 0.05
    ),
    Network("encoder", "tiny", (16,), "int64", lambda: encoder(2, 32, 2, 16), 0.05),
)
"""For whoever only wants to see that it runs."""
