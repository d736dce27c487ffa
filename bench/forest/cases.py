"""The models that are compared: what is trained, on what, and which batches are timed.

A case is data; `bench.forest.train` makes the model and `bench.forest.measure` times it. Everything
is drawn from fixed seeds, so that two machines train the same models from the same rows.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Library = Literal["lightgbm", "xgboost", "hist", "forest"]
"""``hist``: scikit-learn's HistGradientBoosting; ``forest``: its RandomForest."""

BATCHES = (1, 8, 64, 1024, 16384)
ALL_CORES_BATCHES = (1024, 16384)
"""Where all cores are worth a measurement: a batch of 64 is over before a thread has woken."""


class Case(NamedTuple):
    """One trained model."""

    name: str
    title: str
    library: Library
    trees: int
    """Of all classes together."""
    leaves: int
    """Per tree, at most; 0: trees grow until their leaves are pure."""
    features: int = 30
    classes: int = 2
    training_rows: int = 30_000
    depth: int = 0
    """Levels of splits, at most; 0: limited by ``leaves`` alone."""

    @property
    def dtype(self) -> Literal["float32", "float64"]:
        """In what the library itself decides: rows are drawn so that they are exact in it."""
        return "float64" if self.library in ("lightgbm", "hist") else "float32"


CASES = {
    case.name: case
    for case in (
        Case("lightgbm_100x31", "LightGBM 100×31", "lightgbm", 100, 31),
        Case("lightgbm_500x127", "LightGBM 500×127", "lightgbm", 500, 127, training_rows=60_000),
        Case("xgboost_300_d6", "XGBoost 300 trees d6", "xgboost", 300, 64, depth=6),
        Case("hist_200x31", "HistGradientBoosting 200×31", "hist", 200, 31),
        Case("forest_100", "RandomForest 100, 771k nodes", "forest", 100, 0, training_rows=29_000),
        Case(
            "wide", "Wide: LightGBM 100×31, 2,000 features", "lightgbm", 100, 31,
            features=2000, training_rows=8_000,
        ),
        Case("big", "Big: LightGBM 10,000×31", "lightgbm", 10_000, 31),
        Case(
            "multiclass", "Multi-class: LightGBM 20×31, 100 classes", "lightgbm", 2000, 31,
            classes=100, training_rows=20_000,
        ),
        Case("tiny", "Tiny: LightGBM 10×31", "lightgbm", 10, 31),
    )
}  # fmt: skip
"""By name, in the order of the report."""
