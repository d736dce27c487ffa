"""Speech, without a server: sentences, formats, files of audio, names and places."""

from __future__ import annotations

import io
import json
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st

from slipstream.audio import frames
from slipstream.audio.encode import Stored, encoder, wav_header
from slipstream.audio.formats import Format, recognised
from slipstream.audio.kinds.samples import read_samples
from slipstream.audio.kinds.weights import require_plain_weights
from slipstream.audio.known import KNOWN, known, refuse_silent
from slipstream.audio.piper import ids_of, read_config
from slipstream.audio.places import find
from slipstream.audio.sentences import LONGEST_CHARS, cut, sentences_of
from slipstream.audio.voice import Samples, levelled
from slipstream.errors import (
    InvalidInputError,
    ModelLoadError,
    ModelNotFoundError,
    UnsafeModelError,
)
from speech_models import make_kokoro, make_piper

RATE = 22_050


def tone(seconds: float = 1.0, rate: int = RATE, hertz: float = 440.0) -> Samples:
    return np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate).astype(np.float32) / 2


def whole(kind: Format, rate: int, samples: Samples) -> bytes:
    file = Stored(kind, rate)
    for start in range(0, len(samples), 3000):
        file.write(samples[start : start + 3000])
    return file.finish()


class TestSentences:
    def test_they_are_told_apart(self) -> None:
        text = "Dr. Smith paid 3.5 dollars.\n\n Did he?  Yes! A title\nover lines"
        assert sentences_of(text, "en") == [
            "Dr. Smith paid 3.5 dollars.",
            "Did he?",
            "Yes!",
            "A title over lines",
        ]

    def test_other_scripts_and_unknown_languages(self) -> None:
        assert sentences_of("今日は。元気ですか？", "ja") == ["今日は。", "元気ですか？"]
        assert sentences_of("One. Two.", "xx") == ["One.", "Two."]

    @pytest.mark.parametrize("text", ["", " \n", "...", "?!", "\x00\x07"])
    def test_what_cannot_be_spoken(self, text: str) -> None:
        with pytest.raises(InvalidInputError, match="nothing that can be spoken"):
            sentences_of(text, "en")

    def test_control_characters_are_spaces(self) -> None:
        assert sentences_of("a\x00b\x1bc", "en") == ["a b c"]

    def test_a_long_one_is_cut_at_a_comma(self) -> None:
        part = "x" * 150
        assert cut(f"{part}, {part}, {part}.") == [f"{part}, {part},", f"{part}."]

    @given(st.text(alphabet="ab ,;、", max_size=2000))
    def test_cutting_loses_no_letter(self, text: str) -> None:
        pieces = cut(text)
        assert all(len(piece) <= LONGEST_CHARS for piece in pieces)
        assert "".join(pieces).replace(" ", "") == text.replace(" ", "")


class TestFormats:
    def test_by_content(self) -> None:
        for kind in ("WAV", "FLAC", "OGG", "MP3"):
            stream = io.BytesIO()
            soundfile.write(stream, tone(), RATE, format=kind)
            assert recognised(stream.getvalue()) == kind.lower()
        assert recognised(b"ID3\x04") == "mp3"

    @pytest.mark.parametrize(
        "data", [b"", b"RIFF\0\0\0\0AVI ", b"\xff\xff\xff", b"{}", b"OggX", b"\x89PNG"]
    )
    def test_anything_else_is_refused(self, data: bytes) -> None:
        with pytest.raises(InvalidInputError):
            recognised(data)


class TestFilesThatAreMade:
    @pytest.mark.parametrize("kind", ["wav", "flac", "ogg"])
    @pytest.mark.parametrize("rate", [16_000, RATE, 24_000])
    def test_whole_and_in_pieces_hold_the_same_sound(self, kind: Format, rate: int) -> None:
        sound = tone(0.7, rate)
        made = encoder(kind, rate)
        pieces = [made.write(sound[:5000]), made.write(sound[5000:]), made.finish()]
        streamed = read_samples(b"".join(pieces), 10)
        stored = read_samples(whole(kind, rate, sound), 10)
        assert abs(len(streamed) - 0.7 * 16_000) < 40
        # Vorbis sees other blocks, and rounds them otherwise.
        np.testing.assert_allclose(streamed, stored, atol=0.05 if kind == "ogg" else 1e-3)
        wanted = read_samples(whole("wav", rate, sound), 10)
        np.testing.assert_allclose(stored[200:-200], wanted[200:-200], atol=0.05)

    @pytest.mark.parametrize("kind", ["wav", "flac", "ogg"])
    def test_pieces_come_while_it_is_made(self, kind: Format) -> None:
        made = encoder(kind, RATE)
        first = made.write(tone(2))
        assert len(first) > 1000
        assert recognised(first) == kind

    def test_a_whole_file_says_its_length(self) -> None:
        for kind in ("wav", "flac", "ogg"):
            with soundfile.SoundFile(io.BytesIO(whole(kind, RATE, tone(0.5)))) as file:
                assert file.frames == len(tone(0.5))

    def test_a_wav_of_unknown_length_is_read_to_its_end(self) -> None:
        made = encoder("wav", RATE)
        data = made.write(tone(0.25)) + made.write(tone(0.25)) + made.finish()
        assert struct.unpack_from("<I", data, 40) == (0xFFFFFFFF,)
        samples, rate = soundfile.read(io.BytesIO(data))
        assert (len(samples), rate) == (2 * len(tone(0.25)), RATE)

    def test_the_header_is_that_of_libsndfile(self) -> None:
        stream = io.BytesIO()
        soundfile.write(stream, tone(0.1), RATE, format="WAV", subtype="PCM_16")
        assert stream.getvalue()[:44] == wav_header(RATE, 2 * len(tone(0.1)))

    def test_too_loud_is_clipped(self) -> None:
        samples, _ = soundfile.read(io.BytesIO(whole("wav", RATE, tone() * 9)))
        assert samples.max() <= 1.0
        assert samples.min() >= -1.0


