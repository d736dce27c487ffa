"""What a torch module takes and gives, found out by asking it.

TorchScript declares "a tensor" and no more: neither dtype nor sizes. What the operator's file does
not say is tried: sizes that the module's weights and its own complaints suggest, most likely first,
until it answers. Then one dimension after the other gets another size: what still works may have
any. Rows may share an execution only if each answers alone as it does among others.
"""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

from slipstream.convert.torch_places import Leaf, require_dtype
from slipstream.convert.torch_words import last_line
from slipstream.errors import ModelLoadError
from slipstream.models.manifest import Tensor

Named: TypeAlias = list[tuple[str, Any]]
Call: TypeAlias = Callable[[Sequence[Any]], Named]
"""From one value for each leaf (tensors, numbers, texts) to the named parts of the answer."""

_ROWS = 3
"""Of a first try; no other size that is tried."""
_PERIOD_S = 30.0
_MOST_TRIES = 600
_WIDTHS = (5, 8, 16, 64)
_SIDES = (32, 28, 64, 224, 96, 128, 299)
_LENGTHS = (64, 512, 1024, 16000)
_LARGEST_HINT = 65536
_TOLERANCE = 1e-3
"""Of an output's largest number, between a row alone and among others: products of other sizes are
summed in another order."""


class Signature(NamedTuple):
    """What was found."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    batchable: bool
    examples: list[list[Any]]
    """Values for the leaves that the module has answered, of several numbers of rows."""


class Shape(NamedTuple):
    """What a tensor is taken to be; None in ``sizes`` for any."""

    dtype: str
    sizes: tuple[int | None, ...]


class Weights(NamedTuple):
    """Names and shapes of a module's parameters and buffers, in order."""

    entries: tuple[tuple[str, tuple[int, ...]], ...]


def find(
    leaves: Sequence[Leaf],
    told: dict[str, Shape],
    constants: dict[str, Any],
    call: Call,
    weights: Weights,
    *,
    may_batch: bool,
) -> Signature:
    """The signature of a module.

    Args:
        leaves: The tensors of its arguments.
        told: What the operator's file says of some of them.
        constants: Values that the same file gives to some.
        call: Asks the module.
        weights: Hints.
        may_batch: False for a module that remembers.

    Raises:
        ModelLoadError: no inputs were found that it answers.
    """
    search = _Search(leaves, told, constants, call)
    shapes = search.first(weights)
    dynamic = search.dynamic(shapes)
    inputs = tuple(
        Tensor(
            name=leaf.name,
            dtype=shape.dtype,
            shape=tuple(
                None if (place, axis) in dynamic else size for axis, size in enumerate(shape.sizes)
            ),
        )
        for place, (leaf, shape) in enumerate(zip(leaves, shapes, strict=True))
    )
    examples, answers = search.examples(shapes, dynamic)
    outputs = _outputs(answers)
    batchable = may_batch and _has_rows(inputs, outputs) and search.rows_are_apart(shapes)
    return Signature(inputs, outputs, batchable, examples)


