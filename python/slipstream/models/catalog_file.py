"""Reads ``models.json``; everything that is wrong with it is told at once, by line and key.

The text is read with places (`slipstream.models.positions`), then each key is held against its
type by itself, so one that is wrong hides no other. What no type can say (ids that clash, a least
above a most) is looked at when all entries are sound.
"""

from __future__ import annotations

import difflib
import posixpath
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

import msgspec

from slipstream.decoding import converter
from slipstream.device_names import EXPECTED, PROVIDER_EXPECTED, parse_device
from slipstream.errors import ModelLoadError, SlipstreamError
from slipstream.models.catalog import EMPTY, MODELS_FILE, MOST_MODELS, Catalog, ModelEntry
from slipstream.models.positions import Place, Placed, PlacedError, read_placed
from slipstream.models.prepare import MODEL_TYPES, TYPE_ALIASES

MOST_BYTES = 16 << 20
_SHOWN = 20
"""Problems in one message; more are counted."""

_convert_of: dict[str, Callable[[object], Any]] = {
    name: converter(kind) for name, kind in get_type_hints(ModelEntry, include_extras=True).items()
}
_entry = converter(ModelEntry)
_KEYS = tuple(field.encode_name for field in msgspec.structs.fields(ModelEntry))
_REQUIRED = tuple(
    field.encode_name for field in msgspec.structs.fields(ModelEntry) if field.required
)
_PATTERN = "Expected `str` matching regex"
_PATTERNS = {
    "{64}": "the 64 lower-case digits of a SHA-256",
    "[Cc][Uu][Dd][Aa]": EXPECTED,
    "{0,63}": PROVIDER_EXPECTED,
    "": "1 to 128 letters, digits, '_', '-' or '.', not beginning with '-' or '.'",
}
"""What a key takes, by what only its pattern has."""


class Problem(NamedTuple):
    """One thing that is wrong."""

    place: Place
    key: str
    """Where in the document, as ``models[1].sha256``; "" of the whole."""
    message: str

    def shown(self, file: str) -> str:
        """A line, as compilers write it."""
        where = f"{self.key}: " if self.key else ""
        return f"{file}:{self.place.line}:{self.place.column}: {where}{self.message}"


class CatalogError(SlipstreamError):
    """``models.json`` is not valid; ``problems`` are in the order of the file."""

    def __init__(self, file: Path, problems: list[Problem]) -> None:
        self.problems = sorted(problems)
        lines = [one.shown(str(file)) for one in self.problems[:_SHOWN]]
        if len(problems) > _SHOWN:
            lines.append(f"{file}: and {len(problems) - _SHOWN} more")
        super().__init__("\n".join(lines), problems=lines)


def read_catalog(model_dir: Path) -> Catalog:
    """What ``models.json`` of a model directory says; an empty catalog where there is none.

    Raises:
        CatalogError: it cannot be read, or is not valid.
    """
    file = model_dir / MODELS_FILE
    try:
        with file.open("rb") as stream:
            data = stream.read(MOST_BYTES + 1)
    except FileNotFoundError:
        return EMPTY
    except OSError as error:
        raise _whole(file, f"cannot be read: {error.strerror or error}") from error
    if len(data) > MOST_BYTES:
        raise _whole(file, f"is larger than {MOST_BYTES} bytes")
    return parse_catalog(data, file)


