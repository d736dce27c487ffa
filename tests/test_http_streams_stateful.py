"""Models with states over HTTP: voice activity, chunk by chunk, against one pass over it all.

The model is Silero VAD. Most of the audio is generated: hum, silence, and a voice; the twins hear
a recording.
Its makers ship the network for one chunk at a time (``silero_vad.onnx``, whose state is one tensor,
and ``silero_vad.jit``, which changes its own attributes), and for a whole recording
(``silero_vad_16k_sequence.onnx``, whose states are two).
"""

from __future__ import annotations

import json
import random
import shutil
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest
import scipy.signal

from http_server import Server, error_of, slipstream_server
from real_models import SILERO, package_file
from stream_client import START, Open
from test_engine_stateful import silero_files, write_sum

RATE, CHUNK, CONTEXT = 16_000, 512, 64
MODELS = "/api/inference/models"
PREDICT = "/api/inference/predict"
BESIDE = {
    "silero_vad": SILERO,
    "silero_vad_16k_sequence": '[states.h]\noutput = "hn"\n\n[states.c]\noutput = "cn"\n',
}
SCRIPT_TOML = '[inputs.x]\nshape = ["rows", 512]\n\n[constants]\nsr = 16000\n'
TOLERANCE = 1e-6
TWINS_TOLERANCE = 1e-5
"""Between the network in TorchScript and in ONNX."""


VOWELS = (  # formants in Hz: ah, ee, oo, eh, er
    (730, 1090, 2440),
    (270, 2290, 3010),
    (300, 870, 2240),
    (530, 1840, 2480),
    (570, 840, 2410),
)


def voice(seconds: float, pitch_hz: float = 140.0, syllable_s: float = 0.2) -> Any:
    """Syllables: pulses of a throat through the resonances of a mouth (a formant synthesizer)."""
    time = np.arange(round(seconds * RATE)) / RATE
    phase = np.cumsum(pitch_hz * (1 + 0.05 * np.sin(2 * np.pi * 3 * time))) / RATE
    pulses = np.diff(np.floor(phase), prepend=0.0)
    sound = np.zeros_like(pulses)
    length = round(syllable_s * RATE)
    for number, start in enumerate(range(0, time.size, length)):
        part = pulses[start : start + length]
        for formant_hz, width_hz in zip(VOWELS[number % 5], (60, 90, 120), strict=True):
            radius = np.exp(-np.pi * width_hz / RATE)
            turn = 2 * np.pi * formant_hz / RATE
            part = scipy.signal.lfilter([1], [1, -2 * radius * np.cos(turn), radius**2], part)
        sound[start : start + length] = part * np.hanning(part.size) ** 0.25
    return 0.5 * sound / np.abs(sound).max()


def audio() -> npt.NDArray[np.float32]:
    """A second of hum, one of near silence, two of a voice."""
    time = np.arange(RATE) / RATE
    hum = 0.05 * np.sin(2 * np.pi * 100 * time)
    sound = np.concatenate([hum, np.zeros(RATE), voice(2.0)])
    noise = np.random.default_rng(3).normal(scale=0.002, size=sound.size)
    return (sound + noise).astype(np.float32)


def recording() -> npt.NDArray[np.float32]:
    """Half a minute of a telephone call: nobody speaks for six seconds, then two people do."""
    with wave.open(str(package_file("pyannote.audio", "sample", "sample.wav"))) as file:
        assert (file.getframerate(), file.getsampwidth(), file.getnchannels()) == (RATE, 2, 1)
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    return (samples / 32768).astype(np.float32)


def chunks(sound: npt.NDArray[np.float32] | None = None) -> npt.NDArray[np.float32]:
    """As the model wants them: each chunk with the end of the one before, ``(count, 576)``."""
    sound = audio() if sound is None else sound
    padded = np.concatenate([np.zeros(CONTEXT, np.float32), sound])
    starts = range(0, sound.size - CHUNK + 1, CHUNK)
    return np.stack([padded[start : start + CONTEXT + CHUNK] for start in starts])


def session(file: Path) -> Any:
    return onnxruntime.InferenceSession(str(file))


def one_by_one(file: Path) -> npt.NDArray[np.float32]:
    """What onnxruntime itself makes of the chunks, with the state carried by hand."""
    state: Any = np.zeros((2, 1, 128), np.float32)
    found, network = [], session(file)
    for chunk in chunks():
        inputs = {"input": chunk[None], "state": state, "sr": np.array(RATE)}
        output, state = network.run(None, inputs)
        found.append(output[0, 0])
    return np.array(found)


