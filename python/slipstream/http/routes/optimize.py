"""Quantizing, compiling and optimizing loaded models: long work, on a lane of its own."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from msgspec import UNSET, Raw, UnsetType

from slipstream.errors import InvalidInputError
from slipstream.http.codec import JsonBody, json_response
from slipstream.http.lane_call import LaneCall
from slipstream.http.queries import Query
from slipstream.http.routes.context import Context, mebibytes
from slipstream.http.schemas.optimize import CompileAnswer, DryRun, QuantizeAnswer, QuantizeRequest
from slipstream.http.types import Pending, Request, Response

if TYPE_CHECKING:
    from slipstream.api import Model
    from slipstream.api.quantize import QuantizationReport
    from slipstream.engine.runtime import CoreInputs
    from slipstream.quantize.options import QuantizeOptions

_quantize_body = JsonBody(QuantizeRequest)
_quantize_query = Query(DryRun)


def quantize(context: Context, request: Request) -> Response | Pending:
    """POST models/{model_id}/quantize; ``?dry_run=true`` only measures."""
    from slipstream.api import quantize as api  # here: routes are known before the engine is
    from slipstream.quantize.options import QuantizeOptions

    engine = context.engine
    model = engine.model(request.params["model_id"])
    wanted = _quantize_body(request)
    dry_run = _quantize_query(request).dry_run
    limit = percent(wanted.max_accuracy_loss_percent, "max_accuracy_loss_percent")
    api.require_allowed(engine)

    def work() -> Response:
        inputs = calibration(model, wanted.calibration_data)
        options = QuantizeOptions(
            type=wanted.quantization_type,
            mode=wanted.quantization_mode,
            rows=None if inputs is None else api.keep_rows(engine, model, inputs),
            max_accuracy_loss_percent=limit,
        )
        report = api.quantize(engine, model, options, dry_run=dry_run)
        return _quantized(model, options, report)

    return LaneCall(context.long_lane, work, request, context.clock)


def _quantized(model: Model, options: QuantizeOptions, report: QuantizationReport) -> Response:
    if report.applied:
        message = "Model quantized successfully"
    elif report.is_within_limit:
        message = "Dry run: the model stays as it is"
    else:
        message = "Dry run: the model would be refused, for it loses more than is allowed"
    told = report.quantized
    return json_response(
        QuantizeAnswer(
            message=message,
            model_id=model.model_id,
            quantization_type=options.type,
            size_reduction_percent=report.size_reduction_percent,
            speed_improvement_percent=report.speed_improvement_percent,
            accuracy_loss_percent=told.accuracy_loss_percent,
            quantization_mode=told.mode,
            max_accuracy_loss_percent=options.max_accuracy_loss_percent,
            rows=told.rows,
            rows_source=told.rows_source,
            quantized_weights=told.weights,
            size_before_mb=mebibytes(report.size_before_bytes) or 0.0,
            size_after_mb=mebibytes(report.size_after_bytes) or 0.0,
            latency_before_ms=round(report.latency_before_s * 1e3, 6),
            latency_after_ms=round(report.latency_after_s * 1e3, 6),
            applied=report.applied,
        )
    )


def percent(value: float, key: str) -> float:
    """A share in percent.

    Raises:
        InvalidInputError: not from 0 to 100.
    """
    if not (math.isfinite(value) and 0 <= value <= 100):
        raise InvalidInputError(
            f"'{key}' is not valid: {value:g}; it is a number from 0 to 100", key=key
        )
    return float(value)


def calibration(model: Model, data: Raw | UnsetType) -> CoreInputs | None:
    """The rows of ``calibration_data``; None where there is none.

    Raises:
        InvalidInputError: they do not fit the model; names row and column.
    """
    if isinstance(data, UnsetType) or bytes(data) == b"null":
        return None
    try:
        return model.version.decoder.decode(bytes(data))
    except InvalidInputError as error:
        error.details.setdefault("key", "calibration_data")
        raise


def compile_model(context: Context, request: Request) -> Response | Pending:
    """POST models/{model_id}/compile."""
    from slipstream.api.compile import compile_model as compile_now  # here: as above

    engine = context.engine
    model = engine.model(request.params["model_id"])

    def work() -> Response:
        report = compile_now(engine, model)
        if not report.compiled:
            message = "Model could not be compiled"
        elif report.was_compiled:
            message = "Model is compiled already"
        else:
            message = "Model compiled successfully"
        return json_response(
            CompileAnswer(
                message=message,
                model_id=model.model_id,
                compiled=report.compiled,
                backend=report.backend,
                compile_time=round(report.compile_time_s, 6),
                reason=UNSET if report.reason is None else report.reason,
            )
        )

    return LaneCall(context.long_lane, work, request, context.clock)
