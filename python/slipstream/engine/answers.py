"""From a core result to the answer a caller knows: the estimator's own, or JSON."""

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


class Answers:
    """Reads the outputs of one loaded version of a model. Immutable; any thread."""

    def __init__(self, manifest: Manifest, signature: Signature) -> None:
        self._manifest = manifest
        self._specs = signature.outputs
        self._names = [spec[0] for spec in signature.outputs]
        self._prediction = (
            None if manifest.predictions is None else self._names.index(manifest.predictions)
        )
        self._probabilities = [self._names.index(name) for name in manifest.probabilities]
        if self._prediction is None and len(self._names) > 1:
            self._probabilities = [
                index for index, name in enumerate(self._names) if name in _PROBABILITY_NAMES
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
                [msgspec.json.encode(label).decode() for label in manifest.classes]
            )

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

    def endpoint(self, core: _engine.Model, decoder: _engine.JsonDecoder) -> _engine.Endpoint:
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

    def predictions(self, result: _engine.Result) -> npt.NDArray[Any] | dict[str, Any]:
        """What the estimator's ``predict`` returns; for graphs, the output or a dict of outputs."""
        outputs = result.outputs()
        if self._prediction is None:
            if len(outputs) == 1:
                return _present(outputs[0])
            return dict(zip(self._names, outputs, strict=True))
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
        if len(self._names) == 1:
            return result.encode_json(0)
        members = (
            msgspec.json.encode(name) + b":" + result.encode_json(index)
            for index, name in enumerate(self._names)
        )
        return b"{" + b",".join(members) + b"}"

    def probabilities_json(self, result: _engine.Result) -> bytes:
        """``probabilities`` as JSON: a list of rows, or a list of those, one per target."""
        tables = [result.encode_json(index) for index in self._probabilities]
        return tables[0] if len(tables) == 1 else b"[" + b",".join(tables) + b"]"


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