class _Search:
    """Asks one module about inputs. One use."""

    def __init__(
        self,
        leaves: Sequence[Leaf],
        told: dict[str, Shape],
        constants: dict[str, Any],
        call: Call,
    ) -> None:
        self._leaves = leaves
        self._told = told
        self._constants = constants
        self._call = call
        self._complaint = ""

    def first(self, weights: Weights) -> list[Shape]:
        """Shapes that the module answers, each size a number."""
        until_s = time.monotonic() + _PERIOD_S
        tried: set[tuple[Shape, ...]] = set()
        hints: list[int] = []
        for _ in range(3):  # with what it complained about, the next round knows more
            before = len(tried)
            for shapes in self._candidates(weights, hints):
                if shapes in tried:
                    continue
                tried.add(shapes)
                if self.answer(list(shapes)) is not None:
                    return list(shapes)
                hints += [size for size in _numbers(self._complaint) if size not in hints]
                if len(tried) >= _MOST_TRIES or time.monotonic() > until_s:
                    break
            if len(tried) == before:
                break
        names = ", ".join(leaf.name for leaf in self._leaves)
        raise ModelLoadError(
            f"what forward({names}) takes could not be found out in {len(tried)} tries; the last "
            f"complaint was: {self._complaint[:200] or 'none'}. Tell in the file MODEL.toml beside "
            f'it, as [inputs.{self._leaves[0].name}] dtype = "float32", shape = ["rows", 16]'
        )

    def _candidates(self, weights: Weights, hints: list[int]) -> Iterator[tuple[Shape, ...]]:
        choices = [list(self._choices(leaf, weights, hints)) for leaf in self._leaves]
        open_places = [at for at, leaf in enumerate(self._leaves) if len(choices[at]) > 1]
        # Alike first: most modules of several tensors take them of one shape.
        for one in choices[open_places[0]] if len(open_places) > 1 else ():
            yield tuple(
                one if at in open_places and one in some else some[0]
                for at, some in enumerate(choices)
            )
        yield from itertools.islice(itertools.product(*choices), _MOST_TRIES)

    def _choices(self, leaf: Leaf, weights: Weights, hints: list[int]) -> Iterator[Shape]:
        told = self._told.get(leaf.name)
        if told is not None:
            sizes = tuple(
                (_ROWS if axis == 0 else _WIDTHS[0]) if size is None else size
                for axis, size in enumerate(told.sizes)
            )
            yield Shape(told.dtype, sizes)
            if None in told.sizes[1:]:
                for side in (*_LENGTHS, *_SIDES):
                    yield Shape(
                        told.dtype,
                        tuple(
                            (_ROWS if axis == 0 else side) if size is None else size
                            for axis, size in enumerate(told.sizes)
                        ),
                    )
            return
        if leaf.dtype is not None:
            yield Shape(leaf.dtype, () if leaf.rank == 0 else (_ROWS,))
            return
        yield from _likely(weights, hints)

    def answer(self, shapes: list[Shape], seed: int = 0) -> Named | None:
        """What the module says to values of these shapes; None where it fails."""
        return self.ask(self.values(shapes, seed))

    def ask(self, values: list[Any]) -> Named | None:
        """The same to these values."""
        try:
            return self._call(values)
        except ModelLoadError:
            raise
        except Exception as error:  # a module may raise anything at inputs that it does not like
            self._complaint = last_line(error)
            return None

    def values(self, shapes: list[Shape], seed: int = 0) -> list[Any]:
        """Values of these shapes: small numbers, the same for the same seed."""
        import torch

        generator = torch.Generator().manual_seed(seed)
        made: list[Any] = []
        for leaf, shape in zip(self._leaves, shapes, strict=True):
            constant = self._constants.get(leaf.name)
            if constant is not None:
                made.append(_constant(constant, shape, leaf))
            elif shape.dtype == "string":
                made.append("text" if not shape.sizes else ["text"] * (shape.sizes[0] or 0))
            elif leaf.dtype is not None:
                made.append({"int64": 1, "float64": 0.5, "bool": True}[leaf.dtype])
            else:
                made.append(_random(shape, generator))
        return made

    def dynamic(self, shapes: list[Shape]) -> set[tuple[int, int]]:
        """Which (leaf, axis) may have another size than it has in ``shapes``."""
        rows = {
            (at, 0)
            for at, shape in enumerate(shapes)
            if shape.sizes and shape.sizes[0] == _ROWS and self._is_open(at, 0)
        }
        found: set[tuple[int, int]] = set()
        if rows and self._works(shapes, rows, (1, 2, 5)):
            found |= rows
        groups: dict[int, set[tuple[int, int]]] = {}
        for at, shape in enumerate(shapes):
            for axis, size in enumerate(shape.sizes):
                if (at, axis) not in rows and size is not None and self._is_open(at, axis):
                    groups.setdefault(size, set()).add((at, axis))
        for size, places in groups.items():
            sizes = (size + 1, size * 2)
            alone = {one for one in places if self._works(shapes, {one}, sizes)}
            found |= alone
            together = places - alone
            if len(together) > 1 and self._works(shapes, together, sizes):
                found |= together
        return found

    def _is_open(self, at: int, axis: int) -> bool:
        """Whether a size may be tried: it is not the operator's, nor a constant's."""
        leaf = self._leaves[at]
        if leaf.name in self._constants:
            return False
        told = self._told.get(leaf.name)
        return told is None or told.sizes[axis] is None

    def _works(
        self, shapes: list[Shape], places: set[tuple[int, int]], sizes: tuple[int, ...]
    ) -> bool:
        return all(self.answer(_resized(shapes, places, size)) is not None for size in sizes)

    def examples(
        self, shapes: list[Shape], dynamic: set[tuple[int, int]]
    ) -> tuple[list[list[Any]], list[Named]]:
        """Values of several sizes, and what the module answers to them."""
        rows = {place for place in dynamic if place[1] == 0}
        others = dynamic - rows
        variants = [shapes]
        variants += [_resized(shapes, rows, size) for size in (1, 2, 5)] if rows else []
        variants += [
            _resized(shapes, {one}, (shapes[one[0]].sizes[one[1]] or 0) + 1) for one in others
        ]
        examples, answers = [], []
        for seed, variant in enumerate(variants):
            values = self.values(variant, seed)
            answer = self.ask(values)
            if answer is not None:
                examples.append(values)
                answers.append(answer)
        return examples, answers

    def rows_are_apart(self, shapes: list[Shape]) -> bool:
        """Whether each row answers alone as it does among others."""
        import torch

        values = self.values(shapes, seed=7)
        whole = self.ask(values)
        if whole is None or any(leaf.dtype is not None for leaf in self._leaves):
            return False
        for row in range(_ROWS):
            alone = self.ask([value[row : row + 1] for value in values])
            if alone is None:
                return False
            for (_, all_rows), (_, one) in zip(whole, alone, strict=True):
                if not isinstance(one, torch.Tensor) or one.shape[:1] != (1,):
                    return False
                if not same(all_rows[row : row + 1], one, _TOLERANCE):
                    return False
        return True


