"""The log as text and as JSON, and the request ids that lead from an answer to it."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from http_models import json_rows, model_folder, rows_of
from http_server import Server, error_of, eventually, read_response, slipstream_server
from slipstream.cli.logs import JsonFormatter, TextFormatter, Throttle

BASE = "/api/inference"
ROWS = {"model_id": "wine", "data": json_rows(rows_of("wine", 2))}
LATE = {**ROWS, "timeout_ms": 1e-6}


def record(message: str, **extra: Any) -> logging.LogRecord:
    made = logging.LogRecord("slipstream.http", logging.WARNING, "", 0, "%s", (message,), None)
    made.__dict__.update(extra)
    return made


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = model_folder(tmp_path_factory)
    arguments = ("--model-dir", str(folder), "--load", "wine.pkl=wine")
    environment = {"LOG_FORMAT": "json", "API_KEYS": "key-0815", "REQUIRE_API_KEY": "True"}
    with slipstream_server(*arguments, env=environment) as server:
        yield server


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx.Client]:
    with server.client(headers={"x-api-key": "key-0815"}) as client:
        yield client


def lines(server: Server, **fields: object) -> list[dict[str, Any]]:
    """The lines that have these fields; every line must be an object."""
    found = [json.loads(line) for line in server.log.splitlines()]
    return [line for line in found if all(line.get(k) == v for k, v in fields.items())]


class TestJson:
    def test_every_line_is_an_object(self, server: Server) -> None:
        found = lines(server)
        assert any("slipstream ready on" in line["message"] for line in found)
        for line in found:
            assert {"time", "level", "logger", "message"} <= set(line)
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])

    @pytest.mark.parametrize("way", ["express", "general"])
    def test_a_failure_is_told(self, server: Server, client: httpx.Client, way: str) -> None:
        headers = {"x-request-id": f"late-{way}"}
        if way == "general":
            headers["expect"] = "100-continue"
        response = client.post(f"{BASE}/predict", json=LATE, headers=headers)
        assert response.status_code == 504
        eventually(lambda: bool(lines(server, request_id=f"late-{way}")))
        (line,) = lines(server, request_id=f"late-{way}")
        assert (line["level"], line["status"]) == ("warning", 504)
        assert line["error"] == error_of(response)["error"] == "DeadlineExceededError"
        assert line["message"] == error_of(response)["message"]

    def test_what_becomes_of_models(self, server: Server, client: httpx.Client) -> None:
        def ask(method: str, path: str, request_id: str, body: Any = None) -> None:
            response = client.request(
                method, f"{BASE}{path}", json=body, headers={"x-request-id": request_id}
            )
            assert response.status_code == 200, response.text

        ask("POST", "/models/load", "l-1", {"model_path": "cancer.pkl", "model_id": "cancer"})
        ask("POST", "/models/cancer/reload", "l-2")
        ask("DELETE", "/models/cancer", "l-3")
        eventually(lambda: bool(lines(server, request_id="l-3")))
        told = [lines(server, request_id=f"l-{number}")[0] for number in (1, 2, 3)]
        assert [line["model_id"] for line in told] == ["cancer"] * 3
        words = [line["message"].split()[-1] for line in told]
        assert words == ["loaded", "reloaded", "unloaded"]
        assert told[0]["duration_ms"] > 0

    def test_good_requests_and_those_of_clients_are_not(
        self, server: Server, client: httpx.Client
    ) -> None:
        for body, status in ((ROWS, 200), ({**ROWS, "data": []}, 422), (LATE, 504)):
            headers = {"x-request-id": f"quiet-{status}"}
            response = client.post(f"{BASE}/predict", json=body, headers=headers)
            assert response.status_code == status
        eventually(lambda: bool(lines(server, request_id="quiet-504")))
        assert not lines(server, request_id="quiet-200")
        assert not lines(server, request_id="quiet-422")

    def test_a_flood_is_cut_short(self, server: Server, client: httpx.Client) -> None:
        before = len(lines(server, status=504))
        for _ in range(200):
            client.post(f"{BASE}/predict", json=LATE)
        client.post(f"{BASE}/predict", json=LATE, headers={"x-request-id": "after"})
        eventually(lambda: client.get("/metrics").status_code == 200)
        assert 1 <= len(lines(server, status=504)) - before <= 200
        # What was left out is told once a line goes through again.
        eventually(
            lambda: (
                client.post(f"{BASE}/predict", json=LATE).status_code == 504
                and sum(line.get("not_logged", 0) for line in lines(server, status=504)) > 0
            )
        )

    def test_keys_are_not_in_it(self, server: Server, client: httpx.Client) -> None:
        client.get(f"{BASE}/models/list?token=key-0815")
        client.get(f"{BASE}/models/list", headers={"x-api-key": "key-4711"})
        assert "key-0815" not in server.log
        assert "key-4711" not in server.log


class TestDebug:
    def test_a_line_for_every_request(
        self, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        environment = {"LOG_FORMAT": "json", "LOG_DIR": str(tmp_path / "logs")}
        with (
            slipstream_server(
                "--model-dir", str(model_folder(tmp_path_factory)), "--debug", env=environment
            ) as server,
            server.client() as client,
        ):
            client.get(f"{BASE}/health?secret=1", headers={"x-request-id": "seen"})
            eventually(lambda: bool(lines(server, request_id="seen")))
            (line,) = lines(server, request_id="seen")
            assert line["level"] == "debug"
            assert (line["method"], line["path"], line["status"]) == ("GET", f"{BASE}/health", 200)
            assert line["duration_ms"] >= 0
            assert "secret" not in server.log
            file = tmp_path / "logs" / "server.log"
            eventually(lambda: '"request_id":"seen"' in file.read_text())


class TestLines:
    def test_text(self) -> None:
        text = TextFormatter().format(record("too late", request_id="r1", status=504))
        assert text.endswith("WARNING slipstream.http: too late request_id=r1 status=504")
        assert "\n" not in TextFormatter().format(record("a\nWARNING made up\r\x1b[2J"))

    def test_json(self) -> None:
        line = json.loads(JsonFormatter().format(record('"a"\nb', model_id="m", status=None)))
        assert line["message"] == '"a"\nb'
        assert line["model_id"] == "m"
        assert "status" not in line

    def test_throttle(self) -> None:
        throttle = Throttle(3)
        burst = [record("x", error="A", created=100.0 + i / 100) for i in range(10)]
        assert [throttle.filter(one) for one in burst] == [True] * 3 + [False] * 7
        assert throttle.filter(record("x", error="B", created=100.5))
        later = record("x", error="A", created=101.0, not_logged=5)
        assert throttle.filter(later)
        assert later.__dict__["not_logged"] == 12
        again = record("x", error="A", created=101.1)
        assert throttle.filter(again)
        assert again.__dict__["not_logged"] is None


class TestRequestIds:
    """``X-Request-ID`` in and out: both ways, refusals, paths that are none, odd ids."""

    @pytest.mark.parametrize(
        ("method", "path", "body", "status"),
        [
            ("POST", "/predict", ROWS, 200),
            ("POST", "/predict", {**ROWS, "data": []}, 422),
            ("POST", "/predict", LATE, 504),
            ("POST", "/predict/batch", ROWS, 200),
            ("POST", "/predict/multi-batch", {"requests": [ROWS]}, 200),
            ("GET", "/nowhere", None, 404),
            ("PUT", "/predict", ROWS, 405),
            ("GET", "/models/nobody/info", None, 404),
            ("GET", "/health", None, 200),
        ],
    )
    @pytest.mark.parametrize("headers", [{}, {"expect": "100-continue"}], ids=["plain", "general"])
    def test_echoed(
        self,
        client: httpx.Client,
        method: str,
        path: str,
        body: Any,
        status: int,
        headers: dict[str, str],
    ) -> None:
        mine = "id-~!{}<>/?" + "x" * 100
        response = client.request(
            method, f"{BASE}{path}", json=body, headers={**headers, "x-request-id": mine}
        )
        assert response.status_code == status
        assert response.headers.get_list("x-request-id") == [mine]
        if "request_id" in response.json():
            assert response.json()["request_id"] == mine

    def test_without_a_key(self, server: Server) -> None:
        response = httpx.get(
            f"{server.address}{BASE}/models/list", headers={"x-request-id": "stranger"}
        )
        assert response.status_code == 401
        assert error_of(response)["request_id"] == "stranger"

    @pytest.mark.parametrize("odd", [b"", b"a b", b"x" * 129, b"caf\xc3\xa9", b"a\tb", b"\x7f"])
    @pytest.mark.parametrize("path", ["predict", "nowhere"])
    def test_odd_ones_are_replaced(self, server: Server, odd: bytes, path: str) -> None:
        body = json.dumps(ROWS).encode()
        head = (
            f"POST {BASE}/{path} HTTP/1.1\r\nHost: x\r\nX-API-Key: key-0815\r\n"
            f"Content-Length: {len(body)}\r\nX-Request-ID: "
        ).encode()
        with server.connect() as connection:
            connection.sendall(head + odd + b"\r\n\r\n" + body)
            status, headers, got = read_response(connection)
        if status == 400 and not got:
            return  # the HTTP server itself does not take such a header
        assert re.fullmatch(r"req_[0-9a-f]{14}", headers["x-request-id"])
        assert json.loads(got)["request_id"] == headers["x-request-id"]
