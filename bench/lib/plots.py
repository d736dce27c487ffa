"""Plots, where matplotlib is installed; without it a benchmark says so and goes on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

MISSING = "plots skipped: matplotlib is not installed (.venv/bin/pip install matplotlib)"
_OURS = "#d1495b"
_OTHERS = ("#30638e", "#00798c", "#edae49", "#7a9e7e", "#8d6a9f", "#66717e", "#b08968", "#3d5a80")


def lines(
    file: Path,
    title: str,
    x_label: str,
    y_label: str,
    x: Sequence[float],
    series: Mapping[str, Sequence[float | None]],
    ours: str,
) -> str | None:
    """Draws every series over ``x``, both axes logarithmic; the format is that of ``file``'s name.

    Args:
        file: Where to write; its folder is made.
        title: Above the plot.
        x_label: With the unit.
        y_label: With the unit.
        x: Places of the points.
        series: By name, as long as ``x``; None leaves a point out.
        ours: The series to draw boldly.

    Returns:
        None, or why nothing was drawn.
    """
    pyplot = _pyplot()
    if pyplot is None:
        return MISSING
    from matplotlib.ticker import LogLocator, StrMethodFormatter

    figure, axes = pyplot.subplots(figsize=(6.4, 3.8), layout="constrained")
    others = iter(_OTHERS * 4)
    for name, values in series.items():
        points = [(place, value) for place, value in zip(x, values, strict=True) if value]
        bold = name == ours
        axes.plot(
            [place for place, _ in points],
            [value for _, value in points],
            marker="o",
            markersize=5 if bold else 3.5,
            **_style(name, bold, others),
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(list(x), [f"{place:,g}" for place in x])
    axes.minorticks_off()
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    _finish(pyplot, figure, axes, file, title, x_label, y_label)
    return None


def curves(
    file: Path,
    title: str,
    x_label: str,
    y_label: str,
    series: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    ours: str,
    *,
    marks: bool = False,
    log_y: bool = False,
) -> str | None:
    """Draws every series over its own x, which is logarithmic.

    Args:
        file: Where to write; its folder is made.
        title: Above the plot.
        x_label: With the unit.
        y_label: With the unit.
        series: By name: places, and values there.
        ours: The series to draw boldly, and all whose names begin so.
        marks: Whether the points are marked (they are few, and were measured one by one).
        log_y: Whether the values are logarithmic too.

    Returns:
        None, or why nothing was drawn.
    """
    pyplot = _pyplot()
    if pyplot is None:
        return MISSING
    figure, axes = pyplot.subplots(figsize=(7.2, 3.9), layout="constrained")
    others = iter(_OTHERS * 4)
    for name, (places, values) in series.items():
        bold = name.startswith(ours)
        axes.plot(
            places,
            values,
            marker="o" if marks else None,
            markersize=4,
            **_style(name, bold, others),
        )
    axes.set_xscale("log")
    _plain_numbers(axes.xaxis)
    if log_y:
        axes.set_yscale("log")
        _plain_numbers(axes.yaxis)
    _finish(pyplot, figure, axes, file, title, x_label, y_label)
    return None


def stacks(
    file: Path,
    title: str,
    x_label: str,
    rows: Sequence[str],
    parts: Mapping[str, Sequence[float]],
) -> str | None:
    """Draws a bar a row, made of the parts, as shares of the whole.

    Args:
        file: Where to write; its folder is made.
        title: Above the plot.
        x_label: Of the shares.
        rows: Names of the bars, from top to bottom.
        parts: By name: one value a row, in the unit of the others.

    Returns:
        None, or why nothing was drawn.
    """
    pyplot = _pyplot()
    if pyplot is None:
        return MISSING
    figure, axes = pyplot.subplots(figsize=(7.2, 0.45 * len(rows) + 1.4), layout="constrained")
    totals = [sum(values[row] for values in parts.values()) or 1.0 for row in range(len(rows))]
    lefts = [0.0] * len(rows)
    for (name, values), color in zip(parts.items(), (_OURS, *_OTHERS), strict=False):
        shares = [100 * value / total for value, total in zip(values, totals, strict=True)]
        axes.barh(rows, shares, left=lefts, label=name, color=color, height=0.7)
        lefts = [left + share for left, share in zip(lefts, shares, strict=True)]
    axes.invert_yaxis()
    _finish(pyplot, figure, axes, file, title, x_label, "")
    return None


def _plain_numbers(axis: Any) -> None:
    """Numbers as people read them on a logarithmic axis, few enough not to touch."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axis.set_minor_formatter(NullFormatter())


def _style(name: str, bold: bool, others: Iterator[str]) -> dict[str, Any]:
    """Of one series; `others` are the colours of those that are not drawn boldly."""
    return {
        "linewidth": 2.6 if bold else 1.3,
        "color": _OURS if bold else next(others),
        "label": name,
        "zorder": 3 if bold else 2,
    }


def _pyplot() -> Any:
    """Matplotlib's module that draws into files; None where it is not installed."""
    try:
        import matplotlib
    except ImportError:
        return None
    matplotlib.use("Agg")
    from matplotlib import pyplot

    matplotlib.rcParams["svg.hashsalt"] = "slipstream"  # the same figures give the same file
    matplotlib.rcParams["svg.fonttype"] = "none"  # text as text, not as outlines: a small file
    return pyplot


def _finish(
    pyplot: Any, figure: Any, axes: Any, file: Path, title: str, x_label: str, y_label: str
) -> None:
    axes.set_title(title, loc="left", fontsize=11)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=130, metadata={"Date": None} if file.suffix == ".svg" else None)
    pyplot.close(figure)
