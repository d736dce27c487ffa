"""What Prometheus scrapes: the counters of the core and of the HTTP layer, as metric families.

prometheus_client writes the text. Samples are made while they are written, and every few dozen of
them the interpreter is given away: a scrape runs on a thread of its own, and holding the GIL for
its whole length would keep requests waiting.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from slipstream.http.traffic import Level, Traffic

if TYPE_CHECKING:
    from slipstream.api.counts import Counts, Distribution, Observed
    from slipstream.api.loads import Load
    from slipstream.audio.tally import Totals

_SAMPLES_AT_A_TIME = 50
_PAUSE_S = 1e-4
"""Long enough for a thread that waits for the GIL to wake up and take it."""
_NS = 1e9
_ROWS_BOUNDS = tuple(str(float(1 << exponent)) for exponent in range(11))
"""The first of the core's (csrc/core/stats/rows_histogram.h); larger batches are under +Inf."""
_OUTCOMES = ("succeeded", "failed", "rejected", "abandoned")


class _Family(Metric):
    """A metric whose samples are made as they are asked for."""

    def __init__(self, name: str, text: str, kind: str, samples: Iterable[Sample]) -> None:
        super().__init__(name, text, kind)
        self.samples = _with_pauses(samples)  # type: ignore[assignment]


def _with_pauses(samples: Iterable[Sample]) -> Iterator[Sample]:
    for number, sample in enumerate(samples, start=1):
        yield sample
        if number % _SAMPLES_AT_A_TIME == 0:
            time.sleep(_PAUSE_S)


class ServerCollector(Collector):
    """Makes all families of one server.

    Args:
        observe: Reads the counters of every loaded model.
        level: Reads what is now.
        traffic: The counters of the HTTP layer.
        speech: Reads what was synthesized and transcribed.
        loads: Reads what is on its way into memory.
        version: Of slipstream.
        started_at: Seconds since the epoch.
    """

    def __init__(
        self,
        observe: Callable[[], list[Observed]],
        level: Callable[[], Level],
        traffic: Traffic,
        speech: Callable[[], dict[str, Totals]],
        loads: Callable[[], list[Load]],
        version: str,
        started_at: float,
    ) -> None:
        self._observe = observe
        self._level = level
        self._traffic = traffic
        self._speech = speech
        self._loads = loads
        self._build = {"version": version, "python": platform.python_version()}
        self._started_at = started_at

    def collect(self) -> Iterator[Metric]:
        """The families, in a fixed order."""
        yield from self._of_the_server()
        yield from _of_speech(self._speech())
        yield _of_loads(self._loads())
        yield from _of_models(self._observe())

    def _of_the_server(self) -> Iterator[Metric]:
        level, traffic = self._level(), self._traffic
        yield _gauge("slipstream_build_info", "What runs; always 1.", [(self._build, 1)])
        yield _gauge(
            "slipstream_start_time_seconds",
            "When the engine was started, since the epoch.",
            [({}, self._started_at)],
        )
        yield _gauge(
            "slipstream_http_requests_in_progress",
            "Requests that were let in and are not answered.",
            [({}, level.requests_in_progress)],
        )
        yield _gauge(
            "slipstream_http_body_bytes_in_memory",
            "Memory set aside for bodies of these.",
            [({}, level.body_bytes_in_memory)],
        )
        yield _counter(
            "slipstream_http_request_body_bytes",
            "Bytes of bodies that were let in.",
            [({}, level.received_body_bytes)],
        )
        yield _counter(
            "slipstream_http_responses",
            "Answers, by path of the route and status.",
            [
                ({"route": route, "status": str(status)}, count)
                for (route, status), count in sorted(traffic.answers().items())
            ],
        )
        yield _counter(
            "slipstream_http_refused",
            "Requests that were not let in, by reason.",
            [({"reason": reason}, count) for reason, count in traffic.refusals().items()],
        )


def _of_loads(loads: list[Load]) -> Metric:
    states = [load.state for load in loads]
    return _gauge(
        "slipstream_loads",
        "Loads and reloads that were asked for: at work, or waiting for their turn.",
        [({"state": state}, states.count(state)) for state in ("loading", "waiting")],
    )


def _of_speech(kinds: dict[str, Totals]) -> Iterator[Metric]:
    yield _gauge(
        "slipstream_speech_requests_in_progress",
        "Texts being synthesized, and files being transcribed.",
        [({"kind": kind}, totals.active) for kind, totals in kinds.items()],
    )
    yield _counter(
        "slipstream_speech_requests",
        "Those that have ended: completed, or failed (also where the client had gone).",
        [
            ({"kind": kind, "outcome": outcome}, getattr(totals, outcome))
            for kind, totals in kinds.items()
            for outcome in ("completed", "failed")
        ],
    )
    for name, text, read in _SPEECH:
        values = [({"kind": kind}, read(totals)) for kind, totals in kinds.items()]
        yield _counter(f"slipstream_speech_{name}", text, values)


