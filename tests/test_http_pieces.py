"""What an answer in pieces holds is given back, however it ends; and answers of coroutines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import msgspec

from slipstream.errors import InvalidInputError
from slipstream.http.clock import Clock
from slipstream.http.coroutine_call import CoroutineCall
from slipstream.http.pieces import ClosingPieces
from slipstream.http.sweeper import AnswerWait
from slipstream.http.types import Pending, Request, Response, Route, Streaming


def pieces_of(events: list[str]) -> ClosingPieces:
    async def pieces() -> AsyncGenerator[bytes]:
        events.append("begun")
        try:
            yield b"one"
            yield b"two"
        finally:
            events.append("ended")

    async def close() -> None:
        events.append("given back")

    return ClosingPieces(pieces(), close)


def request() -> Request:
    route = Route("POST", "/synthesize", lambda request: Response(200, b""), family="core")
    return Request("POST", "/synthesize", "", {}, {}, "req_1", route, -1)


class _Transport:
    """A client that stays."""

    async def client_disconnect(self) -> None:
        await asyncio.sleep(600)


class TestPieces:
    def test_to_the_end(self) -> None:
        async def work() -> None:
            events: list[str] = []
            pieces = pieces_of(events)
            assert [piece async for piece in pieces] == [b"one", b"two"]
            await pieces.aclose()
            assert events == ["begun", "ended", "given back"]

        asyncio.run(work())

    def test_in_the_middle(self) -> None:
        async def work() -> None:
            events: list[str] = []
            pieces = pieces_of(events)
            assert await anext(pieces) == b"one"
            await pieces.aclose()
            assert events == ["begun", "ended", "given back"]

        asyncio.run(work())

    def test_never_begun(self) -> None:
        async def work() -> None:
            events: list[str] = []
            await pieces_of(events).aclose()
            assert events == ["given back"]

        asyncio.run(work())

    def test_an_answer_that_nobody_waits_for_any_more(self) -> None:
        async def work() -> None:
            events: list[str] = []
            pending = Pending()
            wait = AnswerWait(asyncio.get_running_loop(), _Transport(), pending)  # type: ignore[arg-type]
            wait.end(InvalidInputError("the server stops"))
            pending.resolve(Streaming(200, b"", pieces=pieces_of(events)))
            while not events:
                await asyncio.sleep(0)
            assert events == ["given back"]
            assert isinstance(wait.arrived.exception(), InvalidInputError)

        asyncio.run(work())


class TestCoroutines:
    def test_answer_failure_and_withdrawal(self) -> None:
        async def answers() -> Response:
            await asyncio.sleep(0)
            return Response(200, b"done")

        async def fails() -> Response:
            raise InvalidInputError("not so")

        async def breaks() -> Response:
            raise RuntimeError("a secret")

        async def waits() -> Response:
            await asyncio.sleep(600)
            return Response(200, b"")

        async def work() -> None:
            calls = [CoroutineCall(one(), request(), Clock()) for one in (answers, fails, breaks)]
            withdrawn = CoroutineCall(waits(), request(), Clock())
            await asyncio.sleep(0)
            withdrawn.cancel()
            for _ in range(5):
                await asyncio.sleep(0)
            found = [call.answer for call in (*calls, withdrawn)]
            assert [one and one.status for one in found] == [200, 422, 500, 503]
            body = msgspec.json.decode(found[2].body if found[2] else b"")
            assert "secret" not in str(body)
            assert body["status_code"] == 500

        asyncio.run(work())
