"""JSON read with the place of everything in it, for messages that name a line.

Libraries tell where a *syntax* error is; what a value at some path is worth is found out later,
when its place is forgotten. This reader keeps it, and finds keys that are there twice, of which
others silently take one. The grammar is RFC 8259's; strings are the standard library's to read.
"""

from __future__ import annotations

import json
import re
import sys
from bisect import bisect_right
from collections.abc import Iterator
from typing import Any, NamedTuple

_MOST_DEPTH = 32
_SPACE = re.compile(r"[ \t\n\r]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None}
_MOST_DIGITS = 64
_LARGEST = sys.float_info.max
_read_string = json.JSONDecoder().raw_decode


class Place(NamedTuple):
    """Line and column, each from 1."""

    line: int
    column: int


class PlacedError(ValueError):
    """Text that is no JSON, and where."""

    def __init__(self, message: str, place: Place) -> None:
        super().__init__(message)
        self.message = message
        self.place = place


class Placed(NamedTuple):
    """A value and where it stands."""

    place: Place
    value: Any
    """Plain: a dict, a list, a text, a number, a boolean, None."""
    members: dict[str, Placed] | None = None
    """Of an object."""
    keys: dict[str, Place] | None = None
    """Of an object: where each key stands."""
    items: tuple[Placed, ...] | None = None
    """Of a list."""

    def at(self, path: str) -> Placed:
        """What stands at a path as msgspec writes it (``.models[0].aliases[...]``), or nearest."""
        found = self
        for key, index in re.findall(r"\.([^.\[]+)|\[([^\]]*)\]", path):
            inner: Placed | None = None
            if found.members is not None and key:
                inner = found.members.get(key)
            elif found.items is not None and index.isdecimal() and int(index) < len(found.items):
                inner = found.items[int(index)]
            if inner is None:
                break
            found = inner
        return found


def read_placed(text: str) -> tuple[Placed, list[tuple[Place, str]]]:
    """The document, and the keys that an object has twice: where each stands again.

    Raises:
        PlacedError: not one JSON value, nested too deep, or a number nobody means.
    """
    reader = _Reader(text)
    found = reader.value(reader.skip(0), 0)
    end = reader.skip(reader.position)
    if end < len(text):
        raise reader.error("there is something behind the end of the document", end)
    return found, reader.twice


class _Reader:
    """One pass over a text; ``position`` is behind what was read last."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._starts = [0, *(found.end() for found in re.finditer("\n", text))]
        self.position = 0
        self.twice: list[tuple[Place, str]] = []

    def skip(self, position: int) -> int:
        found = _SPACE.match(self._text, position)
        return found.end() if found else position

    def place(self, position: int) -> Place:
        line = bisect_right(self._starts, position)
        return Place(line, position - self._starts[line - 1] + 1)

    def error(self, message: str, position: int) -> PlacedError:
        return PlacedError(message, self.place(position))

    def value(self, position: int, depth: int) -> Placed:
        """The value that begins at a position."""
        if depth > _MOST_DEPTH:
            raise self.error(f"it is nested deeper than {_MOST_DEPTH} levels", position)
        place, first = self.place(position), self._text[position : position + 1]
        if first == "{":
            return self._object(position, place, depth)
        if first == "[":
            items = tuple(self._items(position, depth))
            return Placed(place, [item.value for item in items], items=items)
        if first == '"':
            return Placed(place, self._string(position))
        number = _NUMBER.match(self._text, position)
        if number:
            self.position = number.end()
            if len(number[0]) > _MOST_DIGITS:
                raise self.error(f"a number has more than {_MOST_DIGITS} characters", position)
            is_whole = number[1] is None and number[2] is None
            found = int(number[0]) if is_whole else float(number[0])
            if not -_LARGEST <= found <= _LARGEST:
                raise self.error(f"{number[0]} is beyond the range of a double", position)
            return Placed(place, found)
        for word, value in _WORDS.items():
            if self._text.startswith(word, position):
                self.position = position + len(word)
                return Placed(place, value)
        if not first:
            raise self.error("it ends before it is complete", position)
        raise self.error(f"a value was expected, not {first!r}", position)

    def _string(self, position: int) -> str:
        try:
            found, self.position = _read_string(self._text, position)
        except json.JSONDecodeError as error:
            raise self.error(error.msg[:1].lower() + error.msg[1:], error.pos) from None
        try:
            found.encode()
        except UnicodeEncodeError:
            raise self.error("a text holds half a surrogate pair", position) from None
        return str(found)

    def _object(self, position: int, place: Place, depth: int) -> Placed:
        members: dict[str, Placed] = {}
        keys: dict[str, Place] = {}
        for start in self._parts(position, "}"):
            if self._text[start : start + 1] != '"':
                raise self.error("a key in quotation marks was expected", start)
            key = self._string(start)
            colon = self.skip(self.position)
            if self._text[colon : colon + 1] != ":":
                raise self.error(f"':' was expected behind the key '{key}'", colon)
            if key in members:
                self.twice.append((self.place(start), key))
            keys[key] = self.place(start)
            members[key] = self.value(self.skip(colon + 1), depth + 1)
        plain = {key: member.value for key, member in members.items()}
        return Placed(place, plain, members, keys)

    def _items(self, position: int, depth: int) -> Iterator[Placed]:
        for start in self._parts(position, "]"):
            yield self.value(start, depth + 1)

    def _parts(self, position: int, closing: str) -> Iterator[int]:
        """Where each part of an object or a list begins; the caller reads it."""
        start = self.skip(position + 1)
        if self._text[start : start + 1] == closing:
            self.position = start + 1
            return
        while True:
            yield start
            end = self.skip(self.position)
            mark = self._text[end : end + 1]
            if mark == closing:
                self.position = end + 1
                return
            if mark != ",":
                what = f"{mark!r}" if mark else "the end"
                raise self.error(f"',' or '{closing}' was expected, not {what}", end)
            start = self.skip(end + 1)
