"""TensorFlow: Keras files, TFLite files and SavedModels behind one face.

Only in the converter child: whatever is opened here ends as an ONNX graph (`slipstream.convert`).
"""

from __future__ import annotations

import json
import logging
import os
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from slipstream.adapters.base import Array, missing_package
from slipstream.errors import MissingDependencyError, ModelLoadError, UnsafeModelError

OPSET = 18


@dataclass(frozen=True)
class Port:
    """One input or output.

    Attributes:
        name: As the model's signature has it.
        dtype: NumPy's name of it.
        shape: None is a dimension of any size; None as a whole: unknown.
        tensor: What the converted graph calls it.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...] | None
    tensor: str


@dataclass(frozen=True)
class OpenedNetwork:
    """A network that TensorFlow can run and tf2onnx can convert.

    Attributes:
        what: For messages: "Keras model".
        inputs: In the order of `run`.
        outputs: In the order of the answers.
        run: Arrays to arrays, by TensorFlow.
        to_onnx: The converted graph, an ``onnx.ModelProto``.
    """

    what: str
    inputs: list[Port]
    outputs: list[Port]
    run: Callable[[list[Array]], list[Array]]
    to_onnx: Callable[[], Any]


def open_network(path: Path, kind: str) -> OpenedNetwork:
    """Open a file for conversion.

    Args:
        path: The file; of a SavedModel its ``saved_model.pb``, with ``variables`` beside it.
        kind: ``keras``, ``keras-h5``, ``tflite`` or ``saved-model``.

    Raises:
        MissingDependencyError: TensorFlow or tf2onnx is not installed.
        UnsafeModelError: it would run code, or touch files.
        ModelLoadError: TensorFlow cannot open it.
    """
    tf = import_tensorflow()
    try:
        if kind == "tflite":
            return _open_tflite(tf, path)
        if kind == "saved-model":
            from slipstream.adapters.tensorflow_saved import open_saved_model

            return open_saved_model(tf, path)
        return _open_keras(tf, path, ".keras" if kind == "keras" else ".h5")
    except (ModelLoadError, MissingDependencyError):
        raise
    except Exception as error:  # the library may raise anything on a foreign file
        raise ModelLoadError(
            f"TensorFlow cannot open it ({type(error).__name__}: {str(error)[:300]})"
        ) from error


def import_tensorflow() -> Any:
    """TensorFlow on the CPU, quiet, and computing in the order that the model says.

    Raises:
        MissingDependencyError: it, or tf2onnx, is not installed.
    """
    os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="", TF_ENABLE_ONEDNN_OPTS="0")
    try:
        import tensorflow
        import tf2onnx
    except ImportError as error:
        raise missing_package("TensorFlow and tf2onnx", "tensorflow", error) from error
    tf2onnx.logging.set_level(logging.ERROR)
    return tensorflow


def _open_keras(tf: Any, path: Path, ending: str) -> OpenedNetwork:
    named = path.with_name(path.name + ending)  # Keras tells its formats apart by their endings
    os.link(path, named)
    _refuse_lambdas(named, ending)
    try:
        model = tf.keras.models.load_model(named, compile=False, safe_mode=True)
    except ValueError as error:
        if "lambda" in str(error).lower() or "safe_mode" in str(error):
            raise UnsafeModelError(_CODE) from error
        raise
    names_in = [str(tensor.name) for tensor in model.inputs]
    names_out = [f"output_{place}" for place in range(len(model.outputs))]
    told = [str(name) for name in getattr(model, "output_names", ())]
    if len(set(told)) == len(model.outputs) > 1:
        names_out = told
    signature = [
        tf.TensorSpec(tensor.shape, tensor.dtype, name=f"in_{place}")
        for place, tensor in enumerate(model.inputs)
    ]

    @tf.function(input_signature=signature)  # type: ignore[untyped-decorator]
    def call(*tensors: Any) -> dict[str, Any]:
        answer = model(list(tensors) if len(tensors) > 1 else tensors[0], training=False)
        flat = tf.nest.flatten(answer)
        return {f"out_{place}": tf.identity(tensor) for place, tensor in enumerate(flat)}

    def run(arrays: list[Array]) -> list[Array]:
        answers = call(*[tf.constant(array) for array in arrays])
        return [answers[f"out_{place}"].numpy() for place in range(len(names_out))]

    def to_onnx() -> Any:
        import tf2onnx

        converted, _ = tf2onnx.convert.from_function(call, input_signature=signature, opset=OPSET)
        return converted

    concrete = call.get_concrete_function()
    outputs = concrete.structured_outputs
    return OpenedNetwork(
        what="Keras model",
        inputs=[
            _port(name, spec, f"in_{place}")
            for place, (name, spec) in enumerate(zip(names_in, signature, strict=True))
        ],
        outputs=[
            _port(name, outputs[f"out_{place}"], f"out_{place}")
            for place, name in enumerate(names_out)
        ],
        run=run,
        to_onnx=to_onnx,
    )


_CODE = (
    "the Keras model holds Python code (a Lambda layer), which would run when it is opened: export "
    "it to ONNX where it was made, or use layers without code"
)


def _refuse_lambdas(path: Path, ending: str) -> None:
    """Refuse layers that carry Python code, whatever the version of Keras makes of them."""
    if ending == ".keras":
        with zipfile.ZipFile(path) as archive:
            config = archive.read("config.json")
    else:
        import h5py

        with h5py.File(path, "r") as file:
            if "model_config" not in file.attrs:
                raise ModelLoadError(
                    "the HDF5 file holds no Keras model: if these are weights alone, save the "
                    "whole model with model.save()"
                )
            value = file.attrs["model_config"]
            config = value.encode() if isinstance(value, str) else bytes(value)
    if _has_lambda(json.loads(config)):
        raise UnsafeModelError(_CODE)


def _has_lambda(value: Any) -> bool:
    if isinstance(value, dict):
        if value.get("class_name") in ("Lambda", "__lambda__"):
            return True
        return any(_has_lambda(part) for part in value.values())
    return isinstance(value, list) and any(_has_lambda(part) for part in value)


def _open_tflite(tf: Any, path: Path) -> OpenedNetwork:
    interpreter = tf.lite.Interpreter(model_path=str(path))
    signatures = interpreter.get_signature_list()
    if signatures:
        key = "serving_default" if "serving_default" in signatures else next(iter(signatures))
        runner = interpreter.get_signature_runner(key)
        inputs = [_lite_port(n, d) for n, d in runner.get_input_details().items()]
        outputs = [_lite_port(n, d) for n, d in runner.get_output_details().items()]

        def run(arrays: list[Array]) -> list[Array]:
            answers = runner(
                **{port.name: array for port, array in zip(inputs, arrays, strict=True)}
            )
            return [np.array(answers[port.name]) for port in outputs]

    else:
        inputs = [_lite_port(d["name"], d) for d in interpreter.get_input_details()]
        outputs = [_lite_port(d["name"], d) for d in interpreter.get_output_details()]

        def run(arrays: list[Array]) -> list[Array]:
            details = interpreter.get_input_details()
            for detail, array in zip(details, arrays, strict=True):
                interpreter.resize_tensor_input(detail["index"], array.shape)
            interpreter.allocate_tensors()
            for detail, array in zip(details, arrays, strict=True):
                interpreter.set_tensor(detail["index"], array)
            interpreter.invoke()
            return [
                np.array(interpreter.get_tensor(detail["index"]))
                for detail in interpreter.get_output_details()
            ]

    def to_onnx() -> Any:
        import tf2onnx

        converted, _ = tf2onnx.convert.from_tflite(str(path), opset=OPSET)
        return converted

    return OpenedNetwork(
        what="TFLite model", inputs=inputs, outputs=outputs, run=run, to_onnx=to_onnx
    )


def _lite_port(name: str, detail: Any) -> Port:
    shape = tuple(None if extent < 0 else int(extent) for extent in detail["shape_signature"])
    return Port(name, np.dtype(detail["dtype"]).name, shape, str(detail["name"]))


def _port(name: str, spec: Any, tensor: str) -> Port:
    shape = None if spec.shape.rank is None else tuple(spec.shape.as_list())
    return Port(name, str(spec.dtype.name), shape, tensor)
