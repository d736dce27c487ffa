"""Async predictions over HTTP: what is refused, what is kept, what a restart takes up."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest

from async_place import PATH, Place, places
from http_models import Gate, fresh_folder
from http_server import error_of, eventually, slipstream_server


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    for place in places(
        tmp_path_factory,
        "async-limits",
        ASYNC_MAX_BACKLOG="3",
        ASYNC_MAX_BACKLOG_BYTES="200",
        ASYNC_RESULT_TTL_S="2",
        ASYNC_MAX_RESULTS="10",
        REQUIRE_API_KEY="True",
        API_KEYS="key",
    ):
        place.client.headers["x-api-key"] = "key"
        yield place


class TestLimits:
    def refused(self, place: Place, rows: Any) -> dict[str, Any]:
        response = place.client.post(PATH, json={"model_id": "gated", "data": rows})
        assert response.status_code == 429
        assert int(response.headers["retry-after"]) >= 1
        body = error_of(response)
        assert body["error"] == "BacklogFullError"
        return body

    def test_a_key_is_needed(self, place: Place) -> None:
        with place.server.client() as stranger:
            for method, path in (("POST", PATH), ("GET", f"{PATH}/x"), ("DELETE", f"{PATH}/x")):
                assert stranger.request(method, path).status_code == 401

    def test_a_full_backlog(self, place: Place) -> None:
        tasks = [place.hold(), place.submit([[1]]), place.submit([[2]])]
        assert "ASYNC_MAX_BACKLOG)" in self.refused(place, [[3]])["message"]
        place.client.delete(f"{PATH}/{tasks[1]}")
        tasks.append(place.submit([[4]]))
        place.gate.open()
        for task_id in tasks:
            place.ended(task_id)

    def test_a_backlog_of_too_many_bytes(self, place: Place) -> None:
        first = place.hold()
        long = [[1] * 200]
        assert "ASYNC_MAX_BACKLOG_BYTES" in self.refused(place, long)["message"]
        place.gate.open()
        place.ended(first)
        place.ended(place.submit(long))  # one alone is never too large

    def test_results_are_kept_for_their_time(self, place: Place) -> None:
        tasks = []
        while len(tasks) < 20:
            response = place.client.post(PATH, json={"model_id": "gated", "data": [[1]]})
            if response.status_code == 429:
                break
            tasks.append(response.json()["task_id"])
            place.ended(tasks[-1])
        else:
            pytest.fail("more results are kept than ASYNC_MAX_RESULTS says")
        assert len(tasks) <= 10

        def is_gone() -> bool:
            return place.client.get(f"{PATH}/{tasks[-1]}").status_code == 404

        assert not is_gone()
        eventually(is_gone)
        eventually(
            lambda: place.client.post(
                PATH, json={"model_id": "gated", "data": [[1]]}
            ).status_code == 202
        )  # fmt: skip
        with sqlite3.connect(place.folder / ".slipstream" / "tasks.db") as connection:
            eventually(
                lambda: connection.execute(
                    "SELECT count(*) FROM tasks WHERE task_id = ?", (tasks[-1],)
                ).fetchone() == (0,)
            )  # fmt: skip


class TestShutdown:
    def test_what_is_left_is_run_by_the_next_server(
        self, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        folder = fresh_folder(tmp_path_factory, "async-stop")
        gate = Gate(folder, "gated")
        arguments = ("--model-dir", str(folder), "--load", f"{folder}/gated.py=gated")
        env = {"ALLOW_CUSTOM_CODE": "True", "DRAIN_TIMEOUT_S": "0.5", "ASYNC_MAX_RUNNING": "1"}
        with slipstream_server(*arguments, env=env) as server:
            place = Place(server, gate, folder)
            tasks = [place.hold(), *(place.submit([[value]]) for value in (1, 2, 3))]
            cancelled = place.client.delete(f"{PATH}/{tasks[2]}").json()
            assert server.stop() == 0
        gate.open()
        with slipstream_server(*arguments, env=env) as server:
            place = Place(server, gate, folder)
            assert [place.ended(task_id)["status"] for task_id in tasks] == [
                "completed", "completed", "cancelled", "completed",
            ]  # fmt: skip
            assert place.get(tasks[2]) == cancelled
            assert "2" not in map(str, gate.ran)

    def test_tasks_of_a_model_that_is_not_loaded_any_more(
        self, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        folder = fresh_folder(tmp_path_factory, "async-gone")
        gate = Gate(folder, "gated")
        env = {"ALLOW_CUSTOM_CODE": "True", "DRAIN_TIMEOUT_S": "0.2", "ASYNC_MAX_RUNNING": "1"}
        arguments = ("--model-dir", str(folder))
        with slipstream_server(*arguments, "--load", f"{folder}/gated.py=gated", env=env) as server:
            place = Place(server, gate, folder)
            place.hold()
            task_id = place.submit([[1]])
            server.stop()
        gate.open()
        with slipstream_server(*arguments, env=env) as server:
            body = Place(server, gate, folder).ended(task_id)
            assert (body["status"], body["error"]["error"]) == ("failed", "ModelNotFoundError")
            assert body["model_id"] == "gated"


class TestTwoServers:
    def test_tasks_belong_to_one_at_a_time(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        folder = fresh_folder(tmp_path_factory, "async-two")
        gate = Gate(folder, "gated")
        env = {"ALLOW_CUSTOM_CODE": "True", "DRAIN_TIMEOUT_S": "0.2", "ASYNC_MAX_RUNNING": "1"}
        arguments = ("--model-dir", str(folder), "--load", f"{folder}/gated.py=gated")
        asked = {"model_id": "gated", "data": [[1]]}
        with slipstream_server(*arguments, env=env) as first:
            place = Place(first, gate, folder)
            tasks = [place.hold(), place.submit([[1]])]
            with slipstream_server(*arguments, env=env) as second:
                with second.client() as client:
                    response = client.post(PATH, json=asked)
                    assert response.status_code == 503
                    assert "STATE_DIR" in error_of(response)["message"]
                    assert client.post("/api/inference/predict", json=asked).status_code == 200
                first.stop()
                gate.open()
                place = Place(second, gate, folder)
                for task_id in tasks:  # it takes over what the first one left

                    def is_completed(task_id: str = task_id) -> bool:
                        return place.get(task_id)["status"] == "completed"

                    eventually(is_completed)
                place.ended(place.submit([[2]]))


DEADLY = """
import os

