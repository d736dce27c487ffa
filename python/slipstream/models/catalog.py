"""``models.json``: the models that an operator wants served, and how.

    {"models": [{"model_id": "digits", "model_path": "digits.onnx", "aliases": ["mnist"]}]}

This module is what the file may say. How it is read, with messages that name a line, is
`slipstream.models.catalog_file`; what a change of it means is `slipstream.models.catalog_changes`.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from slipstream.device_names import (
    EXPECTED,
    MOST_BATCHES_IN_FLIGHT,
    MOST_GRAPH_ROWS,
    MOST_MEMORY_MB,
    PATTERN,
    PROVIDER_EXPECTED,
    PROVIDER_PATTERN,
)
from slipstream.models.declared import Declared
from slipstream.models.ensembles import EnsembleMethod
from slipstream.models.manifest import Constant
from slipstream.models.states_file import StateTable, states_of

MODELS_FILE = "models.json"
MOST_MODELS = 10_000
MOST_ALIASES = 64
_DAY_MS = 86_400_000

Id = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$",
        description="1 to 128 letters, digits, '_', '-' or '.', not beginning with '-' or '.'",
    ),
]
Sha256 = Annotated[
    str, Meta(pattern=r"^[0-9a-f]{64}$", description="64 digits of a SHA-256, in lower case")
]
Instances = Annotated[int, Meta(ge=1, le=1024, description="a number of instances, 1 to 1024")]
Timeout = Annotated[
    float, Meta(gt=0, le=_DAY_MS, description="milliseconds above 0, at most a day")
]
Device = Annotated[str, Meta(pattern=PATTERN, description=EXPECTED)]
Provider = Annotated[str, Meta(pattern=PROVIDER_PATTERN, description=PROVIDER_EXPECTED)]


def _whole(least: int, most: int, what: str) -> Meta:
    return Meta(ge=least, le=most, description=f"{what} from {least} to {most}")


Mebibytes = Annotated[int, _whole(1, MOST_MEMORY_MB, "mebibytes, a whole number")]
BatchesInFlight = Annotated[int, _whole(1, MOST_BATCHES_IN_FLIGHT, "a number of batches")]
GraphRows = Annotated[int, _whole(0, MOST_GRAPH_ROWS, "a number of rows")]
Rows = Annotated[int, Meta(ge=1, le=1_000_000, description="a number of rows, 1 to 1000000")]


class ModelEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One model."""

    model_path: Annotated[
        str, Meta(min_length=1, max_length=4096, description="a path inside the model directory")
    ]
    model_id: Id | None = None
    model_type: str = "auto"
    compile_model: bool = True
    ensemble_method: EnsembleMethod | None = None
    enabled: bool = True
    description: Annotated[
        str, Meta(max_length=2000, description="a text of at most 2000 characters")
    ] = ""
    aliases: Annotated[
        tuple[Id, ...], Meta(max_length=MOST_ALIASES, description="a list of at most 64 ids")
    ] = ()
    sha256: Sha256 | None = None
    pinned: bool = False
    cache_predictions: bool = False
    instances: Instances | None = None
    min_instances: Instances | None = None
    max_instances: Instances | None = None
    idle_unload_s: (
        Annotated[float, Meta(gt=0, le=31_536_000, description="seconds above 0")] | None
    ) = None
    device: Device | None = None
    gpu_memory_limit_mb: Mebibytes | None = None
    gpu_provider: Provider | None = None
    gpu_batches_in_flight: BatchesInFlight | None = None
    gpu_graph_rows: GraphRows | None = None
    batching: bool = True
    max_batch_size: Rows | None = None
    batch_timeout_ms: (
        Annotated[float, Meta(ge=0, le=_DAY_MS, description="milliseconds, 0 to a day")] | None
    ) = None
    timeout_ms: Timeout | None = None
    warmup_rows: list[Any] | dict[str, Any] | None = None
    states: dict[str, StateTable] = {}
    constants: dict[str, Constant] = {}

    @property
    def name(self) -> str:
        """What tells this entry from others: its id, or else its path."""
        return self.model_id if self.model_id is not None else f"model_path {self.model_path}"

    def declared(self) -> Declared:
        """What of it is neither a place nor an option of a load request."""
        has_states = bool(self.states or self.constants)
        return Declared(
            sha256=self.sha256,
            batching=self.batching,
            warmup_rows=self.warmup_rows,
            states=states_of(MODELS_FILE, self.states, self.constants) if has_states else None,
            timeout_ms=self.timeout_ms,
            batch_timeout_ms=self.batch_timeout_ms,
            description=self.description,
            min_instances=self.min_instances,
            max_instances=self.max_instances,
            idle_unload_s=self.idle_unload_s,
        )


class Catalog(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    models: Annotated[
        tuple[ModelEntry, ...], Meta(max_length=MOST_MODELS, description="a list of models")
    ] = ()
    schema: str | UnsetType = msgspec.field(default=UNSET, name="$schema")
    """For editors; nothing here looks at it."""

    @property
    def enabled(self) -> tuple[ModelEntry, ...]:
        """The models that are to be served."""
        return tuple(entry for entry in self.models if entry.enabled)


EMPTY = Catalog()

RELOADING = frozenset(
    "model_path model_type compile_model ensemble_method sha256 instances batching warmup_rows "
    "states constants device gpu_memory_limit_mb gpu_provider gpu_batches_in_flight "
    "gpu_graph_rows".split()
)
"""Keys whose change takes another version of the model; any other changes the one that serves."""
