"""SavedModels: loaded by hand, so that nothing of them runs but what was looked at.

TensorFlow's own loaders run initialisers that the file names, and a graph can read and write files.
Here the operations that can be reached from the signature and from the restoring of variables are
listed first, and initialisers are not run at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from slipstream.adapters.base import Array
from slipstream.adapters.tensorflow import OPSET, OpenedNetwork, Port
from slipstream.errors import ModelLoadError, UnsafeModelError

_DENIED = re.compile(
    r"File|Reader|Record|PyFunc|^Save|MergeV2|Dataset|Iterator|Summary|Rpc|Immutable|^Debug|"
    r"^Send$|^Recv$|^_|Shutdown|Assert.*Host"
)
"""Operations that touch files, Python or other machines."""


def open_saved_model(tf: Any, path: Path) -> OpenedNetwork:
    """The serving signature of the SavedModel whose ``saved_model.pb`` is at ``path``.

    Raises:
        UnsafeModelError: it holds operations that are denied.
        ModelLoadError: it has no signature to serve.
    """
    meta = _meta_graph(path)
    signature = _signature(meta)
    inputs = [_port(tf, name, info) for name, info in sorted(signature.inputs.items())]
    outputs = [_port(tf, name, info) for name, info in sorted(signature.outputs.items())]
    roots = [_node(port.tensor) for port in outputs]
    if meta.saver_def.restore_op_name:
        roots.append(_node(meta.saver_def.restore_op_name))
    _refuse_denied(meta.graph_def, roots)
    graph = tf.Graph()
    with graph.as_default():
        session = tf.compat.v1.Session(graph=graph)
        saver = tf.compat.v1.train.import_meta_graph(meta, clear_devices=True)
        if saver is not None and (path.parent / "variables").is_dir():
            saver.restore(session, str(path.parent / "variables" / "variables"))

    def run(arrays: list[Array]) -> list[Array]:
        feed = {port.tensor: array for port, array in zip(inputs, arrays, strict=True)}
        answers = session.run([port.tensor for port in outputs], feed)
        return [np.asarray(answer) for answer in answers]

    def to_onnx() -> Any:
        import tf2onnx
        from tf2onnx import tf_loader

        names_in = [port.tensor for port in inputs]
        names_out = [port.tensor for port in outputs]
        frozen = tf.compat.v1.graph_util.convert_variables_to_constants(
            session, graph.as_graph_def(), [_node(name) for name in names_out]
        )
        with tf.Graph().as_default():
            inlined = tf_loader.tf_optimize(names_in, names_out, frozen)
        converted, _ = tf2onnx.convert.from_graph_def(
            inlined, input_names=names_in, output_names=names_out, opset=OPSET
        )
        return converted

    return OpenedNetwork(
        what="SavedModel", inputs=inputs, outputs=outputs, run=run, to_onnx=to_onnx
    )


def _meta_graph(path: Path) -> Any:
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel()
    saved.ParseFromString(path.read_bytes())
    serving = [meta for meta in saved.meta_graphs if "serve" in meta.meta_info_def.tags]
    if not serving:
        raise ModelLoadError("the SavedModel has no graph that is tagged 'serve'")
    return serving[0]


def _signature(meta: Any) -> Any:
    """``serving_default``, or the only other one."""
    told = {
        name: signature
        for name, signature in meta.signature_def.items()
        if not name.startswith("__") and signature.inputs and signature.outputs
    }
    if "serving_default" in told:
        return told["serving_default"]
    if len(told) != 1:
        raise ModelLoadError(
            "the SavedModel has no signature 'serving_default' "
            f"(but: {', '.join(sorted(told)) or 'none'}): export it with one"
        )
    return next(iter(told.values()))


def _port(tf: Any, name: str, info: Any) -> Port:
    if not info.name:
        raise ModelLoadError(f"{name!r} of the SavedModel's signature is no dense tensor")
    shape = None
    if not info.tensor_shape.unknown_rank:
        shape = tuple(None if d.size < 0 else int(d.size) for d in info.tensor_shape.dim)
    return Port(name, str(tf.dtypes.as_dtype(info.dtype).name), shape, info.name)


def _node(tensor: str) -> str:
    return tensor.removeprefix("^").partition(":")[0]


def _refuse_denied(graph: Any, roots: Iterable[str]) -> None:
    """Refuse a graph that could reach a denied operation from ``roots``."""
    functions = {function.signature.name: function for function in graph.library.function}
    operations = _reached(graph.node, roots)
    pending, seen = list(operations.values()), set()
    found = set()
    while pending:
        node = pending.pop()
        found.add(node.op)
        for name in _called(node):
            function = functions.get(name)
            if function is not None and name not in seen:
                seen.add(name)
                pending.extend(function.node_def)
    denied = sorted(op for op in found - set(functions) if _DENIED.search(op))
    if denied:
        raise UnsafeModelError(
            f"the SavedModel uses {', '.join(denied[:5])}, which can touch files, Python or other "
            "machines: export only the network, or export it to ONNX",
            operations=denied[:20],
        )


def _reached(nodes: Any, roots: Iterable[str]) -> dict[str, Any]:
    by_name = {node.name: node for node in nodes}
    reached: dict[str, Any] = {}
    pending = list(roots)
    while pending:
        name = pending.pop()
        if name in reached or name not in by_name:
            continue
        reached[name] = by_name[name]
        pending.extend(_node(tensor) for tensor in by_name[name].input)
    return reached


def _called(node: Any) -> Iterable[str]:
    """Functions that an operation may call."""
    yield node.op
    for value in node.attr.values():
        if value.HasField("func"):
            yield value.func.name
        for function in value.list.func:
            yield function.name
