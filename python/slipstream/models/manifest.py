"""The manifest: everything the server must know about a model, as data.

Whatever a model was (a pickle, a booster file, an ONNX graph, a class), preparing it leaves an
artifact that a backend can run and a manifest beside it. The server process reads only these two;
the original is opened nowhere but in the converter child.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec

from slipstream.decoding import json_decoder

MANIFEST_VERSION = 1

Layout = Literal["matrix", "columns", "tensors"]
"""How JSON rows become input tensors.

``matrix``: one input of shape ``[rows, width]``; a row is an array of numbers, or an object by
column name where ``columns`` are named. ``columns``: one input of shape ``[rows, 1]`` per column,
each with its own dtype (mixed-type tables). ``tensors``: the model's own inputs by name, any rank.
"""

Task = Literal["classification", "regression", "ranking", "clustering", "outlier", "tensors"]


class Tensor(msgspec.Struct, frozen=True, kw_only=True):
    """One input or output of the artifact; ``None`` in ``shape`` is a dimension of any size."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """One column of a table-shaped model, in the order the model was trained on."""

    name: str
    dtype: Literal["float32", "float64", "int64", "bool", "string"]
    ignored: bool = False
    """Whether the model drops it: anything may stand there, or nothing."""


class Quantized(msgspec.Struct, frozen=True, kw_only=True):
    """How the artifact was quantized, and what that costs; measured when it was made."""

    type: str
    mode: str | None
    """None where the type has only one."""
    weights: int
    """Tensors of weights that are stored in the smaller type."""
    accuracy_loss_percent: float
    """See `slipstream.quantize.loss`."""
    rows: int
    """How many rows that was measured on; they lie beside the artifact."""
    rows_source: Literal["calibration", "generated"]


Constant: TypeAlias = bool | int | float | str | list[Any]
"""The value of a constant input; lists nest as its dimensions do."""


class State(msgspec.Struct, frozen=True, kw_only=True):
    """An input that takes what an output gave to the request before (see `models.states_file`)."""

    input: str
    output: str
    shape: tuple[int | str, ...] | None = None
    """Of the initial value; ``"rows"`` stands for the number of rows of the first request. None:
    the input's own shape, which must then be fixed."""
    value: float = 0.0
    """Every element of the initial value."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """See the module docstring. Written as JSON next to the artifact, ``manifest.json``."""

    version: int = MANIFEST_VERSION
    model_type: str
    """The documented type: sklearn, xgboost, lightgbm, onnx, pytorch, tensorflow, tensorrt,
    ensemble or custom."""
    framework: str
    """The library and version that opened the original ("scikit-learn 1.9.1")."""
    estimator: str | None = None
    """The class of the original ("RandomForestClassifier"); None for a bare graph."""
    backend: Literal["onnx", "process", "forest", "ensemble", "torch", "tensorrt"]
    artifact: str
    """File name of what the backend loads, relative to the manifest's folder."""
    backend_options: dict[str, str] = {}
    """Options the artifact needs whatever the operator configures (see each backend)."""
    gpu: str | None = None
    """The kind of GPU that it was built for, by its name; None: any, or nobody knows."""
    compiled: bool
    reason: str | None = None
    """Why ``compiled`` is false; None when it is true."""
    source_sha256: str
    task: Task
    layout: Layout
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    columns: tuple[Column, ...] | None = None
    """Named columns (required for layout ``columns``, optional for ``matrix``)."""
    predictions: str | None = None
    """Output whose rows are the predictions; None for task ``tensors``: all are returned."""
    probabilities: tuple[str, ...] = ()
    """Outputs with class probabilities: one, or one per target of a multi-output classifier."""
    label_encoding: Literal["index", "value"] = "value"
    """``index``: ``predictions`` holds positions in ``classes``; ``value``: the answer itself."""
    classes: tuple[str | bool | int | float, ...] | None = None
    classes_dtype: str | None = None
    """NumPy dtype of the estimator's ``classes_`` ("<U6", "int64", "object")."""
    predictions_dtype: str | None = None
    """NumPy dtype that the estimator's own ``predict`` returns."""
    predictions_shape: tuple[int, ...] = ()
    """Shape of one row of ``predict``'s answer: ``()`` for ``(n,)``, ``(2,)`` for ``(n, 2)``."""
    probabilities_dtype: str | None = None
    warmup_rows: tuple[tuple[bool | float | str | None, ...], ...] = ()
    """Rows that the original has answered, as JSON has them; for a version's first executions."""
    example_shapes: dict[str, tuple[int, ...]] = {}
    """Of inputs that the model is known to answer, where a dimension may have any size."""
    accepts_missing: bool = False
    """Whether ``null`` (NaN) is a legal value in a numeric column."""
    quantized: Quantized | None = None
    """None for a model in its own precision."""
    states: tuple[State, ...] = ()
    """What a stream keeps from one request to the next; requests bring no such inputs."""
    constants: dict[str, Constant] = {}
    """Inputs that have this value in every request, which need not bring them."""


_decode = json_decoder(Manifest)


def encode(manifest: Manifest) -> bytes:
    """The manifest as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=2)


def decode(data: bytes) -> Manifest:
    """Inverse of `encode`. Raises ``msgspec.ValidationError`` naming the offending key."""
    return _decode(data)
