"""The life of a server with models: what it starts with, how it feels, and how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from http_models import Gate, canary_of, fresh_folder, json_rows, model_folder, rows_of
from http_server import (
    Server,
    clean_environment,
    error_of,
    eventually,
    read_response,
    slipstream_server,
)

PREDICT = "/api/inference/predict"
HEALTH = "/api/inference/health"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fresh_folder(tmp_path_factory, "http-life", "wine.pkl", "pair.onnx", "sizes.py")


@pytest.fixture(scope="module")
def gate(folder: Path) -> Gate:
    return Gate(folder, "gate")


@pytest.fixture
def gated(folder: Path, gate: Gate) -> Iterator[Server]:
    """A server whose only model waits at a closed gate."""
    arguments = ("--model-dir", str(folder), "--load", "gate.py=gate")
    env = {
        "ALLOW_CUSTOM_CODE": "True",
        "DRAIN_TIMEOUT_S": "20",
        "MAX_CONCURRENT_REQUESTS": "4",
    }
    with slipstream_server(*arguments, env=env) as server:
        gate.close()
        yield server
        gate.open()


def ask(server: Server, value: float) -> httpx.Response:
    with server.client() as client:
        return client.post(PREDICT, json={"data": [[value]]})


def wait_until_full(server: Server) -> None:
    """Returns when as many requests are in progress as the server admits."""
    with server.client() as client:
        eventually(lambda: client.get("/api/inference/models/list").status_code == 503)


class TestHealth:
    def test_the_answer(self, gated: Server) -> None:
        with gated.client() as client:
            response = client.get(HEALTH)
        assert response.status_code == 200
        body = response.json()
        assert list(body) == ["status", "timestamp", "checks", "uptime", "version"]
        assert body["status"] == "healthy"
        assert body["checks"] == {
            "engine_status": "healthy",
            "memory_usage": "healthy",
            "model_loading": "healthy",
            "inference_performance": "healthy",
        }
        assert re.fullmatch(r"\d+h \d+m \d+s", body["uptime"])
        assert re.fullmatch(r"\d+\.\d+\.\d+.*", body["version"])

    def test_a_server_that_ends_is_unhealthy(self, gated: Server, gate: Gate) -> None:
        """Asked on a connection that was there before: new ones are not accepted any more."""
        with gated.connect() as connection, ThreadPoolExecutor(1) as pool:
            connection.sendall(
                b"GET %b HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n" % HEALTH.encode()
            )
            waiting = pool.submit(ask, gated, 0)
            eventually(lambda: gate.ran == [0])
            gated.process.send_signal(signal.SIGTERM)
            eventually(lambda: "finishing" in gated.log)
            connection.sendall(b" ")
            status, _, body = read_response(connection)
            gate.open()
            assert waiting.result().status_code == 200
        assert status == 503
        health = json.loads(body)
        assert health["status"] == health["checks"]["engine_status"] == "unhealthy"


class TestTheEnd:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_everything_accepted_is_answered(self, gated: Server, gate: Gate, number: int) -> None:
        with ThreadPoolExecutor(5) as pool:
            waiting = [pool.submit(ask, gated, 0)]
            eventually(lambda: gate.ran == [0])
            waiting += [pool.submit(ask, gated, value) for value in (1, 2, 3)]
            wait_until_full(gated)
            gated.process.send_signal(number)
            eventually(lambda: "finishing" in gated.log)
            with pytest.raises(httpx.TransportError):
                eventually(lambda: ask(gated, 9).status_code == 0)
            gate.open()
            assert [one.result().json()["predictions"] for one in waiting] == [[0], [1], [2], [3]]
        assert gated.process.wait(30) == 0
        assert gated.log.endswith("slipstream stopped\n")

    def test_under_load(self, folder: Path) -> None:
        """Whatever got an answer got the right one, until there was no server any more."""
        request = {"data": json_rows(rows_of("wine", 1))}
        ending = threading.Event()
        started = threading.Barrier(9)

        def load(server: Server) -> int:
            count = 0
            with server.client() as client:
                while True:
                    try:
                        response = client.post(PREDICT, json=request)
                    except httpx.TransportError:
                        assert ending.is_set()
                        return count
                    assert response.status_code == 200
                    count += 1
                    if count == 5:
                        started.wait(30)

        arguments = ("--model-dir", str(folder), "--load", "wine.pkl")
        with slipstream_server(*arguments) as server, ThreadPoolExecutor(8) as pool:
            loading = [pool.submit(load, server) for _ in range(8)]
            started.wait(30)
            ending.set()
            assert server.stop() == 0
            assert all(one.result() >= 5 for one in loading)

    def test_what_does_not_end_in_time_is_answered_503(self, folder: Path, gate: Gate) -> None:
        arguments = ("--model-dir", str(folder), "--load", "gate.py=gate")
        env = {
            "ALLOW_CUSTOM_CODE": "True",
            "DRAIN_TIMEOUT_S": "0.3",
            "MAX_CONCURRENT_REQUESTS": "2",
        }
        with slipstream_server(*arguments, env=env) as server, ThreadPoolExecutor(2) as pool:
            gate.close()
            running = pool.submit(ask, server, 0)
            eventually(lambda: gate.ran == [0])
            queued = pool.submit(ask, server, 1)
            wait_until_full(server)
            assert server.stop() == 0
            for one in (running, queued):
                assert one.result().status_code == 503
                error = error_of(one.result())
                assert error["error"] == "UnavailableError"
                assert "shutting down" in error["message"]
            eventually(lambda: not is_alive(gate.worker))
            gate.open()
            assert gate.ran == [0]

    def test_a_load_does_not_hold_it_up(self, folder: Path) -> None:
        gate = Gate(folder, "slow-to-load")
        gate.close()
        env = {"ALLOW_CUSTOM_CODE": "True", "DRAIN_TIMEOUT_S": "0.3"}
        with (
            slipstream_server("--model-dir", str(folder), env=env) as server,
            server.client() as client,
            ThreadPoolExecutor(1) as pool,
        ):
            path, body = "/api/inference/models/load", {"model_path": "slow-to-load.py"}
            loading = pool.submit(client.post, path, json=body)
            eventually(lambda: len(gate.ran) > 0)
            assert server.stop() == 0
            assert loading.result().status_code == 503
            assert "shutting down" in error_of(loading.result())["message"]
            eventually(lambda: not is_alive(gate.worker))

    def test_a_signal_during_the_start(self, folder: Path) -> None:
        gate = Gate(folder, "slow-to-start")
        gate.close()
        with start(folder, "--load", "slow-to-start.py", env={"ALLOW_CUSTOM_CODE": "1"}) as process:
            eventually(lambda: len(gate.ran) > 0)
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        eventually(lambda: not is_alive(gate.worker))


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (ProcessLookupError, FileNotFoundError):
        return False


def start(
    folder: Path, *arguments: str, env: dict[str, str] | None = None
) -> subprocess.Popen[str]:
    """``slipstream serve`` that is not expected to become ready."""
    return subprocess.Popen(
        [
            sys.executable,
            *("-m", "slipstream.cli.main", "serve", "--port", "0"),
            *("--model-dir", str(folder)),
            *arguments,
        ],
        env={**clean_environment(), **(env or {})},
        stderr=subprocess.PIPE,
        text=True,
    )


def failed_start(folder: Path, *arguments: str) -> tuple[int, str]:
    """Exit status and last line of a server that cannot start."""
    with start(folder, *arguments) as process:
        _, complaint = process.communicate(timeout=120)
    assert "Traceback" not in complaint
    assert complaint.count("slipstream: error:") == 1
    return process.returncode, complaint.splitlines()[-1]


class TestTheStart:
    @pytest.mark.parametrize(
        ("load", "says"),
        [
            ("absent.onnx", "no model file"),
            ("junk.pkl", "junk.pkl is no model"),
            ("hostile.pkl=x", "system"),
            ("../outside.pkl", "MODEL_DIR"),
            ("wine.pkl=a b", "model_id"),
        ],
    )
    def test_a_model_that_does_not_load_ends_it(
        self, tmp_path_factory: pytest.TempPathFactory, load: str, says: str
    ) -> None:
        folder = model_folder(tmp_path_factory)
        status, line = failed_start(folder, "--load", "pair.onnx", "--load", load)
        assert status == 1
        assert line.startswith(f"slipstream: error: --load {load.partition('=')[0]}: ")
        assert says in line
        assert not canary_of(folder).exists()

    def test_one_file_under_two_ids(self, folder: Path) -> None:
        status, line = failed_start(folder, "--load", "pair.onnx=a", "--load", "pair.onnx=b")
        assert status == 1
        assert "--load pair.onnx: " in line
        assert "already" in line or "taken" in line


class TestTheList:
    """``models.json`` in the model directory."""

    @pytest.fixture
    def listed(self, folder: Path) -> Iterator[Path]:
        file = folder / "models.json"
        yield file
        file.unlink()

    def listing(self, models: Sequence[dict[str, object]]) -> str:
        return json.dumps({"models": models})

    def test_it_is_loaded(self, folder: Path, listed: Path) -> None:
        listed.write_text(
            self.listing(
                [
                    {"model_id": "pairs", "model_path": "pair.onnx", "model_type": "onnx"},
                    {"model_id": "w", "model_path": "wine.pkl", "compile_model": False},
                ]
            )
        )
        arguments = ("--model-dir", str(folder), "--load", "wine.pkl=w")
        with slipstream_server(*arguments) as server, server.client() as client:
            models = client.get("/api/inference/models/list").json()["models"]
            assert {model["model_id"]: model["compiled"] for model in models} == {
                "w": True,  # what was asked for beats what is listed
                "pairs": True,
            }
            assert client.get(HEALTH).json()["status"] == "healthy"

    def test_one_that_does_not_load_degrades_health(self, folder: Path, listed: Path) -> None:
        listed.write_text(self.listing([{"model_path": "absent.pkl"}, {"model_path": "pair.onnx"}]))
        with slipstream_server("--model-dir", str(folder)) as server, server.client() as client:
            assert client.get("/api/inference/models/list").json()["total_models"] == 1
            response = client.get(HEALTH)
            assert response.status_code == 200
            body = response.json()
            assert body["status"] == body["checks"]["model_loading"] == "degraded"
            assert "absent.pkl is not served" in server.log

    @pytest.mark.parametrize(
        "text",
        ["", "{", "[]", '{"models": {}}', '{"models": [{}]}', '{"models": [{"path": "x"}]}', "\0"],
    )
    def test_one_that_cannot_be_read_ends_the_start(
        self, folder: Path, listed: Path, text: str
    ) -> None:
        listed.write_text(text)
        status, line = failed_start(folder)
        assert status == 2
        assert "models.json" in line
