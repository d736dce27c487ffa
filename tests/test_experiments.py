"""Experiments in process: drawing, counting, comparing, changing beside traffic."""

from __future__ import annotations

import asyncio
import pickle
import random
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

import slipstream
from http_models import Gate
from http_server import eventually
from slipstream.api import Experiment
from slipstream.api.definition import MOST_SHADOWS, MOST_VARIANTS
from slipstream.api.experiments import MOST_EXPERIMENTS
from slipstream.api.shadows import MOST_BYTES, MOST_COPIES, Shadows
from slipstream.api.tally import ShadowCounts, ShadowTally
from slipstream.errors import (
    DeadlineExceededError,
    ExperimentNotFoundError,
    InvalidInputError,
    ModelAlreadyLoadedError,
    ModelInUseError,
    ModelNotFoundError,
    SlipstreamError,
)

X, Y = load_diabetes(return_X_y=True)
REGRESSORS = {
    "linear": LinearRegression().fit(X, Y),
    "ridge": Ridge(alpha=0.1).fit(X, Y),
    "stiff": Ridge(alpha=50.0).fit(X, Y),
}
CANCER_X, CANCER_Y = load_breast_cancer(return_X_y=True)
CLASSIFIERS = {
    "logistic": make_pipeline(StandardScaler(), LogisticRegression()).fit(CANCER_X, CANCER_Y),
    "tree": DecisionTreeClassifier(max_depth=2, random_state=0).fit(CANCER_X, CANCER_Y),
}
FAILING = """
class Failing:
    def predict(self, rows):
        raise ValueError("never")

ENTRY = Failing
"""


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[slipstream.Engine]:
    folder = tmp_path_factory.mktemp("experiments")
    with slipstream.Engine(state_dir=folder / "state", allow_custom_code=True) as engine:
        for name, model in {**REGRESSORS, **CLASSIFIERS}.items():
            (folder / f"{name}.pkl").write_bytes(pickle.dumps(model))
            engine.load(folder / f"{name}.pkl", model_id=name)
        (folder / "failing.py").write_text(FAILING)
        engine.load(folder / "failing.py", model_id="failing")
        yield engine


@pytest.fixture(autouse=True)
def no_experiments(engine: slipstream.Engine) -> Iterator[None]:
    yield
    for one in engine.experiments.all():
        engine.experiments.end(one.model_id)
    eventually(lambda: engine.experiments.shadows.in_progress == 0)


def shadow_counts(
    engine: slipstream.Engine, experiment: Experiment, place: int = 0
) -> ShadowCounts:
    """Those of a shadow, once no copy is in progress."""
    eventually(lambda: engine.experiments.shadows.in_progress == 0)
    return experiment.plan.shadows[place][1].counts()


