"""Whether copies and computation overlap, and how near copies come to the bus's own speed.

Both ask csrc/device's pipeline on csrc/cuda from C++, without a server, a queue or Python around.
Every stage is timed alone: gathering rows into page-locked memory by the host's clock, copies and
computation by events. A pipeline that hides all but its slowest stage takes that stage for every
batch and the others once; `overlap` is that time over what it took.
"""

from __future__ import annotations

from bench.gpu import turns
from bench.gpu.bare import Bare, bandwidth
from bench.gpu.networks import Network
from bench.gpu.plan import Context, Found
from bench.lib.taken import Figures, Taken

PIPELINE = "pipeline"
BANDWIDTH = "gpu bandwidth"
_STAGES = ("gather", "copy_in", "compute", "copy_out")
_MOST_PIECES = 16
_BLOCK_BYTES = 1 << 31
"""Of what is copied in a block, at most."""


def scenario(network: str) -> str:
    """Its name in result files."""
    return f"gpu overlap: {network}"


def measure(context: Context) -> Found:
    """Microseconds a batch of every stage, and the whole, by network; then bandwidths by size.

    Raises:
        WrongError: the device refused.
    """
    found = {}
    for network in context.plan.networks:
        found[scenario(network.name)] = _network(context, network)
    blocks = {label(size): _copies(context, size) for size in context.plan.sizes}
    found[BANDWIDTH] = turns.run("copies", blocks, context.plan.rounds, context.say)
    return found


def label(size: int) -> str:
    """``64 KiB``, ``4 MiB``."""
    return f"{size >> 20} MiB" if size >= 1 << 20 else f"{size >> 10} KiB"


def _network(context: Context, network: Network) -> list[Taken]:
    plan = context.plan
    pieces = min(_MOST_PIECES, plan.batch)
    with Bare(network.script(context.folder), network.rows(plan.batch)) as bare:

        def block() -> Figures:
            return overlap_of(bare.overlap(pieces, plan.batches), plan.batches)

        return turns.run(network.title, {PIPELINE: block}, plan.rounds, context.say)


def overlap_of(stages: dict[str, float], batches: int) -> Figures:
    """The figures of one block.

    Args:
        stages: Nanoseconds a batch: `gather`, `copy_in`, `compute`, `copy_out` alone, and `wall`.
        batches: How many went through the pipeline one after the other.
    """
    alone = [stages[name] for name in _STAGES]
    slowest = max(alone)
    least = slowest + (sum(alone) - slowest) / batches
    return {
        **{f"{name}_us": stages[name] / 1e3 for name in (*_STAGES, "wall")},
        "in_turn_us": sum(alone) / 1e3,
        "overlap": least / stages["wall"] if stages["wall"] else 0.0,
    }


def _copies(context: Context, size: int) -> turns.Block:
    batches = max(8, min(50 * context.plan.batches, _BLOCK_BYTES // size))
    if context.plan.name == "smoke":
        batches = context.plan.batches

    def block() -> Figures:
        bare, gather, whole = (max(1.0, one) for one in bandwidth(size, _MOST_PIECES, batches))
        return {
            "bare_gb_s": size / bare,
            "gather_gb_s": size / gather,
            "pipeline_gb_s": size / whole,
            "of_bare": bare / whole,
        }

    return block
