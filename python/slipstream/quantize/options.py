"""What a quantization is asked to be."""

from __future__ import annotations

from typing import Literal

import msgspec

from slipstream.errors import InvalidInputError

QuantizationType = Literal["INT8", "UINT8", "INT4", "FP16"]
QuantizationMode = Literal["DYNAMIC", "STATIC"]

DEFAULT_MAX_ACCURACY_LOSS_PERCENT = 1.0


class QuantizeOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Plain data, so that it can be kept with a model and be done again at a reload."""

    type: QuantizationType
    """``INT8``, ``UINT8``: weights and, while they run, activations. ``INT4``: the weights of
    matrix products only, in blocks. ``FP16``: every float32 of the graph."""
    mode: QuantizationMode = "DYNAMIC"
    """Of INT8 and UINT8: whether ranges of activations are found at each request, or once, from the
    calibration rows."""
    rows: str | None = None
    """Calibration rows, by the digest that `slipstream.quantize.rows.keep` gave; None: generated
    ones, to measure on."""
    max_accuracy_loss_percent: float = DEFAULT_MAX_ACCURACY_LOSS_PERCENT

    @property
    def has_mode(self) -> bool:
        """Whether the type comes in several modes."""
        return self.type in ("INT8", "UINT8")

    def __str__(self) -> str:
        """``INT8 STATIC``, ``FP16``."""
        return f"{self.type} {self.mode}" if self.has_mode else self.type

    def check(self) -> None:
        """Refuses what contradicts itself.

        Raises:
            InvalidInputError: a static mode without rows, or of a type that has none.
        """
        if self.mode != "STATIC":
            return
        if not self.has_mode:
            raise InvalidInputError(
                f"{self.type} has no static mode: it changes how numbers are stored, and needs no "
                "calibration; leave quantization_mode out",
                key="quantization_mode",
            )
        if self.rows is None:
            raise InvalidInputError(
                "static quantization finds the ranges of activations on rows of yours: give some "
                "hundred as calibration_data, in the form of a prediction's data",
                key="calibration_data",
            )
