"""Blocks in turns, in an order drawn anew for every round, and what becomes of those that fail."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

from bench.lib.suite import Say
from bench.lib.tables import figure
from bench.lib.taken import Figures, Taken

Block = Callable[[], Figures]
FRACTION = 1_000_000


def run(title: str, blocks: Mapping[str, Block], rounds: int, say: Say) -> list[Taken]:
    """One block of each in every round, by name."""
    taken = {name: Taken(name) for name in blocks}
    order = list(blocks)
    shuffled = random.Random(0)
    for _ in range(rounds):
        shuffled.shuffle(order)
        for name in order:
            taken[name].rounds.append(blocks[name]())
    for name, one in taken.items():
        said = "  ".join(f"{key} {figure(value)}" for key, value in one.rounds[-1].items())
        say(f"  {title}: {name:<24} {said}")
    return list(taken.values())


def add_over(taken: list[Taken], base: str, metric: str, name: str) -> None:
    """Adds to every round of the others what their metric is over that of ``base``."""
    right = next((one for one in taken if one.name == base), None)
    for one in taken:
        if right is None or one is right:
            continue
        for mine, theirs in zip(one.rounds, right.rounds, strict=True):
            mine[name] = mine[metric] / theirs[metric] if theirs[metric] else 0.0


def left_out(name: str, why: object) -> Taken:
    """A contender that could not be measured."""
    return Taken(name, left_out=" ".join(str(why).split()))
