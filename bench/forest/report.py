"""Writes the measured part of ``docs/performance.md`` from a result file, and its plots.

What people wrote before and after the marks stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.forest import environments, goals
from bench.forest.cases import CASES
from bench.forest.rivals import OURS
from bench.lib import environment, marked, plots
from bench.lib.spread import Spread
from bench.lib.tables import NOTHING, figure, markdown, times, with_spread

PAGE = environments.ROOT / "docs" / "performance.md"
SUITE = "forest"
_KINDS = "wrong rows: plain / NaN anywhere / on thresholds / beside thresholds"


def write(record: dict[str, Any], page: Path = PAGE) -> list[str]:
    """Replaces what is between the marks; returns sentences worth telling (plots left out).

    Raises:
        ValueError: the page is there without the marks, so nothing says where to write.
    """
    marked.require(page, SUITE)  # before anything is drawn
    drawn, said = _draw(record, page.parent / "performance")
    marked.replace(page, SUITE, markdown_of(record, drawn))
    return said


def markdown_of(record: dict[str, Any], drawn: dict[str, str] | None = None) -> str:
    """Everything that was measured, as Markdown; ``drawn`` holds a plot's path by case."""
    return "\n".join(_parts(record, drawn or {})) + "\n"


def _parts(record: dict[str, Any], drawn: dict[str, str]) -> Iterator[str]:
    yield "## Tree models\n"
    yield (
        "Written by `python -m bench forest --report FILE` from a run of `make bench-forest`. "
        "Rivals take turns in an order drawn anew for every round; figures are medians of rounds, "
        "± the median absolute deviation where it is 1% or more. C and C++ interfaces are called "
        "from one C++ program, slipstream at `Instance::execute`; (Py) is called from Python. All "
        "answer probabilities; ≠ marks who answers some rows otherwise than the library itself, "
        "and the last column counts them.\n"
    )
    if record["quick"]:
        yield "**`--quick`: too few rounds to quote these figures.**\n"
    yield "```text\n" + "\n".join(environment.lines(record["environment"]))
    pins = ", ".join(f"{name} {version}" for name, version in record["rivals"].items())
    yield f"rivals    {pins}\n```\n"
    yield from _goals(record)
    yield from _from_python(record)
    for measured in record["cases"]:
        yield from _case(measured, drawn.get(measured["case"]["name"]))


def _case(measured: dict[str, Any], plot: str | None) -> Iterator[str]:
    case = measured["case"]
    yield f"### {case['title']}\n"
    yield f"{measured['model']}. One core, ns per row:\n"
    yield _times_table(measured["one_core"], measured["checks"])
    if measured["all_cores"]:
        yield "All cores, ns per row:\n"
        yield _times_table(measured["all_cores"], None)
    for name, why in measured["missing"].items():
        yield f"- {name}: {why}"
    for name, note in measured["notes"].items():
        yield f"- {name}: {note}"
    if measured["missing"] or measured["notes"]:
        yield ""
    if plot is not None:
        yield f"![{case['title']}: ns per row by batch size]({plot})\n"


def _times_table(
    batches: list[dict[str, Any]], checks: dict[str, list[dict[str, Any]]] | None
) -> str:
    """Rivals down, batch sizes across; behind a time how many times ours it is."""
    header = ["", *(f"batch {entry['batch']:,}" for entry in batches)]
    if checks is not None:
        header.append(_KINDS)
    rows = []
    for name in [entry["name"] for entry in batches[0]["rivals"]]:
        entries = [one for entry in batches for one in entry["rivals"] if one["name"] == name]
        differs = checks is not None and any(one["wrong_rows"] for one in checks[name])
        title = f"{name} ≠" if differs else name
        cells = [f"**{title}**" if name == OURS else title, *map(_cell, entries)]
        if checks is not None:
            cells.append(_wrong(checks[name]))
        rows.append(cells)
    return markdown(header, rows)


def _cell(rival: dict[str, Any]) -> str:
    if rival["ns_per_row"] is None:
        return f"{NOTHING} ({rival['left_out']})"
    text = with_spread(Spread(**rival["ns_per_row"]))
    if rival["name"] == OURS:
        return f"**{text}**"
    return text if rival["ratio"] is None else f"{text} ({times(Spread(**rival['ratio']))})"


