"""Connections: reused, pipelined, broken off, overloaded; answers that take their time."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from http_server import SMALL_APP, Server, error_of, eventually, read_response, running


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    env = {
        "MAX_CONCURRENT_REQUESTS": "8",
    }
    with running([SMALL_APP], env) as server:
        yield server


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


class TestConnections:
    def test_keep_alive(self, server: Server) -> None:
        with server.connect() as connection:
            for _ in range(50):
                connection.sendall(b"GET /count HTTP/1.1\r\nHost: x\r\n\r\n")
                assert read_response(connection)[0] == 200

    def test_pipelined_requests_are_answered_in_order(self, server: Server) -> None:
        bodies = [f"number {index}".encode() for index in range(20)]
        with server.connect() as connection:
            connection.sendall(
                b"".join(
                    b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b"
                    % (len(body), body)
                    for body in bodies
                )
            )
            stream = connection.makefile("rb")
            for body in bodies:
                assert stream.readline().split()[1] == b"200"
                while stream.readline().strip():
                    continue
                assert stream.read(len(body)) == body

    def test_an_error_leaves_the_connection_usable(self, server: Server) -> None:
        with server.connect() as connection:
            for path, status in ((b"/nothing", 404), (b"/count", 200), (b"/fault", 500)):
                connection.sendall(b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % path)
                assert read_response(connection)[0] == status

    def test_http2(self, server: Server) -> None:
        """The client preface of HTTP/2 with prior knowledge is answered by a SETTINGS frame."""
        with server.connect() as connection:
            connection.sendall(
                b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
            )
            frame = connection.recv(9)
            assert frame[3] == 4

    @pytest.mark.parametrize(
        "junk", [b"\x00\x01\x02\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9\r\n\r\n", b"\x16\x03\x01"]
    )
    def test_junk_does_not_hurt(self, server: Server, client: httpx.Client, junk: bytes) -> None:
        with server.connect() as connection:
            connection.sendall(junk)
            connection.shutdown(socket.SHUT_WR)
            connection.recv(1000)
        assert client.get("/count").status_code == 200


class TestPending:
    def test_answers_at_once_and_later(self, client: httpx.Client) -> None:
        assert client.post("/at-once").json() == "at once"
        assert client.post("/later", json={"seconds": 0.01}).json() == "later"
        assert client.post("/later", json={"seconds": 0.2}).json() == "later"

    def test_slow_routes_do_not_block_the_others(self, server: Server) -> None:
        with server.client() as one, server.client() as other, ThreadPoolExecutor(1) as pool:
            slow = pool.submit(one.post, "/slow", json={"seconds": 1})
            time.sleep(0.2)
            assert other.get("/count").status_code == 200
            assert not slow.done()
            assert slow.result().json() == "slow"

    def test_a_client_that_hangs_up_withdraws_its_request(
        self, server: Server, client: httpx.Client
    ) -> None:
        before = client.get("/state").json()["cancelled"]
        body = b'{"seconds": 25}'
        with server.connect() as connection:
            connection.sendall(
                b"POST /later HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b"
                % (len(body), body)
            )
            time.sleep(0.3)
        eventually(lambda: client.get("/state").json()["cancelled"] == before + 1)

    def test_the_gate_refuses_and_recovers(self, server: Server) -> None:
        with ThreadPoolExecutor(8) as pool:
            clients = [server.client() for _ in range(8)]
            waiting = [pool.submit(one.post, "/later", json={"seconds": 2}) for one in clients]
            with server.client() as client:
                eventually(lambda: client.get("/count").status_code == 503)
                response = client.post("/echo", content=b"x")
                assert response.status_code == 503
                assert error_of(response)["error"] == "OverloadedError"
                assert int(response.headers["retry-after"]) >= 1
                assert client.get("/state").status_code == 200  # open routes always answer
                assert [one.result().status_code for one in waiting] == [200] * 8
                assert client.get("/count").status_code == 200
            for one in clients:
                one.close()

    def test_malformed_requests_cost_good_ones_nothing(self, server: Server) -> None:
        stop = threading.Event()

        def hostile() -> None:
            with server.client() as client:
                while not stop.is_set():
                    assert client.post("/envelope", content=b'{"data": [1,').status_code == 400

        def good() -> list[int]:
            with server.client() as client:
                return [
                    client.post("/envelope", content=b'{"data": [1]}').status_code
                    for _ in range(100)
                ]

        with ThreadPoolExecutor(7) as pool:
            attack = pool.submit(hostile)
            answers = [pool.submit(good) for _ in range(6)]
            for one in answers:
                assert one.result() == [200] * 100
            stop.set()
            attack.result()


@pytest.mark.parametrize("path", [b"/echo", b"/slow"])
def test_a_body_that_is_cut_short_is_malformed(server: Server, path: bytes) -> None:
    """The client has closed its half of the connection, and still reads."""
    with server.connect() as connection:
        connection.sendall(b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{" % path)
        connection.shutdown(socket.SHUT_WR)
        status, _, body = read_response(connection)
    assert status == 400
    assert b"ended before the length announced" in body
