"""The Python facade: loading, predicting from threads, futures and coroutines, and clear errors."""

from __future__ import annotations

import asyncio
import gc
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression
from sklearn.neighbors import KNeighborsClassifier

import slipstream
from slipstream.errors import (
    AmbiguousModelError,
    DeadlineExceededError,
    InvalidInputError,
    ModelAlreadyLoadedError,
    ModelLoadError,
    ModelNotFoundError,
    QueueFullError,
    SlipstreamError,
    UnavailableError,
)
from slipstream.settings import SettingsError

SLOW_MODEL = """
import time
import numpy as np

class Slow:
    def predict(self, x):
        time.sleep(float(x[0, 0]))
        return np.asarray(x)[:, 0]

ENTRY = Slow
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    x, y = load_breast_cancer(return_X_y=True)
    labels = np.array(["malignant", "benign"])[y]
    forest = RandomForestClassifier(10, random_state=0).fit(x, labels)
    (folder / "forest.pkl").write_bytes(pickle.dumps(forest))
    (folder / "knn.pkl").write_bytes(pickle.dumps(KNeighborsClassifier(3).fit(x, y)))
    line = LinearRegression().fit(*load_diabetes(return_X_y=True))
    (folder / "line.pkl").write_bytes(pickle.dumps(line))
    (folder / "slow.py").write_text(SLOW_MODEL)
    return folder


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[slipstream.Engine]:
    state = tmp_path_factory.mktemp("state")
    with slipstream.Engine(state_dir=state, allow_custom_code=True) as engine:
        yield engine


@pytest.fixture(scope="module")
def forest(engine: slipstream.Engine, folder: Path) -> slipstream.Model:
    return engine.load(folder / "forest.pkl", model_id="forest")


@pytest.fixture(scope="module")
def slow(engine: slipstream.Engine, folder: Path) -> slipstream.Model:
    return engine.load(folder / "slow.py", model_id="slow")


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    return load_breast_cancer().data


def original(folder: Path, name: str):
    return pickle.loads((folder / name).read_bytes())


def test_answers_have_the_estimators_dtype_and_shape(forest, folder, rows):
    expected = original(folder, "forest.pkl")
    np.testing.assert_array_equal(forest.predict(rows), expected.predict(rows))
    assert forest.predict(rows).dtype == expected.predict(rows).dtype
    got = forest.predict_proba(rows)
    np.testing.assert_allclose(got, expected.predict_proba(rows), atol=1e-12)
    assert got.dtype == expected.predict_proba(rows).dtype
    assert forest.classes == ("benign", "malignant")
    assert (forest.compiled, forest.backend, forest.reason) == (True, "forest", None)


def test_a_model_without_converter_runs_as_it_is_and_says_why(engine, folder, rows):
    model = engine.load(folder / "knn.pkl", compile_model=False)
    assert (model.compiled, model.backend) == (False, "process")
    assert "compile_model" in model.reason
    np.testing.assert_array_equal(
        model.predict(rows[:50]), original(folder, "knn.pkl").predict(rows[:50])
    )
    engine.unload(model.model_id)


def test_any_array_like_is_accepted_and_fortran_order_answers_the_same(forest, rows):
    expected = forest.predict_proba(rows[:8])
    reversed_twice = rows[7::-1][::-1]
    strided = np.repeat(rows[:8], 2, axis=0)[::2]
    for x in (rows[:8].tolist(), np.asfortranarray(rows[:8]), reversed_twice, strided):
        np.testing.assert_array_equal(forest.predict_proba(x), expected)


def test_contiguous_input_is_not_copied(forest, rows):
    from slipstream.engine.inputs import inputs_from

    x = np.ascontiguousarray(rows[:4])
    [seen] = inputs_from(forest.signature, x).arrays()
    assert np.shares_memory(seen, x)
    [copied] = inputs_from(forest.signature, x.astype(np.float32)).arrays()
    assert copied.dtype == np.float64


def test_outputs_outlive_engine_and_model(tmp_path, folder, rows):
    with slipstream.Engine(state_dir=tmp_path) as engine:
        answer = engine.load(folder / "line.pkl").predict(load_diabetes().data)
    gc.collect()
    expected = original(folder, "line.pkl").predict(load_diabetes().data)
    np.testing.assert_allclose(answer, expected, rtol=1e-9)


def test_threads_get_their_own_answers(forest, folder, rows):
    expected = original(folder, "forest.pkl").predict_proba(rows)
    failures = []

    def ask(first: int) -> None:
        for begin in range(first, 400, 8):
            size = 1 + begin % 5
            got = forest.predict_proba(rows[begin : begin + size], priority=begin % 11)
            if not np.allclose(got, expected[begin : begin + size], atol=1e-12):
                failures.append(begin)

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_futures(forest, folder, rows):
    futures = [forest.submit(rows[i : i + 3], priority="high") for i in range(0, 90, 3)]
    got = np.concatenate([future.result(10) for future in futures])
    np.testing.assert_array_equal(got, original(folder, "forest.pkl").predict(rows[:90]))
    proba = forest.submit(rows[:2], probabilities=True).result(10)
    assert proba.shape == (2, 2)


def test_coroutines_on_several_loops(forest, folder, rows):
    async def ask():
        return await asyncio.gather(*(forest.predict_async(rows[i : i + 2]) for i in range(50)))

    expected = original(folder, "forest.pkl").predict(rows)
    for _ in range(3):
        for i, answer in enumerate(asyncio.run(ask())):
            np.testing.assert_array_equal(answer, expected[i : i + 2])


def test_a_late_request_ends_with_a_timeout(slow):
    with pytest.raises(DeadlineExceededError):
        slow.predict([[0.5]], timeout_ms=50)
    assert slow.predict([[0.0]], timeout_ms=5000).tolist() == [0.0]


def test_cancelling_a_future_withdraws_the_request(slow):
    running = slow.submit([[0.3]])
    queued = slow.submit([[0.0]])
    assert queued.cancel()
    with pytest.raises(CancelledError):
        queued.result(5)
    assert running.result(5).tolist() == [0.3]


def test_cancelling_a_coroutine_withdraws_the_request(slow):
    async def ask():
        running = asyncio.ensure_future(slow.predict_async([[0.2]]))
        queued = asyncio.ensure_future(slow.predict_async([[0.0]]))
        await asyncio.sleep(0.02)
        queued.cancel()
        await asyncio.gather(queued, return_exceptions=True)
        return queued.cancelled(), (await running).tolist()

    assert asyncio.run(ask()) == (True, [0.2])


def test_a_full_queue_is_refused_and_loses_nothing(slow):
    first = slow.submit([[0.3]])
    accepted = []
    with pytest.raises(QueueFullError):
        while len(accepted) < 5000:
            accepted.append(slow.submit([[0.0]]))
    for future in accepted[10:]:
        future.cancel()
    assert first.result(10).tolist() == [0.3]
    assert all(future.result(10).tolist() == [0.0] for future in accepted[:10])


@pytest.mark.parametrize(
    ("x", "says"),
    [
        ([1.0, 2.0, 3.0], "flat"),
        ([[1.0, 2.0]], "30"),
        (np.zeros((0, 30)), "no rows"),
        ([["a"] * 30], "float64"),
        ([[1.0] * 30, [1.0] * 29], "float64"),
        (np.zeros((1, 30), np.complex128), "complex128"),
        (None, "float64"),
    ],
    ids=["flat", "width", "empty", "text", "ragged", "complex", "none"],
)
def test_bad_data_is_refused_with_what_is_wrong(forest, x, says):
    with pytest.raises(InvalidInputError, match=says):
        forest.predict(x)


@pytest.mark.parametrize(
    "options",
    [
        {"priority": 11},
        {"priority": "asap"},
        {"timeout_ms": 0},
        {"timeout_ms": -1},
        {"timeout_ms": float("nan")},
        {"batch_size": 0},
    ],
    ids=str,
)
def test_bad_options_are_refused(forest, rows, options):
    with pytest.raises(InvalidInputError):
        forest.predict(rows[:1], **options)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_the_estimator_refuses_is_refused_when_compiled(engine, folder, value):
    data = load_diabetes().data[:2].copy()
    data[1, 3] = value
    with pytest.raises(ValueError, match=r"NaN|infinity"):
        original(folder, "line.pkl").predict(data)
    model = engine.load(folder / "line.pkl")
    with pytest.raises(InvalidInputError, match="NaN or infinity"):
        model.predict(data)
    engine.unload(model.model_id)


def test_a_forked_child_is_told_to_make_its_own_engine(forest, rows):
    child = os.fork()
    if child == 0:
        try:
            forest.predict(rows[:1])
        except UnavailableError as error:
            os._exit(0 if "fork" in error.message else 1)
        os._exit(2)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0


def test_probabilities_of_a_regression_are_refused(engine, folder):
    model = engine.load(folder / "line.pkl")
    with pytest.raises(InvalidInputError, match="no probabilities"):
        model.predict_proba(load_diabetes().data[:1])
    engine.unload(model.model_id)


def test_models_are_found_by_id(engine, forest, slow, folder):
    assert engine.get("forest") is forest
    with pytest.raises(ModelNotFoundError) as caught:
        engine.get("oak")
    assert "forest" in caught.value.details["available_models"]
    with pytest.raises(AmbiguousModelError):
        engine.get()
    with pytest.raises(ModelAlreadyLoadedError) as again:
        engine.load(folder / "forest.pkl")
    assert again.value.details["model_id"] == "forest"
    with pytest.raises(ModelAlreadyLoadedError):
        engine.load(folder / "line.pkl", model_id="forest")


def test_reload_swaps_the_model_under_traffic(tmp_path, folder, rows):
    x, y = load_breast_cancer(return_X_y=True)
    file = tmp_path / "model.pkl"
    versions = [RandomForestClassifier(5, random_state=seed).fit(x, y) for seed in (1, 2)]
    answers = [version.predict_proba(rows) for version in versions]
    assert not np.array_equal(*answers)
    file.write_bytes(pickle.dumps(versions[0]))
    with slipstream.Engine(state_dir=tmp_path / "state") as engine:
        model = engine.load(file)
        stop, wrong = threading.Event(), []

        def ask() -> None:
            while not stop.is_set():
                got = model.predict_proba(rows)
                if not any(np.allclose(got, answer, atol=1e-12) for answer in answers):
                    wrong.append(got)

        thread = threading.Thread(target=ask)
        thread.start()
        file.write_bytes(pickle.dumps(versions[1]))
        assert engine.reload(model.model_id) is model
        np.testing.assert_allclose(model.predict_proba(rows), answers[1], atol=1e-12)
        stop.set()
        thread.join()
        assert not wrong


def test_a_closed_engine_refuses(tmp_path, folder, rows):
    engine = slipstream.Engine(state_dir=tmp_path)
    model = engine.load(folder / "line.pkl")
    engine.close()
    engine.close()
    with pytest.raises(UnavailableError):
        model.predict(load_diabetes().data[:1])
    with pytest.raises(UnavailableError):
        engine.load(folder / "forest.pkl")


def test_unload_answers_what_was_accepted(engine, folder):
    file = folder / "slow_too.py"
    file.write_text(SLOW_MODEL)
    future = engine.load(file, model_id="slow_too").submit([[0.2]])
    engine.unload("slow_too")
    assert future.result(5).tolist() == [0.2]
    with pytest.raises(ModelNotFoundError):
        engine.unload("slow_too")


@pytest.mark.parametrize("end", ["unload", "reload"])
def test_closing_while_a_model_drains_answers_every_future(end, tmp_path, folder):
    engine = slipstream.Engine(state_dir=tmp_path, allow_custom_code=True)
    model = engine.load(folder / "slow.py", model_id="draining")
    futures = [model.submit([[0.2]]) for _ in range(4)]

    def drain() -> None:
        with suppress(SlipstreamError):  # the engine may be closed before this begins
            getattr(engine, end)("draining")

    draining = threading.Thread(target=drain)
    draining.start()
    engine.close(0.5)
    draining.join()
    for future in futures:
        error = future.exception(timeout=5)
        assert error is None or isinstance(error, UnavailableError)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"max_batch_size": "abc"}, "max_batch_size"),
        ({"max_workers": 0}, "max_workers"),
        ({"model_dirr": "x"}, "model_dir"),
        ({"state_dir": 5}, "state_dir"),
    ],
    ids=str,
)
def test_settings_by_keyword_are_checked(changes, says):
    with pytest.raises(SettingsError, match=says):
        slipstream.Engine(**changes)


def test_settings_by_keyword_may_be_strings(tmp_path, folder):
    with slipstream.Engine(state_dir=str(tmp_path), intra_op_threads=2) as engine:
        model = engine.load(folder / "line.pkl")
        assert model.predict(load_diabetes().data[:2]).shape == (2,)


def test_types_whose_backend_is_not_there_are_named(engine, folder, tmp_path):
    with pytest.raises(ModelLoadError, match="sklearn"):
        engine.load(folder / "line.pkl", "pytorch")
    plan = tmp_path / "network.plan"
    plan.write_bytes(b"ftrt" + bytes(100))
    with pytest.raises(ModelLoadError, match="TensorRT"):  # no backend, no TensorRT, or no GPU
        engine.load(plan, "tensorrt")


def test_an_ensemble_is_what_it_was_said_to_be(engine, folder):
    with pytest.raises(ModelLoadError, match="LinearRegression"):
        engine.load(folder / "line.pkl", ensemble_method="voting")
    assert all(model.model_id != "line" for model in engine.models())


def test_what_is_no_model_is_refused(engine, tmp_path):
    junk = tmp_path / "junk.bin"
    junk.write_bytes(bytes(range(256)) * 16)
    with pytest.raises(ModelLoadError):
        engine.load(junk)
    with pytest.raises(ModelNotFoundError):
        engine.load(tmp_path / "absent.pkl")


def test_importing_slipstream_imports_no_framework():
    script = (
        "import sys, slipstream; "
        "print([n for n in sys.modules if n.split('.')[0] in "
        "{'torch','sklearn','xgboost','lightgbm','onnx','onnxruntime','pandas','tensorflow'}])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_metrics_count_what_happened(engine, folder):
    model = engine.load(folder / "line.pkl", model_id="counted")
    data = load_diabetes().data
    assert model.metrics().last_used is None
    for i in range(5):
        model.predict(data[i : i + 2])
    with pytest.raises(InvalidInputError):
        model.predict([[1.0]])
    counted = model.metrics()
    assert (counted.inference_count, counted.error_count) == (5, 0)
    assert counted.total_inference_time_s > 0
    assert counted.last_used is not None
    engine.unload("counted")
