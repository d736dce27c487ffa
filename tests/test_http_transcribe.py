"""POST /transcribe over HTTP, with a real model, and the way from text to audio and back."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile
from jsonschema import Draft202012Validator

from http_server import Server, core_error_of, eventually, slipstream_server
from speech_models import LISTENER, VOICE, real_folder

SENTENCES = (
    "The quick brown fox jumps over the lazy dog.",
    "Please open the window and close the door.",
    "My sister bought a new bicycle last summer.",
    "The train to the city leaves early in the morning.",
    "We walked along the river until the sun went down.",
    "He wrote a long letter to his old friend.",
    "Water boils faster on top of a high mountain.",
    "The children are playing in the garden behind the house.",
    "She drinks a cup of coffee every day after lunch.",
    "Machines should answer before people notice that they have waited.",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return real_folder(tmp_path_factory.mktemp("speech"))


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    settings = {"TTS_MODEL": VOICE, "ASR_MODEL": LISTENER, "ASR_MAX_AUDIO_S": "60"}
    with slipstream_server("--model-dir", str(folder), env=settings) as server:
        yield server


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx.Client]:
    with server.client(timeout=120) as client:
        yield client


@pytest.fixture(scope="module")
def speech(client: httpx.Client) -> bytes:
    """Two sentences, as a WAV file."""
    asked = {"text": " ".join(SENTENCES[:2]), "variation": 0, "stream": False}
    return client.post("/synthesize", json=asked).content


def words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9']+", text.lower())


def written(samples: Any, rate: int, kind: str, subtype: str | None = None) -> bytes:
    stream = io.BytesIO()
    soundfile.write(stream, samples, rate, format=kind, subtype=subtype)
    return stream.getvalue()


class TestThereAndBack:
    @pytest.mark.parametrize("sentence", SENTENCES)
    def test_the_same_words(self, client: httpx.Client, sentence: str) -> None:
        spoken = client.post("/synthesize", json={"text": sentence, "variation": 0})
        assert spoken.status_code == 200
        heard = client.post("/transcribe", files={"file": ("speech.wav", spoken.content)})
        assert heard.status_code == 200
        assert words(heard.json()["text"]) == words(sentence)


class TestFiles:
    def test_the_answer(self, client: httpx.Client, speech: bytes) -> None:
        answer = client.post("/transcribe", content=speech)
        body = answer.json()
        assert list(body) == [
            *("text", "language", "language_probability", "duration_s", "segments"),
            *("model_name", "transcription_time_ms"),
        ]
        assert words(body["text"]) == words(" ".join(SENTENCES[:2]))
        assert (body["language"], body["model_name"]) == ("en", LISTENER)
        assert body["duration_s"] == pytest.approx((len(speech) - 44) / 2 / 22_050, abs=0.001)
        assert " ".join(one["text"] for one in body["segments"]) == body["text"]
        ends = [0.0]
        for segment in body["segments"]:
            assert list(segment) == ["start", "end", "text"]
            assert ends[-1] <= segment["start"] <= segment["end"] <= body["duration_s"]
            ends.append(segment["end"])

    @pytest.mark.parametrize(
        ("kind", "subtype"),
        [
            ("WAV", "FLOAT"),
            ("WAV", "DOUBLE"),
            ("WAV", "PCM_24"),
            ("WAV", "PCM_U8"),
            ("FLAC", "PCM_16"),
            ("OGG", "VORBIS"),
            ("MP3", None),
        ],
    )
    def test_formats(
        self, client: httpx.Client, speech: bytes, kind: str, subtype: str | None
    ) -> None:
        samples, rate = soundfile.read(io.BytesIO(speech))
        answer = client.post("/transcribe", content=written(samples, rate, kind, subtype))
        assert words(answer.json()["text"]) == words(" ".join(SENTENCES[:2]))

    def test_two_channels_and_another_rate(self, client: httpx.Client, speech: bytes) -> None:
        samples, rate = soundfile.read(io.BytesIO(speech))
        slower = np.interp(np.arange(0, len(samples), rate / 44_100), range(len(samples)), samples)
        both = np.stack([slower, slower * 0.1], axis=1)
        answer = client.post("/transcribe", content=written(both, 44_100, "OGG", "VORBIS"))
        assert words(answer.json()["text"]) == words(" ".join(SENTENCES[:2]))

    @pytest.mark.parametrize("kind", ["flac", "ogg", "wav"])
    def test_what_we_stream_ourselves(self, client: httpx.Client, kind: str) -> None:
        asked = {"text": SENTENCES[0], "variation": 0, "format": kind}
        streamed = client.post("/synthesize", json=asked)
        answer = client.post("/transcribe", content=streamed.content)
        assert words(answer.json()["text"]) == words(SENTENCES[0])

    def test_silence_has_no_words(self, client: httpx.Client) -> None:
        answer = client.post("/transcribe", content=written(np.zeros(80_000), 16_000, "WAV"))
        assert answer.status_code == 200
        assert (answer.json()["text"], answer.json()["segments"]) == ("", [])
        assert answer.json()["duration_s"] == 5.0

    def test_a_form_says_more(self, client: httpx.Client, speech: bytes) -> None:
        answer = client.post(
            "/transcribe?model_name=nobody&language=de",
            files={"file": ("a.bin", speech, "application/octet-stream")},
            data={"model_name": LISTENER, "language": "en-GB", "something": "else"},
        )
        assert answer.json()["language"] == "en"

    def test_a_query_beside_the_file(self, client: httpx.Client, speech: bytes) -> None:
        answer = client.post("/transcribe", params={"language": "de"}, content=speech)
        assert answer.status_code == 422
        assert "not 'de'" in core_error_of(answer)["detail"]
        answer = client.post("/transcribe", params={"model_name": "nobody"}, content=speech)
        assert answer.status_code == 404
        assert core_error_of(answer)["model_info"]["model"] == "nobody"


class TestRefusals:
    @pytest.mark.parametrize(
        ("body", "said"),
        [
            (b"", "empty"),
            (b"{}", "no audio"),
            (b"RIFF\0\0\0\0WAVEjunk", "cannot be read"),
            (b"fLaC" + bytes(200), "cannot be read"),
            (b"OggS" + b"x" * 200, "cannot be read"),
            (b"ID3" + bytes(200), "cannot be read"),
            (b"\xff\xfb" + bytes(2000), "cannot be read"),
        ],
    )
    def test_junk(self, client: httpx.Client, body: bytes, said: str) -> None:
        answer = client.post("/transcribe", content=body)
        assert answer.status_code == 422
        assert said in core_error_of(answer)["detail"]
        for word in ("BytesIO", "pipe", "regular file"):  # of a library, of what we do with it
            assert word not in answer.text

    def test_too_long(self, client: httpx.Client) -> None:
        answer = client.post("/transcribe", content=written(np.zeros(61 * 8000), 8000, "FLAC"))
        assert answer.status_code == 422
        assert core_error_of(answer)["details"]["max_audio_s"] == 60

    @pytest.mark.parametrize(
        ("content_type", "body"),
        [
            ("multipart/form-data", b"--x\r\n\r\n--x--"),
            ("multipart/form-data; boundary=x", b""),
            ("multipart/form-data; boundary=x", b"junk"),
            ("multipart/form-data; boundary=x", b"--x\r\n\r\n\r\n--x--\r\n"),
            (
                "multipart/form-data; boundary=x",
                b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\nRIFF',
            ),
            (
                "multipart/form-data; boundary=x",
                b'--x\r\nContent-Disposition: form-data; name="f"\r\n\r\na\r\n' * 99 + b"--x--",
            ),
            (
                "multipart/form-data; boundary=x",
                b'--x\r\nContent-Disposition: form-data; name="\xff"\r\n\r\na\r\n--x--\r\n',
            ),
        ],
    )
    def test_forms_that_are_none(
        self, client: httpx.Client, content_type: str, body: bytes
    ) -> None:
        answer = client.post("/transcribe", content=body, headers={"content-type": content_type})
        assert answer.status_code == 400
        detail = core_error_of(answer)["detail"]
        assert detail.startswith(("The form has more than", "The body is not", "The Content-Type"))
        assert "codec" not in detail and "(" not in detail
        assert ("UTF-8" in detail) == (b"\xff" in body)

    def test_a_form_without_the_file(self, client: httpx.Client) -> None:
        answer = client.post("/transcribe", files={"sound": ("a.wav", b"RIFF")})
        assert answer.status_code == 422
        assert "lacks the field 'file'" in core_error_of(answer)["detail"]

    def test_what_does_not_transcribe(self, client: httpx.Client, speech: bytes) -> None:
        answer = client.post("/transcribe", params={"model_name": VOICE}, content=speech)
        assert answer.status_code == 422

    def test_a_compressed_body(self, client: httpx.Client, speech: bytes) -> None:
        answer = client.post("/transcribe", content=speech, headers={"content-encoding": "gzip"})
        assert answer.status_code == 415

    def test_damage_of_every_kind(self, client: httpx.Client, speech: bytes) -> None:
        samples, rate = soundfile.read(io.BytesIO(speech))
        rng = np.random.default_rng(11)
        for kind in ("WAV", "FLAC", "OGG", "MP3"):
            data = written(samples[: rate // 2], rate, kind)
            for _ in range(6):
                broken = bytearray(data)
                for place in rng.integers(0, len(data), 1 + len(data) // 500):
                    broken[place] = rng.integers(256)
                answer = client.post("/transcribe", content=bytes(broken))
                assert answer.status_code in (200, 422), answer.text


class TestFigures:
    def test_what_the_server_says_of_speech(self, client: httpx.Client, speech: bytes) -> None:
        def metrics() -> dict[str, float]:
            rows = client.get("/metrics").text.splitlines()
            found = (row.rpartition(" ") for row in rows if row.startswith("slipstream_speech"))
            return {name: float(value) for name, _, value in found}

        before = metrics()
        assert client.post("/transcribe", content=speech).status_code == 200
        assert client.post("/transcribe", content=b"fLaC" + bytes(99)).status_code == 422
        answer = client.post(
            "/synthesize", json={"text": "Hello."}, headers={"accept": "application/json"}
        ).json()
        grown = {name: value - before[name] for name, value in metrics().items()}
        ended = "slipstream_speech_requests_total"
        assert grown[f'{ended}{{kind="transcription",outcome="completed"}}'] == 1
        assert grown[f'{ended}{{kind="transcription",outcome="failed"}}'] == 1
        assert grown[f'{ended}{{kind="synthesis",outcome="completed"}}'] == 1
        made_s = grown['slipstream_speech_audio_seconds_total{kind="synthesis"}']
        assert made_s == pytest.approx(answer["duration_s"], abs=1e-4)
        took_s = grown['slipstream_speech_seconds_total{kind="synthesis"}']
        assert took_s == pytest.approx(answer["synthesis_time_ms"] / 1e3, abs=1e-4)
        for kind in ("synthesis", "transcription"):
            assert metrics()[f'slipstream_speech_requests_in_progress{{kind="{kind}"}}'] == 0

    def test_answers_fit_the_document(self, client: httpx.Client, speech: bytes) -> None:
        document = client.get("/openapi.json").json()
        asked = {"text": "Hello."}
        as_json = {"accept": "application/json"}
        for path, answer in (
            ("/synthesize", client.post("/synthesize", json=asked, headers=as_json)),
            ("/transcribe", client.post("/transcribe", content=speech)),
        ):
            described = document["paths"][path]["post"]
            (schema,) = (
                one["schema"]
                for kind, one in described["responses"]["200"]["content"].items()
                if kind == answer.headers["content-type"]
            )
            Draft202012Validator({**schema, "components": document["components"]}).validate(
                answer.json()
            )
        audio = document["paths"]["/synthesize"]["post"]["responses"]["200"]["content"]
        assert {"audio/wav", "audio/flac", "audio/ogg"} <= set(audio)
        body = document["paths"]["/transcribe"]["post"]["requestBody"]["content"]
        assert {"multipart/form-data", "audio/wav", "audio/mpeg"} <= set(body)

    def test_info(self, client: httpx.Client) -> None:
        client.post("/synthesize", json={"text": "Hello."})

        def service() -> dict[str, Any]:
            found: dict[str, Any] = client.get("/info").json()
            return found

        eventually(lambda: service()["tts_service"]["loaded_tts_models"] == [VOICE])
        told = service()
        assert told["tts_service"]["status"] == "healthy"
        assert told["tts_service"]["available_voices"] == ["default"]
        assert told["tts_service"]["supported_languages"] == ["en"]
        assert told["tts_service"]["capabilities"] == {
            "text_to_speech": True,
            "voice_cloning": False,
            "emotion_synthesis": False,
            "real_time": told["tts_service"]["capabilities"]["real_time"],
        }
        metrics = told["performance_metrics"]["tts_metrics"]
        assert metrics["tts_models_loaded"] == 1
        assert metrics["synthesis_requests_total"] >= 1
        assert metrics["avg_synthesis_time_ms"] > 0
        assert told["server_config"]["tts_backend"] == "onnx"
        support = client.get("/").json()["tts_support"]
        assert support["enabled"] is True
        assert support["supported_models"] == ["microsoft/speecht5_tts", "suno/bark"]


def events_of(text: str) -> list[tuple[str, Any]]:
    found = re.findall(r"event: (\w+)\ndata: (.*)\n\n", text)
    return [(name, json.loads(data)) for name, data in found]


class TestEvents:
    def test_segments_as_they_are_found(self, client: httpx.Client, speech: bytes) -> None:
        accept = {"accept": "text/event-stream"}
        answer = client.post("/transcribe", content=speech, headers=accept)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/event-stream"
        events = events_of(answer.text)
        names = [name for name, _ in events]
        assert names == ["head", *["segment"] * (len(events) - 2), "done"]
        assert list(events[0][1]) == [
            "language",
            "language_probability",
            "duration_s",
            "model_name",
        ]
        done = events[-1][1]
        assert [segment for name, segment in events if name == "segment"] == done["segments"]
        assert words(done["text"]) == words(" ".join(SENTENCES[:2]))

    def test_a_refusal_has_its_status(self, client: httpx.Client) -> None:
        accept = {"accept": "text/event-stream"}
        answer = client.post("/transcribe", content=b"fLaC" + bytes(99), headers=accept)
        assert answer.status_code == 422
        core_error_of(answer)
