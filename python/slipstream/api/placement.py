"""Where a model is to compute: what was asked for, held against what there is.

``auto`` is a GPU where the model's backend can use one that is here, else the processor; a GPU that
was only chosen so may be left again (`slipstream.api.placing`). Any other device was asked for:
there, or not at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from slipstream.api.tuning import GPU_WORDS, Tuning
from slipstream.device_names import (
    AUTO,
    CPU,
    CUDA,
    EXPECTED,
    MOST_BATCHES_IN_FLIGHT,
    MOST_GRAPH_ROWS,
    MOST_MEMORY_MB,
    PROVIDER_EXPECTED,
    PROVIDERS,
    is_provider_name,
    name_of,
    numbers_of,
    parse_device,
)
from slipstream.errors import InvalidInputError, MissingDependencyError, ModelLoadError
from slipstream.gpu import gpus
from slipstream.models.manifest import Manifest
from slipstream.models.tensorrt_files import BuildGpu
from slipstream.setting_options import ProviderPlugin

_RANGES = {
    "gpu_memory_limit_mb": (1, MOST_MEMORY_MB, "mebibytes, a whole number"),
    "gpu_batches_in_flight": (1, MOST_BATCHES_IN_FLIGHT, "a number of batches"),
    "gpu_graph_rows": (0, MOST_GRAPH_ROWS, "a number of rows"),
}
_CANNOT_RECORD = (
    "what ONNX Runtime launches cannot be recorded while other threads use a GPU, where an engine "
    "of TensorRT can (model_type tensorrt)"
)
_CANNOT_LIMIT = {
    "torch": "libtorch has one pool of GPU memory for all models of a process",
    "tensorrt": "an engine takes what it was built to take",
}


class Placement(NamedTuple):
    """Where a version computes."""

    devices: tuple[int, ...] = ()
    """GPUs, as CUDA counts them in this process; none: on the processor."""
    is_chosen: bool = False
    """Whether ``auto`` chose them, so that the processor will do as well."""
    reason: str | None = None
    """Why it is on the processor though ``auto`` had chosen a GPU, or words of GPUs were said for
    it; None where neither was."""

    @property
    def device(self) -> str:
        """``"cpu"``, ``"cuda:0"``, ``"cuda:0,cuda:1"``."""
        return name_of(self.devices)

    @property
    def first_device(self) -> str:
        """The first of several: which of them answered a request is not known."""
        return name_of(self.devices[:1])


ON_CPU = Placement()


def checked_tuning(
    tuning: Tuning, device: str | None = None, plugins: Sequence[ProviderPlugin] | None = None
) -> Tuning:
    """The same tuning, with a device if one is given, in our spelling.

    Args:
        tuning: What was asked for.
        device: Instead of the tuning's, where one is given.
        plugins: The providers that this server has beside its own; None: not known here.

    Raises:
        InvalidInputError: what it says of GPUs is not valid; names it.
    """
    asked = tuning.device if device is None else device
    for key, (least, most, what) in _RANGES.items():
        number = getattr(tuning, key)
        if number is not None and not least <= number <= most:
            raise _invalid(key, number, f"{what} from {least} to {most}")
    if tuning.plugin is not None:
        _check_plugin(tuning.plugin, plugins)
    if asked is None:
        return tuning
    try:
        return msgspec.structs.replace(tuning, device=parse_device(asked))
    except ValueError as error:
        raise _invalid("device", asked, EXPECTED, str(error)) from None


def _check_plugin(name: str, plugins: Sequence[ProviderPlugin] | None) -> None:
    if plugins is None:
        if not is_provider_name(name):
            raise _invalid("gpu_provider", name, PROVIDER_EXPECTED)
        return
    there = [one.name for one in plugins]
    if name not in there:
        known = ", ".join((*PROVIDERS, *there))
        raise _invalid("gpu_provider", name, f"{PROVIDER_EXPECTED} ({known})")


def _invalid(key: str, value: object, expected: str, why: str = "") -> InvalidInputError:
    said = f"{str(value)[:100]!r} {why}".strip()
    return InvalidInputError(f"'{key}' is not valid: {said}; it takes {expected}", key=key)


def place(manifest: Manifest, name: str, tuning: Tuning, default: str) -> Placement:
    """Where a model is to compute.

    Args:
        manifest: Of its artifact, which may name a device that is its own.
        name: Of its file, for messages.
        tuning: What was asked for this model.
        default: The device of all models that ask for none.

    Raises:
        ModelLoadError: it cannot compute where it was asked to; says why, and what helps.
        MissingDependencyError: a package is missing for that.
    """
    backend: str = manifest.backend
    asked = tuning.device or manifest.backend_options.get("device") or default
    require_possible(backend, name, tuning, asked)
    if tuning.plugin is not None or backend not in gpus.GPU_BACKENDS:
        return ON_CPU
    if backend == "tensorrt":
        own = manifest.backend_options.get("device")
        return Placement(_of_plan(own, name, tuning, default, manifest.gpu))
    if asked == CPU:
        return ON_CPU
    if asked == AUTO:
        return _chosen(manifest, tuning)
    return Placement(_asked_for(backend, name, asked, tuning))


def gpu_to_build_on(own: str | None, name: str, tuning: Tuning, default: str) -> BuildGpu:
    """The GPU that a plan of TensorRT is built on: the first that it is to compute on.

    Args:
        own: The device that the file beside the model names.
        name: Of the model's file, for messages.
        tuning: What was asked for this model.
        default: The device of all models that ask for none.

    Raises:
        ModelLoadError: there is none, or not that one.
    """
    number = _of_plan(own, name, tuning, default, None)[0]
    names = {one.index: one.name for one in gpus.survey().cuda}
    return BuildGpu(number, names[number])


def _of_plan(
    own: str | None, name: str, tuning: Tuning, default: str, kind: str | None
) -> tuple[int, ...]:
    """The GPUs of an engine of TensorRT, for which there is no processor to fall back to."""
    asked = tuning.device or own or default
    _require_gpu(name, asked)
    return _asked_for("tensorrt", name, (own or CUDA) if asked == AUTO else asked, tuning, kind)


def require_possible(backend: str, name: str, tuning: Tuning, asked: str) -> None:
    """Refuses what no machine could do, whatever GPUs it has; asks no driver.

    Args:
        backend: Of the model.
        name: Of its file, for messages.
        tuning: What was asked for this model.
        asked: The device that is meant, be it of the tuning, the artifact or the settings.

    Raises:
        ModelLoadError: says why, and what helps.
    """
    _check_gpu_words(backend, name, tuning)
    is_own_gpu = tuning.device is not None and asked not in (AUTO, CPU)
    if is_own_gpu and tuning.plugin is not None:
        raise _refused(
            f"the provider {tuning.plugin} takes rows from the host's memory, and chooses its "
            "device by its own options: leave 'device' out, or gpu_provider",
            *(name, asked),
        )
    if is_own_gpu and backend not in gpus.GPU_BACKENDS:
        raise _refused(
            f"it runs in the '{backend}' backend, which computes on the processor: leave "
            "'device' out, or make it auto or cpu",
            *(name, asked),
        )
    if backend == "tensorrt":
        _require_gpu(name, asked)


def _require_gpu(name: str, asked: str) -> None:
    if asked == CPU:
        raise _refused(
            "an engine of TensorRT computes on GPUs only: name one as its 'device', or cuda",
            *(name, asked),
        )


def _check_gpu_words(backend: str, name: str, tuning: Tuning) -> None:
    for key in GPU_WORDS:
        reason = None if getattr(tuning, key) is None else _why_no_word(backend, key, tuning)
        if reason is not None:
            raise ModelLoadError(f"{name} takes no '{key}': {reason}; leave it out", key=key)


def _why_no_word(backend: str, key: str, tuning: Tuning) -> str | None:
    """Why a backend takes no such word; None where it does."""
    if backend == "onnx":
        if tuning.plugin is not None and key != "gpu_provider":
            return f"the provider {tuning.plugin} has options of its own (GPU_PROVIDER_PLUGINS)"
        is_recorded = key == "gpu_graph_rows" and tuning.gpu_graph_rows
        return _CANNOT_RECORD if is_recorded else None
    if backend not in gpus.GPU_BACKENDS:
        return f"the '{backend}' backend computes on the processor"
    if key == "gpu_memory_limit_mb":
        return f"the '{backend}' backend cannot: {_CANNOT_LIMIT[backend]}"
    return f"the '{backend}' backend takes none" if key == "gpu_provider" else None


def _chosen(manifest: Manifest, tuning: Tuning) -> Placement:
    """By ``auto``; of files first, so that a driver is looked for only where one could be used."""
    if manifest.backend_options.get("kind") == "package":
        return _without_gpu("it is compiled to code for the processor", tuning)
    why_not = gpus.why_not(manifest.backend, tuning.gpu_provider or "cuda")
    if why_not is not None:
        return _without_gpu(why_not, tuning)
    best = best_gpu()
    if best is None:
        return _without_gpu(gpus.survey().reason or "there is no GPU", tuning)
    return Placement((best,), is_chosen=True)


def _without_gpu(why_not: str, tuning: Tuning) -> Placement:
    """On the processor, which is said aloud where somebody said how a GPU is to be used."""
    said = [key for key in GPU_WORDS if getattr(tuning, key) is not None]
    return ON_CPU._replace(reason=f"{', '.join(said)}: {why_not}") if said else ON_CPU


def best_gpu(kind: str | None = None) -> int | None:
    """The GPU with the most free memory; None where there is none.

    Args:
        kind: Its name, if there is one of that name.
    """
    every = gpus.survey().cuda
    found = [one for one in every if one.name == kind] or every
    if len(found) <= 1:
        return found[0].index if found else None
    return most_free([(one.index, gpus.free_bytes(one)) for one in found])


def most_free(found: Sequence[tuple[int, int | None]]) -> int:
    """Of GPUs and their free bytes the one that has most; the first, where that is not known."""
    known = [(free, -index) for index, free in found if free is not None]
    return -max(known)[1] if known else found[0][0]


def _asked_for(
    backend: str, name: str, asked: str, tuning: Tuning, kind: str | None = None
) -> tuple[int, ...]:
    reason = gpus.why_not(backend, tuning.gpu_provider or "cuda")
    if reason is not None:
        raise MissingDependencyError(
            f"{name} cannot compute on {asked}: {reason}", key="device", device=asked
        )
    found = gpus.survey()
    if found.reason is not None:
        if backend == "tensorrt":
            raise _refused(f"engines of TensorRT need a GPU: {found.reason}", name, asked)
        raise _refused(f"{found.reason}; or load it with device=cpu", name, asked)
    if asked == CUDA:
        best = best_gpu(kind)
        assert best is not None, "there is one where there is no reason why not"
        return (best,)
    numbers, there = numbers_of(asked), [one.index for one in found.cuda]
    missing = [number for number in numbers if number not in there]
    if missing:
        raise _refused(
            f"there is no {name_of(tuple(missing))} here, there is {name_of(tuple(there))} (as "
            "`slipstream devices` tells, and CUDA_VISIBLE_DEVICES decides)",
            *(name, asked),
        )
    return numbers


def _refused(reason: str, name: str, asked: str) -> ModelLoadError:
    return ModelLoadError(f"{name} cannot compute on {asked}: {reason}", key="device", device=asked)


def together(parts: Sequence[Placement]) -> Placement:
    """Of an ensemble: every GPU that a member computes on."""
    devices = dict.fromkeys(number for part in parts for number in part.devices)
    reasons = dict.fromkeys(part.reason for part in parts if part.reason is not None)
    return Placement(tuple(devices), reason="; ".join(reasons) or None)
