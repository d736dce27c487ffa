"""POST predict/multi-batch: requests for several models, run side by side.

Every entry is a prediction of its own, with an end of its own: what is wrong with one stands in its
result and touches no other. They share a deadline, and a priority where they name none. Entries
with weights are variants of one question, of which one is drawn and answers.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import msgspec
from msgspec import UNSET, Raw, UnsetType

from slipstream.decoding import json_decoder
from slipstream.errors import InvalidInputError
from slipstream.http.codec import JsonBody, encode_json
from slipstream.http.failures import described, error_response
from slipstream.http.routes import variants
from slipstream.http.routes.context import Context
from slipstream.http.routes.options import batch_size, level, timeout_ms
from slipstream.http.schemas.multi_batch import (
    EntryAnswer,
    EntryError,
    EntryFailure,
    EntryId,
    EntryWeight,
    MultiBatchAnswer,
    MultiBatchEntry,
    MultiBatchRequest,
)
from slipstream.http.types import Pending, Request, Response

if TYPE_CHECKING:
    from slipstream.api import EncodedAnswer, Predictor

MOST_ENTRIES = 1024
"""Of one request; each may have as many rows as any prediction."""

_read = JsonBody(MultiBatchRequest)
_read_entry = json_decoder(MultiBatchEntry)
_read_id = json_decoder(EntryId)
_read_weight = json_decoder(EntryWeight)


class MultiBatchCall(Pending):
    """All entries on their way; resolved when the last one has ended."""

    __slots__ = ("_began", "_context", "_left", "_request", "_results", "_started")

    def __init__(self, context: Context, request: Request, count: int) -> None:
        super().__init__()
        self._context = context
        self._request = request
        self._began = time.perf_counter()
        self._left = count
        self._results: list[EntryAnswer | EntryFailure | None] = [None] * count
        self._started: list[tuple[Predictor, int]] = []

    def began(self, model: Predictor, ticket: int) -> None:
        """An entry waits for its turn; it can be withdrawn."""
        self._started.append((model, ticket))

    def ended(self, place: int, result: EntryAnswer | EntryFailure) -> None:
        """One entry has its result; the last one's brings the answer."""
        self._results[place] = result
        self._left -= 1
        if self._left > 0:
            return
        try:
            answer = Response(200, encode_json(self._answer()))
        except Exception as error:  # no memory for it: the request must end all the same
            answer = error_response(error, self._request, self._context.clock)
        self.resolve(answer)

    def _answer(self) -> MultiBatchAnswer:
        results = [result for result in self._results if result is not None]
        good = sum(result.status == "success" for result in results)
        return MultiBatchAnswer(
            results,
            self._request.request_id,
            len(results),
            good,
            len(results) - good,
            time.perf_counter() - self._began,
        )

    def cancel(self) -> None:
        """Withdraws the entries that have not run; the engine still answers them."""
        if self.answer is None:
            for model, ticket in self._started:
                model.cancel(ticket)


class _Entry:
    """One entry: the engine calls it with the result, once, on the event loop's thread."""

    __slots__ = ("_call", "_is_variant", "_model", "_model_id", "_place", "_request_id")

    def __init__(
        self, call: MultiBatchCall, place: int, named: EntryId, number: int, is_variant: bool
    ) -> None:
        self._call = call
        self._place = place
        self._request_id = named.request_id or str(number)
        self._model_id = named.model_id
        self._is_variant = is_variant
        self._model: Predictor | None = None

    def goes_to(self, model: Predictor) -> None:
        """This model answers it."""
        self._model = model
        self._model_id = model.model_id

    def __call__(self, result: EncodedAnswer | Exception) -> None:
        """Never raises into the engine."""
        if isinstance(result, Exception):
            self.fail(result)
            return
        assert isinstance(result.predictions, bytes)
        assert self._model is not None and self._model_id is not None, "its model has answered"
        if self._is_variant:
            self._model.drawn.note(result.inference_time_s)
        probabilities = result.probabilities
        self._call.ended(
            self._place,
            EntryAnswer(
                self._request_id,
                Raw(result.predictions),
                Raw(probabilities) if isinstance(probabilities, bytes) else UNSET,
                self._model_id,
                result.inference_time_s,
                "success",
                self._variant(result.variant),
            ),
        )

    def fail(self, error: Exception) -> None:
        """The entry has no answer."""
        if self._is_variant and self._model is not None:
            self._model.drawn.note_error()
        failure = EntryError(*described(error, self._request_id))
        self._call.ended(
            self._place,
            EntryFailure(self._request_id, self._model_id, "error", failure, self._variant(None)),
        )

    def _variant(self, of_experiment: str | None) -> str | UnsetType:
        """What was drawn: this entry among others, or else a model of an experiment."""
        if self._is_variant:
            return self._request_id
        return UNSET if of_experiment is None else of_experiment


