"""Values in the query of a path."""

from __future__ import annotations

from urllib.parse import parse_qs

from slipstream.errors import InvalidInputError

_FLAGS = {"true": True, "1": True, "": True, "false": False, "0": False}


def flag(query: str, name: str) -> bool:
    """Whether ``?name=true`` is said; False where it is not there.

    Raises:
        InvalidInputError: neither true nor false.
    """
    values = parse_qs(query, keep_blank_values=True).get(name)
    if values is None:
        return False
    found = _FLAGS.get(values[-1].lower())
    if found is None:
        raise InvalidInputError(
            f"'{name}' is not valid: {values[-1]!r}; it is true or false", key=name
        )
    return found
