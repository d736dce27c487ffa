"""Deadlines, priorities, full queues, lost clients, dead children: what overload and chaos do.

A gate model holds its only worker as long as the test wants, so that nothing here depends on how
quick the machine is.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from http_models import Gate, fresh_folder, json_rows, rows_of, trained
from http_server import Server, error_of, eventually, read_response, slipstream_server

PREDICT = "/api/inference/predict"
PLACES = 6
"""Requests in progress that the servers of this file admit."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fresh_folder(tmp_path_factory, "http-limits", "wine.pkl", "sizes.py")


@pytest.fixture(scope="module")
def gate(folder: Path) -> Gate:
    return Gate(folder, "gate")


@pytest.fixture(scope="module")
def server(folder: Path, gate: Gate) -> Iterator[Server]:
    loads = ("wine.pkl=wine", "sizes.py=sizes", "gate.py=gate")
    arguments = [text for load in loads for text in ("--load", load)]
    env = {"ALLOW_CUSTOM_CODE": "True", "MAX_CONCURRENT_REQUESTS": str(PLACES)}
    with slipstream_server("--model-dir", str(folder), *arguments, env=env) as server:
        yield server
        gate.open()


class Line:
    """A client whose requests wait side by side, each on a connection of its own."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._pool = ThreadPoolExecutor(16)

    def ask(self, value: float, width: int = 1, **options: Any) -> Future[httpx.Response]:
        """Asks the gate model; 0 waits at the gate."""
        row = [value] + [0.0] * (width - 1)
        request = {"data": [row], "model_id": "gate", **options}

        def post() -> httpx.Response:
            with self._server.client() as client:
                return client.post(PREDICT, json=request)

        return self._pool.submit(post)


@pytest.fixture
def line(server: Server, gate: Gate) -> Iterator[Line]:
    gate.close()
    yield Line(server)
    gate.open()
    with server.client() as client:
        eventually(lambda: free_places(client) == PLACES)


def free_places(client: httpx.Client) -> int:
    """Places that are free: all, or too few for one more."""
    return PLACES if client.get("/api/inference/models/list").status_code == 200 else 0


def is_full(client: httpx.Client) -> bool:
    return free_places(client) == 0


def fill(line: Line, gate: Gate, client: httpx.Client, *queued: dict[str, Any]) -> list[Any]:
    """One request at the gate, these behind it, and requests of low priority up to the limit."""
    first = line.ask(0)
    eventually(lambda: gate.ran == [0])
    waiting = [first]
    for options in queued:
        waiting.append(line.ask(**options))
        time.sleep(0.02)  # they should queue in this order
    waiting += [line.ask(99, priority="low") for _ in range(PLACES - len(waiting))]
    eventually(lambda: is_full(client))
    time.sleep(0.1)  # a request takes its place a moment before it is in the queue
    return waiting


class TestDeadlines:
    def test_one_that_waits_too_long_is_504_and_never_runs(
        self, server: Server, line: Line, gate: Gate
    ) -> None:
        first = line.ask(0, width=2)
        eventually(lambda: gate.ran == [0])
        response = line.ask(5, width=2, timeout_ms=80).result()
        assert response.status_code == 504
        assert error_of(response)["error"] == "DeadlineExceededError"
        gate.open()
        assert first.result().status_code == 200
        assert line.ask(6, width=2).result().status_code == 200
        assert gate.ran == [0, 6]

    def test_one_that_runs_too_long_is_504_too(
        self, server: Server, line: Line, gate: Gate
    ) -> None:
        response = line.ask(0, width=3, timeout_ms=80).result()
        assert response.status_code == 504
        assert gate.ran == [0]

    def test_one_that_cannot_be_met_is_refused(self, line: Line, gate: Gate) -> None:
        first = line.ask(0, width=4)
        eventually(lambda: gate.ran == [0])
        time.sleep(0.3)
        gate.open()
        assert first.result().status_code == 200  # so long does one take, it has learned
        gate.close()
        holding = line.ask(0, width=4)
        eventually(lambda: gate.ran == [0])
        queued = line.ask(7, width=4)
        refused: list[httpx.Response] = []

        def is_refused() -> bool:
            """Only once the other one is queued: with nothing ahead of it, it may try its luck."""
            refused.append(line.ask(8, width=4, timeout_ms=50).result())
            assert refused[-1].status_code in (503, 504)
            return refused[-1].status_code == 503

        eventually(is_refused)
        response = refused[-1]
        assert int(response.headers["retry-after"]) >= 1
        assert error_of(response)["error"] == "QueueFullError"
        gate.open()
        assert holding.result().status_code == queued.result().status_code == 200
        assert 8 not in gate.ran

    def test_a_model_that_was_slow_once_is_tried_again(self, line: Line, gate: Gate) -> None:
        first = line.ask(0, width=5)
        eventually(lambda: gate.ran == [0])
        time.sleep(0.5)
        gate.open()
        assert first.result().status_code == 200
        eventually(lambda: line.ask(7, width=5, timeout_ms=100).result().status_code == 200)

    def test_without_one_the_servers_default_holds(self, folder: Path) -> None:
        gate = Gate(folder, "default-gate")
        env = {"ALLOW_CUSTOM_CODE": "True", "DEFAULT_TIMEOUT_MS": "100"}
        arguments = ("--model-dir", str(folder), "--load", "default-gate.py=gate")
        with slipstream_server(*arguments, env=env) as server, server.client() as client:
            gate.close()
            response = client.post(PREDICT, json={"data": [[0]]})
            gate.open()
        assert response.status_code == 504


class TestPriorities:
    def test_the_urgent_overtake(self, server: Server, line: Line, gate: Gate) -> None:
        with server.client() as client:
            waiting = fill(
                line,
                gate,
                client,
                {"value": 2},
                {"value": 3, "priority": "normal"},
                {"value": 1, "priority": "low"},
                {"value": 4, "priority": "high"},
                {"value": 5, "priority": "urgent"},
            )
        gate.open()
        assert [one.result().status_code for one in waiting] == [200] * len(waiting)
        assert gate.ran[:3] == [0, 5, 4]
        assert sorted(gate.ran[3:5]) == [2, 3]
        assert gate.ran[5:] == [1]


class TestBatchSize:
    def test_it_is_the_most_rows_of_one_execution(self, server: Server) -> None:
        with server.client() as client:
            for batch_size, sizes in ((4, [4] * 8 + [2] * 2), (10, [10] * 10), (99, [10] * 10)):
                for path in (PREDICT, f"{PREDICT}/batch"):
                    request = {
                        "data": [[1.0]] * 10,
                        "model_id": "sizes",
                        "batch_size": batch_size,
                    }
                    assert client.post(path, json=request).json()["predictions"] == sizes

    def test_without_one_the_servers_maximum_holds(self, server: Server) -> None:
        with server.client() as client:
            request = {"data": [[1.0]] * 70, "model_id": "sizes"}
            sizes = client.post(PREDICT, json=request).json()["predictions"]
        assert sizes == [64] * 64 + [6] * 6


class TestFull:
    def test_as_many_as_are_admitted(self, server: Server, line: Line, gate: Gate) -> None:
        with server.client() as client:
            waiting = fill(line, gate, client)
            response = client.post(PREDICT, json={"data": [[1]], "model_id": "gate"})
            assert response.status_code == 503
            assert int(response.headers["retry-after"]) >= 1
            error = error_of(response)
            assert error["error"] == "OverloadedError"
            assert "MAX_CONCURRENT_REQUESTS" in error["message"]
            health = client.get("/api/inference/health")
            assert health.status_code == 200
            assert health.json()["status"] == "degraded"
            assert health.json()["checks"]["inference_performance"] == "degraded"
            gate.open()
            assert [one.result().status_code for one in waiting] == [200] * PLACES
            assert client.get("/api/inference/health").json()["status"] == "healthy"

    def test_a_full_queue(self, folder: Path) -> None:
        """1024 requests of a priority wait at most; those of another still get in."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
        gate = Gate(folder, "queue-gate")
        env = {"ALLOW_CUSTOM_CODE": "True", "MAX_CONCURRENT_REQUESTS": "3000"}
        arguments = ("--model-dir", str(folder), "--load", "queue-gate.py=gate")
        try:
            with slipstream_server(*arguments, env=env) as server:
                gate.close()
                first = send(server, 0)
                eventually(lambda: gate.ran == [0])
                waiting = [send(server, 1) for _ in range(1024 + 10)]
                refused = []
                eventually(lambda: refused.extend(ready(waiting, refused)) or len(refused) == 10)
                for connection in refused:
                    status, headers, body = read_response(connection)
                    assert status == 503
                    assert int(headers["retry-after"]) >= 1
                    assert json.loads(body)["error"] == "QueueFullError"
                urgent = send(server, 2, priority="urgent")
                time.sleep(0.2)
                gate.open()
                answered = [first, urgent, *(one for one in waiting if one not in refused)]
                assert {read_response(one)[0] for one in answered} == {200}
                assert 2 in gate.ran[:100]  # past nearly all that came before it
                for connection in (first, urgent, *waiting):
                    connection.close()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def send(server: Server, value: float, **options: Any) -> socket.socket:
    """Sends a request on a connection of its own and does not wait for the answer."""
    body = json.dumps({"data": [[value]], "model_id": "gate", **options}).encode()
    connection = server.connect()
    connection.sendall(
        b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b"
        % (PREDICT.encode(), len(body), body)
    )
    return connection