def parse_catalog(data: bytes, file: Path) -> Catalog:
    """The same, of its bytes; ``file`` is named in messages.

    Raises:
        CatalogError: it is not valid.
    """
    try:
        root, twice = read_placed(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise CatalogError(file, [Problem(Place(line, 1), "", "it is not UTF-8")]) from error
    except PlacedError as error:
        raise CatalogError(file, [Problem(error.place, "", error.message)]) from error
    problems = [Problem(place, "", f"the key '{key}' is there twice") for place, key in twice]
    problems += _of_root(root)
    found = (root.members or {}).get("models")
    entries = [] if found is None else list(found.items or ())
    for number, node in enumerate(entries):
        problems += _of_entry(node, f"models[{number}]")
    if problems:
        raise CatalogError(file, problems)
    models = tuple(_entry(node.value) for node in entries)
    problems = list(_together(models, entries))
    if problems:
        raise CatalogError(file, problems)
    return Catalog(models=models)


def _whole(file: Path, reason: str) -> CatalogError:
    return CatalogError(file, [Problem(Place(1, 1), "", f"the file {reason}")])


def _of_root(root: Placed) -> Iterator[Problem]:
    if root.members is None or root.keys is None:
        yield Problem(
            root.place, "", f'it takes an object with the key "models", not {_kind(root)}'
        )
        return
    for key in root.members:
        if key not in ("models", "$schema"):
            yield Problem(root.keys[key], key, _unknown(key, ("models", "$schema")))
    models = root.members.get("models")
    if models is None:
        yield Problem(root.place, "", 'the key "models" is missing')
    elif models.items is None:
        yield Problem(models.place, "models", f"it takes a list of models, not {_kind(models)}")
    elif len(models.items) > MOST_MODELS:
        yield Problem(models.place, "models", f"it takes at most {MOST_MODELS} models")


def _of_entry(node: Placed, path: str) -> Iterator[Problem]:
    if node.members is None or node.keys is None:
        yield Problem(node.place, path, f"a model is an object, not {_kind(node)}")
        return
    for key in _REQUIRED:
        if key not in node.members:
            yield Problem(node.place, path, f"the key '{key}' is missing")
    for key, value in node.members.items():
        convert = _convert_of.get(key)
        if convert is None:
            yield Problem(node.keys[key], f"{path}.{key}", _unknown(key, _KEYS))
            continue
        try:
            convert(value.value)
        except msgspec.ValidationError as error:
            yield _problem(error, value, f"{path}.{key}")
    kind = node.members.get("model_type")
    known = (*MODEL_TYPES, *TYPE_ALIASES)
    if kind is not None and isinstance(kind.value, str) and kind.value not in known:
        yield Problem(kind.place, f"{path}.model_type", _unknown(kind.value, known, "model type"))


def _problem(error: msgspec.ValidationError, node: Placed, path: str) -> Problem:
    """What a decoder says of a value, where the flaw is."""
    reason, _, inner = str(error).partition(" - at `$")
    inner = inner.removesuffix("`")
    flawed = node.at(inner)
    if reason.startswith(_PATTERN):
        wanted = next(said for mark, said in _PATTERNS.items() if mark in reason)
        reason = f"{str(flawed.value)[:100]!r} is not valid: it takes {wanted}"
    else:
        reason = reason[:1].lower() + reason[1:]
    return Problem(flawed.place, path + inner, reason.replace("`", "'"))


def _kind(node: Placed) -> str:
    if node.members is not None:
        return "an object"
    if node.items is not None:
        return "a list"
    words = {bool: "a boolean", int: "a number", float: "a number", str: "a text"}
    return words.get(type(node.value), "null")


def _unknown(key: str, known: tuple[str, ...], what: str = "key") -> str:
    near = difflib.get_close_matches(key, known, n=1)
    remedy = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known)}"
    return f"unknown {what} {key[:100]!r}; {remedy}"


def _together(models: tuple[ModelEntry, ...], nodes: list[Placed]) -> Iterator[Problem]:
    """What is wrong between keys, and between entries."""
    taken: dict[str, Place] = {}
    paths: dict[str, Place] = {}
    for number, (entry, node) in enumerate(zip(models, nodes, strict=True)):
        path, keys = f"models[{number}]", node.members or {}
        for key, name, place in _names(entry, keys):
            if name in taken:
                line = taken[name].line
                yield Problem(place, f"{path}.{key}", f"'{name}' is taken already, in line {line}")
            taken.setdefault(name, place)
        place = keys["model_path"].place
        file = posixpath.normpath(entry.model_path)
        if file in paths and entry.enabled:
            line = paths[file].line
            yield Problem(
                place, f"{path}.model_path", f"the same file is a model already, in line {line}"
            )
        if entry.enabled:
            paths.setdefault(file, place)
        yield from _of_ranges(entry, keys, path)


def _names(entry: ModelEntry, keys: dict[str, Placed]) -> Iterator[tuple[str, str, Place]]:
    if entry.model_id is not None:
        yield "model_id", entry.model_id, keys["model_id"].place
    for place, alias in enumerate(entry.aliases):
        yield f"aliases[{place}]", alias, keys["aliases"].at(f"[{place}]").place


def _of_ranges(entry: ModelEntry, keys: dict[str, Placed], path: str) -> Iterator[Problem]:
    least, most, begin = entry.min_instances, entry.max_instances, entry.instances
    if least is not None and most is not None and least > most:
        yield Problem(
            keys["min_instances"].place,
            f"{path}.min_instances",
            f"{least} is above max_instances ({most})",
        )
    elif begin is not None and not (least or 1) <= begin <= (most or begin):
        yield Problem(
            keys["instances"].place,
            f"{path}.instances",
            f"{begin} is not between min_instances ({least or 1}) and max_instances ({most})",
        )
    if not entry.batching and entry.max_batch_size is not None:
        yield Problem(
            keys["max_batch_size"].place,
            f"{path}.max_batch_size",
            "batching is off, so there are no batches whose size could be limited",
        )
    if re.search("[\0\r\n]", entry.model_path):
        yield Problem(keys["model_path"].place, f"{path}.model_path", "it is no path of a file")
    if entry.device is not None:
        try:
            parse_device(entry.device)
        except ValueError as error:
            message = f"{entry.device!r} {str(error) or f'is not valid: it takes {EXPECTED}'}"
            yield Problem(keys["device"].place, f"{path}.device", message)
    try:
        entry.declared()
    except ModelLoadError as error:
        key = "states" if "states" in keys else "constants"
        message = error.message.partition(": ")[2]
        yield Problem(keys[key].place, f"{path}.{key}", message)
