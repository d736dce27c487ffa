"""Numbers on the wire against msgspec and NumPy: ``python tests/fuzz_wire.py SECONDS [SEED]``.

Random tables are sent as JSON, as MessagePack and as tensors of bytes, whole and damaged. What
msgspec and NumPy make of the same bytes must come out, to the last bit; what msgspec cannot read
must be refused. The C++ fuzzers (tests/cpp/fuzz) look at everything else, against references of our
own. Prints the document and the seed of a broken promise, and exits 1.
"""

from __future__ import annotations

import argparse
import random
import re
import struct
import sys
import time
from typing import Any

import msgspec
import numpy as np

from slipstream import _engine
from slipstream.errors import SlipstreamError

DTYPES = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
          "float16", "float32", "float64")  # fmt: skip
FORMATS = ("{!r}", "{:.17g}", "{:.3f}", "{:.0f}", "{:e}", "{:.30f}", "{:.1E}", "{:.9g}")
SPACES = ("", "", "", " ", "\n", "\t ", "      ")
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, TypeError, ValueError, OverflowError)
INTEGER_MINUS_ZERO = re.compile(rb"-0(?![.\deE])")
"""An integer without a sign to msgspec, a double with one to us: -0.0 + 0.0 is 0.0."""

Rows = list[list[float]]


def number(chance: random.Random) -> float:
    """Any double, one of few digits, or an integer of any size."""
    kind = chance.randrange(4)
    if kind == 0:
        value: float = struct.unpack("<d", chance.randbytes(8))[0]
        return value if np.isfinite(value) else 0.5
    if kind == 1:
        return round(chance.uniform(-1000, 1000), chance.randrange(6))
    if kind == 2:
        return chance.randrange(-(2**63), 2**64)
    return chance.randrange(-130, 300)


def as_json(chance: random.Random, rows: Rows) -> bytes:
    """The rows as many a client would write them."""

    def written(value: float) -> str:
        text = str(value) if isinstance(value, int) else chance.choice(FORMATS).format(value)
        return chance.choice(SPACES) + text + chance.choice(SPACES)

    return ("[" + ",".join("[" + ",".join(map(written, row)) + "]" for row in rows) + "]").encode()


def damaged(chance: random.Random, document: bytes) -> bytes:
    """The document with a few bytes changed, left out, or put in."""
    made = bytearray(document)
    for _ in range(chance.randrange(1, 4)):
        place = chance.randrange(len(made) + 1)
        made[place : place + chance.randrange(3)] = chance.randbytes(chance.randrange(3))
    return bytes(made)


def is_table(value: Any, width: int) -> bool:
    """Whether that is rows of numbers, as wide."""
    return (
        isinstance(value, list)
        and len(value) > 0
        and all(isinstance(row, list) and len(row) == width for row in value)
        and all(type(cell) in (int, float) for row in value for cell in row)
    )


def read(decode: Any, *arguments: Any) -> np.ndarray[Any, Any] | None:
    """What we make of a document; None: refused."""
    try:
        array: np.ndarray[Any, Any] = decode(*arguments).arrays()[0]
    except SlipstreamError:
        return None
    return array


def require(holds: bool, what: str, document: bytes, seed: int) -> None:
    """Exits where a promise is broken."""
    if not holds:
        sys.exit(f"broken promise: {what}\n{document!r}\nseed {seed}")


def same(ours: np.ndarray[Any, Any] | None, right: np.ndarray[Any, Any]) -> bool:
    """Equal to the last bit; a NaN is a NaN."""
    if ours is None or ours.dtype != right.dtype or ours.shape != right.shape:
        return False
    return bool(((ours == right) & (np.signbit(ours) == np.signbit(right)) | np.isnan(right)).all())


def check_document(decode: Any, theirs: Any, document: bytes, width: int, seed: int) -> None:
    """One document of rows, perhaps damaged."""
    ours = read(decode, document)
    try:
        value = theirs(document)
    except UNREADABLE:
        require(ours is None, "msgspec cannot read it", document, seed)
        return
    if not is_table(value, width):
        return  # what else may stand for a number is the decoder's own matter
    try:
        right = np.array(theirs(document, type=list[list[float]]))
    except msgspec.ValidationError:  # an integer that is no double
        return
    if INTEGER_MINUS_ZERO.search(document):
        ours, right = None if ours is None else ours + 0.0, right + 0.0
    if np.isfinite(right).all():
        require(same(ours, right), "msgspec reads other numbers", document, seed)


def check_tensor(chance: random.Random, values: Rows, seed: int) -> None:
    """The numbers as bytes of a dtype, by themselves and inside MessagePack."""
    dtype = chance.choice(DTYPES)
    with np.errstate(all="ignore"):
        array = np.array(values, dtype="float64").astype(dtype)
    decoder = _engine.InputDecoder("matrix", [("x", "float64", (-1, array.shape[1]))])
    shape, body = list(array.shape), array.tobytes()
    right = array.astype("float64")
    if not np.isfinite(right).all():
        return  # whether a model takes those is its own matter
    require(same(read(decoder.decode_tensor, body, dtype, shape), right), dtype, body, seed)
    packed = msgspec.msgpack.encode({"dtype": dtype, "shape": shape, "data": body})
    require(same(read(decoder.decode_msgpack, packed), right), dtype, packed, seed)
    short = body[: chance.randrange(len(body))]
    require(read(decoder.decode_tensor, short, dtype, shape) is None, "cut short", short, seed)


def one_round(seed: int) -> None:
    """Checks one random table, in every form."""
    chance = random.Random(seed)
    width = chance.choice([1, 2, 3, 7, 8, 9, 64])
    rows = [[number(chance) for _ in range(width)] for _ in range(chance.randrange(1, 5))]
    decoder = _engine.InputDecoder("matrix", [("x", "float64", (-1, width))])
    json_text, packed = as_json(chance, rows), msgspec.msgpack.encode(rows)
    for document in (json_text, damaged(chance, json_text)):
        check_document(decoder.decode, msgspec.json.decode, document, width, seed)
    for document in (packed, damaged(chance, packed)):
        check_document(decoder.decode_msgpack, msgspec.msgpack.decode, document, width, seed)
    check_tensor(chance, rows, seed)


def main() -> None:
    """Goes on for as long as asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seconds", type=float)
    parser.add_argument("seed", type=int, nargs="?", default=1)
    options = parser.parse_args()
    end, seed = time.monotonic() + options.seconds, options.seed
    while time.monotonic() < end:
        one_round(seed)
        seed += 1
    tables = seed - options.seed
    sys.stdout.write(
        f"{tables} tables as JSON, MessagePack and bytes, whole and damaged: no finding\n"
    )


if __name__ == "__main__":
    main()