def ready(connections: list[socket.socket], but: list[socket.socket]) -> list[socket.socket]:
    """The connections on which an answer has arrived."""
    found = []
    for connection in connections:
        if connection in but:
            continue
        connection.setblocking(False)
        try:
            connection.recv(1, socket.MSG_PEEK)
            found.append(connection)
        except BlockingIOError:
            continue
        finally:
            connection.settimeout(30)
    return found


class TestLostClients:
    def test_a_client_that_hangs_up_withdraws_its_request(
        self, server: Server, line: Line, gate: Gate
    ) -> None:
        with server.client() as client:
            first = line.ask(0)
            eventually(lambda: gate.ran == [0])
            lost = [send(server, 7) for _ in range(PLACES - 1)]
            eventually(lambda: is_full(client))
            for connection in lost:
                connection.close()
            eventually(lambda: not is_full(client))
        assert not first.done()
        gate.open()
        assert first.result().status_code == 200
        assert line.ask(8).result().status_code == 200
        assert gate.ran == [0, 8]


class TestDeadChildren:
    def test_its_request_fails_and_the_next_succeed(
        self, server: Server, line: Line, gate: Gate
    ) -> None:
        with server.client() as client:
            before = client.get("/api/inference/models/gate/metrics").json()
            waiting = [line.ask(0)]
            eventually(lambda: gate.ran == [0])
            waiting += [line.ask(value) for value in (1, 2, 3)]
            time.sleep(0.2)
            os.kill(gate.worker, signal.SIGKILL)
            response = waiting[0].result()
            assert response.status_code == 503
            error = error_of(response)
            assert error["error"] == "UnavailableError"
            assert "worker process" in error["message"]
            assert "retry-after" in response.headers
            assert [one.result().status_code for one in waiting[1:]] == [200] * 3
            assert line.ask(4).result().json()["predictions"] == [4.0]
            after = client.get("/api/inference/models/gate/metrics").json()
        assert after["error_count"] == before["error_count"] + 1
        assert after["inference_count"] == before["inference_count"] + 4
        assert 0 < after["error_rate"] < 1

    def test_under_load(self, server: Server, gate: Gate) -> None:
        """Every request gets an answer, right or 503, and after the last kill only right ones."""
        gate.open()
        stop = threading.Event()

        def ask(value: int) -> list[int]:
            statuses = []
            with server.client() as client:
                while not stop.is_set():
                    request = {"data": [[value]], "model_id": "gate"}
                    response = client.post(PREDICT, json=request)
                    statuses.append(response.status_code)
                    if response.status_code == 200:
                        assert response.json()["predictions"] == [value]
                    else:
                        assert error_of(response)["error"] == "UnavailableError"
            return statuses

        with ThreadPoolExecutor(4) as pool:
            asking = [pool.submit(ask, value) for value in range(1, 5)]
            try:
                for _ in range(3):
                    killed = gate.worker
                    os.kill(killed, signal.SIGKILL)
                    eventually(lambda killed=killed: gate.worker != killed)
            finally:
                stop.set()
            answers = [one.result() for one in asking]
        assert set().union(*answers) <= {200, 503}
        with server.client() as client:
            for _ in range(20):
                request = {"data": [[1]], "model_id": "gate"}
                assert client.post(PREDICT, json=request).status_code == 200


