"""Three small models, really trained, for ``make serve``.

``python -m slipstream.samples DIRECTORY`` makes those that are missing and prints how to ask them.

They come from data sets that ship with scikit-learn and take seconds. Needs the extras
``sklearn`` and ``lightgbm``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt


class Sample(NamedTuple):
    """One sample model: its file in the directory is named after the id."""

    model_id: str
    suffix: str
    what: str
    train: Callable[[Path], None]
    row: Callable[[], npt.NDArray[Any]]
    """One row of the data set to ask about."""


def train_breast_cancer(file: Path) -> None:
    """A scikit-learn pipeline, standard scaling and logistic regression, as a joblib pickle."""
    import joblib
    from sklearn.datasets import load_breast_cancer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    data = load_breast_cancer()
    labels = data.target_names[data.target]
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    joblib.dump(model.fit(data.data, labels), file)


def train_diabetes(file: Path) -> None:
    """A LightGBM regression, in LightGBM's own text format."""
    import lightgbm
    from sklearn.datasets import load_diabetes

    data = load_diabetes()
    model = lightgbm.LGBMRegressor(n_estimators=100, num_leaves=15, verbose=-1, random_state=0)
    model.fit(data.data, data.target)
    model.booster_.save_model(file)


def train_digits(file: Path) -> None:
    """A 64→64→10 network on 8x8 images of digits, as an ONNX graph with two outputs."""
    import onnx
    from sklearn.datasets import load_digits
    from sklearn.neural_network import MLPClassifier

    data = load_digits()
    network = MLPClassifier((64,), max_iter=120, random_state=0, early_stopping=True)
    network.fit(data.data / 16, data.target)
    weights = {
        f"{name}{layer}": values.astype(np.float32)
        for name, group in (("w", network.coefs_), ("b", network.intercepts_))
        for layer, values in enumerate(group)
    }
    weights["w0"] /= 16  # so that clients send the raw pixel values, 0 to 16
    make = onnx.helper
    graph = make.make_graph(
        [
            make.make_node("Gemm", ["image", "w0", "b0"], ["hidden"]),
            make.make_node("Relu", ["hidden"], ["active"]),
            make.make_node("Gemm", ["active", "w1", "b1"], ["scores"]),
            make.make_node("Softmax", ["scores"], ["probabilities"], axis=1),
            make.make_node("ArgMax", ["scores"], ["digit"], axis=1, keepdims=0),
        ],
        "digits",
        [make.make_tensor_value_info("image", onnx.TensorProto.FLOAT, ["rows", 64])],
        [
            make.make_tensor_value_info("digit", onnx.TensorProto.INT64, ["rows"]),
            make.make_tensor_value_info("probabilities", onnx.TensorProto.FLOAT, ["rows", 10]),
        ],
        [onnx.numpy_helper.from_array(values, name) for name, values in weights.items()],
    )
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, file)


def _row(loader: str) -> Callable[[], npt.NDArray[Any]]:
    def first_row() -> npt.NDArray[Any]:
        from sklearn import datasets

        row: npt.NDArray[Any] = getattr(datasets, loader)().data[0]
        return row

    return first_row


SAMPLES = (
    Sample(
        "breast_cancer",
        ".pkl",
        "scikit-learn pipeline: malignant or benign, from 30 measurements",
        train_breast_cancer,
        _row("load_breast_cancer"),
    ),
    Sample(
        "diabetes",
        ".txt",
        "LightGBM regression: progression of the disease, from 10 measurements",
        train_diabetes,
        _row("load_diabetes"),
    ),
    Sample(
        "digits",
        ".onnx",
        "ONNX network: which digit, from the 64 pixels of an image",
        train_digits,
        _row("load_digits"),
    ),
)


def curl_line(sample: Sample, address: str) -> str:
    """A command that asks the sample about one row of its data set."""
    values = (round(float(value), 6) for value in sample.row())
    rows = [[int(value) if value.is_integer() else value for value in values]]
    body: dict[str, Any] = {"model_id": sample.model_id, "data": rows}
    if sample.model_id == "breast_cancer":
        body["return_probabilities"] = True
    return (
        f"curl -s http://{address}/api/inference/predict "
        f"-H 'Content-Type: application/json' -d '{json.dumps(body)}'"
    )


def ensure_samples(directory: Path) -> list[Path]:
    """Trains the samples that are missing; returns their files in order."""
    directory.mkdir(parents=True, exist_ok=True)
    files = []
    for sample in SAMPLES:
        file = directory / f"{sample.model_id}{sample.suffix}"
        if not file.exists():
            print(f"training {file} ({sample.what}) …", file=sys.stderr)
            unfinished = file.with_name(f".{file.name}.part")
            sample.train(unfinished)
            unfinished.rename(file)
        files.append(file)
    return files


def main(arguments: list[str] | None = None) -> int:
    """The command line; prints how to ask each model."""
    parser = argparse.ArgumentParser(prog="python -m slipstream.samples", description=__doc__)
    parser.add_argument("directory", type=Path, help="where the model files go")
    parser.add_argument(
        "--address", default="127.0.0.1:8000", help="of the server, for the lines printed"
    )
    parsed = parser.parse_args(arguments)
    ensure_samples(parsed.directory)
    print("When the server is ready, ask each model:\n")
    for sample in SAMPLES:
        print(f"# {sample.what}\n{curl_line(sample, parsed.address)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
