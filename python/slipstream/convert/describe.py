"""The manifest of an opened model: what it takes and gives, as the model itself shows it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import msgspec
import numpy as np

from slipstream.adapters.base import Array, Served, quiet
from slipstream.convert import probe, proof
from slipstream.convert.onnx_graph import INPUT, PREDICTIONS, PROBABILITIES
from slipstream.errors import ModelLoadError
from slipstream.models.manifest import Manifest, Tensor

_NUMPY_TYPES = {"tensor(float)": "float32", "tensor(double)": "float64", "tensor(int64)": "int64"}
_CUSTOM_WIDTHS = range(1, 17)
GRAPH = "model.onnx"
"""The artifact of the onnx backend."""


class Compiled(msgspec.Struct, kw_only=True, frozen=True):
    """A proven conversion: which backend runs it, and its tensors."""

    backend: Literal["onnx", "forest"]
    artifact: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    indexed: bool = True
    """Whether a classifier of one target answers positions in its classes."""
    accepts_missing: bool | None = None
    """Whether some column may hold NaN, where the artifact itself refuses the others; None: it
    refuses nothing, so that all may or none."""


class Facts(msgspec.Struct, kw_only=True):
    """What a few calls of the original tell about its answers."""

    predictions: Array | None = None
    probabilities: tuple[Array, ...] = ()
    accepts_missing: bool = False
    warmup_rows: tuple[tuple[bool | float | str | None, ...], ...] = ()


def learn(served: Served) -> Facts:
    """Call the original on a few rows to learn the dtype and shape of its answers."""
    last: Exception | None = None
    for inputs in _samples(served):
        try:
            with quiet():
                rows = served.rows(inputs)
                predictions = served.predict(rows)
                probabilities: tuple[Array, ...] = ()
                if served.predict_proba is not None:
                    probabilities = tuple(served.predict_proba(rows))
        except Exception as error:  # the estimator may raise anything
            last = error
            continue
        return Facts(
            predictions=predictions,
            probabilities=probabilities,
            accepts_missing=served.library != "custom" and proof.accepts_missing(served, inputs),
        )
    if served.library == "custom":
        return Facts()
    raise ModelLoadError(
        f"the model opens but does not answer ({type(last).__name__}: {str(last)[:300]})"
    ) from last


def _samples(served: Served) -> Iterator[list[Array]]:
    if served.layout == "columns":
        yield probe.table_for(served)
    elif served.library == "custom":
        widths = [served.width] if served.width is not None else _CUSTOM_WIDTHS
        for width in widths:
            yield [np.zeros((3, width))]
    elif served.width is not None:
        yield [probe.rows_for(served)[:16]]
    else:
        yield [np.zeros((3, 1))]


def dtype_name(dtype: Any) -> str:
    """NumPy's spelling for manifests: "int64", "float32", "<U6", "object"."""
    kind = np.dtype(dtype)
    return str(kind.str if kind.kind in "US" else kind.name)


def _wire_dtype(values: Array) -> str:
    """The tensor dtype that carries ``values``; "" for objects that are not all text."""
    kind = values.dtype.kind
    if kind in "US":
        return "string"
    if kind == "O":
        return "string" if all(isinstance(v, str) for v in values.reshape(-1).tolist()) else ""
    return values.dtype.name


