"""What a Python model looks like to the ``process`` backend: the `Runner` protocol.

A runner is made by a callable named ``module:callable`` in the backend's option ``runner``. It is
called once per child process, with the path of the artifact and the options whose key began with
``runner.``, and returns an object that satisfies `Runner`. One thread uses it, one call at a time.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output: its name, dtype name and dimensions.

    ``dtype`` is NumPy's name ("float32", "int64", "bool", "bfloat16", …) or "string". A dimension
    of -1 may have any size. ``dims`` of ``()`` is a scalar.
    """

    name: str
    dtype: str
    dims: tuple[int, ...]


class Runner(Protocol):
    """A loaded model.

    A runner may also have a method ``close()``; it is called when the child is told to end (not
    when it is killed).
    """

    @property
    def inputs(self) -> Sequence[TensorSpec]:
        """The inputs, in the order in which `run` receives them."""

    @property
    def outputs(self) -> Sequence[TensorSpec]:
        """The outputs, in the order in which `run` returns them."""

    @property
    def batchable(self) -> bool:
        """Whether rows of different requests may share a call.

        True needs every input and output to have a first dimension of -1, the same for all, and
        rows that do not influence each other.
        """

    def run(self, inputs: list[Array], wanted: int) -> Sequence[Array | None]:
        """Compute the outputs.

        Args:
            inputs: One array per input, of its dtype and rank. They are read-only views of shared
                memory that hold their values only until this call returns: copy what must last.
                Strings are an object array of ``str``, with ``float("nan")`` where one is missing.
            wanted: Bit i set: somebody wants output i. Outputs from the 64th on are always wanted.

        Returns:
            One array per output, of its declared rank and of a dtype that converts to the declared
            one without loss of kind; ``None`` is allowed for an output that is not wanted. Missing
            strings are ``None`` or NaN.

        Raises:
            ValueError, TypeError: The input is at fault; the caller gets the message as it is.
            Exception: The model failed; the caller gets the class and the message.
        """


RunnerFactory = Callable[[str, dict[str, str]], Runner]


def load_runner(name: str, artifact: str, options: Mapping[str, str]) -> Runner:
    """Import ``module:callable`` and call it with the artifact's path and the options.

    Raises:
        ValueError: ``name`` is not of the form ``module:callable``.
        ImportError: The module cannot be imported, or has no such callable.
        Exception: Whatever the callable raises.
    """
    module_name, separator, attribute = name.partition(":")
    if not (module_name and separator and attribute):
        raise ValueError(f"runner {name!r} is not of the form 'module:callable'")
    factory = getattr(importlib.import_module(module_name), attribute, None)
    if not callable(factory):
        raise ImportError(f"module {module_name!r} has no callable {attribute!r}", name=module_name)
    return cast(RunnerFactory, factory)(artifact, dict(options))
