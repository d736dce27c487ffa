"""An experiment: one name for several models, of which one is drawn for each request and answers.

Whoever can ask a `Model` can ask an `Experiment`: `Engine.get` returns either. Models marked as
shadows get copies of requests beside it (`slipstream.api.shadows`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, TypeAlias, TypeVar, Unpack

from slipstream.api.bodies import Body, BodyKind, EncodedAnswer
from slipstream.api.call import Call, RequestOptions
from slipstream.api.definition import Definition
from slipstream.api.drawn import Drawn
from slipstream.api.model import Model, Watch
from slipstream.api.plan import Plan, plan_of
from slipstream.api.shadows import Shadows
from slipstream.api.tally import VariantTally
from slipstream.api.turn import Turn, copy_of_body, original_of
from slipstream.drawing import drawn, drawn_by_name
from slipstream.engine.runtime import CoreResult
from slipstream.errors import UnavailableError

T = TypeVar("T")


class DrawnTicket(int):
    """A variant's ticket: each model counts its own, so they may be alike."""

    model: Model
    inner: int

    @classmethod
    def of(cls, model: Model, inner: int) -> DrawnTicket:
        """The ticket that ``model`` gave."""
        made = cls(inner)
        made.model, made.inner = model, inner
        return made


class Experiment:
    """Draws a variant for each request. Thread-safe; every method may run in several threads.

    Predictions take what those of `Model` take, and ``routing_key``: text that stands for a user,
    say. The same key draws the same variant while weights stay; when they change, only as many keys
    move as have to, and only to variants whose share grew. Without one the draw is by chance.

    Errors are those of `Model`, with the variant's id in ``details["variant"]``.
    """

    def __init__(
        self,
        experiment_id: str,
        definition: Definition,
        models: Mapping[str, Model],
        shadows: Shadows,
        *,
        created_at: float,
        changed_at: float,
    ) -> None:
        self.model_id = experiment_id
        """What requests call it."""
        self.created_at = created_at
        """Seconds since the epoch."""
        self.changed_at = changed_at
        self.drawn = Drawn()
        """As of a `Model`: what it did as a variant of one request."""
        self.total = VariantTally(experiment_id)
        """Of all variants together, those that were taken out included."""
        self.timeout_ms: float | None = None
        """As of a `Model`; None, since it is the settings' whatever is drawn."""
        self._models = models
        self._shadows = shadows
        self._plan = plan_of(definition)

    def __repr__(self) -> str:
        shares = ", ".join(f"{one.model_id}: {one.weight:g}" for one in self.definition.variants)
        return f"<slipstream.Experiment {self.model_id!r} ({shares})>"

    @property
    def plan(self) -> Plan:
        """What is drawn from now, and what has been counted."""
        return self._plan

    @property
    def definition(self) -> Definition:
        """The variants and shadows that it has now."""
        return self._plan.definition

    @property
    def is_stateful(self) -> bool:
        """Whether a member remembers, so that the order of a stream's requests counts."""
        members = (self._models.get(name) for name in self.definition.members)
        return any(model is not None and model.is_stateful for model in members)

    def replace(self, definition: Definition, changed_at: float) -> None:
        """Draws from these from now on; requests in progress end where they are.

        For `slipstream.api.experiments.Experiments`, one call at a time.
        """
        self._plan = plan_of(definition, self._plan)
        self.changed_at = changed_at

    def restore(self, plan: Plan, changed_at: float) -> None:
        """Takes back what `replace` did. For `slipstream.api.experiments.Experiments`."""
        self._plan = plan
        self.changed_at = changed_at

    def is_loaded(self, model_id: str) -> bool:
        """Whether a member can answer."""
        return model_id in self._models

    def predict(
        self, x: Any, *, routing_key: str | None = None, **options: Unpack[RequestOptions]
    ) -> Any:
        """`Model.predict` of the variant that is drawn."""
        return self._answer(x, False, routing_key, options)

    def predict_proba(
        self, x: Any, *, routing_key: str | None = None, **options: Unpack[RequestOptions]
    ) -> Any:
        """`Model.predict_proba` of the variant that is drawn."""
        return self._answer(x, True, routing_key, options)

    def _answer(
        self, x: Any, probabilities: bool, routing_key: str | None, options: RequestOptions
    ) -> Any:
        def act(turn: Turn) -> Any:
            turn.copy_arrays(x, probabilities, options)
            began = time.perf_counter()
            ask = turn.model.predict_proba if probabilities else turn.model.predict
            answer = ask(x, **options)
            turn.answered(time.perf_counter() - began)
            turn.tell_copies_of(answer)
            return answer

        return self._attempt(routing_key, act)

    def submit(
        self,
        x: Any,
        *,
        probabilities: bool = False,
        routing_key: str | None = None,
        **options: Unpack[RequestOptions],
    ) -> Future[Any]:
        """`Model.submit` of the variant that is drawn."""

        def act(turn: Turn) -> Future[Any]:
            turn.copy_arrays(x, probabilities, options)
            began = time.perf_counter()
            future = turn.model.submit(x, probabilities=probabilities, **options)
            future.add_done_callback(lambda ended: turn.future_ended(ended, began))
            return future

        return self._attempt(routing_key, act)

    async def predict_async(
        self,
        x: Any,
        *,
        probabilities: bool = False,
        routing_key: str | None = None,
        **options: Unpack[RequestOptions],
    ) -> Any:
        """`predict` (or ``predict_proba``) for coroutines. Cancelling withdraws the request."""
        future = self.submit(x, probabilities=probabilities, routing_key=routing_key, **options)
        return await asyncio.wrap_future(future)

    def start(
        self,
        body: Body,
        *,
        answer: BodyKind,
        probabilities: bool,
        priority: int,
        timeout_ms: float | None,
        batch_size: int | None,
        on_done: Callable[[EncodedAnswer | Exception], None],
        routing_key: str | None = None,
        watch: Watch | None = None,
        is_alone: bool = False,
    ) -> int:
        """`Model.start` of the variant that is drawn; the answer names it.

        Raises: as `Model.start`; `UnavailableError` also when the variant is not loaded.
        """

        def act(turn: Turn) -> int:
            def see(call: Call, result: CoreResult) -> None:
                if watch is not None:
                    watch(call, result)
                turn.tell_copies(original_of(call, result))

            def done(result: EncodedAnswer | Exception) -> None:
                if isinstance(result, Exception):
                    turn.failed(result)
                    on_done(result)
                else:
                    turn.answered(result.inference_time_s)
                    on_done(result._replace(variant=turn.model.model_id))

            turn.copy(
                lambda: len(body.data),
                lambda: copy_of_body(body, probabilities, timeout_ms, batch_size),
            )
            model = turn.model
            ticket = model.start(
                body,
                answer=answer,
                probabilities=probabilities,
                priority=priority,
                timeout_ms=timeout_ms,
                batch_size=batch_size,
                on_done=done,
                watch=see if turn.copies else watch,
                is_alone=is_alone,
            )
            return DrawnTicket.of(model, ticket) if ticket else 0

        return self._attempt(routing_key, act)

    def check(self, body: Body, *, probabilities: bool) -> None:
        """`Model.check` of the variants that are loaded: any of them may be drawn.

        Raises: as `Model.check`.
        """
        for name in self._plan.names:
            model = self._models.get(name)
            if model is not None:
                model.check(body, probabilities=probabilities)

    def cancel(self, ticket: int) -> bool:
        """Withdraws a request that was started; False when it has ended already."""
        return isinstance(ticket, DrawnTicket) and ticket.model.cancel(ticket.inner)

    def _attempt(self, routing_key: str | None, act: Callable[[Turn], T]) -> T:
        """Acts on a variant that is drawn; draws again if it was taken out and unloaded then."""
        while True:
            plan = self._plan
            turn = self._turn(plan, routing_key)
            try:
                result = act(turn)
            except UnavailableError as error:
                turn.withdraw_copies()
                if self._plan is plan:
                    turn.failed(error)
                    raise
                turn.forget()
            except BaseException as error:
                turn.withdraw_copies()
                turn.failed(error)
                raise
            else:
                turn.begin_copies()
                return result

    def _turn(self, plan: Plan, routing_key: str | None) -> Turn:
        if routing_key is None:
            place = drawn(plan.weights, None)
        else:
            place = drawn_by_name(plan.names, plan.weights, routing_key, self.model_id)
        return Turn(self.model_id, plan, place, self.total, self._models, self._shadows)


Predictor: TypeAlias = Model | Experiment
"""Whatever answers predictions under an id."""
