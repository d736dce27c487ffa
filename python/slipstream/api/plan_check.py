"""Plans of TensorRT that cannot run here: refused before they are copied, or not kept.

A plan is gigabytes, and what most keeps one from running is known without it.
"""

from __future__ import annotations

import threading
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


class _Use:
    """Of one copy, by the loads of this process that are at it now."""

    def __init__(self) -> None:
        self.loads = 0
        self.is_kept = False
        """A load of it has succeeded."""
        self.is_new = False
        """It was made for a load that was refused."""


_uses: dict[Path, _Use] = {}
_lock = threading.Lock()


@contextmanager
def not_kept_if_refused(prepared: Prepared) -> Iterator[None]:
    """What fails to load inside takes the copy along that was made for it.

    Unless another load, which found that copy, can use it: whoever is last decides.
    """
    with _lock:
        use = _uses.setdefault(prepared.folder, _Use())
        use.loads += 1
    is_refused = False
    try:
        yield
        use.is_kept = True
    except ModelLoadError:
        is_refused = True
        raise
    finally:
        with _lock:
            use.is_new = use.is_new or (is_refused and prepared.is_new_copy)
            use.loads -= 1
            if use.loads == 0:
                del _uses[prepared.folder]
                if use.is_new and not use.is_kept:
                    forget(prepared.folder)
