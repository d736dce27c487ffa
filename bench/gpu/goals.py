"""What slipstream set out to reach on a GPU; ``python -m bench gpu`` says what is met."""

from __future__ import annotations

from bench.gpu import latency, overlap, throughput
from bench.gpu.backends import ours
from bench.gpu.networks import CONVOLUTIONS, ENCODER, NETWORKS, WIDE
from bench.lib.goals import Goal

TORCH = ours("torch", recorded=True)
"""The backend that computes what the ceilings compute, and as they do."""
ADDED_US = 15.0
OF_CEILING = 0.95
OVERLAP = 0.9
OF_BUS = 0.9

GOALS = (
    *(
        Goal(f"{one.title}: one row, one caller, over the bare launch", latency.scenario(one.name),
             "added_us", ADDED_US, at_least=False, ours=TORCH, unit="µs")
        for one in NETWORKS
    ),
    *(
        Goal(f"{one.title}: rows/s under load", throughput.scenario(one.name), "per_s", OF_CEILING,
             at_least=True, over=throughput.CEILING, ours=TORCH)
        for one in (WIDE, CONVOLUTIONS, ENCODER)
    ),
    *(
        Goal(f"{one.title}: the pipeline over its slowest stage", overlap.scenario(one.name),
             "overlap", OVERLAP, at_least=True, ours=overlap.PIPELINE)
        for one in (WIDE, CONVOLUTIONS, ENCODER)
    ),
    *(
        Goal(f"copies in of {overlap.label(size)}, gathered, over bare ones", overlap.BANDWIDTH,
             "of_bare", OF_BUS, at_least=True, ours=overlap.label(size))
        for size in (1 << 20, 1 << 22, 1 << 24, 1 << 26)
    ),
)  # fmt: skip
"""The small network has no goal under load: there, Python's own loop is what is measured."""
