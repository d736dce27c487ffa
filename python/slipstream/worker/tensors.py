"""Tensors and specifications in shared memory: NumPy arrays to bytes and back.

A message is a directory (per tensor: dtype, rank, where the payload lies, dimensions) followed by
payloads aligned to 64 bytes. Numbers are copied as they are; strings are n+1 offsets (uint64)
followed by their UTF-8 bytes.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from slipstream.worker.protocol import (
    DTYPE_CODES,
    DTYPE_NAMES,
    MAX_RANK,
    MAX_TENSORS,
    MISSING_STRING,
    SPEC_ENTRY,
    SPEC_HEADER,
    TENSOR_ENTRY,
    ProtocolError,
    Record,
    align,
)
from slipstream.worker.runner import Array, Runner, TensorSpec
from slipstream.worker.segment import RequestSegment, ResponseSegment

_MISSING = float("nan")
_STRING_CODE = DTYPE_CODES["string"]


class OutputError(Exception):
    """The runner returned something else than it declared."""


def numpy_dtype(name: str) -> np.dtype[Any]:
    """The NumPy dtype of a numeric dtype name.

    Raises:
        ValueError: The name is not one of ours.
        ImportError: bfloat16 without the package that gives it to NumPy.
    """
    if name not in DTYPE_CODES or name == "string":
        raise ValueError(f"dtype {name!r} is not one of {', '.join(DTYPE_NAMES)}")
    if name == "bfloat16":
        try:
            import ml_dtypes
        except ImportError as error:
            raise ImportError(
                "dtype bfloat16 needs the package ml_dtypes: pip install ml_dtypes",
                name="ml_dtypes",
            ) from error
        bfloat16: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
        return bfloat16
    return np.dtype(name)


def pack_spec(runner: Runner) -> bytes:
    """The specification of a runner as the body of a ready message.

    Raises:
        ValueError: An unknown dtype, a negative dimension other than -1, or too many dimensions.
        ImportError: See `numpy_dtype`.
    """
    inputs, outputs = list(runner.inputs), list(runner.outputs)
    parts = [SPEC_HEADER.pack(bool(runner.batchable), len(inputs), len(outputs))]
    for spec in (*inputs, *outputs):
        if spec.dtype != "string":
            numpy_dtype(spec.dtype)
        if len(spec.dims) > MAX_RANK or any(dim < -1 for dim in spec.dims):
            raise ValueError(f"tensor {spec.name!r} has impossible dimensions {spec.dims}")
        name = spec.name.encode()
        parts.append(SPEC_ENTRY.pack(len(name), DTYPE_CODES[spec.dtype], len(spec.dims)))
        parts.append(struct.pack(f"<{len(spec.dims)}q", *spec.dims))
        parts.append(name + bytes(-len(name) % 8))
    return b"".join(parts)


class TensorCodec:
    """Reads the inputs and writes the outputs of one runner. Holds only what never changes."""

    def __init__(self, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> None:
        used = {spec.dtype for spec in (*inputs, *outputs)} - {"string"}
        self._dtypes = {DTYPE_CODES[name]: numpy_dtype(name) for name in used}
        self._outputs = tuple(outputs)

    def read(self, segment: RequestSegment, record: Record) -> list[Array]:
        """The arrays of an execute message: views of the segment (strings are copies).

        Raises `ProtocolError` for a message that does not fit the segment, and ValueError for a
        string that is not UTF-8.
        """
        segment.follow(record.segment_bytes)
        view = segment.view
        if record.body_bytes > len(view) or record.tensor_count > MAX_TENSORS:
            raise ProtocolError("an execute message is larger than its segment")
        arrays: list[Array] = []
        cursor = 0
        for _ in range(record.tensor_count):
            code, _present, rank, offset, size = TENSOR_ENTRY.unpack_from(view, cursor)
            cursor += TENSOR_ENTRY.size
            shape = struct.unpack_from(f"<{rank}q", view, cursor)
            cursor += 8 * rank
            if code == _STRING_CODE:
                arrays.append(_read_strings(view, offset, size, shape))
            else:
                arrays.append(np.ndarray(shape, self._dtypes[code], buffer=view, offset=offset))
        return arrays

    def write(
        self, segment: ResponseSegment, outputs: Sequence[Array | None], wanted: int
    ) -> tuple[int, int]:
        """Write the outputs into the segment; unwanted ones are left out.

        Returns:
            The size of the message in bytes, and its number of tensors.

        Raises:
            OutputError: The outputs are not what the runner declared.
            MessageTooLargeError: They do not fit the segment's limit.
        """
        if len(outputs) != len(self._outputs):
            raise OutputError(
                f"the runner returned {len(outputs)} outputs, but declares {len(self._outputs)}"
            )
        payloads: list[Array | _PackedStrings | None] = []
        for index, (spec, output) in enumerate(zip(self._outputs, outputs, strict=True)):
            is_wanted = index >= 64 or bool(wanted >> index & 1)
            payloads.append(self._prepare(spec, output) if is_wanted else None)

        directory = sum(
            TENSOR_ENTRY.size + 8 * len(p.shape) if p is not None else TENSOR_ENTRY.size
            for p in payloads
        )
        end = directory
        offsets: list[int] = []
        for payload in payloads:
            offsets.append(align(end))
            end = offsets[-1] + (payload.nbytes if payload is not None else 0)
        segment.reserve(end)

        cursor = 0
        for spec, payload, offset in zip(self._outputs, payloads, offsets, strict=True):
            cursor = _write_one(segment, cursor, DTYPE_CODES[spec.dtype], payload, offset)
        return end, len(payloads)

    def _prepare(self, spec: TensorSpec, output: Array | None) -> Array | _PackedStrings:
        """An output in its declared dtype, its rank and dimensions checked."""
        if output is None:
            raise OutputError(f"the runner returned no output {spec.name!r}, which was wanted")
        try:
            array = np.asarray(output)
        except ValueError as error:
            raise OutputError(f"the runner returned output {spec.name!r}: {error}") from error
        if len(array.shape) != len(spec.dims) or any(
            dim not in (-1, size) for dim, size in zip(spec.dims, array.shape, strict=True)
        ):
            raise OutputError(
                f"the runner returned output {spec.name!r} with shape {list(array.shape)}, "
                f"but declares {list(spec.dims)}"
            )
        if spec.dtype == "string":
            return _pack_strings(spec.name, array)
        declared = self._dtypes[DTYPE_CODES[spec.dtype]]
        if array.dtype == declared:
            return array
        both_float = array.dtype.kind == "f" and (declared.kind == "f" or spec.dtype == "bfloat16")
        if not both_float and not np.can_cast(array.dtype, declared, "safe"):
            raise OutputError(
                f"the runner returned output {spec.name!r} as {array.dtype}, which does not "
                f"convert to the declared {spec.dtype}"
            )
        return array.astype(declared)


class _PackedStrings:
    """A string array ready to be copied: its shape, n+1 offsets and all its UTF-8 bytes."""

    __slots__ = ("blob", "nbytes", "offsets", "shape")

    def __init__(self, shape: tuple[int, ...], offsets: Array, blob: bytes) -> None:
        self.shape = shape
        self.offsets = offsets
        self.blob = blob
        self.nbytes = offsets.nbytes + len(blob)


def _read_strings(view: memoryview | Any, offset: int, size: int, shape: tuple[int, ...]) -> Array:
    count = math.prod(shape)
    ends: list[int] = np.ndarray((count + 1,), np.uint64, buffer=view, offset=offset).tolist()
    first = offset + 8 * (count + 1)
    blob = bytes(view[first : offset + size])
    array = np.empty(count, dtype=object)
    for index in range(count):
        text = blob[ends[index] : ends[index + 1]]
        array[index] = _MISSING if text == MISSING_STRING else text.decode()
    array.flags.writeable = False
    return array.reshape(shape)


def _pack_strings(name: str, array: Array) -> _PackedStrings:
    texts: list[bytes] = []
    for item in array.reshape(-1).tolist():
        if isinstance(item, str):
            try:
                texts.append(item.encode())
            except UnicodeEncodeError as error:
                raise OutputError(
                    f"output {name!r} holds a string that is not text: {error}"
                ) from (error)
        elif item is None or (isinstance(item, float) and math.isnan(item)):
            texts.append(MISSING_STRING)
        else:
            raise OutputError(
                f"the runner declares output {name!r} as string, but it holds a value of type "
                f"{type(item).__name__}"
            )
    offsets = np.zeros(len(texts) + 1, np.uint64)
    np.cumsum([len(text) for text in texts], out=offsets[1:], dtype=np.uint64)
    return _PackedStrings(array.shape, offsets, b"".join(texts))


def _write_one(
    segment: ResponseSegment,
    cursor: int,
    code: int,
    payload: Array | _PackedStrings | None,
    offset: int,
) -> int:
    """Write one directory entry at ``cursor`` and its payload; return the end of the entry."""
    view = segment.view
    if payload is None:
        TENSOR_ENTRY.pack_into(view, cursor, code, 0, 0, offset, 0)
        return cursor + TENSOR_ENTRY.size
    rank = len(payload.shape)
    TENSOR_ENTRY.pack_into(view, cursor, code, 1, rank, offset, payload.nbytes)
    cursor += TENSOR_ENTRY.size
    struct.pack_into(f"<{rank}q", view, cursor, *payload.shape)
    if isinstance(payload, _PackedStrings):
        blob_at = offset + payload.offsets.nbytes
        view[offset:blob_at] = payload.offsets.tobytes()
        view[blob_at : blob_at + len(payload.blob)] = payload.blob
    else:
        np.copyto(np.ndarray(payload.shape, payload.dtype, buffer=view, offset=offset), payload)
    return cursor + 8 * rank
