"""One search on one loaded model, from the first measurement to the swap."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from slipstream.api.quantize import keep_rows, prepared_again
from slipstream.api.tuning import Tuning
from slipstream.api.version import Version
from slipstream.engine.row_inputs import arrays_of
from slipstream.engine.runtime import CoreInputs, available_cpus
from slipstream.errors import InferenceError, ModelNotFoundError, UnavailableError
from slipstream.models.prepare import Prepared
from slipstream.quantize import rows as row_sets
from slipstream.quantize.artifact import why_not
from slipstream.tune.candidates import Candidate, Dimension, Level, Surroundings, dimensions
from slipstream.tune.measuring import generated
from slipstream.tune.search import Search, Skipped, Targets
from slipstream.tune.trial import NO_TIME, Trials

if TYPE_CHECKING:
    from slipstream.api import Engine, Model

_SLICES = 60.0
"""A phase of measuring takes this part of the budget, within the two limits below."""
_SHORTEST_SLICE_S, _LONGEST_SLICE_S = 0.02, 1.0
_MARGIN = 1.5
"""How much longer than the slowest so far the next candidate, or the swap, may take."""
_CONFIRMING = 2
"""Measurements at the end: of the best candidate and of the present one."""
_QUANTIZATIONS = ("INT8 DYNAMIC", "UINT8 DYNAMIC", "FP16")
_STATIC_QUANTIZATIONS = ("INT8 STATIC", "UINT8 STATIC")


class Wanted(NamedTuple):
    """What a search is asked for."""

    level: Level
    targets: Targets
    time_budget_s: float
    max_accuracy_loss_percent: float
    calibration: CoreInputs | None
    """Rows to measure on; None: generated ones."""


class SearchRun:
    """One search; `run` on a thread of its own, everything else on any.

    Args:
        engine: Has the model.
        model: What to tune.
        wanted: See there. The time budget begins now.
        turn: Held while something is measured, so that searches do not measure each other.
    """

    def __init__(self, engine: Engine, model: Model, wanted: Wanted, turn: threading.Lock) -> None:
        self.model = model
        self.wanted = wanted
        self.search: Search | None = None
        """None until the space is known."""
        self.rows = 0
        """How many rows are measured on; 0 until that is known."""
        self.applied = False
        self._engine = engine
        self._turn = turn
        self._began = time.monotonic()
        self._is_stopped = threading.Event()
        slice_s = wanted.time_budget_s / _SLICES
        self._slice_s = max(_SHORTEST_SLICE_S, min(_LONGEST_SLICE_S, slice_s))
        self._loading_s = 0.0
        """What starting a version took, at most."""
        self._slowest_s = 0.0
        """The same with measuring it."""

    @property
    def seconds_left(self) -> float:
        """Of the budget; 0 once it is over."""
        return max(0.0, self._began + self.wanted.time_budget_s - time.monotonic())

    @property
    def elapsed_s(self) -> float:
        """Since it began."""
        return time.monotonic() - self._began

    def stop(self) -> None:
        """Has `run` end soon, with UnavailableError."""
        self._is_stopped.set()

    def run(self) -> Search:
        """Searches within the budget, and applies the best candidate if it meets the targets.

        Raises:
            UnavailableError: `stop` was called.
            ModelNotFoundError: the model was unloaded meanwhile.
            ModelBusyError: the model, or its file, was changed meanwhile.
            InvalidInputError: no generated rows suit it; or more are given than are taken.
            InferenceError: how it runs now cannot be measured: it does not answer the rows.
            SlipstreamError: as `slipstream.Engine.load`.
        """
        with self._engine.kept_in_memory(self.model) as before:
            return self._run(before)

    def _run(self, before: Version) -> Search:
        engine, model = self._engine, self.model
        plain = msgspec.structs.replace(model.tuning, quantization=None)
        original = prepared_again(engine, model, plain)
        rows, kept = self._rows_of(original, plain)
        self.rows = row_sets.count(model.signature.inputs, rows)
        start = present(engine, model)
        trials = Trials(
            *(engine, model, original, start, rows, kept),
            *(self.wanted.max_accuracy_loss_percent, self._turn),
        )
        self.search = search = Search(start, self._space(start), self.wanted.targets)
        self._try_all(search, trials)
        if search.best_measured is not None and not self._has_time():
            search.end(NO_TIME)
        self._confirm(search, trials)
        found = search.best_measured
        if found is None:
            outcome = search.outcomes.get(start)
            why = outcome.reason if isinstance(outcome, Skipped) else "there was no time for it"
            raise InferenceError(f"how the model runs now cannot be measured: {why}")
        if search.best != start and search.targets.shortfall(found) == 0:
            tuning = trials.tuning(search.best)
            prepared = original
            if tuning.quantization is not None:
                prepared = engine.prepared(model, model.load_options, tuning)  # from the cache
            with engine.beside(model, prepared, tuning) as beside:
                self._require_going_on()
                engine.swap(beside, still=lambda: model.version.serial == before.serial)
            self.applied = True
        return search

    def _try_all(self, search: Search, trials: Trials) -> None:
        while (candidate := search.ask() if self._has_time() else None) is not None:
            began = time.monotonic()
            is_first = candidate == search.start  # without it nothing can be told at all
            must_end = self._is_stopped.is_set if is_first else self._must_end
            search.tell(trials.outcome(candidate, self._slice_s, self._seconds_to_try, must_end))
            if candidate.quantization == search.start.quantization:  # no child was waited for
                self._slowest_s = max(self._slowest_s, time.monotonic() - began)
                self._loading_s = max(0.0, self._slowest_s - 2 * self._slice_s)
            self._require_going_on()

    def _confirm(self, search: Search, trials: Trials) -> None:
        """Measures the best candidate and the present one again, side by side in time."""
        if search.best == search.start:
            return
        outcomes = [
            trials.outcome(one, self._slice_s, self._seconds_to_try, self._must_end)
            for one in (search.best, search.start)
        ]
        self._require_going_on()
        search.confirm(*outcomes)

    def _has_time(self) -> bool:
        needed_s = _MARGIN * (1 + _CONFIRMING) * self._slowest_s
        return self._slowest_s == 0 or self._seconds_to_try() > needed_s

    def _seconds_to_try(self) -> float:
        """What is left for candidates: the best one must still be started again at the end."""
        return self.seconds_left - _MARGIN * self._loading_s

    def _must_end(self) -> bool:
        return self._is_stopped.is_set() or self._seconds_to_try() <= 0

    def _require_going_on(self) -> None:
        if self._is_stopped.is_set():
            raise UnavailableError("the search was stopped: the server is shutting down")
        if self.model not in self._engine.models():
            raise ModelNotFoundError(
                f"model {self.model.model_id!r} was unloaded while it was being optimized",
                model_id=self.model.model_id,
            )

    def _rows_of(
        self, original: Prepared, plain: Tuning
    ) -> tuple[list[row_sets.Array], str | None]:
        """The rows to measure on, and under which digest they are kept."""
        given = self.wanted.calibration
        if given is not None:
            return arrays_of(given), keep_rows(self._engine, self.model, given)
        alone = msgspec.structs.replace(plain, instances=1)
        with self._engine.beside(self.model, original, alone) as beside:
            return generated(beside.version), None

    def _space(self, start: Candidate) -> list[Dimension]:
        model = self.model
        quantizations: tuple[str, ...] = _QUANTIZATIONS
        if self.wanted.calibration is not None:
            quantizations = (*_STATIC_QUANTIZATIONS, *quantizations)
        return dimensions(
            start,
            Surroundings(
                level=self.wanted.level,
                backend=model.backend,
                cores=available_cpus(),
                most_instances=self._engine.most_instances(model),
                is_batchable=self._engine.brought_back(model).running.batchable,
                quantizations=quantizations,
                why_no_quantization=self._why_no_quantization(),
                least_instances=max(1, len(model.placement.devices)),
            ),
        )

    def _why_no_quantization(self) -> str | None:
        if not self._engine.settings.enable_quantization:
            return "quantization is turned off (ENABLE_QUANTIZATION=False)"
        return why_not(self.model.manifest)


def present(engine: Engine, model: Model) -> Candidate:
    """How a model runs now."""
    tuning, settings = model.tuning, engine.settings
    is_graph = model.backend == "onnx"
    return Candidate(
        instances=model.version.core.instances,
        max_batch_rows=tuning.max_batch_rows or settings.max_batch_size,
        intra_op_threads=(tuning.intra_op_threads or settings.intra_op_threads) if is_graph else 1,
        graph_optimization_level=tuning.graph_optimization_level or "all",
        quantization=None if tuning.quantization is None else str(tuning.quantization),
    )
