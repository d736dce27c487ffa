"""Experiments in process: drawing, counting, comparing, changing beside traffic."""

from __future__ import annotations

import asyncio
import pickle
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
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
from slipstream.drawing import drawn, drawn_by_name
from slipstream.errors import (
    DeadlineExceededError,
    ExperimentNotFoundError,
    InvalidInputError,
    ModelAlreadyLoadedError,
    ModelInUseError,
    ModelNotFoundError,
    SlipstreamError,
    UnavailableError,
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
WEIGHTS = st.lists(st.floats(0, 1e6), min_size=1, max_size=8).filter(lambda each: sum(each) > 0)


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


Another = Callable[..., AbstractContextManager[slipstream.Engine]]


@pytest.fixture
def another(engine: slipstream.Engine, tmp_path: Path) -> Another:
    """Starts another engine with these models of its own; what was made of them is shared."""

    @contextmanager
    def started(*names: str) -> Iterator[slipstream.Engine]:
        with slipstream.Engine(state_dir=engine.settings.state_dir) as other:
            for name in names:
                (tmp_path / f"{name}.pkl").write_bytes(pickle.dumps(REGRESSORS[name]))
                other.load(tmp_path / f"{name}.pkl", model_id=name)
            yield other

    return started


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


def chi_square(counts: list[int], weights: list[float]) -> float:
    total, whole = sum(counts), sum(weights)
    expected = [total * weight / whole for weight in weights]
    return sum((n - e) ** 2 / e for n, e in zip(counts, expected, strict=True) if e > 0)


class TestDrawing:
    WEIGHTS_OF_FOUR = [1.0, 2.0, 0.0, 5.0]  # noqa: RUF012
    LIMIT = 13.8
    """Chi-square of two degrees of freedom exceeds it once in a thousand seeds."""

    def test_chance_follows_the_weights(self) -> None:
        random.seed(20261129)
        found = Counter(drawn(self.WEIGHTS_OF_FOUR, None) for _ in range(20_000))
        counts = [found[place] for place in range(4)]
        assert counts[2] == 0
        assert chi_square(counts, self.WEIGHTS_OF_FOUR) < self.LIMIT

    def test_keys_follow_the_weights(self) -> None:
        names = ["a", "b", "c", "d"]
        found = Counter(
            drawn_by_name(names, self.WEIGHTS_OF_FOUR, f"user-{number}", "checkout")
            for number in range(20_000)
        )
        counts = [found[place] for place in range(4)]
        assert counts[2] == 0
        assert chi_square(counts, self.WEIGHTS_OF_FOUR) < self.LIMIT

    def test_experiments_draw_independently(self) -> None:
        both = Counter(
            (
                drawn_by_name(["a", "b"], [1, 1], f"user-{number}", "one"),
                drawn_by_name(["a", "b"], [1, 1], f"user-{number}", "two"),
            )
            for number in range(4_000)
        )
        assert chi_square(list(both.values()), [1.0] * 4) < 16.3, "three degrees of freedom"

    @given(WEIGHTS, st.text(max_size=20))
    def test_only_what_has_weight_is_drawn(self, weights: list[float], key: str) -> None:
        names = [f"m{place}" for place in range(len(weights))]
        assert weights[drawn_by_name(names, weights, key, "x")] > 0

    @given(WEIGHTS, st.text(max_size=20), st.randoms(use_true_random=False))
    def test_order_and_scale_mean_nothing(
        self, weights: list[float], key: str, shuffler: random.Random
    ) -> None:
        named = [(f"m{place}", weight) for place, weight in enumerate(weights)]
        before = named[drawn_by_name(*zip(*named, strict=True), key, "x")]  # type: ignore[arg-type]
        shuffler.shuffle(named)
        names, scaled = [name for name, _ in named], [weight * 4 for _, weight in named]
        assert names[drawn_by_name(names, scaled, key, "x")] == before[0]

    @given(WEIGHTS, st.integers(0, 7), st.floats(1, 100), st.text(max_size=20))
    def test_keys_move_only_to_who_gained(
        self, weights: list[float], place: int, factor: float, key: str
    ) -> None:
        place %= len(weights)
        names = [f"m{number}" for number in range(len(weights))]
        before = drawn_by_name(names, weights, key, "x")
        grown = [w * factor if at == place else w for at, w in enumerate(weights)]
        assert drawn_by_name(names, grown, key, "x") in (before, place)

    def test_few_keys_move(self) -> None:
        keys = [f"user-{number}" for number in range(5_000)]
        before = [drawn_by_name(["a", "b"], [9, 1], key, "x") for key in keys]
        after = [drawn_by_name(["a", "b"], [8, 2], key, "x") for key in keys]
        moved = sum(one != other for one, other in zip(before, after, strict=True))
        assert 400 < moved < 600, "a tenth, seven deviations either way"


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

    def test_closing_the_engine_ends_the_thread(self, another: Another, tmp_path: Path) -> None:
        before = set(threading.enumerate())
        with another("linear", "ridge") as engine:
            experiment = engine.experiments.set("exp", {"linear": 1}, {"ridge": 1})
            experiment.predict(X)
            assert "slipstream-shadows" in {one.name for one in threading.enumerate()}
        assert set(threading.enumerate()) <= before
        with pytest.raises(UnavailableError, match="not loaded"):
            experiment.predict(X)


class TestKeeping:
    def test_over_a_restart(self, another: Another, tmp_path: Path) -> None:
        file = tmp_path / "state" / "experiments.json"
        with another("linear", "ridge") as other:
            other.experiments.keep_in(file)
            first = other.experiments.set("exp", {"linear": 3, "ridge": 1}, {"ridge": 0.5})
            other.experiments.set("gone", {"linear": 1})
            other.experiments.end("gone")
        assert [one.name for one in file.parent.iterdir()] == [file.name]
        with another() as other:
            other.experiments.keep_in(file)
            (again,) = other.experiments.all()
            assert (again.model_id, again.definition) == ("exp", first.definition)
            assert again.created_at == first.created_at
            with pytest.raises(UnavailableError, match="a variant of experiment 'exp'") as caught:
                again.predict(X)
            assert caught.value.details["model_id"] in ("linear", "ridge")
            with pytest.raises(ModelAlreadyLoadedError):
                other.load(tmp_path / "ridge.pkl", model_id="exp")
            for name in ("linear", "ridge"):
                other.load(tmp_path / f"{name}.pkl", model_id=name)
            assert len(again.predict(X)) == len(X)

    @pytest.mark.parametrize(
        "content",
        [b"", b"{", b'{"experiments": 1}', b'{"experiments": {"x": {"definition": '
         b'{"variants": []}, "created_at": 1, "changed_at": 1}}}'],
    )  # fmt: skip
    def test_a_damaged_file_is_set_aside(self, tmp_path: Path, content: bytes) -> None:
        file = tmp_path / "experiments.json"
        file.write_bytes(content)
        with slipstream.Engine(state_dir=tmp_path / "state") as engine:
            engine.experiments.keep_in(file)
            assert engine.experiments.all() == []
        assert (tmp_path / "experiments.json.damaged").read_bytes() == content

    def test_what_cannot_be_written_down_is_not_done(
        self, another: Another, tmp_path: Path
    ) -> None:
        (tmp_path / "in-the-way").write_text("")
        with another("linear", "ridge") as engine:
            kept = engine.experiments.set("kept", {"linear": 1})
            engine.experiments.keep_in(tmp_path / "in-the-way" / "experiments.json")
            before = kept.plan
            for change in (
                lambda: engine.experiments.set("new", {"linear": 1}),
                lambda: engine.experiments.set("kept", {"ridge": 1}),
                lambda: engine.experiments.end("kept"),
            ):
                with pytest.raises(UnavailableError, match="cannot be written"):
                    change()
            assert engine.experiments.all() == [kept]
            assert kept.plan is before


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