class TestMalformedFlood:
    def test_it_costs_twelve_good_clients_no_answer(self, folder: Path) -> None:
        rows = rows_of("wine", 12)
        expected = trained("wine").predict(rows).tolist()
        good = [json.dumps({"data": [row], "model_id": "wine"}).encode() for row in json_rows(rows)]
        malformed = (
            b'{"data": [[1, 2',
            b"[" * 5000,
            b'{"data": [[1e999]], "model_id": "wine"}',
            b'{"data": [["x"]], "model_id": "wine"}',
            b'{"data": null, "model_id": "wine"}',
            b'{"data": [[1]], "model_id": "nobody"}',
            b"\xff\xfe",
        )
        stop = threading.Event()

        def flood(server: Server) -> int:
            count = 0
            with server.client() as client:
                while not stop.is_set():
                    response = client.post(PREDICT, content=malformed[count % len(malformed)])
                    assert 400 <= response.status_code < 500
                    count += 1
            return count

        def ask(server: Server, index: int) -> list[Any]:
            with server.client() as client:
                return [
                    client.post(PREDICT, content=good[index]).json()["predictions"]
                    for _ in range(60)
                ]

        arguments = ("--model-dir", str(folder), "--load", "wine.pkl=wine")
        with slipstream_server(*arguments) as server, ThreadPoolExecutor(13) as pool:
            attack = pool.submit(flood, server)
            asking = [pool.submit(ask, server, index) for index in range(12)]
            try:
                answers = [one.result() for one in asking]
            finally:
                stop.set()
            assert attack.result() > 50
        assert answers == [[[label]] * 60 for label in expected]
