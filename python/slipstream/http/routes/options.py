"""What every prediction may say of itself, checked and on the engine's scales."""

from __future__ import annotations

from slipstream.errors import InvalidInputError
from slipstream.priorities import PRIORITIES

MAX_LEVEL = 10
MAX_TIMEOUT_MS = 86_400_000.0
"""A day. A longer timeout is taken as this one."""


def level(name: str | None) -> int:
    """The core's level of a priority; normal where none is named.

    Raises:
        InvalidInputError: no priority has that name.
    """
    if name is None:
        return 0
    found = PRIORITIES.get(name)
    if found is None:
        raise InvalidInputError(
            f"'priority' is not valid: {name!r}; it is one of {', '.join(PRIORITIES)}",
            key="priority",
            allowed=list(PRIORITIES),
        )
    return found


def timeout_ms(wanted: float | None, default: float, key: str = "timeout_ms") -> float:
    """Milliseconds until the request expires.

    Raises:
        InvalidInputError: not above 0; names the key.
    """
    if wanted is None:
        return default
    if not wanted > 0:
        raise InvalidInputError(
            f"'{key}' is not valid: {wanted:g}; it is a number of milliseconds above 0", key=key
        )
    return min(wanted, MAX_TIMEOUT_MS)


def level_number(wanted: int) -> int:
    """The core's level of a priority that is a number.

    Raises:
        InvalidInputError: not from 0 to 10.
    """
    if not 0 <= wanted <= MAX_LEVEL:
        raise InvalidInputError(
            f"'priority' is not valid: {wanted}; it is a whole number from 0 to {MAX_LEVEL}",
            key="priority",
            allowed=[0, MAX_LEVEL],
        )
    return wanted


def timeout_s_in_ms(wanted: float | None, default_ms: float, key: str = "timeout") -> float:
    """Milliseconds until the request expires, of a timeout in seconds.

    Raises:
        InvalidInputError: not above 0; names the key.
    """
    if wanted is None:
        return default_ms
    if not wanted > 0:
        raise InvalidInputError(
            f"'{key}' is not valid: {wanted:g}; it is a number of seconds above 0", key=key
        )
    return min(wanted * 1e3, MAX_TIMEOUT_MS)


def batch_size(wanted: int | None, most: int) -> int | None:
    """Most rows of one execution; None means the model's maximum.

    Raises:
        InvalidInputError: below 1.
    """
    if wanted is None:
        return None
    if wanted < 1:
        raise InvalidInputError(
            f"'batch_size' is not valid: {wanted}; it is a number of rows, at least 1",
            key="batch_size",
        )
    return min(wanted, most)
