"""Answers in pieces, on RSGI, until they end, the client hangs up, or the server stops.

Granian 2.8 queues pieces without bound and never makes a sender wait, so a slow client cannot be
told from a quick one here; see `Streaming` for who bounds what.

The pieces are made by a task of their own, so that whoever ends it (the client hangs up, the
server stops) meets nobody else, and the generator behind them gets to clean up.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from slipstream.errors import SlipstreamError
from slipstream.http.app import log
from slipstream.http.rsgi_types import (
    ProtocolClosed,
    ProtocolError,
    StreamTransport,
    Transport,
)
from slipstream.http.sweeper import Sweeper, Wait
from slipstream.http.types import Header, Streaming


class StreamWait(Wait):
    """A streaming answer on its way; ended when the client hangs up, or the server stops."""

    __slots__ = ("_sending", "_watcher")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, proto: Transport, sending: asyncio.Task[None]
    ) -> None:
        super().__init__(loop.time())
        self._sending = sending
        self._watcher = loop.create_task(self._watch(proto))

    async def _watch(self, proto: Transport) -> None:
        await proto.client_disconnect()
        self._sending.cancel()

    def end(self, error: Exception) -> None:
        """Breaks off; a status was sent long ago."""
        self._sending.cancel()

    def stop(self) -> None:
        """Ends the watching."""
        self._watcher.cancel()


async def stream(
    proto: Transport, headers: list[Header], answer: Streaming, sweeper: Sweeper
) -> None:
    """Sends an answer piece by piece; done when it has ended, however it did."""
    loop = asyncio.get_running_loop()
    pieces = answer.pieces
    assert pieces is not None, "a streaming answer has pieces"
    try:
        transport = proto.response_stream(answer.status, headers)
        sending = loop.create_task(_send(transport, answer, pieces))
        wait = StreamWait(loop, proto, sending)
        sweeper.add(wait)
        try:
            await asyncio.wait({sending})
        finally:
            sweeper.discard(wait)
            wait.stop()
            sending.cancel()
    finally:
        await pieces.aclose()  # also where sending was cancelled before it began


async def _send(
    transport: StreamTransport, answer: Streaming, pieces: AsyncGenerator[bytes]
) -> None:
    try:
        async for piece in pieces:
            await transport.send_bytes(piece)
            await asyncio.sleep(0)  # sending does not wait, and others have work too
    except (ProtocolClosed, ProtocolError):
        log.debug("the client of %s has gone", answer.request_id)
    except SlipstreamError as error:
        # The client cannot be told: Granian ends the body as if that were all.
        log.warning("the answer to %s broke off: %s", answer.request_id, error.message)
    except Exception:
        log.exception("the answer to %s broke off", answer.request_id)
    finally:
        await pieces.aclose()
