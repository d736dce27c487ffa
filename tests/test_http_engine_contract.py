"""What the HTTP layer relies on in `slipstream.api`: callbacks, closing, reloading, sharing."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import slipstream
from http_models import Gate, fresh_folder, json_rows, rows_of, trained
from http_server import eventually
from slipstream.api import Body, EncodedAnswer
from slipstream.errors import ModelNotFoundError, SlipstreamError, UnavailableError

OPTIONS: dict[str, Any] = {
    "answer": "json",
    "probabilities": False,
    "priority": 0,
    "timeout_ms": 30_000.0,
    "batch_size": None,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fresh_folder(tmp_path_factory, "contract", "wine.pkl", "pair.onnx", "cancer.pkl")


@pytest.fixture
def engine(folder: Path) -> Iterator[slipstream.Engine]:
    state = folder / ".slipstream"
    with slipstream.Engine(state_dir=state, allow_custom_code=True, max_workers=3) as engine:
        yield engine


class TestStart:
    def test_done_may_come_before_it_returns_and_comes_once(
        self, engine: slipstream.Engine, folder: Path
    ) -> None:
        """A quick model that is idle answers inline: its warm-up has told that it is quick."""
        model = engine.load(folder / "wine.pkl")
        rows = rows_of("wine", 1)
        data = json.dumps(json_rows(rows)).encode()
        ways = set()

        async def ask() -> None:
            for _ in range(50):
                results: list[EncodedAnswer | SlipstreamError] = []
                model.start(Body("json", data), on_done=results.append, **OPTIONS)
                ways.add("before" if results else "after")
                while not results:
                    await asyncio.sleep(0.001)
                (result,) = results
                assert isinstance(result, EncodedAnswer)
                assert json.loads(result.predictions) == trained("wine").predict(rows).tolist()
                assert result.rows == 1

        asyncio.run(ask())
        assert "before" in ways

    def test_what_is_refused_at_once_is_never_done(
        self, engine: slipstream.Engine, folder: Path
    ) -> None:
        model = engine.load(folder / "wine.pkl")
        results: list[EncodedAnswer | SlipstreamError] = []

        async def ask() -> None:
            for data in (b"[[1]]", b"[[", b"null"):
                with pytest.raises(SlipstreamError):
                    model.start(Body("json", data), on_done=results.append, **OPTIONS)
            await asyncio.sleep(0.05)

        asyncio.run(ask())
        assert results == []

    def test_a_cancelled_request_is_done_too(self, engine: slipstream.Engine, folder: Path) -> None:
        gate = Gate(folder, "cancelled")
        model = engine.load(gate.file)
        gate.close()
        results: list[EncodedAnswer | SlipstreamError] = []

        async def ask() -> None:
            model.start(Body("json", b"[[0]]"), on_done=lambda result: None, **OPTIONS)
            while gate.ran != [0]:
                await asyncio.sleep(0.005)
            ticket = model.start(Body("json", b"[[1]]"), on_done=results.append, **OPTIONS)
            assert model.cancel(ticket)
            assert not model.cancel(ticket)
            while not results:
                await asyncio.sleep(0.005)

        asyncio.run(ask())
        assert type(results[0]).__name__ == "RequestCancelledError"
        gate.open()


class TestClose:
    def test_twice_and_from_several_threads(self, folder: Path) -> None:
        engine = slipstream.Engine(state_dir=folder / ".slipstream", allow_custom_code=True)
        gate = Gate(folder, "closing")
        model = engine.load(gate.file)
        gate.close()
        running = model.submit([[0.0]])
        eventually(lambda: gate.ran == [0])
        queued = model.submit([[1.0]])
        with ThreadPoolExecutor(3) as pool:
            closing = [pool.submit(engine.close, 0.0) for _ in range(3)]
            with pytest.raises(UnavailableError):
                queued.result(30)
            # What runs in a process of its own is ended with it; the gate stays closed.
            assert [one.result(30) for one in closing] == [None] * 3
        with pytest.raises(UnavailableError, match="SIGKILL"):
            running.result(30)
        gate.open()
        engine.close(0.0)
        engine.close()
        with pytest.raises(UnavailableError):
            engine.load(folder / "pair.onnx")
        with pytest.raises(UnavailableError):
            model.predict([[1.0]])


class TestReload:
    def test_a_model_that_is_unloaded_meanwhile_stays_unloaded(
        self, engine: slipstream.Engine, folder: Path
    ) -> None:
        gate = Gate(folder, "reloading")
        model = engine.load(gate.file, model_id="reloading")
        gate.file.write_text(gate.file.read_text() + "\n# changed: prepared anew\n")
        gate.close()
        with ThreadPoolExecutor(1) as pool:
            reloading = pool.submit(engine.reload, "reloading")
            eventually(lambda: len(gate.ran) > 0)  # the converter child stands at the gate
            engine.unload("reloading")
            gate.open()
            with pytest.raises(ModelNotFoundError):
                reloading.result(60)
        assert engine.models() == []
        with pytest.raises(UnavailableError):
            model.predict([[1.0]])

    def test_the_path_stays_as_it_was_given(
        self, engine: slipstream.Engine, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(folder)
        model = engine.load("./pair.onnx")
        assert model.model_path == "./pair.onnx"
        assert model.file == (folder / "pair.onnx").resolve()
        monkeypatch.chdir("/")
        assert engine.reload(model.model_id).model_path == "./pair.onnx"


class TestInstances:
    def instances(self, model: slipstream.Model) -> int:
        return model.version.core.instances

    def test_a_reload_keeps_them(self, engine: slipstream.Engine, folder: Path) -> None:
        model = engine.load(folder / "pair.onnx", instances=3)
        assert self.instances(model) == 3
        assert self.instances(engine.reload(model.model_id)) == 3

    def test_the_cap_holds_for_models_that_load_side_by_side(
        self, engine: slipstream.Engine, folder: Path
    ) -> None:
        files = ("pair.onnx", "wine.pkl", "cancer.pkl")
        started = threading.Barrier(len(files))

        def load(file: str) -> slipstream.Model:
            started.wait(30)
            return engine.load(folder / file, instances=2)

        with ThreadPoolExecutor(len(files)) as pool:
            models = list(pool.map(load, files))
        assert sorted(map(self.instances, models)) == [1, 1, 2]
