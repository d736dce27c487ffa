"""A graph that answers rows, set up as the server's own backend sets it up. For the child."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from slipstream.errors import InvalidInputError, MissingDependencyError, QuantizationError
from slipstream.quantize.rows import Array, Spec, split

_BATCH = 32
_DTYPES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(float16)": "float16",
    "tensor(bfloat16)": "bfloat16",
    "tensor(string)": "string",
    "tensor(bool)": "bool",
    **{f"tensor({name})": name for name in "int8 int16 int32 int64".split()},
    **{f"tensor({name})": name for name in "uint8 uint16 uint32 uint64".split()},
}


class Session:
    """One thread, on the CPU: the same bits as the ``onnx`` backend of the server."""

    def __init__(self, file: Path, batchable: str | None) -> None:
        """Load a graph.

        Args:
            file: The ONNX file.
            batchable: The backend's option of that name: ``"true"``, ``"false"``, or None: as the
                graph declares.

        Raises:
            QuantizationError: the runtime cannot load it.
            MissingDependencyError: onnxruntime is not installed.
        """
        try:
            import onnxruntime
        except ImportError as error:
            raise MissingDependencyError(
                "quantizing needs ONNX Runtime: pip install onnxruntime"
            ) from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 4
        try:
            self._session = onnxruntime.InferenceSession(
                str(file), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            text = str(error).strip().splitlines()[0][:300]
            raise QuantizationError(f"ONNX Runtime cannot run the graph: {text}") from error
        self._inputs = self._session.get_inputs()
        self._outputs = self._session.get_outputs()
        self.names: list[str] = [one.name for one in self._inputs]
        self.specs: list[Spec] = [
            (
                one.name,
                _DTYPES.get(one.type, one.type),
                [dim if isinstance(dim, int) else -1 for dim in one.shape],
            )
            for one in self._inputs
        ]
        self.is_batchable = self._declares_batches() if batchable is None else batchable == "true"

    def _declares_batches(self) -> bool:
        """Whether all first dimensions are of any size and one name: the rule of the backend."""
        faces = [*self._inputs, *self._outputs]
        if not all(one.shape and not isinstance(one.shape[0], int) for one in faces):
            return False
        return len({one.shape[0] for one in faces}) == 1

    def takes(self, rows: Sequence[Array]) -> bool:
        """Whether the graph answers rows like the first of these."""
        first = next(split(rows, 1, is_batchable=self.is_batchable))
        try:
            self._session.run(None, dict(zip(self.names, first, strict=True)))
        except Exception:  # of whatever kind: another set of rows is tried
            return False
        return True

    def run(self, rows: Sequence[Array]) -> dict[str, Array]:
        """Answers by output name.

        Raises:
            InvalidInputError: the graph does not take them.
        """
        pieces = []
        for piece in split(rows, _BATCH, is_batchable=self.is_batchable):
            try:
                pieces.append(self._session.run(None, dict(zip(self.names, piece, strict=True))))
            except Exception as error:
                text = str(error).strip().splitlines()[0][:300]
                raise InvalidInputError(
                    f"the model does not answer these rows: {text}", key="calibration_data"
                ) from error
        return {
            one.name: np.concatenate([np.atleast_1d(piece[place]) for piece in pieces])
            for place, one in enumerate(self._outputs)
        }

    def require_same_face(self, other: Session) -> None:
        """Refuses another graph that takes or gives anything else than this one.

        Raises:
            QuantizationError: names and types of inputs and outputs differ.
        """
        faces = [
            [(one.name, one.type) for one in [*session._inputs, *session._outputs]]
            for session in (self, other)
        ]
        if faces[0] != faces[1]:
            raise QuantizationError(
                "quantizing would change the inputs or outputs of the graph, which clients rely on"
            )
