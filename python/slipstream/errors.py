"""Every error slipstream raises, each a kind a caller can act on.

Messages name the thing, the cause and the remedy. The HTTP layer translates these once to a status
and an error body (``http/errors.py``); nothing else needs to know HTTP.
"""

from __future__ import annotations

from typing import Any


class SlipstreamError(Exception):
    """Base of all. ``details`` is JSON-able context (ids, allowed values) for error bodies."""

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.details: dict[str, Any] = details

    @property
    def message(self) -> str:
        """The text without the class name."""
        return str(self.args[0])


class MalformedInputError(SlipstreamError, ValueError):
    """Bytes that cannot be parsed at all: not JSON, nested too deep, a number beyond a double."""


class InvalidInputError(SlipstreamError, ValueError):
    """Well-formed input that the model cannot take: ragged rows, wrong width, text for a number."""


class ModelNotFoundError(SlipstreamError, LookupError):
    """No loaded model has that id, or no file is at that path."""


class AmbiguousModelError(SlipstreamError, ValueError):
    """No ``model_id`` was given and there is not exactly one loaded model."""


class ModelAlreadyLoadedError(SlipstreamError):
    """That file or id is loaded already; ``details["model_id"]`` is the existing one."""


class ModelLoadError(SlipstreamError):
    """The file is not a model slipstream can serve: junk, wrong type, corrupt, too new."""


class UnsafeModelError(ModelLoadError):
    """The file would execute code when opened, or lies outside what the operator allows."""


class MissingDependencyError(ModelLoadError, ImportError):
    """An optional package is needed; the message names the extra: ``pip install slipstream[…]``."""


class InferenceError(SlipstreamError, RuntimeError):
    """The backend failed on this request."""


class DeadlineExceededError(SlipstreamError, TimeoutError):
    """The request's deadline passed before it was answered."""


class RequestCancelledError(SlipstreamError):
    """The caller withdrew the request."""


class QueueFullError(SlipstreamError):
    """A bounded queue is full, or the deadline cannot be met. Retry later."""


class EngineRestartingError(SlipstreamError):
    """The engine is being restarted, or cannot be at this moment."""


class UnavailableError(SlipstreamError):
    """Temporarily unable: the model is unloading, the engine is closing, a child process died."""
