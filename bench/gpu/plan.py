"""How much is measured, on what, and by whom it is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from bench.gpu.networks import NETWORKS, TINY, Network
from bench.lib.suite import Say
from bench.lib.taken import Taken

Found = Mapping[str, Sequence[Taken]]


class Plan(NamedTuple):
    """One size of it."""

    name: str
    rounds: int
    load_rounds: int
    """Of blocks of many callers where there are many kinds of them."""
    calls: int
    """Of a block of single calls."""
    block_s: float
    """Of a block of many callers."""
    networks: tuple[Network, ...]
    batch: int
    """Rows of the batches that fill a GPU."""
    batches: int
    """Of a block of the pipeline."""
    concurrencies: tuple[int, ...]
    sizes: tuple[int, ...]
    """Bytes of a batch, of what is copied."""


_SIZES = tuple(1 << power for power in range(16, 27, 2))  # 64 KiB to 64 MiB
PLANS = {
    "full": Plan("full", 11, 7, 2000, 2.0, NETWORKS, 64, 200, (1, 4, 16, 64, 256), _SIZES),
    "quick": Plan("quick", 5, 3, 300, 0.4, NETWORKS, 64, 50, (1, 4, 16, 64, 256), _SIZES),
    "smoke": Plan("smoke", 2, 2, 10, 0.1, TINY, 8, 5, (1, 4), (1 << 16, 1 << 18)),
}


@dataclass(frozen=True)
class Context:
    """What every part is given.

    Attributes:
        plan: How much.
        device: ``cuda:0``; or ``cpu``, where figures mean nothing.
        folder: Where models are made, and their engine keeps its state.
        backends: Of slipstream.
        say: Told about every block.
    """

    plan: Plan
    device: str
    folder: Path
    backends: tuple[str, ...]
    say: Say
