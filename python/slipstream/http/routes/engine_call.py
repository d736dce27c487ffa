"""One request of one model on its way through the engine, whatever its answer looks like."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from slipstream.http.failures import error_response
from slipstream.http.routes.context import Context
from slipstream.http.types import Pending, Request, Response

if TYPE_CHECKING:
    from slipstream.api import EncodedAnswer, Predictor


class EngineCall(Pending):
    """The engine calls it with the result, once, on this thread."""

    __slots__ = ("_context", "_model", "_request", "ticket")

    def __init__(self, context: Context, model: Predictor, request: Request) -> None:
        super().__init__()
        self._context = context
        self._model = model
        self._request = request
        self.ticket = -1
        """To be set by whoever starts it."""

    def __call__(self, result: EncodedAnswer | Exception) -> None:
        """Turns the engine's result into the answer; never raises into the engine."""
        error: Exception
        try:
            if not isinstance(result, Exception):
                self.resolve(self._render(result))
                return
            error = result
        except Exception as fault:
            error = fault
        self.resolve(error_response(error, self._request, self._context.clock))

    @abstractmethod
    def _render(self, answer: EncodedAnswer) -> Response:
        """The answer of a request that went well."""

    def cancel(self) -> None:
        """Withdraws the request if it has not run; the engine still answers it."""
        if self.answer is None and self.ticket >= 0:
            self._model.cancel(self.ticket)
