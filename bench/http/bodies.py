"""How each server is asked: path, body, and the key of the answer; and the traffic made of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from bench.http import models
from bench.http.generator import Check, Traffic
from bench.http.models import Array, Model

Body = Callable[[Model, Array, dict[str, Any]], dict[str, Any]]


class Dialect(NamedTuple):
    """One way to ask."""

    path: Callable[[Model], str]
    body: Body
    """From the model, the rows, and what else the request says (deadline, priority)."""
    key: Callable[[Model], str]
    """Of the answer; empty: all of it."""


def _own(model: Model, rows: Array, extra: dict[str, Any]) -> dict[str, Any]:
    asked: dict[str, Any] = {"model_id": model.name, "data": _numbers(rows)}
    if model.probabilities:
        asked["return_probabilities"] = True
    return asked | extra


def _plain(model: Model, rows: Array, extra: dict[str, Any]) -> dict[str, Any]:
    return {"data": _numbers(rows)}


def _v2(model: Model, rows: Array, extra: dict[str, Any]) -> dict[str, Any]:
    """The open inference protocol, as Triton and MLServer speak it; tensors flat."""
    flat = [number for row in _numbers(rows) for number in row]
    tensor = {"name": "x", "shape": list(rows.shape), "datatype": "FP32", "data": flat}
    return {"inputs": [tensor], "outputs": [{"name": "y"}]}


OWN = Dialect(
    path=lambda model: "/api/inference/predict",
    body=_own,
    key=lambda model: "probabilities" if model.probabilities else "predictions",
)
PLAIN = Dialect(lambda model: "/predict", _plain, lambda model: "predictions")
MOSEC = PLAIN._replace(path=lambda model: "/inference")
LIST = PLAIN._replace(key=lambda model: "")
V2 = Dialect(lambda model: f"/v2/models/{model.name}/infer", _v2, lambda model: "data")


def traffic(
    dialect: Dialect,
    model: Model,
    rows: int,
    name: str = "all",
    extra: dict[str, Any] | None = None,
    **options: Any,
) -> Traffic:
    """A class of requests of that many rows each, checked against the model's own library.

    Args:
        dialect: Of the server.
        model: Which one to ask.
        rows: In every body.
        name: Of the class.
        extra: What else our own requests say, such as ``{"timeout_ms": 50}``.
        options: Further fields of `Traffic`.
    """
    inputs, check = _inputs(model, rows)
    requests = [post(dialect, model, one, extra) for one in inputs]
    return Traffic(
        name=name, requests=requests, check=check, key=dialect.key(model) or None, **options
    )


def post(dialect: Dialect, model: Model, rows: Array, extra: dict[str, Any] | None = None) -> bytes:
    """One whole HTTP request."""
    text = json.dumps(dialect.body(model, rows, extra or {})).encode()
    return with_body(dialect.path(model), text)


def with_body(path: str, text: bytes) -> bytes:
    """A POST request of JSON."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Accept: application/json\r\nContent-Length: {len(text)}\r\n\r\n"
    )
    return head.encode() + text


def spoiled(dialect: Dialect, model: Model) -> list[bytes]:
    """Requests with a string in their row, which no server can answer."""
    inputs, _ = _inputs(model, 1)
    requests = []
    for number, rows in enumerate(inputs):
        text = json.dumps(dialect.body(model, rows, {}))
        first = json.dumps(_numbers(rows)[0][0])
        spoilt = text.replace(f"[{first},", f'["not a number {number}",', 1)
        if spoilt == text:
            raise ValueError(f"no number to spoil in {text[:80]}")
        requests.append(with_body(dialect.path(model), spoilt.encode()))
    return requests


@lru_cache(maxsize=16)
def _inputs(model: Model, rows: int) -> tuple[list[Array], Check]:
    every = model.rows(models.BODIES * rows, seed=rows)
    right = model.expected(every)
    inputs = [every[i * rows : (i + 1) * rows] for i in range(models.BODIES)]

    def check(body: int, answer: bytes) -> str | None:
        return models.differs(answer, right[body * rows : (body + 1) * rows])

    return inputs, check


def _numbers(rows: Array) -> list[list[float]]:
    """The shortest decimals that are these values."""
    return [[float(str(value)) for value in row] for row in rows]
