"""The autoscaler on an engine: instances under real load, models that nobody asks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import slipstream
from network_models import digits, write_digits
from slipstream.api import Model
from slipstream.api.placement import Placement
from slipstream.autoscale.controller import Autoscaler, limits_of
from slipstream.errors import InvalidInputError
from slipstream.models.declared import Declared

PATIENCE_S = 60.0
SLOW = """
import time
import numpy as np

class Slow:
    def predict(self, rows):
        time.sleep(0.03)
        return rows[:, 0] * 2

ENTRY = Slow
"""


def eventually(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.02)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[slipstream.Engine]:
    with slipstream.Engine(
        state_dir=tmp_path / "state", allow_custom_code=True, max_workers=6
    ) as engine:
        yield engine


@pytest.fixture
def slow(engine: slipstream.Engine, tmp_path: Path) -> Model:
    (tmp_path / "slow.py").write_text(SLOW)
    declared = Declared(max_instances=3, batching=False)
    return engine.load(tmp_path / "slow.py", instances=1, declared=declared)


def test_a_model_whose_requests_wait_gets_more(engine: slipstream.Engine, slow: Model) -> None:
    stop = threading.Event()

    def ask(value: float) -> bool:
        rows = np.array([[value]])
        right = True
        while not stop.is_set():
            right &= slow.predict(rows).tolist() == [2 * value]
        return right

    with Autoscaler(engine, period_s=0.1) as scaler, ThreadPoolExecutor(12) as callers:
        asking = [callers.submit(ask, float(number)) for number in range(12)]
        try:
            eventually(lambda: slow.version.core.instances == 3)
        finally:
            stop.set()
        assert all(one.result() for one in asking)
        actions = [one for one in scaler.actions() if one.model_id == slow.model_id]
    assert [one.instances for one in actions] == [2, 3]
    assert all("wait" in one.reason for one in actions)
    assert scaler.failure is None and not scaler.is_running


def test_a_model_without_bounds_stays_as_it_is(engine: slipstream.Engine, tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(SLOW)
    model = engine.load(tmp_path / "slow.py", instances=1)
    with Autoscaler(engine, period_s=0.05) as scaler, ThreadPoolExecutor(8) as callers:
        rows = np.array([[1.0]])
        list(callers.map(lambda _: model.predict(rows), range(120)))
        assert scaler.actions() == []
    assert model.version.core.instances == 1


def test_a_model_that_nobody_asks_rests_and_comes_back_once(
    engine: slipstream.Engine, tmp_path: Path
) -> None:
    write_digits(tmp_path / "net.onnx")
    declared = Declared(idle_unload_s=0.2)
    model = engine.load(tmp_path / "net.onnx", declared=declared, pinned=True)
    with Autoscaler(engine, period_s=0.05) as scaler:
        eventually(lambda: model.is_resting and bool(scaler.actions()))
        assert scaler.actions()[-1].instances == 0
        assert "no request" in scaler.actions()[-1].reason
    rows = digits()[0][:1]
    with ThreadPoolExecutor(8) as callers:
        answers = list(callers.map(lambda _: model.predict(rows)["label"].tolist(), range(8)))
    assert all(answer == answers[0] for answer in answers)
    assert not model.is_resting


def test_the_setting_leaves_pinned_models_alone(tmp_path: Path) -> None:
    file, other = tmp_path / "net.onnx", tmp_path / "other.onnx"
    write_digits(file)
    write_digits(other)
    with slipstream.Engine(state_dir=tmp_path / "state", idle_unload_s=0.2) as engine:
        pinned, free = engine.load(file, pinned=True), engine.load(other)
        with Autoscaler(engine, period_s=0.05):
            eventually(lambda: free.is_resting)
            assert not pinned.is_resting


def test_instances_are_set_within_what_all_models_may_have(
    engine: slipstream.Engine, slow: Model, tmp_path: Path
) -> None:
    write_digits(tmp_path / "net.onnx")
    other = engine.load(tmp_path / "net.onnx", instances=3)
    assert engine.set_instances(slow, 5) == 3  # six in all
    assert engine.set_instances(other, 1) == 1
    assert engine.set_instances(slow, 5) == 5
    with pytest.raises(InvalidInputError, match="1 to 6"):
        engine.set_instances(slow, 0)
    assert slow.predict(np.array([[4.0]])).tolist() == [8.0]


@pytest.mark.parametrize(
    ("least", "most", "devices", "expected"),
    [
        *((None, 4, (), (1, 4)), (None, 4, (0, 1), (2, 4)), (None, 1, (0, 1), (1, 1))),
        *((1, 4, (0, 1), (1, 4)), (3, 4, (0, 1), (3, 4))),
    ],
)
def test_every_gpu_keeps_an_instance_unless_somebody_said_otherwise(
    least: int | None, most: int, devices: tuple[int, ...], expected: tuple[int, int]
) -> None:
    declared = Declared(min_instances=least, max_instances=most)
    model: Any = SimpleNamespace(declared=declared, placement=Placement(devices))
    assert limits_of(model) == expected
