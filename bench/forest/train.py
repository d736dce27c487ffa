"""Trains the models of the cases, once: what is there already is kept.

Runs in .venv, whose library versions are those of constraints.txt. Each case gets a folder with
``model.pkl`` (what users have, and what slipstream loads) and, where the library has one, its own
file format (``model.txt``, ``model.json``), which most rivals read.
"""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import numpy.typing as npt

from bench.forest import rows
from bench.forest.cases import Case

MODEL = "model.pkl"
NATIVE = {"lightgbm": "model.txt", "xgboost": "model.json"}


def train(case: Case, folder: Path) -> Path:
    """Returns the case's pickle in ``folder``, training the model if it is not there."""
    file = folder / MODEL
    stamp = folder / "made-from"
    if file.exists() and stamp.is_file() and stamp.read_text(encoding="utf-8") == repr(case):
        return file
    shutil.rmtree(folder, ignore_errors=True)  # and what the rivals made of another model
    folder.mkdir(parents=True)
    started = time.monotonic()
    model = _estimator(case)
    x, y = rows.training_rows(case)
    if case.dtype == "float32":
        x = x.astype(np.float32)
    model.fit(x, y)
    if case.library == "lightgbm":
        model.booster_.save_model(folder / NATIVE["lightgbm"])
    elif case.library == "xgboost":
        model.get_booster().save_model(folder / NATIVE["xgboost"])
    part = file.with_suffix(".part")  # a half-written model would be taken for a finished one
    joblib.dump(model, part)
    os.replace(part, file)
    stamp.write_text(repr(case), encoding="utf-8")
    print(f"trained {case.title} in {time.monotonic() - started:.0f} s: {describe(case, model)}")
    return file


def _estimator(case: Case) -> Any:
    threads = len(os.sched_getaffinity(0))
    if case.library == "lightgbm":
        from lightgbm import LGBMClassifier

        per_iteration = 1 if case.classes == 2 else case.classes
        return LGBMClassifier(
            n_estimators=case.trees // per_iteration,
            num_leaves=case.leaves,
            learning_rate=0.1 if case.trees <= 500 else 0.02,
            n_jobs=threads,
            random_state=0,
            deterministic=True,
            force_row_wise=True,
            verbose=-1,
        )
    if case.library == "xgboost":
        from xgboost import XGBClassifier

        return XGBClassifier(
            n_estimators=case.trees, max_depth=case.depth, learning_rate=0.1, tree_method="hist",
            n_jobs=threads, random_state=0,
        )  # fmt: skip
    if case.library == "hist":
        from sklearn.ensemble import HistGradientBoostingClassifier

        return HistGradientBoostingClassifier(
            max_iter=case.trees, max_leaf_nodes=case.leaves, early_stopping=False, random_state=0
        )
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(n_estimators=case.trees, n_jobs=threads, random_state=0)


def describe(case: Case, model: Any) -> str:
    """How large the trained model is, as the report says it."""
    nodes, trees = count_nodes(case, model)
    return f"{trees:,} trees, {nodes:,} nodes with leaves, {case.features:,} features"


def count_nodes(case: Case, model: Any) -> tuple[int, int]:
    """Nodes (leaves included) and trees of a trained model."""
    if case.library == "forest":
        return sum(tree.tree_.node_count for tree in model.estimators_), len(model.estimators_)
    if case.library == "hist":
        trees = [tree for iteration in model._predictors for tree in iteration]
        return sum(len(tree.nodes) for tree in trees), len(trees)
    if case.library == "xgboost":
        frame = model.get_booster().trees_to_dataframe()
        return len(frame), int(frame["Tree"].nunique())
    text = model.booster_.model_to_string()
    leaves = [int(line.partition("=")[2]) for line in text.splitlines() if "num_leaves=" in line]
    return sum(2 * count - 1 for count in leaves), len(leaves)


def thresholds(case: Case, model: Any) -> dict[int, npt.NDArray[np.float64]]:
    """Every threshold of the model by column, as the library compares with it."""
    columns: list[npt.NDArray[Any]] = []
    values: list[npt.NDArray[Any]] = []
    if case.library == "forest":
        for estimator in model.estimators_:
            inner = estimator.tree_.children_left >= 0
            columns.append(estimator.tree_.feature[inner])
            values.append(estimator.tree_.threshold[inner])
    elif case.library == "hist":
        for iteration in model._predictors:
            for tree in iteration:
                inner = tree.nodes["is_leaf"] == 0
                columns.append(tree.nodes["feature_idx"][inner])
                values.append(tree.nodes["num_threshold"][inner])
    elif case.library == "xgboost":
        frame = model.get_booster().trees_to_dataframe()
        frame = frame[frame["Feature"] != "Leaf"]
        columns.append(frame["Feature"].str[1:].astype(int).to_numpy())
        values.append(frame["Split"].to_numpy())
    else:
        for line in model.booster_.model_to_string().splitlines():
            key, _, text = line.partition("=")
            if key == "split_feature":
                columns.append(np.array(text.split(), int))
            elif key == "threshold":
                values.append(np.array(text.split(), float))
    column, value = np.concatenate(columns), np.concatenate(values).astype(np.float64)
    finite = np.isfinite(value)
    return {
        int(c): np.unique(value[finite & (column == c)])
        for c in np.unique(column)
        if (finite & (column == c)).any()
    }
