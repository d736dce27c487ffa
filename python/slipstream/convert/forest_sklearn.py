"""A whole model as a forest file: the tables of rules, the inputs, the outputs.

The rules themselves are in the other modules ``forest_*``; each does what scikit-learn does, in
float64 and in its order of operations. Nothing serves before `slipstream.convert.proof` agreed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from slipstream.adapters import lightgbm, sklearn_trees, xgboost
from slipstream.adapters.base import Array, Served
from slipstream.adapters.trees import UnconvertibleError
from slipstream.convert import (
    forest_columns,
    forest_combining,
    forest_encoding,
    forest_imputing,
    forest_linear,
    forest_predictors,
    forest_scaling,
)
from slipstream.convert.forest_emitter import Answer, Cell, Columns, Emitter
from slipstream.convert.forest_file import Kind, Op, Program, StepError, Value
from slipstream.convert.onnx_graph import INPUT, PREDICTIONS, PROBABILITIES
from slipstream.convert.probe_cells import Refused

TRANSFORMERS = {
    **forest_columns.RULES,
    **forest_scaling.RULES,
    **forest_encoding.RULES,
    **forest_imputing.RULES,
}
PREDICTORS = {**forest_linear.RULES, **forest_combining.RULES}


@dataclass(frozen=True)
class ForestModel:
    """A forest file.

    Attributes:
        data: Its bytes.
        summed_alike: Whether every sum is made in the library's own order, so that answers agree
            to the last digits.
        indexed: Whether predictions are positions in the one target's classes.
    """

    data: bytes
    summed_alike: bool
    indexed: bool


def convert(served: Served, refused: Refused | None = None) -> ForestModel:
    """The model as a forest file.

    Args:
        served: The opened model.
        refused: What it raises for, which the file shall refuse; None: it takes anything.

    Raises:
        UnconvertibleError: Some part of it has no rule.
    """
    program = Program()
    emitter = Emitter(program, TRANSFORMERS, predict)
    try:
        columns = _inputs(program, served)
        columns = Columns(tuple(_as_number(emitter, cell) for cell in columns.cells))
        if refused is not None and refused.takes_missing:  # else nobody sends such numbers
            _refuse(emitter, columns, refused)
        answer = emitter.predict(columns, served.estimator)
        indexed = _outputs(emitter, served, answer)
        return ForestModel(program.to_bytes(), emitter.summed_alike, indexed)
    except StepError as error:
        raise UnconvertibleError(f"the forest file cannot hold it: {error}") from error


def _refuse(emitter: Emitter, columns: Columns, refused: Refused) -> None:
    """Adds what the model's own checks of its input refuse."""
    missing = np.concatenate(refused.missing)
    infinite = np.concatenate(refused.infinite)
    numbers = [place for place, cell in enumerate(columns.cells) if not cell.is_text]
    flagged = [place for place in numbers if missing[place] or infinite[place]]
    if flagged:
        limits = np.where(infinite[flagged], np.finfo(np.float64).max, np.inf)
        emitter.refuse_cells(columns.take(flagged), limits, missing[flagged])


def predict(emitter: Emitter, columns: Columns, estimator: Any) -> Answer:
    """The entry for predictors of any kind, for `Emitter.predict`."""
    if hasattr(estimator, "best_estimator_"):
        return emitter.predict(columns, estimator.best_estimator_)
    name = type(estimator).__name__
    from_sklearn = type(estimator).__module__.startswith("sklearn.")
    if from_sklearn and name == "Pipeline":
        for _, step in estimator.steps[:-1]:
            columns = emitter.transform(columns, step)
        return emitter.predict(columns, estimator.steps[-1][1])
    answer = forest_predictors.tree_answer(emitter, columns, estimator)
    if answer is not None:
        return answer
    rule = PREDICTORS.get(name)
    if rule is None or not from_sklearn:
        raise UnconvertibleError(f"{name} has no rule of our own")
    return rule(emitter, columns, estimator)