class Deadly:
    def predict(self, rows):
        if rows[0, 0] == 666:
            os._exit(1)
        return rows[:, 0]

ENTRY = Deadly
"""


class TestPoison:
    def test_a_task_under_which_its_model_dies(
        self, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        folder = fresh_folder(tmp_path_factory, "async-deadly")
        (folder / "deadly.py").write_text(DEADLY)
        arguments = ("--model-dir", str(folder), "--load", f"{folder}/deadly.py=deadly")
        with slipstream_server(*arguments, env={"ALLOW_CUSTOM_CODE": "True"}) as server:
            place = Place(server, Gate(folder, "unused"), folder)
            bad = place.submit([[666]], "deadly")
            good = [place.submit([[value]], "deadly") for value in range(5)]
            body = place.ended(bad)
            assert (body["status"], body["result"]) == ("failed", None)
            assert body["error"]["error"] == "UnavailableError"
            for value, task_id in enumerate(good):
                assert place.ended(task_id)["result"]["predictions"] == [value]

    def test_a_task_under_which_servers_die(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        """Counted over restarts; after so many it is given up, and the server lives."""
        folder = fresh_folder(tmp_path_factory, "async-poison")
        gate = Gate(folder, "gated")
        env = {"ALLOW_CUSTOM_CODE": "True", "ASYNC_MAX_RUNNING": "1"}
        arguments = ("--model-dir", str(folder), "--load", f"{folder}/gated.py=gated")
        database = folder / ".slipstream" / "tasks.db"

        def starts(task_id: str) -> int:
            with sqlite3.connect(database) as connection:
                query = "SELECT starts FROM tasks WHERE task_id = ?"
                return int(connection.execute(query, (task_id,)).fetchone()[0])

        with slipstream_server(*arguments, env=env) as server:
            place = Place(server, gate, folder)
            task_id, waiting = place.hold(), place.submit([[5]])
            eventually(lambda: starts(task_id) == 1)
            server.process.kill()
            server.process.wait()
        (gate.folder / "journal").write_text("")
        with slipstream_server(*arguments, env=env) as server:
            eventually(lambda: gate.ran != [])
            assert starts(task_id) == 2  # stored before it was started again
            server.process.kill()
            server.process.wait()
        (gate.folder / "journal").write_text("")
        with sqlite3.connect(database) as connection:
            connection.execute("UPDATE tasks SET starts = 16 WHERE task_id = ?", (task_id,))
        connection.close()
        with slipstream_server(*arguments, env=env) as server:
            place = Place(server, gate, folder)
            body = place.ended(task_id)
            assert body["status"] == "failed"
            assert "The server ended 16 times" in body["error"]["message"]
            assert place.ended(waiting)["result"]["predictions"] == [5]
            assert gate.ran == [5]
