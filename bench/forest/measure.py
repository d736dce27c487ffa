"""Times every rival of every case, interleaved, on one core and on all of them."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Any

from bench.forest import checks, environments, processes, rivals, rows, train
from bench.forest.cases import ALL_CORES_BATCHES, BATCHES, Case
from bench.forest.rivals import OURS, Ready
from bench.lib import interleave, spread
from bench.lib.interleave import Plan

WORK = environments.WORK / "forest"
TIMED_ROWS = 16384
CHECKED_ROWS = 100_000
_SETTLE_MS = 20.0  # OpenMP and ONNX Runtime threads spin for a while after their work


def folder_of(case: Case) -> Path:
    """Where a case's model and what the rivals made of it is kept."""
    return WORK / case.name


def measure(
    case: Case, plan: Plan, checked_rows: int, names: set[str] | None = None
) -> dict[str, Any]:
    """Trains (or finds), checks and times one case; the result is plain data for the JSON file.

    Args:
        case: See `bench.forest.cases`.
        plan: Of one core; on all cores a pause comes before every block.
        checked_rows: Rows of each kind whose answers are compared; wide and big cases get fewer.
        names: Rivals to take; None: all.
    """
    folder = folder_of(case)
    train.train(case, folder)
    made = rivals.make_ready(case, folder, names)
    ready = {name: rival for name, rival in made.items() if isinstance(rival, Ready)}
    missing = {name: why for name, why in made.items() if isinstance(why, str)}
    checked = min(checked_rows, _rows_to_check(case))
    checked_by = checks.check(case, folder, ready, checked)
    for name, found in checked_by.items():
        if isinstance(found, str):
            missing[name] = found
            del ready[name]
    stem = folder / "timed"
    checks.write_matrix(stem, rows.plain_rows(case, TIMED_ROWS))
    cores = sorted(os.sched_getaffinity(0))
    one = _time_all(case, stem, ready, BATCHES, plan, 1, cores[0])
    every = []
    if len(cores) > 1:
        patient = plan._replace(settle_ms=_SETTLE_MS)
        every = _time_all(case, stem, ready, ALL_CORES_BATCHES, patient, len(cores), None)
    return {
        "case": case._asdict(),
        "model": train.describe(case, _load(folder)),
        "notes": {name: rival.note for name, rival in ready.items() if rival.note},
        "missing": missing,
        "checks": {
            name: [one._asdict() for one in found]
            for name, found in checked_by.items()
            if not isinstance(found, str)
        },
        "one_core": one,
        "all_cores": every,
    }


def _rows_to_check(case: Case) -> int:
    """Fewer where a row is wide (memory) or walks many trees (time, for the slowest rivals)."""
    return min(20_000_000 // max(case.features, case.classes), 100_000_000 // case.trees)


def _load(folder: Path) -> Any:
    import joblib

    return joblib.load(folder / train.MODEL)


def _time_all(
    case: Case,
    stem: Path,
    ready: dict[str, Ready],
    batches: tuple[int, ...],
    plan: Plan,
    threads: int,
    cpu: int | None,
) -> list[dict[str, Any]]:
    """One entry a batch size, each with one series a rival; ratios are theirs over ours."""
    found = []
    with contextlib.ExitStack() as stack:
        driver = stack.enter_context(processes.start_driver(threads, cpu))
        python = None
        holders: dict[str, processes.Worker] = {}
        failed: dict[str, str] = {}
        for name, rival in ready.items():
            if rival.in_python and python is None:
                python = stack.enter_context(processes.start_python(threads, cpu))
            holder = driver if not rival.in_python or python is None else python
            try:
                holder.load(name, rival, case.features)
            except processes.WorkerError as error:
                failed[name] = str(error)
            holders[name] = holder
        for worker in {id(worker): worker for worker in holders.values()}.values():
            worker.data("timed", stem, TIMED_ROWS, case.features)
        for batch in batches:
            contenders = [
                interleave.Contender(name, holder.timer(name, "timed", batch), batch)
                for name, holder in holders.items()
                if name not in failed
            ]
            series = interleave.run(contenders, plan, seed=batch, sleep=time.sleep)
            series += [interleave.Series(name, left_out=why) for name, why in failed.items()]
            found.append({"batch": batch, "rivals": [_entry(one, series) for one in series]})
    return found


def _entry(one: interleave.Series, every: list[interleave.Series]) -> dict[str, Any]:
    """A series as plain data, with its ratio to ours where both have samples."""
    ours = next((series for series in every if series.name == OURS), None)
    ratio = None
    if ours is not None and ours.ns_per_row and one.ns_per_row:
        ratio = spread.ratio(ours.ns_per_row, one.ns_per_row)._asdict()
    return {
        "name": one.name,
        "left_out": one.left_out,
        "calls_per_block": one.calls_per_block,
        "ns_per_row": None if one.spread is None else one.spread._asdict(),
        "samples": [round(sample, 3) for sample in one.ns_per_row],
        "ratio": ratio,
    }
