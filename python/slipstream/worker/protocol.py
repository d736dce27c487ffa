"""The control messages between the server and a worker process: `Record` and its constants.

The twin of ``csrc/backends/process/protocol.h``, which explains the layout; a test compares the
two files. Records are 64 bytes, little-endian, one per packet of a SOCK_SEQPACKET socket. What they
announce lies in two shared memory segments: the server writes the request segment, the worker the
response segment, and each may grow its own.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

PROTOCOL_VERSION: Final = 1
MAGIC: Final = 0x31574C53  # "SLW1"
RECORD_BYTES: Final = 64
PAYLOAD_ALIGNMENT: Final = 64
MAX_RANK: Final = 64
MAX_TENSORS: Final = 65536
MAX_TEXT_BYTES: Final = 8192

# Record kinds.
KIND_READY: Final = 1  # worker: the model is loaded; its specification is in the response segment
KIND_FAILED: Final = 2  # worker: the model cannot be loaded; status and text say why
KIND_EXECUTE: Final = 3  # server: run the tensors in the request segment
KIND_RESULT: Final = 4  # worker: the outputs are in the response segment
KIND_ERROR: Final = 5  # worker: this call failed; status and text say why

# Status codes a worker may report (values of slipstream::StatusCode).
STATUS_OK: Final = 0
STATUS_INVALID_ARGUMENT: Final = 2
STATUS_NOT_FOUND: Final = 3
STATUS_FAILED_PRECONDITION: Final = 4
STATUS_INTERNAL: Final = 9

# Element types in the order of slipstream::DType.
DTYPE_NAMES: Final = (
    "bool",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "float16",
    "bfloat16",
    "float32",
    "float64",
    "string",
)
DTYPE_CODES: Final = {name: code for code, name in enumerate(DTYPE_NAMES)}
MISSING_STRING: Final = b"\xff"

_RECORD = struct.Struct("<IIQQQQII16x")
# One tensor of a message: dtype, present, rank, payload offset, payload bytes; then rank x int64.
TENSOR_ENTRY: Final = struct.Struct("<BBxxIQQ")
# A specification: batchable, inputs, outputs; then per tensor a SPEC_ENTRY, its dimensions (int64)
# and its name padded to 8 bytes.
SPEC_HEADER: Final = struct.Struct("<IIIxxxx")
SPEC_ENTRY: Final = struct.Struct("<IBxxxIxxxx")

assert _RECORD.size == RECORD_BYTES


class ProtocolError(Exception):
    """The other side sent something that is not of this protocol; the connection is unusable."""


class Record(NamedTuple):
    """One control message. ``segment_bytes`` is the size of the sender's segment, to be mapped."""

    kind: int
    sequence: int = 0
    body_bytes: int = 0
    segment_bytes: int = 0
    outputs_wanted: int = 0
    tensor_count: int = 0
    status: int = STATUS_OK

    def pack(self) -> bytes:
        """The 64 bytes that go over the socket."""
        return _RECORD.pack(MAGIC, *self)

    @classmethod
    def unpack(cls, data: bytes) -> Record:
        """Inverse of `pack`. Raises `ProtocolError` for a wrong size or magic number."""
        if len(data) != RECORD_BYTES:
            raise ProtocolError(f"a control record has {RECORD_BYTES} bytes, not {len(data)}")
        magic, *fields = _RECORD.unpack(data)
        if magic != MAGIC:
            raise ProtocolError(f"a control record begins with {MAGIC:#x}, not {magic:#x}")
        return cls(*fields)


def align(offset: int) -> int:
    """The first multiple of `PAYLOAD_ALIGNMENT` at or behind ``offset``."""
    return -(-offset // PAYLOAD_ALIGNMENT) * PAYLOAD_ALIGNMENT
