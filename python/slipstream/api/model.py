"""A loaded model: predictions from arrays for Python, from bodies for the HTTP layer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, Unpack

from slipstream.api.bodies import (
    Body,
    BodyKind,
    EncodedAnswer,
    asked_of,
    decode_body,
    describing,
    encoder,
    remembering,
)
from slipstream.api.call import Call, RequestOptions, call_of
from slipstream.api.drawn import Drawn
from slipstream.api.prediction_cache import PredictionCache, key_of
from slipstream.api.resident import Resident
from slipstream.api.resting import RestingError, RoomTicket
from slipstream.api.tuning import UNTUNED, Tuning
from slipstream.api.version import Member, ModelMetrics, Version, metrics_of
from slipstream.engine.completions import ThreadCompletions, loop_completions
from slipstream.engine.done_future import DoneFuture
from slipstream.engine.runtime import CoreInputs, CoreResult
from slipstream.engine.signature import Signature
from slipstream.errors import SlipstreamError
from slipstream.models.declared import UNDECLARED, Declared
from slipstream.models.ensembles import EnsembleMethod
from slipstream.models.manifest import Manifest

T = TypeVar("T")

Watch = Callable[[Call, CoreResult], None]


class LoadOptions(NamedTuple):
    """How `slipstream.Engine.load` was called, for reloads."""

    model_type: str
    compile_model: bool
    instances: int | None
    walled: bool
    ensemble_method: EnsembleMethod | None = None
    declared: Declared = UNDECLARED


class Model(Resident):
    """A model that `Engine.load` returned. Thread-safe; every method may run in several threads.

    ``predict`` and ``predict_proba`` return what the estimator's own methods return (dtype and
    shape). For an ONNX graph they return the output array if there is one output, else a dict by
    name. Arrays that are C-contiguous and of the model's dtype are not copied.

    Every prediction takes the keywords of `RequestOptions` and may raise

    * `InvalidInputError`: the data or an option does not fit the model,
    * `QueueFullError`: the queue is full, or the timeout cannot be met,
    * `DeadlineExceededError`: not answered within ``timeout_ms``,
    * `UnavailableError`: the model is being unloaded, or its child process died,
    * `InferenceError`: the backend failed.
    """

    def __init__(
        self,
        model_id: str,
        model_path: str,
        file: Path,
        version: Version,
        completions: ThreadCompletions,
        loaded_at: float,
        size_bytes: int,
        wake: Callable[[Model], None],
    ) -> None:
        super().__init__(model_id, version, lambda: wake(self))
        self.model_path = model_path
        """As whoever loaded it wrote it."""
        self.file = file
        """The file that was, with every link resolved."""
        self.loaded_at = loaded_at
        """Seconds since the epoch."""
        self.model_size_bytes = size_bytes
        self.tuning: Tuning = UNTUNED
        """What was chosen for it since; reloads keep it."""
        self.load_options = LoadOptions("auto", True, None, False)
        self.drawn = Drawn()
        """What it did as a variant, since it was loaded; reloads keep it. For the HTTP layer."""
        self.cache_predictions = False
        """Whether answers to the same rows are remembered; its sidecar may say so too."""
        self.cache: PredictionCache | None = None
        """Where; set by `Engine`."""
        self._completions = completions

    def __repr__(self) -> str:
        return f"<slipstream.Model {self.model_id!r} ({self.model_type}, {self.backend})>"

    def replace_version(self, version: Version, loaded_at: float, size_bytes: int) -> Version:
        """Swaps in a newly loaded version and returns the old one. For `Engine.reload`."""
        old = self._replace(version)
        self.loaded_at, self.model_size_bytes = loaded_at, size_bytes
        return old

    @property
    def manifest(self) -> Manifest:
        """What is known about the model as data: columns, classes, how it was prepared."""
        return self._version.manifest

    @property
    def signature(self) -> Signature:
        """Inputs and outputs as the backend sees them."""
        return self._version.signature

    @property
    def model_type(self) -> str:
        """The documented type: ``"sklearn"``, ``"onnx"``, ..."""
        return self.manifest.model_type

    @property
    def compiled(self) -> bool:
        """Whether the model runs as a compiled artifact; if not, `reason` says why."""
        return self.manifest.compiled

    @property
    def reason(self) -> str | None:
        """Why the model is not compiled; None when it is."""
        return self.manifest.reason

    @property
    def backend(self) -> str:
        """What computes: ``"forest"``, ``"onnx"``, ``"process"`` or ``"ensemble"``."""
        return self.manifest.backend

    @property
    def quantization(self) -> str | None:
        """Type and mode (``"INT8 DYNAMIC"``); None for a model in its own precision."""
        quantized = self.manifest.quantized
        if quantized is None:
            return None
        return f"{quantized.type} {quantized.mode}" if quantized.mode else quantized.type

    @property
    def is_stateful(self) -> bool:
        """Whether requests of a stream leave something to the next, so that their order counts."""
        return bool(self._version.manifest.states)

    @property
    def members(self) -> tuple[Member, ...]:
        """Of an ensemble that an ensemble file describes; stacking's final estimator is last."""
        return self._version.members

    @property
    def classes(self) -> tuple[str | bool | int | float, ...] | None:
        """Class labels in the order of the probabilities; None for other tasks."""
        return self.manifest.classes

    @property
    def caches(self) -> bool:
        """Whether answers to requests from bodies are remembered."""
        return self.cache_predictions or self._version.sidecar.cache.predictions

    @property
    def declared(self) -> Declared:
        """What its operator says of it."""
        return self.load_options.declared

    @property
    def timeout_ms(self) -> float | None:
        """Deadline of a request that names none; None: as the settings have it."""
        return self.load_options.declared.timeout_ms

    @property
    def load_time_s(self) -> float:
        """How long preparing and loading took."""
        return self._version.load_time_s

    @property
    def memory_usage_bytes(self) -> int | None:
        """Resident memory that loading added; None when it could not be told apart."""
        return self._version.memory_usage_bytes

    def metrics(self) -> ModelMetrics:
        """Measured figures since the model was loaded; it may have rested meanwhile."""
        return metrics_of(self._version, self._counted_so_far(), len(self._room))

    def predict(self, x: Any, **options: Unpack[RequestOptions]) -> Any:
        """Answers ``x``, blocking; computes on this thread where the model is idle and not slow."""
        if not options:
            answer = self._version.quick_predictions(x)
            if answer is not None:
                return answer
        return self._run(lambda version: call_of(version, x, False, options))

    def predict_proba(self, x: Any, **options: Unpack[RequestOptions]) -> Any:
        """Class probabilities of shape ``(rows, classes)``, in the order of `classes`.

        Raises:
            InvalidInputError: also when the model gives no probabilities.
        """
        if not options:
            answer = self._version.quick_probabilities(x)
            if answer is not None:
                return answer
        return self._run(lambda version: call_of(version, x, True, options))

    def submit(
        self, x: Any, *, probabilities: bool = False, **options: Unpack[RequestOptions]
    ) -> Future[Any]:
        """Queues ``x`` and returns at once; the future gets what ``predict`` would have returned.

        Where handing ``x`` over would take longer than answering it (an idle, quick model), the
        future has its answer already. ``probabilities`` asks for those instead. Cancelling the
        future withdraws a request that has not run yet.

        Raises:
            SlipstreamError: what can be told at once (bad input, a full queue).
        """
        if not options:
            version = self._version
            quick = version.quick_probabilities if probabilities else version.quick_predictions
            try:
                answer = quick(x)
            except SlipstreamError as error:  # of the model: the future's, as if it had been queued
                failed: Future[Any] = Future()
                failed.set_exception(error)
                return failed
            if answer is not None:
                return DoneFuture(answer)
        return self.submit_call(
            lambda version: call_of(version, x, probabilities, options), Call.read
        )

    def submit_call(
        self, make: Callable[[Version], Call], read: Callable[[Call, CoreResult], T]
    ) -> Future[T]:
        """Queues the call that ``make`` makes of the version that answers now.

        Args:
            make: May be called again if a reload closes the version meanwhile.
            read: What the future gets of a result that is ok. Runs on the completion thread.

        Raises:
            SlipstreamError: as `submit`.
        """
        future: Future[T] = Future()

        def start(call: Call) -> int:
            def done(result: CoreResult) -> None:
                if not future.set_running_or_notify_cancel():
                    return
                try:
                    result.raise_for_status()
                    future.set_result(read(call, result))
                except Exception as error:
                    future.set_exception(error)

            ticket = call.start(self._completions, done)
            future.add_done_callback(lambda ended: ended.cancelled() and call.cancel(ticket))
            return ticket

        def fail(error: Exception) -> None:
            if future.set_running_or_notify_cancel():
                future.set_exception(error)

        ticket = self._start_or_wait(make, start, fail)
        if isinstance(ticket, RoomTicket):
            future.add_done_callback(lambda ended: ended.cancelled() and self.cancel(ticket))
        return future

    async def predict_async(
        self, x: Any, *, probabilities: bool = False, **options: Unpack[RequestOptions]
    ) -> Any:
        """`predict` (or ``predict_proba``) for coroutines. Cancelling withdraws the request."""
        ended: asyncio.Future[CoreResult] = asyncio.get_running_loop().create_future()

        def done(result: CoreResult) -> None:
            if not ended.done():
                ended.set_result(result)

        calls: list[Call] = []

        def start(call: Call) -> int:
            calls[:] = [call]
            return call.start(loop_completions(), done)

        def fail(error: Exception) -> None:
            if not ended.done():
                ended.set_exception(error)

        ticket = self._start_or_wait(
            lambda version: call_of(version, x, probabilities, options),
            start,
            fail,
            asyncio.get_running_loop(),
        )
        try:
            result = await ended
        except asyncio.CancelledError:
            if isinstance(ticket, RoomTicket):
                self.cancel(ticket)
            else:
                calls[0].cancel(ticket)
            raise
        result.raise_for_status()
        return calls[0].read(result)

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
        """Starts a request from the bytes of its rows; for the HTTP layer, on an event loop.

        ``on_done`` is called exactly once on this thread: before this returns when the request ran
        inline, else when the loop drains completions. Returns a ticket for `cancel`.

        ``routing_key`` means nothing to a model, only to an `Experiment`. ``watch`` sees a result
        before it is encoded, also a failure, and must not raise. Executions of a request that
        ``is_alone`` hold no rows of others.

        Raises:
            MalformedInputError: ``body`` is not of its form.
            InvalidInputError: also where the answer cannot be one tensor: text, several outputs.
            SlipstreamError: as `predict`; then ``on_done`` is never called.
        """
        known: dict[int, CoreInputs] = {}  # by serial: what was read to look it up

        def make(version: Version) -> Call:
            if answer == "tensor":
                version.answers.require_raw(probabilities=probabilities)
            inputs = known.get(version.serial)
            return call_of_body(
                *(version, body, probabilities, priority, timeout_ms, batch_size),
                inputs=inputs,
                is_alone=is_alone,
            )

        encode = encoder(answer)
        if watch is not None:
            encode = _watched(encode, watch)
        if body.memory is not None:
            encode = remembering(body.memory, encode)
        if body.either:
            encode = describing(body, encode)

        cache = self.cache
        may_be_known = watch is None and not (body.memory is not None and self.is_stateful)
        if cache is not None and self.caches and may_be_known:
            began_s, version = time.perf_counter(), self._version
            inputs = known[version.serial] = make(version).inputs
            key = key_of(version.serial, inputs, answer, probabilities)
            found = cache.get(key)
            if found is not None:
                took_s = time.perf_counter() - began_s
                asked = asked_of(version, body) if body.either else None
                on_done(found._replace(inference_time_s=took_s, way="remembered", asked=asked))
                return 0
            on_done = cache.remembering(key, on_done)

        def act(call: Call) -> int:
            return _start(call, encode, on_done)

        try:
            return self._attempt(make, act)
        except RestingError:
            return self._start_or_wait(make, act, on_done, asyncio.get_running_loop())

    def check(self, body: Body, *, probabilities: bool) -> None:
        """Refuses rows that `start` would refuse, without running anything.

        Raises:
            MalformedInputError: ``body`` is not of its form.
            InvalidInputError: the rows do not fit the model, or it has no probabilities.
        """
        version = self._version
        decode_body(version, body)
        version.answers.wanted(predictions=True, probabilities=probabilities)