def in_one_pass(file: Path) -> npt.NDArray[np.float32]:
    """The same of the network that takes the whole recording at once."""
    zeros = np.zeros((1, 1, 128), np.float32)
    found: npt.NDArray[np.float32] = session(file).run(
        ["speech_probs"], {"input": chunks(), "h": zeros, "c": zeros}
    )[0]
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stateful")
    for name, beside in BESIDE.items():
        shutil.copy(silero_files() / f"{name}.onnx", folder)
        (folder / f"{name}.onnx.toml").write_text(beside)
    shutil.copy(silero_files() / "silero_vad.jit", folder)
    (folder / "silero_vad.jit.toml").write_text(SCRIPT_TOML)
    write_sum(folder / "sum.onnx")
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    loads = [w for name in (*BESIDE, "sum") for w in ("--load", f"{folder}/{name}.onnx={name}")]
    loads += ["--load", f"{folder}/silero_vad.jit=silero_script"]
    with slipstream_server("--model-dir", str(folder), *loads) as server:
        yield server


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


def start(client: httpx.Client, model: str) -> Open:
    response = client.post(START, json={"model_id": model, "buffer_size": 200})
    assert response.status_code == 200, response.text
    return Open(client, response.json()["stream_id"])


def streamed(stream: Open, order: list[int]) -> list[Any]:
    """Predictions for the chunks, sent in that order."""
    rows = chunks()
    for number in order:
        stream.send(number, [rows[number - 1].tolist()])
    results = stream.read_until(len(rows))
    assert [result["sequence_id"] for result in results] == list(range(1, len(rows) + 1))
    assert all(result["status"] == "success" for result in results)
    return [result["predictions"] for result in results]


