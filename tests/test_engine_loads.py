"""Loads of an engine: their turns, what they tell, and how they are cancelled."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

import slipstream
from gated_loads import GatedFiles
from slipstream.api.loads import PRIORITIES, Load, LoadPriority, Loads
from slipstream.errors import LoadCancelledError, ModelLoadError, ModelNotFoundError

Begin = Callable[..., "Future[slipstream.Model]"]


@pytest.fixture
def gated(tmp_path: Path) -> GatedFiles:
    (tmp_path / "models").mkdir()
    return GatedFiles(tmp_path / "models")


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[slipstream.Engine]:
    with slipstream.Engine(
        state_dir=tmp_path / "state", allow_custom_code=True, max_concurrent_loads=1
    ) as engine:
        yield engine


@pytest.fixture
def begin(engine: slipstream.Engine, gated: GatedFiles) -> Iterator[Begin]:
    """Begins a load on another thread, and waits until it is at work or waits for its turn."""
    with ThreadPoolExecutor(8) as pool:

        def begin(name: str, priority: LoadPriority = "normal") -> Future[slipstream.Model]:
            file = gated.make(name)
            future = pool.submit(engine.load, file, model_id=name, priority=priority)
            wait_for(lambda: name in [load.model_id for load in engine.loads.all()])
            return future

        yield begin
        engine.loads.close()  # whatever a failed test has left


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.002)


def test_the_most_urgent_goes_first(
    engine: slipstream.Engine, gated: GatedFiles, begin: Begin
) -> None:
    wanted: list[tuple[str, LoadPriority]] = [
        *(("low_1", "low"), ("normal_1", "normal"), ("high_1", "high")),
        *(("low_2", "low"), ("normal_2", "normal"), ("high_2", "high")),
    ]
    first = begin("first")
    gated.wait_until_begun("first")
    futures = [begin(name, priority) for name, priority in wanted]
    told = engine.loads.all()
    assert [(load.model_id, load.state) for load in told] == [
        ("first", "loading"),
        *((f"{priority}_{n}", "waiting") for priority in PRIORITIES for n in (1, 2)),
    ]
    assert told[0].progress == "opening the model" and told[0].age_s > 0
    assert engine.models_on_their_way == 1
    for name in ["first", *(name for name, _ in wanted)]:
        gated.open(name)
    for future in [first, *futures]:
        future.result(30)
    assert gated.begun() == [load.model_id for load in told]
    assert engine.loads.all() == [] and engine.models_on_their_way == 0


def test_one_that_is_at_work_is_cancelled(
    engine: slipstream.Engine, gated: GatedFiles, begin: Begin
) -> None:
    future = begin("unwanted")
    gated.wait_until_begun("unwanted")
    waiting = begin("next")
    assert engine.cancel_load("unwanted")
    with pytest.raises(LoadCancelledError, match="'unwanted' was cancelled") as caught:
        future.result(10)
    assert caught.value.details == {"model_id": "unwanted"}
    assert not gated.is_running("unwanted")
    with pytest.raises(ModelNotFoundError):
        engine.model("unwanted")
    gated.open("next")
    assert waiting.result(30).predict([[1.0, 2.0]]).tolist() == [3.0]
    gated.open("unwanted")  # id and file are free again, and nothing half-made is in the way
    model = engine.load(gated.folder / "unwanted.py", model_id="unwanted")
    assert model.predict([[1.0, 2.0]]).tolist() == [3.0]


def test_one_that_waits_is_cancelled(
    engine: slipstream.Engine, gated: GatedFiles, begin: Begin
) -> None:
    first = begin("first")
    gated.wait_until_begun("first")
    waiting = begin("unwanted", "high")
    assert engine.cancel_load("unwanted")
    with pytest.raises(LoadCancelledError):
        waiting.result(10)
    assert gated.begun() == ["first"]
    gated.open("first")
    first.result(30)


def test_what_is_not_being_loaded_is_not_cancelled(
    engine: slipstream.Engine, gated: GatedFiles
) -> None:
    file = gated.make("there")
    gated.open("there")
    engine.load(file, model_id="there")
    assert not engine.cancel_load("there") and not engine.cancel_load("nowhere")
    assert engine.model("there").predict([[2.0]]).tolist() == [2.0]


def test_one_that_fails_gives_its_turn_up(
    engine: slipstream.Engine, gated: GatedFiles, begin: Begin
) -> None:
    first = begin("first")
    gated.wait_until_begun("first")
    broken = gated.folder / "broken.py"
    broken.write_text("raise RuntimeError('no')")
    with ThreadPoolExecutor(1) as pool:
        failing = pool.submit(engine.load, broken, model_id="broken", priority="high")
        wait_for(lambda: len(engine.loads.all()) == 2)
        last = begin("last")
        gated.open("last")
        gated.open("first")
        with pytest.raises(ModelLoadError):
            failing.result(30)
    first.result(30)
    last.result(30)


def test_a_reload_takes_a_turn(engine: slipstream.Engine, gated: GatedFiles, begin: Begin) -> None:
    file = gated.make("model")
    gated.open("model")
    engine.load(file, model_id="model")
    other = begin("other")
    gated.wait_until_begun("other")
    with ThreadPoolExecutor(1) as pool:
        reloading = pool.submit(engine.reload, "model")
        wait_for(lambda: len(engine.loads.all()) == 2)
        told = engine.loads.all()[1]
        assert (told.model_id, told.state, told.path) == ("model", "waiting", str(file))
        gated.open("other")
        reloading.result(30)
    other.result(30)


def test_closing_the_engine_cancels_them(
    engine: slipstream.Engine, gated: GatedFiles, begin: Begin
) -> None:
    futures = [begin("at_work"), begin("waiting")]
    gated.wait_until_begun("at_work")
    engine.close(0.0)
    for future in futures:
        with pytest.raises(LoadCancelledError):
            future.result(10)
    assert not gated.is_running("at_work")


class TestTurns:
    """By themselves."""

    def test_no_more_than_so_many_at_once(self) -> None:
        loads, lock = Loads(3), threading.Lock()
        now, most = 0, 0

        def work(number: int) -> None:
            nonlocal now, most
            with loads.turn(Load(f"m{number}", "m.onnx", PRIORITIES[number % 3])):
                with lock:
                    now += 1
                    most = max(most, now)
                time.sleep(0.001)
                with lock:
                    now -= 1

        with ThreadPoolExecutor(16) as pool:
            list(pool.map(work, range(100)))
        assert (now, most) == (0, 3) and loads.all() == []

    def test_what_fails_by_itself_keeps_its_reason(self) -> None:
        loads = Loads(1)
        with pytest.raises(ModelLoadError, match="damaged"), loads.turn(Load("m", "m.onnx")):
            raise ModelLoadError("damaged")
        load = Load("m", "m.onnx")
        with pytest.raises(LoadCancelledError), loads.turn(load):
            load.cancel()
            raise ModelLoadError("the child was killed")
        with pytest.raises(KeyError), loads.turn(load := Load("m", "m.onnx")):
            load.cancel()
            raise KeyError("a bug stays one")

    def test_after_the_end_all_are_cancelled(self) -> None:
        loads = Loads(1)
        loads.close()
        with pytest.raises(LoadCancelledError), loads.turn(Load("m", "m.onnx")):
            raise AssertionError("it is nobody's turn")
