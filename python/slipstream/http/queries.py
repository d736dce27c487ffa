"""What stands in the query string of a path."""

from __future__ import annotations

from typing import Any, Generic, TypeVar, get_args
from urllib.parse import parse_qsl

import msgspec

from slipstream.decoding import text_converter
from slipstream.errors import InvalidInputError
from slipstream.http.codec import explained
from slipstream.http.types import Request

T = TypeVar("T", bound=msgspec.Struct)

_WANTED: dict[Any, str] = {bool: "true or false", int: "a whole number", float: "a number"}


class Query(Generic[T]):
    """The decoder of one kind of query string; make one per kind at import.

    Each field of the Struct is a parameter. Of one that is given twice the last one holds; one
    without a value is not there, but for flags, which may stand alone: ``?dry_run``. What the
    Struct does not have is ignored.
    """

    __slots__ = ("_convert", "_flags", "_wanted")

    def __init__(self, kind: type[T]) -> None:
        self._convert = text_converter(kind)
        kinds = {field.encode_name: _basic(field.type) for field in msgspec.structs.fields(kind)}
        self._flags = {name for name, basic in kinds.items() if basic is bool}
        self._wanted = {name: _WANTED[basic] for name, basic in kinds.items() if basic in _WANTED}

    def __call__(self, request: Request) -> T:
        """Decodes the request's query string.

        Raises:
            InvalidInputError: a value is not of its kind.
        """
        every = dict(parse_qsl(request.query, keep_blank_values=True))
        given = {name: value for name, value in every.items() if value}
        given |= dict.fromkeys(self._flags & every.keys() - given.keys(), "true")
        try:
            return self._convert(given)
        except msgspec.ValidationError as error:
            said, where = explained(error, "query string")
            key = where.get("key")
            if key in self._wanted:
                said = f"'{key}' is not valid: {given[key][:100]!r}; it is {self._wanted[key]}"
            raise InvalidInputError(said, **where) from None


def _basic(kind: Any) -> Any:
    """The one of `_WANTED` that a field's type comes down to; None for texts."""
    if kind in _WANTED:
        return kind
    inner = get_args(kind)
    return next((found for found in map(_basic, inner[:1]) if found is not None), None)


def waiting_ms(given: float, most: float) -> float:
    """A ``wait_ms`` that may be used; a longer one than ``most`` is taken as that.

    Raises:
        InvalidInputError: it is negative, or no number.
    """
    if not given >= 0:
        raise InvalidInputError(
            f"'wait_ms' is not valid: {given:g}; it is milliseconds, at least 0", key="wait_ms"
        )
    return min(given, most)