def heard(stream: Open, rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Probabilities of chunks that may be more than a stream buffers."""
    found: list[Any] = []
    for first in range(0, len(rows), 100):
        part = rows[first : first + 100]
        for number, row in enumerate(part, first + 1):
            stream.send(number, [row.tolist()])
        found += stream.read_until(first + len(part))
    assert [result["sequence_id"] for result in found] == list(range(1, len(rows) + 1))
    assert all(result["status"] == "success" for result in found)
    stream.close()
    return np.array([result["predictions"] for result in found]).ravel()


class TestVoiceActivity:
    def test_chunk_by_chunk_is_as_onnxruntime_itself(
        self, client: httpx.Client, folder: Path
    ) -> None:
        stream = start(client, "silero_vad")
        got = np.array(streamed(stream, list(range(1, len(chunks()) + 1))))
        assert got.shape == (len(chunks()), 1, 1)
        expected = one_by_one(folder / "silero_vad.onnx")
        np.testing.assert_allclose(got.ravel(), expected, rtol=0, atol=TOLERANCE)
        assert expected.min() < 0.05 and expected.max() > 0.7, "it should hear the voice"
        assert stream.close()["delivered"] == len(expected)

    def test_chunk_by_chunk_is_as_one_pass(self, client: httpx.Client, folder: Path) -> None:
        stream = start(client, "silero_vad_16k_sequence")
        got = np.array(streamed(stream, list(range(1, len(chunks()) + 1))))
        expected = in_one_pass(folder / "silero_vad_16k_sequence.onnx")
        np.testing.assert_allclose(got.ravel(), expected, rtol=0, atol=TOLERANCE)
        stream.close()

    def test_order_of_arrival_does_not_matter(self, client: httpx.Client, folder: Path) -> None:
        order = list(range(1, len(chunks()) + 1))
        random.Random(1).shuffle(order)
        got = np.array(streamed(start(client, "silero_vad"), order))
        expected = one_by_one(folder / "silero_vad.onnx")
        np.testing.assert_allclose(got.ravel(), expected, rtol=0, atol=TOLERANCE)

    @pytest.mark.parametrize(("model", "skipped"), [("silero_vad", 0), ("silero_script", CONTEXT)])
    def test_streams_side_by_side_keep_their_own(
        self, client: httpx.Client, model: str, skipped: int
    ) -> None:
        one, other = start(client, model), start(client, model)
        rows = chunks()[-20:, skipped:]
        for number, row in enumerate(rows, 1):
            one.send(number, [row.tolist()])
            other.send(number, [rows[-number].tolist()])
        again = start(client, model)
        for number, row in enumerate(rows, 1):
            again.send(number, [row.tolist()])
        first, second, third = (
            [result["predictions"] for result in stream.read_until(len(rows))]
            for stream in (one, other, again)
        )
        assert first == third
        assert first != second


class TestTwins:
    """The same network in TorchScript: it keeps its context and its state by itself."""

    @pytest.mark.parametrize("sound", [audio, recording])
    def test_both_hear_the_same(
        self, client: httpx.Client, sound: Callable[[], npt.NDArray[np.float32]]
    ) -> None:
        rows = chunks(sound())
        script, twin = (
            heard(start(client, model), rows[:, skipped:])
            for model, skipped in (("silero_script", CONTEXT), ("silero_vad", 0))
        )
        np.testing.assert_allclose(script, twin, rtol=0, atol=TWINS_TOLERANCE)
        assert script.min() < 0.05 and script.max() > 0.7, "it should hear the voice"

    def test_they_hear_who_speaks_in_the_recording(self, client: httpx.Client) -> None:
        """By what its makers wrote down: from 6.7 s on there is always somebody."""
        probabilities = heard(start(client, "silero_script"), chunks(recording())[:, CONTEXT:])
        second = RATE // CHUNK
        assert probabilities[: 6 * second].mean() < 0.2
        assert probabilities[8 * second :].mean() > 0.7


class TestOutsideOfAStream:
    def test_each_request_starts_from_the_initial_state(
        self, client: httpx.Client, folder: Path
    ) -> None:
        rows = chunks()[-8:]
        body = {"model_id": "silero_vad", "data": rows.tolist()}
        got = [client.post(PREDICT, json=body).json()["predictions"] for _ in range(2)]
        inputs = {"input": rows, "state": np.zeros((2, 8, 128), np.float32), "sr": np.array(RATE)}
        expected = session(folder / "silero_vad.onnx").run(["output"], inputs)[0]
        np.testing.assert_allclose(got[0], expected, rtol=0, atol=TOLERANCE)
        assert got[0] == got[1]

    def test_in_every_form(self, client: httpx.Client) -> None:
        row = chunks()[-1:]
        body = {"model_id": "silero_vad", "data": row.tolist()}
        expected = client.post(PREDICT, json=body).json()["predictions"]
        batch = client.post(f"{PREDICT}/batch", json=body).json()
        assert (batch["predictions"], batch["batch_size"]) == (expected, 1)
        several = client.post(f"{PREDICT}/multi-batch", json={"requests": [body]}).json()
        assert several["results"][0]["predictions"] == expected
        tensor = client.post(
            f"{PREDICT}?model_id=silero_vad",
            content=row.astype("<f4").tobytes(),
            headers={
                "content-type": "application/octet-stream",
                "x-tensor-dtype": "float32",
                "x-tensor-shape": "1,576",
            },
        )
        assert tensor.headers["x-tensor-shape"] == "1,1"
        assert np.frombuffer(tensor.content, "<f4").tolist() == pytest.approx(expected[0], abs=1e-6)

    def test_states_and_constants_are_no_inputs(self, client: httpx.Client) -> None:
        data = {"input": chunks()[:1].tolist(), "sr": 8000}
        response = client.post(PREDICT, json={"model_id": "silero_vad", "data": data})
        assert response.status_code == 422
        error_of(response)


class TestLife:
    def test_what_fails_leaves_the_state_alone(self, client: httpx.Client) -> None:
        stream = start(client, "sum")
        for number, row in enumerate(([1, 0, 0], [1], [1, 0, 0]), 1):
            stream.send(number, [row])
        first, second, third = stream.read_until(3)
        assert second["status"] == "error"
        assert first["predictions"]["total"] == [[1, 0, 0]]
        assert third["predictions"]["total"] == [[2, 0, 0]]
        stream.close()

    def test_a_reload_of_the_same_goes_on(self, client: httpx.Client) -> None:
        stream = start(client, "sum")
        stream.send(1, [[1, 0, 0]])
        stream.read_until(1)
        assert client.post(f"{MODELS}/sum/reload").status_code == 200
        stream.send(2, [[5, 0, 0]])
        assert stream.read_until(2)[0]["predictions"]["total"] == [[6, 0, 0]]
        stream.close()

    def test_a_file_beside_it_that_does_not_fit(self, client: httpx.Client, folder: Path) -> None:
        write_sum(folder / "bad.onnx", '[states.nothing]\noutput = "after"\n')
        response = client.post(f"{MODELS}/load", json={"model_path": "bad.onnx"})
        assert response.status_code == 422
        body = error_of(response)
        assert body["error"] == "ModelLoadError"
        assert "no input 'nothing'" in body["message"]
        assert json.dumps(str(folder)) not in response.text
