"""Which outputs of a model come back as inputs, said in the file beside it: ``MODEL.onnx.toml``.

A graph does not tell which of its outputs is meant to come back as an input with the next request,
nor which input is the same every time. This file does::

    [constants]
    sr = 16000

    [states.state]
    output = "stateN"
    shape = [2, "rows", 128]
    value = 0.0

``[inputs.NAME]`` says what an input of a torch module is (`slipstream.models.inputs_table`). The
same file may have other tables, which are read elsewhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import msgspec

from slipstream.decoding import converter
from slipstream.errors import ModelLoadError
from slipstream.models.beside import file_beside, read_beside
from slipstream.models.inputs_table import InputTable, ToldInput, told_input
from slipstream.models.manifest import Constant, State

_OTHER_TABLES = frozenset(("cache", "tensorrt", "text", "warmup"))


class StateTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[states.INPUT]``, as `State` describes it."""

    output: str
    shape: tuple[int | str, ...] | None = None
    value: float = 0.0


class _Tables(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The tables that are read here."""

    constants: dict[str, Constant] = {}
    states: dict[str, StateTable] = {}
    inputs: dict[str, InputTable] = {}


_tables = converter(_Tables)


class StatesFile(msgspec.Struct, frozen=True):
    """See the module docstring; empty where the file is not there, or says nothing of this."""

    states: tuple[State, ...] = ()
    constants: dict[str, Constant] = {}
    inputs: tuple[ToldInput, ...] = ()
    sha256: str = ""
    """Of what it says; "" where it says nothing."""


_NO_INPUTS: Mapping[str, InputTable] = {}


def states_file_of(path: Path) -> StatesFile:
    """Reads the file beside the model at ``path``, if there is one.

    Raises:
        UnsafeModelError: it is a link that leads out of the model's folder.
        ModelLoadError: it is not what it should be; names the place.
    """
    file = file_beside(path).name
    found = read_beside(path)
    mine = {name: table for name, table in found.items() if name not in _OTHER_TABLES}
    try:
        tables = _tables(mine)
    except msgspec.ValidationError as error:
        raise ModelLoadError(f"{file} is not valid: {error}") from error
    return states_of(file, tables.states, tables.constants, tables.inputs)


def states_of(
    file: str,
    states: Mapping[str, StateTable],
    constants: Mapping[str, Constant],
    inputs: Mapping[str, InputTable] = _NO_INPUTS,
) -> StatesFile:
    """What such tables say, wherever they stand; ``file`` is named in messages.

    Raises:
        ModelLoadError: they contradict themselves.
    """
    for name, table in states.items():
        _check(file, name, table, constants)
    found = tuple(
        State(input=name, output=table.output, shape=table.shape, value=table.value)
        for name, table in states.items()
    )
    told = tuple(told_input(file, name, table) for name, table in inputs.items())
    return _sealed(found, dict(constants), told)


def with_constants(beside: StatesFile, declared: StatesFile | None) -> StatesFile:
    """What stands beside a model, and what was declared of it elsewhere, which wins."""
    if declared is None:
        return beside
    return _sealed(
        (*beside.states, *declared.states),
        {**beside.constants, **declared.constants},
        beside.inputs,
    )


def _sealed(
    states: tuple[State, ...], constants: dict[str, Constant], inputs: tuple[ToldInput, ...]
) -> StatesFile:
    if not states and not constants and not inputs:
        return StatesFile()
    said = msgspec.json.encode((states, constants, inputs))
    return StatesFile(states, constants, inputs, hashlib.sha256(said).hexdigest())


def _check(file: str, name: str, table: StateTable, constants: Mapping[str, Constant]) -> None:
    for size in table.shape or ():
        if size != "rows" and not (isinstance(size, int) and 0 <= size <= 2**31):
            raise ModelLoadError(
                f"{file}: states.{name}.shape has {size!r}; it takes sizes and the word 'rows'"
            )
    if name in constants:
        raise ModelLoadError(f"{file}: input {name!r} is a state and a constant; it can be one")
