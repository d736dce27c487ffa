"""Networks for the tests of quantizing and tuning: a classifier, a regressor, a convolution."""

from __future__ import annotations

import importlib.resources
import pickle
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@cache
def digits() -> tuple[Array, Array]:
    """f32[1797, 64] pixels from 0 to 1, and labels."""
    from sklearn.datasets import load_digits

    data = load_digits()
    return (data.data / 16).astype(np.float32), data.target


@cache
def digits_network() -> Any:
    """A trained 64→32→10 classifier."""
    from sklearn.neural_network import MLPClassifier

    pixels, labels = digits()
    return MLPClassifier((32,), max_iter=200, random_state=0).fit(pixels[:1200], labels[:1200])


def write_digits(file: Path) -> None:
    """`digits_network` by skl2onnx: outputs ``label`` and ``probabilities``."""
    from skl2onnx import to_onnx

    graph = to_onnx(digits_network(), digits()[0][:1], options={"zipmap": False}, target_opset=17)
    file.write_bytes(graph.SerializeToString())


def write_convolution(file: Path) -> None:
    """Images f32[n, 1, 8, 8] to scores f32[n, 10]: convolutions and a linear layer, by torch."""
    import warnings

    import torch

    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(1, 16, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.Conv2d(16, 16, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.Flatten(),
        torch.nn.Linear(16 * 64, 10),
    ).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter that needs no further package is deprecated
        torch.onnx.export(
            network,
            (torch.zeros(2, 1, 8, 8),),
            str(file),
            input_names=["image"],
            output_names=["scores"],
            dynamic_axes={"image": {0: "n"}, "scores": {0: "n"}},
            dynamo=False,
        )


def write_regressor(file: Path) -> None:
    """A pickled MLP regressor on the diabetes data: slipstream makes a graph of it."""
    from sklearn.datasets import load_diabetes
    from sklearn.neural_network import MLPRegressor

    data = load_diabetes()
    network = MLPRegressor(hidden_layer_sizes=(64, 32), max_iter=400, random_state=0)
    file.write_bytes(pickle.dumps(network.fit(data.data * 20, data.target / 100)))


def regressor_rows(count: int) -> Array:
    """f64[count, 10] of the data that `write_regressor` was trained on."""
    from sklearn.datasets import load_diabetes

    rows: Array = load_diabetes().data[:count] * 20
    return rows


def magika() -> Path:
    """A real network that a package carries: i32[b, 2048] to f32[b, 214], file types."""
    file = Path(
        str(importlib.resources.files("magika").joinpath("models", "standard_v3_3", "model.onnx"))
    )
    assert file.is_file()
    return file
