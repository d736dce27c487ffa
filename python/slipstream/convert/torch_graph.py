"""Reading graphs of TorchScript: in the converter child only."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

VALUES = frozenset(
    ("IntType", "FloatType", "BoolType", "StringType", "NoneType", "DeviceObjType", "NumberType")
)
"""Types whose values cannot change."""
_GENERIC = re.compile(r"t\b|Dict\(")
"""What an operator gives that takes any type."""


OPAQUE = object()
"""Stands for an attribute that Python cannot be shown."""


class Argument(NamedTuple):
    """Of an operator, as its schema says."""

    name: str
    kind: str
    sets: frozenset[str]
    is_written: bool


class Schema(NamedTuple):
    """Of an operator."""

    arguments: tuple[Argument, ...]
    returns: tuple[Argument, ...]
    is_generic: bool
    """Whether it gives back what it is given, of any type."""
    writes_elements: bool


def kind_of(kind: Any) -> str:
    """The name of a type; of an optional one what it is if it is there."""
    what: str = kind.kind()
    return kind_of(kind.getElementType()) if what == "OptionalType" else what


@functools.lru_cache(maxsize=4096)
def schema_of(text: str) -> Schema:
    """What an operator does with its arguments."""
    import torch

    parsed = torch._C.parse_schema(text)
    result = text.rpartition("->")[2].strip()
    return Schema(
        tuple(map(_argument, parsed.arguments)),
        tuple(map(_argument, parsed.returns)),
        bool(_GENERIC.match(result)),
        "!)[]" in text.partition("->")[0],
    )


def _argument(given: Any) -> Argument:
    info = given.alias_info
    before = frozenset(info.before_set) if info else frozenset()
    return Argument(given.name, kind_of(given.type), before, bool(info and info.is_write))


def nodes_of(block: Any) -> Iterator[Any]:
    """Those of a graph or a block, with those of the blocks in them."""
    for node in block.nodes():
        yield node
        for inner in node.blocks():
            yield from nodes_of(inner)


def is_object(value: Any) -> bool:
    """Whether it has attributes: a module, or an object of a class of TorchScript."""
    return hasattr(value, "getattr") and hasattr(value, "_has_method")


def value_at(module: Any, path: str) -> Any:
    """The attribute at a path; the module's own object for the empty path; None if there is none.

    Submodules and objects are given as what TorchScript knows them by.
    """
    value = module._c if hasattr(module, "_c") else module
    for name in path.split(".") if path else ():
        if not is_object(value) or not value.hasattr(name):
            return None
        try:
            value = value.getattr(name)
        except RuntimeError:  # an object of a class that this Python does not have
            return OPAQUE
        value = getattr(value, "_c", value)
    return value


def prepared(owner: Any, method: str = "forward", root: Any = None, path: str = "") -> Any:
    """A copy of a method's graph: calls inlined, what is the same in every call folded.

    A branch that ``training`` or another constant attribute switches off is not in it.
    """
    import torch

    owned = getattr(owner, "_c", owner)
    graph = owned._get_method(method).graph.copy()
    graphs = [graph]
    for one in graphs:  # what is found on the way is appended
        torch._C._jit_pass_inline(one)
        graphs += [node.g("Subgraph") for node in nodes_of(one) if node.hasAttribute("Subgraph")]
    nodes = [node for one in graphs for node in nodes_of(one)]
    is_whole = not any(node.kind() in ("prim::CallMethod", "prim::CallFunction") for node in nodes)
    folder = _Folder(
        owner if root is None else root,
        frozenset(node.s("name") for node in nodes if node.kind() == "prim::SetAttr"),
        None if is_whole else frozenset(("training",)),
    )
    folder.fold(graph, {next(iter(graph.inputs())).debugName(): path})
    return graph


class _Folder(NamedTuple):
    """Replaces attributes that nothing sets, and whose values cannot change, by these."""

    root: Any
    changed: frozenset[str]
    only: frozenset[str] | None
    """Names that may be folded where some code is not there to be read; None for all."""

    def fold(self, graph: Any, paths: dict[str, str]) -> None:
        """``paths`` are those of the objects that the graph is given."""
        import torch

        for node in list(nodes_of(graph)):
            if node.hasAttribute("Subgraph"):
                inner = node.g("Subgraph")
                pairs = zip(inner.inputs(), node.inputs(), strict=True)
                found = {one.debugName(): _path_to(given, paths) for one, given in pairs}
                self.fold(inner, {name: path for name, path in found.items() if path is not None})
            elif node.kind() == "prim::GetAttr" and self._may_fold(node):
                path = _path_to(node.output(), paths)
                value = None if path is None else value_at(self.root, path)
                if isinstance(value, bool | int | float | str):
                    with graph.insert_point_guard(node):
                        node.output().replaceAllUsesWith(graph.insertConstant(value))
        passes: Any = torch._C  # its stubs do not know all of them
        passes._jit_pass_constant_propagation_immutable_types(graph)

    def _may_fold(self, node: Any) -> bool:
        name = node.s("name")
        is_value = node.output().type().kind() in VALUES
        return is_value and name not in self.changed and (self.only is None or name in self.only)


def _path_to(value: Any, paths: dict[str, str]) -> str | None:
    """Of an attribute that is reached by names alone from one of ``paths``."""
    parts: list[str] = []
    while value.debugName() not in paths:
        node = value.node()
        if node.kind() != "prim::GetAttr":
            return None
        parts.append(node.s("name"))
        value = next(iter(node.inputs()))
    return ".".join(filter(None, (paths[value.debugName()], *reversed(parts))))
