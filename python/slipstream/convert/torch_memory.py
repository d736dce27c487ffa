"""What a TorchScript module remembers from one call to the next: in the converter child only.

Whatever ``forward`` may change must be set anew for each request, or data of one client reaches
the next. What can be kept, tensors and numbers, each with memory of its own, becomes the state of
the model (``csrc/backends/torch/state.h``); a module that changes something else is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from slipstream.convert.torch_flow import ATTRIBUTE, CONSTANT, INPUT, UNKNOWN, Flow
from slipstream.convert.torch_graph import value_at
from slipstream.convert.torch_places import DTYPES
from slipstream.errors import ModelLoadError

_KEPT_TYPES = frozenset(("TensorType", "IntType", "FloatType", "BoolType", "NoneType"))
_NAMES = {
    "ListType": "a list",
    "DictType": "a dict",
    "TupleType": "a tuple",
    "StringType": "a text",
}
_REMEDY = (
    "only tensors and numbers are kept for whom they belong to. Keep it in tensors: "
    "self.register_buffer(…), and set or change these"
)


class Memory(NamedTuple):
    """What is known of a module by its code."""

    states: tuple[str, ...]
    """Paths of attributes that forward() may change, ``encoder.hidden``, sorted: tensors and
    numbers, in branches that are seldom taken as well."""
    writes_inputs: bool
    """Whether it may write to its inputs."""
    read: tuple[str, ...]
    """Paths of all attributes that it uses."""


def memory_of(module: Any, also_changed: Sequence[str] = ()) -> Memory:
    """What a module remembers.

    Args:
        module: A TorchScript module; it is not run.
        also_changed: Paths of tensors that it was seen to change in place.

    Raises:
        ModelLoadError: it changes what cannot be kept: a list, a dict, an object's part of one, a
            constant of its code, a tensor that shares its memory with another attribute.
    """
    flow = Flow(module)
    flow.written.update((ATTRIBUTE, path) for path in also_changed)
    in_place = sorted(path for kind, path in flow.written if kind == ATTRIBUTE)
    for kind, name in flow.written:
        if kind == UNKNOWN:
            raise ModelLoadError(
                f"forward() calls {name!r} of an object, whose code cannot be read, so that it "
                "cannot be told what is remembered from one request to the next"
            )
    if any(kind == CONSTANT for kind, _ in flow.written):
        raise ModelLoadError(
            "forward() changes in place a constant of its code (a tensor that tracing took for "
            f"one), which would go from one request into the next; {_REMEDY}"
        )
    for path, kinds in sorted(flow.assigned.items()):
        for kind in sorted(kinds - _KEPT_TYPES):
            raise _refusal(path, _NAMES.get(kind, f"a {kind.removesuffix('Type')}"))
    changed = [path for path in in_place if _may_change(module, path)]
    _require_own_memory(module, flow, changed)
    return Memory(
        states=tuple(sorted({*changed, *flow.assigned})),
        writes_inputs=any(kind == INPUT for kind, _ in flow.written),
        read=tuple(sorted(flow.read)),
    )


def _refusal(path: str, what: str) -> ModelLoadError:
    return ModelLoadError(
        f"forward() changes the attribute {path!r}, {what}, which would go from one request into "
        f"the next; {_REMEDY}"
    )


def _may_change(module: Any, path: str) -> bool:
    """Whether a value that is written to in place can be: numbers cannot.

    Raises:
        ModelLoadError: it can, and cannot be kept.
    """
    import torch

    value = value_at(module, path)
    if isinstance(value, torch.Tensor):
        name = str(value.dtype).removeprefix("torch.")
        if value.layout is not torch.strided or name not in DTYPES:
            raise _refusal(path, f"a tensor of {name}, {value.layout}".replace("torch.", ""))
        return True
    if isinstance(value, list | dict | tuple):
        raise _refusal(path, f"a {type(value).__name__}")
    if value is None or isinstance(value, bool | int | float | str):
        return False
    raise _refusal(path, "an object")


def _require_own_memory(module: Any, flow: Flow, changed: Sequence[str]) -> None:
    """Refuses tensors that are changed in place, and are parts of others or may become that.

    They are kept one by one, so that a change of one would no longer be one of the other.
    """
    known = {path: _memory_at(module, path) for path in {*flow.read, *changed}}
    for path in changed:
        for other, memory in sorted(known.items()):
            if other != path and memory & known[path]:
                raise _shared(path, other)
    for path in sorted(flow.assigned):
        own = flow.reach([(ATTRIBUTE, path)])
        for other in sorted({*flow.read, *flow.assigned}):
            is_changed = path in changed or other in changed
            if other != path and is_changed and own & flow.reach([(ATTRIBUTE, other)]):
                raise _shared(path, other)


def _shared(path: str, other: str) -> ModelLoadError:
    return ModelLoadError(
        f"forward() changes in place the attribute {path!r} or {other!r}, and both may be one "
        "memory: one of them a view of the other, or set to it. They cannot be kept apart from "
        "request to request: give each its own, with .clone()"
    )


def _memory_at(module: Any, path: str) -> frozenset[int]:
    """Where the tensors of an attribute lie."""
    return frozenset(
        tensor.untyped_storage().data_ptr()
        for tensor in _tensors_in(value_at(module, path))
        if tensor.layout is _strided() and tensor.numel() != 0
    )


def _strided() -> Any:
    import torch

    return torch.strided


def _tensors_in(value: Any) -> Iterator[Any]:
    import torch

    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, list | tuple | dict):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _tensors_in(part)


def seen_changing(module: Any, memory: Memory, call: Callable[[Any], None]) -> list[str]:
    """Attributes that are no states, and that ``call`` changed: what the code did not show.

    Args:
        module: Nobody has called it.
        memory: What its code shows.
        call: Calls the module that it is given.

    Raises:
        ModelLoadError: one is no tensor.
    """
    unknown = [path for path in memory.read if path not in memory.states]
    before = {path: _versions(module, path) for path in unknown}
    call(module)
    changed = [path for path in unknown if _versions(module, path) != before[path]]
    for path in changed:
        _may_change(module, path)
    return changed


def _versions(module: Any, path: str) -> list[tuple[int, int]]:
    return [
        (one.data_ptr(), one._version)
        for one in _tensors_in(value_at(module, path))
        if one.layout is _strided()
    ]
