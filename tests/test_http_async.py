"""Async predictions over HTTP: submitted, waited for, cancelled, expired, refused, kept."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import msgspec
import numpy as np
import pytest

from async_place import KEYS, MOMENT, PATH, Place, places
from http_models import json_rows, rows_of, trained
from http_server import error_of


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    yield from places(tmp_path_factory, "async")


@pytest.fixture(autouse=True)
def open_gate(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "place" in request.fixturenames:
        request.getfixturevalue("place").let_go()


class TestACompletedTask:
    def test_the_answers(self, place: Place) -> None:
        rows = json_rows(rows_of("wine"))
        asked = {"model_id": "wine", "data": rows, "return_probabilities": True, "priority": "high"}
        response = place.client.post(PATH, json=asked)
        assert response.status_code == 202
        accepted = response.json()
        assert list(accepted) == ["task_id", "status", "estimated_completion", "queue_position"]
        assert re.fullmatch(r"task_[0-9a-f]{32}", accepted["task_id"])
        assert (accepted["status"], accepted["queue_position"]) == ("queued", 1)
        body = place.ended(accepted["task_id"])
        assert (body["status"], body["error"], body["callback"]) == ("completed", None, None)
        assert list(body["result"]) == [
            "predictions",
            "probabilities",
            "model_id",
            "inference_time",
        ]
        assert body["result"]["predictions"] == trained("wine").predict(rows_of("wine")).tolist()
        np.testing.assert_array_equal(
            body["result"]["probabilities"], trained("wine").predict_proba(rows_of("wine"))
        )
        assert body["result"]["model_id"] == body["model_id"] == "wine"
        assert body["result"]["inference_time"] > 0
        for key in ("submitted_at", "started_at", "completed_at"):
            assert re.fullmatch(MOMENT, body[key])
        assert place.get(accepted["task_id"]) == body  # as often as one likes

    def test_an_estimate_once_something_was_measured(self, place: Place) -> None:
        place.ended(place.submit([[1]]))
        response = place.client.post(PATH, json={"model_id": "gated", "data": [[2]]})
        assert re.fullmatch(MOMENT, response.json()["estimated_completion"])

    def test_binary_forms(self, place: Place) -> None:
        rows = rows_of("wine").astype(np.float64)
        right = trained("wine").predict(rows).tolist()
        packed = msgspec.msgpack.encode({"model_id": "wine", "data": json_rows(rows)})
        tensor = {
            "content-type": "application/octet-stream",
            "x-tensor-dtype": "float64",
            "x-tensor-shape": ",".join(map(str, rows.shape)),
        }
        first = place.client.post(
            PATH, content=packed, headers={"content-type": "application/msgpack"}
        )
        second = place.client.post(
            f"{PATH}?model_id=wine&priority=low", content=rows.tobytes(), headers=tensor
        )
        for response in (first, second):
            assert response.status_code == 202, response.text
            body = place.ended(response.json()["task_id"])
            assert body["result"]["predictions"] == right

    def test_a_head_request_and_an_odd_id(self, place: Place) -> None:
        task_id = place.submit([[1]])
        place.ended(task_id)
        assert place.client.head(f"{PATH}/{task_id}").status_code == 200
        for odd in ("task_0", "%00", "x" * 4000, "' OR 1=1 --"):
            response = place.client.get(f"{PATH}/{odd}")
            assert response.status_code == 404
            assert error_of(response)["error"] == "TaskNotFoundError"


class TestRefusals:
    @pytest.mark.parametrize(
        ("body", "status", "error"),
        [
            (b"", 400, "MalformedInputError"),
            (b"{", 400, "MalformedInputError"),
            (b'{"model_id":"wine","data":[[NaN]]}', 400, "MalformedInputError"),
            (b"[]", 422, "InvalidInputError"),
            (b'{"model_id":"wine"}', 422, "InvalidInputError"),
            (b'{"model_id":"nobody","data":[[1]]}', 404, "ModelNotFoundError"),
            (b'{"data":[[1]]}', 400, "AmbiguousModelError"),
            (b'{"model_id":"wine","data":[[1]]}', 422, "InvalidInputError"),
            (b'{"model_id":"wine","data":[["a"]]}', 422, "InvalidInputError"),
            (b'{"model_id":"gated","data":[[1]],"priority":"soon"}', 422, "InvalidInputError"),
            (b'{"model_id":"gated","data":[[1]],"timeout_ms":0}', 422, "InvalidInputError"),
            (b'{"model_id":"gated","data":[[1]],"batch_size":0}', 422, "InvalidInputError"),
            (b'{"model_id":"gated","data":[[1]],"callback_url":7}', 422, "InvalidInputError"),
            (b'{"model_id":"gated","data":[[1]],"callback_url":""}', 422, "InvalidInputError"),
        ],
        ids=lambda value: str(value)[:40],
    )
    def test_at_submission(self, place: Place, body: bytes, status: int, error: str) -> None:
        response = place.client.post(PATH, content=body)
        assert response.status_code == status, response.text
        assert error_of(response)["error"] == error

    def test_probabilities_that_a_model_has_not(self, place: Place) -> None:
        asked = {"model_id": "diabetes", "data": json_rows(rows_of("diabetes"))}
        response = place.client.post(PATH, json={**asked, "return_probabilities": True})
        assert (response.status_code, error_of(response)["error"]) == (422, "InvalidInputError")

    def test_a_wait_that_is_none(self, place: Place) -> None:
        for wrong in ("x", "-1", "nan"):
            response = place.client.get(f"{PATH}/task_0", params={"wait_ms": wrong})
            assert error_of(response)["details"] == {"key": "wait_ms"}

    def test_other_methods(self, place: Place) -> None:
        response = place.client.put(f"{PATH}/task_0")
        assert response.status_code == 405
        assert response.headers["allow"] == "GET, HEAD, DELETE"


class TestTheQueue:
    def test_places_and_priorities(self, place: Place) -> None:
        running = place.hold()
        assert place.get(running)["status"] == "running"
        assert place.get(running)["queue_position"] is None
        tasks = {
            value: place.submit([[value]], priority=priority)
            for value, priority in (
                (1, "low"),
                (2, "normal"),
                (3, "urgent"),
                (4, "high"),
                (5, "normal"),
            )
        }
        order = [3, 4, 2, 5, 1]
        shown = [place.get(tasks[value]) for value in order]
        assert [one["queue_position"] for one in shown] == [1, 2, 3, 4, 5]
        assert all(one["status"] == "queued" and one["started_at"] is None for one in shown)
        assert place.client.delete(f"{PATH}/{tasks[2]}").json()["status"] == "cancelled"
        assert place.get(tasks[1])["queue_position"] == 4
        place.gate.open()
        for value in (3, 4, 5, 1):
            assert place.ended(tasks[value])["result"]["predictions"] == [value]
        assert place.gate.ran == [0, 3, 4, 5, 1]
        assert place.ended(running)["status"] == "completed"

    def test_a_task_that_waits_too_long_expires(self, place: Place) -> None:
        place.hold()
        task_id = place.submit([[1]], timeout_ms=50)
        body = place.ended(task_id)
        assert (body["status"], body["result"], body["started_at"]) == ("expired", None, None)
        assert body["error"]["error"] == "DeadlineExceededError"
        place.gate.open()
        place.ended(place.submit([[2]]))
        assert 1 not in place.gate.ran

    @pytest.mark.parametrize("timeout_ms", [1e-6, 0.5])
    def test_a_timeout_that_nothing_could_meet(self, place: Place, timeout_ms: float) -> None:
        place.hold()
        body = place.ended(place.submit([[1]], timeout_ms=timeout_ms))
        assert (body["status"], body["error"]["error"]) == ("expired", "DeadlineExceededError")

    def test_a_task_that_runs_too_long_expires(self, place: Place) -> None:
        place.gate.close()
        body = place.ended(place.submit([[0]], timeout_ms=300))
        assert (body["status"], body["error"]["error"]) == ("expired", "DeadlineExceededError")

    def test_cancelling(self, place: Place) -> None:
        running = place.hold()
        waiting = place.submit([[1]])
        for task_id in (waiting, running):
            response = place.client.delete(f"{PATH}/{task_id}")
            assert response.status_code == 200
            assert list(response.json()) == KEYS
            assert response.json()["status"] == "cancelled"
            assert response.json()["error"]["error"] == "RequestCancelledError"
            assert place.client.delete(f"{PATH}/{task_id}").json() == response.json()
        place.gate.open()
        done = place.submit([[2]])
        place.ended(done)
        response = place.client.delete(f"{PATH}/{done}")
        assert response.status_code == 409
        assert error_of(response)["details"] == {"task_id": done, "status": "completed"}
        assert place.client.delete(f"{PATH}/task_0").status_code == 404
        assert 1 not in place.gate.ran

    def test_a_wait_ends_without_the_task(self, place: Place) -> None:
        task_id = place.hold()
        assert place.get(task_id, wait_ms=50)["status"] == "running"

    def test_a_client_that_hangs_up_while_it_waits(self, place: Place) -> None:
        task_id = place.hold()
        with pytest.raises(httpx.ReadTimeout), place.server.client(timeout=0.2) as impatient:
            impatient.get(f"{PATH}/{task_id}?wait_ms=20000")
        place.gate.open()
        assert place.ended(task_id)["status"] == "completed"

    def test_a_model_that_is_gone_when_its_turn_comes(self, place: Place) -> None:
        place.hold()
        task_id = place.submit(json_rows(rows_of("diabetes")), "diabetes")
        assert place.client.delete("/api/inference/models/diabetes").status_code == 200
        place.gate.open()
        body = place.ended(task_id)
        assert body["status"] == "failed"
        assert body["error"]["error"] == "ModelNotFoundError"
        assert "diabetes" in body["error"]["message"]
        load = {"model_path": str(place.folder / "diabetes.pkl"), "model_id": "diabetes"}
        assert place.client.post("/api/inference/models/load", json=load).status_code == 200


class TestASlowDisk:
    """Another process holds the database, so that nothing can be stored for a while."""

    @pytest.fixture
    def lock(self, place: Place) -> Iterator[sqlite3.Connection]:
        place.ended(place.submit([[1]]))  # so that there is a database
        lock = sqlite3.connect(place.folder / ".slipstream" / "tasks.db", isolation_level=None)
        yield lock
        lock.close()

    def test_nobody_else_waits_for_it(self, place: Place, lock: sqlite3.Connection) -> None:
        asked = {"model_id": "gated", "data": [[1]]}
        lock.execute("BEGIN IMMEDIATE")
        with ThreadPoolExecutor() as pool, place.server.client() as other:
            submitting = [pool.submit(other.post, PATH, json=asked) for _ in range(5)]
            for _ in range(5):
                assert place.client.post("/api/inference/predict", json=asked).status_code == 200
                assert place.client.get("/api/inference/models/list").status_code == 200
            assert not any(one.done() for one in submitting)  # none is acknowledged before
            lock.execute("ROLLBACK")
            for one in submitting:
                assert one.result().status_code == 202
                place.ended(one.result().json()["task_id"])

    def test_an_end_is_not_told_before_it_is_stored(
        self, place: Place, lock: sqlite3.Connection
    ) -> None:
        task_id = place.hold()
        lock.execute("BEGIN IMMEDIATE")
        place.gate.open()
        assert place.client.post(  # behind it: the model has answered the task
            "/api/inference/predict", json={"model_id": "gated", "data": [[2]]}
        ).json()["predictions"] == [2]
        body = place.get(task_id, wait_ms=200)
        assert (body["status"], body["result"]) == ("running", None)
        lock.execute("ROLLBACK")
        assert place.ended(task_id)["result"]["predictions"] == [0]

    def test_a_disk_that_takes_nothing(self, place: Place, lock: sqlite3.Connection) -> None:
        """A submission is refused in the end; an end that is to be stored waits for the disk."""
        running = place.hold()
        lock.execute("BEGIN IMMEDIATE")
        place.gate.open()
        response = place.client.post(PATH, json={"model_id": "gated", "data": [[1]]})
        assert response.status_code == 503
        assert "cannot be stored" in error_of(response)["message"]
        assert place.get(running)["status"] == "running"
        lock.execute("ROLLBACK")
        assert place.ended(running)["status"] == "completed"
