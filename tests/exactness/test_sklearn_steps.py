"""Steps around the trees make of columns what scikit-learn makes of them, to the bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exactness.counts import Array, same_bits, ulps
from exactness.sklearn_models import holed, table
from exactness.sklearn_steps import (
    ENCODING,
    IMPUTING,
    SCALING,
    encoder,
    function,
    imputer,
    preprocessing,
    words,
)
from slipstream.adapters.base import quiet
from slipstream.convert import forest_sklearn
from slipstream.convert.forest_emitter import Cell, Columns, Emitter
from slipstream.convert.forest_file import Program
from slipstream.convert.forest_session import ForestSession
from slipstream.errors import InvalidInputError

ROWS = 400


def served_through(folder: Path, program: Program, inputs: list[Array]) -> dict[str, Array]:
    """What the backend answers."""
    file = folder / "model.forest"
    file.write_bytes(program.to_bytes())
    with ForestSession(file) as session:
        return session.run(inputs)


def transformed(folder: Path, step: Any, inputs: list[Array]) -> Array:
    """f64[rows, columns] of a fitted transformer, by the backend; inputs are columns or one block.

    Objects are text columns.
    """
    program = Program()
    cells: list[Cell] = []
    for place, values in enumerate(inputs):
        kind = "string" if values.dtype == object else "float64"
        value = program.input(f"x{place}", kind, values.shape[1])  # type: ignore[arg-type]
        cells += [Cell(value, column) for column in range(values.shape[1])]
    emitter = Emitter(program, forest_sklearn.TRANSFORMERS, forest_sklearn.predict)
    program.output("columns", emitter.numbers(emitter.transform(Columns(tuple(cells)), step)))
    return served_through(folder, program, inputs)["columns"]


def numbers(count: int = ROWS, *, missing: bool = False) -> Array:
    """Rows of several magnitudes, training rows among them."""
    rng = np.random.default_rng(5)
    x = (holed() if missing else table())[0]
    rows = x[rng.integers(0, len(x), count)] * rng.choice([1, 1, -3.7, 1e-3], size=(count, 1))
    rows[rng.random(rows.shape) < 0.05] = 0.0
    return np.ascontiguousarray(rows)


@pytest.mark.parametrize("name", SCALING)
def test_numbers_are_scaled_to_the_bit(name: str, tmp_path: Path) -> None:
    x, y = table()
    step = SCALING[name]().fit(x, y)
    rows = numbers()
    expected = step.transform(rows.copy())
    found = transformed(tmp_path, step, [rows])
    if hasattr(expected, "toarray"):  # a sparse matrix has no -0
        np.testing.assert_array_equal(found, expected.toarray())
    else:
        assert same_bits(found, np.asarray(expected, dtype=np.float64)).all()


@pytest.mark.parametrize("name", ["log1p", "expm1", "sqrt", "exp", "log"])
def test_functions_are_as_close_as_two_libraries_get(name: str, tmp_path: Path) -> None:
    rows = np.abs(numbers()) + 1e-9
    step = function(getattr(np, name))().fit(np.minimum(rows, 300.0))
    rows = np.minimum(rows, 300.0)
    found = transformed(tmp_path, step, [rows])
    assert int(ulps(found, step.transform(rows.copy())).max()) <= 2


@pytest.mark.parametrize("name", IMPUTING)
def test_missing_numbers_are_filled_to_the_bit(name: str, tmp_path: Path) -> None:
    step = IMPUTING[name]().fit(holed()[0])
    rows = numbers(missing=True)
    found = transformed(tmp_path, step, [rows])
    assert same_bits(found, step.transform(rows.copy())).all()


def test_another_number_stands_for_missing_and_empty_columns_go(tmp_path: Path) -> None:
    x = np.where(np.isnan(holed()[0]), -99.0, holed()[0])
    x[:, 2] = -99.0
    rows = np.where(np.random.default_rng(1).random((ROWS, x.shape[1])) < 0.2, -99.0, numbers())
    for keep in (False, True):
        step = imputer(missing_values=-99.0, keep_empty_features=keep)().fit(x)
        with quiet():
            expected = step.transform(rows.copy())
        assert same_bits(transformed(tmp_path, step, [rows]), expected).all()


@pytest.mark.parametrize("scaler", ["StandardScaler", "MaxAbsScaler", "RobustScaler"])
def test_sparse_tables_are_scaled_by_reciprocals(scaler: str, tmp_path: Path) -> None:
    """scikit-learn divides a dense table, but multiplies a sparse one."""
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    off = {"StandardScaler": {"with_mean": False}, "RobustScaler": {"with_centering": False}}
    sparse = ColumnTransformer(
        [("codes", OneHotEncoder(handle_unknown="ignore"), [0, 3])],
        remainder="passthrough",
        sparse_threshold=1.0,
    )
    step = make_pipeline(sparse, preprocessing(scaler, **off.get(scaler, {}))()).fit(table()[0])
    rows = numbers()
    expected = step.transform(rows.copy())
    assert hasattr(expected, "toarray")
    np.testing.assert_array_equal(transformed(tmp_path, step, [rows]), expected.toarray())


@pytest.mark.parametrize("kind", ["text", "numbers"])
@pytest.mark.parametrize("name", ENCODING)
def test_categories_are_encoded_to_the_bit(name: str, kind: str, tmp_path: Path) -> None:
    count = 600
    if kind == "text":
        training = [words(count, seed=1), words(count, seed=2, known=2, missing=0)]
        asked = [words(ROWS, seed=3, known=7), words(ROWS, seed=4, known=7)]
    else:
        rng = np.random.default_rng(1)
        codes = rng.integers(-2, 4, (count, 2)) * 1.5
        training = [np.where(rng.random((count, 1)) < 0.1, np.nan, codes[:, :1]), codes[:, 1:]]
        asked = [rng.choice([-3.0, 0.0, -0.0, 1.5, 0.7, 1e9, np.nan], (ROWS, 1)) for _ in "ab"]
    target = np.random.default_rng(2).normal(size=count)
    if "classes" in name or "binary" in name.partition("target")[2]:
        target = np.digitize(target, [0] if "binary" in name else [-0.5, 0.5])
    step = ENCODING[name]()
    with quiet():
        step.fit(np.concatenate(training, axis=1), target)
        expected = step.transform(np.concatenate(asked, axis=1))
    dense = expected.toarray() if hasattr(expected, "toarray") else expected
    found = transformed(tmp_path, step, asked)
    np.testing.assert_array_equal(found, dense.astype(np.float64))


@pytest.mark.parametrize("strategy", ["most_frequent", "constant"])
def test_missing_text_is_filled_before_it_is_encoded(strategy: str, tmp_path: Path) -> None:
    from sklearn.pipeline import make_pipeline

    step = make_pipeline(
        imputer(strategy=strategy, fill_value="none" if strategy == "constant" else None)(),
        imputer(missing_values="green", strategy="constant", fill_value="red")(),
        ENCODING["one-hot"](),
    ).fit(words(600, seed=1))
    asked = words(ROWS, seed=2, known=7)
    expected = step.transform(asked.copy()).toarray()
    np.testing.assert_array_equal(transformed(tmp_path, step, [asked]), expected)


def test_missing_text_is_marked(tmp_path: Path) -> None:
    from sklearn.impute import MissingIndicator

    step = MissingIndicator().fit(words(600, seed=1))
    asked = words(ROWS, seed=2, known=7)
    found = transformed(tmp_path, step, [asked])
    np.testing.assert_array_equal(found, step.transform(asked).astype(np.float64))


def test_an_unknown_category_is_refused_as_scikit_learn_does(tmp_path: Path) -> None:
    for maker in (encoder("OneHotEncoder"), encoder("OrdinalEncoder")):
        step = maker().fit(words(600, seed=1, missing=0))
        known, unknown = words(8, seed=2, missing=0), words(8, seed=2, missing=0)
        unknown[5] = "never seen"
        assert transformed(tmp_path, step, [known]).shape[0] == 8
        with pytest.raises(InvalidInputError, match="column number 1 holds a category"):
            transformed(tmp_path, step, [unknown])
        unknown[5] = np.nan
        with pytest.raises(InvalidInputError, match="does not know"):
            transformed(tmp_path, step, [unknown])
