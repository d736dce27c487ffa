"""Whether the torch backend answers as the model did where it came from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from slipstream.convert.core_session import CoreSession
from slipstream.convert.torch_signature import Named, Signature, same
from slipstream.engine.runtime import has_torch_backend
from slipstream.errors import MissingDependencyError, ModelLoadError

_BFLOAT16_TOLERANCE = 2.0**-6
"""Its numbers have 8 bits; a sum in another order may differ by several units of the last."""


def require_torch_backend() -> None:
    """Refuses to begin what could not be served.

    Raises:
        MissingDependencyError: the backend was not compiled for the torch that is installed.
    """
    if not has_torch_backend():
        raise MissingDependencyError(
            "this model needs the torch backend, which is compiled against the installed torch: "
            "pip install 'slipstream[torch]', then run: slipstream build-backend torch",
            package="torch",
        )


def prove(
    artifact: Path,
    options: dict[str, str],
    found: Signature,
    answers: list[Named],
    state: Sequence[Any] = (),
    tolerance: float | None = 1e-5,
) -> None:
    """Compares what the backend answers to the examples with ``answers``.

    Args:
        artifact: What the backend loads.
        options: For the backend.
        found: Has the examples.
        answers: Of the original to them, the i-th under the seed i.
        state: Inputs behind those of the examples.
        tolerance: Of an output's largest number; None where the original itself answers otherwise
            under the same seed, so that only dtypes and ranks are compared.

    Raises:
        ModelLoadError: they differ.
        SlipstreamError: the backend refuses the artifact or an example.
    """
    import torch

    with CoreSession(artifact, options, backend="torch") as session:
        for _ in range(2):  # what it remembers in secret shows when it is asked again
            for seed, (values, expected) in enumerate(zip(found.examples, answers, strict=True)):
                torch.manual_seed(seed)
                got = session.run([*map(_as_array, values), *state])
                _require(expected, got, tolerance)


def prove_stream(
    artifact: Path,
    options: dict[str, str],
    values: Sequence[Any],
    answers: list[Named],
    tolerance: float,
) -> None:
    """Compares the requests of one stream with calls of one module, one after the other.

    Args:
        artifact: What the backend loads; it has a state.
        options: For the backend.
        values: Of each request.
        answers: Of the original, one for each request.
        tolerance: Of an output's largest number.

    Raises:
        ModelLoadError: they differ.
        SlipstreamError: the backend refuses the artifact, or what it gave as state.
    """
    import torch

    state: Any = np.zeros(0, np.uint8)
    with CoreSession(artifact, options, backend="torch") as session:
        for seed, expected in enumerate(answers):
            torch.manual_seed(seed)
            *got, state = session.run([*map(_as_array, values), state])
            _require(expected, got, tolerance)


def _require(expected: Named, got: Sequence[Any], tolerance: float | None) -> None:
    for (name, value), array in zip(expected, got, strict=False):
        if not _agrees(value, array, tolerance):
            raise ModelLoadError(f"the backend answers {name!r} otherwise than the model")


def _agrees(value: Any, array: Any, tolerance: float | None) -> bool:
    import torch

    if not isinstance(value, torch.Tensor):
        return tolerance is None or bool(np.array_equal(np.asarray(value), array))
    if value.dtype == torch.bfloat16:  # NumPy has no such numbers: they come as float32
        value = value.float()
        tolerance = None if tolerance is None else max(tolerance, _BFLOAT16_TOLERANCE)
    other = torch.from_numpy(array)
    if tolerance is None:
        return bool(value.dtype == other.dtype and value.dim() == other.dim())
    return same(value, other, tolerance)


def _as_array(value: Any) -> Any:
    import torch

    if not isinstance(value, torch.Tensor):
        return value
    return (value.float() if value.dtype == torch.bfloat16 else value).numpy()
