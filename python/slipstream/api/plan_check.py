"""Plans of TensorRT that cannot run here: refused before they are copied, or not kept.

A plan is gigabytes, and what most keeps one from running is known without it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from slipstream.api.placement import place
from slipstream.api.tuning import Tuning
from slipstream.engine.runtime import backend_options
from slipstream.errors import ModelLoadError
from slipstream.models.artifacts import forget
from slipstream.models.prepare import Prepared
from slipstream.models.tensorrt_files import is_plan, unprepared_manifest
from slipstream.settings import Settings


def require_runnable(file: Path, model_type: str, tuning: Tuning, settings: Settings) -> None:
    """Refuses a plan where there is no GPU or no backend for it; knows nothing of other files.

    Args:
        file: The model file.
        model_type: What it is said to be.
        tuning: What was asked for it.
        settings: Of the engine.

    Raises:
        ModelLoadError: it cannot compute where it was asked to.
        MissingDependencyError: there is no backend for it.
    """
    if model_type not in ("auto", "tensorrt") or not is_plan(file):
        return
    manifest = unprepared_manifest(file)
    place(manifest, file.name, tuning, settings.device)
    backend_options(manifest.backend, settings)


@contextmanager
def not_kept_if_refused(prepared: Prepared) -> Iterator[None]:
    """What fails to load inside takes the copy along that was made for it."""
    try:
        yield
    except ModelLoadError:
        if prepared.is_new_copy:
            forget(prepared.folder)
        raise
