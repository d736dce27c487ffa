"""GET stream/{stream_id}/results: results as JSON, now or when there are some, or as events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from msgspec import UNSET, Raw

from slipstream.http import sse
from slipstream.http.codec import encode_json, json_response
from slipstream.http.failures import described, error_response
from slipstream.http.routes.context import Context
from slipstream.http.schemas.multi_batch import EntryError
from slipstream.http.schemas.streams import EndEvent, ResultsAnswer, StreamFailure, StreamResult
from slipstream.http.types import Pending, Request, Response
from slipstream.streams.stream import Outcome, Stream

MOST_RESULTS = 1000
"""Of one answer; the others are in the next."""
_MOST_EVENTS = 64
"""Of one piece."""
MOST_EVENT_BYTES = 8 * 1024 * 1024
"""Of one answer, which ends then, and whose client comes back: a client that does not read makes
the server hold that much and no more."""


def rendered(number: int, outcome: Outcome, request_id: str) -> StreamResult | StreamFailure:
    """One result as its readers see it."""
    answer = outcome.answer
    if isinstance(answer, Exception):
        failure = EntryError(*described(answer, request_id))
        return StreamFailure(number, outcome.model_id, "error", failure)
    assert isinstance(answer.predictions, bytes)
    probabilities = answer.probabilities
    return StreamResult(
        number,
        Raw(answer.predictions),
        Raw(probabilities) if isinstance(probabilities, bytes) else UNSET,
        outcome.model_id,
        answer.inference_time_s,
        "success",
        UNSET if answer.variant is None else answer.variant,
    )


def results_answer(stream: Stream, results: list[tuple[int, Outcome]], request_id: str) -> Response:
    """Results as one JSON answer."""
    rows = [rendered(number, outcome, request_id) for number, outcome in results]
    pending = 0 if stream.is_over else stream.pending
    return json_response(ResultsAnswer(stream.stream_id, rows, pending))


class ResultsCall(Pending):
    """A client that waits for results; it takes what comes first, and is answered."""

    __slots__ = ("_after", "_context", "_request", "_stream", "_timer")
    holds_place = False
    takes_all = False

    def __init__(
        self, context: Context, stream: Stream, after: int | None, request: Request, wait_s: float
    ) -> None:
        super().__init__()
        self._context = context
        self._stream = stream
        self._after = after
        self._request = request
        self._timer = asyncio.get_running_loop().call_later(wait_s, self.dismiss)
        stream.attach(self)

    def wake(self) -> None:
        """There is a result."""
        if self.answer is None:
            results = self._stream.take(self._after, MOST_RESULTS)
            if results:
                self._end(results)

    def dismiss(self) -> None:
        """Time is up, or the stream is over, or somebody else waits for the same."""
        if self.answer is None:
            self._end([])

    def cancel(self) -> None:
        """The client has hung up: what comes is kept for the next."""
        self.dismiss()

    def _end(self, results: list[tuple[int, Outcome]]) -> None:
        self._timer.cancel()
        try:
            answer = results_answer(self._stream, results, self._request.request_id)
        except Exception as error:  # no memory for it: they are retained, and can be read again
            answer = error_response(error, self._request, self._context.clock)
        self.resolve(answer)
        self._stream.detach(self)


class _EventReader:
    """What wakes the coroutine that writes events."""

    takes_all = True

    def __init__(self) -> None:
        self.is_dismissed = False
        self._news = asyncio.Event()

    def wake(self) -> None:
        """There is a result."""
        self._news.set()

    def dismiss(self) -> None:
        """The stream is over, or another reader came."""
        self.is_dismissed = True
        self._news.set()

    async def wait(self, within_s: float) -> bool:
        """Until there is news; False: there was none within that time."""
        try:
            async with asyncio.timeout(within_s):
                await self._news.wait()
        except TimeoutError:
            return False
        self._news.clear()
        return True


async def events(
    stream: Stream, after: int | None, request_id: str, heartbeat_s: float
) -> AsyncGenerator[bytes]:
    """A stream's results as Server-Sent Events, until it is over, which an event says.

    They also end, without one, when another reader comes, and after `MOST_EVENT_BYTES`.
    """
    reader = _EventReader()
    left_bytes = MOST_EVENT_BYTES
    last = stream.floor if after is None else after
    stream.attach(reader)
    try:
        yield sse.RECONNECT  # and the head of the answer with it
        while left_bytes > 0:
            results = [] if reader.is_dismissed else stream.take(last, _MOST_EVENTS)
            if results:
                last = results[-1][0]
                piece = b"".join(
                    sse.event(encode_json(rendered(number, outcome, request_id)), number=number)
                    for number, outcome in results
                )
                left_bytes -= len(piece)
                yield piece
            elif stream.is_over:
                yield sse.event(encode_json(EndEvent(stream.stream_id, *stream.counts)), name="end")
                return
            elif reader.is_dismissed:
                return
            elif not await reader.wait(heartbeat_s):
                yield sse.HEARTBEAT
    finally:
        stream.detach(reader)
