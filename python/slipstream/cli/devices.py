"""``slipstream devices``: what this machine could compute on, or why not."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from slipstream.engine.devices import CudaDevice

_GIB = 1 << 30


def register(commands: argparse._SubParsersAction[Any]) -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser(
        "devices",
        help="tell which GPUs there are, or why none can be used",
        description="Tells which NVIDIA GPUs slipstream can use, or why it can use none. Allocates "
        "nothing on them.",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Prints them; returns 0 also where there are none."""
    from slipstream.engine.devices import devices  # here: it loads the compiled module

    found = devices()
    if arguments.json:
        print(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
    elif found.cuda_available:
        print("\n".join(map(_line, found.cuda)))
    else:
        print(f"cuda: unavailable ({found.reason})")
    return 0


def _line(device: CudaDevice) -> str:
    return (
        f"cuda:{device.index}: {device.name}, compute capability {device.compute_capability}, "
        f"{device.total_memory_bytes / _GIB:.1f} GiB, PCI {device.pci_bus_id}"
    )
