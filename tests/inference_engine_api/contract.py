"""What an answer must look like, written down as the document writes it.

A shape is a type, a value, a compiled pattern, a tuple of shapes (any of them), a list of one shape
(all items) or a dict of shapes by key.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

import httpx

BASE = "/api/inference"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
DURATION = re.compile(r"\d+h \d+m \d+s")
FILLED = re.compile(r".+", re.DOTALL)


def number_or_null() -> tuple[Any, ...]:
    """What is measured where the machine lets it be measured."""
    return (float, int, None)


def check(value: Any, shape: Any, where: str = "answer", *, extra: Collection[str] = ()) -> None:
    """Asserts that ``value`` has the documented shape, with its keys in the documented order.

    Args:
        value: What was answered, as Python values.
        shape: What the document says of it.
        where: Names the value in a failure.
        extra: Keys of the outermost object that are ours, and may stand behind the documented.
    """
    if isinstance(shape, dict):
        assert isinstance(value, dict), f"{where} is no object: {value!r}"
        assert [key for key in value if key in shape] == list(shape), where
        assert value.keys() - shape.keys() <= set(extra), where
        for key, inner in shape.items():
            check(value[key], inner, f"{where}.{key}")
    elif isinstance(shape, list):
        assert isinstance(value, list), f"{where} is no list: {value!r}"
        for index, item in enumerate(value):
            check(item, shape[0], f"{where}[{index}]")
    elif isinstance(shape, tuple):
        assert any(_is(value, option) for option in shape), f"{where}: {value!r}"
    else:
        assert _is(value, shape), f"{where}: {value!r} is not {shape}"


def _is(value: Any, shape: Any) -> bool:
    if isinstance(shape, type):
        return type(value) is shape
    if isinstance(shape, re.Pattern):
        return isinstance(value, str) and shape.fullmatch(value) is not None
    return type(value) is type(shape) and bool(value == shape)


def answer(response: httpx.Response, status: int = 200) -> Any:
    """The body of a response that must have this status."""
    assert response.status_code == status, response.text
    return response.json()


ERROR = {
    "error": str,
    "message": FILLED,
    "details": dict,
    "timestamp": TIME,
    "request_id": FILLED,
}
"""The error response format."""


def refused(response: httpx.Response, status: int, error: str) -> dict[str, Any]:
    """The body of an error of this status and name, checked for the documented format."""
    body: dict[str, Any] = answer(response, status)
    check(body, ERROR | {"error": error})
    assert response.headers["x-request-id"] == body["request_id"]
    return body
