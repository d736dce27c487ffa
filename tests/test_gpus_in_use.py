"""What health and the statistics tell of GPUs that models are on; GPUs and NVML are made up."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from made_up_gpus import gpus
from slipstream.api.placement import ON_CPU, Placement
from slipstream.engine import gpus as gpus_module
from slipstream.http.machine import Machine
from slipstream.http.routes.devices_in_use import are_seen, gpus_in_use, utilization

LOADS = {b"0000:00:00.0": 10, b"0000:01:00.0": 30, b"0000:02:00.0": 90}
"""By the places of GPUs, as `made_up_gpus` has them."""


class NVMLError(Exception):
    pass


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> dict[bytes, int]:
    """The library, which sees these; what is taken out of it is lost."""
    loads = dict(LOADS)

    def by_place(place: bytes) -> bytes:
        if place not in loads:
            raise NVMLError
        return place

    module = ModuleType("pynvml")
    vars(module).update(
        NVMLError=NVMLError,
        NVML_TEMPERATURE_GPU=0,
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByPciBusId=by_place,
        nvmlDeviceGetUtilizationRates=lambda gpu: SimpleNamespace(gpu=loads[gpu]),
        nvmlDeviceGetMemoryInfo=lambda gpu: SimpleNamespace(total=2, used=1, free=1),
        nvmlDeviceGetTemperature=lambda gpu, sensor: 40,
    )
    monkeypatch.setitem(sys.modules, "pynvml", module)
    return loads


@pytest.fixture
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Of a server with three GPUs; a function of where its models are, the last one resting."""
    monkeypatch.setattr(gpus_module, "survey", lambda: gpus(0, 1, 2))

    def of(*placements: Placement) -> Any:
        models = [SimpleNamespace(is_resting=False, placement=one) for one in placements]
        models.append(SimpleNamespace(is_resting=True, placement=Placement((2,))))
        engine = SimpleNamespace(models=lambda: models)
        return SimpleNamespace(engine=engine, machine=Machine(tmp_path))

    return of


def test_which_ones(context: Any) -> None:
    assert gpus_in_use(context(ON_CPU)) == []
    assert gpus_in_use(context(Placement((1, 0)), ON_CPU, Placement((1,)))) == [0, 1]


def test_the_load_is_that_of_the_gpus_in_use(context: Any, nvml: dict[bytes, int]) -> None:
    assert utilization(context(), [0, 1]) == 20.0
    assert utilization(context(), [2]) == 90.0


def test_nothing_tells_the_load(context: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert utilization(context(), [0]) is None


def test_a_gpu_that_is_lost(context: Any, nvml: dict[bytes, int]) -> None:
    server = context()
    assert are_seen(server, []) and are_seen(server, [0, 1])
    del nvml[b"0000:01:00.0"]
    assert not are_seen(server, [0, 1])
    assert are_seen(server, [0, 2])


def test_without_nvml_the_driver_tells(context: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert are_seen(context(), [0, 1])
    assert not are_seen(context(), [0, 7])
