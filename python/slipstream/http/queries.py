"""What stands in the query string of a path."""

from __future__ import annotations

from typing import Generic, TypeVar
from urllib.parse import parse_qsl

import msgspec

from slipstream.decoding import text_converter
from slipstream.errors import InvalidInputError
from slipstream.http.codec import explained
from slipstream.http.types import Request

T = TypeVar("T", bound=msgspec.Struct)


class Query(Generic[T]):
    """The decoder of one kind of query string; make one per kind at import.

    Each field of the Struct is a parameter. Of one that is given twice the last one holds; what the
    Struct does not have is ignored. A flag may stand alone: ``?dry_run``.
    """

    __slots__ = ("_convert", "_flags")

    def __init__(self, kind: type[T]) -> None:
        self._convert = text_converter(kind)
        self._flags = {
            field.encode_name
            for field in msgspec.structs.fields(kind)
            if field.type in (bool, bool | None)
        }

    def __call__(self, request: Request) -> T:
        """Decodes the request's query string.

        Raises:
            InvalidInputError: a value is not of its kind.
        """
        given = dict(parse_qsl(request.query, keep_blank_values=True))
        for name in self._flags & given.keys():
            given[name] = given[name] or "true"
        try:
            return self._convert(given)
        except msgspec.ValidationError as error:
            said, where = explained(error, "query string")
            raise InvalidInputError(said, **where) from None


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
