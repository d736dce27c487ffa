"""Structs as components of an OpenAPI document.

msgspec makes the schemas; added are examples, what the docstrings of fields say, and the values
that stay bytes (`slipstream.http.schemas.values`).
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import textwrap
from collections.abc import Iterable, Iterator
from typing import Any, get_args

import msgspec
from msgspec import UnsetType

from slipstream.http import schemas
from slipstream.http.schemas.values import VALUES

Schema = dict[str, Any]
Struct = type[msgspec.Struct]

_PREFIX = "#/components/schemas/"


def reference(kind: Struct) -> Schema:
    """Stands for the component of a Struct."""
    return {"$ref": _PREFIX + kind.__name__}


def components(kinds: Iterable[Struct]) -> dict[str, Schema]:
    """The schemas of these and of everything that they refer to, by name.

    Raises:
        ValueError: a schema refers to something that is neither a Struct of ``http.schemas`` nor
            one of `VALUES`, or two Structs share a name.
    """
    made: dict[str, Schema] = {}
    wanted = list(dict.fromkeys(kinds))
    known = {kind.__name__: kind for kind in structs()}
    while wanted:
        for kind in wanted:
            if known.setdefault(kind.__name__, kind) is not kind:
                raise ValueError(f"two Structs are called {kind.__name__}")
        _, more = msgspec.json.schema_components(wanted, ref_template=_PREFIX + "{name}")
        for name, schema in more.items():
            made[name] = _finished(known[name], schema) if name in known else schema
        missing = {name for schema in made.values() for name in _referred(schema)} - set(made)
        while values := missing & set(VALUES):
            made.update({name: VALUES[name] for name in values})
            missing |= {name for name in values for name in _referred(VALUES[name])}
            missing -= set(made)
        if unknown := missing - set(known):
            raise ValueError(f"no Struct of http.schemas is called {', '.join(sorted(unknown))}")
        wanted = [known[name] for name in sorted(missing)]
    return dict(sorted(made.items()))


def structs() -> Iterator[Struct]:
    """Every Struct that a module of ``http.schemas`` defines."""
    for area in pkgutil.iter_modules(schemas.__path__):
        module = importlib.import_module(f"{schemas.__name__}.{area.name}")
        for kind in vars(module).values():
            if (
                isinstance(kind, type)
                and issubclass(kind, msgspec.Struct)
                and kind.__module__ == module.__name__
            ):
                yield kind


def parameters(kind: Struct) -> Iterator[tuple[str, Schema, bool]]:
    """Name, schema and whether it is required of every field of a Struct, for a query string."""
    (_,), made = msgspec.json.schema_components([kind], ref_template=_PREFIX + "{name}")
    schema = _finished(kind, made[kind.__name__])
    for name, field in schema["properties"].items():
        yield name, _without_null(field), name in schema.get("required", ())


def _without_null(schema: Schema) -> Schema:
    """A query string has no null: a parameter is there or it is not."""
    options = [one for one in schema.get("anyOf", ()) if one != {"type": "null"}]
    rest = {key: value for key, value in schema.items() if key not in ("anyOf", "default")}
    if len(options) == 1:
        return {**options[0], **rest}
    return {"anyOf": options, **rest} if options else rest


def _referred(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        name = schema.get("$ref")
        if isinstance(name, str):
            yield name.removeprefix(_PREFIX)
        for part in schema.values():
            yield from _referred(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from _referred(part)


def _finished(kind: Struct, schema: Schema) -> Schema:
    """A schema of msgspec with what it cannot know."""
    properties = schema.get("properties", {})
    for name, text in _field_docs(kind).items():
        if name in properties:
            properties[name]["description"] = text
    for field in msgspec.structs.fields(kind):
        if UnsetType in get_args(field.type):  # may be left out, default or not
            if field.encode_name in schema.get("required", ()):
                schema["required"].remove(field.encode_name)
            properties[field.encode_name].pop("default", None)
    if "description" in schema:
        schema["description"] = plain(schema["description"])
    if "EXAMPLE" in vars(kind):
        schema["examples"] = [vars(kind)["EXAMPLE"]]
    return schema


def _field_docs(kind: Struct) -> dict[str, str]:
    """The text below each field, also of those that are inherited."""
    found: dict[str, str] = {}
    for ancestor in reversed(kind.__mro__):
        if not issubclass(ancestor, msgspec.Struct) or ancestor is msgspec.Struct:
            continue
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(ancestor)))
        except OSError:  # no sources here, so no descriptions
            continue
        definition = tree.body[0]
        assert isinstance(definition, ast.ClassDef)
        previous: ast.stmt | None = None
        for statement in definition.body:
            match previous, statement:
                case (
                    ast.AnnAssign(target=ast.Name(id=name)),
                    ast.Expr(value=ast.Constant(value=str(text))),
                ):
                    found[name] = plain(text)
            previous = statement
    return found


def plain(text: str) -> str:
    """A docstring in one paragraph, as Markdown."""
    return re.sub(r"\s+", " ", text).strip().replace("``", "`")
