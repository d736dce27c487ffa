"""Requests made of arrays by row, for measuring a version of a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy.typing as npt

from slipstream import _engine
from slipstream.engine.signature import Signature


def arrays_of(inputs: _engine.Inputs) -> list[npt.NDArray[Any]]:
    """The tensors of a request, in the model's order; text as object arrays."""
    return inputs.arrays()


def single_rows(
    core: _engine.Model, signature: Signature, arrays: Sequence[npt.NDArray[Any]], most: int
) -> list[_engine.Inputs]:
    """One request per row, of the first ``most``; one of everything for a model without batches.

    Args:
        core: Tells whether there are batches.
        signature: Of the same model.
        arrays: One per input, in the model's order.
        most: Number of requests.

    Raises:
        InvalidInputError: an array does not fit the model.
    """
    if not core.batchable:
        return [_engine.wrap_arrays(signature.inputs, list(arrays))]
    return [
        _engine.wrap_arrays(signature.inputs, [array[row : row + 1] for array in arrays])
        for row in range(min(most, len(arrays[0])))
    ]


def whole(signature: Signature, arrays: Sequence[npt.NDArray[Any]]) -> _engine.Inputs:
    """One request of all rows. Raises: as `single_rows`."""
    return _engine.wrap_arrays(signature.inputs, list(arrays))
