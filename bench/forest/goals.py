"""What the forest backend set out to reach, as data; the report says which goals are met.

Every goal is a ratio within one interleaved run on one core: how many times longer the rival takes
per row.
"""

from __future__ import annotations

from typing import NamedTuple


class Goal(NamedTuple):
    """At least ``ratio`` times the speed of ``rival`` at that batch."""

    case: str
    batch: int
    rival: str
    ratio: float


GOALS = (
    Goal("lightgbm_100x31", 1, "LightGBM", 20),
    Goal("lightgbm_100x31", 1, "lleaves", 6),
    Goal("lightgbm_100x31", 1024, "ONNX Runtime", 30),
    Goal("lightgbm_100x31", 1024, "lleaves", 10),
    Goal("lightgbm_500x127", 1, "LightGBM", 15),
    Goal("lightgbm_500x127", 1, "lignum", 4),
    Goal("lightgbm_500x127", 1024, "ONNX Runtime", 18),
    Goal("lightgbm_500x127", 1024, "lignum", 6),
    Goal("xgboost_300_d6", 1, "XGBoost", 150),
    Goal("xgboost_300_d6", 1, "ONNX Runtime", 20),
    Goal("xgboost_300_d6", 1024, "XGBoost", 15),
    Goal("xgboost_300_d6", 1024, "lignum", 8),
    Goal("hist_200x31", 1, "ONNX Runtime", 20),
    Goal("hist_200x31", 1024, "ONNX Runtime", 30),
    Goal("forest_100", 1, "ONNX Runtime", 5),
    Goal("forest_100", 1024, "ONNX Runtime", 6),
    Goal("forest_100", 16384, "scikit-learn (Py)", 2),
)

PYTHON_BATCHES = (1, 1024)
WRAPPER = "the wrapper's predict_proba"

PYTHON_GOALS = (
    Goal("lightgbm_100x31", 1, WRAPPER, 50),
    Goal("lightgbm_100x31", 1024, WRAPPER, 15),
    Goal("lightgbm_500x127", 1, WRAPPER, 12),
    Goal("lightgbm_500x127", 1024, WRAPPER, 25),
    Goal("xgboost_300_d6", 1, WRAPPER, 50),
    Goal("xgboost_300_d6", 1024, WRAPPER, 8),
    Goal("hist_200x31", 1, WRAPPER, 50),
    Goal("forest_100", 1, WRAPPER, 50),
    Goal("forest_100", 1024, WRAPPER, 3.5),
)
"""Of ``Engine``'s ``predict_proba`` over the library's own, both called from Python."""
