"""Write the ONNX models that the conformance suite runs, with ONNX Runtime's own answers.

``make_models.py FOLDER`` leaves there, for each model, ``<name>.onnx`` and, where Python can feed
it, ``<name>.reference`` (the format is described in reference.h), plus ``libonnxruntime.so``, a
link to the library of the installed wheel.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
IR_VERSION = 8
Array = NDArray[np.generic]
Dims = Sequence[int | str | None] | None

FLOAT, DOUBLE, HALF = TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16
INT64, STRING, BOOL = TensorProto.INT64, TensorProto.STRING, TensorProto.BOOL


def value(name: str, element_type: int, dims: Dims) -> onnx.ValueInfoProto:
    """Describe a graph input or output; a dim of None is dynamic and unnamed."""
    return helper.make_tensor_value_info(name, element_type, dims)


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    constants: dict[str, Array] | None = None,
    opset: int = OPSET,
) -> onnx.ModelProto:
    """Assemble a model; ``constants`` become initializers."""
    initializers = [numpy_helper.from_array(a, name) for name, a in (constants or {}).items()]
    graph = helper.make_graph(nodes, "conformance", inputs, outputs, initializers)
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)


def mlp() -> onnx.ModelProto:
    """16 -> 64 -> 3 with a batch axis called "batch"."""
    rng = np.random.default_rng(0)
    constants: dict[str, Array] = {
        "w1": rng.normal(size=(16, 64)).astype(np.float32),
        "b1": rng.normal(size=64).astype(np.float32),
        "w2": rng.normal(size=(64, 3)).astype(np.float32),
        "b2": rng.normal(size=3).astype(np.float32),
    }
    nodes = [
        helper.make_node("Gemm", ["x", "w1", "b1"], ["h"]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("Gemm", ["r", "w2", "b2"], ["z"]),
        helper.make_node("Softmax", ["z"], ["y"], axis=1),
    ]
    inputs = [value("x", FLOAT, ["batch", 16])]
    return model(nodes, inputs, [value("y", FLOAT, ["batch", 3])], constants)


def many() -> onnx.ModelProto:
    """Two inputs of different types, three outputs."""
    nodes = [
        helper.make_node("Cast", ["counts"], ["counts_f"], to=FLOAT),
        helper.make_node("Concat", ["features", "counts_f"], ["joined"], axis=1),
        helper.make_node("ReduceSum", ["joined", "axis"], ["total"], keepdims=0),
        helper.make_node("Mul", ["counts", "two"], ["doubled"]),
    ]
    inputs = [value("features", FLOAT, ["n", 4]), value("counts", INT64, ["n", 2])]
    outputs = [
        value("joined", FLOAT, ["n", 6]),
        value("total", FLOAT, ["n"]),
        value("doubled", INT64, ["n", 2]),
    ]
    constants: dict[str, Array] = {"axis": np.array([1]), "two": np.array([2])}
    return model(nodes, inputs, outputs, constants)


def strings() -> onnx.ModelProto:
    """Strings through, strings joined, and strings compared."""
    nodes = [
        helper.make_node("Identity", ["words"], ["same"]),
        helper.make_node("StringConcat", ["words", "suffix"], ["joined"]),
    ]
    inputs = [value("words", STRING, ["n", 2])]
    outputs = [value("same", STRING, ["n", 2]), value("joined", STRING, ["n", 2])]
    constants: dict[str, Array] = {"suffix": np.array(["!"], dtype=object)}
    return model(nodes, inputs, outputs, constants, opset=20)


def dynamic() -> onnx.ModelProto:
    """Inner axes of any size."""
    nodes = [
        helper.make_node("Mul", ["x", "x"], ["squares"]),
        helper.make_node("ReduceMax", ["x"], ["peak"], axes=[1, 2], keepdims=0),
    ]
    inputs = [value("x", FLOAT, ["batch", "time", "channel"])]
    outputs = [
        value("squares", FLOAT, ["batch", "time", "channel"]),
        value("peak", FLOAT, ["batch"]),
    ]
    return model(nodes, inputs, outputs)


def fixed() -> onnx.ModelProto:
    """A first dimension of exactly 2, mixed by the model, and an output without dimensions."""
    nodes = [
        helper.make_node("ReduceSum", ["x", "axis"], ["columns"], keepdims=0),
        helper.make_node("ReduceMax", ["x"], ["peak"], keepdims=0),
    ]
    inputs = [value("x", FLOAT, [2, 4])]
    outputs = [value("columns", FLOAT, [4]), value("peak", FLOAT, [])]
    constants: dict[str, Array] = {"axis": np.array([0])}
    return model(nodes, inputs, outputs, constants)


def types() -> onnx.ModelProto:
    """An input and an output of every numeric type that NumPy has."""
    dtypes = ["float16", "float64", "bool"]
    dtypes += [f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)]
    nodes, inputs, outputs = [], [], []
    for name in dtypes:
        element_type = helper.np_dtype_to_tensor_dtype(np.dtype(name))
        inputs.append(value(f"in_{name}", element_type, ["n", 3]))
        outputs.append(value(f"out_{name}", element_type, ["n", 3]))
        if name == "bool":
            nodes.append(helper.make_node("Not", [f"in_{name}"], [f"out_{name}"]))
            continue
        nodes += [  # by way of double: not every type has an Add
            helper.make_node("Cast", [f"in_{name}"], [f"wide_{name}"], to=DOUBLE),
            helper.make_node("Add", [f"wide_{name}", "one"], [f"more_{name}"]),
            helper.make_node("Cast", [f"more_{name}"], [f"out_{name}"], to=element_type),
        ]
    return model(nodes, inputs, outputs, {"one": np.array(1.0)})


def bfloat16() -> onnx.ModelProto:
    """bfloat16 in and out, and widened."""
    nodes = [
        helper.make_node("Identity", ["x"], ["same"]),
        helper.make_node("Cast", ["x"], ["wide"], to=FLOAT),
    ]
    outputs = [
        value("same", TensorProto.BFLOAT16, ["n", 3]),
        value("wide", FLOAT, ["n", 3]),
    ]
    return model(nodes, [value("x", TensorProto.BFLOAT16, ["n", 3])], outputs)


def dropout() -> onnx.ModelProto:
    """An operator that the CPU lacks in this type, and that optimisation takes away."""
    nodes = [
        helper.make_node("Dropout", ["x"], ["same"]),
        helper.make_node("Cast", ["same"], ["wide"], to=FLOAT),
    ]
    inputs = [value("x", TensorProto.BFLOAT16, ["n", 3])]
    return model(nodes, inputs, [value("wide", FLOAT, ["n", 3])])


def aliases() -> onnx.ModelProto:
    """Outputs that need no computation: the input itself, a copy of it, a constant."""
    nodes = [helper.make_node("Identity", ["x"], ["copy"])]
    inputs = [value("x", FLOAT, ["n", 4])]
    outputs = [
        value("x", FLOAT, ["n", 4]),
        value("copy", FLOAT, ["n", 4]),
        value("table", FLOAT, [2, 2]),
    ]
    constants: dict[str, Array] = {"table": np.arange(4, dtype=np.float32).reshape(2, 2)}
    return model(nodes, inputs, outputs, constants)


def unnamed() -> onnx.ModelProto:
    """Dynamic first dimensions without names, as skl2onnx writes them."""
    nodes = [
        helper.make_node("ArgMax", ["x"], ["label"], axis=1, keepdims=0),
        helper.make_node("Softmax", ["x"], ["probabilities"], axis=1),
    ]
    outputs = [value("label", INT64, [None]), value("probabilities", FLOAT, [None, 5])]
    return model(nodes, [value("x", FLOAT, [None, 5])], outputs)


def overridable() -> onnx.ModelProto:
    """An initializer that is listed as an input too: callers need not give it."""
    nodes = [helper.make_node("Mul", ["x", "scale"], ["y"])]
    inputs = [value("x", FLOAT, ["n", 2]), value("scale", FLOAT, [1])]
    constants: dict[str, Array] = {"scale": np.array([3.0], dtype=np.float32)}
    return model(nodes, inputs, [value("y", FLOAT, ["n", 2])], constants)


def open_rank() -> onnx.ModelProto:
    """An output whose rank shape inference cannot tell: the axis to drop is computed."""
    nodes = [
        helper.make_node("Mul", ["x", "zero"], ["zeros"]),
        helper.make_node("ReduceMax", ["zeros"], ["nought"], keepdims=0),
        helper.make_node("Cast", ["nought"], ["whole"], to=INT64),
        helper.make_node("Add", ["whole", "one"], ["axis"]),
        helper.make_node("Squeeze", ["x", "axis"], ["y"]),
    ]
    constants: dict[str, Array] = {"zero": np.array(0, dtype=np.float32), "one": np.array([1])}
    inputs = [value("x", FLOAT, ["n", 1, 3])]
    return model(nodes, inputs, [value("y", FLOAT, None)], constants)


def nonzero() -> onnx.ModelProto:
    """An output as long as the data says, and no longer than the input."""
    nodes = [helper.make_node("NonZero", ["x"], ["where"])]
    outputs = [value("where", INT64, [1, None])]
    return model(nodes, [value("x", BOOL, ["n"])], outputs)


def clipped() -> onnx.ModelProto:
    """Rows as long as the longest of a batch, which a shape on the host is made of."""
    nodes = [
        helper.make_node("ReduceMax", ["lengths"], ["longest"], keepdims=0),
        helper.make_node("Reshape", ["longest", "one"], ["end"]),
        helper.make_node("Slice", ["x", "zero", "end", "one"], ["y"]),
    ]
    constants: dict[str, Array] = {"zero": np.array([0]), "one": np.array([1])}
    inputs = [value("x", FLOAT, ["n", 8]), value("lengths", INT64, ["n", 1])]
    return model(nodes, inputs, [value("y", FLOAT, ["n", None])], constants)


def mixed_axes() -> onnx.ModelProto:
    """Dynamic first dimensions of different names."""
    nodes = [helper.make_node("Concat", ["a", "b"], ["y"], axis=0)]
    inputs = [value("a", FLOAT, ["m", 2]), value("b", FLOAT, ["n", 2])]
    return model(nodes, inputs, [value("y", FLOAT, ["rows", 2])])


def shrinks() -> onnx.ModelProto:
    """Looks like a batch and gives back a row less."""
    nodes = [helper.make_node("Slice", ["x", "start", "end"], ["y"])]
    outputs = [value("y", FLOAT, [None, 2])]
    constants: dict[str, Array] = {"start": np.array([1]), "end": np.array([1 << 40])}
    return model(nodes, [value("x", FLOAT, ["n", 2])], outputs, constants)


def lookup() -> onnx.ModelProto:
    """Fails while running: an index beyond the table."""
    nodes = [helper.make_node("Gather", ["table", "index"], ["y"], axis=0)]
    constants: dict[str, Array] = {"table": np.arange(10, dtype=np.float32)}
    return model(nodes, [value("index", INT64, ["n"])], [value("y", FLOAT, ["n"])], constants)


def sequence() -> onnx.ModelProto:
    """A sequence of tensors for an output."""
    nodes = [helper.make_node("SplitToSequence", ["x"], ["parts"], axis=0)]
    parts = helper.make_tensor_sequence_value_info("parts", FLOAT, None)
    return model(nodes, [value("x", FLOAT, ["n", 2])], [parts])


def zipmap() -> onnx.ModelProto:
    """What skl2onnx exports for a classifier by default: a sequence of maps."""
    nodes = [
        helper.make_node("ZipMap", ["x"], ["z"], domain="ai.onnx.ml", classlabels_int64s=[0, 1])
    ]
    entry = helper.make_map_type_proto(INT64, helper.make_tensor_type_proto(FLOAT, []))
    output = helper.make_value_info("z", helper.make_sequence_type_proto(entry))
    made = model(nodes, [value("x", FLOAT, ["n", 2])], [output])
    made.opset_import.append(helper.make_opsetid("ai.onnx.ml", 1))
    return made


def float8() -> onnx.ModelProto:
    """An element type that slipstream does not carry."""
    nodes = [helper.make_node("Cast", ["x"], ["y"], to=TensorProto.FLOAT8E5M2)]
    outputs = [value("y", TensorProto.FLOAT8E5M2, ["n", 2])]
    return model(nodes, [value("x", FLOAT, ["n", 2])], outputs, opset=19)


def future_opset() -> onnx.ModelProto:
    """Needs an operator set that does not exist yet."""
    made = mlp()
    made.opset_import[0].version = 9999
    return made


def hex_of(array: Array) -> str:
    """The elements in the reference format."""
    if array.dtype.kind in "OUS":
        return ",".join(str(item).encode().hex() or "-" for item in array.ravel())
    return array.tobytes().hex() or "-"


def line_of(kind: str, name: str, array: Array) -> str:
    """One tensor in the reference format."""
    dtype = "string" if array.dtype.kind in "OUS" else array.dtype.name
    dims = ",".join(map(str, array.shape)) or "-"
    return f"{kind} {name} {dtype} {dims} {hex_of(array)}\n"


def example(info: onnxruntime.NodeArg, rows: int, rng: np.random.Generator) -> Array:
    """An input for one row count; dynamic inner dimensions have size 5."""
    shape = [size if isinstance(size, int) else 5 for size in info.shape]
    if not isinstance(info.shape[0], int):
        shape[0] = rows
    kind = info.type.removeprefix("tensor(").removesuffix(")")
    if kind == "string":
        words = np.array(["", "a", "cafe\u0301", "with space", "a longer text " * 5], dtype=object)
        return rng.choice(words, size=shape)
    dtype = np.dtype({"float": "float32", "double": "float64"}.get(kind, kind))
    if dtype.kind == "f":
        return rng.normal(size=shape).astype(dtype)
    return rng.integers(0, 2 if dtype.kind == "b" else 10, size=shape).astype(dtype)


def reference(path: Path) -> str:
    """Answers of ONNX Runtime's Python API to examples of several row counts."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    rng = np.random.default_rng(7)
    text = ""
    for rows in (1, 4, 9):
        feed = {info.name: example(info, rows, rng) for info in session.get_inputs()}
        answers = session.run(names, feed)
        text += "case\n"
        text += "".join(line_of("input", name, array) for name, array in feed.items())
        answered = zip(names, answers, strict=True)
        text += "".join(line_of("output", name, np.asarray(array)) for name, array in answered)
    return text


WITH_REFERENCE: tuple[Callable[[], onnx.ModelProto], ...] = (
    mlp,
    many,
    strings,
    dynamic,
    fixed,
    types,
    aliases,
    unnamed,
    overridable,
    open_rank,
    nonzero,
)
WITHOUT_REFERENCE: tuple[Callable[[], onnx.ModelProto], ...] = (
    bfloat16,
    dropout,
    mixed_axes,
    shrinks,
    clipped,
    lookup,
    sequence,
    zipmap,
    float8,
    future_opset,
)


def main(folder: Path) -> None:
    """Write everything into ``folder``, which is made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    library = max((Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.so*"))
    link = folder / "libonnxruntime.so"
    link.unlink(missing_ok=True)
    link.symlink_to(library)
    for make in WITH_REFERENCE + WITHOUT_REFERENCE:
        path = folder / f"{make.__name__}.onnx"
        onnx.save(make(), path)
        if make in WITH_REFERENCE:
            path.with_suffix(".reference").write_text(reference(path))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
