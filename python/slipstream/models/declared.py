"""What an operator says of a model beyond where its file is, as plain data."""

from __future__ import annotations

from typing import Any

import msgspec

from slipstream.models.states_file import StatesFile


class Declared(msgspec.Struct, frozen=True, kw_only=True):
    """Whatever is None is as the settings, or the files beside the model, say."""

    sha256: str | None = None
    """The only content, in hex, that the model's file may have."""
    batching: bool = True
    """Whether rows of several requests may share an execution."""
    warmup_rows: Any = None
    """As in a request's ``data``."""
    states: StatesFile | None = None
    """Which outputs come back as inputs, and which inputs are always the same."""
    timeout_ms: float | None = None
    """Deadline of a request that names none."""
    batch_timeout_ms: float | None = None
    """Most that a request may be made to wait for companions."""
    description: str = ""
    min_instances: int | None = None
    max_instances: int | None = None
    idle_unload_s: float | None = None
    """A model that had no request for so long may leave memory."""


UNDECLARED = Declared()
