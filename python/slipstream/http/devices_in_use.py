"""The GPUs that models in memory compute on, as several answers tell of them."""

from __future__ import annotations

from slipstream.http.routes.context import Context


def gpus_in_use(context: Context) -> list[int]:
    """Numbers of the GPUs that models in memory compute on, in order."""
    present = [model for model in context.engine.models() if not model.is_resting]
    return sorted({number for model in present for number in model.placement.devices})


def are_seen(context: Context, numbers: list[int]) -> bool:
    """Whether the machine still shows these GPUs.

    NVML says so of each; without it the driver tells which ones it has.
    """
    if not numbers:
        return True
    places, machine = bus_ids(numbers), context.machine
    if len(places) < len(numbers):
        return False
    return not machine.can_ask_gpus or machine.gpus(places).number == len(numbers)


def utilization(context: Context, numbers: list[int]) -> float | None:
    """The mean load of these GPUs, in percent; None where nothing tells."""
    return context.machine.gpus(bus_ids(numbers)).usage_percent


def bus_ids(numbers: list[int]) -> list[str]:
    """Places of GPUs on the PCI bus; of those that are not there nothing."""
    from slipstream.engine.gpus import survey  # here: it loads the compiled module

    return [one.pci_bus_id for one in survey().cuda if one.index in numbers]
