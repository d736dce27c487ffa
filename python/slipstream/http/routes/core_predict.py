"""POST /predict: one input or several, to any model, experiment or ensemble by its name.

As in `slipstream.http.routes.predict` the rows stay the bytes they came as, and so does the answer;
`slipstream.api.either` sees how many lists are around them.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from msgspec import UNSET, Raw, UnsetType

from slipstream.errors import InvalidInputError
from slipstream.http.codec import JsonBody, json_response
from slipstream.http.routes.context import Context
from slipstream.http.routes.engine_call import EngineCall
from slipstream.http.routes.options import level_number, timeout_s_in_ms
from slipstream.http.schemas.core_predict import (
    AnsweringModel,
    BatchInfo,
    CorePredictAnswer,
    CorePredictRequest,
)
from slipstream.http.types import Pending, Request, Response

if TYPE_CHECKING:
    from slipstream.api import EncodedAnswer, Predictor

_read = JsonBody(CorePredictRequest)


class CorePredictCall(EngineCall):
    """One prediction on its way."""

    __slots__ = ("_wanted",)

    def __init__(
        self, context: Context, model: Predictor, request: Request, wanted: CorePredictRequest
    ) -> None:
        super().__init__(context, model, request)
        self._wanted = wanted

    def _render(self, answer: EncodedAnswer) -> Response:
        from slipstream.api.either import unwrapped  # here: as the engine is

        assert isinstance(answer.predictions, bytes), "JSON was asked for"
        asked = answer.asked
        assert asked is not None, "the body was either"
        variant: str | UnsetType = UNSET if answer.variant is None else answer.variant
        is_single = asked.form.is_single
        return json_response(
            CorePredictAnswer(
                success=True,
                result=Raw(unwrapped(answer.predictions, asked.form)),
                processing_time=round(self._request.age_s, 9),
                model_info=AnsweringModel(
                    model=self._model.model_id,
                    device=asked.device,
                    input_type="single" if is_single else "batch",
                    input_count=1 if is_single else answer.rows,
                    processing_path=answer.way,
                    variant=variant,
                ),
                batch_info=BatchInfo(
                    inflight_batching_enabled=asked.is_batching and self._wanted.enable_batching,
                    processed_as_batch=answer.way == "batched",
                    concurrent_optimization=asked.instances > 1,
                ),
            )
        )


def predict(context: Context, request: Request) -> Pending:
    """POST /predict: the rank of the model's inputs tells one input from a batch."""
    from slipstream.api import Body  # here: routes are known before the engine is imported

    wanted = _read(request)
    model = context.engine.get(wanted.model_name)
    call = CorePredictCall(context, model, request, wanted)
    start = partial(
        model.start,
        Body("json", memoryview(wanted.inputs), either=True),
        answer="json",
        probabilities=False,
        priority=level_number(wanted.priority),
        timeout_ms=timeout_s_in_ms(
            wanted.timeout, model.timeout_ms or context.settings.default_timeout_ms
        ),
        batch_size=None,
        is_alone=not wanted.enable_batching,
    )
    try:
        call.ticket = context.limits.start(model.model_id, lambda done: start(on_done=done), call)
    except InvalidInputError as error:
        raise _about_inputs(error) from error
    return call


def _about_inputs(error: InvalidInputError) -> InvalidInputError:
    """The engine calls the rows ``data``, as the other API does; here they are ``inputs``."""
    if not error.message.startswith("data"):
        return error
    return type(error)("inputs" + error.message.removeprefix("data"), **error.details)
