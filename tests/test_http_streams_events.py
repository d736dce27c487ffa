"""Results of a stream as Server-Sent Events, and what becomes of readers when the server stops."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import httpx
import pytest

from http_server import Server, eventually
from stream_client import ROWS, Open, Serving, ids, serve


class Event(NamedTuple):
    number: int | None
    name: str
    data: Any


class Reader:
    """An EventSource: follows the rules of the HTML Living Standard as far as they are used."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.comments = 0
        self._lines = response.iter_lines()

    def events(self) -> Iterator[Event]:
        number, name, data = None, "message", ""
        for line in self._lines:
            field, _, value = line.partition(": ")
            if line == "" and data:
                yield Event(number, name, json.loads(data))
                number, name, data = None, "message", ""
            elif line.startswith(":"):
                self.comments += 1
            elif field == "retry":
                assert int(value) > 0
            elif field == "id":
                number = int(value)
            elif field == "event":
                name = value
            elif field == "data":
                data += value

    def take(self, count: int) -> list[Event]:
        events = self.events()
        return [next(events) for _ in range(count)]


@contextlib.contextmanager
def listening(server: Server, stream: Open, last: int | None = None, query: str = "") -> Any:
    headers = {"accept": "text/event-stream"} | (
        {} if last is None else {"last-event-id": f"{last}"}
    )
    with (
        server.client() as client,
        client.stream("GET", f"{stream.path}/results{query}", headers=headers) as response,
    ):
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/event-stream"
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["x-request-id"].startswith("req_")
        yield Reader(response)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    env = {"MAX_CONCURRENT_REQUESTS": "4", "STREAM_HEARTBEAT_S": "0.1"}
    with serve(tmp_path_factory, **env) as serving:
        yield serving


@pytest.fixture
def serving(shared: Serving) -> Iterator[Serving]:
    yield shared
    shared.gate.open()


class TestEvents:
    def test_they_are_the_results_and_then_the_end(self, serving: Serving) -> None:
        stream, twin = serving.start(), serving.start()
        with listening(serving.server, stream) as reader:
            for number in (2, 1, 3):
                stream.send(number, [ROWS[number]])
                twin.send(number, [ROWS[number]])
            stream.send(4, [ROWS[0][:-1]])
            got = reader.take(4)
            assert [(event.number, event.name) for event in got] == [
                (number, "message") for number in (1, 2, 3, 4)
            ]
            assert got[3].data["error"]["error"] == "InvalidInputError"
            plain = twin.read_until(3)
            for result in [*plain, *(event.data for event in got)]:
                result.pop("inference_time", None)
            assert [event.data for event in got[:3]] == plain
            assert stream.read()["results"] == [], "handed out already"
            assert stream.close()["delivered"] == 4
            (end,) = reader.events()
            assert end == Event(None, "end", {
                "stream_id": stream.stream_id, "received": 4, "delivered": 4, "discarded": 0,
            })  # fmt: skip
        twin.close()

    def test_a_client_that_comes_back_goes_on_where_it_was(self, serving: Serving) -> None:
        stream = serving.start()
        for number in range(1, 6):
            stream.send(number, [ROWS[0]])
        with listening(serving.server, stream) as reader:
            assert [event.number for event in reader.take(5)] == [1, 2, 3, 4, 5]
        with listening(serving.server, stream, last=2) as reader:
            assert [event.number for event in reader.take(3)] == [3, 4, 5]
        with listening(serving.server, stream, query="?after=4") as reader:
            assert [event.number for event in reader.take(1)] == [5]
        with listening(serving.server, stream, last=3, query="?after=0") as reader:
            assert [event.number for event in reader.take(2)] == [4, 5], "the header counts"
            stream.send(6, [ROWS[0]])
            assert reader.take(1)[0].number == 6
        stream.close()

    @pytest.mark.parametrize("last", ["-1", "x", "1", "9" * 30])
    def test_where_it_cannot_have_been(self, serving: Serving, last: str) -> None:
        stream = serving.start()
        headers = {"accept": "text/html, text/event-stream;q=0.9", "last-event-id": last}
        response = serving.client.get(f"{stream.path}/results", headers=headers)
        assert response.status_code == 422
        stream.close()

    def test_signs_of_life(self, serving: Serving) -> None:
        stream = serving.start()
        with listening(serving.server, stream) as reader, ThreadPoolExecutor(1) as pool:
            event = pool.submit(reader.take, 1)
            eventually(lambda: reader.comments >= 4)
            stream.send(1, [ROWS[0]])
            assert event.result(30)[0].number == 1
        stream.close()

    def test_a_newer_reader_takes_the_place(self, serving: Serving) -> None:
        stream = serving.start()
        with listening(serving.server, stream) as older:
            stream.send(1, [ROWS[0]])
            assert older.take(1)[0].number == 1
            with listening(serving.server, stream) as newer:
                assert list(older.events()) == [], "it ended, without the event that says so"
                stream.send(2, [ROWS[0]])
                assert newer.take(1)[0].number == 2
        stream.close()

    def test_a_client_that_hangs_up_is_forgotten(self, serving: Serving) -> None:
        stream = serving.start("gate")
        serving.gate.close()
        with listening(serving.server, stream) as reader:
            stream.send(1, [[1.0]])
            assert reader.take(1)[0].number == 1
            stream.send(2, [[0.0]])
        serving.gate.open()
        assert ids(stream.read(after=0, wait_ms=0)["results"])[:1] == [1]
        eventually(lambda: 2 in ids(stream.read(after=0)["results"]))
        assert stream.close()["delivered"] == 2

    def test_listeners_take_no_place_from_predictions(self, serving: Serving) -> None:
        """More of them than requests that the server admits."""
        streams = [serving.start() for _ in range(8)]
        with contextlib.ExitStack() as stack:
            readers = [stack.enter_context(listening(serving.server, one)) for one in streams]
            for _ in range(20):
                body = {"model_id": "wine", "data": [ROWS[0]]}
                assert serving.client.post("/api/inference/predict", json=body).is_success
            for stream, reader in zip(streams, readers, strict=True):
                stream.send(1, [ROWS[0]])
                assert reader.take(1)[0].number == 1
        for stream in streams:
            stream.close()


