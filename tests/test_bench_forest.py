"""The forest benchmark: its data, its checks and its report; nothing is timed or installed."""

from __future__ import annotations

import copy
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

SPREAD = {"median": 100.0, "mad": 2.0, "minimum": 90.0, "maximum": 120.0, "samples": 21}


@pytest.fixture
def forest(root: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    monkeypatch.syspath_prepend(str(root))
    return lambda name: importlib.import_module(f"bench.forest.{name}")


def small(forest: Any, library: str) -> Any:
    case = forest("cases").Case("small", "Small", library, 6, 7, training_rows=400, depth=3)
    return case._replace(features=12)


@pytest.mark.parametrize("library", ["lightgbm", "xgboost", "hist", "forest"])
def test_models_are_trained_once_and_thresholds_are_the_models(
    forest: Any, tmp_path: Path, library: str
) -> None:
    train, rows = forest("train"), forest("rows")
    case = small(forest, library)
    folder = tmp_path / "case"
    file = train.train(case, folder)
    made = file.stat().st_mtime_ns
    assert train.train(case, folder).stat().st_mtime_ns == made
    import joblib

    model = joblib.load(file)
    nodes, trees = train.count_nodes(case, model)
    assert trees == 6 and nodes > 6
    thresholds = train.thresholds(case, model)
    assert thresholds and all(0 <= column < 12 for column in thresholds)
    on = rows.rows_on_thresholds(case, 50, thresholds)
    for column, values in thresholds.items():
        exact = values if case.dtype == "float64" else values.astype(np.float32)
        assert np.isin(on[:, column], exact).all()
    beside = rows.rows_beside_thresholds(case, 50, thresholds)
    assert (beside == beside.astype(np.float32)).all()
    assert case.dtype == "float64" or np.isfinite(beside).all()
    assert np.isnan(rows.rows_with_missing(case, 50)).any()
    model.predict_proba(beside.astype(case.dtype))  # the library takes such rows


def test_another_case_of_the_same_name_is_trained_anew(forest: Any, tmp_path: Path) -> None:
    train = forest("train")
    case = small(forest, "hist")
    train.train(case, tmp_path / "case")
    (tmp_path / "case" / "model.onnx").write_text("of the old model")
    train.train(case._replace(trees=4), tmp_path / "case")
    assert not (tmp_path / "case" / "model.onnx").exists()


def test_rows_are_the_same_every_time_and_differ_by_seed(forest: Any) -> None:
    rows, case = forest("rows"), small(forest, "xgboost")
    first, labels = rows.training_rows(case)
    second, _ = rows.training_rows(case)
    np.testing.assert_array_equal(first, second)
    assert set(labels) == {0, 1}
    assert (rows.plain_rows(case, 9, seed=1) != rows.plain_rows(case, 9, seed=2)).all()


def test_the_python_rival_answers_as_the_model(forest: Any, tmp_path: Path) -> None:
    """The whole way of a check: matrix files, the process and its commands, the comparison."""
    train, checks, rivals = forest("train"), forest("checks"), forest("rivals")
    case = small(forest, "hist")
    folder = tmp_path / "case"
    other = tmp_path / "other"
    options = {
        "artifact": str(train.train(case, folder)),
        "dtype": case.dtype,
    }
    right = rivals.Ready("scikit-learn", options, in_python=True)
    wrong_model = {**options, "artifact": str(train.train(case._replace(trees=3), other))}
    no_model = {**options, "artifact": str(tmp_path / "nothing.pkl")}
    found = checks.check(
        case,
        folder,
        {
            "right": right,
            "wrong": right._replace(options=wrong_model),
            "broken": right._replace(options=no_model),
        },
        300,
    )
    kinds = ["plain", "missing", "thresholds", "beside"]
    assert [(one.kind, one.rows, one.wrong_rows) for one in found["right"]] == [
        (kind, 300, 0) for kind in kinds
    ]
    assert all(one.wrong_rows == 300 for one in found["wrong"])
    assert "nothing.pkl" in found["broken"]


def test_goals_name_cases_batches_and_rivals_that_exist(forest: Any) -> None:
    cases, goals, rivals = forest("cases"), forest("goals"), forest("rivals")
    by_name = {rival.name: rival for rival in rivals.RIVALS}
    for goal in goals.GOALS:
        assert goal.batch in cases.BATCHES
        assert cases.CASES[goal.case].library in by_name[goal.rival].libraries
    for goal in goals.PYTHON_GOALS:
        assert goal.batch in goals.PYTHON_BATCHES and goal.case in cases.CASES


def test_every_environment_is_pinned(forest: Any) -> None:
    environments = forest("environments")
    for name in environments.ENVIRONMENTS:
        text = (environments.RECIPES / f"{name}.txt").read_text(encoding="utf-8")
        lines = [line for line in text.splitlines() if not line.startswith("#")]
        assert lines and all("==" in line for line in lines)


def record_of(forest: Any) -> dict[str, Any]:
    """A result file of one case with two rivals, one of them left out of one batch."""
    case = forest("cases").CASES["lightgbm_100x31"]
    ours = {
        "name": "slipstream", "left_out": None, "calls_per_block": 9, "samples": [100.0],
        "ns_per_row": SPREAD, "ratio": {**SPREAD, "median": 1.0},
    }  # fmt: skip
    theirs = {**ours, "name": "LightGBM", "ratio": {**SPREAD, "median": 21.5}}
    slow = {**theirs, "ns_per_row": None, "ratio": None, "left_out": "one call takes 9 s"}
    check = {"kind": "plain", "rows": 100_000, "wrong_rows": 92_661, "largest_difference": 0.1}
    where = importlib.import_module("bench.lib.environment").describe(("numpy",))
    return {
        "environment": where,
        "rivals": {"lightgbm": "4.7.0"},
        "quick": False,
        "cases": [
            {
                "case": case._asdict(),
                "model": "100 trees",
                "notes": {"slipstream": "backend: forest"},
                "missing": {"lleaves": "cc failed"},
                "checks": {"slipstream": [{**check, "wrong_rows": 0}], "LightGBM": [check]},
                "one_core": [
                    {"batch": 1, "rivals": [ours, theirs]},
                    {"batch": 16384, "rivals": [ours, slow]},
                ],
                "all_cores": [{"batch": 1024, "rivals": [ours, theirs]}],
            }
        ],
        "from_python": [
            {
                "case": case.name, "title": case.title, "backend": "forest",
                "batches": [
                    {
                        "batch": 1, "rows_compared": 64, "wrong_rows": 0, "left_out": None,
                        "engine_ns_per_row": SPREAD, "wrapper_ns_per_row": SPREAD,
                        "ratio": {**SPREAD, "median": 49.0},
                    }
                ],
            }
        ],
    }  # fmt: skip


def test_the_report_says_what_was_met_and_what_was_wrong(forest: Any) -> None:
    text = forest("report").markdown_of(record_of(forest))
    for part in (
        "| LightGBM 100×31 | 1 | LightGBM | ≥ 20× | 21.5× | 90–120 | yes |",
        "| ≥ 50× | **no** | 0 of 64 |",
        "| **slipstream** | **100 ± 2** | **100 ± 2** | 0 of 100,000 |",
        "| LightGBM ≠ | 100 ± 2 (21.5×) | – (one call takes 9 s) | 92,661 of 100,000 |",
        "- lleaves: cc failed",
        "- slipstream: backend: forest",
    ):
        assert part in text
    assert "--quick" not in text


def test_the_report_keeps_what_people_wrote(
    forest: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = forest("report")
    monkeypatch.setattr(report.plots, "lines", lambda file, *rest: file.parent.name)
    page = tmp_path / "performance.md"
    assert report.write(record_of(forest), page) == ["performance"]  # what `lines` said
    first = page.read_text(encoding="utf-8")
    assert first.startswith("# Performance\n") and "21.5×" in first
    page.write_text(first.replace("# Performance\n", "# Ours\n\nBy hand.\n") + "\nAfter.\n")
    other = copy.deepcopy(record_of(forest))
    other["cases"][0]["one_core"][0]["rivals"][1]["ratio"]["median"] = 19.0
    report.write(other, page)
    second = page.read_text(encoding="utf-8")
    assert "By hand." in second and second.endswith("After.\n")
    assert "| ≥ 20× | 19× |" in second and "21.5×" not in second.split("All cores")[0]
    page.write_text("no marks")
    with pytest.raises(ValueError, match="lacks the marks"):
        report.write(record_of(forest), page)


def test_unknown_cases_are_refused_by_name(forest: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        forest("command").main(["--cases", "tiny,huge"])
    assert "no case 'huge'; there are lightgbm_100x31" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        forest("command").main(["--rivals", "LightGBM,timber"])
    assert "no rival 'timber'; there are slipstream, LightGBM" in capsys.readouterr().err
