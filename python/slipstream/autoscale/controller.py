"""Looks at every model twice a second, and gives it instances, takes them, or has it rest.

What to do is decided in `slipstream.autoscale.policy`; here is where figures come from and where
decisions go. A model is scaled if its operator names ``max_instances``, and rests after
``idle_unload_s`` (its own, or the setting's) without a request; its next request brings it back.

Threads: one of its own looks; a few others carry out, since ending an instance or a model waits for
what it has begun. Each model is changed by one of them at a time.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

from slipstream.api.resting import RestingCore
from slipstream.autoscale.policy import Decision, Limits, Look, Memory, decide
from slipstream.errors import SlipstreamError
from slipstream.own_threads import call_thread

if TYPE_CHECKING:
    from slipstream.api import Engine, Model

_log = logging.getLogger("slipstream.autoscaler")
_PERIOD_S = 0.5
_CHANGES_AT_ONCE = 2
_KEPT_ACTIONS = 32


class Action(NamedTuple):
    """Something that was done."""

    at_s: float
    """Seconds since the epoch."""
    model_id: str
    instances: int
    """From then on; 0 for a model that rests."""
    reason: str


class _Counters(NamedTuple):
    """Of one version of a model at one moment; they only grow."""

    serial: int
    at_s: float
    execute_ns: int
    waited: int
    wait_ns: int
    executions: int
    answered: int
    missed: int


class Autoscaler:
    """Of one engine; a context manager.

    Args:
        engine: Its models are looked at.
        period_s: Between looks.
    """

    def __init__(self, engine: Engine, period_s: float = _PERIOD_S) -> None:
        self._engine = engine
        self._period_s = period_s
        self._stop = threading.Event()
        self._memories: dict[str, Memory] = {}
        self._counters: dict[str, _Counters] = {}
        self._changing: set[str] = set()
        self._actions: deque[Action] = deque(maxlen=_KEPT_ACTIONS)
        self._lock = threading.Lock()
        self._failed: str | None = None
        self._workers = ThreadPoolExecutor(
            _CHANGES_AT_ONCE, "slipstream-scale", call_thread, ("scale",)
        )
        self._thread = threading.Thread(target=self._run, name="slipstream-scaler", daemon=True)

    def __enter__(self) -> Autoscaler:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Begins to look."""
        self._thread.start()

    def close(self) -> None:
        """Looks no more; what is being changed is waited for by whoever closes the engine."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self._workers.shutdown(wait=False, cancel_futures=True)

    @property
    def is_running(self) -> bool:
        """Whether it looks at models."""
        return self._thread.is_alive() and not self._stop.is_set()

    @property
    def failure(self) -> str | None:
        """Why the last look failed; None where it did not."""
        return self._failed

    def actions(self) -> list[Action]:
        """What was done last, oldest first."""
        with self._lock:
            return list(self._actions)

    def _run(self) -> None:
        call_thread("scaler")
        while not self._stop.wait(self._period_s):
            try:
                self.look()
                self._failed = None
            except Exception as error:  # a thread that ends would leave nobody to scale
                if self._failed is None:
                    _log.error("the autoscaler cannot look at the models", exc_info=error)
                self._failed = str(error)

    def look(self) -> None:
        """Looks once; what is decided begins at once, and may be done later."""
        models = self._engine.models()
        present = {model.model_id for model in models}
        for kept in (self._memories, self._counters):
            for gone in kept.keys() - present:
                del kept[gone]
        failures: list[Exception] = []
        for model in models:
            try:
                self._look_at(model)
            except Exception as error:  # the others are looked at all the same
                failures.append(error)
        if failures:
            raise failures[0]

    def _look_at(self, model: Model) -> None:
        with self._lock:
            if model.model_id in self._changing:
                return
        if model.members or model.is_resting:
            return
        if self._is_idle(model):
            self._begin(model, None)
            return
        decision = self._decide(model)
        if decision is not None:
            self._begin(model, decision)

    def _is_idle(self, model: Model) -> bool:
        own_s = model.declared.idle_unload_s
        allowed_s = own_s if own_s is not None else self._engine.settings.idle_unload_s
        if own_s is None and (model.pinned or model.is_extra):
            return False
        return bool(allowed_s) and not model.is_busy and model.idle_s >= allowed_s

    def _decide(self, model: Model) -> Decision | None:
        limits = limits_of(model)
        if limits is None:
            return None
        before = self._counters.get(model.model_id)
        now = _counters_of(model)
        if now is None:
            return None
        self._counters[model.model_id] = now
        if before is None or before.serial != now.serial:
            return None
        look = _look(before, now, model.version.core.instances)
        memory = self._memories.get(model.model_id, Memory())
        decision, self._memories[model.model_id] = decide(look, limits, memory)
        return decision

    def _begin(self, model: Model, decision: Decision | None) -> None:
        with self._lock:
            self._changing.add(model.model_id)
        self._workers.submit(self._change, model, decision)

    def _change(self, model: Model, decision: Decision | None) -> None:
        try:
            if decision is None:
                self._put_to_rest(model)
            else:
                self._scale(model, decision)
        except Exception as error:  # nobody waits for this; the next look tries again
            level = logging.INFO if isinstance(error, SlipstreamError) else logging.ERROR
            _log.log(level, "model '%s' stays as it is: %s", model.model_id, error)
        finally:
            with self._lock:
                self._changing.discard(model.model_id)

    def _put_to_rest(self, model: Model) -> None:
        idle_s = model.idle_s
        if self._engine.evict(model):
            self._note(model, 0, f"no request for {idle_s:.3g} s")

    def _scale(self, model: Model, decision: Decision) -> None:
        before = model.version.core.instances
        now = self._engine.set_instances(model, decision.instances)
        if now != before:
            self._note(model, now, decision.reason)

    def _note(self, model: Model, instances: int, reason: str) -> None:
        with self._lock:
            self._actions.append(Action(time.time(), model.model_id, instances, reason))
        if instances == 0:
            _log.info("model '%s' rests: %s", model.model_id, reason)
        else:
            _log.info("model '%s' has %d instances: %s", model.model_id, instances, reason)


def limits_of(model: Model) -> Limits | None:
    """Between which its number of instances may change; None where it may not."""
    most = model.declared.max_instances
    if most is None:
        return None
    least = model.declared.min_instances or len(model.placement.devices) or 1  # one on each GPU
    return Limits(min(least, most), most)


def _counters_of(model: Model) -> _Counters | None:
    version = model.version
    if isinstance(version.core, RestingCore):  # since we asked
        return None
    stats = version.core.stats()
    queue = stats["stages"]["queue"]
    return _Counters(
        serial=version.serial,
        at_s=time.monotonic(),
        execute_ns=stats["execute_ns_sum"],
        waited=queue["count"],
        wait_ns=queue["sum_ns"],
        executions=stats["executions"],
        answered=stats["succeeded"] + stats["failed"],
        missed=stats["rejected"] + stats["abandoned"],
    )


def _look(before: _Counters, now: _Counters, instances: int) -> Look:
    elapsed_ns = max(1.0, (now.at_s - before.at_s) * 1e9)
    waited = now.waited - before.waited
    executions = now.executions - before.executions
    execute_ns = now.execute_ns - before.execute_ns
    return Look(
        now_s=now.at_s,
        instances=instances,
        busy_share=min(1.0, execute_ns / elapsed_ns / max(1, instances)),
        queue_delay_s=(now.wait_ns - before.wait_ns) / waited / 1e9 if waited else 0.0,
        execute_s=execute_ns / executions / 1e9 if executions else 0.0,
        answered=now.answered - before.answered,
        missed=now.missed - before.missed,
    )