def same(left: Any, right: Any, tolerance: float) -> bool:
    """Whether two parts of answers agree, within ``tolerance`` of the largest number (1 at least).

    Not a number agrees with itself, an infinity with an infinity of its sign.
    """
    import torch

    if not isinstance(left, torch.Tensor) or not isinstance(right, torch.Tensor):
        return bool(left == right)
    if left.shape != right.shape or left.dtype != right.dtype:
        return False
    if not left.dtype.is_floating_point:
        return bool(torch.equal(left, right))
    left, right = left.double(), right.double()
    finite = left[torch.isfinite(left)].abs()
    largest = max(1.0, float(finite.max()) if finite.numel() else 1.0)
    return bool(torch.allclose(left, right, rtol=0.0, atol=tolerance * largest, equal_nan=True))


def _likely(weights: Weights, hints: list[int]) -> Iterator[Shape]:
    """Shapes for a tensor of which nothing is said, most likely first."""
    is_sequence = any("weight_ih" in name or "attn" in name for name, _ in weights.entries)
    matrices = [shape for _, shape in weights.entries if len(shape) == 2]
    filters = [shape for _, shape in weights.entries if len(shape) in (3, 4, 5)]
    vectors = [shape[0] for _, shape in weights.entries if len(shape) == 1]
    rows = [shape[1] for shape in matrices[:6]]
    widths = list(dict.fromkeys([*rows, *vectors[:6], *hints[:12]]))
    widths = [width for width in widths if 0 < width <= _LARGEST_HINT]
    first = weights.entries[0][1] if weights.entries else ()
    if len(first) >= 3:
        yield from _images(filters)
    if is_sequence:
        yield from (Shape("float32", (_ROWS, 7, width)) for width in widths)
    yield from (Shape("float32", (_ROWS, width)) for width in widths)
    if len(first) < 3:
        yield from _images(filters)
    if matrices:  # one of them may be a table that numbers of rows are looked up in
        yield Shape("int64", (_ROWS, 8))
    if not is_sequence:
        yield from (Shape("float32", (_ROWS, 7, width)) for width in widths)
    for width in _WIDTHS:
        yield Shape("float32", (_ROWS, width))
    yield Shape("int64", (_ROWS, 8))
    yield Shape("float32", (_ROWS,))
    yield Shape("int64", (_ROWS,))
    yield from (Shape("float32", (_ROWS, 3, side, side)) for side in _SIDES)
    yield from (Shape("float32", (_ROWS, 1, length)) for length in _LENGTHS)
    yield from (Shape("float32", (_ROWS, length)) for length in _LENGTHS)
    yield from (Shape("float32", (_ROWS, width, 8)) for width in widths)


