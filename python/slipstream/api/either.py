"""One input or several: a body whose rows may come without the list around them.

The rank of the model's inputs decides. For one that takes rows of numbers, ``[1, 2]`` is one input
and ``[[1, 2]]`` a batch of one; a bare value is a row of one value. What is one input is wrapped,
and the reader of rows (csrc/wire) sees nothing else than a batch. Nothing is read here but the
brackets that a value begins with.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import msgspec

from slipstream.api.version import Version
from slipstream.decoding import json_decoder
from slipstream.engine.signature import Signature, Spec
from slipstream.errors import InvalidInputError

_OPENING = re.compile(rb"[ \t\r\n\[]*")
_members = json_decoder(dict[str, msgspec.Raw])
_NUMBERS = frozenset("bool int8 int16 int32 int64 uint8 uint16 uint32 uint64".split()) | {
    *("float16", "bfloat16", "float32", "float64")
}


class Form(NamedTuple):
    """How a body was read, and how its answer is to be."""

    is_single: bool
    """One input, whose answer is one element of what the model answers."""
    is_wrapped: bool
    """Whether a list was put around it, so that one has to be taken off the answer."""
    is_number: bool
    """Whether what the model answers for a row is one number, perhaps in a list of its own."""


def lifted(version: Version, data: bytes | memoryview) -> tuple[bytes | memoryview, Form]:
    """``data``, JSON, as the rows that a model takes.

    What fits no model comes back as it is: the reader of rows says what is wrong.

    Raises:
        InvalidInputError: it is null, or begins with nothing: a row needs a value.
    """
    _require_something(data)
    signature = version.signature
    is_number = _answers_numbers(version)
    if signature.layout == "tensors" and not signature.is_batchable:
        return data, Form(True, False, False)
    missing = _missing(signature, data)
    if not missing:
        return data, Form(False, False, is_number)
    if isinstance(missing, int):
        return b"[" * missing + bytes(data) + b"]" * missing, Form(True, True, is_number)
    inputs = _members(data)
    wrapped = b",".join(
        msgspec.json.encode(name) + b":" + b"[" * missing[name] + bytes(raw) + b"]" * missing[name]
        for name, raw in inputs.items()
    )
    return b"{" + wrapped + b"}", Form(True, True, is_number)


def unwrapped(predictions: bytes, form: Form) -> bytes:
    """What a model answered, JSON, as who asked in that form expects it."""
    if predictions[:1] == b"{":
        if not form.is_wrapped:
            return predictions
        members = (
            msgspec.json.encode(name) + b":" + _first(raw)
            for name, raw in _members(predictions).items()
        )
        return b"{" + b",".join(members) + b"}"
    if form.is_number and predictions[:2] == b"[[":
        predictions = b"[" + predictions.translate(None, b"[]") + b"]"
    return _first(predictions) if form.is_wrapped else predictions


_rows = json_decoder(list[msgspec.Raw])


def _first(rows: bytes | msgspec.Raw) -> bytes:
    """The only element; all of it where there is another number of them."""
    elements = _rows(rows)
    return bytes(elements[0]) if len(elements) == 1 else bytes(rows)


def _require_something(data: bytes | memoryview) -> None:
    depth, behind = _opening(data)
    found = None
    if behind == b"]":
        found = "an empty list"
    elif depth == 0:
        found = "an empty text" if bytes(data[:2]) == b'""' else None
        found = "null" if behind == b"n" else found
    if found is not None:
        raise InvalidInputError(
            f"'inputs' has {found} for a row; send one row, or a list of rows, each with a value "
            "at least",
            key="inputs",
        )


def _missing(signature: Signature, data: bytes | memoryview) -> int | dict[str, int]:
    """How many lists are missing around the data; by input where the model has several."""
    if signature.layout != "tensors":
        rank = 2 if signature.layout == "columns" else len(signature.inputs[0][2])
        return _lists_missing(signature, rank, data, is_row_object=True)
    depth, behind = _opening(data)
    if depth == 0 and behind == b"{":
        return _missing_by_name(signature, data)
    if len(signature.inputs) > 1:
        return 0
    return _lists_missing(signature, len(signature.inputs[0][2]), data, is_row_object=False)


def _missing_by_name(signature: Signature, data: bytes | memoryview) -> int | dict[str, int]:
    try:
        given = _members(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return 0
    ranks = {name: len(dims) for name, _, dims in signature.inputs}
    if set(given) != set(ranks):
        return 0
    for raw in given.values():
        _require_something(memoryview(raw))
    missing = {
        name: _lists_missing(signature, ranks[name], memoryview(raw), is_row_object=False)
        for name, raw in given.items()
    }
    return missing if all(missing.values()) else 0


def _lists_missing(
    signature: Signature, rank: int, data: bytes | memoryview, *, is_row_object: bool
) -> int:
    depth, behind = _opening(data)
    stands_for_list = (behind == b"{" and is_row_object) or (
        behind == b'"' and signature.takes_text
    )
    depth += stands_for_list
    if depth == 0:
        return rank if behind else 0
    return 1 if depth == rank - 1 else 0


def _opening(data: bytes | memoryview) -> tuple[int, bytes]:
    """How many lists a value begins with, and the first byte behind their brackets."""
    found = _OPENING.match(data)
    assert found is not None, "it matches nothing, too"
    return found[0].count(b"["), bytes(data[found.end() : found.end() + 1])


def _answers_numbers(version: Version) -> bool:
    """Whether the model's only answer for a row is one number."""
    if version.manifest.predictions is not None:
        return False  # its row is a value already
    shown = [spec for spec in version.signature.outputs if _is_shown(version.signature, spec)]
    return len(shown) == 1 and shown[0][2][1:] == (1,) and shown[0][1] in _NUMBERS


def _is_shown(signature: Signature, spec: Spec) -> bool:
    return spec[0] not in signature.kept_outputs
