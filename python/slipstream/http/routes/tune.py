"""Searching for how a model runs best: starting a search, and looking at it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from msgspec import UNSET

from slipstream.errors import InvalidInputError
from slipstream.http.codec import JsonBody, json_response
from slipstream.http.lane_call import LaneCall
from slipstream.http.routes.context import Context
from slipstream.http.routes.optimize import calibration, percent
from slipstream.http.schemas.optimize import (
    CandidateAnswer,
    Configuration,
    OptimizeAnswer,
    OptimizeProgress,
    OptimizeRequest,
    TargetAnswer,
)
from slipstream.http.types import Pending, Request, Response

if TYPE_CHECKING:
    from slipstream.api import Model
    from slipstream.tune.candidates import Candidate
    from slipstream.tune.run import SearchRun
    from slipstream.tune.search import Outcome

_optimize_body = JsonBody(OptimizeRequest)
_SHORTEST_BUDGET_S, _LONGEST_BUDGET_S = 1.0, 3600.0


def optimize(context: Context, request: Request) -> Response | Pending:
    """POST models/{model_id}/optimize: answers when the search is over."""
    from slipstream.tune.run import Wanted  # here: routes are known before the engine is
    from slipstream.tune.search import Targets

    model = context.engine.model(request.params["model_id"])
    asked = _optimize_body(request)
    budget_s = asked.time_budget_s
    if not _SHORTEST_BUDGET_S <= budget_s <= _LONGEST_BUDGET_S:
        raise InvalidInputError(
            f"'time_budget_s' is not valid: {budget_s:g}; it is a number of seconds from "
            f"{_SHORTEST_BUDGET_S:g} to {_LONGEST_BUDGET_S:g}",
            key="time_budget_s",
        )
    wanted = Wanted(
        level=asked.optimization_level,
        targets=Targets(
            _above_0(asked.target_latency_ms, "target_latency_ms"),
            _above_0(asked.target_throughput, "target_throughput"),
        ),
        time_budget_s=budget_s,
        max_accuracy_loss_percent=percent(
            asked.max_accuracy_loss_percent, "max_accuracy_loss_percent"
        ),
        calibration=calibration(model, asked.calibration_data),
    )
    entry = context.searches.begin(model, wanted)

    def work() -> Response:
        return _answer(context, context.searches.carry_out(entry))

    try:
        return LaneCall(context.search_lane, work, request, context.clock)
    except BaseException:  # the lane is full
        context.searches.abandon(entry)
        raise


def _above_0(value: float | None, key: str) -> float | None:
    if value is not None and not (math.isfinite(value) and value > 0):
        raise InvalidInputError(f"'{key}' is not valid: {value:g}; it is a number above 0", key=key)
    return value


def _answer(context: Context, run: SearchRun) -> Response:
    from slipstream.tune.measuring import MOST_IN_PROGRESS
    from slipstream.tune.report import message_of, targets_of, tried

    search, model = run.search, run.model
    assert search is not None, "it was carried out"
    best = search.best_measured
    assert best is not None, "carrying out raises where nothing was measured"
    targets = targets_of(search.targets, best)
    missed = [target for target in targets if not target.met]
    return json_response(
        OptimizeAnswer(
            message=message_of(run.applied, missed),
            model_id=model.model_id,
            optimization_level=run.wanted.level,
            applied=run.applied,
            configuration=_now(context, model),
            before=_row(search.start, search.outcomes[search.start]),
            best=_row(search.best, best),
            targets=[
                TargetAnswer(one.target, one.wanted, one.reached, one.met, one.short_by_percent)
                for one in targets
            ],
            candidates=[_row(one.candidate, one.outcome) for one in tried(search)],
            rows=run.rows,
            rows_source="generated" if run.wanted.calibration is None else "calibration",
            concurrency=MOST_IN_PROGRESS,
            optimize_time=round(run.elapsed_s, 6),
        )
    )


def progress(context: Context, request: Request) -> Response:
    """GET models/{model_id}/optimize: how the last search on the model is going, or went."""
    from slipstream.tune.report import tried

    model = context.engine.model(request.params["model_id"])
    entry = context.searches.of(model)
    search = None if entry is None else entry.progress()
    return json_response(
        OptimizeProgress(
            model_id=model.model_id,
            state="none" if entry is None else entry.state,
            configuration=_now(context, model),
            seconds_left=0.0 if entry is None else round(entry.seconds_left, 3),
            candidates=[
                _row(one.candidate, one.outcome) for one in (tried(search) if search else ())
            ],
            applied=entry is not None and entry.applied,
            reason=UNSET if entry is None or entry.error is None else entry.error.message,
        )
    )


def _now(context: Context, model: Model) -> Configuration:
    from slipstream.tune.run import present

    return _configuration(present(context.engine, model))


def _configuration(candidate: Candidate) -> Configuration:
    return Configuration(
        candidate.instances,
        candidate.max_batch_rows,
        candidate.intra_op_threads,
        candidate.graph_optimization_level,
        candidate.quantization,
    )


def _row(candidate: Candidate, outcome: Outcome) -> CandidateAnswer:
    from slipstream.tune.search import Skipped

    configuration = _configuration(candidate)
    if isinstance(outcome, Skipped):
        return CandidateAnswer(configuration, "skipped", reason=outcome.reason)
    loss = outcome.accuracy_loss_percent
    return CandidateAnswer(
        configuration,
        "measured",
        outcome.latency_p50_ms,
        outcome.latency_p99_ms,
        outcome.throughput_per_second,
        UNSET if loss is None else loss,
    )
