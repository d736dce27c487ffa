"""The search strategy is a pure function of what is measured; the machines here are made up."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipstream.tune.candidates import LEVELS, Candidate, Dimension, Level, Surroundings, dimensions
from slipstream.tune.report import message_of, targets_of
from slipstream.tune.search import (
    LEAST_GAIN,
    Measured,
    Outcome,
    Search,
    Skipped,
    Targets,
    gain,
    is_better,
)

START = Candidate(
    instances=2, max_batch_rows=64, intra_op_threads=1, graph_optimization_level="all"
)


def around(level: Level = "aggressive", **changes: object) -> Surroundings:
    usual = Surroundings(
        level=level,
        backend="onnx",
        cores=4,
        most_instances=4,
        is_batchable=True,
        quantizations=("INT8 DYNAMIC", "FP16"),
        why_no_quantization=None,
    )
    return usual._replace(**changes)  # type: ignore[arg-type]


def outcome(p50_ms: float, rate: float, p99_ms: float | None = None) -> Measured:
    return Measured(
        latency_p50_ms=p50_ms,
        latency_p99_ms=2 * p50_ms if p99_ms is None else p99_ms,
        throughput_per_second=rate,
    )


def run(
    search: Search, machine: Callable[[Candidate], Outcome], most: int = 1000
) -> list[Candidate]:
    """Everything that was asked for."""
    asked = []
    for _ in range(most):
        candidate = search.ask()
        if candidate is None:
            return asked
        asked.append(candidate)
        search.tell(machine(candidate))
    raise AssertionError("the search does not end")


def smooth(candidate: Candidate) -> Measured:
    """Best at 1 instance of 4 threads, 32 rows, ``extended``, FP16, each by itself."""
    worse = 1.0
    worse *= 1.3 ** abs(math.log2(candidate.instances))
    worse *= 1.3 ** abs(math.log2(candidate.intra_op_threads / 4))
    worse *= 1.2 ** abs(math.log2(candidate.max_batch_rows / 32))
    worse *= 1.0 if candidate.graph_optimization_level == "extended" else 1.4
    worse *= {None: 1.4, "FP16": 1.0}.get(candidate.quantization, 3.0)
    return outcome(worse, 1000 / worse)


def counts(*dimensions_of: Dimension) -> set[int]:
    """Numbers of instances that may be tried."""
    found = [one for dimension in dimensions_of for one in dimension.alternatives]
    return {one.changes["instances"] for one in found if "instances" in one.changes}


@pytest.mark.parametrize("level", ["conservative", "aggressive"])
def test_every_gpu_keeps_an_instance(level: Level) -> None:
    assert counts(*dimensions(START, around(level))) == {1, 2, 4}
    for least, expected in ((2, {2, 4}), (3, {3, 4}), (7, {4})):
        found = dimensions(START, around(level, least_instances=least))
        assert counts(*found) == expected
    one_core = dimensions(START, around(level, least_instances=2, cores=1))[0].alternatives[0]
    assert one_core.why_not is None, "they compute on GPUs, however few cores there are"


class TestTheSearch:
    def test_finds_the_best_of_a_smooth_machine(self) -> None:
        search = Search(START, dimensions(START, around()))
        run(search, smooth)
        assert search.best == Candidate(
            instances=1, max_batch_rows=32, intra_op_threads=4,
            graph_optimization_level="extended", quantization="FP16",
        )  # fmt: skip

    def test_looks_again_when_a_later_dimension_changed_things(self) -> None:
        def machine(candidate: Candidate) -> Measured:  # many instances pay off with FP16 only
            if candidate.quantization == "FP16":
                return outcome(0.5, 100.0 * candidate.instances)
            return outcome(1.0, 100.0 / candidate.instances)

        search = Search(START, dimensions(START, around()))
        run(search, machine)
        assert (search.best.quantization, search.best.instances) == ("FP16", 4)

    def test_changes_nothing_for_chance(self) -> None:
        noise = itertools.cycle((1.0, 1.03, 0.98, 1.01))
        search = Search(START, dimensions(START, around()))
        run(search, lambda _: outcome(next(noise), 1000.0))
        assert search.best == START

    def test_asks_for_the_present_first_and_nothing_twice(self) -> None:
        search = Search(START, dimensions(START, around()))
        asked = run(search, smooth)
        assert asked[0] == START
        assert len(asked) == len(set(asked))

    def test_gives_up_when_the_present_cannot_be_measured(self) -> None:
        search = Search(START, dimensions(START, around()))
        assert run(search, lambda _: Skipped("it fails")) == [START]
        assert search.best_measured is None

    def test_a_candidate_that_fails_is_skipped(self) -> None:
        def machine(candidate: Candidate) -> Outcome:
            return Skipped("no") if candidate.quantization else smooth(candidate)

        search = Search(START, dimensions(START, around()))
        run(search, machine)
        assert search.best.quantization is None
        assert Skipped("no") in search.outcomes.values()

    def test_is_not_misled_about_the_present(self) -> None:
        search = Search(START, dimensions(START, around()))
        run(search, smooth)
        found = search.best
        search.confirm(outcome(1.0, 100.0), outcome(2.0, 100.0))
        assert search.best == found
        search.confirm(outcome(1.0, 100.0), outcome(1.0, 100.0))
        assert search.best == START

    @pytest.mark.parametrize("again", [Skipped("no time"), None])
    def test_what_is_not_confirmed_is_given_up(self, again: Skipped | None) -> None:
        search = Search(START, dimensions(START, around()))
        run(search, smooth)
        search.confirm(again or outcome(5.0, 1.0), outcome(1.0, 100.0))
        assert search.best == START

    @given(st.data())
    def test_ends_on_any_machine_and_never_prefers_the_worse(self, data: st.DataObject) -> None:
        level = data.draw(st.sampled_from(LEVELS))
        figures = st.floats(1e-3, 1e3)
        search = Search(START, dimensions(START, around(level)))
        known: dict[Candidate, Outcome] = {}

        def machine(candidate: Candidate) -> Outcome:
            fails = candidate != START and data.draw(st.booleans())
            known[candidate] = (
                Skipped("fails") if fails else outcome(data.draw(figures), data.draw(figures))
            )
            return known[candidate]

        run(search, machine)
        best, start = search.best_measured, known[START]
        assert best is not None
        assert isinstance(start, Measured)
        assert search.best == START or gain(best, start) > LEAST_GAIN
        assert {key: search.outcomes[key] for key in known} == known

    @given(st.integers(1, 30))
    def test_may_be_ended_at_any_time(self, steps: int) -> None:
        search = Search(START, dimensions(START, around()))
        for _ in range(steps):
            candidate = search.ask()
            if candidate is None:
                break
            search.tell(smooth(candidate))
        assert search.best in search.outcomes

    def test_what_it_had_no_time_for_is_told(self) -> None:
        trees = around(backend="forest", why_no_quantization="it has no matrices")
        search = Search(START, dimensions(START, trees))
        assert search.ask() == START
        search.tell(outcome(1.0, 1.0))
        search.end("no time")
        assert search.ask() is None
        reasons = [one.reason for one in search.outcomes.values() if isinstance(one, Skipped)]
        assert len(reasons) == len(search.outcomes) - 1
        assert reasons.count("it has no matrices") == 1
        assert reasons.count("no time") > 3


class TestTargets:
    def test_the_one_that_meets_them_is_preferred(self) -> None:
        targets = Targets(latency_ms=10.0, throughput_per_second=100.0)
        meets = outcome(9.0, 101.0, p99_ms=10.0)
        faster = outcome(1.0, 99.0, p99_ms=2.0)
        assert is_better(meets, faster, targets)
        assert not is_better(faster, meets, targets)
        assert is_better(faster, meets, Targets())

    def test_the_one_that_comes_nearer_is_preferred(self) -> None:
        targets = Targets(latency_ms=1.0)
        assert is_better(outcome(1.0, 1.0, p99_ms=2.0), outcome(1.0, 99.0, p99_ms=3.0), targets)

    def test_how_far_they_are(self) -> None:
        targets = Targets(latency_ms=10.0, throughput_per_second=100.0)
        latency, rate = targets_of(targets, outcome(1.0, 80.0, p99_ms=12.5))
        assert (latency.target, latency.reached, latency.met) == ("target_latency_ms", 12.5, False)
        assert latency.short_by_percent == 25.0
        assert (rate.target, rate.reached, rate.met) == ("target_throughput", 80.0, False)
        assert rate.short_by_percent == 20.0
        text = message_of(False, [latency, rate])
        assert "target_latency_ms (25 % short of 10)" in text
        assert "target_throughput (20 % short of 100)" in text
        assert targets_of(Targets(), outcome(1.0, 1.0)) == []

    def test_a_search_for_targets_ends_at_one_that_meets_them(self) -> None:
        def machine(candidate: Candidate) -> Measured:  # batches of 256: slow, but many
            rows = candidate.max_batch_rows
            return outcome(1.0 + rows / 64, 10.0 * rows)

        fast = Search(START, dimensions(START, around()), Targets(latency_ms=2.5))
        run(fast, machine)
        assert fast.best.max_batch_rows < 64
        many = Search(START, dimensions(START, around()), Targets(throughput_per_second=2000.0))
        run(many, machine)
        assert many.best.max_batch_rows == 256


class TestTheSpace:
    @staticmethod
    def tried(surroundings: Surroundings, start: Candidate = START) -> list[Candidate]:
        return run(Search(start, dimensions(start, surroundings)), lambda _: outcome(1.0, 1.0))

    @staticmethod
    def skipped(surroundings: Surroundings) -> list[str]:
        search = Search(START, dimensions(START, surroundings))
        run(search, lambda _: outcome(1.0, 1.0))
        return [one.reason for one in search.outcomes.values() if isinstance(one, Skipped)]

    @staticmethod
    def varied(candidates: list[Candidate]) -> set[str]:
        return {
            name
            for candidate in candidates
            for name, value in msgspec.structs.asdict(candidate).items()
            if value != getattr(START, name)
        }

    def test_what_each_level_varies(self) -> None:
        conservative = {"instances", "max_batch_rows"}
        balanced = conservative | {"intra_op_threads", "graph_optimization_level"}
        assert self.varied(self.tried(around("conservative"))) == conservative
        assert self.varied(self.tried(around("balanced"))) == balanced
        assert self.varied(self.tried(around("aggressive"))) == balanced | {"quantization"}

    def test_a_tree_is_not_quantized(self) -> None:
        trees = around(backend="forest", why_no_quantization="it has no matrices")
        assert self.varied(self.tried(trees)) == {"instances", "max_batch_rows"}
        reasons = self.skipped(trees)
        assert "it has no matrices" in reasons
        assert sum("only ONNX graphs" in reason for reason in reasons) == 1
        assert sum("threads of operators" in reason for reason in reasons) == 1

    def test_a_model_without_batches_keeps_its_batch(self) -> None:
        assert "max_batch_rows" not in self.varied(self.tried(around(is_batchable=False)))
        assert any("no batches" in reason for reason in self.skipped(around(is_batchable=False)))

    @given(cores=st.integers(1, 64), most=st.integers(1, 64))
    def test_neither_cores_nor_max_workers_are_exceeded(self, cores: int, most: int) -> None:
        start = msgspec.structs.replace(START, instances=1)
        for candidate in self.tried(around(cores=cores, most_instances=most), start):
            assert 1 <= candidate.instances <= most
            assert 1 <= candidate.intra_op_threads <= cores
            if candidate.intra_op_threads > 1:
                assert candidate.instances * candidate.intra_op_threads <= cores

    def test_a_quantized_model_may_get_its_precision_back(self) -> None:
        start = msgspec.structs.replace(START, quantization="INT8 DYNAMIC")
        search = Search(start, dimensions(start, around()))
        run(search, smooth)
        assert search.best.quantization == "FP16"
        precise = msgspec.structs.replace(search.best, quantization=None)
        assert precise in search.outcomes
