"""The OpenAPI 3.1 document of a server, made from its route table.

Whatever a route decodes and encodes is a Struct that its row names (`About`), and the schemas are
made from those Structs: the document says what the code does. A test holds that every route is in
it and that real answers fit it.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

from slipstream._version import __version__
from slipstream.http import errors
from slipstream.http.openapi_schemas import Schema, Struct, components, parameters, plain, reference
from slipstream.http.schemas.errors import CoreErrorBody, ErrorBody
from slipstream.http.types import About, Family, Route

_PARAMETER = re.compile(r"{(\w+)}")
_BASE = "/api/inference"
_TITLE = "slipstream"
_DESCRIPTION = (
    "An inference server for people who count microseconds. Times in answers are seconds, timeouts "
    "in requests milliseconds, sizes mebibytes; what could not be measured is null. Every answer "
    "has the header `X-Request-ID`. Errors have the body `ErrorBody` below /api/inference, and "
    "`CoreErrorBody` elsewhere. "
    "Unknown keys of a body are ignored."
)
_BODY_FAILS = (400, 408, 413, 415, 422)
_BINARY = ("application/msgpack", "application/octet-stream")
_BESIDE_TENSOR = "With a tensor's body; other bodies have it beside `data`."
_RETRY = (429, 503)
_BODIES: dict[Family, Struct] = {"inference": ErrorBody, "core": CoreErrorBody}


def document(routes: Iterable[Route], *, keys_required: bool) -> Schema:
    """The whole document.

    Args:
        routes: The route table; each row has an `About`.
        keys_required: Whether this server asks for an API key.

    Raises:
        ValueError: a row has no `About`, or one that does not fit.
    """
    table = [(route, _about(route)) for route in routes]
    paths: dict[str, Schema] = {}
    for route, about in table:
        operation = _operation(route, about, keys_required)
        paths.setdefault(route.path, {})[route.method.lower()] = operation
    kinds: list[Struct] = list(_BODIES.values())
    for _, about in table:
        kinds += [kind for kind in (about.takes, about.gives) if kind is not None]
        kinds += [kind for _, kind in about.others]
    failures = sorted(
        {(status, route.family) for route, about in table for status in statuses_of(route, about)}
    )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": _TITLE,
            "version": __version__,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name} for name in dict.fromkeys(_tag(route) for route, _ in table)],
        "paths": paths,
        "components": {
            "schemas": components(kinds),
            "responses": {_failure_name(*one): _failure(*one) for one in failures},
            "headers": _HEADERS,
            "parameters": {"RequestId": _REQUEST_ID, "IfNoneMatch": _IF_NONE_MATCH},
            "securitySchemes": {
                "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
                "bearer": {
                    **{"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                    "description": "A token, or an API key.",
                },
            },
        },
    }


def statuses_of(route: Route, about: About) -> tuple[int, ...]:
    """Every status but that of success: those of the row and those that follow from it."""
    found = {500, *about.fails}
    if not route.open:
        found |= {401, 429, 503}
    if route.scope is not None or route.protected:
        found.add(403)
    if about.takes is not None:
        found.update(_BODY_FAILS)
    if "{" in route.path:
        found.add(404)
    if about.query is not None:
        found.add(422)
    return tuple(sorted(found - {about.status} - {status for status, _ in about.others}))


def _about(route: Route) -> About:
    if route.about is None:
        raise ValueError(f"{route.method} {route.path}: it has no entry in http/routes/abouts.py")
    return route.about


def _operation(route: Route, about: About, keys_required: bool) -> Schema:
    operation: Schema = {
        "operationId": _operation_id(route),
        "summary": about.summary,
        "tags": [_tag(route)],
        "parameters": list(_parameters(route, about)),
        "responses": {str(about.status): _success(about)},
    }
    description = _description(route)
    if description:
        operation["description"] = description
    if about.takes is not None:
        operation["requestBody"] = _request_body(about.takes, about)
    for status in statuses_of(route, about):
        name = _failure_name(status, route.family)
        operation["responses"][str(status)] = {"$ref": f"#/components/responses/{name}"}
    if about.is_kept:
        operation["responses"]["304"] = _NOT_MODIFIED
    for status, kind in about.others:
        operation["responses"][str(status)] = _success(about, kind)
    operation["security"] = _security(route, keys_required)
    return operation


def _security(route: Route, keys_required: bool) -> list[Schema]:
    """Either of both schemes, with the scope that it has to have (OpenAPI 3.1, 4.8.30)."""
    if route.protected:
        return [{"bearer": []}, {"apiKey": ["admin"]}]
    if route.open:
        return []
    scopes = [] if route.scope is None else [route.scope]
    keyed: list[Schema] = [{"apiKey": scopes}, {"bearer": scopes}]
    return keyed if keys_required else [{}, *keyed]


def _operation_id(route: Route) -> str:
    words = re.findall(r"\w+", route.path.removeprefix(_BASE)) or ["root"]
    if route.family == "core":  # both families have a `predict` and a `health`
        words = ["core", *words]
    return "_".join((route.method.lower(), *words)).replace(".", "_")


def _tag(route: Route) -> str:
    if not route.path.startswith(_BASE):
        return "server"
    return route.path.removeprefix(_BASE).split("/")[1]


def _description(route: Route) -> str:
    """What the handler's docstring says behind the name of its route."""
    handler: Any = route.handler
    while isinstance(handler, partial):
        handler = handler.func
    text = plain(inspect.getdoc(handler) or "").partition(" Raises:")[0]
    _, colon, rest = text.partition(": ")
    return rest[:1].upper() + rest[1:] if colon else ""


