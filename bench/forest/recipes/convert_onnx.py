"""Converts a model to ONNX with the public converters. Runs in their environment.

Usage: convert_onnx.py LIBRARY MODEL OUT.onnx
where LIBRARY is lightgbm, xgboost, hist or forest, as in `bench.forest.cases`.
"""

from __future__ import annotations

import sys
import warnings
from typing import Any

import joblib
import onnx.helper

OPSET = 15


def accept_booleans() -> None:
    """skl2onnx hands booleans to an integer attribute, which onnx refuses since protobuf 4."""
    make_attribute = onnx.helper.make_attribute

    def make(key: str, value: Any, *rest: Any, **options: Any) -> Any:
        if isinstance(value, list) and any(isinstance(item, bool) for item in value):
            value = [int(item) for item in value]
        return make_attribute(key, value, *rest, **options)

    onnx.helper.make_attribute = make


def convert(library: str, model: Any) -> Any:
    width = model.n_features_in_
    if library in ("hist", "forest"):
        accept_booleans()
        import skl2onnx
        from skl2onnx.common.data_types import FloatTensorType

        return skl2onnx.convert_sklearn(
            model,
            initial_types=[("x", FloatTensorType([None, width]))],
            options={id(model): {"zipmap": False}},
            target_opset={"": OPSET, "ai.onnx.ml": 3},
        )
    import onnxmltools
    from onnxmltools.convert.common.data_types import FloatTensorType

    shape = [("x", FloatTensorType([None, width]))]
    if library == "xgboost":
        return onnxmltools.convert_xgboost(model, initial_types=shape, target_opset=OPSET)
    return onnxmltools.convert_lightgbm(
        model, initial_types=shape, target_opset=OPSET, zipmap=False
    )


def main(library: str, model: str, out: str) -> None:
    warnings.simplefilter("ignore")
    graph = convert(library, joblib.load(model))
    with open(out, "wb") as stream:
        stream.write(graph.SerializeToString())


if __name__ == "__main__":
    main(*sys.argv[1:])
