"""Whether the torch backend answers as the model did where it came from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from slipstream.convert.torch_session import TorchSession
from slipstream.convert.torch_signature import Named, Signature, same
from slipstream.engine.runtime import has_torch_backend
from slipstream.errors import MissingDependencyError, ModelLoadError


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
        answers: Of the original to them.
        state: Inputs behind those of the examples.
        tolerance: Of an output's largest number; None where the original itself answers otherwise
            when it is asked again, so that only dtypes and ranks are compared.

    Raises:
        ModelLoadError: they differ.
        SlipstreamError: the backend refuses the artifact or an example.
    """
    with TorchSession(artifact, options) as session:
        if session.has_bfloat16:
            return  # NumPy has no such numbers to ask with
        for values, expected in zip(found.examples, answers, strict=True):
            got = session.run([*map(_as_array, values), *state])
            for (name, value), array in zip(expected, got, strict=False):
                if not _agrees(value, array, tolerance):
                    raise ModelLoadError(f"the backend answers {name!r} otherwise than the model")


def _agrees(value: Any, array: Any, tolerance: float | None) -> bool:
    import torch

    if not isinstance(value, torch.Tensor):
        return tolerance is None or bool(np.array_equal(np.asarray(value), array))
    other = torch.from_numpy(array)
    if tolerance is None:
        return value.dtype == other.dtype and value.dim() == other.dim()
    return same(value, other, tolerance)


def _as_array(value: Any) -> Any:
    import torch

    return value.numpy() if isinstance(value, torch.Tensor) else value
