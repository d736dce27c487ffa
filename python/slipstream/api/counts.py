"""What each model has counted since the engine was started, through reloads.

Counters of a version end with it, but those of a model must never go down: a version that is
closed leaves its counts here, and the next one of that id goes on from there. Of the ids that went
last `MOST_IDS` are remembered; a model that has been gone for longer starts at 0 again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from slipstream.engine.runtime import CoreModel

MOST_IDS = 256
STAGES = ("queue", "batch", "stage", "execute", "complete", "total")
"""Of a request, in order; ``total`` is from admission to completion."""
BOUNDS_NS = tuple((1 << exponent) - 1 for exponent in range(12, 34))
"""Upper bounds of latencies that are counted: about 4 µs, 8 µs, 16 µs, … 8.6 s. The core's buckets
end at powers of two, so these counts are exact; at 0.005 s they would be guesses."""


class Distribution(NamedTuple):
    """Counts up to growing bounds, the last of which is infinity, and the sum of all values."""

    sum: int
    cumulative: tuple[int, ...]

    def plus(self, other: Distribution) -> Distribution:
        """Both together."""
        pairs = zip(self.cumulative, other.cumulative, strict=True)
        return Distribution(self.sum + other.sum, tuple(a + b for a, b in pairs))


NUMBERS = (
    *("succeeded", "failed", "rejected", "abandoned"),
    "rows",  # of requests that succeeded
    "execute_ns_sum",
    "inline_executions",
    "restarts",
)


class Counts(NamedTuple):
    """Of one model; every number only grows."""

    numbers: Mapping[str, int]
    """By the names in `NUMBERS`."""
    batch_rows: Distribution
    """Rows of each execution, up to 1, 2, 4, … 2^20."""
    stages: Mapping[str, Distribution]
    """Nanoseconds, up to `BOUNDS_NS`."""

    def plus(self, other: Counts) -> Counts:
        """Both together."""
        return Counts(
            {name: mine + other.numbers[name] for name, mine in self.numbers.items()},
            self.batch_rows.plus(other.batch_rows),
            {name: mine.plus(other.stages[name]) for name, mine in self.stages.items()},
        )


class ColdStarts(NamedTuple):
    """Returns of models that rested, each from the first request that waited for it."""

    number: int
    total_s: float
    last_s: float | None

    def plus(self, took_s: float) -> ColdStarts:
        """With one more."""
        return ColdStarts(self.number + 1, self.total_s + took_s, took_s)

    @property
    def average_s(self) -> float | None:
        """None before the first."""
        return self.total_s / self.number if self.number else None


NO_COLD_STARTS = ColdStarts(0, 0.0, None)


class Observed(NamedTuple):
    """One model as it is now."""

    model_id: str
    counts: Counts
    queue_depth: int
    instances: int
    busy_instances: int
    cold_starts: ColdStarts


class CountKeeper:
    """Remembers the counts of versions that have ended. The engine's lock guards it."""

    def __init__(self) -> None:
        self._ended: dict[str, Counts] = {}
        self._cold_starts: dict[str, ColdStarts] = {}
        self.cold_starts = NO_COLD_STARTS
        """Of all models, those that are gone included."""

    def note_cold_start(self, model_id: str, took_s: float) -> None:
        """A model that rested is back; ``took_s`` from the first request that waited for it."""
        before = self._cold_starts.pop(model_id, NO_COLD_STARTS)
        self._cold_starts[model_id] = before.plus(took_s)
        self.cold_starts = self.cold_starts.plus(took_s)
        while len(self._cold_starts) > MOST_IDS:
            self._cold_starts.pop(next(iter(self._cold_starts)))

    def keep(self, core: CoreModel) -> None:
        """Takes over from a version that counts no more."""
        counts = _read(core).counts
        before = self._ended.pop(core.name, None)
        self._ended[core.name] = counts if before is None else before.plus(counts)
        while len(self._ended) > MOST_IDS:
            self._ended.pop(next(iter(self._ended)))

    def observe(
        self, serving: Iterable[tuple[str, CoreModel | None]], ending: Iterable[CoreModel]
    ) -> list[Observed]:
        """The models there are, in their order; versions that are ending count with theirs.

        A model without a core rests: it shows what it has counted before.
        """
        extra = dict(self._ended)
        for core in ending:
            counts = _read(core).counts
            extra[core.name] = extra[core.name].plus(counts) if core.name in extra else counts
        found = []
        for name, served in serving:
            before = extra.get(name)
            if served is None:
                if before is not None:
                    found.append(Observed(name, before, 0, 0, 0, self._cold_starts_of(name)))
                continue
            now = _read(served)._replace(cold_starts=self._cold_starts_of(name))
            if before is not None:
                now = now._replace(counts=now.counts.plus(before))
            found.append(now)
        return found

    def _cold_starts_of(self, model_id: str) -> ColdStarts:
        return self._cold_starts.get(model_id, NO_COLD_STARTS)


def _read(core: CoreModel) -> Observed:
    made = core.counts(BOUNDS_NS)
    counts = Counts(
        {name: made[name] for name in NUMBERS},
        batch_rows=Distribution(*made["batch_rows"]),
        stages={name: Distribution(*made["stages"][name]) for name in STAGES},
    )
    return Observed(
        *(core.name, counts, made["queue_size"], core.instances, made["busy_instances"]),
        NO_COLD_STARTS,
    )
