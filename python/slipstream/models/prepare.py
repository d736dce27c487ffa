"""From a model file to an artifact and its manifest, cached by content.

`prepare` runs in the server process and never opens the model: it hashes the file, recognises it,
looks for an artifact made of the same bytes by the same versions, and else lets the converter
child make one. Safe to call from several threads and processes on one cache folder.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import msgspec

from slipstream._version import __version__
from slipstream.adapters.base import distribution_version
from slipstream.errors import (
    InvalidInputError,
    ModelLoadError,
    UnsafeModelError,
)
from slipstream.models.artifacts import MANIFEST_FILE, SUMS_FILE, artifact, sha256_of
from slipstream.models.compression import unpack
from slipstream.models.containers import saved_model_files
from slipstream.models.converter import run_child
from slipstream.models.copies import copy_checked
from slipstream.models.detect import Detected, detect
from slipstream.models.manifest import MANIFEST_VERSION, Manifest, encode
from slipstream.models.onnx_files import companions
from slipstream.models.processor import processor_digest
from slipstream.models.states_file import StatesFile, states_file_of, with_constants
from slipstream.models.tensorrt_files import (
    BuildGpu,
    PlanSource,
    build_plan,
    keep_plan,
    plan_parts,
)
from slipstream.models.tensorrt_table import tensorrt_table_of

CONVERTER_VERSION = 6
"""Raise it whenever the converter's output for the same file changes: old artifacts expire."""
MODEL_TYPES = (
    "auto",
    "sklearn",
    "xgboost",
    "lightgbm",
    "ensemble",
    "onnx",
    "tensorflow",
    "pytorch",
    "tensorrt",
    "custom",
)

TYPE_ALIASES = {"torch": "pytorch"}
"""Other words for a type."""
_TOLD = ("torchscript", "torch-package", "torch-save")
"""Kinds of which the file beside them says what they take."""
_MOST_UNPACKED_BYTES = 16 << 30
_LIBRARIES = (
    ("numpy",),
    ("scikit-learn",),
    ("scipy",),
    ("pandas",),
    ("xgboost", "xgboost-cpu"),
    ("lightgbm",),
    ("onnx",),
    ("skl2onnx",),
    ("onnxruntime", "onnxruntime-gpu"),
    ("tensorflow", "tensorflow-cpu"),
    ("tf2onnx",),
    ("torch",),
)


class PrepareOptions(msgspec.Struct, kw_only=True, frozen=True):
    """How `prepare` treats a file."""

    model_type: str = "auto"
    """One of `MODEL_TYPES`; another than "auto" must be what the file holds."""
    compile_model: bool = True
    allow_custom_code: bool = False
    """Whether the operator's own Python may be loaded (``ALLOW_CUSTOM_CODE``)."""
    ensemble_method: str | None = None
    """What a pickle of several estimators is to be."""
    model_dir: Path | None = None
    """The wall, where custom modules are looked up; None: beside the file itself."""
    timeout_s: float = 600.0
    memory_limit_mb: int | None = None
    """Address space of the converter child; None: the machine's memory, 16 GiB at most."""
    progress: Callable[[str], None] | None = None
    is_stopped: Callable[[], bool] | None = None
    """Asked while a child is at work; once True, it is killed."""
    sha256: str | None = None
    """The only content that the file may have; None: any."""
    states: StatesFile | None = None
    """Instead of what the file beside a graph says."""
    gpu: Callable[[str | None], BuildGpu] | None = None
    """Tells on which GPU a plan is built, of the device that the file beside the model names; None:
    on the first. It raises `ModelLoadError` where there is none."""


class Prepared(msgspec.Struct, kw_only=True, frozen=True):
    """An artifact that a backend can load."""

    manifest: Manifest
    folder: Path
    """Holds ``manifest.json``, the artifact and ``SHA256SUMS``; belongs to the cache, which never
    writes it again: backends map its files into memory."""
    size_bytes: int
    """Of the source file, with the weight files that belong to it."""
    is_new_copy: bool = False
    """Whether the artifact is a plan that this call copied: nothing is lost with it."""

    @property
    def artifact_path(self) -> Path:
        """What the backend loads."""
        return self.folder / self.manifest.artifact


