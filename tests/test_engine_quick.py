"""The short way from an array to an answer gives what the long way gives, and only where it may."""

from __future__ import annotations

import gc
import pickle
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier

import slipstream
from slipstream import _engine
from slipstream.errors import InvalidInputError

X, Y = load_breast_cancer(return_X_y=True)
ROW = X[:1]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[slipstream.Engine]:
    with slipstream.Engine(state_dir=tmp_path_factory.mktemp("state")) as engine:
        yield engine


@pytest.fixture(scope="module")
def forest(engine: slipstream.Engine, tmp_path_factory: pytest.TempPathFactory) -> slipstream.Model:
    """Names for labels; takes no missing values."""
    labels = np.array(["malignant", "benign"])[Y]
    file = tmp_path_factory.mktemp("models") / "forest.pkl"
    file.write_bytes(pickle.dumps(GradientBoostingClassifier(n_estimators=10).fit(X, labels)))
    return warmed(engine.load(file), ROW)


@pytest.fixture(scope="module")
def boosted(engine: slipstream.Engine, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Numbers for labels; takes missing values."""
    file = tmp_path_factory.mktemp("models") / "boosted.pkl"
    file.write_bytes(pickle.dumps(HistGradientBoostingClassifier(max_iter=20).fit(X, Y)))
    return warmed(engine.load(file), ROW)


def warmed(model: slipstream.Model, row: Any) -> slipstream.Model:
    """Models run on the caller's thread once they are known to be quick."""
    for _ in range(20):
        model.predict(row)
    return model


def quick(model: slipstream.Model, x: Any) -> tuple[Any, Any]:
    return model.version.quick_predictions(x), model.version.quick_probabilities(x)


def long(model: slipstream.Model, x: Any) -> tuple[Any, Any]:
    """An option of any kind takes the long way."""
    return model.predict(x, priority=0), model.predict_proba(x, priority=0)


def assert_same(answers: tuple[Any, Any], expected: tuple[Any, Any]) -> None:
    for answer, other in zip(answers, expected, strict=True):
        assert type(answer) is type(other) is np.ndarray
        assert answer.dtype == other.dtype and answer.shape == other.shape
        assert answer.tobytes() == other.tobytes() or (answer == other).all()


@pytest.mark.parametrize("rows", [1, 3, 16])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_both_ways_answer_the_same(forest, boosted, rows, dtype):
    x = X[:rows].astype(dtype)
    for model in (forest, boosted):
        for _ in range(8):  # this many rows have to be known to be quick, too
            model.predict(x, priority=0)
        assert_same(quick(model, x), long(model, x))


def test_it_is_the_way_that_predict_takes(boosted):
    before = boosted.metrics().inference_count
    answer = boosted.predict_proba(ROW)
    assert boosted.metrics().inference_count == before + 1
    assert answer.tolist() == boosted.predict_proba(ROW, priority=0).tolist()


def test_missing_values_are_answered_or_refused_as_by_the_estimator(forest, boosted):
    row = ROW.copy()
    row[0, 3] = np.nan
    assert_same(quick(boosted, row), long(boosted, row))
    for value in (np.nan, np.inf, -np.inf):
        for dtype in (np.float64, np.float32):
            row = ROW.astype(dtype)
            row[0, 3] = value
            assert quick(forest, row) == (None, None)
            with pytest.raises(InvalidInputError, match="NaN or infinity"):
                forest.predict(row)


@pytest.mark.parametrize(
    "x",
    [
        ROW.tolist(),
        np.asfortranarray(X[:3]),
        X[:6:2],
        X[0],
        X[:1, :5].copy(),
        X[:1].astype(np.int64),
        X[:1].astype(">f8"),
        np.ma.masked_array(ROW),
        np.empty((0, 30)),
        None,
        "a row",
    ],
)
def test_everything_else_is_left_to_the_long_way(boosted, x):
    assert quick(boosted, x) == (None, None)


def test_unaligned_rows_are_left_to_the_long_way(boosted):
    memory = np.zeros(ROW.nbytes + 1, np.uint8)
    memory[1:] = np.frombuffer(ROW.tobytes(), np.uint8)
    row = memory[1:].view(np.float64).reshape(ROW.shape)
    assert quick(boosted, row) == (None, None)
    assert_same((boosted.predict(row), boosted.predict_proba(row)), long(boosted, ROW))


def test_what_does_not_fit_is_still_refused_with_what_is_wrong(boosted):
    with pytest.raises(InvalidInputError, match="30"):
        boosted.predict(X[:1, :5].copy())
    with pytest.raises(InvalidInputError, match="at least one"):
        boosted.predict(np.empty((0, 30)))


def test_answers_are_the_callers_own(boosted):
    first = boosted.version.quick_probabilities(ROW)
    kept = first.copy()
    second = boosted.version.quick_probabilities(X[40:41])
    assert (first == kept).all() and not np.shares_memory(first, second)
    first[:] = 7
    assert (boosted.predict_proba(ROW) == kept).all()


def test_threads_get_their_own_answers(boosted):
    expected = boosted.predict_proba(X, priority=0)
    wrong: list[int] = []

    def ask(first: int) -> None:
        for _ in range(20):
            own = range(first, len(X), 4)
            answers = [boosted.predict_proba(X[row : row + 1])[0] for row in own]
            wrong.extend(
                row for row, a in zip(own, answers, strict=True) if (a != expected[row]).any()
            )

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_model_that_is_not_idle_is_left_to_its_queue(tmp_path):
    """A closed one too: the long way says so."""
    file = tmp_path / "boosted.pkl"
    file.write_bytes(pickle.dumps(HistGradientBoostingClassifier(max_iter=5).fit(X, Y)))
    engine = slipstream.Engine(state_dir=tmp_path / "state")
    model = warmed(engine.load(file), ROW)
    short = model.version.quick_predictions
    assert short(ROW) is not None
    engine.close()
    assert short(ROW) is None


def test_models_of_several_inputs_have_no_quick_call(engine, boosted):
    with pytest.raises(ValueError, match="that output"):
        _engine.QuickCall(boosted.version.core, 9, 1, True)


def test_large_inputs_are_left_to_the_long_way(boosted, tmp_path: Path):
    many = np.repeat(X, 2, axis=0)
    assert quick(boosted, many) == (None, None)
    assert len(boosted.predict(many)) == len(many)


def test_a_quick_call_may_hold_the_last_share_of_a_model(tmp_path):
    file = tmp_path / "boosted.pkl"
    file.write_bytes(pickle.dumps(HistGradientBoostingClassifier(max_iter=5).fit(X, Y)))
    engine = slipstream.Engine(state_dir=tmp_path / "state")
    model = warmed(engine.load(file, model_id="last"), ROW)
    short = model.version.quick_predictions
    expected = model.predict(ROW).tolist()
    del engine, model
    gc.collect()
    assert short(ROW).tolist() == expected
    assert _workers_of("last")
    del short  # ends the workers
    gc.collect()
    assert not _workers_of("last")


def _workers_of(name: str) -> list[Path]:
    return [t for t in Path("/proc/self/task").iterdir() if _name_of(t).endswith(f"-{name}\n")]


def _name_of(task: Path) -> str:
    try:
        return (task / "comm").read_text()
    except OSError:  # it has ended meanwhile
        return ""