class TestTheServerStops:
    def test_readers_are_told(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        with serve(tmp_path_factory) as serving, ThreadPoolExecutor(1) as pool:
            heard, asked = serving.start("gate"), serving.start()
            serving.gate.close()
            heard.send(1, [[0.0]])
            polled = pool.submit(asked.read, wait_ms=60_000)
            with listening(serving.server, heard) as reader:
                eventually(lambda: serving.gate.ran == [0.0])
                serving.server.process.terminate()
                eventually(lambda: "is finishing" in serving.server.log)
                serving.gate.open()
                result, end = reader.events()
                assert (result.number, result.data["status"]) == (1, "success")
                assert (end.name, end.data["delivered"]) == ("end", 1)
            assert polled.result(30)["results"] == []
            assert serving.server.process.wait(60) == 0

    def test_in_time_also_when_a_model_hangs(
        self, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        with serve(tmp_path_factory, DRAIN_TIMEOUT_S="0.3") as serving:
            stream = serving.start("gate")
            serving.gate.close()
            stream.send(1, [[0.0]])
            with listening(serving.server, stream) as reader:
                eventually(lambda: serving.gate.ran == [0.0])
                assert serving.server.stop() == 0
                with contextlib.suppress(httpx.HTTPError):  # it may be cut off
                    for event in reader.events():
                        assert event.name == "end" and event.data["discarded"] == 1


def test_a_stream_that_is_listened_to_is_not_idle(tmp_path_factory: pytest.TempPathFactory) -> None:
    with serve(tmp_path_factory, STREAM_IDLE_TIMEOUT_S="3") as serving:
        left, heard = serving.start(), serving.start()
        with listening(serving.server, heard):
            eventually(lambda: serving.client.head(f"{left.path}/results").status_code == 404)
            heard.send(1, [ROWS[0]])
        eventually(lambda: serving.client.post(f"{heard.path}/send").status_code == 404)