_SPEECH: tuple[tuple[str, str, Callable[[Totals], float]], ...] = (
    ("seconds", "Time of those completed.", lambda totals: totals.took_s),
    ("first_seconds", "The same, until first audio or segment.", lambda totals: totals.first_s),
    ("audio_seconds", "Audio that was made, or listened to.", lambda totals: totals.audio_s),
)


def _of_models(models: list[Observed]) -> Iterator[Metric]:
    from slipstream.api.counts import BOUNDS_NS, STAGES  # here: as the engine is

    yield _gauge("slipstream_models_loaded", "Models that are loaded.", [({}, len(models))])
    for name, text, level in _LEVELS:
        values = [({"model": one.model_id}, level(one)) for one in models]
        yield _gauge(f"slipstream_{name}", text, values)
    yield _counter(
        "slipstream_requests",
        "Requests that have ended: succeeded, failed (in the backend), rejected (before they were "
        "accepted) or abandoned (late, or withdrawn).",
        [
            ({"model": one.model_id, "outcome": outcome}, one.counts.numbers[outcome])
            for one in models
            for outcome in _OUTCOMES
        ],
    )
    for name, text, read in _COUNTERS:
        values = [({"model": one.model_id}, read(one.counts)) for one in models]
        yield _counter(f"slipstream_{name}", text, values)
    yield _counter(
        "slipstream_cold_starts",
        "Returns into memory of models that rested.",
        [({"model": one.model_id}, one.cold_starts.number) for one in models],
    )
    yield _counter(
        "slipstream_cold_start_seconds",
        "Time of these, each from the first request that waited for it.",
        [({"model": one.model_id}, one.cold_starts.total_s) for one in models],
    )
    bounds = [str(bound / _NS) for bound in BOUNDS_NS]
    yield _histograms(
        "slipstream_request_duration_seconds",
        "Time in each stage of a request; total is from admission to completion.",
        bounds,
        _NS,
        [
            ({"model": one.model_id, "stage": stage}, one.counts.stages[stage])
            for one in models
            for stage in STAGES
        ],
    )
    yield _histograms(
        "slipstream_batch_rows",
        "Rows of each execution.",
        _ROWS_BOUNDS,
        1,
        [({"model": one.model_id}, one.counts.batch_rows) for one in models],
    )


_LEVELS: tuple[tuple[str, str, Callable[[Observed], float]], ...] = (
    ("queue_depth", "Requests that wait.", lambda one: one.queue_depth),
    ("instances", "Copies that can execute.", lambda one: one.instances),
    ("instances_busy", "Copies whose workers execute.", lambda one: one.busy_instances),
)
_COUNTERS: tuple[tuple[str, str, Callable[[Counts], float]], ...] = (
    ("rows", "Rows of requests that succeeded.", lambda counts: counts.numbers["rows"]),
    (
        "execution_seconds",
        "Time in backends, over all instances.",
        lambda counts: counts.numbers["execute_ns_sum"] / _NS,
    ),
    (
        "inline_executions",
        "Executions on the thread that brought the request.",
        lambda counts: counts.numbers["inline_executions"],
    ),
    (
        "worker_restarts",
        "Worker processes started again after they died.",
        lambda counts: counts.numbers["restarts"],
    ),
)

_Values = list[tuple[dict[str, str], float]]


def _gauge(name: str, text: str, values: _Values) -> Metric:
    return _Family(name, text, "gauge", [Sample(name, labels, value) for labels, value in values])


def _counter(name: str, text: str, values: _Values) -> Metric:
    samples = [Sample(f"{name}_total", labels, value) for labels, value in values]
    return _Family(name, text, "counter", samples)


def _histograms(
    name: str,
    text: str,
    bounds: Sequence[str],
    unit: float,
    values: list[tuple[dict[str, str], Distribution]],
) -> Metric:
    samples = (
        sample
        for labels, counted in values
        for sample in _histogram(name, labels, bounds, counted, unit)
    )
    return _Family(name, text, "histogram", samples)


def _histogram(
    name: str, labels: dict[str, str], bounds: Sequence[str], counted: Distribution, unit: float
) -> Iterator[Sample]:
    total = counted.cumulative[-1]
    for bound, count in zip(bounds, counted.cumulative, strict=False):
        yield Sample(f"{name}_bucket", {**labels, "le": bound}, count)
    yield Sample(f"{name}_bucket", {**labels, "le": "+Inf"}, total)
    yield Sample(f"{name}_count", labels, total)
    yield Sample(f"{name}_sum", labels, counted.sum / unit)


class Exposition:
    """Writes a scrape's answer. Any thread, one at a time."""

    def __init__(self, collector: ServerCollector) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(collector)
        ProcessCollector(registry=self._registry)

    def write(self, accept: str) -> tuple[bytes, str]:
        """The text, and its content type: OpenMetrics where ``Accept`` asks for it."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type
