"""Keys and tokens on the routes of the real server: what each of them needs, both ways."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest

from cli_runs import slipstream
from http_models import json_rows, model_folder, rows_of
from http_server import Server, core_error_of, eventually, slipstream_server
from token_keys import SECRET, bearer, token

BASE = "/api/inference"
ROWS = {"model_id": "wine", "data": json_rows(rows_of("wine", 2))}
MODELS = {
    f"POST {BASE}/models/load",
    f"POST {BASE}/models/{{model_id}}/reload",
    f"DELETE {BASE}/models/{{model_id}}",
    f"POST {BASE}/models/{{model_id}}/quantize",
    f"POST {BASE}/models/{{model_id}}/compile",
    f"POST {BASE}/models/{{model_id}}/optimize",
    f"PUT {BASE}/experiments/{{experiment_id}}",
    f"DELETE {BASE}/experiments/{{experiment_id}}",
    "POST /models/download",
    "DELETE /models/download/{job_id}",
}
ADMIN = {f"PUT {BASE}/engine/config", f"POST {BASE}/engine/restart", f"DELETE {BASE}/engine/cache"}
ALWAYS = {"GET /stats"}
"""What takes any token, or a key with scope admin."""
OPEN = {"GET /", "GET /health", "GET /info", "GET /config", f"GET {BASE}/health"}
OPEN |= {"GET /metrics", "GET /docs", "GET /openapi.json"}
WAYS = {"express": {}, "general": {"INFERENCE_API_DEBUG": "True"}}
"""Debugging takes every request the general way."""


@pytest.fixture(scope="module", params=WAYS)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    secrets = tmp_path_factory.mktemp("secrets") / "secrets"
    secrets.write_text(SECRET)
    env = {
        "REQUIRE_API_KEY": "True",
        "API_KEYS": "p:predict,m:models,everything",
        "JWT_SECRET_FILE": str(secrets),
        "MODEL_DIR": str(model_folder(tmp_path_factory)),
        **WAYS[request.param],
    }
    with slipstream_server("--load", "wine.pkl=wine", env=env) as server:
        server.secrets = secrets  # type: ignore[attr-defined]
        yield server


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


def operations(client: httpx.Client) -> dict[str, list[dict[str, list[str]]]]:
    """``METHOD path`` → what it asks for, of every route of the server."""
    document = client.get("/openapi.json").json()
    return {
        f"{method.upper()} {path}": operation["security"]
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def asked(client: httpx.Client, operation: str, headers: dict[str, str]) -> httpx.Response:
    method, path = operation.split()
    return client.request(method, re.sub("{.*?}", "nothing", path), headers=headers)


class TestEveryRoute:
    def test_it_asks_for_what_it_should(self, client: httpx.Client) -> None:
        found = operations(client)
        assert {operation for operation, security in found.items() if not security} == OPEN
        for operation, security in found.items():
            scopes = {scope for one in security for needed in one.values() for scope in needed}
            if operation in ALWAYS:
                assert security == [{"bearer": []}, {"apiKey": ["admin"]}]
            elif operation in MODELS | ADMIN:
                assert scopes == {"models" if operation in MODELS else "admin"}, operation
            elif "/predict" in operation or "/stream/" in operation:
                assert scopes == {"predict"}, operation
            else:
                does = operation.startswith("GET ") or scopes
                assert does, f"{operation} does something, so its row has to name a scope"
        assert found.keys() >= MODELS | ADMIN | ALWAYS

    def test_it_does(self, client: httpx.Client) -> None:
        held = {"p": "predict", "m": "models"}
        for operation, security in operations(client).items():
            if not security:
                assert asked(client, operation, bearer("x")).status_code != 401
                continue
            assert asked(client, operation, {}).status_code == 401, operation
            assert asked(client, operation, bearer(token(exp=1))).status_code == 401, operation
            needed = {scope for one in security for wanted in one.values() for scope in wanted}
            for key, scope in held.items():
                for headers in ({"X-API-Key": key}, bearer(token(scope=scope))):
                    status = asked(client, operation, headers).status_code
                    suffices = not needed - {scope}
                    if operation in ALWAYS:
                        suffices = "Authorization" in headers
                    assert (status == 403) != suffices, (operation, scope)
                    assert status != 401

    def test_heads_of_nothing(self, client: httpx.Client) -> None:
        for path in ("/no", f"{BASE}/no"):
            assert client.get(path).status_code == 401
            assert client.get(path, headers=bearer(token(scope=""))).status_code == 404


class TestPredictions:
    @pytest.mark.parametrize("path", ["predict", "predict/batch"])
    def test_who_may(self, client: httpx.Client, path: str) -> None:
        def status(headers: dict[str, str]) -> int:
            return client.post(f"{BASE}/{path}", json=ROWS, headers=headers).status_code

        good = bearer(token())
        for headers in (good, good, {"X-API-Key": "p"}, bearer("p"), bearer("everything")):
            assert status(headers) == 200
        assert status(bearer(token(scope="admin"))) == 200
        for headers in ({"X-API-Key": "m"}, bearer(token(scope="models")), bearer(token(scope=""))):
            assert status(headers) == 403
        for headers in ({}, bearer(token(exp=1)), bearer("x"), {"X-API-Key": "x", **good}):
            assert status(headers) == 401

    def test_an_old_secret_opens_nothing_any_more(
        self, server: Server, client: httpx.Client
    ) -> None:
        """Though tokens of it were remembered."""
        secrets: Path = server.secrets  # type: ignore[attr-defined]
        good, predict = bearer(token()), f"{BASE}/predict"
        assert client.post(predict, json=ROWS, headers=good).status_code == 200
        secrets.write_text("another-secret-that-is-long-enough-as-well")

        def reread(count: int) -> None:
            server.process.send_signal(1)
            eventually(lambda: server.log.count("keys that check tokens: 1 now") == count)

        before = server.log.count("keys that check tokens: 1 now")
        reread(before + 1)
        assert client.post(predict, json=ROWS, headers=good).status_code == 401
        assert client.post(predict, json=ROWS, headers={"X-API-Key": "p"}).status_code == 200
        secrets.write_text(SECRET)
        reread(before + 2)
        assert client.post(predict, json=ROWS, headers=good).status_code == 200


class TestTheCore:
    """`/predict` and `/stats`, where keys are required and where they are not."""

    ASKED: ClassVar = {"model_name": "wine", "inputs": ROWS["data"]}

    def test_predict(self, client: httpx.Client) -> None:
        for text, status in ((token(), 200), ("p", 200), (token(exp=1), 401), ("m", 403)):
            in_head = client.post("/predict", headers=bearer(text), json=self.ASKED)
            in_body = client.post("/predict", json={**self.ASKED, "token": text})
            assert (in_head.status_code, in_body.status_code) == (status, status)
            if status == 200:
                assert in_head.json()["result"] == in_body.json()["result"]
        nobody = client.post("/predict", json=self.ASKED)
        assert core_error_of(nobody)["detail"] == "Not authenticated"
        both = {**self.ASKED, "token": token()}
        assert client.post("/predict", headers=bearer("x"), json=both).status_code == 401
        strange = {"model_name": "x", "inputs": [1], "token": "x"}
        assert client.post("/predict", json=strange).status_code == 401

    def test_without_required_keys(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        env = {"JWT_SECRET": SECRET, "MODEL_DIR": str(model_folder(tmp_path_factory))}
        with (
            slipstream_server("--load", "wine.pkl=wine", env=env) as server,
            server.client() as client,
        ):
            for headers in ({}, bearer("x"), bearer(token(exp=1)), bearer(token(scope=""))):
                asked = {**self.ASKED, "token": "YOUR_JWT_TOKEN"}
                assert client.post("/predict", headers=headers, json=asked).status_code == 200
                assert client.delete(f"{BASE}/engine/cache", headers=headers).status_code == 200
            assert core_error_of(client.get("/stats"))["status_code"] == 401
            placeholder = client.get("/stats", headers=bearer("YOUR_JWT_TOKEN"))
            assert core_error_of(placeholder)["detail"] == "Not authenticated"
            assert "stats" in client.get("/stats", headers=bearer(token(scope=""))).json()
            assert client.head("/stats").status_code == 401

    def test_the_token_that_is_shown(self) -> None:
        with slipstream_server() as server, server.client() as client:
            (line,) = [line for line in server.log.splitlines() if "takes this token" in line]
            assert client.get("/stats", headers=bearer(line.split()[-1])).status_code == 200


def test_scrapes_with_a_token(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = str(model_folder(tmp_path_factory))
    env = {"METRICS_REQUIRE_KEY": "True", "JWT_SECRET": SECRET, "MODEL_DIR": folder}
    with slipstream_server(env=env) as server, server.client() as client:
        assert client.get("/metrics").status_code == 401
        assert client.get("/metrics", headers=bearer(token(exp=1))).status_code == 401
        assert client.get("/metrics", headers=bearer(token())).status_code == 200
        assert client.get(f"{BASE}/models/list").status_code == 200


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"JWT_SECRET": "hidden"}, "JWT_SECRET: a secret for HS256 has at least 32 bytes"),
        ({"JWT_SECRET_FILE": "absent"}, "JWT_SECRET_FILE: absent cannot be read"),
        ({"API_KEYS_FILE": "absent"}, "API_KEYS_FILE: absent cannot be read"),
        ({"JWT_JWKS_FILE": "absent"}, "JWT_JWKS_FILE: absent cannot be read"),
        ({"API_KEYS": "hidden:everything"}, "KEY:SCOPE+SCOPE"),
        ({"REQUIRE_API_KEY": "True"}, "set API_KEYS=key1,key2, or JWT_SECRET for tokens"),
        ({"JWT_LEEWAY_S": "-1"}, "JWT_LEEWAY_S"),
    ],
)
def test_a_server_that_nobody_could_trust_does_not_start(
    tmp_path: Path, settings: dict[str, Any], why: str
) -> None:
    ended = slipstream("serve", "--port", "0", state=tmp_path, **settings)
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert why in line
    assert "hidden" not in line
