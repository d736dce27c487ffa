"""Prediction, the general way: for bodies of any form, and whatever the express declines.

The envelope is decoded here; the rows stay the bytes they came as and are read in C++, and the
arrays of the answer come back as bytes made in C++. Nothing here touches a number of a row.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from msgspec import UNSET, Raw, UnsetType

from slipstream.http import forms
from slipstream.http.codec import encode_json
from slipstream.http.routes.context import Context
from slipstream.http.routes.engine_call import EngineCall
from slipstream.http.routes.options import batch_size, level, timeout_ms
from slipstream.http.schemas.predict import BatchAnswer, PredictAnswer, PredictOptions
from slipstream.http.types import Header, Pending, Request, Response

if TYPE_CHECKING:
    from slipstream.api import Body, BodyKind, EncodedAnswer, Predictor


class PredictCall(EngineCall):
    """One prediction on its way."""

    __slots__ = (
        "_batch",
        "_kind",
    )

    def __init__(
        self, context: Context, model: Predictor, request: Request, kind: BodyKind, batch: bool
    ) -> None:
        super().__init__(context, model, request)
        self._kind = kind
        self._batch = batch

    def _render(self, result: EncodedAnswer) -> Response:
        content_type = forms.CONTENT_TYPE[self._kind]
        if self._kind == "tensor":
            return Response(200, *self._tensors(result), content_type=content_type)
        body = self._answer(result)
        encode = encode_json if self._kind == "json" else forms.encode_msgpack
        return Response(200, encode(body), content_type=content_type)

    def _answer(self, result: EncodedAnswer) -> PredictAnswer | BatchAnswer:
        assert isinstance(result.predictions, bytes)
        predictions = Raw(result.predictions)
        probabilities: Raw | UnsetType = UNSET
        if isinstance(result.probabilities, bytes):
            probabilities = Raw(result.probabilities)
        model_id = self._model.model_id
        variant: str | UnsetType = UNSET if result.variant is None else result.variant
        timestamp = self._context.clock.timestamp()
        if not self._batch:
            return PredictAnswer(
                predictions,
                probabilities,
                model_id,
                result.inference_time_s,
                self._request.request_id,
                timestamp,
                variant,
            )
        return BatchAnswer(
            predictions,
            probabilities,
            model_id,
            result.rows,
            result.inference_time_s,
            result.inference_time_s / max(1, result.rows),
            self._request.request_id,
            timestamp,
            variant,
        )

    def _tensors(self, result: EncodedAnswer) -> tuple[bytes, tuple[Header, ...]]:
        assert not isinstance(result.predictions, bytes)
        body = result.predictions.data
        headers: tuple[Header, ...] = (
            *forms.tensor_headers("tensor", result.predictions),
            ("x-model-id", self._model.model_id),
            ("x-inference-time", repr(result.inference_time_s)),
        )
        if result.variant is not None:
            headers += (("x-variant", result.variant),)
        if result.probabilities is not None:
            assert not isinstance(result.probabilities, bytes)
            body += result.probabilities.data
            headers += forms.tensor_headers("probabilities", result.probabilities)
        return body, headers


def predict(context: Context, request: Request) -> Response | Pending:
    """POST predict."""
    return _start(context, request, batch=False)


def predict_batch(context: Context, request: Request) -> Response | Pending:
    """POST predict/batch: the same, with times per batch and per row in the answer."""
    return _start(context, request, batch=True)


def _start(context: Context, request: Request, batch: bool) -> Response | Pending:
    wanted, body = _read(request)
    model = context.engine.get(wanted.model_id)
    kind = forms.answer_kind(request, body.kind)
    call = PredictCall(context, model, request, kind, batch)
    start = partial(
        model.start,
        body,
        answer=kind,
        probabilities=bool(wanted.return_probabilities),
        priority=level(wanted.priority),
        timeout_ms=timeout_ms(
            wanted.timeout_ms, model.timeout_ms or context.settings.default_timeout_ms
        ),
        batch_size=batch_size(wanted.batch_size, context.settings.max_batch_size),
        routing_key=wanted.routing_key,
    )
    call.ticket = context.limits.start(model.model_id, lambda done: start(on_done=done), call)
    return call


def _read(request: Request) -> tuple[PredictOptions, Body]:
    """What is asked for, and the rows."""
    from slipstream.api import Body  # here: routes are known before the engine is imported

    kind = forms.body_kind(request)
    if kind == "tensor":
        dtype, shape = forms.tensor_dtype_and_shape(request)
        return forms.tensor_options(request), Body("tensor", request.body, dtype, shape)
    if kind == "msgpack":
        envelope = forms.msgpack_envelope(request)
    else:
        envelope = forms.json_envelope(request)
    return envelope, Body(kind, memoryview(envelope.data))