def prepare(path: Path, cache_dir: Path, options: PrepareOptions) -> Prepared:
    """Make (or find) the artifact of a model file.

    Args:
        path: A regular file, already checked by `slipstream.models.paths`.
        cache_dir: Folder for artifacts; made if absent.
        options: See `PrepareOptions`.

    Raises:
        InvalidInputError: ``options.model_type`` is no documented type.
        UnsafeModelError: A pickle that names other than model classes; custom code not allowed.
        ModelLoadError: Junk, another type than was said, damaged, too slow.
        MissingDependencyError: A library that the model needs is not installed.
    """
    wanted = TYPE_ALIASES.get(options.model_type, options.model_type)
    options = msgspec.structs.replace(options, model_type=wanted)
    size = path.stat().st_size
    digest = sha256_of(path)
    found = recognised(path, digest, options)
    weights = _beside(path, found)
    size += sum(file.stat().st_size for _, file in weights)
    digests = {name: sha256_of(file) for name, file in weights}
    beside = _states_of(path, found, options)
    parts = digests | ({".toml": beside.sha256} if beside.sha256 else {})
    if found.kind == "torch-export":  # is compiled to machine code
        parts["processor"] = processor_digest()
    plan = _plan_of(path, digest, digests, found, options)
    if plan is not None:
        parts |= plan_parts(plan)
    key = _key(digest, parts, found, path, options)

    is_new_copy = False

    def make(scratch: Path, out: Path) -> None:
        nonlocal is_new_copy
        if plan is not None and found.kind == "onnx":
            build_plan(
                plan,
                beside,
                scratch,
                out,
                cache_dir.parent / "timing",
                timeout_s=options.timeout_s,
                progress=options.progress,
                is_stopped=options.is_stopped,
            )
        elif plan is not None:
            keep_plan(plan, out)
            is_new_copy = True
        elif found.kind == "onnx":
            _keep_onnx(path, digest, digests, beside, out)
        else:
            _convert(path, digest, digests, found, scratch, out, options, beside)

    folder, manifest = artifact(cache_dir, key, options.timeout_s, make)
    return Prepared(manifest=manifest, folder=folder, size_bytes=size, is_new_copy=is_new_copy)


def recognised(path: Path, digest: str, options: PrepareOptions) -> Detected:
    """What a file holds, if it is what it is said to be and may be served; nothing is opened.

    Args:
        path: As of `prepare`.
        digest: SHA-256 of the file, in hex.
        options: See `PrepareOptions`.

    Raises: as `prepare`, for what can be told from the file alone.
    """
    if options.model_type not in MODEL_TYPES:
        raise InvalidInputError(
            f"model_type {options.model_type!r} is unknown: use one of {', '.join(MODEL_TYPES)}",
            model_type=options.model_type,
            allowed=list(MODEL_TYPES),
        )
    if options.sha256 is not None:  # before anything looks into it
        check_digest(path, digest, options.sha256)
    found = detect(path, options.model_type)
    _check_type(path, found, options)
    _check_backend(path, found)
    _check_custom(path, found, options)
    return found


def check_digest(path: Path, digest: str, wanted: str) -> None:
    """Refuses a file that is not the one that was pinned.

    Raises:
        ModelLoadError: names both digests.
    """
    if digest != wanted:
        raise ModelLoadError(
            f"{path.name} is not the file that its sha256 names: it has {digest}, and {wanted} is "
            "wanted; put that file back, or change the digest if the new one is meant",
            sha256=digest,
            wanted_sha256=wanted,
        )


def _states_of(path: Path, found: Detected, options: PrepareOptions) -> StatesFile:
    if found.kind == "onnx":
        return options.states or states_file_of(path)
    if found.kind in _TOLD:
        told = with_constants(states_file_of(path), options.states)
        if told.states:
            raise ModelLoadError(
                f"{path.name} is {found.what}, whose states are found out: leave them out"
            )
        return told
    if options.states is not None:
        raise ModelLoadError(
            f"{path.name} is {found.what or found.library}, whose states cannot be declared: only "
            "an ONNX graph's can"
        )
    return StatesFile()


def _check_type(path: Path, found: Detected, options: PrepareOptions) -> None:
    """Refuse at once what the first bytes already contradict."""
    wanted = options.model_type
    if wanted == "auto" or found.library is None or wanted == found.library:
        return
    if wanted in ("custom", "ensemble") and found.kind == "pickle":
        return
    if wanted == "tensorrt" and found.kind == "onnx":  # a plan is to be built of it
        return
    what = found.what or f"{'an' if found.library == 'onnx' else 'a'} {found.library} model"
    raise ModelLoadError(
        f"{path.name} holds {what}, not {wanted!r}: give model_type {found.library!r} or 'auto'",
        model_type=wanted,
        found=found.library,
    )


def _check_backend(path: Path, found: Detected) -> None:
    """Refuse what is known and cannot be computed here."""
    if found.kind == "ensemble":
        raise ModelLoadError(
            f"{path.name} is an ensemble file: an engine loads it with its members"
        )


def _plan_of(
    path: Path, digest: str, weights: dict[str, str], found: Detected, options: PrepareOptions
) -> PlanSource | None:
    """What a TensorRT artifact is made of; None where it is to be none."""
    if options.model_type != "tensorrt" and found.kind != "tensorrt":
        return None
    table = tensorrt_table_of(path)
    gpu = options.gpu(table.device) if options.gpu is not None and found.kind == "onnx" else None
    return PlanSource(path, digest, weights, table, gpu)


