"""Answers in pieces: they come as they are made, and end with whoever has enough first."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from http_server import SMALL_APP, Server, eventually, running


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running([SMALL_APP], env={"MAX_CONCURRENT_REQUESTS": "1"}) as server:
        yield server


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


def open_pieces(client: httpx.Client) -> int:
    count: int = client.get("/state").json()["open_pieces"]
    return count


def test_pieces_come_as_they_are_made_until_the_client_has_enough(
    server: Server, client: httpx.Client
) -> None:
    with server.client() as other, other.stream("GET", "/pieces") as response:
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/plain"
        assert response.headers["x-request-id"].startswith("req_")
        lines = response.iter_lines()
        assert [next(lines) for _ in range(5)] == ["0", "1", "2", "3", "4"]
        assert open_pieces(client) == 1
    eventually(lambda: open_pieces(client) == 0)


def test_they_hold_no_place(server: Server, client: httpx.Client) -> None:
    with server.client() as other, other.stream("GET", "/pieces") as response:
        next(response.iter_lines())
        assert client.get("/count").status_code == 200
        assert client.get("/count").status_code == 200
    eventually(lambda: open_pieces(client) == 0)


def test_a_fault_ends_them_and_is_logged(server: Server, client: httpx.Client) -> None:
    response = client.get("/broken-pieces", headers={"x-request-id": "faulty-1"})
    assert response.text == "0\n1\n2\n"
    eventually(lambda: "the answer to faulty-1 broke off" in server.log)
    assert client.get("/count").status_code == 200
    assert open_pieces(client) == 0


def test_a_client_that_does_not_wait_for_the_first(server: Server, client: httpx.Client) -> None:
    for _ in range(20):
        connection = server.connect()
        connection.sendall(b"GET /pieces HTTP/1.1\r\nHost: here\r\n\r\n")
        connection.close()
    eventually(lambda: open_pieces(client) == 0)
    assert client.get("/count").status_code == 200
