"""What the example computes, and with which weights.

Every value of a row goes through eight units, their mean over the row through one more::

    score = sigmoid(bias + sum_j out_j * mean_i tanh(in_j * x_i + shift_j))

So a row may have any width, and its answer is one number between 0 and 1. It means nothing.
"""

from __future__ import annotations

import random
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

UNITS = 8
_SEED = "slipstream"


class Weights(NamedTuple):
    """float32 arrays of shape ``(UNITS,)``; ``bias`` of shape ``(1,)``."""

    into: npt.NDArray[np.float32]
    shift: npt.NDArray[np.float32]
    out: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]


def weights() -> Weights:
    """The same in every process, and on every version of Python (`random.Random.random`)."""
    source = random.Random(_SEED)

    def drawn(count: int, reach: float) -> npt.NDArray[np.float32]:
        values = [reach * (2.0 * source.random() - 1.0) for _ in range(count)]
        return np.array(values, dtype=np.float32)

    return Weights(drawn(UNITS, 0.1), drawn(UNITS, 1.0), drawn(UNITS, 2.0), drawn(1, 0.5))


def scores(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The network in NumPy, to hold the others against: ``(rows, width)`` to ``(rows,)``."""
    made = weights()
    units = np.tanh(rows[:, :, None] * made.into + made.shift).mean(axis=1)
    answer: npt.NDArray[np.float32] = 1.0 / (1.0 + np.exp(-(units @ made.out + made.bias)))
    return answer.astype(np.float32)
