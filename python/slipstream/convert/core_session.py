"""An artifact run as it will be served: by the engine's own backend, for the proof."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from slipstream.engine.inputs import inputs_from
from slipstream.engine.runtime import start_core
from slipstream.engine.signature import Signature, Spec

_MOST_ROWS = 4096
_MOST_REQUESTS = 4


class CoreSession:
    """One loaded artifact; a context manager."""

    def __init__(self, path: Path, options: dict[str, str], backend: str) -> None:
        """Loads it.

        Args:
            path: The artifact.
            options: Of the backend.
            backend: Its name.

        Raises:
            SlipstreamError: the backend is not there, or refuses the artifact.
        """
        self._core = start_core(_MOST_REQUESTS)
        self._model = self._core.load(
            name="proof",
            backend=backend,
            path=str(path),
            options=options,
            instances=1,
            max_batch_rows=_MOST_ROWS,
        )
        self._signature = Signature("tensors", self._model.inputs, self._model.outputs, (), True)

    def __enter__(self) -> CoreSession:
        return self

    @property
    def inputs(self) -> list[Spec]:
        """Name, dtype and dims, -1 for any size, in the artifact's order."""
        return self._model.inputs

    @property
    def outputs(self) -> list[Spec]:
        """The same, of what `run` answers."""
        return self._model.outputs

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
