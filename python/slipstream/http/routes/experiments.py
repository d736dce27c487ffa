"""Experiments: making, changing, looking at and ending them. Predictions name them as models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slipstream.http.clock import format_time
from slipstream.http.codec import JsonBody, json_response
from slipstream.http.routes.context import Context
from slipstream.http.schemas.experiments import (
    ExperimentAnswer,
    ExperimentEnd,
    ExperimentList,
    ExperimentRequest,
    LatencyFigures,
    ShadowFigures,
    VariantFigures,
)
from slipstream.http.types import Request, Response

if TYPE_CHECKING:
    from slipstream.api import Experiment
    from slipstream.api.tally import Latency

_read = JsonBody(ExperimentRequest)


def put(context: Context, request: Request) -> Response:
    """PUT experiments/{experiment_id}: 201 where it is new."""
    from slipstream.api.definition import Definition, Shadow, Variant  # here: as the engine is

    asked = _read(request)
    definition = Definition(
        tuple(Variant(one.model_id, one.weight) for one in asked.variants),
        tuple(Shadow(one.model_id, one.share) for one in asked.shadows),
    )
    experiments = context.engine.experiments
    experiment, is_new = experiments.put(request.params["experiment_id"], definition)
    return json_response(_described(experiment), 201 if is_new else 200)


def info(context: Context, request: Request) -> Response:
    """GET experiments/{experiment_id}."""
    experiment = context.engine.experiments.get(request.params["experiment_id"])
    return json_response(_described(experiment))


def list_experiments(context: Context, request: Request) -> Response:
    """GET experiments/list."""
    rows = [_described(experiment) for experiment in context.engine.experiments.all()]
    return json_response(ExperimentList(rows, len(rows)))


def end(context: Context, request: Request) -> Response:
    """DELETE experiments/{experiment_id}: requests in progress end where they are."""
    experiment_id = request.params["experiment_id"]
    context.engine.experiments.end(experiment_id)
    return json_response(ExperimentEnd("Experiment ended successfully", experiment_id))


def _described(experiment: Experiment) -> ExperimentAnswer:
    plan = experiment.plan
    counts = [tally.counts() for tally in plan.variants]
    all_drawn = sum(one.drawn for one in counts)
    total = experiment.total.counts()
    return ExperimentAnswer(
        experiment.model_id,
        format_time(experiment.created_at),
        format_time(experiment.changed_at),
        total.drawn,
        total.answered,
        total.failed,
        [
            VariantFigures(
                model_id=name,
                weight=weight,
                loaded=experiment.is_loaded(name),
                drawn_count=one.drawn,
                drawn_share=one.drawn / all_drawn if all_drawn else None,
                inference_count=one.answered,
                error_count=one.failed,
                latency=_figures(one.latency),
            )
            for name, weight, one in zip(plan.names, plan.weights, counts, strict=True)
        ],
        [
            ShadowFigures(
                model_id=tally.model_id,
                share=share,
                loaded=experiment.is_loaded(tally.model_id),
                compared=one.agreement.rows,
                agreeing=one.agreement.agreeing,
                max_difference=one.agreement.max_difference,
                mean_difference=one.agreement.mean_difference,
                error_count=one.failed,
                dropped_count=one.dropped,
                latency=_figures(one.latency),
            )
            for share, tally in plan.shadows
            for one in (tally.counts(),)
        ],
    )


def _figures(latency: Latency) -> LatencyFigures:
    return LatencyFigures(*latency)
