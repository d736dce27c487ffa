"""Memory of a GPU: too little of it fails one request, and unloading gives it back."""

from __future__ import annotations

import gc

import numpy as np
import pytest
import torch

import slipstream
from gpu.conftest import Load
from gpu.networks import HUNGRY, LITTLE, MUCH, Network
from slipstream.errors import SlipstreamError

pytestmark = pytest.mark.gpu

_MIB = 1 << 20
WIDTH, LAYERS = 4096, 4
WEIGHTS = 4 * WIDTH * WIDTH * LAYERS
HEAVY = Network(
    "heavy",
    lambda: torch.nn.Sequential(*(torch.nn.Linear(WIDTH, WIDTH) for _ in range(LAYERS))).eval(),
    ((WIDTH,),),
    {},
)


def used_bytes() -> int:
    """Of the whole device, without what libtorch keeps for later."""
    gc.collect()
    torch.cuda.empty_cache()
    free, total = torch.cuda.mem_get_info(0)
    return int(total - free)


@pytest.mark.parametrize("kind", ["torchscript", "onnx cuda"])
def test_out_of_memory_fails_that_request_alone(load: Load, kind: str) -> None:
    model = load(kind, HUNGRY)
    little = HUNGRY.rows(2)
    assert np.allclose(model.predict(little), 2 * little)
    for _ in range(3):
        with pytest.raises(SlipstreamError):
            model.predict(HUNGRY.rows(1, (MUCH,)))
        for count in (1, 3):
            rows = HUNGRY.rows(count, (LITTLE,))
            assert np.allclose(model.predict(rows), 2 * rows)


@pytest.mark.parametrize("kind", ["torchscript", "onnx cuda"])
def test_others_in_the_queue_are_answered(load: Load, kind: str) -> None:
    model = load(kind, HUNGRY)
    rows = HUNGRY.rows(1, (LITTLE,))
    model.predict(rows)
    futures = []
    for number in range(40):
        much = number == 10
        futures.append((much, model.submit(HUNGRY.rows(1, (MUCH,)) if much else rows)))
    for much, future in futures:
        if much:
            with pytest.raises(SlipstreamError):
                future.result(60)
        else:
            assert np.allclose(future.result(60), 2 * rows)


@pytest.mark.parametrize("kind", ["torchscript", "onnx cuda"])
def test_unloading_gives_memory_back(engine: slipstream.Engine, load: Load, kind: str) -> None:
    rows = HEAVY.rows(3)
    load(kind, HEAVY, model_id="first").predict(rows)  # libraries take what they keep for good
    engine.unload("first")
    before = used_bytes()
    for turn in range(3):
        model = load(kind, HEAVY, model_id=f"turn-{turn}")
        model.predict(rows)
        there = used_bytes()
        assert there - before >= WEIGHTS // 2
        del model
        engine.unload(f"turn-{turn}")
        left = used_bytes() - before
        assert left <= 64 * _MIB, f"{left / _MIB:.0f} MiB are left behind"
