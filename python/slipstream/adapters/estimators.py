"""A pickle of several fitted estimators (a list, a tuple, a dict by name) answers as an ensemble.

They become scikit-learn's own VotingClassifier or VotingRegressor around estimators that are fitted
already, so that the usual adapter and the usual converters serve them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from slipstream.adapters import sklearn as sklearn_adapter
from slipstream.adapters.base import Served, missing_package
from slipstream.errors import ModelLoadError

_MOST = 64


def serve(models: Sequence[Any] | Mapping[Any, Any], method: str | None) -> Served:
    """The ensemble behind the common face.

    Classifiers vote: soft if all give probabilities, else hard. Of regressors the mean is taken.

    Args:
        models: Fitted estimators of scikit-learn's interface, of one kind, classes and columns.
        method: ``"voting"``, ``"bagging"`` (the same with another name) or None.

    Raises:
        ModelLoadError: one is no fitted estimator, or they do not go together; names it.
    """
    if method == "stacking":
        raise ModelLoadError(
            "a pickle of estimators has no final estimator, which stacking needs: pickle a fitted "
            "StackingClassifier, or write an ensemble file"
        )
    named = _named(models)
    members = [(name, _served(name, model)) for name, model in named]
    classes = _agreed(members)
    estimator = _voting(named, members, classes)
    estimator.shown_as = f"{method or 'voting'} of {len(named)} estimators"
    served = sklearn_adapter.serve(estimator)
    served.library = "ensemble"
    return served


def _named(models: Sequence[Any] | Mapping[Any, Any]) -> list[tuple[str, Any]]:
    if isinstance(models, Mapping):
        named = [(str(name), model) for name, model in models.items()]
    else:
        named = [(f"number {place}", model) for place, model in enumerate(models, start=1)]
    if not 1 <= len(named) <= _MOST:
        raise ModelLoadError(f"an ensemble has 1 to {_MOST} estimators, the file {len(named)}")
    return named


def _served(name: str, model: Any) -> Served:
    try:
        from sklearn.base import BaseEstimator
    except ImportError as error:
        raise missing_package("scikit-learn", "sklearn", error) from error
    if not isinstance(model, BaseEstimator):
        raise ModelLoadError(
            f"the file holds several objects, of which {name} is a {type(model).__name__} and no "
            "fitted estimator: save one estimator, or a list of estimators"
        )
    try:
        served = sklearn_adapter.serve(model)
    except ModelLoadError as error:
        raise type(error)(f"estimator {name}: {error.message}", **error.details) from error
    if served.task not in ("classification", "regression") or len(served.classes) > 1:
        raise ModelLoadError(
            f"estimator {name} ({served.estimator_name}) neither classifies nor regresses one "
            "target, so that it cannot be in an ensemble"
        )
    return served


def _agreed(members: list[tuple[str, Served]]) -> list[Any] | None:
    """The classes that all have; None for regressors."""
    first_name, first = members[0]
    for name, served in members[1:]:
        if served.task != first.task:
            raise ModelLoadError(
                f"estimator {first_name} is for {first.task} and {name} for {served.task}"
            )
        if served.width != first.width:
            raise ModelLoadError(
                f"estimator {first_name} takes {first.width} columns and {name} {served.width}"
            )
    if first.task == "regression":
        return None
    told = [(name, served.classes[0].tolist()) for name, served in members]
    for name, classes in told[1:]:
        if classes != told[0][1]:
            raise ModelLoadError(
                f"estimators {first_name} and {name} have different classes ({told[0][1][:8]}; "
                f"{classes[:8]}): an ensemble's members must have the same"
            )
    return list(told[0][1])


def _voting(
    named: list[tuple[str, Any]], members: list[tuple[str, Served]], classes: list[Any] | None
) -> Any:
    from sklearn.ensemble import VotingClassifier, VotingRegressor
    from sklearn.preprocessing import LabelEncoder
    from sklearn.utils import Bunch

    if classes is None:
        voting: Any = VotingRegressor(named)
        voting.estimators_ = [model for _, model in named]
    else:
        is_soft = all(served.predict_proba is not None for _, served in members)
        voting = VotingClassifier(named, voting="soft" if is_soft else "hard")
        voting.le_ = LabelEncoder().fit(members[0][1].classes[0])
        voting.classes_ = voting.le_.classes_
        by_place = is_soft or classes == list(range(len(classes)))
        voting.estimators_ = [
            model if by_place else _ByPlace(model, voting.le_) for _, model in named
        ]
    voting.named_estimators_ = Bunch(**dict(named))
    names = getattr(named[0][1], "feature_names_in_", None)
    if names is not None:
        voting.feature_names_in_ = np.asarray(names)
    return voting


class _ByPlace:
    """An estimator that answers places of its labels, as a VotingClassifier's own do."""

    def __init__(self, estimator: Any, encoder: Any) -> None:
        self._estimator = estimator
        self._encoder = encoder
        self.n_features_in_ = estimator.n_features_in_

    def predict(self, rows: Any) -> Any:
        return self._encoder.transform(self._estimator.predict(rows))
