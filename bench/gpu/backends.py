"""Networks in slipstream: which backend runs them here, and on what.

A backend that cannot is left out, with the reason that slipstream itself gives.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

import slipstream
from bench.gpu import turns
from bench.gpu.networks import Array, Network
from bench.gpu.plan import Context
from bench.lib.suite import WrongError
from bench.lib.taken import Taken
from slipstream.api.tuning import Tuning
from slipstream.errors import SlipstreamError

_TENSORRT = "[tensorrt]\nmax_rows = {rows}\n"


class LeftOutError(Exception):
    """A backend cannot run a network here; says why."""


def ours(backend: str, *, recorded: bool = False) -> str:
    """The contender's name; ``recorded``: with its batches as CUDA graphs, which is an option."""
    return f"slipstream {backend}{', recorded' if recorded else ''}"


def contenders(
    context: Context,
    network: Network,
    engine: slipstream.Engine,
    *,
    most_rows: int = 64,
    ways: tuple[bool, ...] = (False,),
) -> tuple[dict[str, slipstream.Model], list[Taken]]:
    """The network in every backend, by the contender's name; and those that cannot run it.

    Args:
        context: Of the measurement.
        network: What is loaded.
        engine: Loads it.
        most_rows: Of a batch.
        ways: Whether batches are recorded as CUDA graphs; each is a contender of its own.
    """
    models: dict[str, slipstream.Model] = {}
    absent: list[Taken] = []
    for backend in context.backends:
        for recorded in ways:
            name, rows = ours(backend, recorded=recorded), most_rows if recorded else 0
            try:
                model = load(
                    *(engine, backend, network, context.folder, context.device, most_rows),
                    graph_rows=rows,
                )
            except LeftOutError as error:
                absent.append(turns.left_out(name, error))
                continue
            models[name] = model
    return models, absent


def load(
    engine: slipstream.Engine,
    backend: str,
    network: Network,
    folder: Path,
    device: str,
    most_rows: int = 64,
    *,
    graph_rows: int = 0,
) -> slipstream.Model:
    """The network in slipstream, on that device; batches of ``graph_rows`` or fewer are recorded.

    Raises:
        LeftOutError: it cannot be.
    """
    if device == "cpu" and backend == "tensorrt":
        raise LeftOutError("TensorRT needs a GPU")
    file = network.script(folder) if backend == "torch" else network.onnx(folder)
    # A file is a model once in an engine, and what is beside it is for TensorRT alone: so each has
    # a folder of its own.
    file = _linked(file, f"{backend}-{graph_rows}")
    if backend == "tensorrt":
        file.with_name(f"{file.name}.toml").write_text(_TENSORRT.format(rows=most_rows))
    try:
        model = engine.load(
            file,
            "tensorrt" if backend == "tensorrt" else "auto",
            model_id=f"{backend}-{network.name}-{graph_rows}",
            device=device,
            tuning=Tuning(gpu_graph_rows=graph_rows),
        )
    except SlipstreamError as error:
        raise LeftOutError(error.message) from error
    if model.device != device or model.backend != backend:
        raise WrongError(f"{file.name} is in {model.backend} on {model.device}, not on {device}")
    return model


def _linked(file: Path, name: str) -> Path:
    folder = file.parent / name
    folder.mkdir(exist_ok=True)
    copy = folder / file.name
    if not copy.is_file():
        copy.hardlink_to(file)
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
