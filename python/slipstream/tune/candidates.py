"""What a search may change, and what each change is called."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import msgspec

Level = Literal["conservative", "balanced", "aggressive"]
LEVELS: tuple[Level, ...] = ("conservative", "balanced", "aggressive")

GRAPH_LEVELS = ("all", "extended", "basic", "disabled")
_BATCH_ROWS = (1, 8, 32, 64, 256)


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """One way to run a model. Hashable; every field is said."""

    instances: int
    max_batch_rows: int
    intra_op_threads: int
    graph_optimization_level: str
    quantization: str | None = None
    """``"INT8 DYNAMIC"``, ``"FP16"``, ...; None: the model's own precision."""


class Alternative(NamedTuple):
    """One value of a dimension: the fields it sets, or why it is not tried."""

    changes: dict[str, Any]
    why_not: str | None = None

    def of(self, candidate: Candidate) -> Candidate:
        """The candidate with this changed."""
        return msgspec.structs.replace(candidate, **self.changes)


class Dimension(NamedTuple):
    """What is varied together while the rest stays."""

    name: str
    alternatives: Sequence[Alternative]


class Surroundings(NamedTuple):
    """What decides which alternatives there are."""

    level: Level
    backend: str
    cores: int
    most_instances: int
    """That ``max_workers`` leaves for the model."""
    is_batchable: bool
    quantizations: Sequence[str]
    """That may be tried, in order."""
    why_no_quantization: str | None
    """Why none may; None where some may."""
    least_instances: int = 1
    """One on each GPU that was asked for: with fewer, some of them would do nothing."""


def dimensions(start: Candidate, around: Surroundings) -> list[Dimension]:
    """What a search of that level looks at, the cheapest to try first.

    ``conservative`` changes how many executions run side by side and how many rows share one;
    answers stay as they are. ``balanced`` also changes how ONNX Runtime runs the graph; answers
    may differ in their last bits. ``aggressive`` also quantizes.
    """
    found = [
        Dimension("instances", _instances(start, around)),
        Dimension("max_batch_rows", _batches(around)),
    ]
    if around.level == "conservative":
        return found
    found[0] = Dimension("instances and intra_op_threads", _parallelism(start, around))
    found.append(Dimension("graph_optimization_level", _graph_levels(around)))
    if around.level == "aggressive":
        found.append(Dimension("quantization", _quantizations(around)))
    return found


def _counts(most: int, least: int = 1) -> list[int]:
    """1, 2, 4, …, the least and the most; the most alone, if it is less than the least."""
    powers = [1 << power for power in range(most.bit_length())]
    return sorted({*(count for count in powers if least <= count <= most), min(least, most), most})


def _instances(start: Candidate, around: Surroundings) -> list[Alternative]:
    return [
        Alternative({"instances": count}, _too_many(count, start.intra_op_threads, around))
        for count in _counts(around.most_instances, around.least_instances)
    ]


def _parallelism(start: Candidate, around: Surroundings) -> list[Alternative]:
    if around.backend != "onnx":
        only_graphs = Alternative(
            {"intra_op_threads": around.cores},
            f"threads of operators are a matter of ONNX graphs; this is a {around.backend} model",
        )
        return [*_instances(start, around), only_graphs]
    return [
        Alternative(
            {"instances": count, "intra_op_threads": threads}, _too_many(count, threads, around)
        )
        for count in _counts(around.most_instances, around.least_instances)
        for threads in _counts(around.cores)
    ]


def _too_many(instances: int, threads: int, around: Surroundings) -> str | None:
    wanted = instances * threads
    if instances <= around.least_instances or wanted <= max(
        around.cores, instances * (threads == 1)
    ):
        return None
    return f"{instances} instances of {threads} threads are more than the {around.cores} cores"


def _batches(around: Surroundings) -> list[Alternative]:
    if not around.is_batchable:
        why_not = "the model takes no batches: one request is one execution"
        return [Alternative({"max_batch_rows": 1}, why_not)]
    return [Alternative({"max_batch_rows": rows}) for rows in _BATCH_ROWS]


def _graph_levels(around: Surroundings) -> list[Alternative]:
    name = "graph_optimization_level"
    if around.backend != "onnx":
        why_not = f"only ONNX graphs are optimized; this is a {around.backend} model"
        return [Alternative({name: "basic"}, why_not)]
    return [Alternative({name: level}) for level in GRAPH_LEVELS]


def _quantizations(around: Surroundings) -> list[Alternative]:
    if around.why_no_quantization is not None:
        return [Alternative({"quantization": "INT8 DYNAMIC"}, around.why_no_quantization)]
    return [Alternative({"quantization": None})] + [
        Alternative({"quantization": name}) for name in around.quantizations
    ]
