"""POST predict/multi-batch: requests for several models, run side by side.

Every entry is a prediction of its own, with an end of its own: what is wrong with one stands in its
result and touches no other. They share a deadline, and a priority where they name none.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec
from msgspec import UNSET, Raw

from slipstream.errors import InvalidInputError, SlipstreamError
from slipstream.http.codec import JsonBody, encode_json
from slipstream.http.errors import described
from slipstream.http.routes.context import Context
from slipstream.http.routes.options import batch_size, level, timeout_ms
from slipstream.http.schemas import (
    EntryAnswer,
    EntryError,
    EntryFailure,
    EntryId,
    MultiBatchAnswer,
    MultiBatchEntry,
    MultiBatchRequest,
)
from slipstream.http.types import Pending, Request, Response

if TYPE_CHECKING:
    from slipstream.api import EncodedAnswer, Model

MOST_ENTRIES = 1024
"""Of one request; each may have as many rows as any prediction."""

_read = JsonBody(MultiBatchRequest)
_read_entry = msgspec.json.Decoder(MultiBatchEntry).decode
_read_id = msgspec.json.Decoder(EntryId).decode


class MultiBatchCall(Pending):
    """All entries on their way; resolved when the last one has ended."""

    __slots__ = ("_batch_id", "_began", "_left", "_results", "_started")

    def __init__(self, batch_id: str, count: int) -> None:
        super().__init__()
        self._batch_id = batch_id
        self._began = time.perf_counter()
        self._left = count
        self._results: list[EntryAnswer | EntryFailure | None] = [None] * count
        self._started: list[tuple[Model, int]] = []

    def began(self, model: Model, ticket: int) -> None:
        """An entry waits for its turn; it can be withdrawn."""
        self._started.append((model, ticket))

    def ended(self, place: int, result: EntryAnswer | EntryFailure) -> None:
        """One entry has its result; the last one's brings the answer."""
        self._results[place] = result
        self._left -= 1
        if self._left == 0:
            self.resolve(Response(200, encode_json(self._answer())))

    def _answer(self) -> MultiBatchAnswer:
        results = [result for result in self._results if result is not None]
        good = sum(result.status == "success" for result in results)
        return MultiBatchAnswer(
            results,
            self._batch_id,
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

    __slots__ = ("_call", "_model_id", "_place", "_request_id")

    def __init__(
        self, call: MultiBatchCall, place: int, request_id: str, model_id: str | None
    ) -> None:
        self._call = call
        self._place = place
        self._request_id = request_id
        self._model_id = model_id

    def __call__(self, result: EncodedAnswer | SlipstreamError) -> None:
        """Never raises into the engine."""
        if isinstance(result, Exception):
            self.fail(result)
            return
        assert isinstance(result.predictions, bytes)
        assert self._model_id is not None, "its model has answered"
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
            ),
        )

    def fail(self, error: Exception) -> None:
        """The entry has no answer."""
        failure = EntryError(*described(error, self._request_id))
        self._call.ended(
            self._place, EntryFailure(self._request_id, self._model_id, "error", failure)
        )


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
    call = MultiBatchCall(request.request_id, len(asked.requests))
    for place, raw in enumerate(asked.requests):
        _start(context, call, place, raw, asked.priority, most_ms)
    return call


def _start(
    context: Context,
    call: MultiBatchCall,
    place: int,
    raw: Raw,
    priority: str | None,
    most_ms: float,
) -> None:
    """Starts one entry; what is wrong with it is its result."""
    named = _id_of(raw)
    entry = _Entry(call, place, named.request_id or f"{place + 1}", named.model_id)
    try:
        wanted = _read_entry(raw)
        if wanted.weight is not None:
            raise InvalidInputError("'weight' is not taken yet: send one entry", key="weight")
        model = context.engine.get(wanted.model_id)
        entry = _Entry(call, place, wanted.request_id or f"{place + 1}", model.model_id)
        ticket = _run(context, model, wanted, priority, most_ms, entry)
    except msgspec.ValidationError as error:
        entry.fail(InvalidInputError(f"'requests[{place}]' is not valid: {error}"))
    except SlipstreamError as error:
        entry.fail(error)
    else:
        if ticket:
            call.began(model, ticket)


def _run(
    context: Context,
    model: Model,
    wanted: MultiBatchEntry,
    priority: str | None,
    most_ms: float,
    entry: _Entry,
) -> int:
    from slipstream.api import Body  # here: routes are known before the engine is imported

    return model.start(
        Body("json", memoryview(wanted.data)),
        answer="json",
        probabilities=bool(wanted.return_probabilities),
        priority=level(wanted.priority or priority),
        timeout_ms=min(timeout_ms(wanted.timeout_ms, most_ms), most_ms),
        batch_size=batch_size(wanted.batch_size, context.settings.max_batch_size),
        on_done=entry,
    )


def _id_of(raw: Raw) -> EntryId:
    """What an entry calls itself and its model, as far as that can be read."""
    try:
        return _read_id(raw)
    except msgspec.ValidationError:
        return EntryId()
