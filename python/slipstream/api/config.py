"""Settings that may change while the engine runs (``PUT engine/config``), and where they are kept.

A change is checked whole, then written to the state folder, then put in force: all of it or
nothing. A server that starts later puts what is kept between its environment and its command line.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from pathlib import Path

import msgspec

from slipstream.api.state_file import write_whole
from slipstream.errors import InvalidInputError, UnavailableError
from slipstream.setting_options import OPTIONS
from slipstream.settings import STORED_FILE, Settings, SettingsError, stored_settings

LIVE_SETTINGS = (
    "max_batch_size",
    "batch_timeout_ms",
    "enable_quantization",
    "enable_compilation",
    "max_concurrent_requests",
    "model_cache_size",
    "memory_limit_mb",
)
"""Keys of ``engine/config``, in the order of its answer."""


def keep_settings(folder: Path, changes: Mapping[str, object]) -> None:
    """Adds to what is kept.

    Raises:
        UnavailableError: it cannot be written; then nothing has changed.
    """
    try:
        kept = stored_settings(folder) | dict(changes)
    except SettingsError as error:
        raise UnavailableError(error.message) from error
    write_whole(folder / STORED_FILE, msgspec.json.format(msgspec.json.encode(kept)))


def changed(settings: Settings, changes: Mapping[str, object]) -> Settings:
    """``settings`` with these in force.

    Args:
        settings: In force until now.
        changes: By name, as JSON has them: a number for a number, true or false for a flag.

    Raises:
        InvalidInputError: one is not known, or does not fit; names all that are wrong.
    """
    values: dict[str, object] = {}
    wrong: dict[str, str] = {}
    for name, value in changes.items():
        if name not in LIVE_SETTINGS:
            wrong[name] = _unknown(name)
            continue
        kind = OPTIONS[name].kind
        try:
            if isinstance(value, str) or isinstance(value, bool) != name.startswith("enable_"):
                raise ValueError
            values[name] = kind.parse(value)
        except ValueError:
            wrong[name] = f"'{name}' is not valid: {json.dumps(value)}; it takes {kind.expected}"
    if wrong:
        raise InvalidInputError("; ".join(wrong.values()), key=next(iter(wrong)), keys=list(wrong))
    return msgspec.structs.replace(settings, **values)


def _unknown(name: str) -> str:
    near = difflib.get_close_matches(name, LIVE_SETTINGS, n=1)
    if near:
        return f"'{name}' is no setting of the engine; did you mean '{near[0]}'?"
    if name in OPTIONS:
        return f"'{name}' cannot change while the server runs; set {OPTIONS[name].env}, and restart"
    return f"'{name}' is no setting of the engine; there are {', '.join(LIVE_SETTINGS)}"