class TestDefinitions:
    @pytest.mark.parametrize(
        ("variants", "shadows"),
        [
            ({}, {}),
            ({"linear": -1}, {}),
            ({"linear": 0, "ridge": 0}, {}),
            ({"linear": float("nan")}, {}),
            ({"linear": float("inf")}, {}),
            ({"linear": 1e308, "ridge": 1e308}, {}),
            ({"linear": 1}, {"ridge": 0}),
            ({"linear": 1}, {"ridge": 1.5}),
            ({"linear": 1}, {"ridge": float("nan")}),
            ({f"m{number}": 1 for number in range(MOST_VARIANTS + 1)}, {}),
            ({"linear": 1}, {f"m{number}": 1 for number in range(MOST_SHADOWS + 1)}),
        ],
        ids=str,
    )
    def test_what_is_not_valid_changes_nothing(
        self, engine: slipstream.Engine, variants: dict[str, float], shadows: dict[str, float]
    ) -> None:
        with pytest.raises(InvalidInputError):
            engine.experiments.set("exp", variants, shadows)
        assert engine.experiments.all() == []

    @pytest.mark.parametrize("name", ["", "a/b", ".x", "-x", "x" * 129, "list"])
    def test_ids(self, engine: slipstream.Engine, name: str) -> None:
        with pytest.raises(InvalidInputError, match="experiment_id"):
            engine.experiments.set(name, {"linear": 1})

    def test_members_are_models_that_are_loaded(self, engine: slipstream.Engine) -> None:
        engine.experiments.set("exp", {"linear": 1})
        with pytest.raises(ModelNotFoundError, match="nobody"):
            engine.experiments.set("other", {"linear": 1}, {"nobody": 1})
        with pytest.raises(InvalidInputError, match="'exp' is an experiment"):
            engine.experiments.set("other", {"exp": 1})

    def test_an_id_is_a_models_or_an_experiments(
        self, engine: slipstream.Engine, tmp_path: Path
    ) -> None:
        with pytest.raises(ModelAlreadyLoadedError, match="taken by a model"):
            engine.experiments.set("linear", {"ridge": 1})
        engine.experiments.set("exp", {"ridge": 1})
        (tmp_path / "more.pkl").write_bytes(pickle.dumps(REGRESSORS["ridge"]))
        with pytest.raises(ModelAlreadyLoadedError, match="taken by an experiment"):
            engine.load(tmp_path / "more.pkl", model_id="exp")

    def test_a_member_is_not_unloaded(self, engine: slipstream.Engine, tmp_path: Path) -> None:
        (tmp_path / "more.pkl").write_bytes(pickle.dumps(REGRESSORS["ridge"]))
        engine.load(tmp_path / "more.pkl", model_id="more")
        engine.experiments.set("exp", {"linear": 1}, {"more": 1})
        with pytest.raises(ModelInUseError) as caught:
            engine.unload("more")
        assert caught.value.details == {"model_id": "more", "experiment_id": "exp"}
        engine.experiments.set("exp", {"linear": 1})
        engine.unload("more")

    def test_there_are_only_so_many(self, engine: slipstream.Engine) -> None:
        for number in range(MOST_EXPERIMENTS):
            engine.experiments.set(f"exp{number}", {"linear": 1})
        with pytest.raises(InvalidInputError, match="as many as there may be"):
            engine.experiments.set("more", {"linear": 1})
        engine.experiments.set("exp0", {"ridge": 1})

    def test_ending(self, engine: slipstream.Engine) -> None:
        engine.experiments.set("exp", {"linear": 1})
        engine.experiments.end("exp")
        with pytest.raises(ExperimentNotFoundError):
            engine.experiments.end("exp")
        with pytest.raises(ExperimentNotFoundError):
            engine.experiments.get("exp")
        with pytest.raises(ModelNotFoundError):
            engine.get("exp")


class TestPredictions:
    def test_each_way_of_asking(self, engine: slipstream.Engine) -> None:
        engine.experiments.set("exp", {"linear": 0, "ridge": 1})
        experiment = engine.get("exp")
        right = REGRESSORS["ridge"].predict(X)
        np.testing.assert_allclose(experiment.predict(X), right, rtol=1e-12)
        np.testing.assert_allclose(experiment.submit(X).result(30), right, rtol=1e-12)
        later = experiment.predict_async(X, routing_key="user", timeout_ms=30_000)
        np.testing.assert_allclose(asyncio.run(later), right, rtol=1e-12)
        assert isinstance(experiment, Experiment)
        unused, used = (tally.counts() for tally in experiment.plan.variants)
        assert (unused.drawn, unused.latency.answers, unused.latency.p50_s) == (0, 0, None)
        assert (used.drawn, used.answered, used.failed, used.latency.answers) == (3, 3, 0, 3)
        assert used.latency.mean_s is not None and used.latency.mean_s > 0
        assert used.latency.p50_s <= used.latency.p95_s <= used.latency.p99_s

    def test_probabilities(self, engine: slipstream.Engine) -> None:
        experiment = engine.experiments.set("exp", {"logistic": 1}, {"tree": 1})
        right = CLASSIFIERS["logistic"].predict_proba(CANCER_X)
        np.testing.assert_allclose(experiment.predict_proba(CANCER_X), right, rtol=1e-6)
        answer = experiment.submit(CANCER_X[:9], probabilities=True).result(30)
        np.testing.assert_allclose(answer, right[:9], rtol=1e-6)
        counts = shadow_counts(engine, experiment)
        assert counts.agreement.numbers == 2 * counts.agreement.rows == 2 * (569 + 9)

    def test_the_express_leaves_them_to_the_general_way(self, engine: slipstream.Engine) -> None:
        engine.experiments.set("exp", {"linear": 1})
        express = engine.predict_route(is_batch=False)

        def answered(**more: str) -> object:
            body = msgspec.json.encode({"data": X[:1].tolist(), **more})
            return express.answer(body, "req_1", "2026-01-01T00:00:00Z", None)

        assert answered(model_id="linear") is not None
        assert answered(model_id="exp") is None
        assert answered(model_id="linear", routing_key="u") is None

    def test_a_key_stays(self, engine: slipstream.Engine) -> None:
        experiment = engine.experiments.set("exp", {"linear": 1, "stiff": 1})
        answers: dict[str, set[float]] = {}
        for key in map(str, range(30)):
            for _ in range(3):
                (value,) = experiment.predict(X[:1], routing_key=key)
                answers.setdefault(key, set()).add(float(value))
        assert all(len(found) == 1 for found in answers.values())
        assert len(set().union(*answers.values())) == 2

    def test_errors_name_the_variant_and_are_counted(self, engine: slipstream.Engine) -> None:
        experiment = engine.experiments.set("exp", {"ridge": 1})
        before = engine.model("ridge").drawn.failed
        for ask in (experiment.predict, experiment.submit):
            with pytest.raises(InvalidInputError) as caught:
                ask([[1.0, 2.0]])
            assert caught.value.details["variant"] == "ridge"
        with pytest.raises(DeadlineExceededError):
            experiment.predict(X, timeout_ms=1e-6)
        counts = experiment.plan.variants[0].counts()
        assert (counts.drawn, counts.answered, counts.failed) == (3, 0, 3)
        assert engine.model("ridge").drawn.failed == before + 3

    def test_replacing_keeps_the_counts_of_who_stays(self, engine: slipstream.Engine) -> None:
        experiment = engine.experiments.set("exp", {"linear": 1}, {"stiff": 1})
        experiment.predict(X[:4])
        assert shadow_counts(engine, experiment).agreement.rows == 4
        assert (
            engine.experiments.set("exp", {"ridge": 0, "linear": 2}, {"stiff": 0.5}) is experiment
        )
        assert experiment.plan.names == ("ridge", "linear")
        assert [tally.counts().drawn for tally in experiment.plan.variants] == [0, 1]
        assert experiment.plan.shadows[0][1].counts().agreement.rows == 4
        engine.experiments.set("exp", {"ridge": 1})
        assert experiment.total.counts().answered == 1, "what has gone stays in the total"


