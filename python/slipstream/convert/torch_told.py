"""What the operator's file beside a torch model says, as the converter child gets it."""

from __future__ import annotations

import msgspec

from slipstream.convert.torch_signature import Shape
from slipstream.models.inputs_table import ToldInput
from slipstream.models.manifest import Constant


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """Its inputs and constants, and its name for messages."""

    inputs: tuple[ToldInput, ...] = ()
    constants: dict[str, Constant] = {}
    file: str = "MODEL.toml"
    custom_root: str | None = None
    """Folder of the operator's modules; None unless custom code is allowed."""

    @property
    def shapes(self) -> dict[str, Shape]:
        """Of the inputs, by name."""
        return {one.name: Shape(one.dtype, one.shape) for one in self.inputs}

    @property
    def names(self) -> list[str]:
        """Of all inputs that are mentioned."""
        return [*(one.name for one in self.inputs), *self.constants]