def _wrong(found: list[dict[str, Any]]) -> str:
    counts = " / ".join(f"{check['wrong_rows']:,}" for check in found)
    return f"{counts} of {found[0]['rows']:,}"


def find_ratio(record: dict[str, Any], goal: goals.Goal) -> Spread | None:
    """What was measured of a goal; None when it was not."""
    for measured in record["cases"]:
        if measured["case"]["name"] != goal.case:
            continue
        for entry in measured["one_core"]:
            for rival in entry["rivals"]:
                if (entry["batch"], rival["name"]) == (goal.batch, goal.rival):
                    return Spread(**rival["ratio"]) if rival["ratio"] else None
    return None


def _goals(record: dict[str, Any]) -> Iterator[str]:
    rows = []
    for goal in goals.GOALS:
        ratio = find_ratio(record, goal)
        if ratio is None:
            continue
        rows.append(_goal_row(CASES[goal.case].title, goal, ratio))
    if rows:
        yield "### Goals\n"
        yield "How many times the rival's time per row is ours, one core, one interleaved run:\n"
        yield markdown(["model", "batch", "over", "goal", "measured", "rounds' range", "met"], rows)


def _goal_row(title: str, goal: goals.Goal, ratio: Spread) -> list[str]:
    met = "yes" if ratio.median >= goal.ratio else "**no**"
    spread = f"{figure(ratio.minimum)}–{figure(ratio.maximum)}"
    return [
        title, f"{goal.batch:,}", goal.rival, f"≥ {goal.ratio:g}×", times(ratio), spread, met
    ]  # fmt: skip


def _from_python(record: dict[str, Any]) -> Iterator[str]:
    rows = []
    wanted = {(goal.case, goal.batch): goal for goal in goals.PYTHON_GOALS}
    for measured in record["from_python"]:
        for entry in measured["batches"]:
            ratio = Spread(**entry["ratio"]) if entry["ratio"] else None
            goal = wanted.get((measured["case"], entry["batch"]))
            met = NOTHING
            if goal is not None and ratio is not None:
                met = "yes" if ratio.median >= goal.ratio else "**no**"
            rows.append(
                [
                    measured["title"],
                    f"{entry['batch']:,}",
                    _python_time(entry["engine_ns_per_row"]),
                    _python_time(entry["wrapper_ns_per_row"]),
                    times(ratio),
                    NOTHING if goal is None else f"≥ {goal.ratio:g}×",
                    met,
                    f"{entry['wrong_rows']:,} of {entry['rows_compared']:,}",
                ]
            )
    if rows:
        yield "### From Python\n"
        yield "`Engine`'s `predict_proba` and the wrapper's own, ns per row, one core:\n"
        header = ["model", "rows", "Engine", "wrapper", "ratio", "goal", "met", "wrong rows"]
        yield markdown(header, rows)


def _python_time(spread: dict[str, Any] | None) -> str:
    return with_spread(None if spread is None else Spread(**spread))


def _draw(record: dict[str, Any], folder: Path) -> tuple[dict[str, str], list[str]]:
    """Draws a plot a case; the paths by case, relative to the page, and what went wrong."""
    drawn: dict[str, str] = {}
    for measured in record["cases"]:
        case, batches = measured["case"], measured["one_core"]
        names = [rival["name"] for rival in batches[0]["rivals"]]
        series = {
            name: [
                one["ns_per_row"]["median"] if one["ns_per_row"] else None
                for entry in batches
                for one in entry["rivals"]
                if one["name"] == name
            ]
            for name in names
        }
        file = folder / f"{case['name']}.svg"
        sizes = [entry["batch"] for entry in batches]
        title = f"{case['title']}, one core"
        failed = plots.lines(file, title, "rows per batch", "ns per row", sizes, series, OURS)
        if failed is not None:
            return drawn, [failed]
        drawn[case["name"]] = f"{folder.name}/{file.name}"
    return drawn, []