class TestShadows:
    def test_the_answer_is_the_variants(self, engine: slipstream.Engine) -> None:
        experiment = engine.experiments.set("exp", {"linear": 1}, {"stiff": 1, "ridge": 1})
        right, other = REGRESSORS["linear"].predict(X), REGRESSORS["stiff"].predict(X)
        np.testing.assert_allclose(experiment.predict(X), right, rtol=1e-12)
        np.testing.assert_allclose(experiment.submit(X[:3]).result(30), right[:3], rtol=1e-12)
        stiff, ridge = (shadow_counts(engine, experiment, place) for place in (0, 1))
        apart = np.abs(right - other)
        assert stiff.agreement.rows == stiff.agreement.numbers == len(X) + 3
        assert stiff.agreement.max_difference == pytest.approx(apart.max())
        assert stiff.agreement.mean_difference == pytest.approx(
            (apart.sum() + apart[:3].sum()) / (len(X) + 3)
        )
        assert ridge.agreement.max_difference < stiff.agreement.max_difference
        assert (stiff.failed, stiff.dropped, stiff.latency.answers) == (0, 0, 2)

    def test_labels(self, engine: slipstream.Engine) -> None:
        experiment = engine.experiments.set("exp", {"logistic": 1}, {"tree": 1})
        experiment.predict(CANCER_X)
        same = CLASSIFIERS["logistic"].predict(CANCER_X) == CLASSIFIERS["tree"].predict(CANCER_X)
        found = shadow_counts(engine, experiment).agreement
        assert (found.rows, found.agreeing) == (569, same.sum())
        assert found.max_difference is found.mean_difference is None

    def test_what_the_caller_changes_later_is_not_compared(self, engine: slipstream.Engine) -> None:
        experiment = engine.experiments.set("exp", {"linear": 1, "ridge": 0}, {"linear": 1})
        experiment.predict(X)
        assert shadow_counts(engine, experiment).latency.answers == 0, "it answered itself"
        engine.experiments.set("exp", {"ridge": 1}, {"linear": 1})
        rows = X.copy()
        answer = experiment.predict(rows)
        rows[:], answer[:] = 7.0, -1e9
        apart = np.abs(REGRESSORS["ridge"].predict(X) - REGRESSORS["linear"].predict(X))
        found = shadow_counts(engine, experiment).agreement
        assert found.max_difference == pytest.approx(apart.max())

    def test_the_share(self, engine: slipstream.Engine) -> None:
        random.seed(7)
        experiment = engine.experiments.set("exp", {"linear": 1}, {"ridge": 0.25})
        for _ in range(800):
            experiment.predict(X[:1])
        counts = shadow_counts(engine, experiment)
        assert 120 < counts.agreement.rows + counts.dropped < 280, "seven deviations"

    def test_one_that_fails_fails_alone(self, engine: slipstream.Engine) -> None:
        experiment = engine.experiments.set("exp", {"linear": 1}, {"failing": 1, "ridge": 1})
        for _ in range(5):
            experiment.predict(X[:2])
        failing = shadow_counts(engine, experiment)
        assert (failing.failed, failing.agreement.rows, failing.latency.answers) == (5, 0, 0)
        assert shadow_counts(engine, experiment, 1).agreement.rows == 10
        assert experiment.total.counts().failed == 0

    def test_a_request_that_fails_has_no_copy(self, engine: slipstream.Engine) -> None:
        experiment = engine.experiments.set("exp", {"linear": 1}, {"ridge": 1})
        with pytest.raises(InvalidInputError):
            experiment.predict([[1.0]])
        counts = shadow_counts(engine, experiment)
        assert (counts.failed, counts.dropped, counts.latency.answers) == (0, 0, 0)

    def test_one_that_hangs_holds_up_nothing(
        self, engine: slipstream.Engine, tmp_path: Path
    ) -> None:
        gate = Gate(tmp_path, "gate")
        engine.load(gate.file, model_id="gate")
        gate.close()
        experiment = engine.experiments.set("exp", {"linear": 1}, {"gate": 1})
        rows = np.zeros((1, 10))
        for _ in range(MOST_COPIES + 20):
            experiment.predict(rows)
        assert engine.experiments.shadows.in_progress == MOST_COPIES
        assert experiment.plan.shadows[0][1].counts().dropped == 20
        gate.open()
        counts = shadow_counts(engine, experiment)
        assert (counts.latency.answers, counts.agreement.rows) == (MOST_COPIES, MOST_COPIES)
        engine.experiments.end("exp")
        engine.unload("gate")

    def test_bodies_in_memory_are_bounded(self) -> None:
        shadows, tally = Shadows(), ShadowTally("x")
        first = shadows.take(tally, MOST_BYTES, lambda: pytest.fail("not begun"))
        assert first is not None
        assert shadows.take(tally, 1, lambda: pytest.fail("no place")) is None
        first.withdraw()
        assert (tally.counts().dropped, shadows.in_progress) == (1, 0)
        shadows.close()
        assert shadows.take(tally, 1, lambda: pytest.fail("closed")) is None


