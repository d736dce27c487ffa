"""From exceptions to answers, in one of two bodies: each family of routes has its own.

Those of `/api/inference/…` answer `ErrorBody`; the endpoints at the root, and paths that nobody
has, answer `CoreErrorBody`. An exception that is not ours is logged with its traceback and answered
with 500 and no word about its cause.
"""

from __future__ import annotations

import logging
import re
import time
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from slipstream.errors import DeadlineExceededError, ModelNotFoundError, SlipstreamError
from slipstream.http.clock import Clock
from slipstream.http.errors import AuthenticationError, HttpError, retry_after_s, status_of
from slipstream.http.schemas.errors import CoreErrorBody, ErrorBody, MissingModel
from slipstream.http.types import Family, Header, Request, Response

_log = logging.getLogger("slipstream.http")
_failures = logging.getLogger("slipstream.http.failures")
_encode = msgspec.json.Encoder(enc_hook=str).encode
_BASE = "/api/inference"


def family_of(path: str) -> Family:
    """Whose error a path has that is nobody's, or does not take the method."""
    return "inference" if path == _BASE or path.startswith(f"{_BASE}/") else "core"


def described(error: Exception, request_id: str) -> tuple[str, str, dict[str, Any]]:
    """``error``, ``message`` and ``details``; what is no `SlipstreamError` is logged as a bug."""
    if isinstance(error, SlipstreamError):
        return type(error).__name__, error.message, error.details
    _log.error(
        "request %s failed unexpectedly",
        request_id,
        exc_info=error,
        extra={"request_id": request_id, "status": 500, "error": type(error).__name__},
    )
    return (
        "InternalServerError",
        "The server failed on this request; its log explains why under this request id.",
        {},
    )


def log_failure(
    request_id: str, status: int, error: str, message: str, not_logged: int = 0
) -> None:
    """Logs a request that the server could not answer; ``not_logged`` others were only counted."""
    _failures.warning(
        "%s",
        message,
        extra={
            "request_id": request_id,
            "status": status,
            "error": error,
            "not_logged": not_logged or None,
        },
    )


def error_response(error: Exception, request: Request, clock: Clock) -> Response:
    """The answer to a request for any exception, as its route's family words it."""
    return refusal(error, request.request_id, clock, request.route.family, request.began_s)


def refusal(
    error: Exception,
    request_id: str,
    clock: Clock,
    family: Family,
    began_s: float | None = None,
) -> Response:
    """The same where there is no `Request`.

    Args:
        error: Any.
        request_id: Of the request.
        clock: Tells the time of the answer.
        family: Whose error body it gets.
        began_s: When the request came, by ``time.perf_counter``; None: just now.
    """
    kind, message, details = described(error, request_id)
    status = status_of(error) if isinstance(error, SlipstreamError) else 500
    headers: tuple[Header, ...] = ()
    close = False
    if isinstance(error, SlipstreamError) and status >= 500:
        log_failure(request_id, status, kind, message)
    if isinstance(error, HttpError):
        headers, close = error.headers, error.close
    if isinstance(error, SlipstreamError) and status in (429, 503):
        headers = (*headers, ("retry-after", str(retry_after_s(error))))
    told = (kind, message, details, clock.timestamp(), request_id)
    body: ErrorBody | CoreErrorBody
    if family == "inference":
        body = ErrorBody(*told)
    else:
        body = _core_body(error, status, *told)
        if isinstance(error, DeadlineExceededError):
            age_s = 0.0 if began_s is None else time.perf_counter() - began_s
            body.processing_time = round(age_s, 6)
    return Response(status, _encode(body), headers, close=close, request_id=request_id)


def _core_body(
    error: Exception,
    status: int,
    kind: str,
    message: str,
    details: dict[str, Any],
    timestamp: str,
    request_id: str,
) -> CoreErrorBody:
    """The words of the core endpoints: short in ``error``, in full in ``detail``."""
    short, detail = in_words(kind), message
    model_info: MissingModel | UnsetType = UNSET
    if isinstance(error, DeadlineExceededError):
        short = "Request timed out"
    elif not isinstance(error, SlipstreamError):
        short = "Internal server error"
    elif isinstance(error, AuthenticationError):
        short, detail = message, "Not authenticated"
    elif isinstance(error, ModelNotFoundError) and "model_id" in details:
        name = str(details["model_id"])
        short = f"Model '{name}' is not available. Check models.json configuration."
        model_info = MissingModel(name)
    return CoreErrorBody(
        *(False, short, detail, status, kind, details, timestamp, request_id), model_info=model_info
    )


def in_words(kind: str) -> str:
    """The name of an error's class as words: ``BodyTooLargeError`` is ``Body too large``."""
    words = re.findall(r"[A-Z]+[a-z0-9]*", kind.removesuffix("Error"))
    return " ".join(words).capitalize()
