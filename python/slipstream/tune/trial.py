"""From a candidate to its outcome: quantized if need be, run beside the model, measured."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from slipstream.api.loading import rows_folder
from slipstream.api.tuning import Tuning
from slipstream.decoding import converter
from slipstream.errors import SlipstreamError
from slipstream.models.prepare import Prepared
from slipstream.quantize.artifact import quantized
from slipstream.quantize.options import QuantizeOptions
from slipstream.quantize.rows import Array
from slipstream.tune.candidates import Candidate
from slipstream.tune.measuring import measured
from slipstream.tune.search import Outcome, Skipped

if TYPE_CHECKING:
    from slipstream.api import Engine, Model

_SHORTEST_QUANTIZATION_S = 2.0
_POLL_S = 0.05
NO_TIME = "no time was left for it"
"""Why a candidate is skipped when the budget ends."""

_options = converter(QuantizeOptions)


class Trials:
    """Tries candidates for one model, one at a time. For one thread.

    Args:
        engine: Has the model.
        model: Whose candidates.
        original: Its artifact in its own precision.
        start: How it runs now.
        rows: To measure on.
        kept_rows: Digest of calibration rows; None: the rows are generated.
        max_accuracy_loss_percent: A quantization that loses more is skipped.
        turn: Held while something is measured, so that searches do not measure each other.
    """

    def __init__(
        self,
        engine: Engine,
        model: Model,
        original: Prepared,
        start: Candidate,
        rows: Sequence[Array],
        kept_rows: str | None,
        max_accuracy_loss_percent: float,
        turn: threading.Lock,
    ) -> None:
        self._engine = engine
        self._model = model
        self._original = original
        self._start = start
        self._rows = rows
        self._kept_rows = kept_rows
        self._limit_percent = max_accuracy_loss_percent
        self._turn = turn
        self._tuning = model.tuning

    def outcome(
        self,
        candidate: Candidate,
        slice_s: float,
        seconds_left: Callable[[], float],
        is_stopped: Callable[[], bool],
    ) -> Outcome:
        """Measures a candidate; what goes wrong with it is why it is skipped.

        Args:
            candidate: How to run the model.
            slice_s: How long each of two phases of measuring takes.
            seconds_left: Until it must be done.
            is_stopped: Asked often; once True, it ends early.
        """
        while not self._turn.acquire(timeout=_POLL_S):
            if is_stopped():
                return Skipped(NO_TIME)
        try:
            outcome = self._measured(candidate, slice_s, seconds_left(), is_stopped)
            return Skipped(NO_TIME) if is_stopped() else outcome
        except SlipstreamError as error:
            return Skipped(NO_TIME if is_stopped() else error.message)
        finally:
            self._turn.release()

    def _measured(
        self, candidate: Candidate, slice_s: float, left_s: float, is_stopped: Callable[[], bool]
    ) -> Outcome:
        prepared, tuning = self._original, self.tuning(candidate)
        loss_percent: float | None = None
        if tuning.quantization is not None:
            is_made = tuning.quantization == self._tuning.quantization
            if left_s < _SHORTEST_QUANTIZATION_S and not is_made:
                return Skipped("no time was left for quantizing")
            prepared, told = quantized(
                *(self._original, tuning.quantization, rows_folder(self._engine.settings)),
                timeout_s=max(left_s, _SHORTEST_QUANTIZATION_S),
                is_stopped=is_stopped,
            )
            loss_percent = told.accuracy_loss_percent
            if loss_percent > tuning.quantization.max_accuracy_loss_percent:
                return Skipped(
                    f"it loses {loss_percent:g} %, more than the "
                    f"{tuning.quantization.max_accuracy_loss_percent:g} % allowed"
                )
        with self._engine.beside(self._model, prepared, tuning) as beside:
            found = measured(beside, self._rows, slice_s, is_stopped)
        return msgspec.structs.replace(found, accuracy_loss_percent=loss_percent)

    def tuning(self, candidate: Candidate) -> Tuning:
        """The model's tuning with that changed in which the candidate differs from the start."""
        changes: dict[str, Any] = {
            name: value
            for name, value in msgspec.structs.asdict(candidate).items()
            if value != getattr(self._start, name)
        }
        if candidate.quantization is None:
            changes["quantization"] = None
        elif "quantization" in changes:
            kind, _, mode = candidate.quantization.partition(" ")
            wanted = {"type": kind, "mode": mode or "DYNAMIC"}
            changes["quantization"] = _options(
                wanted | {"rows": self._kept_rows, "max_accuracy_loss_percent": self._limit_percent}
            )
        return msgspec.structs.replace(self._tuning, **changes)
