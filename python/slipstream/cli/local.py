"""What commands that work on a model file in this process share."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from slipstream.settings import load_settings

if TYPE_CHECKING:
    from slipstream.api import Engine

_SETTINGS = ("allow_custom_code", "device", "enable_compilation", "max_workers", "max_batch_size")
_PATIENCE_S = 1.0


def local_engine(device: str | None = None) -> Engine:
    """An engine with the operator's settings; artifacts go to ``STATE_DIR`` or the user's cache.

    Args:
        device: Of the command line; None: as the settings say.

    Raises:
        SettingsError: a setting is not valid.
    """
    from slipstream.api import Engine  # here: `slipstream --help` should not load the core

    settings = load_settings(command_line={"device": device})
    changes: dict[str, Any] = {name: getattr(settings, name) for name in _SETTINGS}
    if settings.state_dir is not None:
        changes["state_dir"] = settings.state_dir
    return Engine(**changes)


def say(text: str) -> None:
    """Progress, for whoever watches: standard error."""
    print(f"slipstream: {text}", file=sys.stderr, flush=True)


@contextmanager
def patience(text: str) -> Iterator[None]:
    """Says ``text`` if the block takes longer than a moment."""
    timer = threading.Timer(_PATIENCE_S, say, (text,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
