"""From a core result to the answer a caller knows: the estimator's own, JSON, or binary."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from slipstream import _engine
from slipstream.engine.signature import Signature, Spec
from slipstream.errors import InvalidInputError
from slipstream.models.manifest import Manifest

ALL_OUTPUTS = (1 << 64) - 1
_PROBABILITY_NAMES = ("probabilities", "output_probability")
"""What exporters of scikit-learn models to ONNX call that output."""


class OnlyOutput(NamedTuple):
    """The output of a model that holds an answer, and how to read that from it."""

    number: int
    read: Callable[[npt.NDArray[Any]], npt.NDArray[Any]] | None


class RawTensor(NamedTuple):
    """An array as little-endian, row-major bytes."""

    data: bytes
    dtype: str
    """NumPy's name, or ``"bfloat16"``."""
    shape: tuple[int, ...]


class Answers:
    """Reads the outputs of one loaded version of a model. Immutable; any thread."""

    def __init__(self, manifest: Manifest, signature: Signature) -> None:
        self._manifest = manifest
        self._specs = signature.outputs
        self._names = [spec[0] for spec in signature.outputs]
        self._shown = [
            index for index, name in enumerate(self._names) if name not in signature.kept_outputs
        ]
        self._prediction = (
            None if manifest.predictions is None else self._names.index(manifest.predictions)
        )
        self._probabilities = [self._names.index(name) for name in manifest.probabilities]
        if self._prediction is None and len(self._shown) > 1:
            self._probabilities = [
                index for index in self._shown if self._names[index] in _PROBABILITY_NAMES
            ]
        self._predictions_dtype = _dtype(manifest.predictions_dtype)
        self._probabilities_dtype = _dtype(manifest.probabilities_dtype)
        self._predictions_bit = 0 if self._prediction is None else 1 << self._prediction
        self._probabilities_bits = sum(1 << index for index in self._probabilities)
        self._classes: npt.NDArray[Any] | None = None
        self._labels: _engine.LabelTable | None = None
        if manifest.classes is not None and manifest.label_encoding == "index":
            self._classes = np.array(manifest.classes, dtype=manifest.classes_dtype)
            self._labels = _engine.LabelTable(
                [msgspec.json.encode(label).decode() for label in manifest.classes],
                [msgspec.msgpack.encode(label) for label in manifest.classes],
            )

    @property
    def prediction_output(self) -> int:
        """Number of the output that holds the predictions; of a graph, its first."""
        return self._prediction or 0

    @property
    def probabilities_output(self) -> int | None:
        """Number of the output with the probabilities of the only target; None for others."""
        return self._probabilities[0] if len(self._probabilities) == 1 else None

    def wanted(self, *, predictions: bool, probabilities: bool) -> int:
        """The bit mask of outputs to compute.

        Raises:
            InvalidInputError: probabilities of a model that has none.
        """
        if probabilities and not self._probabilities:
            raise InvalidInputError(
                "this model gives no probabilities; ask for predictions only "
                f"({self._manifest.estimator or self._manifest.model_type})"
            )
        if self._prediction is None:
            return ALL_OUTPUTS
        wanted = self._predictions_bit if predictions else 0
        return wanted | self._probabilities_bits if probabilities else wanted

    def endpoint(self, core: _engine.Model, decoder: _engine.InputDecoder) -> _engine.Endpoint:
        """What answers for this version from JSON to JSON, without Python in between."""
        if self._prediction is not None:
            predictions = [("", self._prediction)]
        elif len(self._names) == 1:
            predictions = [("", 0)]
        else:
            predictions = [
                (msgspec.json.encode(name).decode(), index)
                for index, name in enumerate(self._names)
            ]
        return _engine.Endpoint(
            core,
            decoder,
            predictions=predictions,
            labels=None if self._prediction is None else self._labels,
            probabilities=self._probabilities,
            predictions_wanted=self.wanted(predictions=True, probabilities=False),
            everything_wanted=(
                self.wanted(predictions=True, probabilities=True) if self._probabilities else 0
            ),
        )

    def predictions(
        self, result: _engine.Result, most_rows: int | None = None
    ) -> npt.NDArray[Any] | dict[str, Any]:
        """What the estimator's ``predict`` returns; for graphs, the output or a dict of outputs.

        ``most_rows`` leaves the rows behind them out, before anything is made of them.
        """
        outputs = result.outputs()
        if most_rows is not None:
            outputs = [None if one is None else one[:most_rows] for one in outputs]
        if self._prediction is None:
            if len(self._shown) == 1:
                return _present(outputs[self._shown[0]])
            return {self._names[index]: outputs[index] for index in self._shown}
        return self._read_prediction(_present(outputs[self._prediction]))

    def _read_prediction(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        if self._classes is not None:
            values = self._classes[values]
        values = _as_dtype(values, self._predictions_dtype)
        return values.reshape((values.shape[0], *self._manifest.predictions_shape))

    def probabilities(self, result: _engine.Result) -> npt.NDArray[Any] | list[npt.NDArray[Any]]:
        """What ``predict_proba`` returns: ``(rows, classes)``, or one such array per target."""
        outputs = result.outputs()
        arrays = [self._read_probabilities(_present(outputs[i])) for i in self._probabilities]
        return arrays[0] if len(arrays) == 1 else arrays

    def _read_probabilities(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return _as_dtype(values, self._probabilities_dtype)

    def only_output(self, *, probabilities: bool) -> OnlyOutput | None:
        """The one output that `predictions` (or `probabilities`) reads, and how; None for several.

        ``OnlyOutput.read`` is None where the output itself is the answer.
        """
        if probabilities:
            if len(self._probabilities) != 1:
                return None
            index = self._probabilities[0]
            is_answer = self._probabilities_dtype in (None, _numpy_dtype(self._specs[index]))
            return OnlyOutput(index, None if is_answer else self._read_probabilities)
        if self._prediction is None:
            return OnlyOutput(0, None) if len(self._names) == 1 else None
        spec = self._specs[self._prediction]
        is_answer = (
            self._classes is None
            and self._predictions_dtype in (None, _numpy_dtype(spec))
            and tuple(self._manifest.predictions_shape) == spec[2][1:]
        )
        return OnlyOutput(self._prediction, None if is_answer else self._read_prediction)

    def predictions_json(self, result: _engine.Result) -> bytes:
        """``predictions`` as JSON: a list of rows, or an object by output name."""
        if self._prediction is not None:
            return result.encode_json(self._prediction, self._labels)
        if len(self._shown) == 1:
            return result.encode_json(self._shown[0])
        members = (
            msgspec.json.encode(self._names[index]) + b":" + result.encode_json(index)
            for index in self._shown
        )
        return b"{" + b",".join(members) + b"}"

    def probabilities_json(self, result: _engine.Result) -> bytes:
        """``probabilities`` as JSON: a list of rows, or a list of those, one per target."""
        tables = [result.encode_json(index) for index in self._probabilities]
        return tables[0] if len(tables) == 1 else b"[" + b",".join(tables) + b"]"

    def predictions_msgpack(self, result: _engine.Result) -> bytes:
        """`predictions_json`'s value as MessagePack."""
        if self._prediction is not None:
            return result.encode_msgpack(self._prediction, self._labels)
        if len(self._shown) == 1:
            return result.encode_msgpack(self._shown[0])
        head = _msgpack_size(len(self._shown), 0x80, b"\xde")
        members = (
            msgspec.msgpack.encode(self._names[index]) + result.encode_msgpack(index)
            for index in self._shown
        )
        return head + b"".join(members)

    def probabilities_msgpack(self, result: _engine.Result) -> bytes:
        """`probabilities_json`'s value as MessagePack."""
        tables = [result.encode_msgpack(index) for index in self._probabilities]
        if len(tables) == 1:
            return tables[0]
        return _msgpack_size(len(tables), 0x90, b"\xdc") + b"".join(tables)

    def require_raw(self, *, probabilities: bool) -> None:
        """Refuses what `predictions_raw` (and `probabilities_raw`) could not answer.

        Raises:
            InvalidInputError: text, several outputs, probabilities of several targets.
        """
        remedy = "a binary answer holds one tensor of numbers; ask for JSON or MessagePack"
        if self._prediction is None and len(self._shown) > 1:
            raise InvalidInputError(f"the model has {len(self._shown)} outputs and {remedy}")
        if self._classes is not None and self._classes.dtype.kind not in "biuf":
            raise InvalidInputError(f"the model's labels are text and {remedy}")
        if self._specs[self._raw_output][1] == "string":
            raise InvalidInputError(f"the model's predictions are text and {remedy}")
        if probabilities and len(self._probabilities) > 1:
            raise InvalidInputError(
                f"the model has probabilities of {len(self._probabilities)} targets and {remedy}"
            )

    def predictions_raw(self, result: _engine.Result) -> RawTensor:
        """``predictions`` as bytes: the output as the model gives it, or its labels as numbers.

        Precondition: `require_raw`.
        """
        index = self._raw_output
        if self._classes is None:
            return RawTensor(*result.encode_raw(index))
        labels = self._classes[_present(result.outputs()[index])]
        little = labels.astype(labels.dtype.newbyteorder("<"), copy=False)
        return RawTensor(little.tobytes(), labels.dtype.name, labels.shape)

    @property
    def _raw_output(self) -> int:
        return self._shown[0] if self._prediction is None else self._prediction

    def probabilities_raw(self, result: _engine.Result) -> RawTensor:
        """``probabilities`` as bytes. Precondition: `require_raw`."""
        return RawTensor(*result.encode_raw(self._probabilities[0]))


def _msgpack_size(size: int, small: int, wide: bytes) -> bytes:
    """The head of a map or an array: in one byte up to 15, else with two bytes behind it."""
    return bytes([small | size]) if size < 16 else wide + size.to_bytes(2, "big")


def _dtype(name: str | None) -> np.dtype[Any] | None:
    return None if name is None else np.dtype(name)


def _numpy_dtype(spec: Spec) -> np.dtype[Any]:
    """Of the arrays that an output arrives in."""
    return np.dtype({"string": "O", "bfloat16": "float32"}.get(spec[1], spec[1]))


def _as_dtype(array: npt.NDArray[Any], dtype: np.dtype[Any] | None) -> npt.NDArray[Any]:
    """``array`` itself where it has the dtype: asking is quicker than an ``astype`` that agrees."""
    return array if dtype is None or array.dtype is dtype else array.astype(dtype, copy=False)


def _present(output: npt.NDArray[Any] | None) -> npt.NDArray[Any]:
    assert output is not None, "an output that was asked for"
    return output
