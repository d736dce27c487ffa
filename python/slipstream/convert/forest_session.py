"""A forest file run as it will be served, with its outputs by name, as the proof takes sessions."""

from __future__ import annotations

from pathlib import Path

from slipstream.adapters.base import Array
from slipstream.convert.core_session import CoreSession
from slipstream.engine.signature import Spec

BACKEND = "forest"


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
        self._session = CoreSession(path, options or {}, BACKEND)
        self.inputs: list[Spec] = self._session.inputs
        self.outputs: list[Spec] = self._session.outputs

    def __enter__(self) -> ForestSession:
        return self

    def __exit__(self, *error: object) -> None:
        self._session.__exit__(*error)

    def run(self, inputs: list[Array]) -> dict[str, Array]:
        """Outputs by name; ``inputs`` in the order of the file's.

        Raises:
            SlipstreamError: The file refuses these rows.
        """
        names = (name for name, _, _ in self.outputs)
        return dict(zip(names, self._session.run(inputs), strict=True))
