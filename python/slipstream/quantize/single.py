"""Graphs in double precision, rewritten to float32: quantizing tools know nothing wider.

scikit-learn computes in double, and so do the graphs that are made of its networks. Inputs and
outputs keep their types; what the narrowing costs is part of what the quantization is judged by.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_INSIDE = "__single"


def narrow(model: Any) -> bool:
    """Rewrites a model in place; returns whether there was anything in double.

    Subgraphs and operators that insist on doubles are left as they are. Where that leaves types
    that do not fit together the runtime refuses the graph, and so whoever quantizes it.
    """
    from onnx import TensorProto

    graph = model.graph
    was_double = False
    for place, tensor in enumerate(graph.initializer):
        if tensor.data_type == TensorProto.DOUBLE:
            graph.initializer[place].CopyFrom(_as_single(tensor))
            was_double = True
    for attribute in (attribute for node in graph.node for attribute in node.attribute):
        if attribute.name == "value" and attribute.t.data_type == TensorProto.DOUBLE:
            attribute.t.CopyFrom(_as_single(attribute.t))
            was_double = True
    if not was_double:
        return False
    for node in graph.node:
        if node.op_type == "Cast":
            for attribute in node.attribute:
                if attribute.name == "to" and attribute.i == TensorProto.DOUBLE:
                    attribute.i = TensorProto.FLOAT
    del graph.value_info[:]
    first = [_cast(name, name + _INSIDE, TensorProto.FLOAT) for name in _doubles(graph.input)]
    last = [_cast(name + _INSIDE, name, TensorProto.DOUBLE) for name in _doubles(graph.output)]
    _rename(graph, {*_doubles(graph.input), *_doubles(graph.output)})
    nodes = [*first, *graph.node, *last]
    del graph.node[:]
    graph.node.extend(nodes)
    return True


def _as_single(tensor: Any) -> Any:
    import numpy as np
    from onnx import numpy_helper

    with np.errstate(over="ignore"):  # to infinity: then the answers tell
        values = numpy_helper.to_array(tensor).astype(np.float32)
    return numpy_helper.from_array(values, tensor.name)


def _doubles(values: Any) -> Iterator[str]:
    from onnx import TensorProto

    for value in values:
        if value.type.tensor_type.elem_type == TensorProto.DOUBLE:
            yield value.name


def _cast(name: str, to_name: str, to: int) -> Any:
    from onnx import helper

    return helper.make_node("Cast", [name], [to_name], name=f"cast_{to_name}", to=to)


def _rename(graph: Any, names: set[str]) -> None:
    """Has every node of the graph use the values inside the casts."""
    for node in graph.node:
        for values in (node.input, node.output):
            for place, name in enumerate(values):
                if name in names:
                    values[place] = name + _INSIDE
        for attribute in node.attribute:
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                _rename(inner, names)