def call_of_body(
    version: Version,
    body: Body,
    probabilities: bool,
    priority: int,
    timeout_ms: float | None,
    batch_size: int | None,
    *,
    inputs: CoreInputs | None = None,
    is_alone: bool = False,
) -> Call:
    """The call that a body asks for. For `Model.start` and copies of it.

    ``inputs`` are the body's, where they have been read already.

    Raises:
        SlipstreamError: as `Model.start`.
    """
    return Call(
        version=version,
        inputs=decode_body(version, body) if inputs is None else inputs,
        probabilities=probabilities,
        outputs_wanted=version.answers.wanted(predictions=True, probabilities=probabilities),
        priority=priority,
        timeout_ms=timeout_ms,
        max_batch_rows=batch_size or 0,
        is_alone=is_alone,
    )


def _watched(
    encode: Callable[[Call, CoreResult], T | Exception], watch: Watch
) -> Callable[[Call, CoreResult], T | Exception]:
    def watched(call: Call, result: CoreResult) -> T | Exception:
        watch(call, result)
        return encode(call, result)

    return watched


def _start(
    call: Call,
    encode: Callable[[Call, CoreResult], T | Exception],
    on_done: Callable[[T | Exception], None],
) -> int:
    result = call.try_run_inline()
    if result is None:
        return call.start(loop_completions(), lambda ended: on_done(encode(call, ended)))
    on_done(encode(call, result))
    return 0
