"""Goals as data, and whether a run met them: ratios within rounds, or figures of our own.

Every scenario of a record is a list of contenders with ``name``, ``rounds`` (a dict of figures a
round, in the same order for all) and ``left_out``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from bench.lib.spread import Spread, ratio, spread_of
from bench.lib.tables import figure, markdown

BEST = "the best rival"

Scenarios = Mapping[str, Sequence[Mapping[str, Any]]]


class Goal(NamedTuple):
    """One figure that a run should reach.

    ``metric`` of ``ours`` is divided by that of ``over`` in the same round; without ``over`` it is
    compared as it is. ``over`` may be `BEST`: the rival whose ``best_by`` is the best in the run.
    """

    title: str
    scenario: str
    metric: str
    limit: float
    at_least: bool
    over: str | None = None
    best_by: str = "per_s"
    ours: str = "slipstream"
    unit: str = "×"


class Outcome(NamedTuple):
    """What became of a goal."""

    goal: Goal
    over: str | None
    """Whom it was compared with; None: nobody, or nobody was there."""
    measured: Spread | None
    met: bool | None
    """None: not measured."""
    why: str | None
    """Why it was not measured."""


def evaluate(goal: Goal, scenarios: Scenarios, not_rivals: Sequence[str] = ()) -> Outcome:
    """Whether the run met the goal.

    Args:
        goal: See `Goal`.
        scenarios: What was measured, by scenario.
        not_rivals: Contenders that are never the best rival, beside ours.
    """
    taken = {one["name"]: one for one in scenarios.get(goal.scenario, ())}
    ours = taken.get(goal.ours)
    if ours is None or not ours["rounds"]:
        why = (ours or {}).get("left_out") or "not measured"
        return Outcome(goal, None, None, None, why)
    over = goal.over
    if over == BEST:
        rivals = [one for name, one in taken.items() if name not in (goal.ours, *not_rivals)]
        over = best(rivals, goal.best_by)
        if over is None:
            return Outcome(goal, None, None, None, "no rival was measured")
    if over is None:
        measured = spread_of([one[goal.metric] for one in ours["rounds"] if goal.metric in one])
    else:
        theirs = taken.get(over)
        if theirs is None or not theirs["rounds"]:
            why = (theirs or {}).get("left_out") or f"{over} was not measured"
            return Outcome(goal, over, None, None, why)
        try:
            measured = ratio(_values(theirs, goal.metric), _values(ours, goal.metric))
        except (KeyError, ValueError) as error:
            return Outcome(goal, over, None, None, f"no {goal.metric} in every round: {error}")
    reached = measured.median >= goal.limit if goal.at_least else measured.median <= goal.limit
    return Outcome(goal, over, measured, reached, None)


def best(contenders: Sequence[Mapping[str, Any]], metric: str) -> str | None:
    """Who has the best median: the largest rate, the smallest time; None: nobody has one."""
    scores: dict[str, float] = {
        one["name"]: spread_of([values[metric] for values in one["rounds"]]).median
        for one in contenders
        if one["rounds"] and all(metric in values for values in one["rounds"])
    }
    if not scores:
        return None
    ranked = sorted(scores, key=lambda name: scores[name])
    return ranked[-1] if metric.endswith("per_s") else ranked[0]


def table(outcomes: Sequence[Outcome]) -> str:
    """All of them as a Markdown table."""
    return markdown(
        ["what", "over", "goal", "measured", "rounds' range", "met"],
        [_row(one) for one in outcomes],
    )


def _row(outcome: Outcome) -> list[str]:
    goal = outcome.goal
    sign = "≥" if goal.at_least else "≤"
    wanted = f"{sign} {goal.limit:g}{'' if goal.unit == '×' else ' '}{goal.unit}".rstrip()
    if outcome.measured is None:
        return [goal.title, outcome.over or goal.over or "–", wanted, "–", "–", f"({outcome.why})"]
    measured = outcome.measured
    return [
        goal.title,
        outcome.over or "–",
        wanted,
        figure(measured.median),
        f"{figure(measured.minimum)}–{figure(measured.maximum)}",
        "yes" if outcome.met else "**no**",
    ]


def _values(one: Mapping[str, Any], metric: str) -> list[float]:
    return [values[metric] for values in one["rounds"]]
