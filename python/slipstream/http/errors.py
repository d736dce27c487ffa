"""The one place that knows which error is which status; `slipstream.http.failures` answers them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from slipstream.errors import (
    AmbiguousModelError,
    BacklogFullError,
    DeadlineExceededError,
    DownloadEndedError,
    DownloadNotFoundError,
    DownloadRefusedError,
    EngineRestartingError,
    ExperimentNotFoundError,
    InferenceError,
    InvalidInputError,
    LoadCancelledError,
    MalformedInputError,
    ModelAlreadyLoadedError,
    ModelBusyError,
    ModelInUseError,
    ModelLoadError,
    ModelNotFoundError,
    QuantizationError,
    QueueFullError,
    RequestCancelledError,
    SequenceConflictError,
    SlipstreamError,
    SourceNotFoundError,
    StreamExistsError,
    StreamFullError,
    StreamNotFoundError,
    TaskEndedError,
    TaskNotFoundError,
    UnavailableError,
)
from slipstream.http.types import Header


class HttpError(SlipstreamError):
    """An error of the HTTP layer itself; each kind has one status."""

    status = 500
    headers: tuple[Header, ...] = ()
    close = False


_CHALLENGE = 'Bearer realm="slipstream"'


class AuthenticationError(HttpError):
    """No API key and no token, or one that is not known."""

    status = 401

    def __init__(self, message: str, *, challenge: str = "", **details: Any) -> None:
        super().__init__(message, **details)
        parts = ", ".join(part for part in (_CHALLENGE, challenge) if part)
        self.headers = (("www-authenticate", parts),)


class ForbiddenError(HttpError):
    """The API key or the token is known, and lacks the scope for this."""

    status = 403

    def __init__(self, message: str, *, needed_scope: str, scopes: Sequence[str]) -> None:
        super().__init__(message, needed_scope=needed_scope, scopes=list(scopes))
        missing = f'error="insufficient_scope", scope="{needed_scope}"'  # RFC 6750, 3.1
        self.headers = (("www-authenticate", f"{_CHALLENGE}, {missing}"),)


class EndpointNotFoundError(HttpError):
    """No route has this path."""

    status = 404


class MethodNotAllowedError(HttpError):
    """The path exists, the method does not."""

    status = 405

    def __init__(self, message: str, *, allowed: tuple[str, ...], **details: Any) -> None:
        super().__init__(message, allowed_methods=list(allowed), **details)
        self.headers = (("allow", ", ".join(allowed)),)


class BodyTimeoutError(HttpError):
    """The client did not send its body in time."""

    status = 408
    close = True


class BodyTooLargeError(HttpError):
    """The body is over the limit."""

    status = 413
    close = True


class UnsupportedEncodingError(HttpError):
    """The body is compressed."""

    status = 415
    headers = (("accept-encoding", "identity"),)


class RateLimitError(HttpError):
    """A client, or a model, has had as many requests as it is allowed for now."""

    status = 429


class OverloadedError(HttpError):
    """The server has as many requests in progress as it admits."""

    status = 503


STATUS: tuple[tuple[type[SlipstreamError], int], ...] = (
    (MalformedInputError, 400),
    (AmbiguousModelError, 400),
    (ModelNotFoundError, 404),
    (ExperimentNotFoundError, 404),
    (StreamNotFoundError, 404),
    (TaskNotFoundError, 404),
    (DownloadNotFoundError, 404),
    (SourceNotFoundError, 404),
    (ModelAlreadyLoadedError, 409),
    (ModelBusyError, 409),
    (ModelInUseError, 409),
    (StreamExistsError, 409),
    (SequenceConflictError, 409),
    (TaskEndedError, 409),
    (DownloadEndedError, 409),
    (EngineRestartingError, 409),
    (LoadCancelledError, 409),
    (InvalidInputError, 422),
    (ModelLoadError, 422),
    (QuantizationError, 422),
    (InferenceError, 422),
    (DownloadRefusedError, 422),
    (StreamFullError, 429),
    (BacklogFullError, 429),
    (QueueFullError, 503),
    (RequestCancelledError, 503),
    (UnavailableError, 503),
    (DeadlineExceededError, 504),
)
"""Error class → status; the first row that fits decides, anything else is 500."""


def status_of(error: SlipstreamError) -> int:
    """The HTTP status that stands for this error."""
    if isinstance(error, HttpError):
        return error.status
    return next((status for kind, status in STATUS if isinstance(error, kind)), 500)


def kinds_of(status: int) -> list[type[SlipstreamError]]:
    """The kinds of errors that are answered with this status."""
    ours: list[type[SlipstreamError]] = [
        kind for kind in HttpError.__subclasses__() if kind.status == status
    ]
    return ours + [kind for kind, its_status in STATUS if its_status == status]


def retry_after_s(error: SlipstreamError) -> int:
    """Whole seconds, at least one, after which trying again makes sense."""
    wanted = error.details.get("retry_after_s", 1)
    if not isinstance(wanted, int | float) or not math.isfinite(wanted):
        return 1
    return max(1, math.ceil(wanted))
