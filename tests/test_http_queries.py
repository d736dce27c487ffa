"""Query strings: what is taken, what is not, and what is said of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import msgspec
import pytest

from slipstream.errors import InvalidInputError
from slipstream.http.queries import Query, waiting_ms
from slipstream.http.schemas.values import BatchSize, TimeoutMs
from slipstream.http.types import Request


class Asked(msgspec.Struct):
    dry_run: bool = False
    wait_ms: float = 0.0
    after: int | None = None
    batch_size: BatchSize | None = None
    timeout_ms: TimeoutMs | None = None
    name: str | None = None


read = Query(Asked)


def asked(query: str) -> Asked:
    return read(cast(Request, SimpleNamespace(query=query)))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", Asked()),
        ("dry_run", Asked(dry_run=True)),
        ("dry_run=", Asked(dry_run=True)),
        ("dry_run=0&dry_run=true", Asked(dry_run=True)),
        ("dry_run=False", Asked()),
        ("wait_ms=1.5&after=7", Asked(wait_ms=1.5, after=7)),
        ("wait_ms=&after=&name=", Asked()),
        ("name=a%20b&stranger=1", Asked(name="a b")),
        ("batch_size=8&timeout_ms=1e3", Asked(batch_size=8, timeout_ms=1000.0)),
    ],
)
def test_what_is_taken(query: str, expected: Asked) -> None:
    assert asked(query) == expected


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("dry_run=maybe", "'dry_run' is not valid: 'maybe'; it is true or false"),
        ("wait_ms=soon", "'wait_ms' is not valid: 'soon'; it is a number"),
        ("after=1.5", "'after' is not valid: '1.5'; it is a whole number"),
        ("batch_size=x", "'batch_size' is not valid: 'x'; it is a whole number"),
        ("timeout_ms=x", "'timeout_ms' is not valid: 'x'; it is a number"),
    ],
)
def test_what_is_refused(query: str, says: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        asked(query)
    assert refused.value.message == says
    assert refused.value.details == {"key": query.partition("=")[0]}


def test_waiting() -> None:
    assert (waiting_ms(5, 10), waiting_ms(50, 10)) == (5, 10)
    for wrong in (-1.0, float("nan")):
        with pytest.raises(InvalidInputError, match="wait_ms"):
            waiting_ms(wrong, 10)