def _beside(path: Path, found: Detected) -> list[tuple[str, Path]]:
    """The files that belong to a model beside the one that names it."""
    if found.kind == "onnx":
        return companions(path)
    return saved_model_files(path) if found.kind == "saved-model" else []


def _check_custom(path: Path, found: Detected, options: PrepareOptions) -> None:
    if found.kind == "torch-package" and not options.allow_custom_code:
        raise UnsafeModelError(
            f"{path.name} is {found.what}, which is machine code, and this server runs none that "
            "it did not compile: load the exported program itself (torch.export.save), or set "
            "ALLOW_CUSTOM_CODE=True if everything in the model directory is yours"
        )
    wants = found.kind == "custom" or options.model_type == "custom"
    if wants and not options.allow_custom_code:
        raise UnsafeModelError(
            f"{path.name} is custom Python code, which this server does not run: set "
            "ALLOW_CUSTOM_CODE=True if everything in the model directory is yours"
        )


def _custom_root(path: Path, found: Detected, options: PrepareOptions) -> Path | None:
    """Where the operator's modules lie; None unless his code may run and is asked for."""
    if not options.allow_custom_code:
        return None
    if found.library in ("sklearn", "xgboost", "lightgbm", "onnx", "tensorflow"):
        return None
    if found.library == "pytorch" and found.kind != "torch-save":
        return None
    if found.kind == "custom" or options.model_dir is None:
        return path.parent.resolve()
    return options.model_dir.resolve()


def _key(
    digest: str, weights: dict[str, str], found: Detected, path: Path, options: PrepareOptions
) -> str:
    root = _custom_root(path, found, options)
    parts = [
        digest,
        *(f"{name}={weight}" for name, weight in weights.items()),
        options.model_type,
        str(options.ensemble_method),
        str(options.compile_model),
        str(root),
        __version__,
        str(CONVERTER_VERSION),
        str(MANIFEST_VERSION),
        *(distribution_version(*names) for names in _LIBRARIES),
    ]
    if root is not None:
        parts += [f"{file.name}:{sha256_of(file)}" for file in sorted(root.glob("*.py"))[:256]]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def _keep_onnx(
    path: Path, digest: str, weights: dict[str, str], beside: StatesFile, out: Path
) -> None:
    """An ONNX file is its own artifact; the backend tells the engine its inputs and outputs."""
    copy_checked(path, digest, out / "model.onnx")
    for name, weight_digest in weights.items():
        if name in ("model.onnx", MANIFEST_FILE, SUMS_FILE):
            raise ModelLoadError(f"{path.name} keeps weights in {name!r}: rename that file")
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        copy_checked(path.parent / name, weight_digest, out / name)
    manifest = Manifest(
        model_type="onnx",
        framework="onnx",
        backend="onnx",
        artifact="model.onnx",
        compiled=True,
        source_sha256=digest,
        task="tensors",
        layout="tensors",
        inputs=(),
        outputs=(),
        states=beside.states,
        constants=beside.constants,
    )
    (out / MANIFEST_FILE).write_bytes(encode(manifest))


def _convert(
    path: Path,
    digest: str,
    weights: dict[str, str],
    found: Detected,
    scratch: Path,
    out: Path,
    options: PrepareOptions,
    beside: StatesFile,
) -> None:
    source = scratch / "source"
    if found.kind == "saved-model":
        source /= "saved_model.pb"
    for name, weight_digest in weights.items():
        (source.parent / name).parent.mkdir(parents=True, exist_ok=True)
        copy_checked(path.parent / name, weight_digest, source.parent / name)
    source.parent.mkdir(exist_ok=True)
    copy_checked(path, digest, source)
    if found.compression is not None:
        unpack(source, found.compression, scratch / "unpacked", _MOST_UNPACKED_BYTES)
        source = scratch / "unpacked"
    root = _custom_root(path, found, options)
    job = {
        "source": str(source.resolve()),
        "kind": found.kind,
        "sha256": digest,
        "model_type": options.model_type,
        "compile_model": options.compile_model,
        "told": {
            "inputs": msgspec.to_builtins(beside.inputs),
            "constants": beside.constants,
            "file": f"{path.name}.toml",
        },
        "ensemble_method": options.ensemble_method if found.kind == "pickle" else None,
        "custom_root": None if root is None else str(root),
        "out": str(out.resolve()),
        "timeout_s": options.timeout_s,
        "memory_limit_mb": options.memory_limit_mb,
    }
    run_child(job, scratch, options.timeout_s, options.progress, is_stopped=options.is_stopped)
