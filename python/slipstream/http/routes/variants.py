"""A/B: which of several variants answers, drawn by weight or by a key that draws the same."""

from __future__ import annotations

import math
from collections.abc import Sequence

from slipstream.drawing import drawn as drawn
from slipstream.errors import InvalidInputError


def checked(weights: Sequence[float | None]) -> list[float] | None:
    """The weights of all entries; None where none has one.

    Raises:
        InvalidInputError: only some have one, one is no weight, or all are 0.
    """
    if all(weight is None for weight in weights):
        return None
    found = [math.nan if weight is None else weight for weight in weights]
    for place, weight in enumerate(found):
        if not (math.isfinite(weight) and weight >= 0):
            raise InvalidInputError(
                f"'requests[{place}].weight' is not valid: entries with weights are variants of "
                "one question, and each needs one, a number of at least 0",
                key="weight",
            )
    if not 0 < sum(found) < math.inf:
        raise InvalidInputError(
            "the weights are not valid: their sum has to be a number above 0", key="weight"
        )
    return found
