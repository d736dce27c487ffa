"""Streams over HTTP: sent to in any order, read in sequence, refused where they must be."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from http_models import rows_of, trained
from http_server import error_of, eventually
from stream_client import ROWS, START, Open, Serving, ids, names, serve


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serve(tmp_path_factory, MAX_CONCURRENT_REQUESTS="8") as serving:
        yield serving


@pytest.fixture
def serving(shared: Serving) -> Iterator[Serving]:
    yield shared
    shared.gate.open()


class TestASession:
    def test_the_answers(self, serving: Serving) -> None:
        stream_id = next(names)
        body = {
            "stream_id": stream_id,
            "model_id": "wine",
            "buffer_size": 100,
            "batch_timeout_ms": 50,
        }
        started = serving.client.post(START, json=body)
        assert started.status_code == 200
        assert list(started.json().items()) == [
            ("stream_id", stream_id),
            ("status", "open"),
            ("model_id", "wine"),
            ("buffer_size", 100),
            ("batch_timeout_ms", 50.0),
        ]
        stream = Open(serving.client, stream_id)
        sent = stream.send(1, ROWS[:1])
        assert list(sent) == ["stream_id", "sequence_id", "status", "queued"]
        assert (sent["stream_id"], sent["sequence_id"], sent["status"]) == (
            *(stream_id, 1, "accepted"),
        )
        (result,) = stream.read_until(1)
        assert list(result) == [
            "sequence_id", "predictions", "model_id", "inference_time", "status",
        ]  # fmt: skip
        assert (result["model_id"], result["status"]) == ("wine", "success")
        assert result["inference_time"] > 0
        assert result["predictions"] == list(trained("wine").predict(rows_of("wine")[:1]))
        assert stream.close() == {
            "message": "Stream closed successfully",
            "stream_id": stream_id,
            "received": 1,
            "delivered": 1,
            "discarded": 0,
        }

    def test_what_is_left_out_has_a_default(self, serving: Serving) -> None:
        started = serving.client.post(START, json={"model_id": "wine"}).json()
        assert started["stream_id"].startswith("stream_")
        assert (started["buffer_size"], started["batch_timeout_ms"]) == (100, 100.0)
        assert Open(serving.client, started["stream_id"]).close()["received"] == 0

    def test_any_order_in_sequence_out(self, serving: Serving) -> None:
        stream = serving.start()
        expected = list(trained("wine").predict(rows_of("wine")))
        for number in (3, 5, 1, 4, 2):
            stream.send(number, [ROWS[number - 1]])
        results = stream.read_until(5)
        assert ids(results) == [1, 2, 3, 4, 5]
        assert [result["predictions"][0] for result in results] == expected[:5]
        assert stream.read() == {"stream_id": stream.stream_id, "results": [], "pending": 0}
        stream.close()

    def test_a_repeated_send_runs_once(self, serving: Serving) -> None:
        stream = serving.start("gate")
        serving.gate.close()
        first, again = stream.send(1, [[7.0]]), stream.send(1, [[7.0]])
        assert {**first, "queued": 0} == {**again, "queued": 0}
        stream.read_until(1)
        assert stream.send(1, [[7.0]]) == {**first, "queued": 0}
        conflict = stream.try_send(1, [[8.0]])
        assert conflict.status_code == 409
        assert error_of(conflict)["error"] == "SequenceConflictError"
        assert serving.gate.ran == [7.0]
        assert stream.close()["received"] == 1

    def test_results_can_be_read_again(self, serving: Serving) -> None:
        stream = serving.start(buffer_size=3)
        for number in range(1, 4):
            stream.send(number, [ROWS[number]])
        results = stream.read_until(3)
        assert stream.read(after=0)["results"] == results
        assert stream.read(after=2)["results"] == results[2:]
        stream.send(4, [ROWS[0]])
        stream.read_until(4)
        assert ids(stream.read(after=0)["results"]) == [2, 3, 4], "as many as the buffer holds"
        assert stream.close()["delivered"] == 4

    def test_head_takes_nothing(self, serving: Serving) -> None:
        stream = serving.start()
        stream.send(1, [ROWS[0]])
        eventually(lambda: stream.read(after=0)["pending"] == 0)
        stream.send(2, [ROWS[0]])
        assert serving.client.head(f"{stream.path}/results").status_code == 200
        assert ids(stream.read_until(2)) == [2]
        stream.close()

    def test_options_of_a_send(self, serving: Serving) -> None:
        stream = serving.start()
        stream.send(1, [ROWS[0]], return_probabilities=True, priority="high", timeout_ms=20_000)
        (result,) = stream.read_until(1)
        expected = trained("wine").predict_proba(rows_of("wine")[:1]).tolist()
        assert result["probabilities"] == expected
        stream.close()


class TestFailures:
    def test_one_has_its_place_and_the_stream_goes_on(self, serving: Serving) -> None:
        stream = serving.start()
        stream.send(1, [ROWS[0]])
        stream.send(2, [ROWS[0][:-1]])
        stream.send(3, [ROWS[0]])
        first, second, third = stream.read_until(3)
        assert [first["status"], second["status"], third["status"]] == [
            *("success", "error", "success"),
        ]
        assert list(second) == ["sequence_id", "model_id", "status", "error"]
        assert list(second["error"]) == ["error", "message", "details"]
        assert second["error"]["error"] == "InvalidInputError"
        entry = {"model_id": "wine", "data": [ROWS[0][:-1]]}
        body = serving.client.post(
            "/api/inference/predict/multi-batch", json={"requests": [entry]}
        ).json()
        assert second["error"] == body["results"][0]["error"], "the shape of multi-batch"
        assert stream.close()["delivered"] == 3

    def test_a_deadline_that_passes(self, serving: Serving) -> None:
        stream = serving.start("gate")
        serving.gate.close()
        stream.send(1, [[0.0]], timeout_ms=50)
        (result,) = stream.read_until(1)
        assert result["error"]["error"] == "DeadlineExceededError"
        serving.gate.open()
        stream.send(2, [[2.0]])
        assert stream.read_until(2)[0]["predictions"] == [2.0]
        stream.close()

    def test_a_model_unloaded_under_it(self, serving: Serving) -> None:
        models = "/api/inference/models"
        loaded = {"model_path": "wine.pkl", "model_id": "wine"}
        stream = serving.start()
        assert serving.client.delete(f"{models}/wine").status_code == 200
        try:
            stream.send(1, [ROWS[0]])
            (result,) = stream.read_until(1)
            assert result["error"]["error"] == "ModelNotFoundError"
            assert result["model_id"] == "wine"
        finally:
            assert serving.client.post(f"{models}/load", json=loaded).status_code == 200
        stream.send(2, [ROWS[0]])
        assert stream.read_until(2)[0]["status"] == "success"
        stream.close()


class TestRefusals:
    def test_a_stream_that_is_not_there(self, serving: Serving) -> None:
        closed = serving.start()
        closed.close()
        for stream in (closed, Open(serving.client, "never")):
            for response in (
                stream.try_send(1, [ROWS[0]]),
                serving.client.get(f"{stream.path}/results"),
                serving.client.get(
                    f"{stream.path}/results", headers={"accept": "text/event-stream"}
                ),
                serving.client.delete(stream.path),
            ):
                assert response.status_code == 404
                body = error_of(response)
                assert body["error"] == "StreamNotFoundError"
                assert body["details"] == {"stream_id": stream.stream_id}

    def test_one_that_is_open_already(self, serving: Serving) -> None:
        stream = serving.start()
        response = serving.client.post(
            START, json={"stream_id": stream.stream_id, "model_id": "wine"}
        )
        assert response.status_code == 409
        assert error_of(response)["error"] == "StreamExistsError"
        stream.close()
        assert serving.client.post(
            START, json={"stream_id": stream.stream_id, "model_id": "wine"}
        ).is_success
        stream.close()

    @pytest.mark.parametrize(
        ("body", "status", "error"),
        [
            (b"{", 400, "MalformedInputError"),
            (b"{}", 400, "AmbiguousModelError"),
            (b'{"model_id": "nothing"}', 404, "ModelNotFoundError"),
            (b'{"model_id": "wine", "stream_id": "a b"}', 422, "InvalidInputError"),
            (b'{"model_id": "wine", "stream_id": 1}', 422, "InvalidInputError"),
            (b'{"model_id": "wine", "buffer_size": 0}', 422, "InvalidInputError"),
            (b'{"model_id": "wine", "buffer_size": 1e9}', 422, "InvalidInputError"),
            (b'{"model_id": "wine", "batch_timeout_ms": -1}', 422, "InvalidInputError"),
        ],
    )
    def test_starts(self, serving: Serving, body: bytes, status: int, error: str) -> None:
        response = serving.client.post(START, content=body)
        assert response.status_code == status
        assert error_of(response)["error"] == error

    @pytest.mark.parametrize(
        ("body", "status"),
        [
            (b"", 400),
            (b'{"sequence_id": 1, "data": [[1]', 400),
            (b'{"data": [[1]]}', 422),
            (b'{"sequence_id": 1}', 422),
            (b'{"sequence_id": "one", "data": [[1]]}', 422),
            (b'{"sequence_id": 0, "data": [[1]]}', 422),
            (b'{"sequence_id": 99999999999999999999999, "data": [[1]]}', 429),
            (b'{"sequence_id": 1, "data": [[1]], "priority": "first"}', 422),
            (b'{"sequence_id": 1, "data": [[1]], "timeout_ms": 0}', 422),
        ],
    )
    def test_sends(self, serving: Serving, body: bytes, status: int) -> None:
        stream = serving.start()
        response = serving.client.post(f"{stream.path}/send", content=body)
        assert response.status_code == status, response.text
        error_of(response)
        assert stream.close()["received"] == 0, "nothing was accepted"

    @pytest.mark.parametrize(
        "query", ["after=1", "after=-1", "after=x", "wait_ms=-1", "wait_ms=nan", "wait_ms=x"]
    )
    def test_reads(self, serving: Serving, query: str) -> None:
        stream = serving.start()
        for headers in ({}, {"accept": "text/event-stream"}):
            response = serving.client.get(f"{stream.path}/results?{query}", headers=headers)
            assert response.status_code == 422, response.text
            assert error_of(response)["error"] == "InvalidInputError"
        stream.close()

    def test_a_full_buffer(self, serving: Serving) -> None:
        stream = serving.start("gate", buffer_size=2)
        serving.gate.close()
        stream.send(1, [[0.0]])
        stream.send(2, [[2.0]])
        full = stream.try_send(3, [[3.0]])
        assert full.status_code == 429
        assert int(full.headers["retry-after"]) >= 1
        assert error_of(full)["error"] == "StreamFullError"
        serving.gate.open()
        assert ids(stream.read_until(2)) == [1, 2]
        stream.send(3, [[3.0]])
        assert ids(stream.read_until(3)) == [3]
        stream.close()

    def test_too_far_ahead(self, serving: Serving) -> None:
        stream = serving.start(buffer_size=2)
        response = stream.try_send(3, [ROWS[0]])
        assert response.status_code == 429
        assert "send sequence_id 1," in error_of(response)["message"]
        stream.close()
