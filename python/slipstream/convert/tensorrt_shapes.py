"""The optimization profile of a plan: the least, usual and greatest shape of each input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from slipstream.errors import ModelLoadError
from slipstream.models.tensorrt_table import BuildTable, ShapeRange


class Profile(NamedTuple):
    """Of one input."""

    min: tuple[int, ...]
    opt: tuple[int, ...]
    max: tuple[int, ...]


def profile_of(inputs: Mapping[str, Sequence[int]], wanted: BuildTable) -> dict[str, Profile]:
    """The profile of each input that has a dimension of any size.

    Args:
        inputs: Shapes by name, -1 for any size. A first dimension of any size is that of rows.
        wanted: Rows, and whole shapes of inputs with other such dimensions.

    Raises:
        ModelLoadError: an input is not said enough of, or does not exist, or contradicts the graph.
    """
    unknown = sorted(set(wanted.shapes) - set(inputs))
    if unknown:
        raise ModelLoadError(
            f"[tensorrt.shapes] names {', '.join(map(repr, unknown))}; the graph's inputs are "
            f"{', '.join(map(repr, inputs))}"
        )
    return {
        name: _of_input(name, tuple(dims), wanted)
        for name, dims in inputs.items()
        if any(dim < 0 for dim in dims)
    }


def _of_input(name: str, dims: tuple[int, ...], wanted: BuildTable) -> Profile:
    given = wanted.shapes.get(name)
    if given is not None:
        return _checked(name, dims, given)
    if any(dim < 0 for dim in dims[1:]):
        example = [1 if dim < 0 else dim for dim in dims]
        raise ModelLoadError(
            f"input {name!r} has shape {shown(dims)}: a plan is built for a range of sizes, so say "
            f"in the file beside the model which: [tensorrt.shapes.{name}] with min, opt and max, "
            f"each a whole shape such as {example}",
            input=name,
        )
    opt = wanted.max_rows if wanted.opt_rows is None else wanted.opt_rows
    rest = dims[1:]
    return Profile((wanted.min_rows, *rest), (opt, *rest), (wanted.max_rows, *rest))


def _checked(name: str, dims: tuple[int, ...], given: ShapeRange) -> Profile:
    profile = Profile(given.min, given.opt, given.max)
    for shape in profile:
        fits = len(shape) == len(dims) and all(
            size == dim if dim >= 0 else size >= 1 for size, dim in zip(shape, dims, strict=False)
        )
        if not fits:
            raise ModelLoadError(
                f"[tensorrt.shapes.{name}]: {list(shape)} is no shape of input {name!r}, which has "
                f"{shown(dims)}",
                input=name,
            )
    ordered = zip(*profile, strict=True)
    if not all(least <= usual <= most for least, usual, most in ordered):
        raise ModelLoadError(
            f"[tensorrt.shapes.{name}]: min {list(given.min)}, opt {list(given.opt)} and max "
            f"{list(given.max)} must be in that order in every dimension",
            input=name,
        )
    return profile


def shown(dims: Sequence[int]) -> str:
    """``[?, 3]``."""
    return "[" + ", ".join("?" if dim < 0 else str(dim) for dim in dims) + "]"
