"""The bodies of errors, one for each family of routes."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType


class ErrorBody(msgspec.Struct):
    """The body of every error below ``/api/inference``."""

    error: str
    """The kind of error: one of the names in the description of this status."""
    message: str
    """What is wrong with what, and what to do about it."""
    details: dict[str, Any]
    timestamp: str
    request_id: str


class MissingModel(msgspec.Struct):
    """A model that was asked for and is not there."""

    model: str
    available: bool = False


class CoreErrorBody(msgspec.Struct):
    """The body of every error of the endpoints at the root."""

    success: bool
    """False."""
    error: str
    """What is wrong, in a few words."""
    detail: str
    """What is wrong with what, and what to do about it."""
    status_code: int
    """The status of the answer."""
    error_type: str
    """The kind of error: one of the names in the description of this status."""
    details: dict[str, Any]
    timestamp: str
    request_id: str
    model_info: MissingModel | UnsetType = UNSET
    """Of a model that is not there."""
    processing_time: float | UnsetType = UNSET
    """Of a request that timed out: seconds since it came."""
