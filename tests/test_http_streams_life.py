"""Streams over HTTP while they live: who waits, who is left alone, who closes, and when."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from http_server import error_of, eventually
from stream_client import ROWS, START, Open, Serving, ids, serve

PREDICT = "/api/inference/predict"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serve(tmp_path_factory, MAX_CONCURRENT_REQUESTS="8") as serving:
        yield serving


@pytest.fixture
def serving(shared: Serving) -> Iterator[Serving]:
    yield shared
    shared.gate.open()


class TestWaiting:
    def test_a_reader_is_answered_when_there_is_something(self, serving: Serving) -> None:
        stream = serving.start("gate")
        serving.gate.close()
        stream.send(1, [[0.0]])
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(stream.read, wait_ms=30_000)
            eventually(lambda: serving.gate.ran == [0.0])
            assert not answer.done()
            serving.gate.open()
            assert ids(answer.result(30)["results"]) == [1]
        stream.close()

    def test_time_passes_without_any(self, serving: Serving) -> None:
        stream = serving.start()
        assert stream.read(wait_ms=20) == {
            "stream_id": stream.stream_id,
            "results": [],
            "pending": 0,
        }
        stream.close()

    def test_a_newer_reader_takes_the_place(self, serving: Serving) -> None:
        stream = serving.start()
        with ThreadPoolExecutor(2) as pool:
            readers = [pool.submit(stream.read, wait_ms=30_000) for _ in range(2)]
            eventually(lambda: any(reader.done() for reader in readers))
            stream.send(1, [ROWS[0]])
            got = sorted(len(reader.result(30)["results"]) for reader in readers)
        assert got == [0, 1]
        stream.close()

    def test_it_is_told_that_the_stream_is_over(self, serving: Serving) -> None:
        stream = serving.start()
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(stream.read, wait_ms=60_000)
            stream.close()
            with contextlib.suppress(AssertionError):  # it may have come after the end: 404
                assert answer.result(30)["results"] == []

    def test_who_waits_takes_no_place_from_predictions(self, serving: Serving) -> None:
        """More readers than requests that the server admits."""
        streams = [serving.start() for _ in range(12)]
        with ThreadPoolExecutor(12) as pool, serving.server.client() as other:
            waiting = [
                pool.submit(Open(other, stream.stream_id).read, wait_ms=30_000)
                for stream in streams
            ]
            for _ in range(20):
                body = {"model_id": "wine", "data": [ROWS[0]]}
                assert serving.client.post(PREDICT, json=body).status_code == 200
            for stream in streams:
                stream.send(1, [ROWS[0]])
            for answer in waiting:
                assert len(answer.result(30)["results"]) == 1
        for stream in streams:
            stream.close()


class TestClosing:
    def test_what_was_accepted_runs_first(self, serving: Serving) -> None:
        stream = serving.start("gate")
        serving.gate.close()
        for number, value in enumerate((0.0, 2.0, 3.0), 1):
            stream.send(number, [[value]])
        with ThreadPoolExecutor(1) as pool, serving.server.client() as other:
            closed = pool.submit(Open(other, stream.stream_id).close)
            eventually(lambda: stream.try_send(0, [[4.0]]).status_code == 404)
            again = serving.client.delete(stream.path)
            assert again.status_code == 404
            assert "being closed" in error_of(again)["message"]
            assert not closed.done()
            serving.gate.open()
            answer = closed.result(30)
        assert (answer["received"], answer["delivered"], answer["discarded"]) == (3, 0, 3)
        assert serving.gate.ran == [0.0, 2.0, 3.0]

    def test_during_load(self, serving: Serving) -> None:
        """Many send, one reads, one closes: what was acknowledged is what is counted."""
        stream = serving.start(buffer_size=500)
        acknowledged: list[int] = []
        delivered: list[int] = []
        go_on = threading.Event()

        def send(first: int) -> None:
            with serving.server.client() as client:
                mine = Open(client, stream.stream_id)
                for number in range(first, 400, 4):
                    response = mine.try_send(number, [ROWS[number % len(ROWS)]])
                    if response.status_code == 404:
                        return
                    assert response.status_code == 200, response.text
                    acknowledged.append(number)
                    if len(acknowledged) > 100:
                        go_on.set()

        def read() -> None:
            with serving.server.client() as client:
                mine = Open(client, stream.stream_id)
                while True:
                    response = client.get(f"{mine.path}/results?wait_ms=1000")
                    if response.status_code == 404:
                        return
                    delivered.extend(ids(response.json()["results"]))

        with ThreadPoolExecutor(5) as pool:
            work = [pool.submit(send, first) for first in (1, 2, 3, 4)] + [pool.submit(read)]
            assert go_on.wait(30)
            answer = stream.close()
            for one in work:
                one.result(30)
        assert answer["received"] == len(acknowledged)
        assert delivered == list(range(1, len(delivered) + 1))
        assert answer["delivered"] == len(delivered)


def test_too_many_and_left_alone(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A stream that nobody uses makes room; a client that hung up while it waited uses none."""
    with serve(tmp_path_factory, MAX_STREAMS="2", STREAM_IDLE_TIMEOUT_S="0.5") as serving:
        left, used = serving.start(), serving.start()
        query = f"{used.path}/results?wait_ms=60000"
        connection = serving.server.connect()
        connection.sendall(f"GET {query} HTTP/1.1\r\nHost: here\r\n\r\n".encode())
        third = {"stream_id": "third", "model_id": "wine"}
        full = serving.client.post(START, json=third)
        assert full.status_code == 429
        assert "MAX_STREAMS" in error_of(full)["message"]
        assert "retry-after" in full.headers
        results = f"{left.path}/results"
        eventually(lambda: serving.client.post(START, json=third).status_code == 200)
        assert serving.client.get(results).status_code == 404
        assert serving.client.head(f"{used.path}/results").status_code == 200
        connection.close()
        eventually(lambda: serving.client.post(f"{used.path}/send").status_code == 404)


def test_keys_guard_streams_too(tmp_path_factory: pytest.TempPathFactory) -> None:
    with serve(tmp_path_factory, REQUIRE_API_KEY="True", API_KEYS="secret") as serving:
        assert serving.client.post(START, json={"model_id": "wine"}).status_code == 401
        assert serving.client.get("/api/inference/stream/a/results").status_code == 401
        serving.client.headers["x-api-key"] = "secret"
        serving.start().close()
