"""One request as callers describe it, checked and ready for the core."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypedDict

from slipstream.api.version import Version
from slipstream.engine.completions import Submit
from slipstream.engine.inputs import inputs_from
from slipstream.engine.runtime import CoreInputs, CoreResult
from slipstream.errors import InvalidInputError
from slipstream.priorities import PRIORITIES


class RequestOptions(TypedDict, total=False):
    """What every prediction takes by keyword."""

    priority: int | str
    """-1 (low) to 10 (urgent), or a name of `PRIORITIES`; default 0."""
    timeout_ms: float | None
    """Milliseconds until the request expires; None (default) waits for ever."""
    batch_size: int | None
    """Most rows of one execution; None (default) means the model's maximum."""


class Completions(Protocol):
    """Either kind of `slipstream.engine.completions`."""

    def start(self, submit: Submit, done: Callable[[CoreResult], None]) -> int:
        """Submits; ``done`` is called once. Returns the ticket."""


class Call(NamedTuple):
    """One request of one version of a model. Immutable."""

    version: Version
    inputs: CoreInputs
    probabilities: bool
    outputs_wanted: int
    priority: int
    timeout_ms: float | None
    max_batch_rows: int
    is_alone: bool = False

    @property
    def rows(self) -> int:
        """How many the caller has sent."""
        recurrence = self.version.recurrence
        return self.inputs.rows if recurrence is None else recurrence.rows(self.inputs)

    def run(self) -> CoreResult:
        """Blocks until it ended. Raises what `slipstream.Model` documents."""
        result = self.version.core.run(
            self.inputs,
            priority=self.priority,
            timeout_ms=self.timeout_ms,
            max_batch_rows=self.max_batch_rows,
            outputs_wanted=self.outputs_wanted,
            is_alone=self.is_alone,
        )
        result.raise_for_status()
        return result

    def try_run_inline(self) -> CoreResult | None:
        """Runs it on this thread if that is faster than handing it over; else None."""
        return self.version.core.try_run_inline(
            self.inputs,
            priority=self.priority,
            timeout_ms=self.timeout_ms,
            max_batch_rows=self.max_batch_rows,
            outputs_wanted=self.outputs_wanted,
            is_alone=self.is_alone,
        )

    def start(self, completions: Completions, done: Callable[[CoreResult], None]) -> int:
        """Queues it; ``done`` is called once where ``completions`` says. Returns the ticket."""
        return completions.start(
            lambda queue, tag: self.version.core.submit(
                self.inputs,
                queue,
                tag,
                priority=self.priority,
                timeout_ms=self.timeout_ms,
                max_batch_rows=self.max_batch_rows,
                outputs_wanted=self.outputs_wanted,
                is_alone=self.is_alone,
            ),
            done,
        )

    def cancel(self, ticket: int) -> bool:
        """Withdraws it; False when it has ended already."""
        return self.version.core.cancel(ticket)

    def read(self, result: CoreResult) -> Any:
        """What ``predict`` (or ``predict_proba``) returns for a result that is ok."""
        answers = self.version.answers
        return answers.probabilities(result) if self.probabilities else answers.predictions(result)


def call_of(version: Version, x: Any, probabilities: bool, options: RequestOptions) -> Call:
    """Checks options and data.

    Raises:
        InvalidInputError: one of them does not fit; names it.
    """
    version.require_own_process()
    return Call(
        version=version,
        inputs=version.completed(inputs_from(version.signature, x), None),
        probabilities=probabilities,
        outputs_wanted=version.answers.wanted(
            predictions=not probabilities, probabilities=probabilities
        ),
        priority=_level(options.get("priority", 0)),
        timeout_ms=_timeout_ms(options.get("timeout_ms")),
        max_batch_rows=_batch_rows(options.get("batch_size")),
    )


def _level(priority: int | str) -> int:
    if isinstance(priority, str):
        if priority not in PRIORITIES:
            raise InvalidInputError(
                f"priority {priority!r} is not one of {', '.join(PRIORITIES)} or -1 to 10"
            )
        return PRIORITIES[priority]
    return priority


def _timeout_ms(timeout_ms: float | None) -> float | None:
    if timeout_ms is not None and not timeout_ms > 0:
        raise InvalidInputError(
            f"timeout_ms must be a number of milliseconds above 0, got {timeout_ms!r}"
        )
    return timeout_ms


def _batch_rows(batch_size: int | None) -> int:
    if batch_size is None:
        return 0
    if batch_size < 1:
        raise InvalidInputError(f"batch_size must be at least 1 row, got {batch_size!r}")
    return batch_size
