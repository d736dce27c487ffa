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


class ModelInUseError(SlipstreamError):
    """An experiment draws from the model; ``details["experiment_id"]`` is its id."""


class ExperimentNotFoundError(SlipstreamError, LookupError):
    """No experiment has that id."""


class ModelLoadError(SlipstreamError):
    """The file is not a model slipstream can serve: junk, wrong type, corrupt, too new."""


class UnsafeModelError(ModelLoadError):
    """The file would execute code when opened, or lies outside what the operator allows."""


class MissingDependencyError(ModelLoadError, ImportError):
    """An optional package is needed; the message names the extra: ``pip install slipstream[…]``."""


class QuantizationError(SlipstreamError):
    """The model cannot be quantized, or would lose more accuracy than is allowed."""


class ModelBusyError(SlipstreamError):
    """Something else is changing that model, or has changed it meanwhile. Try again."""


class InferenceError(SlipstreamError, RuntimeError):
    """The backend failed on this request."""


class DeadlineExceededError(SlipstreamError, TimeoutError):
    """The request's deadline passed before it was answered."""


class RequestCancelledError(SlipstreamError):
    """The caller withdrew the request."""


class QueueFullError(SlipstreamError):
    """A bounded queue is full, or the deadline cannot be met. Retry later."""


class StreamNotFoundError(SlipstreamError, LookupError):
    """No stream has that id, or it is closed."""


class StreamExistsError(SlipstreamError):
    """A stream of that id is open already."""


class SequenceConflictError(SlipstreamError):
    """That place of a stream's sequence was sent before, with other data."""


class StreamFullError(SlipstreamError):
    """A stream's buffer is full, or there are as many streams as may be. Retry later."""


class BacklogFullError(SlipstreamError):
    """As many tasks wait, or results are kept, as the operator allows. Submit again later."""


class TaskNotFoundError(SlipstreamError, LookupError):
    """No async task has that id, or its result was kept long enough and is gone."""


class TaskEndedError(SlipstreamError):
    """An async task cannot be cancelled any more; ``details["status"]`` says how it ended."""


class LoadCancelledError(SlipstreamError):
    """The load of a model was cancelled by somebody else while it was in progress."""


class EngineRestartingError(SlipstreamError):
    """The engine is being restarted, or cannot be at this moment."""


class UnavailableError(SlipstreamError):
    """Temporarily unable: the model is unloading, the engine is closing, a child process died."""


class NetworkError(UnavailableError):
    """The network, or whoever is asked over it, is not there. Retry later."""


class SourceNotFoundError(SlipstreamError, LookupError):
    """What is to be downloaded is not where it was said to be."""


class DownloadRefusedError(SlipstreamError):
    """Not downloaded: too large, not allowed, or not what its source announced."""


class DownloadNotFoundError(SlipstreamError, LookupError):
    """No download has that id, or it ended long ago."""


class DownloadEndedError(SlipstreamError):
    """A download cannot be cancelled any more; ``details["status"]`` says how it ended."""
