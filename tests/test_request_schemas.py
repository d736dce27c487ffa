"""Every key of every request, with any JSON value: the document and the decoder say the same.

What does not fit the served schema of a key is refused with 422, and the message names the key.
What fits is never refused as being of the wrong type: whatever is wrong with it then, a route says.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from http_models import json_rows, model_folder, rows_of
from http_server import slipstream_server
from slipstream.http.routes.abouts import ABOUTS

EXAMPLES = 60
"""Of each key."""
WRONG_TYPE = "The body is not valid"
"""How the decoder begins, before any route looks."""
SEARCHES = "POST /models/{model_id}/optimize"
"""What fits its schema starts a search of seconds: only what does not fit is sent there."""

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

numbers = st.one_of(
    st.integers(-(2**63), 2**63),
    st.integers(-5, 2000),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from((0, 1, -1, 0.0, 1.0, 1.5, 1e-320, 1e308, 2**64, -(2**64), 10**30)),
)
texts = st.one_of(
    st.text(max_size=20),
    st.sampled_from(("", "wine", "nobody", "low", "auto", "voting", "INT8", "true", "x" * 1500)),
)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=8,
)


STREAM = {"stream_id": "lines", "model_id": "wine", "buffer_size": 100}


class Place(NamedTuple):
    """One key of one route's request."""

    route: str
    key: str

    def __str__(self) -> str:
        return f"{self.route} {self.key}"


IN_TURN = Place("POST /stream/{stream_id}/send", "data")
"""Rows of a stream are read when it is their turn: what is wrong with them is their result."""
PLACES = [
    Place(route, key)
    for route, about in ABOUTS.items()
    if about.takes is not None
    for key in about.takes.__struct_encode_fields__
    if Place(route, key) != IN_TURN
]


class Served(NamedTuple):
    """A server, and what it says of itself."""

    client: httpx.Client
    document: dict[str, Any]

    def schema(self, place: Place) -> dict[str, Any]:
        method, path = place.route.split()
        operation = self.document["paths"][f"/api/inference{path}"][method.lower()]
        named = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
        component = self.document["components"]["schemas"][named.rpartition("/")[2]]
        found: dict[str, Any] = component["properties"][place.key]
        return {**found, "components": self.document["components"]}

    def ask(self, route: str, body: dict[str, Any]) -> httpx.Response:
        method, path = route.split()
        path = path.format(model_id="wine", stream_id="lines", experiment_id="drawn")
        if path.endswith("/send"):  # there, with room
            self.client.post("/api/inference/stream/start", json=STREAM)
            self.client.get("/api/inference/stream/lines/results")
        return self.client.request(
            method,
            f"/api/inference{path}",
            content=json.dumps(body),
            headers={"Content-Type": "application/json"},
        )


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = model_folder(tmp_path_factory)
    arguments = ("--model-dir", str(folder), "--load", "wine.pkl=wine")
    with slipstream_server(*arguments) as server, server.client() as client:
        yield Served(client, client.get("/openapi.json").json())


def fitting(route: str) -> dict[str, Any]:
    """A request to which nothing is wrong but what is changed of it."""
    about = ABOUTS[route]
    assert about.takes is not None
    body = dict(about.takes.EXAMPLE)  # type: ignore[attr-defined]
    if "data" in body:
        body["data"] = json_rows(rows_of("wine", 2))
    if "model_id" in body:
        body["model_id"] = "wine"
    body.pop("callback_url", None)
    return body


def is_refused(answer: httpx.Response, key: str) -> bool:
    """Whether the answer says that the key is wrong, or one of several requests in it."""
    if answer.status_code == 200 and key == "requests":
        return any(one["status"] == "error" for one in answer.json()["results"])
    said = answer.json()
    named = f"{said['message']} {said['details']}"
    return answer.status_code == 422 and (key in named or (key == "data" and "row" in named))


@pytest.mark.parametrize("place", PLACES, ids=str)
def test_a_key_is_what_the_document_says(served: Served, place: Place) -> None:
    fits = Draft202012Validator(served.schema(place)).is_valid
    config = served.client.get("/api/inference/engine/config").json()

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(values)
    def one(value: Any) -> None:
        is_fitting = fits(value)
        assume(not (is_fitting and place.route == SEARCHES))
        answer = served.ask(place.route, fitting(place.route) | {place.key: value})
        said = answer.json()
        assert answer.status_code < 500 or answer.status_code == 504, answer.text
        if is_fitting:
            assert not said.get("message", "").startswith(WRONG_TYPE), (value, said)
        else:
            assert is_refused(answer, place.key), (value, said)
        if place.route == "PUT /engine/config" and answer.status_code == 200:
            assert served.client.put("/api/inference/engine/config", json=config).status_code == 200

    one()
