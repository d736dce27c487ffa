"""How a model runs, beyond how it was loaded: what was chosen for it, and lasts through reloads."""

from __future__ import annotations

import msgspec

from slipstream.device_names import PROVIDERS
from slipstream.quantize.options import QuantizeOptions

GPU_WORDS = ("gpu_memory_limit_mb", "gpu_provider", "gpu_batches_in_flight", "gpu_graph_rows")
"""What is said of the GPUs that a model computes on, beside which they are; named alike in a
`Tuning`, a load request and an entry of models.json."""


class Tuning(msgspec.Struct, frozen=True, kw_only=True):
    """Plain data. None everywhere: as the settings say."""

    instances: int | None = None
    """Executions side by side, within what ``max_workers`` leaves."""
    max_batch_rows: int | None = None
    """Most rows in one execution."""
    intra_op_threads: int | None = None
    """Threads that one operator may use (``onnx`` backend)."""
    graph_optimization_level: str | None = None
    """``"disabled"``, ``"basic"``, ``"extended"`` or ``"all"`` (``onnx`` backend)."""
    quantization: QuantizeOptions | None = None
    device: str | None = None
    """Where it computes, as `slipstream.device_names` has it."""
    gpu_memory_limit_mb: int | None = None
    """The most that it takes of a GPU's memory, by instance (``onnx`` backend)."""
    gpu_provider: str | None = None
    """What computes on a GPU (``onnx`` backend): ``"cuda"``, ``"tensorrt"``, or by its name one of
    ``settings.gpu_provider_plugins``; None: ``"cuda"``."""
    gpu_batches_in_flight: int | None = None
    """The most batches that an instance on a GPU has in progress at once; None: 3, where the
    artifact says nothing."""
    gpu_graph_rows: int | None = None
    """Batches of at most so many rows are recorded as CUDA graphs and replayed; None: none are,
    where the artifact says nothing."""

    @property
    def plugin(self) -> str | None:
        """The name of a provider that is a plugin; None where it is none."""
        return None if self.gpu_provider in (None, *PROVIDERS) else self.gpu_provider

    def backend_options(self, backend: str) -> dict[str, str]:
        """What the backend must be told, on top of what every model's is."""
        if backend != "onnx":
            return {}
        chosen = {
            "intra_op_threads": self.intra_op_threads,
            "graph_optimization_level": self.graph_optimization_level,
        }
        return {name: str(value) for name, value in chosen.items() if value is not None}


UNTUNED = Tuning()
