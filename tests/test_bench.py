"""``python -m bench`` runs, checks answers and records where it ran; no figure is judged."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

WAYS = ["slipstream predict", "slipstream submit", "slipstream queue", "onnxruntime run"]


@pytest.fixture
def inprocess(root: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(root))
    return importlib.import_module("bench.inprocess")


def test_a_quick_run_prints_a_table_and_writes_json(root: Path, tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    ended = subprocess.run(
        [sys.executable, "-m", "bench", "--quick", "--output", str(file)],
        cwd=root,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr.decode()
    for way in WAYS:
        assert ended.stdout.decode().count(way) == 2

    record = json.loads(file.read_text(encoding="utf-8"))
    assert set(record) == {"environment", "quick", "plan", "inprocess"}
    assert record["quick"] is True
    where = record["environment"]
    assert where["load_average_1min_after"] is not None and where["timer_overhead_ns"] > 0
    assert where["cpu"] and where["cores"] >= 1 and where["time"].endswith("+00:00")
    assert {"slipstream", "onnxruntime", "numpy"} <= set(where["packages"])
    assert where["commit"] is None or len(where["commit"]) == 40

    rows = record["inprocess"]
    assert [(row["batch_rows"], row["way"]) for row in rows] == [
        (size, way) for size in (1, 64) for way in WAYS
    ]
    for row in rows:
        assert row["calls"] == record["plan"]["rounds"] * record["plan"]["calls"]
        assert row["answers_checked"] == 16 * row["batch_rows"]
        assert 0 < row["p5_us"] <= row["median_us"] <= row["p95_us"]
        assert row["ratio_to_onnxruntime"] > 0
        if row["way"] == "onnxruntime run":
            assert row["ratio_to_onnxruntime"] == 1 and row["inline_share"] is None
        if row["way"] == "slipstream queue":
            assert row["inline_share"] == 0


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (lambda y: y + np.float32(1e-3), "Not equal"),
        (lambda y: y.astype(np.float64), "dtype"),
        (lambda y: y[:1], "shape"),
    ],
    ids=["value", "dtype", "shape"],
)
def test_a_wrong_answer_fails_before_measuring(inprocess: Any, spoil: Any, what: str) -> None:
    def right(x: np.ndarray) -> np.ndarray:
        return x[:, :3] * 2

    ways = {"wrong one": lambda x: spoil(right(x)), inprocess.REFERENCE: right}
    with pytest.raises(inprocess.WrongAnswerError, match=rf"(?s)wrong one answers 4 rows.*{what}"):
        inprocess.require_same_answers(ways, 4)


def test_a_wrong_answer_fails_the_command(
    inprocess: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    constant = np.zeros((1, 3), np.float32)
    monkeypatch.setattr(inprocess, "onnxruntime_way", lambda file: lambda x: constant)
    assert importlib.import_module("bench.__main__").main(["--quick"]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("bench: error: slipstream predict answers 1 rows")
    assert captured.out == ""


# bench.lib: what every benchmark shares.


@pytest.fixture
def lib(root: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    monkeypatch.syspath_prepend(str(root))
    return lambda name: importlib.import_module(f"bench.lib.{name}")


class Clockwork:
    """Contenders that take a known time and note in which order they ran."""

    def __init__(self, interleave: Any, **ns_per_call: float) -> None:
        self.ran: list[tuple[str, int]] = []
        self.contenders = [
            interleave.Contender(name, self._timer(name, ns), rows_per_call=10)
            for name, ns in ns_per_call.items()
        ]

    def _timer(self, name: str, ns: float) -> Callable[[int], int]:
        def time(calls: int) -> int:
            self.ran.append((name, calls))
            return round(ns * calls)

        return time


def plan_of(interleave: Any, **changes: Any) -> Any:
    plan = interleave.Plan(
        rounds=6, least_rounds=2, block_ms=1.0, budget_s=60.0, longest_call_s=1.0
    )
    return plan._replace(**changes)


def test_contenders_take_turns_in_an_order_that_changes(lib: Any) -> None:
    interleave = lib("interleave")
    clockwork = Clockwork(interleave, a=1000.0, b=2000.0, c=50_000.0)
    series = interleave.run(clockwork.contenders, plan_of(interleave, rounds=8), seed=3)
    blocks = clockwork.ran[-24:]
    rounds = [tuple(name for name, _ in blocks[i : i + 3]) for i in range(0, 24, 3)]
    assert all(sorted(order) == ["a", "b", "c"] for order in rounds)
    assert len(set(rounds)) > 1
    assert [one.name for one in series] == ["a", "b", "c"]
    assert [one.ns_per_row for one in series] == [[100.0] * 8, [200.0] * 8, [5000.0] * 8]
    assert [one.calls_per_block for one in series] == [1000, 500, 20]  # 1 ms each
    again = Clockwork(interleave, a=1000.0, b=2000.0, c=50_000.0)
    interleave.run(again.contenders, plan_of(interleave, rounds=8), seed=3)
    assert again.ran == clockwork.ran, "the same seed gives the same order"


def test_a_contender_that_is_too_slow_is_left_out_and_says_so(lib: Any) -> None:
    interleave = lib("interleave")
    clockwork = Clockwork(interleave, quick=1000.0, slow=5e9)
    quick, slow = interleave.run(clockwork.contenders, plan_of(interleave))
    assert len(quick.ns_per_row) == 6 and quick.left_out is None
    assert slow.spread is None and slow.left_out == "one call takes 5 s"
    assert clockwork.ran.count(("slow", 1)) == 1, "one call is enough to know"


def test_rounds_are_cut_down_to_the_budget_but_not_below_the_least(lib: Any) -> None:
    interleave = lib("interleave")
    clockwork = Clockwork(interleave, a=0.5e9, b=0.5e9)
    for budget_s, rounds in ((60.0, 6), (4.0, 4), (0.1, 2)):
        plan = plan_of(interleave, budget_s=budget_s)
        series = interleave.run(clockwork.contenders, plan)
        assert [len(one.ns_per_row) for one in series] == [rounds, rounds]


def test_a_contender_that_fails_is_left_out_and_others_go_on(lib: Any) -> None:
    interleave = lib("interleave")
    clockwork = Clockwork(interleave, good=1000.0)
    calls = 0

    def fails_later(count: int) -> int:
        nonlocal calls
        calls += 1
        if calls > 4:
            raise interleave.ContenderFailedError("it crashed")
        return count * 1_000_000

    def fails(count: int) -> int:
        raise interleave.ContenderFailedError("not there")

    contenders = [
        interleave.Contender("later", fails_later),
        *clockwork.contenders,
        interleave.Contender("never", fails),
    ]
    later, good, never = interleave.run(contenders, plan_of(interleave))
    assert (later.left_out, later.ns_per_row) == ("it crashed", [])
    assert never.left_out == "not there"
    assert len(good.ns_per_row) == 6


def test_pauses_come_before_blocks(lib: Any) -> None:
    interleave = lib("interleave")
    clockwork = Clockwork(interleave, a=1000.0, b=1000.0)
    pauses: list[float] = []
    interleave.run(clockwork.contenders, plan_of(interleave, settle_ms=5.0), sleep=pauses.append)
    assert pauses == [0.005] * 12


def test_medians_spread_and_ratios(lib: Any) -> None:
    spread = lib("spread")
    found = spread.spread_of([5.0, 1.0, 2.0, 3.0, 100.0])
    assert found == (3.0, 2.0, 1.0, 100.0, 5)
    assert found.relative == pytest.approx(2 / 3)
    # The machine halves its speed in the second round: the ratio does not notice.
    assert spread.ratio([10.0, 20.0, 10.0], [30.0, 60.0, 40.0]) == (3.0, 0.0, 3.0, 4.0, 3)
    with pytest.raises(ValueError, match="not one run"):
        spread.ratio([1.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="no samples"):
        spread.spread_of([])


def test_wrong_rows_are_counted_by_row(lib: Any) -> None:
    answers = lib("answers")
    expected = np.array([[0.1, 0.9], [0.5, 0.5], [np.nan, 1.0], [np.inf, 0.0], [0.2, 0.8]])
    got = expected.copy()
    exact = answers.Tolerance(relative=1e-6)
    assert answers.compare(got, expected, exact) == (5, 0, 0.0)
    got[0] += 1e-8  # within 1e-6 of the value
    got[1] += 1e-3  # both values are off: one row
    got[2, 0] = 0.0  # a number where there is none
    got[3, 0] = -np.inf
    found = answers.compare(got, expected, exact)
    assert (found.rows, found.wrong_rows) == (5, 3)
    assert found.largest_difference == pytest.approx(1e-3)
    loose = answers.Tolerance(relative=0.0, absolute=0.01)
    assert answers.compare(got, expected, loose).wrong_rows == 2
    scaled = answers.compare(
        np.array([0.999]), np.array([0.9991]), answers.Tolerance(1e-3), np.array([0.0009])
    )
    assert scaled.wrong_rows == 1, "relative to the complement, not to the value"
    with pytest.raises(ValueError, match=r"shape \(5,\)"):
        answers.compare(got[:, 0], expected, exact)


def test_tables(lib: Any) -> None:
    tables, spread = lib("tables"), lib("spread")
    figures = {0: "0", 0.01234: "0.0123", 1.234: "1.23", 278.4: "278", 12_345: "12,300"}
    assert {value: tables.figure(value) for value in figures} == figures
    assert tables.figure(999.6) == "1,000" and tables.figure(4_580_000) == "4,580,000"
    assert tables.figure(1.234e-5) == "0.000012"
    assert tables.with_spread(spread.spread_of([100.0, 100.1, 99.9])) == "100"
    assert tables.with_spread(spread.spread_of([100.0, 110.0, 90.0])) == "100 ± 10"
    assert tables.with_spread(None) == tables.times(None) == "–"
    assert tables.times(spread.spread_of([20.04])) == "20×"
    assert tables.markdown(["", "a"], [["x", "1"]]) == "|  | a |\n| --- | ---: |\n| x | 1 |\n"
    with pytest.raises(ValueError, match="3 cells below a header of 2"):
        tables.markdown(["", "a"], [["x", "1", "2"]])


def test_result_files_know_their_suite(lib: Any, tmp_path: Path) -> None:
    results = lib("results")
    file = tmp_path / "new" / "figures.json"
    results.write(file, "forest", {"cases": [1]})
    assert results.read(file, "forest") == {"format": 1, "suite": "forest", "cases": [1]}
    with pytest.raises(ValueError, match="run that benchmark again"):
        results.read(file, "other")


def test_the_clock_is_warned_about_above_a_tenth(lib: Any) -> None:
    timer = lib("timer")
    assert 0 < timer.overhead_ns(50) < 1e6
    assert timer.warning("a call", 1000.0, 99.0) is None
    assert timer.warning("a call", 500.0, 100.0) == (
        "a call: reading the clock takes 20% of what was measured; time more calls at once"
    )


def test_the_environment_is_recorded(lib: Any) -> None:
    environment = lib("environment")
    where = environment.describe(("numpy", "no-such-package"))
    assert where["packages"] == {"numpy": np.__version__}
    assert where["load_average_1min_after"] is None
    after = environment.finish(where)
    assert after["load_average_1min_after"] is not None
    assert where["load_average_1min_after"] is None, "the record of the start stays as it was"
    text = "\n".join(environment.lines(after))
    for part in (where["cpu"], "governor", "compiler", f"numpy {np.__version__}", "after"):
        assert part in text


def test_without_matplotlib_plots_say_so(
    lib: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    plots = lib("plots")
    said = plots.lines(tmp_path / "a.svg", "t", "x", "y", [1], {"a": [1.0]}, "a")
    assert said == plots.MISSING and not list(tmp_path.iterdir())
