"""Keys and tokens on the routes of the real server: what each of them needs, both ways."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from cli_runs import slipstream
from http_models import json_rows, model_folder, rows_of
from http_server import Server, eventually, slipstream_server
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
}
ADMIN = {f"PUT {BASE}/engine/config", f"POST {BASE}/engine/restart", f"DELETE {BASE}/engine/cache"}
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
        for operation, security in operations(client).items():
            if not security:
                continue
            scopes = {scope for one in security for needed in one.values() for scope in needed}
            if operation in MODELS | ADMIN:
                assert scopes == {"models" if operation in MODELS else "admin"}, operation
            elif "/predict" in operation or "/stream/" in operation:
                assert scopes == {"predict"}, operation
            else:
                does = operation.startswith("GET ") or scopes
                assert does, f"{operation} does something, so its row has to name a scope"
        assert operations(client).keys() >= MODELS | ADMIN

    def test_it_does(self, client: httpx.Client) -> None:
        held = {"p": "predict", "m": "models"}
        for operation, security in operations(client).items():
            if not security:
                continue
            assert asked(client, operation, {}).status_code == 401, operation
            assert asked(client, operation, bearer(token(exp=1))).status_code == 401, operation
            needed = {scope for one in security for wanted in one.values() for scope in wanted}
            for key, scope in held.items():
                for headers in ({"X-API-Key": key}, bearer(token(scope=scope))):
                    status = asked(client, operation, headers).status_code
                    assert (status == 403) == bool(needed - {scope}), (operation, scope)
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
