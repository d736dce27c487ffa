"""Where the code of a TorchScript module writes to, by the code alone: in the converter child only.

A call that changes a module need not show it to whoever tries: the branch that writes may not be
taken, what is written may be a view, an element of a list, or a tensor that is registered nowhere.
So the code is read, all of its branches: each value has *places* that it may be or share memory
with (an attribute, an input, a constant, something that the code made), and what an operator
writes to is what its schema says. It errs to one side: a value may be said to be in a place where
it never is, and not the other way round.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeAlias

from slipstream.convert.torch_graph import (
    VALUES,
    Argument,
    Schema,
    is_object,
    kind_of,
    nodes_of,
    prepared,
    schema_of,
    value_at,
)

Place: TypeAlias = tuple[str, str]
"""A kind and a name: of an ``attribute`` its path, ``encoder.hidden``; an ``input``, a
``constant`` in the code, something ``made`` by a node of it, or ``unknown``."""
_Key: TypeAlias = tuple[int, int]
"""A value: the number of its graph, and its own within that."""

ATTRIBUTE, INPUT, CONSTANT, MADE, UNKNOWN = "attribute", "input", "constant", "made", "unknown"
_HOLDERS = frozenset(("ListType", "DictType", "TupleType", "FutureType", "AwaitType"))
_MAY_RETURN_ITS_INPUT = frozenset(
    f"aten::{name}"
    for name in (
        "alpha_dropout atleast_1d atleast_2d atleast_3d chain_matmul dropout einsum "
        "feature_alpha_dropout feature_dropout linalg_multi_dot pixel_shuffle pixel_unshuffle "
        "channel_shuffle rrelu sum_to_size type_as"
    ).split()
)
"""Operators that give a view of an input, or itself, in some cases, and do not say so."""
_STATISTICS = {
    "aten::batch_norm": "training",
    "aten::native_batch_norm": "training",
    "aten::_batch_norm_impl_index": "training",
    "aten::instance_norm": "use_input_stats",
}
"""Operators that write to running statistics if that is true, and do not say so."""


class _Node(NamedTuple):
    """What is kept of a node of a graph."""

    kind: str
    name: str
    inputs: list[_Key]
    outputs: list[_Key]
    kinds: list[str]
    """Of the outputs' types."""
    node: Any
    schema: Schema | None
    graph: int


