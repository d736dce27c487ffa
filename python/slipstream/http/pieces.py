"""Pieces of an answer that hold something, which is given back however the answer ends."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from types import TracebackType
from typing import Any


class ClosingPieces(AsyncGenerator[bytes, None]):
    """A generator whose ``aclose`` cleans up also where it never began.

    Python runs nothing of a generator that is closed before its first step: a client that hangs up
    at that moment would leave behind what the generator's ``finally`` was to give back.

    Args:
        pieces: The generator.
        close: Gives back what it holds; may be called when that has been done.
    """

    def __init__(self, pieces: AsyncGenerator[bytes], close: Callable[[], Awaitable[None]]) -> None:
        self._pieces = pieces
        self._close = close

    async def __anext__(self) -> bytes:
        return await anext(self._pieces)

    async def asend(self, value: None) -> bytes:
        """As of the generator."""
        return await self._pieces.asend(value)

    async def athrow(
        self,
        kind: Any,
        value: BaseException | object = None,
        traceback: TracebackType | None = None,
    ) -> bytes:
        """As of the generator."""
        return await self._pieces.athrow(kind, value, traceback)

    async def aclose(self) -> None:
        """Ends the generator, begun or not."""
        try:
            await self._pieces.aclose()
        finally:
            await self._close()
