"""The writer of forest files, against an independent reader and the backend itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import forest_reference
from slipstream.adapters.tree_reference import reference
from slipstream.adapters.trees import (
    Category,
    CategoryRule,
    Comparison,
    Missing,
    TreeBuilder,
    TreeEnsemble,
)
from slipstream.convert.forest_file import Op, Program, StepError, Value
from slipstream.convert.forest_ops import DTYPE_NUMBERS, Function
from slipstream.convert.forest_session import ForestSession
from slipstream.errors import InvalidInputError

ODD = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-36, -1e-35, 1e300, -0.5, 0.5, 1.0, 2.0, 3.0, 7.9]


def rows_of(width: int, count: int = 64) -> np.ndarray:
    rng = np.random.default_rng(2)
    rows = rng.normal(size=(count, width)) * 3
    odd = rng.random(rows.shape) < 0.4
    rows[odd] = rng.choice(ODD, size=int(odd.sum()))
    return rows


def small_ensemble(**options: Any) -> TreeEnsemble:
    """Two trees of one output, one lone leaf of another; column 1 holds categories."""
    builder = TreeBuilder()
    builder.add(
        feature=[0, 1, 0, 0, 0], threshold=[0.5, 0.0, 0, 0, 0], left=[1, 2, -1, -1, -1],
        right=[4, 3, -1, -1, -1], missing_left=[True, False, False, False, False],
        leaf_value=[0, 0, 1.5, -2.25, 3.0], output=0, category_set=[-1, 0, -1, -1, -1],
    )  # fmt: skip
    builder.add(
        feature=[0], threshold=[0.0], left=[-1], right=[-1], missing_left=[False],
        leaf_value=[0.75], output=1,
    )  # fmt: skip
    builder.add(
        feature=[2, 0, 0], threshold=[-1.0, 0, 0], left=[1, -1, -1], right=[2, -1, -1],
        missing_left=[False] * 3, leaf_value=[0, 0.1, 0.2], output=0,
    )  # fmt: skip
    sets = np.array([True, False, True, True, False, True])
    known = np.array([True, True, False, True])
    settings: dict[str, Any] = {
        "n_features": 3,
        "n_outputs": 2,
        "comparison": Comparison.LE_F64,
        "missing": (Missing.DIRECTED, Missing.DIRECTED, Missing.ZERO_TOO),
        "base": np.array([0.25, -0.5]),
        "category_sets": (sets,),
        "categories": {1: Category(4, CategoryRule.KNOWN, known)},
        **builder.arrays(),
        **options,
    }
    return TreeEnsemble(**settings).check()


@pytest.mark.parametrize("rule", list(CategoryRule))
@pytest.mark.parametrize(
    ("comparison", "flush"), [*((one, False) for one in Comparison), (Comparison.LE_F64, True)]
)
def test_trees_are_read_as_they_were_meant(
    comparison: Comparison, rule: CategoryRule, flush: bool, tmp_path: Path
) -> None:
    known = np.array([True, True, False, True]) if rule is CategoryRule.KNOWN else None
    third = Missing.ZERO_TOO if comparison is Comparison.LE_F64 else Missing.AS_ZERO
    missing = (Missing.DIRECTED, Missing.DIRECTED, third)
    trees = small_ensemble(
        comparison=comparison,
        zero_flush=flush,
        float32_answers=comparison is Comparison.LT_F32,
        categories={1: Category(4, rule, known)},
        missing=missing,
    )
    program = Program()
    rows = program.input("input", "float64", 3)
    program.output("sums", program.trees(rows, trees))
    data = program.to_bytes()
    x = rows_of(3, 400)
    found = forest_reference.evaluate(forest_reference.parse(data), {"input": x})["sums"]
    assert found.dtype == (np.float32 if trees.float32_answers else np.float64)
    np.testing.assert_array_equal(found, reference(trees, x))
    path = tmp_path / "trees.forest"
    path.write_bytes(data)
    with ForestSession(path) as session:
        np.testing.assert_array_equal(session.run([x])["sums"], found)


REASON = np.frombuffer("ist öfter".encode(), dtype=np.uint8)
Build = Callable[[Program, Value, Value], Value]
STEPS: dict[str, Build] = {
    "concat": lambda p, x, t: p.step(Op.CONCAT, x, x),
    "take_columns": lambda p, x, t: p.step(
        Op.TAKE_COLUMNS, x, arrays=[np.array([2, 0, 2], dtype=np.int32)]
    ),
    "float32": lambda p, x, t: p.step(Op.CAST, x, scalars=[DTYPE_NUMBERS["float32"]]),
    "add": lambda p, x, t: p.step(Op.ADD, x, arrays=[np.array([1.0, 2.0, 3.0])]),
    "subtract": lambda p, x, t: p.step(Op.SUBTRACT, x, x),
    "multiply": lambda p, x, t: p.step(Op.MULTIPLY, x, arrays=[np.array([0.1])]),
    "divide": lambda p, x, t: p.step(Op.DIVIDE, x, arrays=[np.array([3.0, 0.0, -7.0])]),
    "clip": lambda p, x, t: p.step(Op.CLIP, x, scalars=[-1.0, 2.0]),
    "complement": lambda p, x, t: p.step(Op.COMPLEMENT, column(p, x)),
    "sum_columns": lambda p, x, t: p.step(Op.SUM_COLUMNS, x),
    "is_missing": lambda p, x, t: p.step(Op.IS_MISSING, x, scalars=[np.nan]),
    "is_half": lambda p, x, t: p.step(Op.IS_MISSING, x, scalars=[0.5]),
    "replace_missing": lambda p, x, t: p.step(
        Op.REPLACE_MISSING, x, arrays=[np.array([5.0, np.nan, -1.0])], scalars=[np.nan]
    ),
    "lookup_number": lambda p, x, t: p.step(
        Op.LOOKUP_NUMBER,
        column(p, x),
        arrays=[np.array([-0.5, 0.0, 2.0, np.nan]), np.array([1.0, 2.0, 3.0, 4.0])],
        scalars=[-9.0],
    ),
    "lookup_text": lambda p, x, t: p.step(
        Op.LOOKUP_TEXT, t, arrays=[["", "a", "é"], np.array([7.0, 8.0, 9.0])], scalars=[-1, -2]
    ),
    "one_hot": lambda p, x, t: p.step(Op.ONE_HOT, column(p, x), scalars=[4, 1]),
    "digitize": lambda p, x, t: p.step(
        Op.DIGITIZE, finite(p, x), arrays=[np.array([-0.5, 0.0, 2.0])], scalars=[1]
    ),
    "digitize, other side": lambda p, x, t: p.step(
        Op.DIGITIZE, finite(p, x), arrays=[np.array([-0.5, 0.0, 2.0])], scalars=[0]
    ),
    "greater": lambda p, x, t: p.step(Op.GREATER, column(p, x), scalars=[0.5, 0]),
    "greater or equal": lambda p, x, t: p.step(Op.GREATER, column(p, x), scalars=[0.5, 1]),
    "argmax": lambda p, x, t: p.step(Op.ARGMAX, p.step(Op.ONE_HOT, column(p, x), scalars=[4, 0])),
    "label_number": lambda p, x, t: p.step(
        Op.LABEL_NUMBER,
        p.step(Op.GREATER, column(p, x), scalars=[0.5, 0]),
        arrays=[np.array([-3, 12], dtype=np.int64)],
    ),
    "label_text": lambda p, x, t: p.step(
        Op.LABEL_TEXT,
        p.step(Op.GREATER, column(p, x), scalars=[0.5, 0]),
        arrays=[["no", "öfter"]],
    ),
    "interpolate": lambda p, x, t: p.step(
        Op.INTERPOLATE, finite(p, x), arrays=[np.array([-1.0, 0.0, 2.0]), np.array([0.0, 0.3, 1.0])]
    ),
    "weighted_median": lambda p, x, t: p.step(
        Op.WEIGHTED_MEDIAN, finite(p, x, [0, 1, 2]), arrays=[np.array([0.2, 0.5, 0.4])]
    ),
    "sigmoid": lambda p, x, t: p.step(Op.SIGMOID, x, scalars=[2.0, 0]),
    **{
        f"softmax {variant}": (
            lambda p, x, t, variant=variant: p.step(
                Op.SOFTMAX, finite(p, x, [0, 1, 2]), scalars=[variant]
            )
        )
        for variant in (0, 1)
    },
    "refuse nothing": lambda p, x, t: p.step(
        Op.REFUSE, column(p, x), arrays=[REASON], scalars=[123.0]
    ),
    "sigmoid of XGBoost": lambda p, x, t: p.step(
        Op.SIGMOID, p.step(Op.CAST, x, scalars=[DTYPE_NUMBERS["float32"]]), scalars=[1.0, 1]
    ),
    "softmax of XGBoost": lambda p, x, t: p.step(
        Op.SOFTMAX,
        p.step(Op.CAST, finite(p, x, [0, 1, 2]), scalars=[DTYPE_NUMBERS["float32"]]),
        scalars=[2],
    ),
    **{
        f"function {function.name}": (
            lambda p, x, t, code=function: p.step(Op.FUNCTION, x, scalars=[code])
        )
        for function in Function
        if function not in (Function.EXPIT, Function.LOG1P_EXP)
    },
}


def column(program: Program, x: Value) -> Value:
    return program.step(Op.TAKE_COLUMNS, x, arrays=[np.array([1], dtype=np.int32)])


def finite(program: Program, x: Value, columns: tuple[int, ...] | list[int] = (1,)) -> Value:
    """Columns between -5 and 5, without NaN."""
    taken = program.step(Op.TAKE_COLUMNS, x, arrays=[np.array(columns, dtype=np.int32)])
    known = program.step(
        Op.REPLACE_MISSING, taken, arrays=[np.full(len(columns), 0.5)], scalars=[np.nan]
    )
    return program.step(Op.CLIP, known, scalars=[-5.0, 5.0])


def texts_of(count: int) -> np.ndarray:
    choice = np.random.default_rng(3).choice(["a", "", "é", "b", "\xff"], size=(count, 1))
    return choice.astype(object)


def one_step(name: str) -> bytes:
    program = Program()
    x = program.input("x", "float64", 3)
    text = program.input("text", "string", 1)
    program.output("answer", STEPS[name](program, x, text))
    return program.to_bytes()


@pytest.mark.parametrize("name", STEPS)
def test_every_step_runs_as_the_page_says(name: str, tmp_path: Path) -> None:
    data = one_step(name)
    x, text = rows_of(3), texts_of(64)
    expected = forest_reference.evaluate(forest_reference.parse(data), {"x": x, "text": text})
    path = tmp_path / "program.forest"
    path.write_bytes(data)
    with ForestSession(path) as session:
        found = session.run([x, np.where(text == "\xff", None, text)])["answer"]
    assert found.dtype == expected["answer"].dtype
    if name.startswith("function"):  # SIMD forms may round otherwise than the C library
        np.testing.assert_allclose(found, expected["answer"], rtol=1e-15)
    else:
        np.testing.assert_array_equal(found, expected["answer"])


def test_a_refused_value_is_an_error(tmp_path: Path) -> None:
    program = Program()
    x = program.input("x", "float64", 1)
    program.output("x", program.step(Op.REFUSE, x, arrays=[REASON], scalars=[np.nan]), flat=True)
    path = tmp_path / "program.forest"
    path.write_bytes(program.to_bytes())
    parsed = forest_reference.parse(path.read_bytes())
    with ForestSession(path) as session:
        assert session.run([np.zeros((2, 1))])["x"].tolist() == [0.0, 0.0]
        bad = np.array([[0.0], [np.nan]])
        with pytest.raises(InvalidInputError, match="ist öfter"):
            session.run([bad])
        with pytest.raises(ValueError, match="ist öfter"):
            forest_reference.evaluate(parsed, {"x": bad})


X, TEXT, CODE = Value(0, "float64", 3), Value(1, "string", 1), Value(2, "int64", 1)
WRONG: dict[str, Callable[[Program], Any]] = {
    "takes 1 to 1 values": lambda p: p.step(Op.CLIP, X, X, scalars=[0, 1]),
    "takes float64, not string": lambda p: p.step(Op.CLIP, TEXT, scalars=[0, 1]),
    "takes 2 scalars": lambda p: p.step(Op.CLIP, X, scalars=[0]),
    "takes width 1": lambda p: p.step(Op.COMPLEMENT, X),
    "3 or 1 entries": lambda p: p.step(Op.ADD, X, arrays=[np.zeros(2)]),
    "one width": lambda p: p.step(Op.ADD, X, Value(0, "float64", 2)),
    "one type": lambda p: p.step(Op.CONCAT, X, TEXT),
    "outside 0": lambda p: p.step(Op.TAKE_COLUMNS, X, arrays=[np.array([3], dtype=np.int32)]),
    "takes int32": lambda p: p.step(Op.TAKE_COLUMNS, X, arrays=[np.array([0])]),
    "cannot cast": lambda p: p.step(Op.CAST, X, scalars=[3]),
    "weights": lambda p: p.step(Op.MATMUL, X, arrays=[np.zeros(4)], scalars=[2]),
    "would give 0 columns": lambda p: p.step(
        Op.TAKE_COLUMNS, X, arrays=[np.zeros(0, dtype=np.int32)]
    ),
    "ascending keys": lambda p: p.step(
        Op.LOOKUP_TEXT, TEXT, arrays=[["b", "a"], np.zeros(2)], scalars=[0, 0]
    ),
    "ascending edges": lambda p: p.step(
        Op.DIGITIZE, Value(0, "float64", 1), arrays=[np.array([1.0, 0.0])], scalars=[0]
    ),
    "use Program.trees": lambda p: p.step(Op.TREES, X),
    "in float64 only": lambda p: p.trees(X, small_ensemble(comparison=Comparison.LT_F32)),
    "takes 3 floats": lambda p: p.trees(Value(0, "float64", 2), small_ensemble()),
    "another program": lambda p: p.step(Op.CLIP, Value(9, "float64", 1), scalars=[0, 1]),
    "inputs come before steps": lambda p: p.input("late", "float64", 1),
    "flat output": lambda p: p.output("wide", X, flat=True),
    "names are not empty": lambda p: p.output("taken", CODE) or p.output("taken", CODE),
}


@pytest.mark.parametrize("problem", WRONG)
def test_a_mistake_fails_where_it_is_made(problem: str) -> None:
    program = Program()
    program.input("x", "float64", 3)
    program.input("text", "string", 1)
    program.step(Op.CLIP, X, scalars=[0, 1])
    with pytest.raises(StepError, match=problem):
        WRONG[problem](program)


def test_a_program_without_ends_is_refused() -> None:
    with pytest.raises(StepError, match="inputs and outputs"):
        Program().to_bytes()


def test_sets_must_fit_their_features() -> None:
    from slipstream.errors import ModelLoadError

    with pytest.raises(ModelLoadError):
        small_ensemble(category_sets=(np.ones(5, dtype=bool),))
    with pytest.raises(ModelLoadError):
        small_ensemble(categories={})
    with pytest.raises(ModelLoadError):
        small_ensemble(categories={0: Category(4, CategoryRule.SIGN)})


@pytest.mark.parametrize("at", [0, 8, 13, 20, 70, -1])
def test_a_changed_byte_is_noticed(at: int, tmp_path: Path) -> None:
    from slipstream.errors import SlipstreamError

    data = bytearray(one_step("clip"))
    data[at] ^= 1
    with pytest.raises(ValueError):
        forest_reference.parse(bytes(data))
    path = tmp_path / "damaged.forest"
    path.write_bytes(data)
    with pytest.raises(SlipstreamError, match="damaged"):
        ForestSession(path)
