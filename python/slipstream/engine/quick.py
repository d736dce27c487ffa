"""The short way from an array to an answer, for models that take less time than the long one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from slipstream import _engine
from slipstream.engine.answers import Answers
from slipstream.engine.signature import Signature

Quick = Callable[[Any], Any]
"""From ``x`` to what ``predict`` (or ``predict_proba``) returns; None where the long way must be
taken, which gives the same answer or says what is wrong."""


def quick_call(
    core: _engine.Model, signature: Signature, answers: Answers, *, probabilities: bool
) -> Quick:
    """The short way of a model; one that always answers None where the model has none."""
    only = answers.only_output(probabilities=probabilities)
    if only is None or len(signature.inputs) != 1 or signature.layout == "columns":
        return never
    run = _engine.QuickCall(
        core,
        only.number,
        answers.wanted(predictions=not probabilities, probabilities=probabilities),
        signature.accepts_missing,
    ).run
    read = only.read
    if read is None:
        return run

    def run_and_read(x: Any) -> Any:
        values = run(x)
        return None if values is None else read(values)

    return run_and_read


def never(x: Any) -> None:
    """For models whose answers take more than one array."""
