"""A forest file run as it will be served: by the engine's own backend, for the proof."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from slipstream.adapters.base import Array
from slipstream.engine.inputs import inputs_from
from slipstream.engine.runtime import start_core
from slipstream.engine.signature import Signature, Spec

BACKEND = "forest"
_MOST_ROWS = 4096
_MOST_REQUESTS = 4


class ForestSession:
    """One loaded forest file; a context manager.

    Attributes:
        inputs, outputs: ``(name, dtype, dims)`` of its tensors.
    """

    def __init__(self, path: Path, options: dict[str, str] | None = None) -> None:
        """Load the file, with the backend's own ``options``.

        Raises:
            ModelLoadError: The backend is not there, or refuses the file.
        """
        self._engine = start_core(_MOST_REQUESTS)
        self._model = self._engine.load(
            name="proof",
            backend=BACKEND,
            path=str(path),
            options=options or {},
            instances=1,
            max_batch_rows=_MOST_ROWS,
        )
        self.inputs: list[Spec] = self._model.inputs
        self.outputs: list[Spec] = self._model.outputs
        self._signature = Signature("tensors", self.inputs, self.outputs, (), True)

    def __enter__(self) -> ForestSession:
        return self

    def __exit__(self, *_: object) -> None:
        self._model.close(0.0)

    def run(self, inputs: list[Array]) -> dict[str, Array]:
        """Outputs by name; ``inputs`` in the order of the file's.

        Raises:
            SlipstreamError: The file refuses these rows.
        """
        names = [name for name, _, _ in self.inputs]
        given = inputs_from(self._signature, dict(zip(names, inputs, strict=True)))
        result = self._model.run(given)
        result.raise_for_status()
        arrays = zip(self.outputs, result.outputs(), strict=True)
        return {spec[0]: np.array(array) for spec, array in arrays}