class TestFilesThatAreRead:
    def test_channels_and_rates(self) -> None:
        stream = io.BytesIO()
        both = np.stack([tone(1, 48_000), -tone(1, 48_000)], axis=1)
        soundfile.write(stream, both, 48_000, format="WAV", subtype="FLOAT")
        assert np.abs(read_samples(stream.getvalue(), 10)).max() < 1e-6
        stream = io.BytesIO()
        soundfile.write(stream, tone(1, 8000), 8000, format="WAV", subtype="FLOAT")
        samples = read_samples(stream.getvalue(), 10)
        np.testing.assert_allclose(samples[500:15000], tone(1, 16_000)[500:15000], atol=0.01)

    def test_values_that_are_no_numbers_are_silence(self) -> None:
        sound = tone(0.1)
        sound[100:200] = np.nan
        sound[300:310] = np.inf
        stream = io.BytesIO()
        soundfile.write(stream, sound, RATE, format="WAV", subtype="FLOAT")
        samples = read_samples(stream.getvalue(), 10)
        assert np.isfinite(samples).all()
        assert np.abs(samples).max() <= 1.0

    def test_too_long(self) -> None:
        data = whole("flac", RATE, tone(3))
        assert len(read_samples(data, 3.1)) == 48_000
        with pytest.raises(InvalidInputError, match="longer than the 2 s"):
            read_samples(data, 2)

    @pytest.mark.parametrize("kind", ["wav", "flac", "ogg"])
    def test_damage_is_refused_or_read_as_far_as_it_goes(self, kind: Format) -> None:
        data = whole(kind, RATE, tone())
        rng = np.random.default_rng(7)
        for cut_at in rng.integers(4, len(data), 30):
            broken = bytearray(data[:cut_at])
            broken[rng.integers(4, len(broken) + 1) - 1] ^= 0xFF
            try:
                samples = read_samples(bytes(broken), 10)
            except InvalidInputError:
                continue
            assert np.isfinite(samples).all()


class TestPiperFiles:
    def test_ids(self) -> None:
        id_map = {"^": [1], "$": [2], "_": [0], "a": [7], "b": [8, 9]}
        assert ids_of(["a", "?", "b"], id_map) == [1, 0, 7, 0, 8, 9, 0, 2]

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"audio": {"sample_rate": 7}}, "7 Hz"),
            ({"audio": {}}, "sample_rate"),
            ({"phoneme_id_map": {"_": [0], "^": [1]}}, "lacks '\\$'"),
            ({"phoneme_type": "pinyin"}, "'pinyin' are not supported"),
        ],
    )
    def test_a_config_that_does_not_hold(
        self, tmp_path: Path, change: dict[str, object], said: str
    ) -> None:
        file = make_piper(tmp_path)
        config = file.with_name("tiny.onnx.json")
        config.write_text(json.dumps(json.loads(config.read_text()) | change))
        with pytest.raises(ModelLoadError, match=said):
            read_config(file)

    def test_loudness(self) -> None:
        quiet = np.array([0.0, 0.1, -0.2], dtype=np.float32)
        np.testing.assert_allclose(levelled(quiet), [0.0, 0.5, -1.0])
        assert levelled(quiet * 0).max() == 0.0


