"""Rows to calibrate and to measure on: kept where callers gave them, else generated.

A set of rows is one array per input of the model, in its order. Where the model takes batches, all
have the same first dimension; where it does not, they are one request.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from slipstream.errors import InvalidInputError, MissingDependencyError
from slipstream.models.newest import beyond_newest

Array: TypeAlias = npt.NDArray[Any]
Spec: TypeAlias = tuple[str, str, Sequence[int]]

MOST_ROWS = 10_000
_SEED = 20_250_115
_MOST_GENERATED, _FEWEST_GENERATED = 1000, 8
_GENERATED_VALUES = 1 << 20
_FREE_SIZES = (16, 48, 224, 1)
"""Tried one after the other for a dimension of any size that is not the rows'."""
_INTEGERS_BELOW = (256, 2, 1)
"""Tried one after the other: an index into an embedding must not lie behind its end."""
_WORDS = ("a", "b", "c")


def keep(arrays: Sequence[Array], folder: Path) -> str:
    """Writes rows below ``folder``, once per content; returns their digest (32 hex digits)."""
    plain = [_plain(array) for array in arrays]
    digest = hashlib.sha256()
    for array in plain:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(array.tobytes())
    name = digest.hexdigest()[:32]
    folder.mkdir(parents=True, exist_ok=True)
    if not file_of(folder, name).exists():
        with tempfile.NamedTemporaryFile(dir=folder, suffix=".part", delete=False) as stream:
            np.savez(stream, *plain)
        os.replace(stream.name, file_of(folder, name))
    now_ns = time.time_ns()  # the kernel's own stamp would be milliseconds coarse
    os.utime(file_of(folder, name), ns=(now_ns, now_ns))
    return name


def forget(folder: Path, in_use: Collection[str], most: int) -> None:
    """Deletes the oldest sets of rows in a folder until ``most`` are left; none that is in use.

    Args:
        folder: As of `keep`, which makes a set the newest again whenever it is given.
        in_use: Digests of sets that some model is quantized with.
        most: How many may stay, beside those in use.
    """
    found = [file for file in folder.glob("*.npz") if file.stem not in in_use]
    for file in beyond_newest(found, most):
        file.unlink(missing_ok=True)


def file_of(folder: Path, digest: str) -> Path:
    """Where `keep` has put rows."""
    return folder / f"{digest}.npz"


def write(arrays: Sequence[Array], file: Path) -> None:
    """Writes rows to a file of that name."""
    with file.open("wb") as stream:
        np.savez(stream, *map(_plain, arrays))


def read(file: Path) -> list[Array]:
    """Inverse of `keep` and `write`; text comes as object arrays.

    Raises:
        OSError: there is no such file.
    """
    with np.load(file, allow_pickle=False) as saved:
        arrays = [saved[f"arr_{number}"] for number in range(len(saved.files))]
    return [array.astype(object) if array.dtype.kind == "U" else array for array in arrays]


def _plain(array: Array) -> Array:
    """Text as fixed-width Unicode, which needs no pickle."""
    return np.asarray(array, dtype=np.str_) if array.dtype == object else np.asarray(array)


def split(arrays: Sequence[Array], size: int, *, is_batchable: bool) -> Iterator[list[Array]]:
    """Pieces of at most ``size`` rows, in order; the whole, where the model takes no batches."""
    if not is_batchable or not arrays:
        yield list(arrays)
        return
    for start in range(0, len(arrays[0]), size):
        yield [array[start : start + size] for array in arrays]


def calibration_reader(
    names: Sequence[str], arrays: Sequence[Array], size: int, *, is_batchable: bool
) -> Any:
    """Rows as ONNX Runtime's quantizer reads them, once.

    Args:
        names: Of the model's inputs.
        arrays: One for each.
        size: Rows of a piece, as of `split`.
        is_batchable: As of `split`.

    Raises:
        MissingDependencyError: onnxruntime is not installed.
    """
    try:
        from onnxruntime.quantization import CalibrationDataReader
    except ImportError as error:
        raise MissingDependencyError(
            "calibration needs the packages onnx and onnxruntime: pip install "
            f"'slipstream[quantization]' ({error})",
            package="onnxruntime",
        ) from error

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._pieces = split(arrays, size, is_batchable=is_batchable)

        def get_next(self) -> dict[str, Array] | None:
            piece = next(self._pieces, None)
            return None if piece is None else dict(zip(names, piece, strict=True))

    return Reader()


def count(specs: Sequence[Spec], arrays: Sequence[Array]) -> int:
    """How many rows these are: the first dimension, if that is of any size for every input."""
    if not arrays or not all(dims and dims[0] < 0 for _, _, dims in specs):
        return 1
    return len(arrays[0])


def candidates(specs: Sequence[Spec], *, is_batchable: bool) -> Iterator[list[Array]]:
    """Sets of generated rows, from what a model most likely takes to what hardly any refuses.

    Numbers are normally distributed with mean 0 and deviation 1, integers evenly; the same in
    every run. Whoever asks takes the first set that the model answers.

    Args:
        specs: Inputs as ``(name, dtype, dims)``, -1 for any size.
        is_batchable: Whether first dimensions are rows.

    Raises:
        InvalidInputError: an input of a type that no rows are generated for.
    """
    has_free = any(-1 in dims[1 if is_batchable else 0 :] for _, _, dims in specs)
    has_integers = any(np.dtype(_numpy(dtype)).kind in "iu" for _, dtype, _ in specs)
    for size in _FREE_SIZES if has_free else _FREE_SIZES[:1]:
        for below in _INTEGERS_BELOW if has_integers else _INTEGERS_BELOW[:1]:
            yield _generate(specs, size, below, is_batchable)


def _numpy(dtype: str) -> str:
    if dtype == "bfloat16":
        raise InvalidInputError(
            "no rows are generated for bfloat16 inputs: give some as calibration_data",
            key="calibration_data",
        )
    return "object" if dtype == "string" else dtype


def _generate(specs: Sequence[Spec], size: int, below: int, is_batchable: bool) -> list[Array]:
    chosen = np.random.default_rng(_SEED)
    shapes = [[size if dim < 0 else dim for dim in dims] for _, _, dims in specs]
    if is_batchable:
        values = sum(int(np.prod(shape[1:])) for shape in shapes)
        rows = _GENERATED_VALUES // max(1, values)
        for shape in shapes:
            shape[0] = max(_FEWEST_GENERATED, min(_MOST_GENERATED, rows))
    return [
        _values(chosen, np.dtype(_numpy(dtype)), shape, below)
        for (_, dtype, _), shape in zip(specs, shapes, strict=True)
    ]


def _values(chosen: np.random.Generator, dtype: Any, shape: list[int], below: int) -> Array:
    if dtype.kind == "f":
        return chosen.standard_normal(shape).astype(dtype)
    if dtype.kind in "iu":
        most = min(below, int(np.iinfo(dtype).max) + 1)
        return chosen.integers(0, most, shape).astype(dtype)
    if dtype.kind == "b":
        return chosen.integers(0, 2, shape).astype(dtype)
    return np.array(_WORDS, dtype=object)[chosen.integers(0, len(_WORDS), shape)]
