"""POST /synthesize over HTTP, with a real voice."""

from __future__ import annotations

import base64
import io
import json
import socket
import wave
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
import soundfile

from http_server import Server, core_error_of, eventually, slipstream_server
from slipstream.audio.kinds.samples import read_samples
from speech_models import LISTENER, VOICE, make_piper, real_folder

TEXT = "The quick brown fox jumps over the lazy dog. Does it? Yes, every day."
SENTENCES = ["The quick brown fox jumps over the lazy dog.", "Does it?", "Yes, every day."]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = real_folder(tmp_path_factory.mktemp("speech"))
    make_piper(folder)
    make_piper(folder, "graph").with_name("graph.onnx.json").unlink()
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    settings = {"TTS_MODEL": VOICE, "TTS_MAX_TEXT_CHARS": "3000", "TTS_MAX_CONCURRENT": "2"}
    loads = ("--load", "graph.onnx=graph")
    with slipstream_server("--model-dir", str(folder), *loads, env=settings) as server:
        yield server


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx.Client]:
    with server.client(timeout=60) as client:
        yield client


class TestAudio:
    @pytest.mark.parametrize("kind", ["wav", "flac", "ogg"])
    def test_streamed_and_whole_are_the_same_sound(self, client: httpx.Client, kind: str) -> None:
        asked = {"text": TEXT, "format": kind, "variation": 0}
        streamed = client.post("/synthesize", json=asked)
        whole = client.post("/synthesize", json={**asked, "stream": False})
        for answer in (streamed, whole):
            assert answer.status_code == 200
            assert answer.headers["content-type"] == f"audio/{kind}"
            assert answer.headers["x-sample-rate"] == "22050"
            assert answer.headers["x-sentences"] == "3"
            assert answer.headers["x-model-name"] == VOICE
            assert answer.headers["cache-control"] == "no-store"
            assert float(answer.headers["x-time-to-first-audio-ms"]) > 0
        assert streamed.headers["transfer-encoding"] == "chunked"
        assert int(whole.headers["content-length"]) == len(whole.content)
        one, other = (read_samples(answer.content, 60) for answer in (streamed, whole))
        assert len(one) > 2 * 16_000
        np.testing.assert_allclose(one, other, atol=0.05 if kind == "ogg" else 1e-3)

    def test_it_comes_in_pieces(self, client: httpx.Client) -> None:
        with client.stream("POST", "/synthesize", json={"text": TEXT * 2}) as answer:
            pieces = list(answer.iter_raw())
        assert len(pieces) >= 6  # a sentence each, at least
        assert pieces[0][:4] == b"RIFF"

    def test_programs_read_it(self, client: httpx.Client) -> None:
        data = client.post("/synthesize", json={"text": "Hello."}).content
        samples, rate = soundfile.read(io.BytesIO(data))
        with wave.open(io.BytesIO(data)) as file:
            assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (22_050, 1, 2)
            assert len(file.readframes(10**9)) == 2 * len(samples)
        assert rate == 22_050
        assert np.abs(samples).max() > 0.9

    def test_as_json(self, client: httpx.Client) -> None:
        asked = {"text": TEXT, "variation": 0, "format": "flac"}
        answer = client.post("/synthesize", json=asked, headers={"accept": "application/json"})
        assert answer.status_code == 200
        body = answer.json()
        assert list(body) == [
            *("model_name", "voice", "language", "format", "sample_rate", "duration_s"),
            *("time_to_first_audio_ms", "synthesis_time_ms", "sentences", "audio"),
        ]
        assert (body["model_name"], body["language"], body["format"]) == (VOICE, "en", "flac")
        assert [one["text"] for one in body["sentences"]] == SENTENCES
        assert body["sentences"][0]["start"] == 0
        assert body["sentences"][-1]["end"] == body["duration_s"]
        assert 0 < body["time_to_first_audio_ms"] <= body["synthesis_time_ms"]
        data = base64.b64decode(body["audio"], validate=True)
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            assert (file.format, file.samplerate) == ("FLAC", 22_050)
            assert file.frames == pytest.approx(body["duration_s"] * 22_050, abs=1)

    def test_the_same_audio_without_variation(self, client: httpx.Client) -> None:
        asked = {"text": "Hello there.", "variation": 0}
        assert client.post("/synthesize", json=asked).content == (
            client.post("/synthesize", json=asked).content
        )

    @pytest.mark.parametrize(
        ("accept", "is_json"),
        [
            ("application/json", True),
            ("Application/JSON;q=0.9, text/plain", True),
            ("*/*", False),
            ("audio/*", False),
            ("audio/wav, application/json;q=0.1", False),
        ],
    )
    def test_what_accept_means(self, client: httpx.Client, accept: str, is_json: bool) -> None:
        answer = client.post("/synthesize", json={"text": "Hi."}, headers={"accept": accept})
        kind = answer.headers["content-type"]
        assert kind == ("application/json" if is_json else "audio/wav")

    def test_a_voice_among_several(self, client: httpx.Client) -> None:
        asked = {"text": "Hello.", "model_name": "tiny", "voice": "bert"}
        answer = client.post("/synthesize", json=asked, headers={"accept": "application/json"})
        assert (answer.json()["voice"], answer.json()["sample_rate"]) == ("bert", 8000)
        listed = client.get("/api/inference/models/list").json()["models"]
        assert {"tiny", "graph"} <= {model["model_id"] for model in listed}