def predict_multi_batch(context: Context, request: Request) -> Response | Pending:
    """POST predict/multi-batch."""
    asked = _read(request)
    if not 1 <= len(asked.requests) <= MOST_ENTRIES:
        raise InvalidInputError(
            f"'requests' has {len(asked.requests)} entries; it takes 1 to {MOST_ENTRIES}",
            key="requests",
        )
    most_ms = timeout_ms(
        asked.batch_timeout_ms, context.settings.default_timeout_ms, "batch_timeout_ms"
    )
    level(asked.priority)  # a wrong one is the whole request's fault
    places: Sequence[int] = range(len(asked.requests))
    weights = variants.checked([_weight_of(raw) for raw in asked.requests])
    if weights is not None:
        places = (variants.drawn(weights, asked.routing_key),)
    call = MultiBatchCall(context, request, len(places))
    for i, place in enumerate(places):
        raw = asked.requests[place]
        entry = _Entry(call, i, _named(raw), place + 1, weights is not None)
        _start(context, call, entry, raw, asked, most_ms)
    return call


def _start(
    context: Context,
    call: MultiBatchCall,
    entry: _Entry,
    raw: Raw,
    asked: MultiBatchRequest,
    most_ms: float,
) -> None:
    """Starts one entry; what is wrong with it is its result."""
    try:
        wanted = _read_entry(raw)
        model = context.engine.get(wanted.model_id)
        entry.goes_to(model)
        ticket = _run(context, model, wanted, asked, most_ms, entry)
    except msgspec.ValidationError as error:
        entry.fail(InvalidInputError(f"the entry is not valid: {error}"))
    except Exception as error:  # one that is not ours is a bug: it is logged, and is its result
        entry.fail(error)
    else:
        if ticket:
            call.began(model, ticket)


def _run(
    context: Context,
    model: Predictor,
    wanted: MultiBatchEntry,
    asked: MultiBatchRequest,
    most_ms: float,
    entry: _Entry,
) -> int:
    from slipstream.api import Body  # here: routes are known before the engine is imported

    start = partial(
        model.start,
        Body("json", memoryview(wanted.data)),
        answer="json",
        probabilities=bool(wanted.return_probabilities),
        priority=level(wanted.priority or asked.priority),
        timeout_ms=min(timeout_ms(wanted.timeout_ms, model.timeout_ms or most_ms), most_ms),
        batch_size=batch_size(wanted.batch_size, context.settings.max_batch_size),
        routing_key=asked.routing_key if wanted.routing_key is None else wanted.routing_key,
    )
    return context.limits.start(model.model_id, lambda done: start(on_done=done), entry)


def _named(raw: Raw) -> EntryId:
    """What an entry calls itself and its model, as far as that can be read."""
    try:
        return _read_id(raw)
    except msgspec.ValidationError:
        return EntryId()


def _weight_of(raw: Raw) -> float | None:
    try:
        return _read_weight(raw).weight
    except msgspec.ValidationError:  # no object, which is that entry's own matter; or no number
        return math.nan if bytes(raw).startswith(b"{") else None
