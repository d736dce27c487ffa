"""What the building of a plan says: how far it is, and why it is refused. Knows no TensorRT."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

_MOST_FAULTS = 8
_MOST_MESSAGES = 8
_LONGEST_MESSAGE = 400
_BETWEEN_S = 0.5


class Fault(NamedTuple):
    """What the parser does not take."""

    node: str
    """Its name in the graph; empty if it has none."""
    operator: str
    place: int
    """Of the node among all, from 0; -1: it is not about a node."""
    reason: str


def refusal_of(faults: Sequence[Fault], messages: Sequence[str]) -> str:
    """Why TensorRT's parser does not take a graph, node by node."""
    if not faults:
        return "TensorRT cannot read the graph" + said(messages)
    lines = []
    for fault in faults[:_MOST_FAULTS]:
        name = f"{fault.operator or 'node'} {fault.node!r}" if fault.node else fault.operator
        where = name or (f"node {fault.place}" if fault.place >= 0 else "the graph")
        lines.append(f"{where}: {' '.join(fault.reason.split())[:_LONGEST_MESSAGE]}")
    more = len(faults) - _MOST_FAULTS
    rest = f"; and {more} more" if more > 0 else ""
    return (
        f"TensorRT cannot build {len(faults)} part(s) of the graph: {'; '.join(lines)}{rest}. "
        "Serve it as model_type 'onnx', or change these nodes"
    )


def said(messages: Sequence[str]) -> str:
    """What TensorRT has logged, as the end of a sentence."""
    plain = [" ".join(message.split())[:_LONGEST_MESSAGE] for message in messages[:_MOST_MESSAGES]]
    return f". TensorRT says: {'; '.join(plain)}" if plain else ""


class Progress:
    """Phases of a build, nested, to short lines; one every half second, so that they stay few.

    TensorRT calls it from its own threads, one at a time.
    """

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic):
        """Args: say: takes a line. clock: seconds that only grow."""
        self._say = say
        self._clock = clock
        self._phases: dict[str, tuple[int, int]] = {}
        self._told_s = -_BETWEEN_S

    def begin(self, phase: str, steps: int) -> None:
        """A phase of so many steps has begun."""
        self._phases[phase] = (0, steps)
        self._tell()

    def step(self, phase: str, step: int) -> None:
        """Step number ``step`` of a phase, from 0, is done."""
        steps = self._phases.get(phase, (0, 0))[1]
        self._phases[phase] = (step + 1, steps)
        self._tell()

    def end(self, phase: str) -> None:
        """A phase is over."""
        self._phases.pop(phase, None)

    def _tell(self) -> None:
        now = self._clock()
        if now - self._told_s < _BETWEEN_S or not self._phases:
            return
        self._told_s = now
        parts = [
            f"{phase} {done}/{steps}" if steps > 0 else phase
            for phase, (done, steps) in self._phases.items()
        ]
        self._say(f"building the plan: {', '.join(parts)}")