class TestRefusals:
    @pytest.mark.parametrize(
        ("body", "status", "said"),
        [
            ({}, 422, "lacks the key 'text'"),
            ({"text": 7}, 422, "'text' is not valid"),
            ({"text": ""}, 422, "nothing that can be spoken"),
            ({"text": "…!?"}, 422, "nothing that can be spoken"),
            ({"text": "a" * 3001}, 422, "3001 characters"),
            ({"text": "a", "format": "mp3"}, 422, "'format' is not valid"),
            ({"text": "a", "speed": 0}, 422, "'speed' is not valid"),
            ({"text": "a", "speed": 1e300}, 422, "'speed' is not valid"),
            ({"text": "a", "language": "fr"}, 422, "speaks en, not 'fr'"),
            ({"text": "a", "voice": "nobody"}, 422, "no voice 'nobody'"),
            ({"text": "a", "model_name": "graph"}, 422, "is no voice"),
            ({"text": "a", "model_name": LISTENER}, 422, "POST /transcribe"),
            ({"text": "a", "model_name": "facebook/bart-large"}, 422, "no audio in it"),
            ({"text": "a", "model_name": "tacotron2"}, 422, "no engine here"),
            ({"text": "a", "model_name": "suno/bark"}, 404, "presets"),
            ({"text": "a", "model_name": "microsoft/speecht5_tts"}, 404, "speecht5_hifigan"),
            ({"text": "a", "model_name": "../../etc/passwd"}, 404, "models/download"),
            ({"text": "a", "model_name": "/etc/passwd"}, 404, "models/download"),
            ({"text": "a", "model_name": "a\0b"}, 422, "NUL"),
        ],
    )
    def test_each(
        self, client: httpx.Client, body: dict[str, object], status: int, said: str
    ) -> None:
        answer = client.post("/synthesize", json=body)
        assert answer.status_code == status
        assert said in core_error_of(answer)["detail"]

    def test_a_model_that_is_not_there(self, client: httpx.Client) -> None:
        answer = client.post("/synthesize", json={"text": "a", "model_name": "nobody"})
        body = core_error_of(answer)
        assert body["error"] == "Model 'nobody' is not available. Check models.json configuration."
        assert body["model_info"] == {"model": "nobody", "available": False}

    @pytest.mark.parametrize(
        "body", [b"", b"{", b"[]", b'{"text": "\xff"}', b'{"text": "\\ud800"}']
    )
    def test_what_is_no_request(self, client: httpx.Client, body: bytes) -> None:
        answer = client.post("/synthesize", content=body)
        assert answer.status_code in (400, 422)
        core_error_of(answer)

    def test_the_method(self, client: httpx.Client) -> None:
        assert client.get("/synthesize").status_code == 405

    def test_any_text_is_answered(self, client: httpx.Client) -> None:
        for text in (
            "日本語のテキスト",
            "привет мир",
            "🎉🎉🎉 1",
            "<b>html</b> & {braces} [[h@l]] \\n %s",
            "a" * 3000,
            "1234567890" * 100,
            "A. " * 900,
            "e\u0301\u200b\u202e abc",
        ):
            answer = client.post(
                "/synthesize", json={"text": text, "model_name": "tiny", "stream": False}
            )
            assert answer.status_code == 200, (text, answer.text)