def _parameters(route: Route, about: About) -> Iterator[Schema]:
    for name in _PARAMETER.findall(route.path):
        yield {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
    if about.query is not None:
        for name, schema, required in parameters(about.query):
            parameter = {"name": name, "in": "query", "required": required, "schema": schema}
            text = schema.pop("description", _BESIDE_TENSOR if about.binary else None)
            yield {**parameter, "description": text} if text else parameter
    yield {"$ref": "#/components/parameters/RequestId"}
    if about.is_kept:
        yield {"$ref": "#/components/parameters/IfNoneMatch"}
    if about.binary:
        for name, example, text in (
            ("X-Tensor-Dtype", "float32", "The dtype of a tensor's body; it needs both headers."),
            ("X-Tensor-Shape", "64,30", "The shape of a tensor's body."),
        ):
            yield {
                **{"name": name, "in": "header", "required": False, "description": text},
                **{"schema": {"type": "string"}, "example": example},
            }


def _request_body(kind: Struct, about: About) -> Schema:
    json_body: Schema = {"schema": reference(kind)}
    example = getattr(kind, "EXAMPLE", None)
    if example is not None:
        json_body["example"] = example
    if about.files:
        files: Schema = {kind: {"schema": {}} for kind in about.files}
        return {"required": True, "content": {"multipart/form-data": json_body, **files}}
    content = {"application/json": json_body}
    if about.binary:
        content["application/msgpack"] = {"schema": reference(kind)}
        content["application/octet-stream"] = {"schema": {}}  # bytes (OpenAPI 3.1, 4.8.14.2)
    return {"required": True, "content": content}


def _success(about: About, kind: Struct | None = None) -> Schema:
    kind = kind or about.gives
    schema: Schema = {"type": "string"}
    if kind is not None:
        schema = reference(kind)
    elif about.media_type == "application/json":
        schema = {"type": "object"}
    content: dict[str, Schema] = {about.media_type: {"schema": schema}}
    content |= {media_type: {"schema": {}} for media_type in about.gives_files}
    headers = {"X-Request-ID": {"$ref": "#/components/headers/RequestId"}}
    if about.is_kept:
        headers["ETag"] = {"$ref": "#/components/headers/ETag"}
    if about.binary:
        content |= {_BINARY[0]: {"schema": schema}, _BINARY[1]: {"schema": {}}}
        headers |= {
            f"X-{what}-{part}": {"$ref": f"#/components/headers/Tensor{part}"}
            for what in ("Tensor", "Probabilities")
            for part in ("Dtype", "Shape")
        }
    return {"description": about.summary, "headers": headers, "content": content}


def _failure_name(status: int, family: Family) -> str:
    return f"Error{status}" if family == "inference" else f"CoreError{status}"


def _failure(status: int, family: Family) -> Schema:
    """The response component of one status: its errors are those of the table in http/errors."""
    headers = {"X-Request-ID": {"$ref": "#/components/headers/RequestId"}}
    if status in _RETRY:
        headers["Retry-After"] = {"$ref": "#/components/headers/RetryAfter"}
    if status in (401, 403):
        headers["WWW-Authenticate"] = {"$ref": "#/components/headers/WwwAuthenticate"}
    lines = [f"`{kind.__name__}`: {plain(kind.__doc__ or '')}" for kind in errors.kinds_of(status)]
    schema = reference(_BODIES[family])
    return {
        "description": "  \n".join(lines) or "The server has a fault; its log says which.",
        "headers": headers,
        "content": {"application/json": {"schema": schema}},
    }


_ID_SCHEMA = {"type": "string", "minLength": 1, "maxLength": 128, "pattern": r"^[!-~]+$"}
_REQUEST_ID: Schema = {
    "name": "X-Request-ID",
    "in": "header",
    "required": False,
    "description": "An id of your own, 1 to 128 visible ASCII characters, that the answer repeats.",
    "schema": _ID_SCHEMA,
}
_IF_NONE_MATCH: Schema = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "description": "The ETag of an answer that the client has: 304 if it is still the answer.",
    "schema": {"type": "string"},
}
_NOT_MODIFIED: Schema = {
    "description": "The answer that the client has still holds.",
    "headers": {
        "X-Request-ID": {"$ref": "#/components/headers/RequestId"},
        "ETag": {"$ref": "#/components/headers/ETag"},
    },
}
_HEADERS: dict[str, Schema] = {
    "RequestId": {
        "description": "Names the request in logs: yours, or one made up.",
        "required": True,
        "schema": _ID_SCHEMA,
    },
    "RetryAfter": {
        "description": "Whole seconds after which trying again makes sense.",
        "schema": {"type": "integer", "minimum": 1},
    },
    "ETag": {
        "description": "Names what the answer says, but for the moment it was made at.",
        "schema": {"type": "string"},
    },
    "WwwAuthenticate": {"schema": {"type": "string"}},
    "TensorDtype": {
        "description": "Of a tensor's answer: the dtype of its elements.",
        "schema": {"type": "string"},
    },
    "TensorShape": {
        "description": "Of a tensor's answer: its shape, sizes set apart by commas.",
        "schema": {"type": "string"},
    },
}
