"""skl2onnx for the estimators that `slipstream.convert.onnx_sklearn` has no rule for."""

from __future__ import annotations

import logging
from typing import Any, Literal

from slipstream.adapters.base import Served, quiet
from slipstream.adapters.trees import UnconvertibleError
from slipstream.convert.onnx_graph import INPUT, PREDICTIONS, PROBABILITIES
from slipstream.errors import MissingDependencyError

_TARGET = {"": 18, "ai.onnx.ml": 3}
_NAMES = (PREDICTIONS, PROBABILITIES)


def convert(served: Served, precision: Literal["float64", "float32"]) -> bytes:
    """A serialized graph: ``predictions`` (class positions for a classifier), ``probabilities``.

    Raises:
        UnconvertibleError: skl2onnx cannot convert it; the text is its reason.
        MissingDependencyError: skl2onnx is not installed.
    """
    try:
        import skl2onnx
        from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType
    except ImportError as error:
        raise MissingDependencyError(
            f"compiling this model needs the package skl2onnx ({error}): "
            "pip install 'slipstream[sklearn]'"
        ) from error
    logging.getLogger("skl2onnx").setLevel(logging.ERROR)
    kind = DoubleTensorType if precision == "float64" else FloatTensorType

    def attempt(**options: bool) -> Any:
        return skl2onnx.convert_sklearn(
            served.estimator,
            initial_types=[(INPUT, kind([None, served.width]))],
            options={id(served.estimator): options} if options else None,
            target_opset=_TARGET,
        )

    try:
        if served.task != "classification":
            model = attempt()
        else:
            try:
                model = attempt(zipmap=False, nocl=True)
            except RuntimeError:  # some converters lack "nocl": labels then come as they are
                model = attempt(zipmap=False)
    except Exception as error:  # it raises nearly every type, also AttributeError and KeyError
        text = " ".join(str(error).split())[:160]
        raise UnconvertibleError(
            f"skl2onnx cannot convert it ({type(error).__name__}: {text})"
        ) from None
    if served.task == "classification":
        _classifier_outputs(model, served)
    else:
        _regressor_output(model, served)
    data: bytes = model.SerializeToString()
    return data


def _rename(model: Any, new_names: dict[str, str]) -> None:
    for node in model.graph.node:
        for values in (node.input, node.output):
            for place, value in enumerate(values):
                values[place] = new_names.get(value, value)
    for out in model.graph.output:
        out.name = new_names.get(out.name, out.name)


def _classifier_outputs(model: Any, served: Served) -> None:
    """Name the outputs as the manifest does, and make labels class positions."""
    import onnx

    outputs = list(model.graph.output)
    if served.predict_proba is None:
        del model.graph.output[1:]
    elif len(outputs) < 2:
        raise UnconvertibleError("skl2onnx gives no probabilities")
    _rename(model, {out.name: name for out, name in zip(outputs, _NAMES, strict=False)})
    label = model.graph.output[0]
    classes = served.classes[0]
    is_text = label.type.tensor_type.elem_type == onnx.TensorProto.STRING
    if not is_text and classes.dtype.kind not in "iu":
        return
    if not is_text and classes.tolist() == list(range(len(classes))):
        return
    if not is_text and _gives_positions(model):
        return
    keys = [str(v) for v in classes.tolist()] if is_text else [int(v) for v in classes.tolist()]
    _rename(model, {PREDICTIONS: "label_as_trained"})
    attributes: dict[str, Any] = {
        "values_int64s": list(range(len(keys))),
        "keys_strings" if is_text else "keys_int64s": keys,
    }
    encoder = onnx.helper.make_node(
        "LabelEncoder", ["label_as_trained"], [PREDICTIONS], domain="ai.onnx.ml", **attributes
    )
    model.graph.node.append(encoder)
    label.name = PREDICTIONS
    label.type.tensor_type.elem_type = onnx.TensorProto.INT64


def _gives_positions(model: Any) -> bool:
    """Whether "nocl" was honoured: the graph then holds no labels but 0, 1, 2 and so on."""
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.name == "classlabels_ints":
                return list(attribute.ints) == list(range(len(attribute.ints)))
    return False


def _regressor_output(model: Any, served: Served) -> None:
    """One output ``predictions``, flat where the original's is."""
    import numpy as np
    import onnx

    _rename(model, {model.graph.output[0].name: PREDICTIONS})
    del model.graph.output[1:]
    with quiet():
        answer = served.predict(served.rows([np.zeros((1, served.width or 0))]))
    if answer.ndim != 1:
        return
    _rename(model, {PREDICTIONS: "answer_as_converted"})
    shape = onnx.numpy_helper.from_array(np.array([-1], dtype=np.int64), "flat_shape")
    model.graph.initializer.append(shape)
    model.graph.node.append(
        onnx.helper.make_node("Reshape", ["answer_as_converted", "flat_shape"], [PREDICTIONS])
    )
    out = model.graph.output[0]
    kind = out.type.tensor_type.elem_type
    out.CopyFrom(onnx.helper.make_tensor_value_info(PREDICTIONS, kind, [None]))
