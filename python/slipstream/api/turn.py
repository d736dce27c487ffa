"""One request at the variant that it drew, and the copies of it that shadows get."""

from __future__ import annotations

import copy
import random
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

from slipstream.api.agreement import MOST_ROWS, first_rows
from slipstream.api.bodies import Body
from slipstream.api.call import Call, RequestOptions, call_of
from slipstream.api.model import Model, call_of_body
from slipstream.api.plan import Plan
from slipstream.api.shadows import PRIORITY, Answered, Copy, Original, Shadows
from slipstream.api.tally import VariantTally
from slipstream.engine.runtime import CoreResult
from slipstream.errors import RequestCancelledError, SlipstreamError, UnavailableError

_SMALL_BYTES = 65536
"""Rows of up to that are copied: they may be part of a large body, which would stay in memory."""

CopyTo = Callable[[Model], "Future[Answered]"]
"""Starts a copy of a request at a shadow."""


class Turn:
    """From drawing a variant to the end of the request.

    Args:
        experiment_id: For errors.
        plan: What was drawn from.
        place: Of the variant that was drawn.
        total: Counts for all variants.
        models: What is loaded.
        shadows: Where copies find a place.
    """

    __slots__ = ("_experiment_id", "_models", "_plan", "_shadows", "_tally", "_total", "copies")

    def __init__(
        self,
        experiment_id: str,
        plan: Plan,
        place: int,
        total: VariantTally,
        models: Mapping[str, Model],
        shadows: Shadows,
    ) -> None:
        self._experiment_id = experiment_id
        self._plan = plan
        self._tally = plan.variants[place]
        self._total = total
        self._models = models
        self._shadows = shadows
        self.copies: list[Copy] = []
        self._tally.note_drawn()
        total.note_drawn()

    @property
    def model(self) -> Model:
        """The variant.

        Raises:
            UnavailableError: it is not loaded.
        """
        return self._member(self._tally.model_id, "variant")

    def _member(self, model_id: str, kind: str) -> Model:
        model = self._models.get(model_id)
        if model is None:
            raise UnavailableError(
                f"model '{model_id}', a {kind} of experiment '{self._experiment_id}', is not "
                "loaded; load it, or take it out of the experiment",
                model_id=model_id,
                experiment_id=self._experiment_id,
            )
        return model

    def answered(self, time_s: float) -> None:
        """It has its answer."""
        self._tally.note_answer(time_s)
        self._total.note_answer(time_s)
        model = self._models.get(self._tally.model_id)
        if model is not None:
            model.drawn.note(time_s)

    def failed(self, error: BaseException) -> None:
        """It has none; the error learns whose fault it was."""
        if isinstance(error, SlipstreamError):
            error.details["variant"] = self._tally.model_id
        self._tally.note_error()
        self._total.note_error()
        model = self._models.get(self._tally.model_id)
        if model is not None:
            model.drawn.note_error()

    def future_ended(self, future: Future[Any], began: float) -> None:
        """The same, of a future; ``began`` is of `time.perf_counter`."""
        try:
            answer = future.result()
        except Exception as error:
            is_ours = isinstance(error, SlipstreamError)
            self.failed(error if is_ours else RequestCancelledError("the future was cancelled"))
            self.tell_copies(None)
        else:
            self.answered(time.perf_counter() - began)
            self.tell_copies_of(answer)

    def forget(self) -> None:
        """Another variant is drawn instead."""
        self._tally.note_drawn(-1)
        self._total.note_drawn(-1)

    def copy(self, size_bytes: Callable[[], int], make: Callable[[], CopyTo]) -> None:
        """Has copies made for the shadows that are to get one; asks only if one is."""
        wanted = [
            tally
            for share, tally in self._plan.shadows
            if tally.model_id != self._tally.model_id and (share >= 1 or random.random() < share)
        ]
        if not wanted:
            return
        size, start = size_bytes(), make()
        for tally in wanted:
            taken = self._shadows.take(tally, size, self._starter(tally.model_id, start))
            if taken is not None:
                self.copies.append(taken)

    def _starter(self, name: str, start: CopyTo) -> Callable[[], Future[Answered]]:
        return lambda: start(self._member(name, "shadow"))

    def copy_arrays(self, x: Any, probabilities: bool, options: RequestOptions) -> None:
        """The same of what a caller in this process gave, who may change it later."""
        self.copy(lambda: _bytes_of(x), lambda: _copy_of_arrays(x, probabilities, options))

    def begin_copies(self) -> None:
        """The request was accepted."""
        for one in self.copies:
            one.begin()

    def withdraw_copies(self) -> None:
        """The request was refused."""
        for one in self.copies:
            one.withdraw()
        self.copies.clear()

    def tell_copies(self, original: Original | None) -> None:
        """What the request was answered; None where it failed."""
        for one in self.copies:
            one.original_ended(original)

    def tell_copies_of(self, answer: Any) -> None:
        """The same, of an answer in arrays."""
        if self.copies:
            rows = first_rows(answer)
            self.tell_copies(lambda: rows)


def original_of(call: Call, result: CoreResult) -> Original | None:
    """The first rows of a result, for comparing; None where it failed."""
    if result.error() is not None:
        return None
    return lambda: call.version.answers.predictions(result, MOST_ROWS)


def copy_of_body(
    body: Body, probabilities: bool, timeout_ms: float | None, batch_size: int | None
) -> CopyTo:
    """Asks a shadow what a body asked."""

    def read(call: Call, result: CoreResult) -> Answered:
        return Answered(call.version.answers.predictions(result, MOST_ROWS), result.total_ns / 1e9)

    if len(body.data) <= _SMALL_BYTES:
        body = body._replace(data=bytes(body.data))
    return lambda model: model.submit_call(
        lambda version: call_of_body(
            version, body, probabilities, PRIORITY, timeout_ms, batch_size
        ),
        read,
    )


def _copy_of_arrays(x: Any, probabilities: bool, options: RequestOptions) -> CopyTo:
    kept = copy.deepcopy(x)
    lowly: RequestOptions = {**options, "priority": PRIORITY}

    def read(call: Call, result: CoreResult) -> Answered:
        return Answered(first_rows(call.read(result)), result.total_ns / 1e9)

    return lambda model: model.submit_call(
        lambda version: call_of(version, kept, probabilities, lowly), read
    )


def _bytes_of(x: Any) -> int:
    """About as many as the array has that ``x`` is or becomes."""
    if isinstance(x, Mapping):
        return sum(map(_bytes_of, x.values()))
    if isinstance(x, list | tuple):
        return len(x) * _bytes_of(x[0]) if x else 0
    return int(getattr(x, "nbytes", 8))
