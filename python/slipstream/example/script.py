"""The example as TorchScript: ``python -m slipstream.example.script FILE``.

A program of its own, because it imports torch, which a server never does. It prints nothing, and
its exit status says whether the file is there.
"""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path
from typing import Any

from slipstream.example.network import UNITS, weights


def example_module() -> Any:
    """The network as a ``torch.nn.Module``: float32[rows, width] to float32[rows]."""
    import torch

    made = weights()

    class Example(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.into = torch.nn.Parameter(torch.from_numpy(made.into.copy()))
            self.shift = torch.nn.Parameter(torch.from_numpy(made.shift.copy()))
            self.out = torch.nn.Parameter(torch.from_numpy(made.out.reshape(UNITS, 1).copy()))
            self.bias = torch.nn.Parameter(torch.from_numpy(made.bias.copy()))

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            units = torch.tanh(inputs.unsqueeze(2) * self.into + self.shift).mean(dim=1)
            return torch.sigmoid(units @ self.out + self.bias).squeeze(1)

    return Example().eval()


def write(file: Path) -> None:
    """Writes the scripted module, whole or not at all."""
    import torch

    made = file.with_name(f".{file.name}.{os.getpid()}")
    with warnings.catch_warnings():
        # TorchScript is deprecated in favour of torch.export; it is what is to be shown here.
        warnings.filterwarnings("ignore", message=r".*torch\.jit\.(script|save|load)")
        torch.jit.save(torch.jit.script(example_module()), str(made))
    made.replace(file)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
