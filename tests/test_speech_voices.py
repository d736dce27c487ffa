"""Voices that are graphs: what they are given, and that their samples are what comes out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from slipstream.api import Engine
from slipstream.audio import synthesis as synthesis_module
from slipstream.audio.kokoro import ids_in
from slipstream.audio.piper import ids_of
from slipstream.audio.service import Speech
from slipstream.audio.voice import Manner, Samples
from slipstream.errors import (
    DeadlineExceededError,
    InvalidInputError,
    ModelLoadError,
    QueueFullError,
)
from speech_models import PHONEMES, VOICE, make_kokoro, make_piper, real_folder


@asynccontextmanager
async def speaking(folder: Path, **settings: Any) -> AsyncIterator[Speech]:
    with Engine(model_dir=folder, state_dir=folder / "state", **settings) as engine:
        speech = Speech(engine)
        try:
            yield speech
        finally:
            await speech.close()


async def said(speech: Speech, text: str, model: str | None, **manner: Any) -> list[Samples]:
    synthesis = await speech.synthesis(text, model, Manner(**manner))
    return [one.samples async for one in synthesis.spoken()]


def ids(phonemes: str) -> list[int]:
    return ids_of(list(phonemes), {one: [place] for place, one in enumerate(PHONEMES)})


HELLO = "həlˈoʊ."


class TestPiper:
    def test_samples_are_those_of_the_graph(self, tmp_path: Path) -> None:
        make_piper(tmp_path)

        async def work() -> None:
            async with speaking(tmp_path) as speech:
                (usual,) = await said(speech, "Hello.", "tiny")
                given = np.array(ids(HELLO), dtype=np.float32) * 2.0  # the voice's length scale
                np.testing.assert_allclose(usual, given / given.max(), rtol=1e-6)
                (quick,) = await said(speech, "Hello.", "tiny", speed=2.0)
                np.testing.assert_allclose(quick, given / given.max(), rtol=1e-6)
                (other,) = await said(speech, "Hello.", "tiny", speed=2.0, voice="bert")
                shifted = given / 2.0 + 5.0
                np.testing.assert_allclose(other, shifted / shifted.max(), rtol=1e-6)

        asyncio.run(work())

    def test_sentences_come_in_order_with_their_places(self, tmp_path: Path) -> None:
        make_piper(tmp_path, speakers=1)

        async def work() -> None:
            async with speaking(tmp_path) as speech:
                text = " ".join(
                    "Hello." if one % 3 else "Hello, world, hello." for one in range(30)
                )
                synthesis = await speech.synthesis(text, "tiny", Manner())
                spoken = [one async for one in synthesis.spoken()]
                assert [one.text for one in spoken] == synthesis.sentences
                assert len(spoken) == 30
                assert spoken[0].start_s == 0.0
                for one, after in pairwise(spoken):
                    assert one.end_s == after.start_s
                    assert one.end_s - one.start_s == pytest.approx(len(one.samples) / 8000)
                assert len({len(one.samples) for one in spoken}) == 2
                totals = speech.figures().synthesized
                assert (totals.started, totals.completed, totals.failed) == (1, 1, 0)
                assert totals.audio_s == pytest.approx(spoken[-1].end_s)
                assert 0 < totals.first_s <= totals.took_s

        asyncio.run(work())

    def test_voices_and_languages(self, tmp_path: Path) -> None:
        make_piper(tmp_path)

        async def work() -> None:
            async with speaking(tmp_path) as speech:
                assert speech.figures().voices == ()
                await said(speech, "Hello.", "tiny", voice="default", language="en_us")
                figures = speech.figures()
                assert figures.voices == ("anna", "bert")
                assert figures.languages == ("en",)
                assert figures.loaded_models == ("tiny",)
                assert figures.backend == "onnx"
                for manner, said_of in (
                    ({"voice": "carl"}, "no voice 'carl'; it has anna, bert"),
                    ({"language": "de"}, "speaks en, not 'de'"),
                    ({"language": "en-GB"}, "speaks en_US"),
                    ({"speed": 0.1}, r"0\.25 to 4"),
                    ({"variation": -1.0}, "0 to 2"),
                    ({"variation": float("nan")}, "0 to 2"),
                    ({"voice": "x" * 999}, "999 characters"),
                ):
                    with pytest.raises(InvalidInputError, match=said_of):
                        await said(speech, "Hello.", "tiny", **manner)  # type: ignore[arg-type]
                assert speech.counts()[0].active == 0

        asyncio.run(work())

    def test_a_model_without_a_config_is_no_voice(self, tmp_path: Path) -> None:
        file = make_piper(tmp_path)
        config = file.with_name("tiny.onnx.json")

        async def work() -> None:
            async with speaking(tmp_path) as speech:
                config.rename(tmp_path / "away")
                speech._engine.load(file, model_id="graph")
                with pytest.raises(InvalidInputError, match=r"its\s+config, tiny.onnx.json"):
                    await said(speech, "Hello.", "graph")
                (tmp_path / "away").rename(config)
                assert await said(speech, "Hello.", "graph")
                config.write_text(json.dumps({"audio": 1}))
                speech._engine.reload("graph")
                with pytest.raises(ModelLoadError, match="config of a Piper voice"):
                    await said(speech, "Hello.", "graph")

        asyncio.run(work())

    def test_the_only_voice_needs_no_name(self, tmp_path: Path) -> None:
        make_piper(tmp_path)
        make_piper(tmp_path, "other")

        async def work() -> None:
            async with speaking(tmp_path) as speech:
                with pytest.raises(InvalidInputError, match="0 voices are loaded"):
                    await said(speech, "Hello.", None)
                await said(speech, "Hello.", "tiny")
                assert await said(speech, "Hello.", None)
                await said(speech, "Hello.", "other")
                with pytest.raises(InvalidInputError, match="2 voices are loaded: other, tiny"):
                    await said(speech, "Hello.", None)
            async with speaking(tmp_path, tts_model="other") as speech:
                assert await said(speech, "Hello.", None)
                assert speech.figures().loaded_models == ("other",)

        asyncio.run(work())

    def test_many_ask_for_a_voice_that_is_not_loaded(self, tmp_path: Path) -> None:
        make_piper(tmp_path)

        async def work() -> None:
            async with speaking(tmp_path, tts_max_concurrent=50) as speech:
                asked = [said(speech, "Hello.", "tiny") for _ in range(12)]
                asked += [said(speech, "Hello.", "tiny.onnx") for _ in range(12)]
                found = await asyncio.gather(*asked)
                assert {one[0].tobytes() for one in found} == {found[0][0].tobytes()}
                assert [one.model_id for one in speech._engine.models()] == ["tiny"]

        asyncio.run(work())

    def test_an_unloaded_voice_is_loaded_again(self, tmp_path: Path) -> None:
        make_piper(tmp_path)

        async def work() -> None:
            async with speaking(tmp_path) as speech:
                before = await said(speech, "Hello.", "tiny")
                await asyncio.to_thread(speech._engine.unload, "tiny")
                assert speech.figures().loaded_models == ()
                after = await said(speech, "Hello.", "tiny")
                np.testing.assert_array_equal(before[0], after[0])

        asyncio.run(work())

    def test_a_name_that_is_taken(self, tmp_path: Path) -> None:
        (tmp_path / "more").mkdir()
        make_piper(tmp_path)
        make_piper(tmp_path / "more", speakers=1)

        async def work() -> None:
            async with speaking(tmp_path) as speech:
                await said(speech, "Hello.", "tiny")
                await said(speech, "Hello.", "more/tiny")
                first, second = (model.model_id for model in speech._engine.models())
                assert first == "tiny"
                assert second.startswith("model_")

        asyncio.run(work())


class TestBounds:
    def test_texts_at_once_and_what_ends_early(self, tmp_path: Path) -> None:
        make_piper(tmp_path)

        async def work() -> None:
            async with speaking(tmp_path, tts_max_concurrent=2) as speech:
                running = [await speech.synthesis("Hello.", "tiny", Manner()) for _ in range(2)]
                with pytest.raises(QueueFullError, match="2 texts are being spoken"):
                    await said(speech, "Hello.", "tiny")
                running[0].end()  # was never begun
                spoken = running[1].spoken()
                await anext(spoken)
                await spoken.aclose()  # was not heard to its end
                assert await said(speech, "Hello.", "tiny")
                totals = speech.figures().synthesized
                assert (totals.started, totals.completed, totals.failed) == (3, 1, 2)

        asyncio.run(work())

    def test_length_of_text_and_audio(self, tmp_path: Path) -> None:
        make_piper(tmp_path)

        async def work() -> None:
            async with speaking(tmp_path, tts_max_text_chars=20, tts_max_audio_s=1) as speech:
                with pytest.raises(InvalidInputError, match="21 characters, more than the 20"):
                    await said(speech, "x" * 21, "tiny")
                assert await said(speech, "Hello.", "tiny")
            async with speaking(tmp_path, tts_max_audio_s=1) as speech:
                with pytest.raises(InvalidInputError, match=r"longer than 1 s \(TTS_MAX_AUDIO_S"):
                    await said(speech, "Hello hello hello. " * 250, "tiny")
                assert speech.counts()[0].active == 0

        asyncio.run(work())

    def test_it_takes_too_long(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        make_piper(tmp_path)

        async def work() -> None:
            async with speaking(tmp_path, speech_timeout_s=60) as speech:
                synthesis = await speech.synthesis("Hello. Hello.", "tiny", Manner())
                monkeypatch.setattr(synthesis, "_deadline_s", 0.0)
                with pytest.raises(DeadlineExceededError, match="within 60 s"):
                    await anext(synthesis.spoken())
                assert speech.counts()[0].active == 0

        asyncio.run(work())

    def test_sentences_in_progress_are_withdrawn(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        make_piper(tmp_path)
        started = []

        async def work() -> None:
            async with speaking(tmp_path) as speech:
                voice = await speech.library.voice("tiny")

                async def say(prepared: Any, manner: Manner, timeout_s: float) -> Samples:
                    started.append(prepared)
                    if len(started) > 1:
                        await asyncio.sleep(600)
                    return np.zeros(1, dtype=np.float32)

                monkeypatch.setattr(voice, "say", say)
                synthesis = await speech.synthesis("Hello. " * 30, "tiny", Manner())
                spoken = synthesis.spoken()
                await anext(spoken)
                await spoken.aclose()
                assert len(started) == synthesis_module.SENTENCES_AHEAD
                assert len(asyncio.all_tasks()) == 1

        asyncio.run(work())


class TestKokoro:
    def test_ids_style_and_speed(self, tmp_path: Path) -> None:
        make_kokoro(tmp_path / "kokoro")

        async def work() -> None:
            async with speaking(tmp_path) as speech:
                (usual,) = await said(speech, "Hello.", "kokoro/kokoro", speed=2.0)
                spoken = [0, *(PHONEMES.index(one) for one in HELLO if one in PHONEMES), 0]
                style = (len(spoken) - 2) / 640
                wanted = (np.array(spoken, dtype=np.float32) * 0.01 + style) / 2.0
                np.testing.assert_allclose(usual, wanted, rtol=1e-5)
                figures = speech.figures()
                assert figures.voices == ("af_anna", "em_bert")
                assert set(figures.languages) == {"en", "es"}
                synthesis = await speech.synthesis("Hola.", "kokoro", Manner(language="es"))
                assert synthesis.language == "es"
                assert synthesis.voice.sample_rate == 24_000
                synthesis.end()
                with pytest.raises(InvalidInputError, match="speaks en, not 'es'"):
                    await said(speech, "Hola.", "kokoro", voice="af_anna", language="es")
                with pytest.raises(InvalidInputError, match="longer than the 63"):
                    await said(speech, "hello " * 60, "kokoro")

        asyncio.run(work())

    def test_letters_with_marks(self) -> None:
        vocabulary = {"ç": 5, "c": 6, "a": 7, "\u0303": 8}
        assert ids_in(vocabulary, ["c", "\u0327", "a", "\u0303", "?", "c"]) == [5, 7, 8, 6]

    def test_files_that_do_not_hold(self, tmp_path: Path) -> None:
        file = make_kokoro(tmp_path / "kokoro")
        voices, config = file.with_name("voices.bin"), file.with_name("config.json")
        good = voices.read_bytes()

        async def refused(said_of: str) -> None:
            async with speaking(tmp_path) as speech:
                with pytest.raises(ModelLoadError, match=said_of):
                    await said(speech, "Hello.", "kokoro/kokoro")

        voices.write_bytes(b"junk")
        asyncio.run(refused("file of voices"))
        with voices.open("wb") as stream:
            np.savez(stream, af_x=np.array([{"an": "object"}]))  # a pickle, which is not opened
        asyncio.run(refused("file of voices"))
        with voices.open("wb") as stream:
            np.savez(stream, zf_x=np.zeros((4, 1, 4), dtype=np.float32))
        asyncio.run(refused("none of its voices"))
        voices.write_bytes(good)
        config.write_text("{}")
        asyncio.run(refused("vocab"))
        make_kokoro(tmp_path / "kokoro")
        make_piper(tmp_path / "kokoro", "kokoro").with_name("kokoro.onnx.json").unlink()
        asyncio.run(refused("takes input, input_lengths"))


class TestTheRealVoice:
    def test_samples_are_those_of_onnx_runtime(self, tmp_path: Path) -> None:
        """Phonemes to ids to samples, step by step with other means, to the same audio."""
        folder = real_folder(tmp_path)
        config = json.loads((folder / f"{VOICE}.onnx.json").read_text())
        sentences = ["The quick brown fox jumps over the lazy dog.", "Does it?"]

        async def work() -> list[Samples]:
            async with speaking(folder) as speech:
                voice = await speech.library.voice(VOICE)
                prepared = await voice.prepare(sentences, Manner())
                given.extend(prepared)
                return await said(speech, " ".join(sentences), VOICE, variation=0.0)

        given: list[Any] = []
        spoken = asyncio.run(work())
        session = onnxruntime.InferenceSession(str(folder / f"{VOICE}.onnx"))
        for ids_given, samples in zip(given, spoken, strict=True):
            (wanted,) = session.run(
                None,
                {
                    "input": ids_given,
                    "input_lengths": np.array([ids_given.shape[1]], dtype=np.int64),
                    "scales": np.array([0.0, 1.0, 0.0], dtype=np.float32),
                },
            )
            wanted = wanted.reshape(-1) / np.abs(wanted).max()
            np.testing.assert_allclose(samples, wanted, atol=1e-4)
        pad, begin = config["phoneme_id_map"]["_"], config["phoneme_id_map"]["^"]
        assert given[0][0, :2].tolist() == [*begin, *pad]

    def test_speed_and_variation(self, tmp_path: Path) -> None:
        folder = real_folder(tmp_path)

        async def work() -> None:
            async with speaking(folder) as speech:
                lengths = {}
                for speed in (0.5, 1.0, 2.0):
                    (samples,) = await said(
                        speech, "One two three four five.", VOICE, speed=speed, variation=0.0
                    )
                    lengths[speed] = len(samples)
                assert 1.7 < lengths[0.5] / lengths[1.0] < 2.3
                # Durations of phonemes are rounded up to whole frames.
                assert 1.4 < lengths[1.0] / lengths[2.0] < 2.3
                one, other = [(await said(speech, "One two three.", VOICE))[0] for _ in range(2)]
                assert one.shape != other.shape or not np.array_equal(one, other)

        asyncio.run(work())
