"""Every documented kind of model answers as its source library does, by array and by JSON.

Labels are compared exactly, probabilities within 1e-5, regressions within 1e-5 of their spread.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import slipstream
from model_zoo import Trained, zoo
from slipstream.api import Body
from slipstream.errors import SlipstreamError

NAMES = [
    "random_forest_breast_cancer",
    "random_forest_wine",
    "random_forest_digits",
    "gradient_boosting_breast_cancer",
    "gradient_boosting_wine",
    "hist_gradient_boosting_breast_cancer",
    "hist_gradient_boosting_digits",
    "logistic_pipeline_breast_cancer",
    "logistic_pipeline_wine",
    "logistic_pipeline_digits",
    "svc_breast_cancer",
    "knn_wine",
    "mlp_digits",
    "voting_breast_cancer",
    "hard_voting_breast_cancer",
    "stacking_wine",
    "text_columns_penguins",
    "text_forest_penguins",
    "text_hist_gradient_boosting_penguins",
    "ada_boost_wine",
    "calibrated_wine",
    "isolation_forest_wine",
    "xgb_classifier_breast_cancer",
    "xgb_classifier_digits",
    "xgb_regressor_diabetes",
    "xgb_ranker_wine",
    "lgbm_classifier_breast_cancer",
    "lgbm_classifier_digits",
    "lgbm_regressor_diabetes",
    "random_forest_regressor_diabetes",
    "gradient_boosting_regressor_diabetes",
    "hist_gradient_boosting_regressor_diabetes",
]
LOADS_AT_ONCE = 2
"""Converter children side by side: one per core of the smallest machine."""


@pytest.fixture(scope="module")
def loading(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[Any]]]:
    folder = tmp_path_factory.mktemp("zoo")

    def load(engine: slipstream.Engine, name: str) -> slipstream.Model:
        return engine.load(zoo(name).save(folder), model_id=name)

    with (
        slipstream.Engine(state_dir=folder / "state") as engine,
        ThreadPoolExecutor(LOADS_AT_ONCE) as pool,
    ):
        yield {name: pool.submit(load, engine, name) for name in NAMES}


def rows_as_json(rows: Any) -> bytes:
    """As a client would send them: lists of numbers, or objects by column; NaN is null."""
    if hasattr(rows, "to_json"):
        return rows.to_json(orient="records", double_precision=15).encode()
    return json.dumps(np.asarray(rows).tolist()).encode()


def answer_json(model: slipstream.Model, data: bytes, probabilities: bool) -> dict[str, Any]:
    """What the HTTP layer would send for this body."""

    async def ask() -> Any:
        ended: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        model.start(
            Body("json", data),
            answer="json",
            probabilities=probabilities,
            priority=0,
            timeout_ms=60_000,
            batch_size=None,
            on_done=ended.set_result,
        )
        return await ended

    answer = asyncio.run(ask())
    assert not isinstance(answer, SlipstreamError), answer
    return {
        "predictions": json.loads(answer.predictions),
        "probabilities": json.loads(answer.probabilities or b"null"),
        "rows": answer.rows,
    }


def assert_same(got: np.ndarray, expected: np.ndarray) -> None:
    assert got.shape == expected.shape
    if expected.dtype.kind == "f":
        spread = float(expected.max() - expected.min()) or 1.0
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5 * max(spread, 1.0))
    else:
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("name", NAMES)
def test_answers_are_the_source_librarys(name: str, loading: dict[str, Future[Any]]) -> None:
    trained: Trained = zoo(name)
    model: slipstream.Model = loading[name].result()
    if trained.forest is not None:
        assert (model.backend == "forest") is trained.forest, model.reason
    assert model.compiled or model.reason
    expected = np.asarray(trained.model.predict(trained.rows))
    got = model.predict(trained.rows)
    assert got.dtype == expected.dtype
    assert_same(got, expected)
    has_probabilities = hasattr(trained.model, "predict_proba")
    if has_probabilities:
        proba = trained.model.predict_proba(trained.rows)
        assert model.predict_proba(trained.rows).dtype == proba.dtype
        np.testing.assert_allclose(model.predict_proba(trained.rows), proba, rtol=0, atol=1e-5)

    part = trained.rows[:100]
    answered = answer_json(model, rows_as_json(part), has_probabilities)
    assert answered["rows"] == len(part)
    assert_same(np.array(answered["predictions"], dtype=expected.dtype), expected[:100])
    if has_probabilities:
        np.testing.assert_allclose(answered["probabilities"], proba[:100], rtol=0, atol=1e-5)


def test_one_row_answers_as_in_company(loading: dict[str, Future[Any]]) -> None:
    for name in ("random_forest_wine", "logistic_pipeline_wine", "lgbm_regressor_diabetes"):
        model, rows = loading[name].result(), np.asarray(zoo(name).rows)
        together = model.predict(rows[:20])
        alone = np.concatenate([model.predict(rows[i : i + 1]) for i in range(20)])
        assert_same(alone, together)


@pytest.mark.parametrize("name", NAMES)
def test_the_short_way_answers_the_same(name: str, loading: dict[str, Future[Any]]) -> None:
    """Of every kind of model; those that are not quick enough leave it to the long way."""
    model, rows = loading[name].result(), zoo(name).rows[:1]
    if not np.issubdtype(np.asarray(rows).dtype, np.floating):  # a table with text
        assert model.version.quick_predictions(rows) is None
        return
    row = np.ascontiguousarray(rows, dtype=np.float64)
    for _ in range(20):  # until it is known to be quick
        model.predict(row)
    answer, expected = model.version.quick_predictions(row), model.predict(row, priority=0)
    assert answer is not None or model.backend != "forest"
    if answer is not None:
        assert answer.dtype == expected.dtype and answer.tolist() == expected.tolist()


def test_paths_are_needed_only_while_loading(loading: dict[str, Future[Any]]) -> None:
    model = loading["knn_wine"].result()
    Path(model.model_path).unlink()
    assert model.predict(zoo("knn_wine").rows[:3]).shape == (3,)
