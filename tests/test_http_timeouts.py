"""A request's timeout ends it in the documented format, whatever the model is doing then.

Nothing here measures time: the model is held until the answer has come, so an answer at all shows
that it did not wait for the model. `python -m bench timeouts` measures how late they come.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import httpx
import msgspec
import pytest

from http_models import Gate, fresh_folder
from http_server import Server, error_of, eventually, slipstream_server

BASE = "/api/inference"


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Gate:
    return Gate(fresh_folder(tmp_path_factory, "timeouts"), "held")


@pytest.fixture(scope="module")
def server(gate: Gate) -> Iterator[Server]:
    arguments = ("--model-dir", str(gate.file.parent), "--load", "held.py=held")
    with slipstream_server(*arguments, env={"ALLOW_CUSTOM_CODE": "True"}) as server:
        yield server


@pytest.fixture
def held(server: Server, gate: Gate) -> Iterator[Future[httpx.Response]]:
    """A request that the model is busy with until the test ends."""
    gate.close()
    with ThreadPoolExecutor(1) as pool:
        busy = pool.submit(
            httpx.post, f"{server.address}{BASE}/predict", json={"data": [[0.0]]}, timeout=60
        )
        try:
            eventually(lambda: gate.ran == [0])
            yield busy
        finally:
            gate.open()
        assert busy.result().status_code == 200


def ask(server: Server, path: str, way: str, **body: Any) -> httpx.Response:
    """One request by the express way (plain JSON) or by the general one (MessagePack)."""
    headers = {"accept": "application/json"}
    if way == "general":
        headers["content-type"] = "application/msgpack"
    encode = msgspec.msgpack.encode if way == "general" else msgspec.json.encode
    url = f"{server.address}{BASE}{path}"
    return httpx.post(url, content=encode(body), headers=headers, timeout=60)


WAYS = pytest.mark.parametrize("way", ["express", "general"])
PATHS = pytest.mark.parametrize("path", ["/predict", "/predict/batch"])


@WAYS
@PATHS
class TestPredict:
    def test_while_it_waits(
        self, server: Server, gate: Gate, held: Future[httpx.Response], path: str, way: str
    ) -> None:
        response = ask(server, path, way, data=[[5.0]], timeout_ms=50)
        assert response.status_code in (503, 504), "late, or refused because it would be"
        expected = {503: "QueueFullError", 504: "DeadlineExceededError"}
        assert error_of(response)["error"] == expected[response.status_code]
        assert not held.done(), "the answer did not wait for the model"
        assert gate.ran == [0], "it never ran"

    def test_while_it_runs(self, server: Server, gate: Gate, path: str, way: str) -> None:
        gate.close()
        try:
            response = ask(server, path, way, data=[[0.0]], timeout_ms=300)
            ran = gate.ran
        finally:
            gate.open()
        assert response.status_code in (503, 504)
        assert error_of(response)["error"] in ("DeadlineExceededError", "QueueFullError")
        assert response.status_code == 503 or ran == [0], "the model was at it"
        eventually(lambda: ask(server, path, way, data=[[9.0]]).status_code == 200)

    def test_it_ends_with_room_to_spare(self, server: Server, path: str, way: str) -> None:
        assert ask(server, path, way, data=[[9.0]], timeout_ms=60_000).status_code == 200


class TestMultiBatch:
    @staticmethod
    def errors(response: httpx.Response) -> list[str | None]:
        assert response.status_code == 200
        results = response.json()["results"]
        return [one["error"]["error"] if "error" in one else None for one in results]

    def test_the_batch(self, server: Server, gate: Gate, held: Future[httpx.Response]) -> None:
        entries = [{"data": [[5.0]]}, {"data": [[6.0]], "timeout_ms": 60_000}]
        response = ask(
            server, "/predict/multi-batch", "express", requests=entries, batch_timeout_ms=50
        )
        assert set(self.errors(response)) <= {"DeadlineExceededError", "QueueFullError"}
        assert response.json()["failed_requests"] == 2
        assert not held.done()
        assert gate.ran == [0]

    def test_one_entry(self, server: Server, gate: Gate) -> None:
        entries = [{"data": [[5.0]]}, {"data": [[6.0]], "timeout_ms": 1e-6}]
        response = ask(server, "/predict/multi-batch", "express", requests=entries)
        assert self.errors(response) == [None, "DeadlineExceededError"]
