"""Names for the tensors that a torch model takes and gives: paths into tuples, lists and dicts.

The same rules as in ``csrc/backends/torch/layout.h``, which the finished artifact follows: `x`,
`pair.0`, `batch.ids`; what is returned as a whole is `output`, an element of a tuple `output_0`, a
key of a dict or a field of a named tuple its own name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from slipstream.errors import ModelLoadError

_SCALARS = {
    "IntType": "int64",
    "FloatType": "float64",
    "BoolType": "bool",
    "StringType": "string",
}
_MOST_TENSORS = 64
DTYPES = frozenset(
    (
        "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 bfloat16 float32 float64"
    ).split()
)
"""Of the tensors of torch that requests and answers may have, and a model may keep."""


class Leaf(NamedTuple):
    """One tensor that makes up an argument."""

    name: str
    dtype: str | None
    """None for a tensor of which the model does not say it."""
    rank: int | None
    """0 for a number or a text, 1 for a list of texts; None for a tensor."""


class Argument(NamedTuple):
    """One argument of ``forward``."""

    name: str
    leaves: tuple[Leaf, ...]
    build: Callable[[Mapping[str, Any]], Any]
    """From the values of the leaves, by name."""


def argument_of(kind: Any, name: str, told: list[str]) -> Argument:
    """The parts of an argument of TorchScript type ``kind``.

    Args:
        kind: A ``torch._C`` type.
        name: Of the argument.
        told: Names that the operator's file has; they say what lists and dicts hold.

    Raises:
        ModelLoadError: it holds what cannot be told or served.
    """
    leaves: list[Leaf] = []
    build = _place(kind, name, told, leaves)
    if len(leaves) > _MOST_TENSORS:
        raise ModelLoadError(f"argument {name!r} is made of more than {_MOST_TENSORS} tensors")
    return Argument(name, tuple(leaves), build)


def _place(
    kind: Any, path: str, told: list[str], leaves: list[Leaf]
) -> Callable[[Mapping[str, Any]], Any]:
    what = kind.kind()
    if what == "OptionalType":
        return _place(kind.getElementType(), path, told, leaves)
    if what == "TensorType":
        leaves.append(Leaf(path, None, None))
        return lambda values: values[path]
    if what in _SCALARS:
        leaves.append(Leaf(path, _SCALARS[what], 0))
        return lambda values: values[path]
    if what == "TupleType":
        names = _field_names(kind)
        parts = [
            _place(element, f"{path}.{names[place]}", told, leaves)
            for place, element in enumerate(kind.elements())
        ]
        return lambda values: tuple(part(values) for part in parts)
    if what == "ListType" and kind.getElementType().kind() == "StringType":
        leaves.append(Leaf(path, "string", 1))
        return lambda values: values[path]
    if what in ("ListType", "DictType"):
        return _collection(kind, path, told, leaves)
    raise ModelLoadError(
        f"forward() takes a {kind.annotation_str} as {path!r}: only tensors, numbers, texts, and "
        "tuples, lists and dicts of them can be served"
    )


def _collection(
    kind: Any, path: str, told: list[str], leaves: list[Leaf]
) -> Callable[[Mapping[str, Any]], Any]:
    is_dict = kind.kind() == "DictType"
    element = kind.getValueType() if is_dict else kind.getElementType()
    holds_leaves = element.kind() == "TensorType" or element.kind() in _SCALARS
    keys = _keys_below(path, told, whole=is_dict and holds_leaves)
    if not keys:
        example = "KEY" if is_dict else "0"
        raise ModelLoadError(
            f"forward() takes a {kind.annotation_str} as {path!r}, and does not say what is in it: "
            f"tell in the file MODEL.toml beside it, as [inputs.{path}.{example}]"
        )
    parts = [_place(element, f"{path}.{key}", told, leaves) for key in keys]
    if is_dict:
        return lambda values: {key: part(values) for key, part in zip(keys, parts, strict=True)}
    return lambda values: [part(values) for part in parts]


def _field_names(kind: Any) -> list[str]:
    named = getattr(kind, "names", None)
    names = named() if callable(named) else []
    return list(names) or [str(place) for place in range(len(kind.elements()))]


def _keys_below(path: str, told: list[str], *, whole: bool) -> list[str]:
    rests = [name.removeprefix(f"{path}.") for name in told if name.startswith(f"{path}.")]
    return list(dict.fromkeys(rest if whole else rest.partition(".")[0] for rest in rests))


def flatten(value: Any) -> list[tuple[str, Any]]:
    """What ``forward`` returned, as named tensors, numbers and texts in their order.

    Raises:
        ModelLoadError: something else is in it, or there is nothing in it.
    """
    if not isinstance(value, tuple | list | dict) or _is_texts(value):
        return [("output", _checked("output", value))]
    found = list(_parts(value, ""))
    if not 0 < len(found) <= _MOST_TENSORS:
        raise ModelLoadError(
            f"forward() returns {len(found)} tensors; 1 to {_MOST_TENSORS} can be served"
        )
    return found


def require_dtype(kind: str, name: str, dtype: str) -> None:
    """Refuses tensors of numbers that no request and no answer has.

    Raises:
        ModelLoadError: the ``kind`` (input, output) called ``name`` is of such a dtype.
    """
    if dtype not in DTYPES:
        remedy = ": torch.view_as_real gives their parts" if "complex" in dtype else ""
        raise ModelLoadError(f"{kind}s of dtype {dtype}, as {name!r}, cannot be served{remedy}")


def _parts(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        items = [(str(key), part) for key, part in value.items()]
        if not all(isinstance(key, str) for key in value):
            raise ModelLoadError("forward() returns a dict whose keys are no texts")
    elif isinstance(value, tuple | list) and not _is_texts(value):
        fields = getattr(value, "_fields", None) or [str(place) for place in range(len(value))]
        items = list(zip(fields, value, strict=True))
    else:
        yield path, _checked(path, value)
        return
    for key, part in items:
        is_place = not isinstance(value, dict) and key.isdecimal()
        name = f"{path}.{key}" if path else f"output_{key}" if is_place else key
        yield from _parts(part, name)


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, str) for one in value)


def _checked(path: str, value: Any) -> Any:
    import torch

    if isinstance(value, torch.Tensor | int | float | str) or _is_texts(value):
        return value
    raise ModelLoadError(
        f"forward() returns a {type(value).__name__} as {path!r}: only tensors, numbers, texts, "
        "and tuples, lists and dicts of them can be served"
    )
