"""JSON rows into a tensor of doubles: ``python -m bench.micro.parse [--quick] [--output FILE]``.

Beside what a Python server would do (msgspec, then NumPy), and beside the standard library's parser
in a loop that checks nothing else. Values are compared to the last bit before anything is timed.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import msgspec
import numpy as np

from bench.lib import interleave, spread
from bench.lib.suite import Say, Size, WrongError
from bench.lib.taken import Taken
from bench.micro import command, loops
from bench.micro.command import WrongAnswerError
from slipstream import _engine

ROWS, WIDTH = 1000, 100
BODIES = ((17, ","), (3, ","), (17, ", "))
"""Significant digits, of numbers below 100, and what stands between them (json.dumps: a space)."""
OURS, MSGSPEC, TYPED = "slipstream", "msgspec + asarray", "msgspec typed + asarray"
OURS_CPP, FROM_CHARS = "decode_inputs (C++)", "std::from_chars (C++)"
GOALS = {MSGSPEC: 4.0, TYPED: 4.0, FROM_CHARS: 1.2}
"""How many times longer each should take than ours."""


def document(digits: int, separator: str = ",") -> bytes:
    """Rows as a client would write them."""
    values = np.random.default_rng(digits).uniform(0, 100, (ROWS, WIDTH))
    rows = (separator.join(f"{value:.{digits}g}" for value in row) for row in values)
    return ("[[" + f"]{separator}[".join(rows) + "]]").encode()


def series_of(body: bytes, plan: interleave.Plan) -> dict[str, interleave.Series]:
    """Compares, then times, by contender.

    Raises:
        WrongAnswerError: values differ.
        SetupError: the C++ loops could not be compiled.
    """
    decoder = _engine.InputDecoder("matrix", [("x", "float64", (-1, WIDTH))])
    typed = msgspec.json.Decoder(list[list[float]])
    by_chars, by_ours = np.zeros((ROWS, WIDTH)), np.zeros((ROWS, WIDTH))
    contenders = [
        interleave.Contender(name, timer)
        for name, timer in (
            (OURS, loops.python(lambda: decoder.decode(body))),
            (MSGSPEC, loops.python(lambda: np.asarray(msgspec.json.decode(body)))),
            (TYPED, loops.python(lambda: np.asarray(typed.decode(body)))),
            (OURS_CPP, loops.decode(body, by_ours)),
            (FROM_CHARS, loops.from_chars(body, by_chars)),
        )
    ]
    expected = np.asarray(msgspec.json.decode(body))
    for contender in contenders[3:]:
        contender.time(1)
    for name, got in ((OURS, decoder.decode(body).arrays()[0]), (OURS_CPP, by_ours),
                      (FROM_CHARS, by_chars)):  # fmt: skip
        if not loops.same_bits(got, expected):
            raise WrongAnswerError(f"{name} read other values than msgspec")
    return dict(zip([c.name for c in contenders], interleave.run(contenders, plan), strict=True))


def measure(digits: int, separator: str, plan: interleave.Plan) -> dict[str, Any]:
    """One body's figures; plain data for the result file.

    Raises: as `series_of`.
    """
    body = document(digits, separator)
    series = series_of(body, plan)
    ratios = {
        rival: spread.ratio(series[ours].ns_per_row, series[rival].ns_per_row)
        for ours, rival in ((OURS, MSGSPEC), (OURS, TYPED), (OURS_CPP, FROM_CHARS))
    }
    return {
        "digits": digits,
        "separator": separator,
        "bytes": len(body),
        "ns_per_call": {name: spread.spread_of(one.ns_per_row)._asdict()
                        for name, one in series.items()},
        "ratios": {name: one._asdict() for name, one in ratios.items()},
    }  # fmt: skip


def print_result(result: dict[str, Any]) -> None:
    """Prints one body's figures."""
    megabytes = result["bytes"] / 1e6
    print(
        f"\n{ROWS}×{WIDTH} numbers of {result['digits']} digits, {result['separator']!r} between, "
        f"{megabytes:.2f} MB"
    )
    for name, one in result["ns_per_call"].items():
        numbers = ROWS * WIDTH
        line = f"  {name:<26}{one['median'] / 1e6:8.3f} ms ± {one['mad'] / 1e6:.3f}"
        line += (
            f"{one['median'] / numbers:8.2f} ns a number{megabytes * 1e9 / one['median']:8.0f} MB/s"
        )
        if name in result["ratios"]:
            ratio = result["ratios"][name]
            line += f"   {ratio['median']:.2f}× ± {ratio['mad']:.2f} (goal {GOALS[name]})"
        print(line)


def measure_all(size: Size, say: Say) -> Mapping[str, Sequence[Taken]]:
    """Numbers a second by contender, round by round, for `bench.everything` and its goals.

    Raises:
        SetupError: the C++ loops could not be compiled.
        WrongError: values differ.
    """
    plan = interleave.QUICK if size.name == "smoke" else interleave.FULL
    found = {}
    for digits, separator in BODIES:
        try:
            series = series_of(document(digits, separator), plan)
        except WrongAnswerError as error:
            raise WrongError(f"{digits} digits: {error}") from error
        taken = [
            Taken(one.name, [{"per_s": ROWS * WIDTH * 1e9 / ns} for ns in one.ns_per_row])
            for one in series.values()
        ]
        for one in taken:
            say(f"  {digits} digits  {one.name:<26}{one.record()['medians']['per_s']:>16,.0f}/s")
        found[scenario(digits, separator)] = taken
    return found


def scenario(digits: int, separator: str) -> str:
    """The name of a body's figures in a record."""
    return f"parse: JSON numbers of {digits} digits, {separator!r} between"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and prints; returns the exit status: 1 when values differed."""
    measures = [partial(measure, digits, separator) for digits, separator in BODIES]
    return command.main("parse", __doc__, measures, print_result, arguments)


if __name__ == "__main__":
    sys.exit(main())
