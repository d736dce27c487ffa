"""How many instances a model should have: a pure function of what was measured.

More when requests wait longer than an execution takes, or miss their deadlines, for a while; fewer
when one instance less would still be idle much of the time, for a longer while. The two thresholds
are far apart, and nothing is decided until a change has shown what it does, so that a steady load
leads to a steady number (hysteresis; Kubernetes' HorizontalPodAutoscaler and Knative's KPA have the
same two parts, a tolerance and a stabilization window).
"""

from __future__ import annotations

import math
from typing import NamedTuple


class Limits(NamedTuple):
    """Of one model; both at least 1."""

    least: int
    most: int


class Look(NamedTuple):
    """What one model did since the look before."""

    now_s: float
    """On any steady clock."""
    instances: int
    busy_share: float
    """Of the time of all instances, what executions took; 0 to 1."""
    queue_delay_s: float
    """Mean time that requests waited before they ran; 0 where none ran."""
    execute_s: float
    """Mean time of an execution; 0 where there was none."""
    answered: int
    missed: int
    """Requests that were refused for their deadline, or passed it while they waited."""


class Rules(NamedTuple):
    """What counts as too much and as too little, and for how long it has to."""

    least_delay_s: float = 0.005
    """A queue delay up to this is nobody's trouble, however short executions are."""
    delay_executions: float = 1.0
    """Above it, one that is longer than so many executions is too long."""
    miss_share: float = 0.01
    """Of the requests, what may miss their deadlines."""
    up_after_s: float = 1.0
    growth: float = 1.5
    """Times the instances that there are; at least one more."""
    settle_s: float = 2.0
    """After a change nothing is decided for so long."""
    idle_share: float = 0.6
    """One instance fewer would be busy for less than this share of its time."""
    down_after_s: float = 30.0


RULES = Rules()


class Memory(NamedTuple):
    """What one look leaves to the next."""

    pressed_since_s: float | None = None
    spare_since_s: float | None = None
    changed_at_s: float = -math.inf


class Decision(NamedTuple):
    """Another number of instances, and why."""

    instances: int
    reason: str


def decide(
    look: Look, limits: Limits, memory: Memory, rules: Rules = RULES
) -> tuple[Decision | None, Memory]:
    """What to do after a look; None to leave everything as it is.

    Args:
        look: The newest.
        limits: Between which the number stays; outside of them it is brought back at once.
        memory: What the look before left.
        rules: See `Rules`.
    """
    inside = min(max(look.instances, limits.least), limits.most)
    if inside != look.instances:
        what = "at least" if look.instances < limits.least else "at most"
        bound = limits.least if look.instances < limits.least else limits.most
        return _changed(look, inside, f"{what} {bound} are allowed")
    if look.now_s - memory.changed_at_s < rules.settle_s:
        return None, memory._replace(pressed_since_s=None, spare_since_s=None)
    pressure = _pressure(look, rules)
    spare = pressure is None and _is_spare(look, rules)
    memory = memory._replace(
        pressed_since_s=_since(memory.pressed_since_s, pressure is not None, look.now_s),
        spare_since_s=_since(memory.spare_since_s, spare, look.now_s),
    )
    if pressure is not None and _lasts(memory.pressed_since_s, look.now_s, rules.up_after_s):
        wanted = min(limits.most, max(look.instances + 1, int(look.instances * rules.growth)))
        if wanted > look.instances:
            return _changed(look, wanted, pressure)
    if spare and _lasts(memory.spare_since_s, look.now_s, rules.down_after_s):
        wanted = max(limits.least, look.instances - 1)
        if wanted < look.instances:
            share = f"busy {look.busy_share:.0%} of the time"
            return _changed(look, wanted, f"{share} for {rules.down_after_s:g} s")
    return None, memory


def _changed(look: Look, instances: int, reason: str) -> tuple[Decision, Memory]:
    return Decision(instances, reason), Memory(changed_at_s=look.now_s)


def _pressure(look: Look, rules: Rules) -> str | None:
    """Why there are too few; None where there are not."""
    asked = look.answered + look.missed
    if look.missed and look.missed >= rules.miss_share * asked:
        return f"{look.missed} of {asked} requests missed their deadlines"
    allowed_s = max(rules.least_delay_s, rules.delay_executions * look.execute_s)
    if look.queue_delay_s > allowed_s:
        return (
            f"requests wait {look.queue_delay_s * 1e3:.3g} ms for an execution of "
            f"{look.execute_s * 1e3:.3g} ms"
        )
    return None


def _is_spare(look: Look, rules: Rules) -> bool:
    """Whether one instance fewer would do."""
    if look.instances <= 1:
        return False
    return look.busy_share * look.instances / (look.instances - 1) < rules.idle_share


def _since(before_s: float | None, holds: bool, now_s: float) -> float | None:
    if not holds:
        return None
    return now_s if before_s is None else before_s


def _lasts(since_s: float | None, now_s: float, wanted_s: float) -> bool:
    return since_s is not None and now_s - since_s >= wanted_s
