"""A server killed ten times under load: no acknowledged task is lost, each ends once, and right."""

from __future__ import annotations

import contextlib
import json
import random
import signal
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from async_place import PATH
from http_models import fresh_folder, trained
from http_server import Server, eventually, slipstream_server
from model_zoo import zoo
from webhook_receiver import Receiver, receiving

KILLS = 10
CLIENTS = 4
SEED = 20260501

SLOW = """
import time

class Slow:
    def predict(self, rows):
        time.sleep(0.02)
        return rows[:, 0] * 2

ENTRY = Slow
"""


class Load:
    """Clients that submit as fast as they are answered, and remember what was acknowledged."""

    def __init__(
        self, client: httpx.Client, server: Server, receiver: Receiver, number: int
    ) -> None:
        self.acknowledged: dict[str, tuple[str, int, bool]] = {}
        """Task → model, number of the row, whether it has a callback."""
        self.ended: dict[str, Any] = {}
        """What GET said of tasks that had ended."""
        self._client = client
        self._url = server.address + PATH
        self._receiver = receiver
        self._threads = [
            threading.Thread(target=self._run, args=(random.Random(f"{SEED}/{number}/{client}"),))
            for client in range(CLIENTS)
        ]
        for thread in self._threads:
            thread.start()

    def wait_for(self, count: int) -> None:
        """Until so many tasks were acknowledged."""
        eventually(lambda: len(self.acknowledged) >= count)

    def join(self) -> None:
        """Until every client has noticed that the server is gone."""
        for thread in self._threads:
            thread.join()

    def _run(self, chance: random.Random) -> None:
        rows = zoo("random_forest_wine").rows
        client = self._client
        with contextlib.suppress(httpx.TransportError):
            while True:
                model = chance.choice(("wine", "slow"))
                row = chance.randrange(len(rows))
                asked: dict[str, Any] = {
                    "model_id": model,
                    "data": [list(map(float, rows[row]))] if model == "wine" else [[row]],
                    "priority": chance.choice(("low", "normal", "high", "urgent")),
                }
                if chance.random() < 0.3:
                    asked["callback_url"] = self._receiver.url("/crash")
                response = client.post(self._url, json=asked)
                assert response.status_code == 202, response.text
                task_id = response.json()["task_id"]
                self.acknowledged[task_id] = (model, row, "callback_url" in asked)
                looked_at = chance.choice(list(self.acknowledged))
                body = client.get(f"{self._url}/{looked_at}").json()
                if body["status"] not in ("queued", "running"):
                    self.ended[looked_at] = body


def server_of(folder: Path, receiver: Receiver) -> Any:
    loads = [f"{folder}/wine.pkl=wine", f"{folder}/slow.py=slow"]
    return slipstream_server(
        *("--model-dir", str(folder)),
        *(word for load in loads for word in ("--load", load)),
        env={
            "ALLOW_CUSTOM_CODE": "True",
            "CALLBACK_ALLOWED_HOSTS": "127.0.0.1",
            "CALLBACK_RETRY_S": "0.2",
        },
    )


@pytest.mark.timeout(600)
def test_ten_kills(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = fresh_folder(tmp_path_factory, "crash", "wine.pkl")
    (folder / "slow.py").write_text(SLOW)
    right = trained("wine").predict(zoo("random_forest_wine").rows).tolist()
    chance = random.Random(SEED)
    acknowledged: dict[str, tuple[str, int, bool]] = {}
    ended: dict[str, Any] = {}
    with receiving() as receiver:
        with httpx.Client(timeout=60) as client:
            for number in range(KILLS):
                with server_of(folder, receiver) as server:
                    load = Load(client, server, receiver, number)
                    load.wait_for(chance.randrange(10, 150))
                    time.sleep(chance.uniform(0, 0.02))
                    server.process.send_signal(signal.SIGKILL)
                    server.process.wait()
                    load.join()
                acknowledged |= load.acknowledged
                ended |= load.ended
        assert len(acknowledged) >= 10 * KILLS
        assert ended
        with server_of(folder, receiver) as server, server.client() as client:
            for task_id, (model, row, _) in acknowledged.items():
                body = client.get(f"{PATH}/{task_id}?wait_ms=30000").json()
                assert body["status"] == "completed", body
                assert body["result"]["predictions"] == (
                    [right[row]] if model == "wine" else [2.0 * row]
                )
                if task_id in ended:  # what was told once is never told differently
                    before = ended[task_id] | {"callback": None}
                    assert body | {"callback": None} == before
            awaited = {task_id for task_id, (_, _, called) in acknowledged.items() if called}
            assert awaited

            def told() -> set[str]:
                return {json.loads(message.body)["task_id"] for message in receiver.of("/crash")}

            eventually(lambda: awaited <= told())
            eventually(lambda: all(is_delivered(client, task_id) for task_id in awaited))
        for message in receiver.of("/crash"):
            task_id = message.json["task_id"]
            assert message.headers["webhook-id"] == task_id
            assert message.json["status"] == "completed"
            if task_id in acknowledged:  # stored just before a kill, others never were acknowledged
                model, row, _ = acknowledged[task_id]
                expected = right[row] if model == "wine" else 2.0 * row
                assert message.json["result"]["predictions"] == [expected]


def is_delivered(client: httpx.Client, task_id: str) -> bool:
    return bool(client.get(f"{PATH}/{task_id}").json()["callback"]["status"] == "delivered")
