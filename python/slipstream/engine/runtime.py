"""Starting the core, and what each backend must be told about this machine."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

from slipstream.child_environment import CHILDREN_KEEP
from slipstream.engine import tensorrt_library
from slipstream.engine.torch_library import LIBRARY, library_folders
from slipstream.errors import MissingDependencyError
from slipstream.settings import Settings

try:
    from slipstream import _engine
except ImportError as error:  # the extension is missing or was built for another interpreter
    raise ImportError(
        "slipstream's compiled core cannot be imported; build it with `make install`, or install "
        f"the wheel made for this Python ({sys.version.split()[0]}): {error}"
    ) from error

CoreEngine = _engine.Engine
CoreModel = _engine.Model
CoreResult = _engine.Result
CoreInputs = _engine.Inputs
CoreDecoder = _engine.InputDecoder
CoreEndpoint = _engine.Endpoint
PredictRoute = _engine.PredictRoute
CoreFront = _engine.Front
shorten_turns = _engine.shorten_turns
CoreGate = _engine.Gate
CoreLatencies = _engine.Latencies
LatencyHistogram = _engine.LatencyHistogram
CoreQueue = _engine.CompletionQueue
Exchange = _engine.Exchange
CoreEnsembleMember = _engine.EnsembleMember
core_ensemble = _engine.ensemble
cuda_status = _engine.cuda_status
pinned_array = _engine.pinned_array

BACKEND_DIRECTORY_VARIABLE = "SLIPSTREAM_BACKEND_DIR"


def start_core(max_in_flight: int) -> _engine.Engine:
    """The core, looking for backends beside the compiled module.

    Args:
        max_in_flight: Requests held at once over all models; the next is refused.
    """
    extra = os.environ.get(BACKEND_DIRECTORY_VARIABLE)
    directories = [extra] if extra else []
    directories += map(str, tensorrt_library.library_folders(module_folder()))
    directories.append(str(module_folder() / "backends"))
    directories += map(str, library_folders(module_folder()))
    return _engine.Engine(directories, max_in_flight)


def module_folder() -> Path:
    """Where the compiled module is, with the backends and the sources that come with it."""
    return Path(_engine.__file__).resolve().parent


def torch_backend_folder() -> Path | None:
    """Where the torch backend that was built for the installed torch is; None where none was."""
    folders = library_folders(module_folder())
    return next((folder for folder in folders if (folder / LIBRARY).is_file()), None)


def has_torch_backend() -> bool:
    """Whether the torch backend was built for the torch that is installed."""
    return torch_backend_folder() is not None


def backend_options(backend: str, settings: Settings, instances: int = 1) -> dict[str, str]:
    """The options of a model of that backend with so many instances, on this machine.

    Raises:
        MissingDependencyError: the package that carries the backend's runtime is not installed.
    """
    if backend == "onnx":
        return {
            "library_path": str(onnxruntime_library()),
            "intra_op_threads": str(settings.intra_op_threads),
        }
    if backend == "torch":
        return {
            "intra_op_threads": str(settings.intra_op_threads),
            "runners": str(min(max(instances, settings.max_workers), 256)),
        }
    if backend == "tensorrt":
        return _tensorrt_options(settings)
    if backend == "process":
        package_parent = Path(__file__).resolve().parents[2]
        return {
            "python": sys.executable,
            "python_path": str(package_parent),
            "inherit": ",".join(CHILDREN_KEEP),
            "execute_timeout_ms": str(max(1, round(settings.execute_timeout_ms))),
        }
    return {}


def require_tensorrt_backend() -> None:
    """Refuses where the tensorrt backend was not compiled.

    Raises:
        MissingDependencyError: says what to do.
    """
    extra = os.environ.get(BACKEND_DIRECTORY_VARIABLE)
    tensorrt_library.require_backend(module_folder(), *([Path(extra)] if extra else []))


def _tensorrt_options(settings: Settings) -> dict[str, str]:
    require_tensorrt_backend()
    options = {"host_code": "true"} if settings.allow_custom_code else {}
    library = tensorrt_library.runtime_library()
    return options if library is None else options | {"library_path": str(library)}


def onnxruntime_library() -> Path:
    """The shared library inside the installed wheel; onnxruntime itself is never imported."""
    found = importlib.util.find_spec("onnxruntime")
    for location in (found.submodule_search_locations or []) if found else []:
        libraries = sorted(Path(location, "capi").glob("libonnxruntime.so*"))
        if libraries:
            return libraries[-1]
    raise MissingDependencyError(
        "the onnx backend needs ONNX Runtime: pip install onnxruntime (or onnxruntime-gpu)"
    )


def available_cpus() -> int:
    """Cores this process may use: its affinity mask, cut down to the cgroup's CPU quota."""
    cores = len(os.sched_getaffinity(0))
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
    except (OSError, ValueError):  # no cgroup v2 here: no quota to respect
        return cores
    if quota == "max":
        return cores
    return max(1, min(cores, int(quota) // int(period)))