def _images(filters: list[tuple[int, ...]]) -> Iterator[Shape]:
    """What convolutions with these weights take."""
    for shape in filters[:2]:
        channels, rank = shape[1], len(shape) - 2
        for side in _LENGTHS if rank == 1 else _SIDES if rank == 2 else (16, 32):
            yield Shape("float32", (_ROWS, channels, *([side] * rank)))


def _numbers(text: str) -> list[int]:
    found = [int(word) for word in re.findall(r"(?<![\w.])\d{1,5}(?![\w.])|(?<=x)\d{1,5}", text)]
    return [number for number in found if 0 < number <= _LARGEST_HINT]


def _resized(shapes: list[Shape], places: set[tuple[int, int]], size: int) -> list[Shape]:
    return [
        Shape(
            shape.dtype,
            tuple(
                size if (at, axis) in places else known for axis, known in enumerate(shape.sizes)
            ),
        )
        for at, shape in enumerate(shapes)
    ]


def _random(shape: Shape, generator: Any) -> Any:
    import torch

    dtype = getattr(torch, shape.dtype)
    sizes = [size or 0 for size in shape.sizes]
    if dtype.is_floating_point:
        return torch.randn(sizes, generator=generator).to(dtype)
    return torch.randint(0, 2, sizes, generator=generator).to(dtype)


def _constant(value: Any, shape: Shape, leaf: Leaf) -> Any:
    import torch

    if leaf.dtype is not None:
        return value
    return torch.tensor(value, dtype=getattr(torch, shape.dtype))


def _outputs(answers: list[Named]) -> tuple[Tensor, ...]:
    """What is the same in all answers, and None for sizes that are not.

    Raises:
        ModelLoadError: their parts, dtypes or ranks differ, or cannot be served.
    """
    described = [[(name, *_described(value)) for name, value in answer] for answer in answers]
    first = described[0]
    for name, dtype, _ in first:
        if dtype != "string":
            require_dtype("output", name, dtype)
    for other in described[1:]:
        if [one[:2] for one in other] != [one[:2] for one in first] or any(
            len(left[2]) != len(right[2]) for left, right in zip(first, other, strict=True)
        ):
            raise ModelLoadError(
                "forward() returns other parts, dtypes or ranks from one call to the next"
            )
    return tuple(
        Tensor(
            name=name,
            dtype=dtype,
            shape=tuple(
                size if all(other[at][2][axis] == size for other in described) else None
                for axis, size in enumerate(sizes)
            ),
        )
        for at, (name, dtype, sizes) in enumerate(first)
    )


def _described(value: Any) -> tuple[str, tuple[int, ...]]:
    if isinstance(value, list):
        return "string", (len(value),)
    for kind, dtype in ((bool, "bool"), (int, "int64"), (float, "float64"), (str, "string")):
        if isinstance(value, kind):
            return dtype, ()
    return str(value.dtype).removeprefix("torch."), tuple(value.shape)


def _has_rows(inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...]) -> bool:
    """Whether every tensor begins with a dimension of any size."""
    return all(tensor.shape and tensor.shape[0] is None for tensor in (*inputs, *outputs))