def describe(
    served: Served, facts: Facts, model_type: str, sha256: str, compiled: Compiled | None
) -> Manifest:
    """The manifest, as yet without options and reason.

    Args:
        served: The opened model.
        facts: What it showed (see `learn`).
        model_type: The documented type, echoed.
        sha256: Of the source file.
        compiled: The proven conversion; None if the model runs as it is.
    """
    classes = served.classes[0] if len(served.classes) == 1 else None
    if compiled is not None:
        indexed = compiled.indexed and classes is not None
        inputs, outputs = compiled.inputs, compiled.outputs
    else:
        inputs = _input_tensors(served)
        outputs, indexed = _output_tensors(served, facts)
    predicted = facts.predictions
    tail = () if predicted is None else tuple(int(extent) for extent in predicted.shape[1:])
    return Manifest(
        model_type=model_type,
        framework=served.framework,
        estimator=served.estimator_name,
        backend="process" if compiled is None else compiled.backend,
        artifact="model.bin" if compiled is None else compiled.artifact,
        compiled=compiled is not None,
        source_sha256=sha256,
        task=served.task,
        layout=served.layout,
        inputs=inputs,
        outputs=outputs,
        columns=served.columns,
        predictions=PREDICTIONS,
        probabilities=tuple(t.name for t in outputs if t.name.startswith(PROBABILITIES)),
        label_encoding="index" if indexed else "value",
        classes=None if classes is None else tuple(_plain(v) for v in classes.tolist()),
        classes_dtype=None if classes is None else dtype_name(classes.dtype),
        predictions_dtype=None if predicted is None else dtype_name(predicted.dtype),
        predictions_shape=tail,
        warmup_rows=facts.warmup_rows,
        probabilities_dtype=dtype_name(facts.probabilities[0].dtype)
        if facts.probabilities
        else None,
        accepts_missing=facts.accepts_missing
        if compiled is None or compiled.accepts_missing is None
        else compiled.accepts_missing,
    )


def _plain(value: Any) -> str | bool | int | float:
    return value if isinstance(value, (str, bool, int, float)) else str(value)


def of_graph(session: Any) -> Compiled:
    """The tensors of a graph in an onnxruntime session."""

    def tensors(values: Any) -> tuple[Tensor, ...]:
        return tuple(
            Tensor(
                name=value.name,
                dtype=_NUMPY_TYPES[value.type],
                shape=(None, *(int(e) if isinstance(e, int) else None for e in value.shape[1:])),
            )
            for value in values
        )

    return Compiled(
        backend="onnx",
        artifact=GRAPH,
        inputs=tensors(session.get_inputs()),
        outputs=tensors(session.get_outputs()),
    )


def of_specs(
    artifact: str, inputs: Any, outputs: Any, *, indexed: bool, accepts_missing: bool
) -> Compiled:
    """The tensors of a forest file, from the ``(name, dtype, dims)`` that its backend gives."""

    def tensors(specs: Any) -> tuple[Tensor, ...]:
        return tuple(
            Tensor(name=name, dtype=dtype, shape=tuple(None if d < 0 else int(d) for d in dims))
            for name, dtype, dims in specs
        )

    return Compiled(
        backend="forest",
        artifact=artifact,
        inputs=tensors(inputs),
        outputs=tensors(outputs),
        indexed=indexed,
        accepts_missing=accepts_missing,
    )


def _input_tensors(served: Served) -> tuple[Tensor, ...]:
    if served.layout == "matrix":
        return (Tensor(name=INPUT, dtype="float64", shape=(None, served.width)),)
    return tuple(
        Tensor(name=column.name, dtype=column.dtype, shape=(None, 1))
        for column in served.columns or ()
    )


def _output_tensors(served: Served, facts: Facts) -> tuple[tuple[Tensor, ...], bool]:
    """Outputs of the process runner, and whether its labels travel as class positions."""
    indexed = False
    predicted = facts.predictions
    if predicted is None:
        dtype = _wire_dtype(served.classes[0]) if len(served.classes) == 1 else "float64"
        tail: tuple[int | None, ...] = ()
    else:
        dtype = _wire_dtype(predicted)
        fixed = served.width is not None or served.layout == "columns"
        tail = tuple(int(e) if fixed else None for e in predicted.shape[1:])
    if not dtype:
        if len(served.classes) != 1:
            raise ModelLoadError(
                "the model predicts Python objects that are neither text nor numbers"
            )
        dtype, indexed = "int64", True
    outputs = [Tensor(name=PREDICTIONS, dtype=dtype, shape=(None, *tail))]
    many = len(facts.probabilities) > 1
    for number, part in enumerate(facts.probabilities):
        name = f"{PROBABILITIES}_{number}" if many else PROBABILITIES
        shape = (None, *(int(extent) for extent in part.shape[1:]))
        outputs.append(Tensor(name=name, dtype=part.dtype.name, shape=shape))
    if not facts.probabilities and served.predict_proba is not None:
        width = len(served.classes[0]) if len(served.classes) == 1 else None
        outputs.append(Tensor(name=PROBABILITIES, dtype="float64", shape=(None, width)))
    return tuple(outputs), indexed
