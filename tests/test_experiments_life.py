"""Experiments in the life of an engine: kept over restarts, ended with it."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LinearRegression, Ridge

import slipstream
from slipstream.errors import ModelAlreadyLoadedError, UnavailableError

X, Y = load_diabetes(return_X_y=True)
REGRESSORS = {"linear": LinearRegression().fit(X, Y), "ridge": Ridge(alpha=0.1).fit(X, Y)}
Another = Callable[..., AbstractContextManager[slipstream.Engine]]


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("state")


@pytest.fixture
def another(state: Path, tmp_path: Path) -> Another:
    """Starts an engine with these models; what was made of them is shared."""

    @contextmanager
    def started(*names: str) -> Iterator[slipstream.Engine]:
        with slipstream.Engine(state_dir=state) as other:
            for name in names:
                (tmp_path / f"{name}.pkl").write_bytes(pickle.dumps(REGRESSORS[name]))
                other.load(tmp_path / f"{name}.pkl", model_id=name)
            yield other

    return started


def test_closing_the_engine_ends_the_thread(another: Another, tmp_path: Path) -> None:
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
        [
            b"", b"{", b'{"experiments": 1}',
            b'{"experiments": {"x": {"definition": {"variants": []}, '
            b'"created_at": 1, "changed_at": 1}}}',
            b'{"experiments": {"list": {"definition": {"variants": '
            b'[{"model_id": "a", "weight": 1}]}, "created_at": 1, "changed_at": 1}}}',
        ],
    )  # fmt: skip
    def test_a_damaged_file_is_set_aside(self, tmp_path: Path, content: bytes) -> None:
        file = tmp_path / "experiments.json"
        file.write_bytes(content)
        with slipstream.Engine(state_dir=tmp_path / "state") as engine:
            assert engine.experiments.keep_in(file)
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
                with pytest.raises(UnavailableError, match="cannot write its state"):
                    change()
            assert engine.experiments.all() == [kept]
            assert kept.plan is before
