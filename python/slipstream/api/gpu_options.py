"""What a backend is told of the GPUs that a model computes on, and what it needs to be there."""

from __future__ import annotations

from pathlib import Path

from slipstream.adapters.base import distribution_version
from slipstream.api.placement import Placement, checked_tuning
from slipstream.api.tuning import Tuning
from slipstream.gpu import gpus
from slipstream.gpu.cuda_libraries import preload
from slipstream.gpu.provider_cache import cache_folder
from slipstream.models.manifest import Quantized
from slipstream.models.prepare import Prepared
from slipstream.settings import Settings

_MOST_ROWS = 65_536


def gpu_options(
    prepared: Prepared, tuning: Tuning, placement: Placement, settings: Settings
) -> dict[str, str]:
    """The options of the model's backend; none for a model on the processor.

    Raises:
        InvalidInputError: there is no such plugin.
        MissingDependencyError: a library of CUDA is not there; names the wheel.
    """
    manifest = prepared.manifest
    if tuning.plugin is not None and manifest.backend == "onnx":
        return _plugin_options(tuning, settings)
    if not placement.devices:
        return {}
    options = {"device": placement.device}
    if tuning.gpu_batches_in_flight is not None:
        options["slots"] = str(tuning.gpu_batches_in_flight)
    if tuning.gpu_graph_rows is not None:
        options["graph_rows"] = str(tuning.gpu_graph_rows)
    if manifest.backend != "onnx":
        return options
    preload(gpus.provider_library("cuda"))
    options["providers"] = "cuda"
    if tuning.gpu_memory_limit_mb is not None:
        options["memory_limit_mb"] = str(tuning.gpu_memory_limit_mb)
    if tuning.gpu_provider == "tensorrt":
        preload(gpus.provider_library("tensorrt"))
        rows = tuning.max_batch_rows or settings.max_batch_size
        options |= {
            "providers": "tensorrt,cuda",
            "cache_folder": str(_cache_folder(prepared, placement, settings)),
            "precision": precision_of(manifest.quantized),
            "max_rows": str(min(rows, _MOST_ROWS)),
        }
    return options


def _plugin_options(tuning: Tuning, settings: Settings) -> dict[str, str]:
    """What the operator says of a provider; its library is code, so nobody else may name one."""
    checked_tuning(tuning, plugins=settings.gpu_provider_plugins)
    plugin = next(one for one in settings.gpu_provider_plugins if one.name == tuning.plugin)
    return {
        "device": "cpu",  # where the rows are: the provider takes them on from there
        "providers": plugin.name,
        "provider_library": plugin.library,
        "provider_options": plugin.options,
    }


def _cache_folder(prepared: Prepared, placement: Placement, settings: Settings) -> Path:
    names = {one.index: one.name for one in gpus.survey().cuda}
    return cache_folder(
        (settings.state_path / "tensorrt").resolve(),
        prepared.folder.name,
        tuple(sorted({names.get(number, "") for number in placement.devices})),
        distribution_version("onnxruntime-gpu", "onnxruntime"),
    )


def precision_of(quantized: Quantized | None) -> str:
    """What TensorRT may compute in, by how the artifact was quantized.

    It knows ranges of activations that the graph has, not those that are found at each request.
    """
    if quantized is None:
        return "as_is"
    if quantized.type == "FP16":
        return "float16"
    return "int8" if (quantized.type, quantized.mode) == ("INT8", "STATIC") else "as_is"
