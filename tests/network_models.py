"""Networks for the tests of quantizing and tuning: a classifier, a regressor, a convolution."""

from __future__ import annotations

import importlib.resources
import pickle
import warnings
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
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it has not converged, and is good enough
        return MLPClassifier((32,), max_iter=60, random_state=0).fit(pixels[:1200], labels[:1200])


def write_digits(file: Path) -> None:
    """`digits_network` by skl2onnx: outputs ``label`` and ``probabilities``."""
    from skl2onnx import to_onnx

    graph = to_onnx(digits_network(), digits()[0][:1], options={"zipmap": False}, target_opset=17)
    file.write_bytes(graph.SerializeToString())


def write_convolution(file: Path) -> None:
    """Images f32[n, 1, 8, 8] to scores f32[n, 10]: convolutions and a linear layer, by torch."""
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
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as above
        network.fit(data.data * 20, data.target / 100)
    file.write_bytes(pickle.dumps(network))


def regressor_rows(count: int) -> Array:
    """f64[count, 10] of the data that `write_regressor` was trained on."""
    from sklearn.datasets import load_diabetes

    rows: Array = load_diabetes().data[:count] * 20
    return rows


def write_two_inputs(file: Path, scale: float = 1.0) -> None:
    """f32[n, 8] through a matrix of random numbers times ``scale``, plus f32[n, 4]."""
    import onnx
    from onnx import TensorProto
    from onnx.helper import (
        make_graph,
        make_model,
        make_node,
        make_opsetid,
        make_tensor_value_info,
    )
    from onnx.numpy_helper import from_array

    weights = (np.random.default_rng(0).standard_normal((8, 4)) * scale).astype(np.float32)
    floats = TensorProto.FLOAT
    graph = make_graph(
        [make_node("MatMul", ["left", "w"], ["m"]), make_node("Add", ["m", "right"], ["sum"])],
        "two",
        [
            make_tensor_value_info("left", floats, ["n", 8]),
            make_tensor_value_info("right", floats, ["n", 4]),
        ],
        [make_tensor_value_info("sum", floats, ["n", 4])],
        [from_array(weights, "w")],
    )
    onnx.save(make_model(graph, opset_imports=[make_opsetid("", 17)], ir_version=8), file)


def magika() -> Path:
    """A real network that a package carries: i32[b, 2048] to f32[b, 214], file types."""
    file = Path(
        str(importlib.resources.files("magika").joinpath("models", "standard_v3_3", "model.onnx"))
    )
    assert file.is_file()
    return file
