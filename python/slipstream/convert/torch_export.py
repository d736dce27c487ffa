"""From an exported program to an AOTInductor package, proven: in the converter child only.

The program says all of its inputs: dtypes, sizes, and which sizes are one. The machine code that
is made of it relies on that and checks nothing, so the backend is told, and checks
(``sizes`` in ``csrc/backends/torch/options.h``).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from slipstream.adapters.base import quiet
from slipstream.adapters.torch_export import open_program
from slipstream.convert.torch_options import backend_options
from slipstream.convert.torch_places import flatten, require_dtype
from slipstream.convert.torch_proof import prove, require_torch_backend
from slipstream.convert.torch_script import manifest_of
from slipstream.convert.torch_signature import Named, Signature, same
from slipstream.convert.torch_told import Told
from slipstream.convert.torch_words import first_line
from slipstream.errors import ModelLoadError
from slipstream.models.manifest import Manifest, Tensor

ARTIFACT = "model.pt2"
_TOLERANCE = 1e-4
"""Of an output's largest number: compiled code fuses and reorders sums."""
_MOST = 2**31
_ROWS = (1, 2, 3, 5, 8)


class _Size(NamedTuple):
    """Axes that have one size."""

    name: str
    least: int
    most: int
    places: list[tuple[int, int]]


def build_program(
    source: Path, sha256: str, told: Told, out: Path, say: Callable[[str], None]
) -> Manifest:
    """The package of an exported program, and its manifest. Compiling takes up to minutes.

    ``told`` is empty: the program says all of its inputs.

    Raises:
        MissingDependencyError: no torch, or no torch backend.
        UnsafeModelError: the archive has parts that would run.
        ModelLoadError: it takes what cannot be served, does not compile, or answers otherwise when
            it is compiled.
    """
    require_torch_backend()
    with quiet():
        _prepare_compiler(out.parent)
        program = open_program(source)
        inputs, sizes = _inputs_of(program)
        call = _call(program)
        examples = _examples(inputs, sizes)
        answers = [call(values) for values in examples]
        outputs = _outputs_of(program, answers[0])
        found = Signature(inputs, outputs, _rows_are_apart(call, inputs, outputs, sizes), examples)
        artifact = out / ARTIFACT
        say("compiling (AOTInductor)")
        _compile(program, artifact)
        options = backend_options(
            inputs, outputs, kind="package", batchable=found.batchable, sizes=_lines(sizes)
        )
        say("comparing with the program as it was")
        prove(artifact, options, found, answers, tolerance=_TOLERANCE)
        return manifest_of(
            found,
            sha256,
            estimator="ExportedProgram",
            artifact=ARTIFACT,
            options=options,
            constants=told.constants,
        )


def _prepare_compiler(scratch: Path) -> None:
    """Where Inductor keeps its files, and that it starts no processes of its own."""
    if shutil.which(os.environ.get("CXX", "c++")) is None:
        raise ModelLoadError(
            "compiling an exported program needs a C++ compiler, and there is none: install g++, "
            "or export the model to ONNX (torch.onnx.export)"
        )
    os.environ.setdefault("CXX", "c++")
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(scratch / "inductor")
    os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"


def _inputs_of(program: Any) -> tuple[tuple[Tensor, ...], list[_Size]]:
    """What the program takes.

    Raises:
        ModelLoadError: numbers beside tensors, or sizes that follow from other sizes.
    """
    import torch

    values = {node.name: node.meta.get("val") for node in program.graph.nodes}
    tensors: list[Tensor] = []
    places: dict[Any, list[tuple[int, int]]] = {}
    for number, name in enumerate(program.graph_signature.user_inputs):
        value = values.get(name)
        if not isinstance(value, torch.Tensor):
            raise ModelLoadError(
                f"the exported program takes {name!r}, which is no tensor: export it with tensors "
                "for inputs, and numbers as constants"
            )
        sizes: list[int | None] = []
        shape: Any = value.shape
        for axis, size in enumerate(shape):
            if isinstance(size, int):
                sizes.append(size)
                continue
            expression = size.node.expr
            if not expression.is_Symbol:
                raise ModelLoadError(
                    f"size {axis} of {name!r} is {expression}: export it with sizes that do not "
                    "follow from others"
                )
            sizes.append(None)
            places.setdefault(expression, []).append((number, axis))
        dtype = str(value.dtype).removeprefix("torch.")
        require_dtype("input", str(name), dtype)
        tensors.append(Tensor(name=str(name), dtype=dtype, shape=tuple(sizes)))
    if not tensors:
        raise ModelLoadError("the exported program takes no inputs, so there is nothing to ask")
    ranges = program.range_constraints
    return tuple(tensors), [
        _Size(str(symbol), *_range_of(ranges.get(symbol)), found)
        for symbol, found in places.items()
    ]