class TestLife:
    def test_clients_that_hang_up_leave_nothing(self, server: Server, client: httpx.Client) -> None:
        body = json.dumps({"text": "Hello there, this goes on. " * 100}).encode()
        head = b"POST /synthesize HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body)
        for reads in (0, 1000, 0, 40_000):
            with server.connect() as connection:
                connection.sendall(head + body)
                while reads > 0:
                    reads -= len(connection.recv(reads))
                connection.shutdown(socket.SHUT_RDWR)

        def answers_again() -> bool:
            # Two at once are allowed, so this needs both of them to have been given back.
            with (
                client.stream("POST", "/synthesize", json={"text": TEXT}) as one,
                client.stream("POST", "/synthesize", json={"text": TEXT}) as other,
            ):
                return one.status_code == other.status_code == 200

        eventually(answers_again)

    def test_one_more_than_may_be(self, client: httpx.Client) -> None:
        long = {"text": "Hello there, this goes on for a while. " * 50}
        with (
            client.stream("POST", "/synthesize", json=long),
            client.stream("POST", "/synthesize", json=long),
        ):
            answer = client.post("/synthesize", json={"text": "Hi."})
            assert answer.status_code == 503
            assert "TTS_MAX_CONCURRENT" in core_error_of(answer)["detail"]
            assert int(answer.headers["retry-after"]) >= 1

    def test_limits_of_a_model(self, folder: Path) -> None:
        settings = {"MODEL_RATE_LIMITS": "tiny=0.01:2:0"}
        with (
            slipstream_server("--model-dir", str(folder), env=settings) as server,
            server.client(timeout=60) as client,
        ):
            asked = {"text": "Hello.", "model_name": "tiny"}
            statuses = [client.post("/synthesize", json=asked).status_code for _ in range(3)]
            assert statuses == [200, 200, 429]
            # What was refused before it began has not used any of it up.
            metrics = client.get("/metrics").text
            assert 'slipstream_speech_requests_in_progress{kind="synthesis"} 0.0' in metrics

    def test_the_server_ends_while_it_speaks(self, folder: Path) -> None:
        with (
            slipstream_server("--model-dir", str(folder), env={"TTS_MODEL": VOICE}) as server,
            server.client(timeout=60) as client,
        ):
            long = {"text": "Hello there, this goes on for a while. " * 60}
            with client.stream("POST", "/synthesize", json=long) as answer:
                assert answer.status_code == 200
                next(answer.iter_raw())
                assert server.stop() == 0

    def test_nothing_of_it_is_imported_before(self, folder: Path) -> None:
        """A server that never speaks has none of the libraries in memory."""
        with slipstream_server("--model-dir", str(folder)) as server:
            maps = Path(f"/proc/{server.process.pid}/maps").read_text()
            for library in ("sentencex", "soundfile", "sndfile", "ctranslate2", "espeak", "torch"):
                assert library not in maps
            with server.client() as client:
                client.post("/synthesize", json={"text": "Hi.", "model_name": VOICE})
            maps = Path(f"/proc/{server.process.pid}/maps").read_text()
            assert "sentencex" in maps
            for library in ("ctranslate2", "espeak", "torch", "sndfile", "libav"):
                assert library not in maps
