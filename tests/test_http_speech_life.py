"""Processes of speech behind a server: they die, they hang, they end with it."""

from __future__ import annotations

import io
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest
import soundfile

from http_server import Server, clean_environment, core_error_of, eventually, slipstream_server
from speech_models import LISTENER, VOICE, real_folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return real_folder(tmp_path_factory.mktemp("speech"))


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    settings = {"TTS_MODEL": VOICE, "ASR_MODEL": LISTENER}
    with slipstream_server("--model-dir", str(folder), env=settings) as server:
        yield server


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx.Client]:
    with server.client(timeout=120) as client:
        yield client


@pytest.fixture(scope="module")
def speech(client: httpx.Client) -> bytes:
    """A short sentence, as a WAV file."""
    asked = {"text": "Please open the window.", "variation": 0, "stream": False}
    return client.post("/synthesize", json=asked).content


def in_progress(client: httpx.Client) -> float:
    """Files being transcribed."""
    name = 'slipstream_speech_requests_in_progress{kind="transcription"} '
    (row,) = (one for one in client.get("/metrics").text.splitlines() if one.startswith(name))
    return float(row.removeprefix(name))


def listener_of(server: Server) -> psutil.Process:
    children = psutil.Process(server.process.pid).children()
    (found,) = (one for one in children if "faster_whisper" in one.cmdline())
    return found


class TestSupervision:
    def test_a_process_that_dies_costs_one_request(
        self, server: Server, client: httpx.Client, speech: bytes
    ) -> None:
        assert client.post("/transcribe", content=speech).status_code == 200
        process = listener_of(server)
        process.send_signal(signal.SIGSTOP)
        answers: list[httpx.Response] = []

        def ask() -> None:
            with server.client(timeout=120) as mine:
                answers.append(mine.post("/transcribe", content=speech))

        first = threading.Thread(target=ask)
        first.start()
        eventually(lambda: in_progress(client) == 1)
        second = threading.Thread(target=ask)
        second.start()
        process.kill()
        first.join()
        second.join()
        assert sorted(answer.status_code for answer in answers) == [200, 503]
        (failed,) = (answer for answer in answers if answer.status_code == 503)
        assert "signal 9" in core_error_of(failed)["detail"]
        assert client.post("/transcribe", content=speech).status_code == 200

    def test_a_process_that_hangs_is_given_up(self, folder: Path, speech: bytes) -> None:
        settings = {"ASR_MODEL": LISTENER, "SPEECH_TIMEOUT_S": "12"}
        with (
            slipstream_server("--model-dir", str(folder), env=settings) as server,
            server.client(timeout=120) as client,
        ):
            eventually(lambda: client.post("/transcribe", content=speech).status_code == 200)
            process = listener_of(server)
            process.send_signal(signal.SIGSTOP)
            answer = client.post("/transcribe", content=speech)
            assert answer.status_code == 504
            body = core_error_of(answer)
            assert body["error"] == "Request timed out"
            assert body["processing_time"] >= 12
            eventually(lambda: not process.is_running() or process.status() == "zombie")
            eventually(lambda: client.post("/transcribe", content=speech).status_code == 200)

    def test_so_many_may_wait(self, folder: Path, speech: bytes) -> None:
        settings = {"ASR_MODEL": LISTENER, "ASR_MAX_WAITING": "1"}
        with (
            slipstream_server("--model-dir", str(folder), env=settings) as server,
            server.client(timeout=120) as client,
        ):
            assert client.post("/transcribe", content=speech).status_code == 200
            process = listener_of(server)
            process.send_signal(signal.SIGSTOP)
            statuses: list[int] = []

            def ask() -> None:
                with server.client(timeout=120) as mine:
                    statuses.append(mine.post("/transcribe", content=speech).status_code)

            asking = [threading.Thread(target=ask) for _ in range(6)]
            for one in asking:
                one.start()
            eventually(lambda: len(statuses) == 4)
            assert statuses == [503] * 4
            process.send_signal(signal.SIGCONT)
            for one in asking:
                one.join()
            assert sorted(statuses) == [200, 200, 503, 503, 503, 503]

    def test_a_client_that_hangs_up_is_not_waited_for(
        self, server: Server, client: httpx.Client, speech: bytes
    ) -> None:
        samples, rate = soundfile.read(io.BytesIO(speech))
        stream = io.BytesIO()
        soundfile.write(stream, np.tile(samples, 30), rate, format="FLAC")
        long = stream.getvalue()
        head = b"POST /transcribe HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(long)
        for _ in range(3):
            with server.connect() as connection:
                connection.sendall(head + long)
                time.sleep(0.2)
        assert client.post("/transcribe", content=speech).status_code == 200

    def test_no_process_outlives_its_server(self, folder: Path, speech: bytes) -> None:
        settings = {"ASR_MODEL": LISTENER}
        with (
            slipstream_server("--model-dir", str(folder), env=settings) as server,
            server.client(timeout=120) as client,
        ):
            assert client.post("/transcribe", content=speech).status_code == 200
            process = listener_of(server)
            os.kill(server.process.pid, signal.SIGKILL)
            eventually(lambda: not process.is_running() or process.status() == "zombie")

    def test_a_server_without_a_default(self, folder: Path, speech: bytes) -> None:
        with (
            slipstream_server("--model-dir", str(folder)) as server,
            server.client(timeout=120) as client,
        ):
            answer = client.post("/transcribe", content=speech)
            assert answer.status_code == 422
            assert "ASR_MODEL" in core_error_of(answer)["detail"]
            assert client.get("/").json()["tts_support"]["enabled"] is False

    def test_a_default_that_is_not_there(self, folder: Path) -> None:
        settings = {"TTS_MODEL": "nobody"}
        with (
            slipstream_server("--model-dir", str(folder), env=settings) as server,
            server.client(timeout=120) as client,
        ):
            assert client.get("/info").json()["tts_service"]["status"] == "degraded"
            answer = client.post("/synthesize", json={"text": "Hello."})
            assert answer.status_code == 404
            assert core_error_of(answer)["model_info"]["model"] == "nobody"

    def test_packages_that_are_not_installed(
        self, folder: Path, speech: bytes, tmp_path: Path
    ) -> None:
        for name in ("sentencex", "multipart", "faster_whisper"):
            (tmp_path / f"{name}.py").write_text("raise ImportError('hidden by a test')")
        path = os.pathsep.join((str(tmp_path), clean_environment()["PYTHONPATH"]))
        settings = {"ASR_MODEL": LISTENER, "TTS_MODEL": VOICE, "PYTHONPATH": path}
        with (
            slipstream_server("--model-dir", str(folder), env=settings) as server,
            server.client(timeout=120) as client,
        ):
            for answer in (
                client.post("/synthesize", json={"text": "Hello."}),
                client.post("/transcribe", content=speech),
                client.post("/transcribe", files={"file": ("a.wav", speech)}),
            ):
                assert answer.status_code == 422
                body = core_error_of(answer)
                assert body["error_type"] == "MissingDependencyError"
                assert "slipstream[audio]" in body["detail"]
