"""Requests and bodies: what may be sent, and what is answered to everything else."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import httpx
import pytest

from http_server import (
    SMALL_APP,
    Server,
    core_error_of,
    error_of,
    eventually,
    read_response,
    running,
)

LIMIT = 100_000


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    env = {
        "MAX_BODY_BYTES": str(LIMIT),
        "MAX_CONCURRENT_REQUESTS": "8",
        "MAX_INFLIGHT_BODY_BYTES": str(8 * LIMIT),
        "BODY_TIMEOUT_S": "1",
    }
    with running([SMALL_APP], env) as server:
        yield server


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


class TestRouting:
    def test_query_parameters_and_methods(self, client: httpx.Client) -> None:
        assert client.get("/count?a=1&b=2").json() == {
            "bytes": 0,
            "query": "a=1&b=2",
            "method": "GET",
        }
        assert client.get("/models/a%20b/info").json() == {"model_id": "a b"}
        assert client.delete("/models/x").json() == {"model_id": "x"}

    def test_unknown_path(self, client: httpx.Client) -> None:
        response = client.get("/nothing")
        assert response.status_code == 404
        assert core_error_of(response)["error_type"] == "EndpointNotFoundError"
        assert client.get("/models/a%2Fb/info").status_code == 404

    def test_wrong_method(self, client: httpx.Client) -> None:
        response = client.get("/echo")
        assert response.status_code == 405
        assert response.headers["allow"] == "POST"
        assert core_error_of(response)["error_type"] == "MethodNotAllowedError"
        assert client.request("BREW", "/count").headers["allow"] == "POST, GET, HEAD"

    def test_head(self, client: httpx.Client) -> None:
        response = client.head("/count")
        assert response.status_code == 200
        assert response.content == b""
        assert client.get("/count").status_code == 200


class TestRequestIds:
    def test_made_up(self, client: httpx.Client) -> None:
        first, second = (client.get("/count").headers["x-request-id"] for _ in range(2))
        assert first != second
        assert first.startswith("req_")
        response = client.post("/envelope", content=b"{}")
        assert error_of(response)["request_id"].startswith("batch_")

    def test_taken_over(self, client: httpx.Client) -> None:
        response = client.get("/nothing", headers={"X-Request-ID": 'my"id'})
        assert core_error_of(response)["request_id"] == 'my"id'

    @pytest.mark.parametrize("offered", [b"a b", b"\xe9", b"x" * 129])
    def test_refused(self, client: httpx.Client, offered: bytes) -> None:
        response = client.get("/count", headers={"X-Request-ID": offered})
        assert response.headers["x-request-id"].startswith("req_")


class TestErrors:
    def test_a_bug_is_answered_and_logged(self, server: Server, client: httpx.Client) -> None:
        response = client.get("/fault")
        body = error_of(response)
        assert response.status_code == 500
        assert body["error"] == "InternalServerError"
        assert "ZeroDivision" not in response.text
        eventually(lambda: "ZeroDivisionError" in server.log)
        assert body["request_id"] in server.log

    def test_full_tells_when_to_come_back(self, client: httpx.Client) -> None:
        response = client.get("/full")
        assert response.status_code == 503
        assert response.headers["retry-after"] == "3"
        assert error_of(response)["details"] == {"retry_after_s": 2.1}


class TestJson:
    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"   ",
            b"{",
            b'{"data": [1}',
            b'{"data": [NaN]}',
            b'{"data": [Infinity]}',
            b'{"data": [1,]}',
            b"{'data': [1]}",
            b'{"data": [1]} trailing',
            b'{"data": [1], "model_id": "\xff"}',
            b'\xef\xbb\xbf{"data": [1]}',
            b"[" * 50_000,
            b"[" * 40_000 + b"]" * 40_000,
            b'{"data":' + b"[" * 40_000 + b"]" * 40_000 + b"}",
            b'{"x":' + b'{"x":' * 9_000 + b"1" + b"}" * 9_000 + b"}",
            b'{"priority": 5, "data": ',
        ],
        ids=lambda body: repr(body[:20]),
    )
    def test_malformed_is_400(self, client: httpx.Client, body: bytes) -> None:
        response = client.post("/envelope", content=body)
        assert response.status_code == 400
        assert error_of(response)["error"] == "MalformedInputError"

    @pytest.mark.parametrize(
        ("body", "key"),
        [
            (b"[1]", None),
            (b"null", None),
            (b'"text"', None),
            (b"{}", "data"),
            (b'{"model_id": "m"}', "data"),
            (b'{"data": [1], "model_id": 5}', "model_id"),
            (b'{"data": [1], "timeout_ms": "5"}', "timeout_ms"),
            (b'{"data": [1], "timeout_ms": true}', "timeout_ms"),
            (b'{"data": [1], "timeout_ms": 1e999}', "timeout_ms"),
            (b'{"data": [1], "batch_size": 1.5}', "batch_size"),
            (b'{"data": [1], "return_probabilities": 1}', "return_probabilities"),
            (b'{"data": [1], "priority": 5}', "priority"),
        ],
    )
    def test_invalid_is_422_and_names_the_key(
        self, client: httpx.Client, body: bytes, key: str | None
    ) -> None:
        response = client.post("/envelope", content=body)
        assert response.status_code == 422
        error = error_of(response)
        assert error["error"] == "InvalidInputError"
        assert key is None or f"'{key}'" in error["message"]

    def test_data_arrives_as_it_was_sent(self, client: httpx.Client) -> None:
        data = b'[[1.50, -0.0, 1e300, null, "a\\u00e9"]]'
        body = b'{"unknown": {"deep": [1]}, "data": ' + data + b', "model_id": null}'
        for content_type in ("application/json", "text/plain", "nonsense"):
            response = client.post(
                "/envelope", content=body, headers={"content-type": content_type}
            )
            assert response.content == data

    def test_a_compressed_body_is_named_as_such(self, client: httpx.Client) -> None:
        response = client.post(
            "/envelope", content=b"\x1f\x8b\x08\x00junk", headers={"content-encoding": "gzip"}
        )
        assert response.status_code == 415
        assert error_of(response)["details"] == {"content_encoding": "gzip"}


class TestBodies:
    @pytest.mark.parametrize("size", [0, 1, 5_000, LIMIT])
    def test_up_to_the_limit(self, client: httpx.Client, size: int) -> None:
        body = b"x" * size
        assert client.post("/echo", content=body).content == body
        halves = iter([body[: size // 2], body[size // 2 :]])
        assert client.post("/echo", content=halves).content == body

    def test_announced_too_large(self, client: httpx.Client) -> None:
        response = client.post("/count", content=b"x" * (LIMIT + 1))
        assert response.status_code == 413
        body = error_of(response)
        assert body["error"] == "BodyTooLargeError"
        assert body["details"] == {"max_body_bytes": LIMIT}
        assert response.headers["connection"] == "close"
        assert client.get("/count").status_code == 200

    def test_a_client_that_sends_far_too_much_reads_the_answer(self, client: httpx.Client) -> None:
        response = client.post("/count", content=b"x" * (40 * 1024 * 1024))
        assert response.status_code == 413

    def test_chunked_too_large(self, client: httpx.Client) -> None:
        def chunks() -> Iterator[bytes]:
            for _ in range(300):
                yield b"x" * 1000

        response = client.post("/count", content=chunks())
        assert response.status_code == 413
        assert error_of(response)["error"] == "BodyTooLargeError"
        assert client.get("/count").status_code == 200

    def test_refused_before_it_is_sent(self, server: Server) -> None:
        with server.connect() as connection:
            connection.sendall(
                b"POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
                b"Content-Length: 200000000\r\n\r\n"
            )
            status, headers, _ = read_response(connection)
            assert status == 413
            assert headers["connection"] == "close"

    def test_a_body_on_a_get_is_read(self, server: Server, client: httpx.Client) -> None:
        assert client.request("GET", "/count", content=b"abc").json()["bytes"] == 3
        assert client.request("GET", "/count", content=iter([b"a", b"b"])).json()["bytes"] == 2

    def test_one_that_never_comes_is_given_up(self, server: Server) -> None:
        for head in (b"Content-Length: 10\r\n\r\nabc", b"Transfer-Encoding: chunked\r\n\r\n1\r\na"):
            with server.connect() as connection:
                connection.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\n" + head)
                status, _, body = read_response(connection)
                assert status == 408
                assert json.loads(body)["error"] == "BodyTimeoutError"

    def test_a_client_that_breaks_off_costs_nobody_a_place(
        self, server: Server, client: httpx.Client
    ) -> None:
        for _ in range(30):
            with server.connect() as connection:
                connection.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nab")
        eventually(lambda: client.get("/count").status_code == 200)
        assert client.post("/echo", content=b"still here").content == b"still here"


class TestRefusedByItsHead:
    """The body of such a request is on its way while it is answered."""

    HEAD = b"POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n"

    @pytest.mark.parametrize("pause_s", [0.0, 0.0002, 0.002, 0.02])
    def test_the_connection_serves_the_next(self, server: Server, pause_s: float) -> None:
        for _ in range(10):
            with server.connect() as connection:
                connection.sendall(self.HEAD)
                time.sleep(pause_s)
                connection.sendall(b"body")
                status, headers, _ = read_response(connection)
                assert status == 404 and "connection" not in headers
                connection.sendall(b"GET /count HTTP/1.1\r\nHost: x\r\n\r\n")
                assert read_response(connection)[0] == 200

    @pytest.mark.parametrize("framing", [b"Content-Length: 900000", b"Transfer-Encoding: chunked"])
    def test_one_that_may_be_long_is_not_awaited(self, server: Server, framing: bytes) -> None:
        with server.connect() as connection:
            connection.sendall(b"POST /nothing HTTP/1.1\r\nHost: x\r\n" + framing + b"\r\n\r\n")
            status, headers, _ = read_response(connection)
            assert status == 404 and headers["connection"] == "close"

    def test_one_that_never_comes_is_not_awaited_for_long(self, server: Server) -> None:
        with server.connect() as connection:
            connection.sendall(self.HEAD + b"bo")
            status, headers, _ = read_response(connection)
            assert status == 404 and headers["connection"] == "close"
