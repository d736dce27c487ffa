"""A tensor of doubles as JSON: ``python -m bench.micro.encode [--quick] [--output FILE]``.

Beside msgspec of NumPy's lists, which is what a Python server would do, and beside the standard
library's shortest writer in a loop. What is written must read back to the last bit.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from bench.lib import interleave, spread
from bench.micro import command, loops
from bench.micro.command import WrongAnswerError
from slipstream import _engine

ROWS, WIDTH = 1000, 100
OURS, MSGSPEC = "slipstream", "msgspec of tolist"
OURS_CPP, TO_CHARS = "encode_numbers (C++)", "std::to_chars (C++)"
KINDS = ("any doubles", "two places", "float32 widened")


def values_of(kind: str) -> loops.Array:
    """``[ROWS, WIDTH]`` doubles: probabilities, prices, what a float32 model gives."""
    values = np.random.default_rng(7).uniform(0, 1, (ROWS, WIDTH))
    if kind == "two places":
        return np.round(values * 1000, 2)
    return values if kind == "any doubles" else values.astype("float32").astype("float64")


def result_of(values: loops.Array) -> _engine.Result:
    """A request's result that holds the values, by the backend that answers what it is given."""
    backends = str(Path(_engine.__file__).parent / "backends")
    model = _engine.Engine([backends]).load(
        name="echo",
        backend="echo",
        path="",
        options={"dtype": "float64", "width": str(WIDTH)},
        max_batch_rows=ROWS,
    )
    result = model.run(_engine.wrap_arrays(model.inputs, [values]))
    result.raise_for_status()
    model.close()
    return result


def measure(kind: str, plan: interleave.Plan) -> dict[str, Any]:
    """Compares, then times; plain data for the result file.

    Raises:
        WrongAnswerError: what was written reads back otherwise.
        SetupError: the C++ loops could not be compiled.
    """
    values = values_of(kind)
    result = result_of(values)
    written = result.encode_json(0)
    if not loops.same_bits(np.asarray(msgspec.json.decode(written)), values):
        raise WrongAnswerError(f"what was written of {kind} reads back as other values")
    contenders = [
        interleave.Contender(name, timer)
        for name, timer in (
            (OURS, loops.python(lambda: result.encode_json(0))),
            (MSGSPEC, loops.python(lambda: msgspec.json.encode(values.tolist()))),
            (OURS_CPP, loops.encode(values)),
            (TO_CHARS, loops.to_chars(values)),
        )
    ]
    series = dict(zip([c.name for c in contenders], interleave.run(contenders, plan), strict=True))
    ratios = {
        rival: spread.ratio(series[ours].ns_per_row, series[rival].ns_per_row)._asdict()
        for ours, rival in ((OURS, MSGSPEC), (OURS_CPP, TO_CHARS))
    }
    times = {name: spread.spread_of(one.ns_per_row)._asdict() for name, one in series.items()}
    return {"kind": kind, "bytes": len(written), "ns_per_call": times, "ratios": ratios}


def print_result(result: dict[str, Any]) -> None:
    """Prints one tensor's figures."""
    print(f"\n{ROWS}×{WIDTH} doubles, {result['kind']}, {result['bytes'] / 1e6:.2f} MB")
    for name, one in result["ns_per_call"].items():
        line = f"  {name:<22}{one['median'] / 1e6:8.3f} ms ± {one['mad'] / 1e6:.3f}"
        line += f"{one['median'] / (ROWS * WIDTH):8.2f} ns a number"
        if name in result["ratios"]:
            ratio = result["ratios"][name]
            line += f"   {ratio['median']:.2f}× ± {ratio['mad']:.2f}"
        print(line)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and prints; returns the exit status: 1 when values differed."""
    measures = [partial(measure, kind) for kind in KINDS]
    return command.main("encode", __doc__, measures, print_result, arguments)


if __name__ == "__main__":
    sys.exit(main())
