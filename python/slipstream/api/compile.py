"""Compiling a model that was loaded as it is."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec

from slipstream.api.quantize import prepared_again

if TYPE_CHECKING:
    from slipstream.api.engine import Engine
    from slipstream.api.model import Model


class CompilationReport(msgspec.Struct, frozen=True, kw_only=True):
    """How a model runs after it was asked to be compiled."""

    compiled: bool
    was_compiled: bool
    backend: str
    compile_time_s: float
    """Of this call: 0 for a model that was compiled already."""
    reason: str | None
    """Why it is not compiled; None where it is."""


def compile_model(engine: Engine, model: Model) -> CompilationReport:
    """Compiles a model and swaps it in; blocks, while the model goes on answering.

    Nothing happens to one that is compiled, or that cannot be. Reloads compile from now on.

    Raises:
        ModelBusyError: the file, or the model, was changed meanwhile.
        SlipstreamError: as `slipstream.Engine.load`.
    """
    before, tuning, began = model.version, model.tuning, time.monotonic()
    if before.manifest.compiled:
        return _report(model, was_compiled=True, reason=None, began=None)
    if not engine.settings.enable_compilation:
        reason = "compilation is turned off (ENABLE_COMPILATION=False)"
        return _report(model, was_compiled=False, reason=reason, began=None)
    options = model.load_options._replace(compile_model=True)
    prepared = prepared_again(engine, model, tuning, options)
    if not prepared.manifest.compiled:
        return _report(model, was_compiled=False, reason=prepared.manifest.reason, began=began)
    with engine.beside(model, prepared, tuning, began) as beside:
        engine.swap(beside, still=lambda: model.version.serial == before.serial, options=options)
    return _report(model, was_compiled=False, reason=None, began=began)


def _report(
    model: Model, *, was_compiled: bool, reason: str | None, began: float | None
) -> CompilationReport:
    return CompilationReport(
        compiled=model.compiled,
        was_compiled=was_compiled,
        backend=model.backend,
        compile_time_s=0.0 if began is None else time.monotonic() - began,
        reason=reason,
    )