class Flow:
    """The places of all values that ``forward`` of a module may reach.

    ``written`` are places whose memory may be written to; ``assigned`` paths of attributes that
    may be set, with the types of what they are set to; ``read`` paths that the code gets;
    ``contents`` what was put into a place.
    """

    def __init__(self, module: Any) -> None:
        """Reads the code of ``module``, which is not run."""
        self.written: set[Place] = set()
        self.assigned: dict[str, set[str]] = defaultdict(set)
        self.read: set[str] = set()
        self.contents: dict[Place, set[Place]] = defaultdict(set)
        self._module = module
        self._fields: dict[tuple[Place, str], set[Place]] = defaultdict(set)
        self._points: dict[_Key, set[Place]] = defaultdict(set)
        self._graphs: list[Any] = []
        self._nodes: list[_Node] = []
        self._methods: dict[tuple[str, str], tuple[list[_Key], list[_Key]]] = {}
        self._forks: dict[int, tuple[list[_Key], list[_Key]]] = {}
        self._constants: dict[_Key, Any] = {}
        self._has_grown = True
        inputs, _ = self._add_graph(prepared(module))
        self._points[inputs[0]].add((ATTRIBUTE, ""))
        for number, key in enumerate(inputs[1:]):
            self._points[key].add((INPUT, str(number)))
        self._run()

    def reach(self, places: Iterable[Place]) -> set[Place]:
        """These, and all that was put into them."""
        found, todo = set(places), list(places)
        while todo:
            for place in self.contents.get(todo.pop(), ()):
                if place not in found:
                    found.add(place)
                    todo.append(place)
        return found

    def _run(self) -> None:
        while self._has_grown:
            self._has_grown = False
            at = 0
            while at < len(self._nodes):  # a call of a method adds to them
                self._visit(self._nodes[at])
                at += 1

    def _add_graph(self, graph: Any) -> tuple[list[_Key], list[_Key]]:
        number = len(self._graphs)
        self._graphs.append(graph)
        self._nodes += [self._node(one, number) for one in nodes_of(graph)]
        return _keys(number, graph.inputs()), _keys(number, graph.outputs())

    def _node(self, node: Any, graph: int) -> _Node:
        outputs = list(node.outputs())
        kind = node.kind()
        keys = _keys(graph, outputs)
        if kind == "prim::Constant" and outputs[0].type().kind() in VALUES:
            self._constants[keys[0]] = outputs[0].toIValue()
        text = node.schema()
        return _Node(
            kind,
            node.s("name") if node.hasAttribute("name") and node.kindOf("name") == "s" else "",
            _keys(graph, node.inputs()),
            keys,
            [kind_of(one.type()) for one in outputs],
            node,
            None if text == "(no schema)" else schema_of(text),
            graph,
        )

    def _grow(self, known: set[Place], more: Iterable[Place]) -> None:
        before = len(known)
        known.update(more)
        self._has_grown |= len(known) != before

    def _flows(self, node: _Node, at: int, places: Iterable[Place]) -> None:
        """Output ``at`` may be in these places."""
        if node.kinds[at] not in VALUES:
            self._grow(self._points[node.outputs[at]], places)

    def _of(self, node: _Node, at: int) -> set[Place]:
        return self._points[node.inputs[at]]

    def _all_of(self, node: _Node) -> set[Place]:
        """What the inputs may be or hold."""
        return self.reach(place for key in node.inputs for place in self._points[key])

    def _visit(self, node: _Node) -> None:
        rule = _RULES.get(node.kind)
        if rule is not None:
            rule(self, node)
        elif node.node.hasAttribute("Subgraph"):
            self._subgraph(node)
        elif node.schema is not None:
            self._operator(node, node.schema)
        else:
            for at in range(len(node.outputs)):
                self._flows(node, at, self._all_of(node))

    def _constant(self, node: _Node) -> None:
        self._flows(node, 0, [(CONSTANT, "")])

    def _made(self, node: _Node, at: int = 0) -> Place:
        """What a node makes anew."""
        return (MADE, f"{node.outputs[at][0]}:{node.outputs[at][1]}")

    def _construct(self, node: _Node) -> None:
        made = self._made(node)
        self._flows(node, 0, [made])
        for at in range(len(node.inputs)):
            self._put(made, str(at), self._of(node, at))

    def _put(self, holder: Place, field: str, places: Iterable[Place]) -> None:
        self._grow(self._fields[holder, field], places)
        self._grow(self.contents[holder], places)

    def _field(self, holder: Place, field: str) -> set[Place]:
        """What a part of something may be."""
        if (holder, field) in self._fields:
            return self._fields[holder, field]
        return self.reach([holder])

    def _unpack(self, node: _Node) -> None:
        for at in range(len(node.outputs)):
            for place in list(self._of(node, 0)):
                self._flows(node, at, self._field(place, str(at)))

    def _index(self, node: _Node) -> None:
        number = self._constants.get(node.inputs[1])
        for place in list(self._of(node, 0)):
            self._flows(node, 0, self._field(place, str(number)))

    def _get(self, node: _Node) -> None:
        for place in list(self._of(node, 0)):
            path = self._attribute(place, node.name)
            if path is None:
                self._flows(node, 0, self._field(place, node.name))
            else:
                self.read.add(path)
                self._flows(node, 0, self.reach([(ATTRIBUTE, path)]))

    def _set(self, node: _Node) -> None:
        kind = kind_of(list(node.node.inputs())[1].type())
        for place in list(self._of(node, 0)):
            path = self._attribute(place, node.name)
            if path is not None:
                self.assigned[path].add(kind)
                self._grow(self.contents[ATTRIBUTE, path], self._of(node, 1))
            elif place[0] == MADE:
                self._put(place, node.name, self._of(node, 1))
            else:  # an object in a list, say
                self._grow(self.written, [place])

    def _attribute(self, place: Place, name: str) -> str | None:
        """Path of an attribute of an object that is itself one; None of another."""
        if place[0] != ATTRIBUTE or not is_object(value_at(self._module, place[1])):
            return None
        return f"{place[1]}.{name}" if place[1] else name

    def _if(self, node: _Node) -> None:
        for block in node.node.blocks():
            for at, key in enumerate(_keys(node.graph, block.outputs())):
                self._flows(node, at, self._points[key])

    def _loop(self, node: _Node) -> None:
        block = next(iter(node.node.blocks()))
        inner = _keys(node.graph, block.inputs())[1:]
        ends = _keys(node.graph, block.outputs())[1:]
        for at, (begin, end) in enumerate(zip(inner, ends, strict=True)):
            carried = self._of(node, at + 2) | self._points[end]
            self._grow(self._points[begin], carried)
            self._flows(node, at, carried)

    def _subgraph(self, node: _Node) -> None:
        known = self._forks.get(id(node.node))
        if known is None:
            known = self._forks[id(node.node)] = self._add_graph(node.node.g("Subgraph"))
        inputs, outputs = known
        for at, key in enumerate(inputs):
            self._grow(self._points[key], self._of(node, at))
        given = self.reach(place for key in outputs for place in self._points[key])
        for at in range(len(node.outputs)):
            made = self._made(node, at)  # a future
            self._put(made, "", given)
            self._flows(node, at, {made} | given)

    def _call(self, node: _Node) -> None:
        """A method of an interface, which is known only by the object that has it."""
        for place in list(self._of(node, 0)):
            owner: Any = value_at(self._module, place[1]) if place[0] == ATTRIBUTE else None
            if not is_object(owner) or not owner._has_method(node.name):
                self._unknown(node)
                continue
            known = self._methods.get((place[1], node.name))
            if known is None:
                known = self._add_graph(prepared(owner, node.name, self._module, place[1]))
                self._methods[place[1], node.name] = known
            for at, key in enumerate(known[0]):
                own = [place] if at == 0 else self._of(node, at)
                self._grow(self._points[key], own)
            self._flows(node, 0, self._points[known[1][0]])

    def _unknown(self, node: _Node) -> None:
        """Code that is not there to be read may write to all that it is given."""
        self._grow(self.written, self._all_of(node) | {(UNKNOWN, node.name)})
        for at in range(len(node.outputs)):
            self._flows(node, at, self._all_of(node))

    def _operator(self, node: _Node, schema: Schema) -> None:
        every = range(min(len(node.inputs), len(schema.arguments)))
        statistics = _STATISTICS.get(node.kind)
        if statistics is not None:
            self._batch_norm(node, schema, statistics)
        for at in every:
            argument = schema.arguments[at]
            if argument.is_written:
                self._write(node, at, schema)
        for at, (_, returned) in enumerate(zip(node.outputs, schema.returns, strict=False)):
            self._returns(node, at, schema, returned)

    def _write(self, node: _Node, at: int, schema: Schema) -> None:
        target = set(self._of(node, at))
        if schema.writes_elements:
            target = self.reach(target)
        self._grow(self.written, target)
        is_holder = schema.arguments[at].kind in _HOLDERS or node.kind in _SETS_STORAGE
        if is_holder and not schema.writes_elements:
            others = [key for number, key in enumerate(node.inputs) if number != at]
            more = self.reach(place for key in others for place in self._points[key])
            for place in target:
                self._grow(self.contents[place], more)

    def _returns(self, node: _Node, at: int, schema: Schema, returned: Argument) -> None:
        kind = node.kinds[at]
        if kind in VALUES:
            return
        is_part = schema.is_generic or "*" in returned.sets
        if is_part or kind in _HOLDERS or node.kind in _MAY_RETURN_ITS_INPUT:
            made, given = self._made(node, at), self._all_of(node)
            self._grow(self.contents[made], given)
            self._flows(node, at, {made} | (given if kind not in _HOLDERS or is_part else set()))
        elif not returned.sets:
            self._flows(node, at, [self._made(node, at)])
        for number, argument in enumerate(schema.arguments[: len(node.inputs)]):
            if argument.sets & returned.sets:
                self._flows(node, at, self._of(node, number))

    def _batch_norm(self, node: _Node, schema: Schema, switch: str) -> None:
        names = [argument.name for argument in schema.arguments]
        if self._constants.get(node.inputs[names.index(switch)]) is False:
            return
        for name in ("running_mean", "running_var"):
            self._grow(self.written, self._of(node, names.index(name)))


_SETS_STORAGE = frozenset(("aten::set_", "aten::set_data"))
_RULES: dict[str, Callable[[Flow, _Node], None]] = {
    "prim::Constant": Flow._constant,
    "prim::CreateObject": Flow._construct,
    "prim::TupleConstruct": Flow._construct,
    "prim::ListConstruct": Flow._construct,
    "prim::DictConstruct": Flow._construct,
    "prim::TupleUnpack": Flow._unpack,
    "prim::ListUnpack": Flow._unpack,
    "prim::TupleIndex": Flow._index,
    "prim::GetAttr": Flow._get,
    "prim::SetAttr": Flow._set,
    "prim::If": Flow._if,
    "prim::Loop": Flow._loop,
    "prim::CallMethod": Flow._call,
    "prim::CallFunction": Flow._unknown,
}


def _keys(graph: int, values: Iterable[Any]) -> list[_Key]:
    return [(graph, value.unique()) for value in values]