def _range_of(constraint: Any) -> tuple[int, int]:
    if constraint is None:
        return 1, _MOST
    bounds = [getattr(constraint, name, None) for name in ("lower", "upper")]
    least, most = (
        int(bound) if bound is not None and bound.is_Integer else fallback
        for bound, fallback in zip(bounds, (1, _MOST), strict=True)
    )
    return max(least, 1), min(most, _MOST)


def _lines(sizes: list[_Size]) -> list[str]:
    return [
        " ".join(
            [
                size.name,
                str(size.least),
                str(size.most),
                *(f"{at}:{axis}" for at, axis in size.places),
            ]
        )
        for size in sizes
    ]


def _examples(inputs: Sequence[Tensor], sizes: list[_Size]) -> list[list[Any]]:
    """Values of several sizes within the ranges."""
    import torch

    generator = torch.Generator().manual_seed(0)
    examples = []
    for number in _ROWS if sizes else (1,):
        shapes: list[Any] = [list(tensor.shape) for tensor in inputs]
        for place, size in enumerate(sizes):
            wanted = number if size.places[0][1] == 0 else 16 + number * (place + 1)
            for at, axis in size.places:
                shapes[at][axis] = min(max(wanted, size.least), size.most)
        values = []
        for tensor, shape in zip(inputs, shapes, strict=True):
            dtype = getattr(torch, tensor.dtype)
            if dtype.is_floating_point:
                values.append(torch.randn(shape, generator=generator).to(dtype))
            else:
                values.append(torch.randint(0, 2, shape, generator=generator).to(dtype))
        examples.append(values)
    return examples


def _call(program: Any) -> Callable[[Sequence[Any]], Named]:
    """Asks the program, with one value for each of its inputs in their order."""
    import torch
    from torch.utils import _pytree as pytree

    module = program.module()

    def call(values: Sequence[Any]) -> Named:
        copies = [value.clone() for value in values]
        arguments, keywords = pytree.tree_unflatten(copies, program.call_spec.in_spec)
        with torch.no_grad():
            return flatten(module(*arguments, **keywords))

    return call


def _outputs_of(program: Any, answer: Named) -> tuple[Tensor, ...]:
    import torch

    values = {node.name: node.meta.get("val") for node in program.graph.nodes}
    names = program.graph_signature.user_outputs
    outputs = []
    for (name, value), inner in zip(answer, names, strict=True):
        known = values.get(inner)
        if not isinstance(value, torch.Tensor) or not isinstance(known, torch.Tensor):
            raise ModelLoadError(f"the exported program gives {name!r}, which is no tensor")
        sizes: Any = known.shape
        shape = tuple(size if isinstance(size, int) else None for size in sizes)
        dtype = str(value.dtype).removeprefix("torch.")
        require_dtype("output", name, dtype)
        outputs.append(Tensor(name=name, dtype=dtype, shape=shape))
    return tuple(outputs)


def _rows_are_apart(
    call: Callable[[Sequence[Any]], Named],
    inputs: Sequence[Tensor],
    outputs: Sequence[Tensor],
    sizes: list[_Size],
) -> bool:
    """Whether rows of several requests may share an execution."""
    begins = [(number, 0) for number in range(len(inputs))]
    rows = next((size for size in sizes if set(begins) <= set(size.places)), None)
    if rows is None or any(axis != 0 for _, axis in rows.places) or rows.least > 1:
        return False
    if not all(tensor.shape and tensor.shape[0] is None for tensor in outputs):
        return False
    count = min(3, rows.most)
    others = [size for size in sizes if size is not rows]
    values = _examples(inputs, [rows._replace(least=count), *others])[0]
    whole = call(values)
    for row in range(count):
        alone = call([value[row : row + 1] for value in values])
        for (_, all_rows), (_, one) in zip(whole, alone, strict=True):
            if all_rows.shape[0] != count or not same(all_rows[row : row + 1], one, 1e-3):
                return False
    return True


def _compile(program: Any, artifact: Path) -> None:
    """Raises `ModelLoadError`: it does not compile."""
    import torch._inductor

    try:
        torch._inductor.aoti_compile_and_package(program, package_path=str(artifact))
    except Exception as error:  # the compiler raises what it likes
        raise ModelLoadError(
            f"the exported program does not compile ({type(error).__name__}: {first_line(error)}): "
            "export it to ONNX (torch.onnx.export)"
        ) from error
