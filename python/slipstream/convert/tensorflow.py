"""From a TensorFlow network to a proven ONNX graph: in the converter child only."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from slipstream.adapters.base import Array, distribution_version, quiet
from slipstream.adapters.tensorflow import OpenedNetwork, Port, open_network
from slipstream.errors import ModelLoadError
from slipstream.models.manifest import Manifest

KINDS = ("keras", "keras-h5", "tflite", "saved-model")
_GRAPH = "model.onnx"
_TOLERANCE = 1e-5
"""Of an output's largest number (1 at least)."""
_TIMES_ROUNDING = 4.0
_MOST_ROUNDING = 1e-2
_BATCHES = (1, 3, 8)
_OPEN_EXTENT = 16
"""Of dimensions behind the first that may have any size."""
_MOST_PROBE_BYTES = 256 << 20


def build_network(
    source: Path, kind: str, sha256: str, out: Path, say: Callable[[str], None]
) -> Manifest:
    """Convert, prove and write the graph; returns the manifest.

    Raises:
        MissingDependencyError, UnsafeModelError: see `open_network`.
        ModelLoadError: it cannot be converted, or answers otherwise than TensorFlow does.
    """
    with quiet():
        network = open_network(source, kind)
        say("converting (tf2onnx)")
        try:
            graph = network.to_onnx()
        except Exception as error:  # tf2onnx raises what it likes
            raise ModelLoadError(
                f"the {network.what} cannot be converted to ONNX ({type(error).__name__}: "
                f"{str(error)[:300]}): export it to ONNX where it was made"
            ) from error
        _rename(graph, network)
        data = graph.SerializeToString()
        say(_prove(network, data))
    (out / _GRAPH).write_bytes(data)
    return Manifest(
        model_type="tensorflow",
        framework=f"tensorflow {distribution_version('tensorflow', 'tensorflow-cpu')}",
        estimator=network.what,
        backend="onnx",
        artifact=_GRAPH,
        compiled=True,
        source_sha256=sha256,
        task="tensors",
        layout="tensors",
        inputs=(),
        outputs=(),
    )


def _rename(graph: Any, network: OpenedNetwork) -> None:
    """Give the graph's inputs and outputs the names of the signature, and one name to all rows."""
    body = graph.graph
    for ports, values in ((network.inputs, body.input), (network.outputs, body.output)):
        held = {value.name: value for value in values}
        for place, port in enumerate(ports):
            value = held.get(port.tensor) or held.get(f"{port.tensor}:0")
            if value is None and len(values) == len(ports):
                value = values[place]
            if value is None:
                raise ModelLoadError(f"the converted graph has no {port.name!r}")
            _rename_tensor(body, value.name, port.name)
    rows = [value.type.tensor_type.shape.dim for value in (*body.input, *body.output)]
    if all(dims and not dims[0].HasField("dim_value") for dims in rows):
        for dims in rows:
            dims[0].dim_param = "rows"


def _rename_tensor(body: Any, old: str, new: str) -> None:
    if old == new:
        return
    if new in _names(body):  # an inner tensor has that name by chance
        _replace(body, new, f"{new}__inner")
    _replace(body, old, new)


def _names(body: Any) -> set[str]:
    names = {name for node in body.node for name in (*node.input, *node.output)}
    return names | {tensor.name for tensor in body.initializer}


def _replace(body: Any, old: str, new: str) -> None:
    """In a graph and in the bodies of its branches and loops, which may use its tensors."""
    for node in body.node:
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                if name == old:
                    names[place] = new
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                _replace(inner, old, new)
    for value in (*body.input, *body.output, *body.value_info, *body.initializer):
        if value.name == old:
            value.name = new


def _prove(network: OpenedNetwork, data: bytes) -> str:
    """Compare with TensorFlow itself on random inputs; says how many agreed.

    Raises:
        ModelLoadError: the graph answers otherwise, or not at all.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = os.cpu_count() or 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    names = [port.name for port in network.outputs]
    rng = np.random.default_rng(0)
    compared = 0
    for rows in _BATCHES:
        arrays = [_random(port, rows, rng) for port in network.inputs]
        if sum(array.nbytes for array in arrays) > _MOST_PROBE_BYTES:
            break
        expected = network.run(arrays)
        feed = {port.name: array for port, array in zip(network.inputs, arrays, strict=True)}
        found = session.run(names, feed)
        rounding = _moved(network, arrays, expected, rng)
        _compare(names, found, expected, rounding, rows)
        compared += rows
    return f"{compared} probe rows agree"


def _moved(
    network: OpenedNetwork, arrays: list[Array], expected: list[Array], rng: np.random.Generator
) -> list[float]:
    """How far TensorFlow's own answers move when the inputs are off by a rounding of float32.

    Two right computations of a network differ by about that much, and a network that takes
    logarithms or normalises can make a thousand roundings of one.
    """
    nudged = [
        (array * (1 + rng.choice([-1.0, 1.0], array.shape) * 2.0**-24)).astype(array.dtype)
        if array.dtype.kind == "f"
        else array
        for array in arrays
    ]
    again = network.run(nudged)
    return [
        float(np.nanmax(np.abs(a.astype(np.float64) - b.astype(np.float64)), initial=0.0))
        if a.dtype.kind == "f" and a.shape == b.shape
        else 0.0
        for a, b in zip(expected, again, strict=True)
    ]


def _random(port: Port, rows: int, rng: np.random.Generator) -> Array:
    if port.shape is None:
        raise ModelLoadError(f"input {port.name!r} has no rank: export the model with one")
    shape = [rows if place == 0 else _OPEN_EXTENT for place in range(len(port.shape))]
    for place, extent in enumerate(port.shape):
        shape[place] = shape[place] if extent is None else extent
    kind = np.dtype(port.dtype) if port.dtype != "string" else None
    if kind is None or kind.kind not in "fiub":
        raise ModelLoadError(f"input {port.name!r} is of {port.dtype}, which has no probe values")
    if kind.kind == "f":
        return rng.normal(size=shape).astype(kind)
    if kind.kind == "b":
        return rng.random(shape) > 0.5
    return rng.integers(0, 2, size=shape).astype(kind)


def _compare(
    names: Sequence[str],
    found: Sequence[Array],
    expected: Sequence[Array],
    rounding: Sequence[float],
    rows: int,
) -> None:
    for name, here, there, moved in zip(names, found, expected, rounding, strict=True):
        if here.shape != there.shape or here.dtype.kind != there.dtype.kind:
            raise ModelLoadError(
                f"converted to ONNX, output {name!r} is {here.dtype}{list(here.shape)} instead of "
                f"TensorFlow's {there.dtype}{list(there.shape)} for {rows} rows"
            )
        if here.dtype.kind != "f":
            if not np.array_equal(here, there):
                raise ModelLoadError(f"converted to ONNX, output {name!r} has other values")
            continue
        scale = max(1.0, float(np.nanmax(np.abs(there), initial=0.0)))
        off = np.abs(here.astype(np.float64) - there.astype(np.float64))
        same = (here == there) | (np.isnan(here) & np.isnan(there))
        allowed = _TOLERANCE * scale + min(_TIMES_ROUNDING * moved, _MOST_ROUNDING * scale)
        if not (same | (off <= allowed)).all():
            raise ModelLoadError(
                f"converted to ONNX, output {name!r} differs from TensorFlow's by up to "
                f"{float(np.nanmax(off)):.2g} (allowed: {allowed:.2g}): export the "
                "model to ONNX where it was made"
            )
