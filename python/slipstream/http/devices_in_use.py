"""The GPUs that models in memory compute on, as several answers tell of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slipstream.http.machine import Machine

if TYPE_CHECKING:
    from slipstream.api import Engine


def gpus_in_use(engine: Engine) -> list[int]:
    """Numbers of the GPUs that models in memory compute on, in order."""
    present = [model for model in engine.models() if not model.is_resting]
    return sorted({number for model in present for number in model.placement.devices})


def are_seen(machine: Machine, numbers: list[int]) -> bool:
    """Whether the machine still shows these GPUs, as far as anybody can tell.

    Only NVML notices that a GPU is lost: the driver is asked once in the life of a process, so
    without NVML every GPU that models were put on counts as seen.
    """
    if not (numbers and machine.can_tell_gpus):
        return True
    return machine.gpus(bus_ids(numbers)).number == len(numbers)


def utilization(machine: Machine, numbers: list[int]) -> float | None:
    """The mean load of these GPUs, in percent; None where nothing tells."""
    return machine.gpus(bus_ids(numbers)).usage_percent


def bus_ids(numbers: list[int]) -> list[str]:
    """Places on the PCI bus of GPUs that models were put on."""
    from slipstream.gpu.gpus import survey  # here: it loads the compiled module

    return [one.pci_bus_id for one in survey().cuda if one.index in numbers]