def contains_trees(estimator: Any) -> bool:
    """Whether a tree model is somewhere in it."""
    if any(library.is_tree_model(estimator) for library in (sklearn_trees, xgboost, lightgbm)):
        return True
    return any(contains_trees(inner) for inner in _inner(estimator))


def _inner(estimator: Any) -> list[Any]:
    found: list[Any] = [step for _, step in getattr(estimator, "steps", ())]
    names = ("best_estimator_", "final_estimator_", "regressor_")
    found += [getattr(estimator, name, None) for name in names]
    found += np.ravel(np.array(getattr(estimator, "estimators_", ()), dtype=object)).tolist()
    found += [member.estimator for member in getattr(estimator, "calibrated_classifiers_", ())]
    return [one for one in found if one is not None and not isinstance(one, (str, tuple))]


def _inputs(program: Program, served: Served) -> Columns:
    if served.layout == "matrix":
        if served.width is None:
            raise UnconvertibleError("the model does not say how many columns it takes")
        value = program.input(INPUT, "float64", served.width)
        names = [repr(column.name) for column in served.columns or ()]
        names = names or [f"number {place + 1}" for place in range(served.width)]
        return Columns(tuple(Cell(value, at, name=name) for at, name in enumerate(names)))
    cells = []
    for column in served.columns or ():
        kind: Kind = column.dtype
        cells.append(Cell(program.input(column.name, kind, 1), 0, name=repr(column.name)))
    return Columns(tuple(cells))


def _as_number(emitter: Emitter, cell: Cell) -> Cell:
    """What is neither text nor float64 becomes float64."""
    if cell.value.kind in ("string", "float64"):
        return cell
    return replace(cell, value=emitter.cast(cell.value, "float64"))


def _outputs(emitter: Emitter, served: Served, answer: Answer) -> bool:
    """Add the outputs; returns whether predictions are class positions."""
    program = emitter.program
    if not answer.classes:
        if answer.values is None:
            raise UnconvertibleError("it has no answer of numbers")
        flat = answer.flat and answer.values.width == 1
        program.output(PREDICTIONS, answer.values, flat=flat)
        return False
    several = len(answer.labels) > 1 or answer.labels[0].width > 1
    if several:
        program.output(PREDICTIONS, _labels(emitter, answer))
    else:
        program.output(PREDICTIONS, answer.labels[0], flat=True)
    if served.predict_proba is not None:
        if not answer.probabilities:
            raise UnconvertibleError("its probabilities have no rule of our own")
        many = len(answer.probabilities) > 1
        for number, value in enumerate(answer.probabilities):
            program.output(f"{PROBABILITIES}_{number}" if many else PROBABILITIES, value)
    return not several


def _labels(emitter: Emitter, answer: Answer) -> Value:
    """[targets]: the labels themselves, of all targets in the type of the first one's classes."""
    if len(answer.labels) == 1:  # one table of class positions a target: labels 0 and 1
        return answer.labels[0]
    parts = [
        _label(emitter, index, classes)
        for index, classes in zip(answer.labels, answer.classes, strict=True)
    ]
    if len({part.kind for part in parts}) > 1:
        raise UnconvertibleError("its targets have labels of several types")
    return emitter.concat(parts)


def _label(emitter: Emitter, index: Value, classes: Array) -> Value:
    kind = classes.dtype.kind
    if kind in "iub":
        table: Any = classes.astype(np.int64)
    elif kind == "f":
        table = classes.astype(np.float64)
    else:
        texts = classes.tolist()
        if not all(isinstance(text, str) for text in texts):
            raise UnconvertibleError("its labels are neither text nor numbers")
        return emitter.once(Op.LABEL_TEXT, index, arrays=[tuple(texts)])
    return emitter.once(Op.LABEL_NUMBER, index, arrays=[table])
