"""The graph that a plan is built of, with the types that the plan is to compute in.

TensorRT 11 builds strongly typed networks only: every tensor has the type that the graph gives it.
TensorRT 10 can do the same, and has deprecated the flags by which it chose types by itself, and its
calibrators with them. So precision is made in the graph here, for both alike: float16 by rewriting
it, 8 bits by pairs of QuantizeLinear and DequantizeLinear. Runs in the child only.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from slipstream.errors import MissingDependencyError, ModelLoadError
from slipstream.models.tensorrt_table import Precision
from slipstream.quantize.rows import Array, calibration_reader

_CALIBRATION_BATCH = 32
_LARGEST_WHOLE_BYTES = 1 << 30
_FLOAT8 = ("FLOAT8E4M3FN", "FLOAT8E5M2")


def inputs_of(source: Path) -> dict[str, tuple[int, ...]]:
    """Shapes of a graph's inputs by name, -1 for any size.

    Raises:
        MissingDependencyError: onnx is not installed.
    """
    graph = _onnx().load(source, load_external_data=False).graph
    constants = {tensor.name for tensor in graph.initializer}
    return {
        one.name: tuple(
            dim.dim_value if dim.HasField("dim_value") else -1
            for dim in one.type.tensor_type.shape.dim
        )
        for one in graph.input
        if one.name not in constants
    }


def typed_graph(
    source: Path,
    folder: Path,
    precision: Precision,
    calibration: Path | None,
    *,
    is_batchable: bool,
) -> Path:
    """The graph in that precision: itself, or another in ``folder``, an existing one.

    Args:
        source: The ONNX file.
        folder: Receives whatever is written.
        precision: As of `BuildTable`.
        calibration: For int8.
        is_batchable: Whether first dimensions are rows.

    Raises:
        ModelLoadError: it cannot be had in that precision; says what to do.
        MissingDependencyError: a package is not installed.
    """
    if precision == "fp32":
        return source
    if precision == "fp8":
        _require_float8(source)
        return source
    if precision == "fp16":
        return _to_half(source, folder)
    assert calibration is not None, "the table was checked"
    names = list(inputs_of(source))
    reader = calibration_reader(
        names, read_rows(calibration, names), _CALIBRATION_BATCH, is_batchable=is_batchable
    )
    return _to_int8(source, folder / "int8.onnx", reader)


def read_rows(file: Path, names: Sequence[str]) -> list[Array]:
    """Calibration rows, one array for each input.

    Raises:
        ModelLoadError: the file is none of NumPy's, or has not one array for each.
    """
    try:
        with np.load(file, allow_pickle=False) as saved:
            found = set(saved.files)
            keys = list(names) if found >= set(names) else [f"arr_{i}" for i in range(len(names))]
            if not found >= set(keys):
                raise ModelLoadError(
                    f"{file.name} has arrays {sorted(found)}; the model's inputs are {list(names)}"
                )
            return [saved[key] for key in keys]
    except (OSError, ValueError, KeyError) as error:
        raise ModelLoadError(
            f"{file.name} cannot be read as calibration rows (numpy.savez, one array for each of "
            f"{list(names)}): {error}"
        ) from error


def _require_float8(source: Path) -> None:
    onnx = _onnx()
    model = onnx.load(source, load_external_data=False)
    types = {getattr(onnx.TensorProto, name) for name in _FLOAT8}
    stored = {tensor.data_type for tensor in model.graph.initializer}
    for attribute in (attribute for node in model.graph.node for attribute in node.attribute):
        stored.add(attribute.i if attribute.name == "output_dtype" else attribute.t.data_type)
    has_float8 = bool(stored & types)
    if not has_float8:
        raise ModelLoadError(
            "precision 'fp8' needs a graph that was quantized so, with QuantizeLinear to float8: "
            "make one with NVIDIA's ModelOpt (pip install nvidia-modelopt), or choose fp16 or int8"
        )


def _to_half(source: Path, folder: Path) -> Path:
    onnx = _onnx()
    try:
        from onnxruntime.transformers.float16 import convert_float_to_float16
    except ImportError as error:
        raise _needs("onnxruntime") from error
    # Inputs and outputs stay float32: clients go on sending what they send.
    try:
        model = convert_float_to_float16(onnx.load(source), keep_io_types=True)
    except Exception as error:  # the tool raises whatever comes to it
        raise ModelLoadError(f"the graph cannot be had in float16: {_first_line(error)}") from error
    return _saved(model, folder / "half.onnx")


def _to_int8(source: Path, target: Path, reader: Any) -> Path:
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    try:
        quantize_static(
            source,
            target,
            reader,
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            per_channel=False,
            # What TensorRT takes: no zero points, pairs around weights too, and biases in float32.
            extra_options={
                "ActivationSymmetric": True,
                "WeightSymmetric": True,
                "AddQDQPairToWeight": True,
                "QuantizeBias": False,
            },
        )
    except Exception as error:  # the tool raises whatever comes to it
        raise ModelLoadError(f"the graph cannot be had in int8: {_first_line(error)}") from error
    return target


def _saved(model: Any, target: Path) -> Path:
    large = model.ByteSize() > _LARGEST_WHOLE_BYTES
    _onnx().save(model, target, save_as_external_data=large, location="weights.bin")
    return target


def _onnx() -> Any:
    try:
        import onnx
    except ImportError as error:
        raise _needs("onnx") from error
    return onnx


def _needs(package: str) -> MissingDependencyError:
    return MissingDependencyError(
        f"building a TensorRT plan needs the package {package}: "
        "pip install 'slipstream[tensorrt,quantization]'",
        package=package,
    )


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:300] if lines else ''}"
