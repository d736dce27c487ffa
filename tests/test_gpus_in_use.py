"""What health and the statistics tell of GPUs that models are on; GPUs and NVML are made up."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from made_up_gpus import gpus, install_nvml
from slipstream.api.placement import ON_CPU, Placement
from slipstream.engine import gpus as gpus_module
from slipstream.http.devices_in_use import are_seen, gpus_in_use, utilization
from slipstream.http.machine import Machine

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
    install_nvml(monkeypatch, module)
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
    assert gpus_in_use(context(ON_CPU).engine) == []
    assert gpus_in_use(context(Placement((1, 0)), ON_CPU, Placement((1,))).engine) == [0, 1]


def test_the_load_is_that_of_the_gpus_in_use(context: Any, nvml: dict[bytes, int]) -> None:
    assert utilization(context().machine, [0, 1]) == 20.0
    assert utilization(context().machine, [2]) == 90.0


def test_nothing_tells_the_load(context: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    install_nvml(monkeypatch, None)
    assert utilization(context().machine, [0]) is None


def test_a_gpu_that_is_lost(context: Any, nvml: dict[bytes, int]) -> None:
    machine = context().machine
    assert are_seen(machine, []) and are_seen(machine, [0, 1])
    del nvml[b"0000:01:00.0"]
    assert not are_seen(machine, [0, 1])
    assert are_seen(machine, [0, 2])


def test_without_nvml_nobody_notices_a_loss(context: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver would: but it is asked once, so it is not asked here at all."""
    install_nvml(monkeypatch, None)
    machine = context().machine
    monkeypatch.setattr(gpus_module, "survey", pytest.fail)
    assert are_seen(machine, [0, 1])


def test_nvml_is_begun_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[None] = []
    module = ModuleType("pynvml")
    vars(module).update(NVMLError=NVMLError, nvmlInit=lambda: begun.append(None))
    vars(module).update(nvmlDeviceGetHandleByPciBusId=lambda place: place)
    vars(module).update(nvmlDeviceGetMemoryInfo=lambda gpu: SimpleNamespace(free=7))
    install_nvml(monkeypatch, module)
    assert Machine(tmp_path).can_ask_gpus and Machine(tmp_path).can_ask_gpus
    assert gpus_module.free_bytes(gpus(0).cuda[0]) == 7
    assert len(begun) == 1
