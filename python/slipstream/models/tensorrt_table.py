"""What an operator says of a TensorRT model, in the file beside it: ``MODEL.plan.toml``.

::

    [tensorrt]
    device = "cuda:0"

Beside an ONNX file that is loaded as ``tensorrt`` it also says what plan is to be built of it::

    [tensorrt]
    precision = "fp16"
    max_rows = 64

    [tensorrt.shapes.image]   # of an input with more dimensions of any size than its rows
    min = [1, 3, 224, 224]
    opt = [8, 3, 224, 224]
    max = [64, 3, 512, 512]
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from slipstream.decoding import converter
from slipstream.device_names import AUTO, CPU, EXPECTED, parse_device
from slipstream.errors import ModelLoadError, UnsafeModelError
from slipstream.models.beside import file_beside, read_beside

Precision = Literal["fp32", "fp16", "int8", "fp8"]

_LARGEST_ROWS = 1 << 20


class ShapeRange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[tensorrt.shapes.INPUT]``: whole shapes."""

    min: tuple[int, ...]
    opt: tuple[int, ...]
    max: tuple[int, ...]


class BuildTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a plan is to be."""

    precision: Precision = "fp32"
    """``fp32``: as the graph says. ``fp16``: its float32 as float16. ``int8``: weights and
    activations quantized, by ranges found on ``calibration``. ``fp8``: of a graph that is quantized
    so already."""
    tf32: bool = False
    """Whether products of float32 may be computed with ten bits of mantissa."""
    min_rows: int = 1
    opt_rows: int | None = None
    """What the plan is tuned for; None: ``max_rows``."""
    max_rows: int = 32
    shapes: dict[str, ShapeRange] = {}
    """Of inputs that have other dimensions of any size."""
    version_compatible: bool = False
    """Whether later versions of TensorRT may run it; slower, and it then has code for the host."""
    workspace_mb: int | None = None
    """Most scratch memory of a layer; None: all that the GPU has."""
    calibration: str | None = None
    """An ``.npz`` beside the model, one array for each input, by its name or in order."""


class TensorRtTable(BuildTable, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[tensorrt]``."""

    device: str | None = None
    """The GPU that it computes on, or several; None: as the load or the setting says."""
    slots: int | None = None
    """Batches on their way through the GPU at once, for each instance."""
    profile: int | None = None
    """Which optimization profile of a plan is used."""
    graph_rows: int | None = None
    """Batches of up to so many rows are recorded as CUDA graphs."""
    batchable: Literal["auto", "true", "false"] = "auto"

    def backend_options(self) -> dict[str, str]:
        """Options of the ``tensorrt`` backend, as far as they are not as they are anyway."""
        given = {
            "device": self.device,
            "slots": self.slots,
            "profile": self.profile,
            "graph_rows": self.graph_rows,
        }
        options = {name: str(value) for name, value in given.items() if value is not None}
        if self.batchable != "auto":
            options["batchable"] = self.batchable
        return options

    def build(self) -> BuildTable:
        """What it says of a plan to build."""
        names = BuildTable.__struct_fields__
        return BuildTable(**{name: getattr(self, name) for name in names})


class _Tables(msgspec.Struct, frozen=True):
    """The one that is read here; others are somebody else's."""

    tensorrt: TensorRtTable = TensorRtTable()


_tables = converter(_Tables)


def tensorrt_table_of(path: Path) -> TensorRtTable:
    """Reads the file beside a model, if there is one.

    Raises:
        UnsafeModelError: it is a link that leads out of the model's folder.
        ModelLoadError: it is not what it should be; names the place.
    """
    file, found = file_beside(path), read_beside(path)
    try:
        table = _tables(found).tensorrt
    except msgspec.ValidationError as error:
        raise ModelLoadError(f"{file.name} is not valid: {error}") from error
    opt = table.max_rows if table.opt_rows is None else table.opt_rows
    if not 1 <= table.min_rows <= opt <= table.max_rows <= _LARGEST_ROWS:
        raise ModelLoadError(
            f"{file.name}: min_rows, opt_rows and max_rows must be in that order, from 1 to "
            f"{_LARGEST_ROWS}; they are {table.min_rows}, {opt} and {table.max_rows}"
        )
    if table.precision == "int8" and table.calibration is None:
        raise ModelLoadError(
            f"{file.name}: precision 'int8' finds the ranges of activations on rows of yours: name "
            "a file with some hundred as calibration"
        )
    return msgspec.structs.replace(table, device=_device(file.name, table.device))


def _device(file: str, said: str | None) -> str | None:
    """In our spelling; None where it is said to be none in particular."""
    if said is None:
        return None
    try:
        device = parse_device(said)
    except ValueError:
        raise ModelLoadError(
            f"{file}: device {said[:100]!r} is not valid: it takes {EXPECTED}"
        ) from None
    if device == CPU:
        raise ModelLoadError(
            f"{file}: an engine of TensorRT computes on GPUs only: leave device out, or name one"
        )
    return None if device == AUTO else device


def calibration_file(path: Path, table: TensorRtTable) -> Path | None:
    """The calibration rows beside a model; None where the table names none.

    Raises:
        UnsafeModelError: they are not beside it.
        ModelLoadError: there is no such file.
    """
    if table.calibration is None:
        return None
    file = path.parent / table.calibration
    if not file.resolve().is_relative_to(path.parent.resolve()):
        raise UnsafeModelError(
            f"calibration {table.calibration!r} leads outside the model's folder"
        )
    if not file.is_file():
        raise ModelLoadError(
            f"there is no calibration file {table.calibration!r} beside {path.name}"
        )
    return file