def test_changes_beside_traffic_lose_nothing(engine: slipstream.Engine, tmp_path: Path) -> None:
    """Members come, go and are unloaded; each answer is of one that was there."""
    right = {name: float(model.predict(X[:1])[0]) for name, model in REGRESSORS.items()}
    (tmp_path / "guest.pkl").write_bytes(pickle.dumps(REGRESSORS["stiff"]))
    experiment = engine.experiments.set("exp", {"linear": 1})
    wrong: list[object] = []
    seen: Counter[str] = Counter()
    stop = threading.Event()

    def ask(number: int) -> None:
        found: Counter[str] = Counter()
        while not stop.is_set():
            try:
                key = str(number) if number % 2 else None
                if number < 2:
                    (value,) = experiment.predict(X[:1], routing_key=key)
                else:
                    (value,) = experiment.submit(X[:1], routing_key=key).result(30)
            except SlipstreamError as error:
                wrong.append(error)
                continue
            name = next((one for one, r in right.items() if abs(r - value) < 1e-9), None)
            if name is None:
                wrong.append(value)
            else:
                found[name] += 1
        seen.update(found)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for step in range(12):
        engine.load(tmp_path / "guest.pkl", model_id="guest")
        engine.experiments.set("exp", {"guest": 1 + step, "linear": 1}, {"ridge": 0.1})
        eventually(lambda: experiment.plan.variants[0].counts().answered > 0)
        engine.experiments.set("exp", {"linear": 1, "guest": 3})
        engine.experiments.set("exp", {"linear": 0, "ridge": 2})
        engine.unload("guest")
    stop.set()
    for thread in threads:
        thread.join()
    assert not wrong
    total = experiment.total.counts()
    assert total.drawn == total.answered == seen.total() and total.failed == 0
    assert set(seen) == {"linear", "ridge", "stiff"}
    by_name = dict(zip(experiment.plan.names, experiment.plan.variants, strict=True))
    assert by_name["linear"].counts().answered == seen["linear"]
