"""What health and the statistics tell of GPUs that models are on; GPUs and NVML are made up."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from http_server import eventually, slipstream_server
from made_up_gpus import gpus, install_nvml
from slipstream.api.placement import ON_CPU, Placement
from slipstream.gpu import gpus as gpus_module
from slipstream.http import gpu_watch
from slipstream.http.devices_in_use import are_seen, gpus_in_use, utilization
from slipstream.http.gpu_watch import STALE_S, GpuWatch
from slipstream.http.machine import Machine

LOADS = {b"0000:00:00.0": 10, b"0000:01:00.0": 30, b"0000:02:00.0": 90}
"""By the places of GPUs, as `made_up_gpus` has them."""


class NVMLError(Exception):
    pass


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> dict[bytes, int]:
    """The library, which sees these; what is taken out of it is lost."""
    loads = dict(LOADS)

    def by_index(index: int) -> bytes:
        return by_place(list(LOADS)[index])

    def place_of(gpu: bytes) -> Any:
        return SimpleNamespace(domain=0, bus=int(gpu[5:7], 16), device=0)

    def by_place(place: bytes) -> bytes:
        if place not in loads:
            raise NVMLError
        return place

    module = ModuleType("pynvml")
    vars(module).update(
        NVMLError=NVMLError,
        NVML_TEMPERATURE_GPU=0,
        nvmlInit=lambda: None,
        nvmlDeviceGetCount=lambda: len(LOADS),
        nvmlDeviceGetHandleByIndex=by_index,
        nvmlDeviceGetHandleByPciBusId=by_place,
        nvmlDeviceGetPciInfo=place_of,
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
        engine, machine = SimpleNamespace(models=lambda: models), Machine(tmp_path)
        machine.gpu_watch.look()
        return SimpleNamespace(engine=engine, machine=machine)

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
    machine.gpu_watch.look()
    assert not are_seen(machine, [0, 1])
    assert are_seen(machine, [0, 2])


def test_without_nvml_nobody_notices_a_loss(context: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver would: but it is asked once, so it is not asked here at all."""
    install_nvml(monkeypatch, None)
    machine = context().machine
    assert machine.gpus() == (3, None, None, None, None)  # so much the driver shows
    monkeypatch.setattr(gpus_module, "survey", pytest.fail)
    assert are_seen(machine, [0, 1])


def test_nvml_is_begun_once(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[None] = []
    module = ModuleType("pynvml")
    vars(module).update(NVMLError=NVMLError, nvmlInit=lambda: begun.append(None))
    vars(module).update(nvmlDeviceGetHandleByPciBusId=lambda place: place)
    vars(module).update(nvmlDeviceGetMemoryInfo=lambda gpu: SimpleNamespace(free=7))
    install_nvml(monkeypatch, module)
    vars(module).update(nvmlDeviceGetCount=lambda: 0)
    assert GpuWatch().look() and GpuWatch().look()
    assert gpus_module.free_bytes(gpus(0).cuda[0]) == 7
    assert len(begun) == 1


def test_what_fails_once_is_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter([OSError("a broken reply"), True, False])

    def look(watch: GpuWatch) -> bool:
        found = next(looks)
        if isinstance(found, OSError):
            raise found
        return found

    monkeypatch.setattr(GpuWatch, "look", look)
    monkeypatch.setattr(gpu_watch, "_PERIOD_S", 0.0)
    GpuWatch()._run()
    assert list(looks) == []


def test_what_was_seen_too_long_ago_is_not_told(
    context: Any, nvml: dict[bytes, int], tmp_path: Path
) -> None:
    """A driver that hangs is no proof that a GPU is lost, and none that it still does as it did."""
    machine, now_s = context().machine, 0.0
    machine.gpu_watch = watch = GpuWatch(lambda: now_s)
    assert watch.look()
    now_s = STALE_S - 0.5
    assert utilization(machine, [0]) == 10.0
    now_s = STALE_S
    assert machine.gpus() == (3, None, None, None, None)
    assert utilization(machine, [0]) is None
    assert are_seen(machine, [0])
    del nvml[b"0000:00:00.0"]
    assert watch.look()
    assert not are_seen(machine, [0])


NVML = """
import threading

class NVMLError(Exception):
    pass

class One:
    domain, bus, device, gpu, total, used, free = 0, 1, 0, 30, 2 << 20, 1 << 20, 1 << 20

NVML_TEMPERATURE_GPU = 0
nvmlInit = lambda: {init}
nvmlDeviceGetCount = lambda: 1
nvmlDeviceGetHandleByIndex = lambda index: 0
nvmlDeviceGetPciInfo = nvmlDeviceGetMemoryInfo = lambda gpu: One
nvmlDeviceGetUtilizationRates = lambda gpu: {load}
nvmlDeviceGetTemperature = lambda gpu, sensor: 40
"""
HANGS = "threading.Event().wait()"


@pytest.mark.parametrize("where", [{"init": HANGS, "load": "One"}, {"init": "0", "load": HANGS}])
def test_a_driver_that_hangs_keeps_nobody_waiting(where: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "pynvml.py").write_text(NVML.format(**where))
    env = {"PYTHONPATH": str(tmp_path)}
    with (
        slipstream_server("--model-dir", str(tmp_path), env=env) as server,
        server.client() as asks,
    ):
        assert asks.get("/health").status_code == 200
        info = asks.get("/info").json()["performance_metrics"]["gpu_metrics"]
        assert info["gpu_utilization"] is None
        for path in ("engine/status", "metrics/resources", "metrics/performance"):
            assert asks.get(f"/api/inference/{path}").status_code == 200


def test_a_server_tells_what_its_gpus_do(tmp_path: Path) -> None:
    (tmp_path / "pynvml.py").write_text(NVML.format(init="0", load="One"))
    env = {"PYTHONPATH": str(tmp_path)}
    with (
        slipstream_server("--model-dir", str(tmp_path), env=env) as server,
        server.client() as asks,
    ):

        def told() -> Any:
            return asks.get("/api/inference/metrics/resources").json()["gpu"]

        eventually(lambda: told()["count"] == 1)
        assert told()["usage_percent"] == 30.0
        assert (told()["memory_total_mb"], told()["memory_used_mb"]) == (2.0, 1.0)
