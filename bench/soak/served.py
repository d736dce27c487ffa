"""What a soaked server serves, and what is right.

Two networks of the same form, which an experiment draws from, and a forest stay loaded. Guests come
and go: a third network, and a scikit-learn model that runs in a child process.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from sklearn.neighbors import KNeighborsRegressor

from bench.http import models, networks
from bench.http.models import GBDT, SMALL, SMALL_WIDTHS, Model

_RELATIVE, _ABSOLUTE = 2e-4, 2e-6

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Served:
    """One model.

    Attributes:
        model_id: Its id.
        file: In the folder of `bench.http.models`.
        width: Columns of a row.
        key: Of the answer that is checked: ``predictions`` or ``probabilities``.
        expected: From rows to what is right.
        compiled: False: to be run as it is, in a child process.
    """

    model_id: str
    file: Path
    width: int
    key: str
    expected: Callable[[Array], Array]
    compiled: bool = True

    def rows(self, count: int, seed: int) -> Array:
        """Rows that nothing was trained on."""
        values = np.random.default_rng(seed).normal(size=(count, self.width))
        return np.round(values, 4).astype(np.float32)


def agrees(got: Any, right: Array) -> bool:
    """Whether numbers are the right ones, whatever they were carried in."""
    try:
        values = np.asarray(got, dtype=np.float64)
    except (TypeError, ValueError):
        return False
    return values.shape == right.shape and np.allclose(
        values, right, rtol=_RELATIVE, atol=_ABSOLUTE
    )


def _network(name: str) -> Served:
    file = models.FOLDER / f"{name}.onnx"
    model = Model(name, file, file, SMALL.width, output="y", probabilities=False)
    return Served(name, file, SMALL.width, "predictions", model.expected)


@cache
def _neighbours() -> KNeighborsRegressor:
    rng = np.random.default_rng(3)
    return KNeighborsRegressor(3).fit(rng.normal(size=(200, 8)), rng.normal(size=200))


SMALL_ONE = _network(SMALL.name)
TWIN = _network("twin")
FOREST = Served(GBDT.name, GBDT.served, GBDT.width, "probabilities", GBDT.expected)
PERMANENT = (SMALL_ONE, TWIN, FOREST)
GUESTS = (
    _network("guest"),
    Served(
        "neighbours",
        models.FOLDER / "neighbours.pkl",
        8,
        "predictions",
        lambda rows: _neighbours().predict(rows),
        compiled=False,
    ),
)
EXPERIMENT = "small-or-twin"
"""Draws from the two networks; a shadow compares, and a guest network comes and goes."""


def make_all() -> None:
    """Makes the files that are not there yet."""
    models.make_all()
    for seed, served in ((101, TWIN), (102, GUESTS[0])):
        if not served.file.is_file():
            onnx.save(networks.dense(SMALL_WIDTHS, seed=seed), served.file)
    if not GUESTS[1].file.is_file():
        GUESTS[1].file.write_bytes(pickle.dumps(_neighbours()))


def as_models() -> list[Model]:
    """Those that are loaded from the start, as `bench.http.servers` takes them."""
    return [
        Model(one.model_id, one.file, one.file, one.width, "y", one.key == "probabilities")
        for one in PERMANENT
    ]
