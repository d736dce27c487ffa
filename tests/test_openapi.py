"""The OpenAPI document: valid, complete, and true of a real server's answers."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from http_models import json_rows, model_folder, rows_of
from http_server import Server, slipstream_server
from slipstream.api import Engine
from slipstream.http import openapi_schemas
from slipstream.http.clock import Clock
from slipstream.http.openapi import document, statuses_of
from slipstream.http.routes.context import Context
from slipstream.http.routes.table import all_routes
from slipstream.http.schemas.errors import CoreErrorBody, ErrorBody
from slipstream.http.types import Route
from slipstream.priorities import PRIORITIES
from slipstream.settings import Settings

ENTRY = {"model_id": "wine", "data": json_rows(rows_of("wine", 2))}


@pytest.fixture(scope="module")
def routes() -> tuple[Route, ...]:
    with Engine() as engine:
        return all_routes(Context(engine, Settings(), Clock()))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = model_folder(tmp_path_factory)
    with slipstream_server("--model-dir", str(folder), "--load", "wine.pkl=wine") as server:
        yield server


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


@pytest.fixture(scope="module")
def served(client: httpx.Client) -> dict[str, Any]:
    response = client.get("/openapi.json")
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    found: dict[str, Any] = response.json()
    return found


def validator(served: dict[str, Any], schema: dict[str, Any]) -> Draft202012Validator:
    return Draft202012Validator({**schema, "components": served["components"]})


class TestTheDocument:
    def test_it_is_valid(self, served: dict[str, Any]) -> None:
        assert served["openapi"].startswith("3.1.")
        problems = [error.message for error in OpenAPIV31SpecValidator(served).iter_errors()]
        assert problems == []

    def test_every_route_says_what_it_is(self, routes: tuple[Route, ...]) -> None:
        silent = [f"{one.method} {one.path}" for one in routes if one.about is None]
        assert silent == [], "give them an entry in http/routes/abouts.py"

    def test_every_route_is_in_it(self, served: dict[str, Any], routes: tuple[Route, ...]) -> None:
        described = {
            (method.upper(), path) for path, item in served["paths"].items() for method in item
        }
        assert described == {(route.method, route.path) for route in routes}

    def test_a_route_without_a_description_is_refused(self) -> None:
        route = Route("GET", "/new", lambda request: None)  # type: ignore[arg-type, return-value]
        with pytest.raises(ValueError, match="GET /new"):
            document([route], keys_required=False)

    def test_bodies_have_an_example(self, routes: tuple[Route, ...]) -> None:
        bodies = {route.about.takes for route in routes if route.about and route.about.takes}
        assert bodies
        assert [kind.__name__ for kind in bodies if not hasattr(kind, "EXAMPLE")] == []

    def test_examples_fit_their_schemas(self, served: dict[str, Any]) -> None:
        examples = 0
        for name, schema in served["components"]["schemas"].items():
            for example in schema.get("examples", ()):
                examples += 1
                validator(served, {"$ref": f"#/components/schemas/{name}"}).validate(example)
        assert examples >= 3
        for kind in openapi_schemas.structs():
            if "EXAMPLE" in vars(kind):
                msgspec.json.decode(json.dumps(vars(kind)["EXAMPLE"]), type=kind)

    def test_no_value_is_left_undescribed(self, served: dict[str, Any]) -> None:
        """A `Raw` without a schema would be an empty one; http/schemas/values.py has better."""
        empty = [
            f"{name}.{key}"
            for name, schema in served["components"]["schemas"].items()
            for key, field in schema.get("properties", {}).items()
            if not set(field) - {"description", "default"}
        ]
        assert empty == []

    def test_words_are_those_of_the_code(self, served: dict[str, Any]) -> None:
        request = served["components"]["schemas"]["PredictRequest"]
        (words, _) = request["properties"]["priority"]["anyOf"]
        assert words["enum"] == list(PRIORITIES)
        assert request["required"] == ["data"]
        answer = served["components"]["schemas"]["PredictAnswer"]
        assert "probabilities" not in answer["required"]
        entry = served["components"]["schemas"]["EntryAnswer"]
        assert "request_id of the entry" in entry["properties"]["variant"]["description"]

    def test_keys(self, routes: tuple[Route, ...]) -> None:
        for required in (True, False):
            made = document(routes, keys_required=required)
            predict = made["paths"]["/api/inference/predict"]["post"]
            assert ({} in predict["security"]) is not required
            assert {"apiKey": ["predict"]} in predict["security"]
            assert {"bearer": ["predict"]} in predict["security"]
            restart = made["paths"]["/api/inference/engine/restart"]["post"]
            assert {"bearer": ["admin"]} in restart["security"]
            assert "403" in restart["responses"]
            listed = made["paths"]["/api/inference/models/list"]["get"]
            assert {"bearer": []} in listed["security"]
            assert "403" not in listed["responses"]
            assert made["paths"]["/api/inference/health"]["get"]["security"] == []

    def test_binary_forms(self, served: dict[str, Any]) -> None:
        predict = served["paths"]["/api/inference/predict"]["post"]
        kinds = {"application/json", "application/msgpack", "application/octet-stream"}
        assert set(predict["requestBody"]["content"]) == kinds
        assert set(predict["responses"]["200"]["content"]) == kinds
        names = {one["name"] for one in predict["parameters"] if "name" in one}
        assert {"X-Tensor-Dtype", "X-Tensor-Shape", "timeout_ms"} <= names


class TestStatuses:
    def test_what_follows_from_the_row(self, routes: tuple[Route, ...]) -> None:
        found = {(one.method, one.path): statuses_of(one, one.about) for one in routes if one.about}
        base = "/api/inference"
        assert {400, 401, 404, 408, 413, 415, 422, 429, 500, 503, 504} <= set(
            found["POST", f"{base}/predict"]
        )
        assert 404 in found["GET", f"{base}/models/{{model_id}}/info"]
        assert 409 in found["POST", f"{base}/models/load"]
        assert found["GET", "/docs"] == (500,)

    def test_errors_are_named(self, served: dict[str, Any]) -> None:
        responses = served["components"]["responses"]
        assert "ModelNotFoundError" in responses["Error404"]["description"]
        assert "Retry-After" in responses["Error503"]["headers"]
        assert "WWW-Authenticate" in responses["Error401"]["headers"]
        for name, kind in (("Error500", ErrorBody), ("CoreError500", CoreErrorBody)):
            (body,) = responses[name]["content"].values()
            assert body["schema"] == {"$ref": f"#/components/schemas/{kind.__name__}"}
            assert kind.__name__ in served["components"]["schemas"]

    def test_each_family_has_its_own(
        self, served: dict[str, Any], routes: tuple[Route, ...]
    ) -> None:
        for route in routes:
            operation = served["paths"][route.path][route.method.lower()]
            name = operation["responses"]["500"]["$ref"].rpartition("/")[2]
            inference = route.path.startswith("/api/inference/")
            assert name == ("Error500" if inference else "CoreError500")


class TestRealAnswersFit:
    @pytest.mark.parametrize(
        ("method", "path", "body"),
        [
            ("post", "/predict", ENTRY),
            ("post", "/predict", {**ENTRY, "return_probabilities": True}),
            ("post", "/predict", {**ENTRY, "data": []}),
            ("post", "/predict", {**ENTRY, "model_id": "nobody"}),
            ("post", "/predict", {**ENTRY, "timeout_ms": 1e-6}),
            ("post", "/predict/batch", {**ENTRY, "return_probabilities": True}),
            ("post", "/predict/multi-batch", {"requests": [ENTRY, {**ENTRY, "model_id": "no"}]}),
            ("post", "/models/load", {"model_path": "wine.pkl"}),
            ("post", "/models/load", {"model_path": "cancer.pkl", "model_id": "cancer"}),
            ("get", "/models/list", None),
            ("get", "/models/wine/info", None),
            ("get", "/models/wine/metrics", None),
            ("get", "/models/nobody/metrics", None),
            ("post", "/models/wine/reload", None),
            ("delete", "/models/cancer", None),
            ("get", "/engine/status", None),
            ("get", "/engine/config", None),
            ("get", "/metrics/performance", None),
            ("get", "/metrics/resources", None),
            ("get", "/health", None),
            ("post", "//predict", {"model_name": "wine", "inputs": ENTRY["data"]}),
            ("post", "//predict", {"model_name": "wine", "inputs": ENTRY["data"][0]}),
            ("post", "//predict", {"model_name": "nobody", "inputs": [1]}),
            ("post", "//predict", {"model_name": "wine", "inputs": [1], "timeout": 0}),
            ("post", "//predict", {"model_name": "wine", "inputs": ENTRY["data"], "timeout": 1e-9}),
            ("get", "//", None),
            ("get", "//health", None),
            ("get", "//info", None),
            ("get", "//stats", None),
            ("get", "//config", None),
        ],
    )
    def test_each(
        self, client: httpx.Client, served: dict[str, Any], method: str, path: str, body: Any
    ) -> None:
        is_core = path.startswith("//")
        full = path[1:] if is_core else f"/api/inference{path}"
        response = client.request(method, full, json=body)
        template = re.sub(r"/models/(wine|nobody|cancer)", "/models/{model_id}", full)
        operation = served["paths"][template][method]
        described = operation["responses"][str(response.status_code)]
        if "$ref" in described:
            described = served["components"]["responses"][described["$ref"].split("/")[-1]]
        schema = described["content"]["application/json"]["schema"]
        validator(served, schema).validate(response.json())
        if response.is_success and "$ref" in schema:
            keys = served["components"]["schemas"][schema["$ref"].split("/")[-1]]["properties"]
            assert set(response.json()) <= set(keys), "an answer has keys that nobody described"


class TestThePage:
    def test_it_needs_nothing_from_outside(self, client: httpx.Client) -> None:
        response = client.get("/docs")
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/html; charset=utf-8"
        assert "//" not in re.sub(r"^\s*//.*$", "", response.text, flags=re.MULTILINE)
        assert not re.search(r"<(script|link|img|iframe)[^>]* (src|href)=", response.text)
        assert 'href="openapi.json"' in response.text

    def test_its_policy_lets_only_its_own_script_and_style_run(self, client: httpx.Client) -> None:
        response = client.get("/docs")
        policy = response.headers["content-security-policy"]
        assert policy.startswith("default-src 'none';")
        assert "unsafe" not in policy
        for tag in ("script", "style"):
            (inline,) = re.findall(f"<{tag}>(.*?)</{tag}>", response.text, re.DOTALL)
            digest = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
            assert f"{tag}-src 'sha256-{digest}'" in policy
        assert not re.search(r"\bon\w+=|style=|innerHTML", response.text)

    def test_head_and_keys(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        folder = tmp_path_factory.mktemp("keyed")
        environment = {"REQUIRE_API_KEY": "True", "API_KEYS": "key-1"}
        with (
            slipstream_server("--model-dir", str(folder), env=environment) as server,
            server.client() as client,
        ):
            for path in ("/docs", "/openapi.json"):
                assert client.get(path).status_code == 200
                assert client.head(path).status_code == 200
            operation = client.get("/openapi.json").json()["paths"]["/api/inference/models/list"]
            assert {} not in operation["get"]["security"]


def test_what_is_said_of_gpus_is_bounded(served: dict[str, Any]) -> None:
    found = served["components"]["schemas"]["LoadRequest"]["properties"]
    kinds = {name: one["anyOf"][0] for name, one in found.items() if "anyOf" in one}
    assert re.search(kinds["device"]["pattern"], "CUDA:0, cuda:1")
    assert not re.search(kinds["device"]["pattern"], "gpu")
    limit = kinds["gpu_memory_limit_mb"]
    assert (limit["minimum"], limit["maximum"]) == (1, 1 << 20)
    assert kinds["gpu_batches_in_flight"]["maximum"] == 8
    assert kinds["gpu_graph_rows"]["minimum"] == 0
