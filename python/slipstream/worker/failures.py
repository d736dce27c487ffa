"""Exceptions of a model to a status code and one line of text: what the server may tell a client.

No traceback crosses the wire; the loop logs it to standard error at level debug.
"""

from __future__ import annotations

from slipstream.errors import InvalidInputError, MissingDependencyError, ModelLoadError
from slipstream.worker.protocol import (
    MAX_TEXT_BYTES,
    STATUS_FAILED_PRECONDITION,
    STATUS_INTERNAL,
    STATUS_INVALID_ARGUMENT,
    STATUS_NOT_FOUND,
)
from slipstream.worker.segment import MessageTooLargeError

# Import name of an optional package -> the extra of slipstream that installs it.
_EXTRAS = {
    "joblib": "sklearn",
    "lightgbm": "lightgbm",
    "sklearn": "sklearn",
    "tensorflow": "tensorflow",
    "torch": "torch",
    "xgboost": "xgboost",
}


def describe_load_failure(error: Exception) -> tuple[int, str]:
    """Status code and text of an exception raised while the model was being loaded."""
    text = str(error) or type(error).__name__
    if isinstance(error, MissingDependencyError):
        return STATUS_FAILED_PRECONDITION, text
    if isinstance(error, ModelLoadError | InvalidInputError):
        return STATUS_INVALID_ARGUMENT, text
    if isinstance(error, ImportError):
        package = (error.name or "").partition(".")[0]
        if package in _EXTRAS:
            text += f"; install it with: pip install 'slipstream[{_EXTRAS[package]}]'"
        return STATUS_FAILED_PRECONDITION, text
    if isinstance(error, FileNotFoundError):
        return STATUS_NOT_FOUND, text
    if isinstance(error, ValueError | TypeError):
        return STATUS_INVALID_ARGUMENT, text
    return STATUS_INTERNAL, _with_class(error)


def describe_run_failure(error: Exception) -> tuple[int, str]:
    """Status code and text of an exception raised while a request was being answered."""
    if isinstance(error, ValueError | TypeError | MessageTooLargeError):
        return STATUS_INVALID_ARGUMENT, str(error) or type(error).__name__
    return STATUS_INTERNAL, _with_class(error)


def encode_text(text: str) -> bytes:
    """UTF-8 of at most `MAX_TEXT_BYTES` bytes, cut at a character."""
    data = text.encode("utf-8", "replace")
    if len(data) <= MAX_TEXT_BYTES:
        return data
    return data[:MAX_TEXT_BYTES].decode("utf-8", "ignore").encode()


def _with_class(error: Exception) -> str:
    name = type(error).__name__
    return f"{name}: {error}" if str(error) else name
