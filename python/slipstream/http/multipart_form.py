"""A form with a file in it: ``multipart/form-data`` (RFC 7578), read from a whole body."""

from __future__ import annotations

from typing import NamedTuple

from slipstream.errors import InvalidInputError, MalformedInputError, MissingDependencyError
from slipstream.http.types import Request

CONTENT_TYPE = "multipart/form-data"
_MOST_PARTS = 32
_MOST_FIELD_BYTES = 64 * 1024


class Form(NamedTuple):
    """What was sent."""

    file: bytes
    fields: dict[str, str]


def is_form(request: Request) -> bool:
    """Whether the body says that it is one."""
    kind = (request.headers.get("content-type") or "").partition(";")[0]
    return kind.strip().lower() == CONTENT_TYPE


def read_form(request: Request, file_field: str = "file") -> Form:
    """The file, and the other fields as text; of a field that is there twice the last one holds.

    Raises:
        MalformedInputError: the body is not of that form.
        InvalidInputError: there is no file, or a field is too large.
        MissingDependencyError: the parser is not installed.
    """
    try:
        from multipart import (
            MultipartError,
            MultipartSegment,
            ParserLimitReached,
            PushMultipartParser,
        )
        from multipart import parse_options_header as options_of
    except ImportError as error:
        raise MissingDependencyError(
            "Forms need multipart, which is not installed: pip install 'slipstream[audio]'; or "
            "send the file itself as the body"
        ) from error
    _, options = options_of(request.headers.get("content-type") or "")
    boundary = options.get("boundary")
    if not boundary:
        raise MalformedInputError("The Content-Type of the form names no boundary")
    parts: dict[str, list[bytes]] = {}
    name = ""
    try:
        with PushMultipartParser(
            boundary, content_length=len(request.body), max_segment_count=_MOST_PARTS, strict=True
        ) as parser:
            for event in parser.parse(request.body):
                if isinstance(event, MultipartSegment):
                    name = event.name
                    parts[name] = []
                elif event is not None:
                    parts[name].append(bytes(event))
    except ParserLimitReached as error:
        raise MalformedInputError(
            f"The form has more than {_MOST_PARTS} parts, or a part with very long headers; send "
            f"only '{file_field}' and the fields that are known"
        ) from error
    except (MultipartError, UnicodeDecodeError) as error:
        raise MalformedInputError(
            f"The body is not a form, as its Content-Type says: {_flaw(error)}"
        ) from error
    if file_field not in parts:
        raise InvalidInputError(f"The form lacks the field '{file_field}'", key=file_field)
    file = b"".join(parts.pop(file_field))
    return Form(file, {key: _text(key, pieces) for key, pieces in parts.items()})


def _flaw(error: Exception) -> str:
    """In words of ours: the parser's are of its own states."""
    if any(isinstance(one, UnicodeDecodeError) for one in (error, *error.args)):
        return "the headers of a part are not UTF-8"
    return (
        "it is cut off, its boundary is not the one that was announced, or a part lacks its "
        "Content-Disposition with a name"
    )


def _text(key: str, pieces: list[bytes]) -> str:
    value = b"".join(pieces)
    if len(value) > _MOST_FIELD_BYTES:
        raise InvalidInputError(f"'{key[:100]}' is larger than {_MOST_FIELD_BYTES} bytes")
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"'{key[:100]}' is not UTF-8") from error
