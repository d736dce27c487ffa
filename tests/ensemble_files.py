"""Members of ensembles on real data, of other frameworks each, and scikit-learn around them."""

from __future__ import annotations

import json
import pickle
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import sklearn.datasets
import xgboost
from sklearn.ensemble import (
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

WEIGHTS = [1.0, 2.0, 0.5, 3.0]


@dataclass(frozen=True)
class Data:
    """One data set, and unfitted members by file name."""

    rows: Any
    target: Any
    members: dict[str, Any]


@cache
def data(name: str) -> Data:
    """``breast_cancer``, ``wine`` or ``diabetes``."""
    loaded = getattr(sklearn.datasets, f"load_{name}")()
    if name == "diabetes":
        members = {
            "forest.pkl": RandomForestRegressor(15, random_state=0),
            "boost.ubj": xgboost.XGBRegressor(n_estimators=15),
            "light.txt": lightgbm.LGBMRegressor(n_estimators=15, verbose=-1),
            "line.onnx": make_pipeline(StandardScaler(), Ridge()),
        }
    else:
        members = {
            "forest.pkl": RandomForestClassifier(15, random_state=0),
            "boost.ubj": xgboost.XGBClassifier(n_estimators=15),
            "light.txt": lightgbm.LGBMClassifier(n_estimators=15, verbose=-1),
            "line.onnx": make_pipeline(StandardScaler(), LogisticRegression()),
        }
    return Data(loaded.data, loaded.target, members)


def _named(of: Data) -> list[tuple[str, Any]]:
    return [(name.partition(".")[0], model) for name, model in of.members.items()]


@cache
def voting(name: str, how: str = "soft", weighted: bool = False) -> Any:
    """Fitted; its ``estimators_`` are the members."""
    of = data(name)
    weights = WEIGHTS if weighted else None
    if name == "diabetes":
        return VotingRegressor(_named(of), weights=weights).fit(of.rows, of.target)
    made = VotingClassifier(_named(of), voting=how, weights=weights)
    return made.fit(of.rows, of.target)


@cache
def stacking(name: str, passthrough: bool) -> Any:
    """Fitted; ``final_estimator_`` takes what ``estimators_`` answer."""
    of = data(name)
    if name == "diabetes":
        made: Any = StackingRegressor(_named(of), Ridge(), cv=2, passthrough=passthrough)
    else:
        last = LogisticRegression(max_iter=10_000)
        made = StackingClassifier(_named(of), last, cv=2, passthrough=passthrough)
    return made.fit(of.rows, of.target)


def write_member(folder: Path, file: str, model: Any, rows: Any) -> Path:
    """Save a fitted member as its file's ending says."""
    path = folder / file
    if file.endswith(".ubj"):
        model.save_model(path)
    elif file.endswith(".txt"):
        model.booster_.save_model(path)
    elif file.endswith(".onnx"):
        from skl2onnx import to_onnx

        options = {"zipmap": False} if hasattr(model, "predict_proba") else None
        graph = to_onnx(model, rows[:1].astype(np.float64), options=options)
        path.write_bytes(graph.SerializeToString())
    else:
        path.write_bytes(pickle.dumps(model))
    return path


def write_members(folder: Path, name: str, fitted: Any) -> list[str]:
    """Save every member of a fitted ensemble; returns the files' names."""
    of = data(name)
    for file, model in zip(of.members, fitted.estimators_, strict=True):
        write_member(folder, file, model, of.rows)
    return list(of.members)


def write_file(folder: Path, name: str, members: list[Any], **says: Any) -> Path:
    """An ensemble file; members are paths, or entries as they are."""
    entries = [{"model_path": m} if isinstance(m, str) else m for m in members]
    path = folder / name
    path.write_text(json.dumps({"members": entries, **says}))
    return path
