"""Where lives of models cross: ensembles and experiments beside eviction, reloads and restarts."""

from __future__ import annotations

import asyncio
import json
import pickle
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

import slipstream
from slipstream.api import Body, EncodedAnswer
from slipstream.errors import ModelBusyError, ModelInUseError, ModelLoadError, UnavailableError

MEMBERS = ("a", "b", "c")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small classifiers of wines, and an ensemble that shares three of them."""
    folder = tmp_path_factory.mktemp("lives")
    wine = load_wine()
    for seed, name in enumerate((*MEMBERS, "d", "e", "f")):
        model: Any = (
            DecisionTreeClassifier(max_depth=3 + seed, random_state=seed)
            if seed % 2
            else LogisticRegression(max_iter=5000, C=10.0**-seed)
        )
        (folder / f"{name}.pkl").write_bytes(pickle.dumps(model.fit(wine.data, wine.target)))
    ensemble = {"ensemble_method": "voting", "members": [{"model_id": name} for name in MEMBERS]}
    (folder / "together.json").write_text(json.dumps(ensemble))
    return folder


@pytest.fixture
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[slipstream.Engine]:
    state = tmp_path_factory.getbasetemp() / "lives-state"
    with slipstream.Engine(state_dir=state, model_cache_size=4) as engine:
        yield engine


def load(engine: slipstream.Engine, folder: Path, *names: str) -> None:
    for name in names:
        engine.load(folder / f"{name}.pkl", model_id=name)


def rows() -> Any:
    return load_wine().data[::20]


def test_what_an_ensemble_shares_is_never_evicted(engine: slipstream.Engine, folder: Path) -> None:
    load(engine, folder, *MEMBERS)
    together = engine.load(folder / "together.json", model_id="together")
    expected = together.predict_proba(rows())
    load(engine, folder, "d", "e", "f")
    states = {model.model_id: model.state for model in engine.models()}
    assert {states[name] for name in (*MEMBERS, "together")} == {"loaded"}
    assert states["d"] == states["e"] == "evicted"
    np.testing.assert_array_equal(together.predict_proba(rows()), expected)


def test_an_ensemble_of_models_that_rest(engine: slipstream.Engine, folder: Path) -> None:
    """Bringing one member back must not take another away from the ensemble that is made."""
    load(engine, folder, *MEMBERS, "d", "e", "f")
    assert engine.model("a").state == "evicted"
    together = engine.load(folder / "together.json", model_id="together")
    assert together.predict(rows()).shape == (9,)
    assert {engine.model(name).state for name in MEMBERS} == {"loaded"}


def test_reloads_side_by_side_leave_no_closed_member(
    engine: slipstream.Engine, folder: Path
) -> None:
    load(engine, folder, *MEMBERS)
    together = engine.load(folder / "together.json", model_id="together")
    expected = together.predict_proba(rows())

    def reload(name: str) -> None:
        for _ in range(8):
            try:
                engine.reload(name)
            except (ModelBusyError, ModelInUseError, ModelLoadError, UnavailableError):
                continue  # another was quicker: nothing was changed

    threads = [threading.Thread(target=reload, args=(name,)) for name in (*MEMBERS, "together")]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        np.testing.assert_array_equal(together.predict_proba(rows()), expected)
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(together.predict_proba(rows()), expected)


def test_a_restart_brings_an_ensemble_back_with_its_members(
    engine: slipstream.Engine, folder: Path
) -> None:
    load(engine, folder, *MEMBERS)
    together = engine.load(folder / "together.json", model_id="together")
    expected = together.predict_proba(rows())
    engine.restart()
    np.testing.assert_array_equal(together.predict_proba(rows()), expected)
    assert together.state == "loaded"


def test_tickets_of_variants_are_not_mixed_up(engine: slipstream.Engine, folder: Path) -> None:
    """Two models that rest give the same ticket to whoever waits for them first."""
    load(engine, folder, "a", "b", "c", "d")
    engine.experiments.set("either", {"a": 1.0, "b": 1.0})
    engine.evict(engine.model("a"))
    engine.evict(engine.model("b"))
    data = json.dumps(rows().tolist()).encode()
    results: list[list[EncodedAnswer | Exception]] = [[] for _ in range(8)]

    async def ask() -> None:
        either = engine.get("either")
        tickets = [
            either.start(
                Body("json", data),
                answer="json",
                probabilities=False,
                priority=5,
                timeout_ms=30_000,
                batch_size=None,
                on_done=result.append,
                routing_key=f"user-{number}",
            )
            for number, result in enumerate(results)
        ]
        either.cancel(tickets[-1])
        while not all(results):
            await asyncio.sleep(0.01)

    asyncio.run(ask())
    assert all(isinstance(result[0], EncodedAnswer) for result in results[:-1])
    assert {result[0].variant for result in results[:-1]} == {"a", "b"}  # type: ignore[union-attr]
