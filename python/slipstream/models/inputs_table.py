"""What an operator says of a model's inputs, in the file beside it: ``MODEL.pt.toml``.

::

    [inputs.x]
    dtype = "float32"
    shape = ["rows", 512]      # sizes; "rows" for the number of rows, "any" for any size

    [constants]
    sr = 16000

A torch module declares no dtypes and sizes. What is not said here is found out by asking it.
"""

from __future__ import annotations

import msgspec

from slipstream.errors import ModelLoadError

_MOST_RANK = 16
_LARGEST = 2**31
DTYPES = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "float16", "bfloat16", "float32", "float64", "string",
)  # fmt: skip


class InputTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[inputs.NAME]``."""

    dtype: str = "float32"
    shape: tuple[int | str, ...] = ()


class ToldInput(msgspec.Struct, frozen=True):
    """The same, checked; None in ``shape`` is any size."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]


def told_input(file: str, name: str, table: InputTable) -> ToldInput:
    """One table, checked.

    Raises:
        ModelLoadError: it is not what the module docstring says; names the place.
    """
    if table.dtype not in DTYPES:
        raise ModelLoadError(
            f"{file}: inputs.{name}.dtype is {table.dtype!r}; it is one of {', '.join(DTYPES)}"
        )
    if len(table.shape) > _MOST_RANK:
        raise ModelLoadError(f"{file}: inputs.{name}.shape has more than {_MOST_RANK} sizes")
    for axis, size in enumerate(table.shape):
        is_word = size == "any" or (size == "rows" and axis == 0)
        if not is_word and not (isinstance(size, int) and 0 <= size <= _LARGEST):
            raise ModelLoadError(
                f"{file}: inputs.{name}.shape has {size!r}; it takes sizes, 'any', and 'rows' "
                "in the first place"
            )
    shape = tuple(size if isinstance(size, int) else None for size in table.shape)
    return ToldInput(name, table.dtype, shape)
