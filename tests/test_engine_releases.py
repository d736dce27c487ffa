"""What an engine lets go of is gone at once, whoever still holds the Python objects."""

from __future__ import annotations

import gc
import pickle
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from sklearn.datasets import load_iris
from sklearn.neighbors import KNeighborsClassifier

import slipstream
from slipstream.errors import UnavailableError


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Nothing may wait for a collection to find a cycle: an idle server makes none for hours."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def workers() -> list[int]:
    """Processes that run models."""
    return [child.pid for child in psutil.Process().children(recursive=True) if is_worker(child)]


def is_worker(child: psutil.Process) -> bool:
    try:
        return "slipstream.worker" in child.cmdline()
    except psutil.NoSuchProcess:  # one of another test, which nobody has waited for yet
        return False


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "nearest.pkl"
    file.write_bytes(pickle.dumps(KNeighborsClassifier(3).fit(*load_iris(return_X_y=True))))
    return file


@pytest.mark.parametrize(
    "end",
    [
        lambda engine: engine.unload("nearest"),
        lambda engine: engine.reload("nearest"),
        lambda engine: engine.close(),
    ],
    ids=["unload", "reload", "close"],
)
def test_the_child_process_ends_with_its_version(
    end: Callable[[slipstream.Engine], object], file: Path, tmp_path: Path, no_collector: None
) -> None:
    before = workers()
    with slipstream.Engine(state_dir=tmp_path / "state") as engine:
        model = engine.load(file, model_id="nearest", compile_model=False)
        rows = load_iris().data[:5]
        answers = model.predict(rows)
        (child,) = set(workers()) - set(before)
        end(engine)
        assert child not in workers()
        if "nearest" in [one.model_id for one in engine.models()]:
            assert model.predict(rows).tolist() == answers.tolist()
        else:
            with pytest.raises(UnavailableError):
                model.predict(rows)
        assert model.metrics().inference_count == 1


HANGING = """
import time

class Hanging:
    def predict(self, rows):
        time.sleep(float(rows[0, 0]))
        return rows[:, 0]

ENTRY = Hanging
"""


@pytest.mark.parametrize("end", ["unload", "reload", "restart"])
def test_who_drains_does_not_wait_for_a_worker_that_hangs(end: str, tmp_path: Path) -> None:
    """Its request ends with the drain, not with ``EXECUTE_TIMEOUT_MS``, and its worker too."""
    (tmp_path / "hanging.py").write_text(HANGING)
    before = set(workers())
    with slipstream.Engine(
        state_dir=tmp_path / "state", allow_custom_code=True, drain_timeout_s=0.2
    ) as engine:
        model = engine.load(tmp_path / "hanging.py", model_id="hanging")
        model.predict([[0.0]])
        (child,) = set(workers()) - before
        future = model.submit([[600.0]])
        while model.metrics().queue_depth > 0:
            time.sleep(0.01)
        time.sleep(0.1)
        engine.restart() if end == "restart" else getattr(engine, end)("hanging")
        error = future.exception(timeout=30)
        assert isinstance(error, UnavailableError)
        assert "SIGKILL" in str(error) and "'hanging'" in str(error)
        assert child not in workers()
        if end != "unload":
            assert model.predict([[0.0]]).tolist() == [0.0]
