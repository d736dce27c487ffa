"""Markdown tables, and figures as people read them."""

from __future__ import annotations

from collections.abc import Sequence

from bench.lib.spread import Spread

NOTHING = "–"


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table: the first column to the left, all others to the right.

    Raises:
        ValueError: a row has another number of cells than the header.
    """
    for row in rows:
        if len(row) != len(header):
            raise ValueError(f"{len(row)} cells below a header of {len(header)}: {list(row)}")
    rule = ["---", *("---:" for _ in header[1:])]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (header, rule, *rows))


def figure(value: float) -> str:
    """Three digits that count, and thousands set apart: 0.0123, 1.23, 278, 12,300."""
    if value == 0:
        return "0"
    digits = f"{value:.3g}"
    rounded = float(digits)
    if abs(rounded) >= 1000:
        return f"{rounded:,.0f}"
    return digits if "e" not in digits else f"{rounded:.6f}".rstrip("0")


def with_spread(spread: Spread | None) -> str:
    """``median ± MAD``; the spread is left out where it is under 1% of the median."""
    if spread is None:
        return NOTHING
    if spread.relative < 0.01:
        return figure(spread.median)
    return f"{figure(spread.median)} ± {figure(spread.mad)}"


def times(spread: Spread | None) -> str:
    """A ratio: ``12.3×``."""
    return NOTHING if spread is None else f"{figure(spread.median)}×"
