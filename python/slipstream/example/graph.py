"""The example as an ONNX graph, written without the package onnx, which a server need not have.

A protobuf message is a run of fields, each a tag (number and wire type) and a value; nested
messages and texts are bytes with their length before them (protobuf.dev, "Encoding"). The numbers
of fields are those of onnx.proto, which only ever grow.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from slipstream.example.network import UNITS, weights

INPUT, OUTPUT = "inputs", "score"
_IR_VERSION, _OPSET = 8, 17
_VARINT, _BYTES = 0, 2
_FLOAT, _INT64 = 1, 7
_ATTRIBUTE_INT, _ATTRIBUTE_INTS = 2, 7
_DTYPES: dict[str, int] = {"float32": _FLOAT, "int64": _INT64}


def onnx_bytes() -> bytes:
    """The file: ``inputs`` float32[rows, width] to ``score`` float32[rows]."""
    made = weights()
    nodes = (
        _node("Unsqueeze", [INPUT, "last"], "columns"),
        _node("Mul", ["columns", "into"], "weighted"),
        _node("Add", ["weighted", "shift"], "shifted"),
        _node("Tanh", ["shifted"], "units"),
        _node("ReduceMean", ["units"], "mean", axes=[1], keepdims=0),
        _node("MatMul", ["mean", "out"], "sum"),
        _node("Add", ["sum", "bias"], "logit"),
        _node("Sigmoid", ["logit"], "scores"),
        _node("Squeeze", ["scores", "second"], OUTPUT),
    )
    constants = (
        _tensor("last", np.array([2], dtype=np.int64)),
        _tensor("second", np.array([1], dtype=np.int64)),
        _tensor("into", made.into),
        _tensor("shift", made.shift),
        _tensor("out", made.out.reshape(UNITS, 1)),
        _tensor("bias", made.bias),
    )
    graph = b"".join(
        (
            *(_nested(1, node) for node in nodes),
            _text(2, "example"),
            *(_nested(5, constant) for constant in constants),
            _nested(11, _value(INPUT, ("rows", "width"))),
            _nested(12, _value(OUTPUT, ("rows",))),
        )
    )
    return b"".join(
        (
            _number(1, _IR_VERSION),
            _text(2, "slipstream"),
            _nested(7, graph),
            _nested(8, _number(2, _OPSET)),
        )
    )


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3 | _VARINT) + _varint(value)


def _nested(field: int, message: bytes) -> bytes:
    return _varint(field << 3 | _BYTES) + _varint(len(message)) + message


def _text(field: int, text: str) -> bytes:
    return _nested(field, text.encode())


def _node(kind: str, inputs: Sequence[str], output: str, **attributes: int | list[int]) -> bytes:
    """NodeProto."""
    return b"".join(
        (
            *(_text(1, name) for name in inputs),
            _text(2, output),
            _text(3, output),
            _text(4, kind),
            *(_nested(5, _attribute(name, value)) for name, value in attributes.items()),
        )
    )


def _attribute(name: str, value: int | list[int]) -> bytes:
    """AttributeProto."""
    if isinstance(value, int):
        return _text(1, name) + _number(3, value) + _number(20, _ATTRIBUTE_INT)
    numbers = b"".join(_number(8, one) for one in value)
    return _text(1, name) + numbers + _number(20, _ATTRIBUTE_INTS)


def _tensor(name: str, values: npt.NDArray[np.float32] | npt.NDArray[np.int64]) -> bytes:
    """TensorProto, little-endian."""
    little = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<"))
    dims = b"".join(_number(1, size) for size in values.shape)
    dtype = _number(2, _DTYPES[values.dtype.name])
    return dims + dtype + _text(8, name) + _nested(9, little.tobytes())


def _value(name: str, dims: Sequence[str]) -> bytes:
    """ValueInfoProto of a float32 tensor with these named dimensions."""
    shape = b"".join(_nested(1, _text(2, dim)) for dim in dims)
    tensor = _number(1, _FLOAT) + _nested(2, shape)
    return _text(1, name) + _nested(2, _nested(1, tensor))
