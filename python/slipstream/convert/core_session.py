"""A torch artifact run as it will be served: by the engine's own backend, for the proof."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from slipstream.engine.inputs import inputs_from
from slipstream.engine.runtime import start_core
from slipstream.engine.signature import Signature
from slipstream.models.manifest import Tensor

_MOST_ROWS = 4096
_MOST_REQUESTS = 4


def backend_options(
    inputs: Sequence[Tensor], outputs: Sequence[Tensor], **options: bool | str | Sequence[str]
) -> dict[str, str]:
    """Options of the torch backend (``csrc/backends/torch/options.h``).

    Those that would say what is the default are left out.
    """
    given = {"inputs": _lines(inputs), "outputs": _lines(outputs)}
    for name, value in options.items():
        if isinstance(value, str):
            given[name] = value
        elif isinstance(value, bool):
            given |= {name: "true"} if value else {}
        elif value:
            given[name] = "\n".join(value)
    return given


def _lines(tensors: Sequence[Tensor]) -> str:
    lines = []
    for tensor in tensors:
        dims = ",".join("-1" if size is None else str(size) for size in tensor.shape) or "-"
        lines.append(f"{tensor.dtype} {dims} {tensor.name}")
    return "\n".join(lines)


class TorchSession:
    """One loaded artifact; a context manager."""

    def __init__(self, path: Path, options: dict[str, str]) -> None:
        """Loads it.

        Raises:
            SlipstreamError: the backend is not there, or refuses the artifact.
        """
        self._core = start_core(_MOST_REQUESTS)
        self._model = self._core.load(
            name="proof",
            backend="torch",
            path=str(path),
            options=options,
            instances=1,
            max_batch_rows=_MOST_ROWS,
        )
        self._signature = Signature("tensors", self._model.inputs, self._model.outputs, (), True)

    def __enter__(self) -> TorchSession:
        return self

    def __exit__(self, *_: object) -> None:
        self._model.close(0.0)

    def run(self, values: Sequence[Any]) -> list[Any]:
        """All outputs, to one value for each input: arrays, numbers, texts.

        Raises:
            SlipstreamError: the artifact fails on them.
        """
        arrays = {
            name: np.asarray(value, dtype=object if dtype == "string" else None)
            for (name, dtype, _), value in zip(self._model.inputs, values, strict=True)
        }
        result = self._model.run(inputs_from(self._signature, arrays))
        result.raise_for_status()
        return [None if array is None else np.array(array) for array in result.outputs()]
