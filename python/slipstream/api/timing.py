"""How long a version takes for one row, measured beside another or alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from slipstream.api.version import Version
from slipstream.engine.runtime import CoreInputs

_FEWEST = 3
_MOST = 2000
_WARM_UP = 3

Seconds = npt.NDArray[np.float64]


def latencies_s(
    version: Version,
    requests: Sequence[CoreInputs],
    seconds: float,
    is_stopped: Callable[[], bool] = lambda: False,
) -> Seconds:
    """f64[n]: time of requests sent one after the other, from admission to completion.

    Args:
        version: Nobody else may be asking it.
        requests: Sent in turn.
        seconds: For how long, at most; but at least 3 requests.
        is_stopped: Asked between requests; once True, it ends early.

    Raises:
        SlipstreamError: a request failed.
    """
    return interleaved_s((version,), requests, seconds, is_stopped)[0]


def interleaved_s(
    versions: Sequence[Version],
    requests: Sequence[CoreInputs],
    seconds: float,
    is_stopped: Callable[[], bool] = lambda: False,
) -> list[Seconds]:
    """The same for several versions in turns, so that a noisy moment meets them all."""
    for version in versions:
        warm_until = time.monotonic() + seconds / 10
        for number in range(_WARM_UP):
            _seconds(version, requests[number % len(requests)])
            if time.monotonic() >= warm_until:
                break
    found: list[list[float]] = [[] for _ in versions]
    until = time.monotonic() + seconds
    for number in range(_MOST):
        if number >= _FEWEST and time.monotonic() >= until:
            break
        if number and is_stopped():
            break
        request = requests[number % len(requests)]
        order = range(len(versions)) if number % 2 else reversed(range(len(versions)))
        for place in order:
            found[place].append(_seconds(versions[place], request))
    return [np.array(times) for times in found]


def _seconds(version: Version, request: CoreInputs) -> float:
    result = version.core.run(request)
    result.raise_for_status()
    return result.total_ns / 1e9
