"""Networks in slipstream: which backend runs them here, and on what.

A backend that cannot is left out, with the reason that slipstream itself gives.
"""

from __future__ import annotations

import inspect
from pathlib import Path

import numpy as np

import slipstream
from bench.gpu.networks import Array, Network
from bench.lib.suite import WrongError
from slipstream.errors import SlipstreamError

BACKENDS = ("torch", "onnx", "tensorrt")
_TENSORRT = "[tensorrt]\nmax_rows = {rows}\n"


class LeftOutError(Exception):
    """A backend cannot run a network here; says why."""


def ours(backend: str) -> str:
    """The contender's name."""
    return f"slipstream {backend}"


def load(
    engine: slipstream.Engine,
    backend: str,
    network: Network,
    folder: Path,
    device: str,
    most_rows: int = 64,
) -> slipstream.Model:
    """The network in slipstream, on that device.

    Raises:
        LeftOutError: it cannot be.
    """
    options: dict[str, object] = {"model_id": f"{backend}-{network.name}"}
    if device != "cpu":
        if "device" not in inspect.signature(engine.load).parameters:
            raise LeftOutError("this slipstream cannot be told where to compute")
        options["device"] = device
    elif backend == "tensorrt":
        raise LeftOutError("TensorRT needs a GPU")
    file = network.script(folder) if backend == "torch" else network.onnx(folder)
    if backend == "tensorrt":
        file = _with_table(file, most_rows)
        options["model_type"] = "tensorrt"
    try:
        model = engine.load(file, **options)  # type: ignore[arg-type]
    except SlipstreamError as error:
        raise LeftOutError(error.message) from error
    if model.device != device or model.backend != backend:
        raise WrongError(f"{file.name} is in {model.backend} on {model.device}, not on {device}")
    return model


def _with_table(file: Path, most_rows: int) -> Path:
    """A copy in a folder of its own: what is beside it is for TensorRT alone."""
    folder = file.parent / "tensorrt"
    folder.mkdir(exist_ok=True)
    copy = folder / file.name
    if not copy.is_file():
        copy.hardlink_to(file)
        copy.with_name(f"{copy.name}.toml").write_text(_TENSORRT.format(rows=most_rows))
    return copy


def require_same(name: str, network: Network, got: Array, right: Array) -> None:
    """Before anything is timed.

    Raises:
        WrongError: the answer is another one.
    """
    got = np.asarray(got, np.float64).reshape(right.shape)
    apart = float(np.abs(got - right).max() / np.abs(right).max())
    if not apart <= network.apart:
        raise WrongError(
            f"{name} answers {network.name} otherwise than torch on the processor: {apart:.2g} of "
            f"the largest value apart, {network.apart:g} at most"
        )
