"""What one candidate does on this machine: run beside the model, measured, closed again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from slipstream.api.beside import Beside
from slipstream.api.timing import latencies_s
from slipstream.engine.closed_loop import requests_per_second
from slipstream.engine.row_inputs import single_rows
from slipstream.errors import InvalidInputError, SlipstreamError
from slipstream.quantize import rows as row_sets
from slipstream.tune.search import Measured

if TYPE_CHECKING:
    from slipstream.api.version import Version

MOST_IN_PROGRESS = 32
"""Requests at once while throughput is measured."""
_MOST_REQUESTS = 64


def measured(
    beside: Beside,
    rows: Sequence[row_sets.Array],
    seconds: float,
    is_stopped: Callable[[], bool],
) -> Measured:
    """Latency of single rows one after the other, then throughput of many at once.

    Args:
        beside: The candidate, which nobody else asks.
        rows: One array per input.
        seconds: For each of the two.
        is_stopped: Asked often; once True, it ends early with what there is.

    Raises:
        SlipstreamError: the model does not answer these rows.
    """
    version = beside.version
    requests = single_rows(version.running, version.signature, rows, _MOST_REQUESTS)
    times = latencies_s(version, requests, seconds, is_stopped)
    p50_s, p99_s = (float(value) for value in np.percentile(times, (50, 99)))
    instances = version.running.instances
    in_time = int(instances * seconds / max(p50_s, 1e-9))  # a slow model gets no long queue
    in_progress = max(2 * instances, min(MOST_IN_PROGRESS, in_time))
    rate = requests_per_second(version.running, requests, in_progress, seconds, is_stopped)
    return Measured(
        latency_p50_ms=round(p50_s * 1e3, 6),
        latency_p99_ms=round(p99_s * 1e3, 6),
        throughput_per_second=round(rate, 3),
    )


def generated(version: Version) -> list[row_sets.Array]:
    """Rows that a model answers.

    Raises:
        InvalidInputError: none of those that can be generated suits it.
    """
    is_batchable = version.running.batchable
    for rows in row_sets.candidates(version.signature.inputs, is_batchable=is_batchable):
        try:
            for request in single_rows(version.running, version.signature, rows, 1):
                version.running.run(request).raise_for_status()
        except SlipstreamError:  # of whatever kind: another set of rows is tried
            continue
        return rows
    raise InvalidInputError(
        "no generated rows suit this model: give some as calibration_data, in the form of a "
        "prediction's data",
        key="calibration_data",
    )
