"""Models that remember: outputs that come back as inputs, and inputs that never change.

The manifest says which (`slipstream.models.states_file` has where that comes from). Whoever asks
gives the other inputs only, and gets the other outputs. What is remembered stays in the core's
tensors: arrays here are views of them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from slipstream import _engine
from slipstream.engine.signature import Spec
from slipstream.errors import InvalidInputError, ModelLoadError
from slipstream.models.manifest import Constant, Manifest, State

Array = npt.NDArray[Any]


class _Start(NamedTuple):
    """The initial value of one state."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    """-1 for the number of rows of the request."""
    value: float


class Recurrence:
    """Completes the inputs of one loaded version of a model. Immutable; any thread.

    Args:
        manifest: Says what the states and constants are.
        core: The model they belong to.
        content: Equal for versions that compute the same, whose states are each other's.

    Raises:
        ModelLoadError: they do not fit the model; names what does not.
    """

    def __init__(self, manifest: Manifest, core: _engine.Model, content: str) -> None:
        self.content = content
        self._specs: list[Spec] = list(core.inputs)
        inputs = {spec[0]: spec for spec in core.inputs}
        outputs = {spec[0]: number for number, spec in enumerate(core.outputs)}
        for name in [*manifest.constants, *(state.input for state in manifest.states)]:
            _require(name in inputs, f"the model has no input {name!r}", list(inputs))
        for state in manifest.states:
            _require(state.output in outputs, f"it has no output {state.output!r}", list(outputs))
        self._starts = [_start_of(one, inputs[one.input]) for one in manifest.states]
        self._outputs = {one.input: outputs[one.output] for one in manifest.states}
        self._constants = {
            name: _constant(value, inputs[name]) for name, value in manifest.constants.items()
        }
        self.given = [
            spec
            for spec in core.inputs
            if spec[0] not in self._outputs and spec[0] not in self._constants
        ]
        """What a request brings."""
        _require(bool(self.given), "no input is left for a request to bring", list(inputs))
        self.kept_outputs = frozenset(one.output for one in manifest.states)
        """What no answer shows."""
        self._first = self._specs.index(self.given[0])

    def complete(self, given: _engine.Inputs, memory: Memory | None) -> _engine.Inputs:
        """All inputs of one request.

        Args:
            given: Those of `given`, in that order.
            memory: Of the stream that it belongs to; None: it starts from the initial state.

        Raises:
            InvalidInputError: the stream's first request had another number of rows.
        """
        arrays = given.arrays()
        rows = arrays[0].shape[0] if arrays[0].ndim else 1
        kept = memory.recall(self) if memory is not None else {}
        self._require_same_rows(kept, rows)
        known = self._constants | (kept or self._initial(rows))
        brought = iter(arrays)
        names = (spec[0] for spec in self._specs)
        complete = [known[name] if name in known else next(brought) for name in names]
        return _engine.wrap_arrays(self._specs, complete)

    def rows(self, inputs: _engine.Inputs) -> int:
        """How many rows a request that `complete` made has."""
        first = inputs.arrays()[self._first]
        return int(first.shape[0]) if first.ndim else 1

    def left_by(self, result: _engine.Result) -> dict[str, Array]:
        """What a request that is ok leaves to the next one, by input."""
        outputs = result.outputs()
        left: dict[str, Array] = {}
        for name, number in self._outputs.items():
            array = outputs[number]
            assert array is not None, "all outputs of such a model are computed"
            left[name] = array
        return left

    def _require_same_rows(self, kept: dict[str, Array], rows: int) -> None:
        """A state that has a row for each row would silently be broadcast to another number."""
        for one in self._starts if kept else ():
            for size, there in zip(one.shape, kept[one.name].shape, strict=True):
                if size < 0 and there != rows:
                    raise InvalidInputError(
                        f"this stream has {there} rows in each request, and this one has {rows}; "
                        "send as many as in the first, or start another stream"
                    )

    def _initial(self, rows: int) -> dict[str, Array]:
        return {
            one.name: np.full(
                [rows if size < 0 else size for size in one.shape], one.value, one.dtype
            )
            for one in self._starts
        }


class Memory:
    """What the requests of one stream leave to each other. One request at a time.

    It belongs to what the model computes: when a file that has changed is reloaded, it begins anew.
    """

    __slots__ = ("_arrays", "_of")

    def __init__(self) -> None:
        self._of = ""
        self._arrays: dict[str, Array] = {}

    def recall(self, recurrence: Recurrence) -> dict[str, Array]:
        """The states by input; empty before the first request."""
        return self._arrays if self._of == recurrence.content else {}

    def keep(self, recurrence: Recurrence, result: _engine.Result) -> None:
        """Takes over what a request has left; one that failed leaves everything as it was."""
        if result.ok:
            self._arrays = recurrence.left_by(result)
            self._of = recurrence.content


def recurrence_of(manifest: Manifest, core: _engine.Model, content: str) -> Recurrence | None:
    """None for the many models that neither remember nor have constant inputs."""
    if not manifest.states and not manifest.constants:
        return None
    return Recurrence(manifest, core, content)


def _require(holds: bool, problem: str, names: list[str]) -> None:
    if not holds:
        raise ModelLoadError(
            f"the file that describes the model's states is wrong: {problem}; there is "
            f"{', '.join(names)}"
        )


def _start_of(state: State, spec: Spec) -> _Start:
    name, dtype, dims = spec
    if dtype == "string":
        raise ModelLoadError(f"state {name!r} is of strings, which cannot be kept")
    shape = dims if state.shape is None else state.shape
    if len(shape) != len(dims) or any(
        size != known and known >= 0 and size != "rows"
        for size, known in zip(shape, dims, strict=False)
    ):
        raise ModelLoadError(f"state {name!r} has the shape {list(shape)}, not {list(dims)}")
    if any(size == -1 for size in shape):
        raise ModelLoadError(
            f"state {name!r} has a shape that varies, {list(dims)}: say in 'shape' what it is at "
            "first, with 'rows' for the number of rows of a request"
        )
    sizes = tuple(-1 if size == "rows" else int(size) for size in shape)
    return _Start(name, dtype, sizes, state.value)


def _constant(value: Constant, spec: Spec) -> Array:
    name, dtype, dims = spec
    try:
        array = np.asarray(value, dtype=object if dtype == "string" else dtype)
        _engine.wrap_arrays([spec], [array])
    except (TypeError, ValueError, OverflowError, InvalidInputError) as error:
        raise ModelLoadError(f"constant {name!r} is no {dtype}: {error}") from error
    if len(array.shape) != len(dims) or any(
        known not in (-1, size) for size, known in zip(array.shape, dims, strict=True)
    ):
        raise ModelLoadError(
            f"constant {name!r} has the shape {list(array.shape)}; the model takes {list(dims)}"
        )
    return array
