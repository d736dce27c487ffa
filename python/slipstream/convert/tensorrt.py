"""From an ONNX file to a TensorRT plan, by TensorRT's own builder. Runs in the child only.

Written for the Python API of TensorRT 10.1 to 11: in both, the network is strongly typed (of 10 it
is asked for, in 11 there is no other), and precision is made in the graph (`tensorrt_graph`).
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from slipstream.convert.tensorrt_graph import inputs_of, typed_graph
from slipstream.convert.tensorrt_shapes import Profile, profile_of
from slipstream.convert.tensorrt_words import Fault, Progress, refusal_of, said
from slipstream.decoding import converter
from slipstream.errors import MissingDependencyError, ModelLoadError
from slipstream.gpu import gpus
from slipstream.models.manifest import Manifest
from slipstream.models.tensorrt_files import PLAN, plan_manifest
from slipstream.models.tensorrt_table import BuildTable

_OLDEST = (10, 1)


class PlanJob(msgspec.Struct, kw_only=True):
    """What the child is told. Paths are absolute."""

    source: str
    """The ONNX file; weights that it has in other files lie beside it."""
    sha256: str
    wanted: BuildTable
    calibration: str | None = None
    timing_cache: str
    """File of earlier measurements of the same graph on the same machine; written anew."""
    backend_options: dict[str, str] = {}
    out: str
    """An existing folder that receives the plan and its manifest."""
    timeout_s: float
    gpu: int | None = None
    """The one to build on, of those that the server sees; None: the first."""


plan_job = converter(PlanJob)
"""From plain data; raises ``msgspec.ValidationError``."""


class Built(NamedTuple):
    """What was built."""

    manifest: Manifest
    profile: Mapping[str, Profile]
    """Shapes that the plan takes, of inputs that take several."""


def build_plan(job: PlanJob, scratch: Path, say: Callable[[str], None]) -> Built:
    """Writes the plan into ``job.out``.

    Args:
        job: What to build.
        scratch: An existing folder for graphs on the way.
        say: Is told how far it is.

    Raises:
        ModelLoadError: TensorRT does not take the graph, or cannot build it here.
        MissingDependencyError: a package is not installed.
    """
    trt = _tensorrt()
    gpu = require_gpu()
    source = Path(job.source)
    inputs = inputs_of(source)
    profile = profile_of(inputs, job.wanted)
    say(f"preparing the graph ({job.wanted.precision})")
    calibration = None if job.calibration is None else Path(job.calibration)
    is_batchable = bool(inputs) and all(dims and dims[0] < 0 for dims in inputs.values())
    # In a folder of its own: what it writes must not be mistaken for weights beside the source.
    folder = Path(tempfile.mkdtemp(dir=scratch))
    graph = typed_graph(
        source, folder, job.wanted.precision, calibration, is_batchable=is_batchable
    )
    plan = _built(trt, graph, profile, job, say)
    (Path(job.out) / PLAN).write_bytes(plan)
    options = dict(job.backend_options)
    if job.wanted.version_compatible:
        options["host_code"] = "true"  # it brings some, and was compiled here
    return Built(plan_manifest(trt.__version__, options, job.sha256, gpu), profile)


def require_gpu() -> str:
    """The name of the GPU to build on, the first; TensorRT's own answer to none may be a crash.

    Raises:
        ModelLoadError: there is no driver, or it has no GPU.
    """
    found = gpus.survey()
    if found.reason is not None:
        raise ModelLoadError(f"building a TensorRT plan needs a GPU of NVIDIA's: {found.reason}")
    return found.cuda[0].name


def _tensorrt() -> Any:
    try:
        import tensorrt
    except ImportError as error:
        raise MissingDependencyError(
            "building a TensorRT plan needs TensorRT: pip install 'slipstream[tensorrt]' "
            f"({error})",
            package="tensorrt",
        ) from error
    numbers = tensorrt.__version__.split(".")
    if (int(numbers[0]), int(numbers[1])) < _OLDEST:
        raise MissingDependencyError(
            f"building a TensorRT plan needs TensorRT 10.1 or newer; {tensorrt.__version__} is "
            "installed: pip install 'slipstream[tensorrt]'",
            package="tensorrt",
        )
    return tensorrt


def _built(
    trt: Any,
    graph: Path,
    profile: Mapping[str, Profile],
    job: PlanJob,
    say: Callable[[str], None],
) -> bytes:
    """The plan.

    Raises:
        ModelLoadError: see `build_plan`.
    """
    log = _log(trt)
    try:
        builder = trt.Builder(log)
    except TypeError as error:  # its constructor had nothing to return
        raise ModelLoadError(
            "TensorRT does not start: it needs a GPU of NVIDIA's and a driver that is new enough"
            + said(log.errors)
        ) from error
    network = builder.create_network(_network_flags(trt))
    parser = trt.OnnxParser(network, log)
    say("reading the graph")
    if not parser.parse_from_file(str(graph)):
        errors = [parser.get_error(number) for number in range(parser.num_errors)]
        faults = [
            Fault(one.node_name(), one.node_operator(), one.node(), one.desc()) for one in errors
        ]
        raise ModelLoadError(refusal_of(faults, log.errors))
    config = _config(trt, builder, profile, job.wanted)
    config.progress_monitor = monitor = _monitor(trt, Progress(say))
    cache_file = Path(job.timing_cache)
    _set_timing_cache(config, cache_file.read_bytes() if cache_file.is_file() else b"")
    plan = builder.build_serialized_network(network, config)
    del monitor  # TensorRT keeps no reference of its own
    if plan is None:
        raise ModelLoadError(f"TensorRT cannot build a plan of the graph here{said(log.errors)}")
    measured = config.get_timing_cache()
    if measured is not None:
        _keep(bytes(measured.serialize()), cache_file)
    return bytes(plan)


def _set_timing_cache(config: Any, kept: bytes) -> None:
    """What was kept, or an empty one where that is damaged, or of another machine after all."""
    for data in (kept, b"") if kept else (b"",):
        cache = config.create_timing_cache(data)
        if cache is not None and config.set_timing_cache(cache, ignore_mismatch=False):
            return


def _network_flags(trt: Any) -> int:
    """Strongly typed. In TensorRT 11 every network is, and the flag is deprecated."""
    if int(trt.__version__.split(".")[0]) >= 11:
        return 0
    return 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)


def _config(trt: Any, builder: Any, profile: Mapping[str, Profile], wanted: BuildTable) -> Any:
    config = builder.create_builder_config()
    if wanted.workspace_mb is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, wanted.workspace_mb << 20)
    if not wanted.tf32:  # TensorRT's default is to use it
        config.clear_flag(trt.BuilderFlag.TF32)
    if wanted.version_compatible:
        config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)
    if profile:
        shapes = builder.create_optimization_profile()
        for name, one in profile.items():
            shapes.set_shape(name, one.min, one.opt, one.max)
        if config.add_optimization_profile(shapes) < 0:
            raise ModelLoadError(
                "TensorRT does not take the optimization profile: see [tensorrt] in the file "
                "beside the model"
            )
    return config


def _log(trt: Any) -> Any:
    """A logger that keeps errors, and prints nothing."""
    severity = trt.ILogger.Severity

    class Log(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, level: Any, text: str) -> None:
            if level in (severity.INTERNAL_ERROR, severity.ERROR) and len(self.errors) < 32:
                self.errors.append(text)

    return Log()


def _monitor(trt: Any, progress: Progress) -> Any:
    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)

        def phase_start(self, phase_name: str, parent_phase: str, num_steps: int) -> None:
            progress.begin(phase_name, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            progress.step(phase_name, step)
            return True  # go on; whoever cancels a load kills this process

        def phase_finish(self, phase_name: str) -> None:
            progress.end(phase_name)

    return Monitor()


def _keep(data: bytes, file: Path) -> None:
    """Into its place at once: another build may be reading the old one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=file.parent, suffix=".part", delete=False) as stream:
        stream.write(data)
    os.replace(stream.name, file)
