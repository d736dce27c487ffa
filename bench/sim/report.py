"""Who wins, and the tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from bench.lib import tables

OURS = "slipstream"
TOLERANCE = 0.01
"""Policies that are this close are level: in goodput relatively, in a class's share absolutely."""

Outcome = dict[str, Any]


class Verdict(NamedTuple):
    """How we stand in one scenario."""

    name: str
    ours: Outcome
    rival: Outcome
    """The best of those that beat us; of all, if none does."""
    is_lost: bool


def together(found: Sequence[Outcome]) -> Outcome:
    """Runs of one policy with several seeds as one: requests are added up, figures averaged."""
    first = found[0]
    counted = ("offered", "good", "late", "refused", "dropped")
    return {
        "policy": first["policy"],
        **{
            key: sum(float(each[key]) for each in found) / len(found)
            for key in ("goodput_rows_per_s", "goodput_of_peak", "mean_batch_rows")
        },
        "classes": [
            {
                "name": first["classes"][place]["name"],
                **{key: sum(int(each["classes"][place][key]) for each in found) for key in counted},
                **{
                    key: sum(float(each["classes"][place][key]) for each in found) / len(found)
                    for key in ("p50_us", "p99_us")
                },
            }
            for place in range(len(first["classes"]))
        ],
    }


def share_good(outcome: Outcome, place: int) -> float:
    """Of a class's requests, those that were answered within their deadline."""
    found = outcome["classes"][place]
    return float(found["good"]) / max(found["offered"], 1)


def beats(rival: Outcome, ours: Outcome) -> bool:
    """Whether the rival is better by more than the tolerance.

    One class: by goodput. Several: by the highest class in which they are not level, since that is
    what a priority means.
    """
    if len(ours["classes"]) == 1:
        return bool(rival["goodput_of_peak"] > ours["goodput_of_peak"] * (1 + TOLERANCE))
    for place in range(len(ours["classes"])):
        difference = share_good(rival, place) - share_good(ours, place)
        if abs(difference) > TOLERANCE:
            return difference > 0
    return False


def verdict(scenario: Outcome) -> Verdict:
    """Of one scenario of the record."""
    ours, *rivals = scenario["policies"]
    better = [rival for rival in rivals if beats(rival, ours)]
    best = max(better or rivals, key=lambda rival: float(rival["goodput_of_peak"]))
    return Verdict(scenario["name"], ours, best, bool(better))


def markdown_of(record: Outcome) -> str:
    """Everything, as Markdown."""
    verdicts = [verdict(scenario) for scenario in record["scenarios"]]
    lost = [each for each in verdicts if each.is_lost]
    parts = [
        "Goodput: rows of requests answered within their deadline, by what full batches can run.",
        "Latencies are of answered requests; late, refused and dropped ones miss.\n",
        _goodput(record["scenarios"]),
        "Each class: share answered in time / p99 in µs; and requests answered late.\n",
        _classes(verdicts),
        f"{OURS} wins or ties {len(verdicts) - len(lost)} of {len(verdicts)} scenarios.",
        *(f"- behind {each.rival['policy']} in: {each.name}" for each in lost),
        "",
    ]
    if record["isolation"]:
        parts += ["p99 of an urgent class beside low priority at twice what the model can do:\n"]
        parts += [_isolation(record["isolation"])]
    return "\n".join(parts)


def _goodput(found: list[Outcome]) -> str:
    if not found:
        return ""
    names = [outcome["policy"] for outcome in found[0]["policies"]]
    rows = [
        [each["name"], *(f"{outcome['goodput_of_peak']:.3f}" for outcome in each["policies"])]
        for each in found
    ]
    return tables.markdown(["scenario", *names], rows)


def _classes(verdicts: list[Verdict]) -> str:
    rows = [
        [
            each.name if whose is each.ours else "",
            whose["policy"],
            ", ".join(
                f"{found['name']} {share_good(whose, place):.3f} / {found['p99_us']:.0f}"
                for place, found in enumerate(whose["classes"])
            ),
            str(sum(found["late"] for found in whose["classes"])),
        ]
        for each in verdicts
        for whose in (each.ours, each.rival)
    ]
    return tables.markdown(["scenario", "policy", "classes", "late"], rows)


def _isolation(isolated: list[Outcome]) -> str:
    rows = []
    for each in isolated:
        alone = float(each["alone"]["classes"][0]["p99_us"])
        for outcome in each["beside"]:
            urgent = float(outcome["classes"][0]["p99_us"])
            rows.append(
                [
                    each["name"],
                    outcome["policy"],
                    f"{alone:.0f}",
                    f"{urgent:.0f}",
                    f"{urgent / alone:.2f}×" if alone > 0 else tables.NOTHING,
                    f"{share_good(outcome, 0):.3f}",
                    f"{outcome['goodput_of_peak']:.3f}",
                ]
            )
    header = ["scenario", "policy", "alone, µs", "beside, µs", "ratio", "urgent in time", "goodput"]
    return tables.markdown(header, rows)
