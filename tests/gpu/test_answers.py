"""Answers of a GPU are those of the processor, for every backend, size of batch and shape."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpu.conftest import KINDS, Load
from gpu.networks import CNN, EVERY, MLP, Array, Network
from slipstream.api.tuning import Tuning
from slipstream.errors import ModelLoadError

pytestmark = pytest.mark.gpu

BATCHES = (1, 2, 3, 5, 8, 13, 16, 31, 32, 33, 64)
RECORDED = Tuning(gpu_graph_rows=64)
"""Batches of up to so many rows as CUDA graphs, which they are not unless that is asked for."""
APART = 2e-3
"""Of the largest value: convolutions of float32 have ten bits of mantissa in some libraries."""


def require_right(network: Network, rows: Array, answer: Any) -> None:
    right = network.right(rows)
    assert answer.shape == right.shape and answer.dtype == np.float32
    assert np.abs(answer - right).max() <= APART * np.abs(right).max()


@pytest.mark.parametrize("network", EVERY, ids=lambda network: network.name)
@pytest.mark.parametrize("kind", KINDS)
def test_every_size_of_batch(load: Load, kind: str, network: Network) -> None:
    model = load(kind, network, tuning=RECORDED)
    for _ in range(3):  # as it is, then recorded, then by the graph
        for count in BATCHES:
            rows = network.rows(count)
            require_right(network, rows, model.predict(rows))


@pytest.mark.parametrize("network", EVERY, ids=lambda network: network.name)
@pytest.mark.parametrize("kind", KINDS)
def test_every_size_of_batch_as_models_run_by_default(
    load: Load, kind: str, network: Network
) -> None:
    model = load(kind, network)
    for count in BATCHES:
        rows = network.rows(count)
        require_right(network, rows, model.predict(rows))


@pytest.mark.parametrize("kind", KINDS)
def test_shapes_that_change(load: Load, kind: str) -> None:
    model = load(kind, CNN, tuning=RECORDED)
    for turn in range(3):
        for shape in CNN.shapes:
            for count in (1, 4, 7 + turn):
                rows = CNN.rows(count, shape)
                require_right(CNN, rows, model.predict(rows))


@pytest.mark.timeout(600)
def test_machine_code_of_aotinductor(load: Load) -> None:
    """Compiling takes a minute. It says which number of rows it takes."""
    model = load("aotinductor", MLP)
    for count in BATCHES:
        rows = MLP.rows(count)
        require_right(MLP, rows, model.predict(rows))


@pytest.mark.parametrize("kind", ["torchscript", "onnx cuda"])
def test_with_a_graph_and_without(load: Load, kind: str) -> None:
    """Batches of up to 64 rows are recorded, those beyond are computed as they are."""
    model = load(kind, MLP, tuning=RECORDED)
    rows = MLP.rows(65)
    without = model.predict(rows)[:64]
    for _ in range(4):
        by_graph = model.predict(rows[:64])
        assert np.abs(by_graph - without).max() <= APART * np.abs(without).max()


@pytest.mark.parametrize("kind", ["torchscript", "onnx cuda"])
def test_the_processor_and_the_gpu_side_by_side(load: Load, kind: str) -> None:
    here, there = load(kind, MLP, device="cpu"), load(kind, MLP)
    rows = MLP.rows(9)
    apart = np.abs(here.predict(rows) - there.predict(rows)).max()
    assert apart <= APART


@pytest.mark.parametrize("name", ["junk.plan", "junk.pt", "junk.onnx"])
def test_junk_is_refused_by_name(engine: Any, gpu: str, tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_bytes(b"no model at all " * 64)
    with pytest.raises(ModelLoadError, match=name.replace(".", r"\.")):
        engine.load(file, device=gpu)


def test_a_gpu_that_is_not_there(engine: Any, tmp_path: Path) -> None:
    from gpu.networks import write_script

    with pytest.raises(ModelLoadError, match="there is no cuda:63 here"):
        engine.load(write_script(MLP, tmp_path), device="cuda:63")
