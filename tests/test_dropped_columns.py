"""Columns that a model drops: what stands there, and whether anything does, is nobody's business.

A ColumnTransformer drops by default what it is not told about; callers send the table as it is.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

import slipstream
from slipstream.errors import InvalidInputError

FRAME = pd.DataFrame(
    {
        "city": ["Oslo", "Rome", None, "Bern"] * 25,
        "kind": ["a", "b", "a", "c"] * 25,
        "area": np.linspace(20.0, 180.0, 100),
        "note": [1.5, np.nan, 3.0, np.inf] * 25,
    }
)
TARGET = FRAME["area"] * 3 + (FRAME["kind"] == "b") * 50


def _of_text() -> Any:
    encode = (OneHotEncoder(handle_unknown="ignore"), ["kind"])
    return make_column_transformer(encode, ("passthrough", ["area"]))


def _of_numbers() -> Any:
    return make_column_transformer(("passthrough", ["area"]))


@pytest.fixture(scope="module", params=[_of_text, _of_numbers], ids=["text", "numbers"])
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    """The model and its estimator, whose table is columns of text or one matrix of numbers."""
    estimator = make_pipeline(request.param(), GradientBoostingRegressor(n_estimators=5))
    estimator.fit(FRAME, TARGET)
    folder: Path = tmp_path_factory.mktemp("models")
    (folder / "model.pkl").write_bytes(pickle.dumps(estimator))
    with slipstream.Engine(state_dir=folder / "state") as engine:
        model = engine.load(folder / "model.pkl")
        assert model.backend == "forest", model.reason
        yield model, estimator


def _by_json(model: slipstream.Model, rows: list[Any]) -> list[float]:
    inputs = model.version.decoder.decode(json.dumps(rows).encode())
    result = model.version.core.run(inputs)
    result.raise_for_status()
    answers: list[float] = json.loads(model.version.answers.predictions_json(result))
    return answers


def test_the_training_table_is_answered(served):
    model, estimator = served
    expected = estimator.predict(FRAME)
    assert (model.predict(FRAME) == expected).all()
    assert (model.predict(FRAME[["area", "kind"]]) == expected).all()
    assert (model.predict({name: FRAME[name].tolist() for name in FRAME}) == expected).all()


def test_rows_of_lists_and_objects_are_answered(served):
    model, estimator = served
    expected = estimator.predict(FRAME[:3]).tolist()
    rows = [
        ["Oslo", "a", 20.0, "?"],
        [None, "b", FRAME["area"][1], {"x": [1]}],
        [[], "a", 0, False],
    ]
    rows[2][2] = FRAME["area"][2]
    assert _by_json(model, rows) == expected
    assert model.predict(rows).tolist() == expected
    named = [{"kind": row[1], "area": row[2]} for row in rows]
    assert _by_json(model, named) == expected
    named[1]["city"] = "Rome"
    assert _by_json(model, named) == expected


def test_what_the_model_looks_at_must_be_there(served):
    model, _ = served
    with pytest.raises(InvalidInputError, match="area"):
        model.predict(FRAME[["kind", "city"]])
    with pytest.raises(InvalidInputError, match="'area' is missing"):
        _by_json(model, [{"kind": "a", "city": "Oslo"}])
    with pytest.raises(InvalidInputError, match="column 'area'"):
        _by_json(model, [["Oslo", "a", "wide", 1]])
    with pytest.raises(InvalidInputError, match="4 columns"):
        _by_json(model, [["Oslo", "a", 20.0]])
