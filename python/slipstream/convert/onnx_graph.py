"""A small ONNX graph writer: nodes are added in order, values are names, constants are arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from slipstream.errors import MissingDependencyError

OPSET = 18
ML_OPSET = 5
IR_VERSION = 10
INPUT = "input"
PREDICTIONS = "predictions"
PROBABILITIES = "probabilities"


class Graph:
    """One graph with a single input ``input``: f64[rows, width].

    Raises:
        MissingDependencyError: At construction, when the package onnx is not installed.
    """

    def __init__(self, width: int) -> None:
        try:
            import onnx
        except ImportError as error:
            raise MissingDependencyError(
                f"compiling a model needs the package onnx ({error}): "
                "pip install 'slipstream[sklearn]'"
            ) from error
        self._onnx = onnx
        self.width = width
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self._outputs: list[Any] = []
        self._count = 0

    def _fresh(self, hint: str) -> str:
        self._count += 1
        return f"{hint}_{self._count}"

    def op(self, kind: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Add a node with one output; returns the name of that value."""
        out = self._fresh(kind.lower())
        make = self._onnx.helper.make_node
        self._nodes.append(make(kind, list(inputs), [out], name=out, domain=domain, **attributes))
        return out

    def constant(self, values: Any, dtype: Any = None) -> str:
        """Add a constant; returns its name."""
        name = self._fresh("const")
        array = np.ascontiguousarray(np.asarray(values, dtype=dtype))
        array = array.reshape(np.shape(values))
        self._constants.append(self._onnx.numpy_helper.from_array(array, name))
        return name

    def tensor(self, values: Any, dtype: Any) -> Any:
        """A tensor for use as an attribute."""
        return self._onnx.numpy_helper.from_array(np.asarray(values, dtype=dtype), "t")

    def cast(self, value: str, dtype: npt.DTypeLike) -> str:
        """Cast to a NumPy dtype."""
        code = self._onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return self.op("Cast", value, to=code)

    def column(self, value: str) -> str:
        """[n] -> [n, 1]."""
        return self.op("Unsqueeze", value, self.constant([1], np.int64))

    def flat(self, value: str) -> str:
        """[n, 1] -> [n]."""
        return self.op("Squeeze", value, self.constant([1], np.int64))

    def output(self, name: str, value: str, dtype: npt.DTypeLike, tail: tuple[int, ...]) -> None:
        """Make ``value`` a graph output of shape [rows, *tail]."""
        self._nodes.append(self._onnx.helper.make_node("Identity", [value], [name], name=name))
        code = self._onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        info = self._onnx.helper.make_tensor_value_info(name, code, ["rows", *tail])
        self._outputs.append(info)

    def to_bytes(self) -> bytes:
        """The finished model, serialized."""
        helper = self._onnx.helper
        source = helper.make_tensor_value_info(
            INPUT, self._onnx.TensorProto.DOUBLE, ["rows", self.width]
        )
        graph = helper.make_graph(
            self._nodes, "slipstream", [source], self._outputs, self._constants
        )
        model = helper.make_model(
            graph,
            producer_name="slipstream",
            ir_version=IR_VERSION,
            opset_imports=[
                helper.make_opsetid("", OPSET),
                helper.make_opsetid("ai.onnx.ml", ML_OPSET),
            ],
        )
        data: bytes = model.SerializeToString()
        return data