class TestPlaces:
    def test_each_sort(self, tmp_path: Path) -> None:
        make_piper(tmp_path)
        make_kokoro(tmp_path / "kokoro")
        for name, config, more in (
            ("mms", {"model_type": "vits"}, None),
            ("listener", {"model_type": "whisper"}, None),
            ("quick", {"alignment_heads": []}, "model.bin"),
            ("microsoft--speecht5_tts", {"model_type": "speecht5"}, None),
        ):
            (tmp_path / name).mkdir()
            (tmp_path / name / "config.json").write_text(json.dumps(config))
            if more:
                (tmp_path / name / more).touch()
        found = {
            name: find(name, tmp_path).sort
            for name in ("tiny", "tiny.onnx", "kokoro", "mms", "listener", "quick")
        }
        assert list(found.values()) == [
            *("piper", "piper", "kokoro", "pipeline", "whisper", "faster_whisper")
        ]
        for name in ("microsoft/speecht5_tts", "speecht5", "SpeechT5_TTS"):
            assert find(name, tmp_path).path.name == "microsoft--speecht5_tts"

    def test_what_was_downloaded(self, tmp_path: Path) -> None:
        for number, name in enumerate(("suno--bark@0a", "suno--bark@0b", "rhasspy--joe@0c")):
            folder = tmp_path / "downloads" / name
            folder.mkdir(parents=True)
            if name.startswith("suno"):
                (folder / "config.json").write_text('{"model_type": "bark"}')
            else:
                make_piper(folder)
            os.utime(folder, (number, number))
        assert find("suno/bark", tmp_path).path.name == "suno--bark@0b"
        assert find("bark", tmp_path).path.name == "suno--bark@0b"
        assert find("rhasspy/joe", tmp_path).path.name == "tiny.onnx"
        for name in ("suno/bar", "suno--bark", "joe"):
            with pytest.raises(ModelNotFoundError):
                find(name, tmp_path)

    def test_what_is_no_model_of_speech(self, tmp_path: Path) -> None:
        make_piper(tmp_path).with_name("tiny.onnx.json").unlink()
        (tmp_path / "empty").mkdir()
        for name in ("tiny", "empty"):
            with pytest.raises(InvalidInputError, match="no model of speech"):
                find(name, tmp_path)
        for name in ("", "x" * 600, "a\0b"):
            with pytest.raises(InvalidInputError):
                find(name, tmp_path)

    def test_the_wall(self, tmp_path: Path) -> None:
        inside, outside = tmp_path / "in", tmp_path / "out"
        inside.mkdir()
        outside.mkdir()
        make_piper(outside)
        (inside / "link.onnx").symlink_to(outside / "tiny.onnx")
        for name in ("../out/tiny", str(outside / "tiny.onnx"), "link", "/etc", "..", "."):
            with pytest.raises(ModelNotFoundError, match="models/download"):
                find(name, inside)
        (inside / "folder").mkdir()
        (inside / "folder" / "config.json").write_text('{"model_type": "vits"}')
        (inside / "folder" / "model.safetensors").symlink_to(outside / "tiny.onnx")
        with pytest.raises(UnsafeModelError, match="outside the model directory"):
            find("folder", inside)


class TestKnownNames:
    def test_the_four_of_the_document(self) -> None:
        names = ("facebook/bart-large", "microsoft/speecht5_tts", "suno/bark", "tacotron2")
        assert [one.name for one in KNOWN] == list(names)
        assert [one.speaks for one in KNOWN] == [False, True, True, False]
        assert known("bark_tts") is known("suno/bark") is not None
        assert known("bark_tts2") is None

    def test_those_that_cannot_speak_say_why(self) -> None:
        with pytest.raises(InvalidInputError, match="no audio in it"):
            refuse_silent("bart-large")
        with pytest.raises(InvalidInputError, match="Piper"):
            refuse_silent("tacotron2")
        refuse_silent("suno/bark")
        refuse_silent("anything")

    def test_what_is_missing_is_said(self, tmp_path: Path) -> None:
        with pytest.raises(ModelNotFoundError, match="speecht5_hifigan"):
            find("microsoft/speecht5_tts", tmp_path)


class TestWeights:
    def test_plain_ones_are_let_through(self, tmp_path: Path) -> None:
        kinds = (torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.bool, torch.uint8)
        weights = {str(kind): torch.zeros(3, dtype=kind) for kind in kinds}
        parameters = {"p": torch.nn.Parameter(torch.ones(2))}
        torch.save(weights | parameters, tmp_path / "pytorch_model.bin")
        require_plain_weights(tmp_path)

    def test_code_is_not(self, tmp_path: Path) -> None:
        for thing in (torch.nn.Linear(2, 2), print, Path("x")):
            torch.save({"weight": thing}, tmp_path / "pytorch_model.bin")
            with pytest.raises(UnsafeModelError, match="would run it when opened"):
                require_plain_weights(tmp_path)
        (tmp_path / "model.safetensors").touch()  # then that one is opened, and not the pickle
        require_plain_weights(tmp_path)

    def test_other_files_and_none(self, tmp_path: Path) -> None:
        with pytest.raises(ModelLoadError, match="no weights"):
            require_plain_weights(tmp_path)
        (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x02]q\x00.")
        with pytest.raises(ModelLoadError, match="safetensors"):
            require_plain_weights(tmp_path)


class TestFrames:
    def test_there_and_back(self) -> None:
        stream = io.BytesIO(b"".join(frames.pack({"a": [1, "ü"]}, b"xyz")))
        assert frames.read(stream) == ({"a": [1, "ü"]}, b"xyz")
        assert frames.read(stream) is None

    def test_what_is_cut_short_is_an_end(self) -> None:
        data = b"".join(frames.pack({"a": 1}, b"xyz"))
        for length in range(len(data)):
            assert frames.read(io.BytesIO(data[:length])) is None

    def test_what_is_not_ours(self) -> None:
        for data in (b"\xff" * 8, b"\x02\0\0\0\0\0\0\0[]", b"\x02\0\0\0\0\0\0\0x}"):
            with pytest.raises(frames.FrameError):
                frames.read(io.BytesIO(data))
