"""Artifacts of the ``tensorrt`` backend: plans as they are, and plans built of ONNX files.

A plan is for one version of TensorRT and one kind of GPU, so both are part of its key. How long
kernels took is kept beside the artifacts, by graph and machine: a plan that is built again, with
other sizes say, measures only what is new.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec

from slipstream.adapters.base import distribution_version
from slipstream.errors import ModelLoadError
from slipstream.models.artifacts import MANIFEST_FILE
from slipstream.models.containers import PLAN_HEADER_BYTES, PLAN_MARK
from slipstream.models.converter import Child, run_child
from slipstream.models.copies import copy_checked
from slipstream.models.manifest import Manifest, decode, encode
from slipstream.models.newest import beyond_newest
from slipstream.models.states_file import StatesFile
from slipstream.models.tensorrt_table import TensorRtTable, calibration_file, tensorrt_table_of

BUILDER = Child(
    "slipstream.convert.tensorrt_child",
    "process that builds the plan",
    "building the TensorRT plan",
    "ask for fewer rows or a smaller range of sizes in the file beside the model",
    environment=("NVIDIA_TF32_OVERRIDE",),
)
PLAN = "model.plan"
MOST_TIMINGS = 64
"""Files of measurements that are kept; each is a few megabytes at most."""
_TENSORRT = ("tensorrt", "tensorrt-cu13", "tensorrt-cu12")
_LAYOUT_AT, _VERSION_AT = 4, 24


class BuildGpu(NamedTuple):
    """The GPU that a plan is built on, and good for."""

    number: int
    """As CUDA counts them in this process."""
    name: str


class PlanSource(NamedTuple):
    """What a plan is made of, or is."""

    path: Path
    sha256: str
    weights: dict[str, str]
    """Files beside an ONNX file, by name, with their digests."""
    table: TensorRtTable
    gpu: BuildGpu | None = None
    """That it is to be built on; None where it is built already."""


def plan_parts(source: PlanSource) -> dict[str, str]:
    """What the artifact depends on beside the file, for its key.

    Raises:
        ModelLoadError, UnsafeModelError: see `calibration_file`.
    """
    rows = calibration_file(source.path, source.table)
    return {
        "table": msgspec.json.encode(source.table).decode(),
        "calibration": "" if rows is None else hashlib.sha256(rows.read_bytes()).hexdigest(),
        "machine": machine(source.gpu),
    }


def machine(gpu: BuildGpu | None) -> str:
    """The TensorRT that is installed, and the kind of GPU that it builds for."""
    return f"tensorrt {distribution_version(*_TENSORRT)}; {'any GPU' if gpu is None else gpu.name}"


def plan_manifest(
    version: str | None, options: dict[str, str], sha256: str, gpu: str | None = None
) -> Manifest:
    """Of a plan.

    Args:
        version: Of the TensorRT that built it, where that is known.
        options: Of the backend.
        sha256: Of the file that it was made of, or is.
        gpu: The kind of GPU that it was built for, where it was built here.
    """
    return Manifest(
        model_type="tensorrt",
        framework=f"tensorrt {version or ''}".strip(),
        backend="tensorrt",
        artifact=PLAN,
        backend_options=options,
        gpu=gpu,
        compiled=True,
        source_sha256=sha256,
        task="tensors",
        layout="tensors",
        inputs=(),
        outputs=(),
    )


def keep_plan(source: PlanSource, out: Path) -> None:
    """A plan is its own artifact; the backend tells the engine its inputs and outputs.

    Raises:
        ModelLoadError: the file beside it says what only a plan to be built can be.
    """
    built = TensorRtTable().build()
    if source.table.build() != built:
        raise ModelLoadError(
            f"{source.path.name} is a TensorRT engine already, so {source.path.name}.toml cannot "
            "say how one is to be built: leave out all but device, slots, profile and batchable, "
            "or load the ONNX file with model_type 'tensorrt'"
        )
    copy_checked(source.path, source.sha256, out / PLAN)
    version, options = plan_version(source.path), source.table.backend_options()
    manifest = plan_manifest(version, options, source.sha256)
    (out / MANIFEST_FILE).write_bytes(encode(manifest))


def unprepared_manifest(path: Path) -> Manifest:
    """That of a plan which is not copied, for whoever asks what it is.

    Raises:
        UnsafeModelError, ModelLoadError: see `tensorrt_table_of`.
    """
    return plan_manifest(plan_version(path), tensorrt_table_of(path).backend_options(), "")


def is_plan(path: Path) -> bool:
    """Whether a file begins as plans do."""
    with path.open("rb") as stream:
        return stream.read(len(PLAN_MARK)) == PLAN_MARK


def plan_version(path: Path) -> str | None:
    """The TensorRT that built a plan, as its header says; None where that cannot be told."""
    with path.open("rb") as stream:
        head = stream.read(PLAN_HEADER_BYTES)
    if len(head) < PLAN_HEADER_BYTES or head[_LAYOUT_AT : _LAYOUT_AT + 4] != bytes(4):
        return None
    return ".".join(str(number) for number in head[_VERSION_AT : _VERSION_AT + 3])


def build_plan(
    source: PlanSource,
    beside: StatesFile,
    scratch: Path,
    out: Path,
    timing: Path,
    *,
    timeout_s: float,
    progress: Callable[[str], None] | None,
    is_stopped: Callable[[], bool] | None,
) -> None:
    """Lets the child build a plan of an ONNX file, and hold it against that.

    Args:
        source: The ONNX file.
        beside: States and constants of the model.
        scratch: A folder for copies, which the child works in.
        out: Receives the plan and its manifest.
        timing: Folder of timing caches; made if absent.
        timeout_s: For the child.
        progress: See `run_child`.
        is_stopped: See `run_child`.

    Raises:
        ModelLoadError, MissingDependencyError, UnavailableError: as `run_child`.
    """
    graph = scratch / "source.onnx"
    copy_checked(source.path, source.sha256, graph)
    for name, digest in source.weights.items():
        (scratch / name).parent.mkdir(parents=True, exist_ok=True)
        copy_checked(source.path.parent / name, digest, scratch / name)
    rows = calibration_file(source.path, source.table)
    job = {
        "source": str(graph.resolve()),
        "sha256": source.sha256,
        "wanted": msgspec.to_builtins(source.table.build()),
        "calibration": None if rows is None else str(rows.resolve()),
        "timing_cache": str((timing / timing_name(source, machine(source.gpu))).resolve()),
        "gpu": None if source.gpu is None else source.gpu.number,
        "backend_options": source.table.backend_options(),
        "out": str(out.resolve()),
        "timeout_s": timeout_s,
    }
    run_child(job, scratch, timeout_s, progress, BUILDER, is_stopped)
    for file in beyond_newest(timing.glob("*"), MOST_TIMINGS):
        file.unlink(missing_ok=True)
    if beside.states or beside.constants:
        file = out / MANIFEST_FILE
        made = decode(file.read_bytes())
        whole = msgspec.structs.replace(made, states=beside.states, constants=beside.constants)
        file.write_bytes(encode(whole))


def timing_name(source: PlanSource, where: str) -> str:
    """File name of the measurements of a graph in one precision on one machine."""
    weights = [f"{name}={digest}" for name, digest in source.weights.items()]
    parts = [source.sha256, *weights, source.table.precision, where]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32] + ".cache"
