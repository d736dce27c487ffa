"""The JSON Schema of ``models.json``, made of the Structs that read it."""

from __future__ import annotations

from typing import Any

import msgspec

from slipstream.models.catalog import Catalog, ModelEntry
from slipstream.models.prepare import MODEL_TYPES, TYPE_ALIASES

_DIALECT = "https://json-schema.org/draft/2020-12/schema"

MEANINGS: dict[str, str] = {
    "model_path": "the file, inside the model directory",
    "model_id": "what requests call it; without one the id is derived from the path",
    "model_type": "what the file must be; 'auto' recognises it",
    "compile_model": "convert it to a compiled form where that proves itself right",
    "ensemble_method": "what the file's ensemble must be",
    "enabled": "false: it stays in the list and is not served",
    "description": "for people; GET /models shows it",
    "aliases": "other names under which requests find it",
    "sha256": "the only content that the file may have",
    "pinned": "it is never evicted from memory",
    "cache_predictions": "answers to the same rows are remembered",
    "instances": "executions side by side",
    "min_instances": "the least that the autoscaler leaves it",
    "max_instances": "the most that the autoscaler gives it",
    "idle_unload_s": "seconds without a request after which it leaves memory",
    "device": "where it computes; cuda is a GPU, the one with the most free memory",
    "gpu_memory_limit_mb": "most of a GPU's memory that each instance takes, in mebibytes",
    "gpu_provider": "what computes on a GPU, of an ONNX graph",
    "gpu_batches_in_flight": "most batches that an instance on a GPU has in progress at once",
    "gpu_graph_rows": "batches of at most so many rows are replayed as CUDA graphs",
    "batching": "whether rows of several requests may share an execution",
    "max_batch_size": "most rows of one execution",
    "batch_timeout_ms": "most that a request may be made to wait for companions, in milliseconds",
    "timeout_ms": "deadline of a request that names none, in milliseconds",
    "warmup_rows": "what it runs before it answers anybody, as in a request's 'data'",
    "states": "which outputs come back as inputs with the next request of a stream, by input",
    "constants": "inputs that are the same in every request, and their values",
}
"""What each key of a model means, in a line."""


def catalog_schema() -> dict[str, Any]:
    """The schema, JSON Schema 2020-12."""
    schema = msgspec.json.schema(Catalog)
    entry = schema["$defs"][ModelEntry.__name__]
    for name, meaning in MEANINGS.items():
        entry["properties"][name]["description"] = meaning
    entry["properties"]["model_type"]["enum"] = [*MODEL_TYPES, *TYPE_ALIASES]
    schema["$defs"][Catalog.__name__]["required"] = ["models"]
    return {"$schema": _DIALECT, "title": "models.json of slipstream", **schema}
