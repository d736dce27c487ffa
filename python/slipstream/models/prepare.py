"""From a model file to an artifact and its manifest, cached by content.

`prepare` runs in the server process and never opens the model: it hashes the file, recognises it,
looks for an artifact made of the same bytes by the same versions, and else lets the converter
child make one. Safe to call from several threads and processes on one cache folder.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from slipstream._version import __version__
from slipstream.adapters.base import distribution_version
from slipstream.errors import (
    InvalidInputError,
    MissingDependencyError,
    ModelLoadError,
    UnsafeModelError,
)
from slipstream.models.compression import unpack
from slipstream.models.converter import run_child
from slipstream.models.detect import Detected, detect
from slipstream.models.manifest import MANIFEST_VERSION, Manifest, decode, encode
from slipstream.models.onnx_files import companions

CONVERTER_VERSION = 4
"""Raise it whenever the converter's output for the same file changes: old artifacts expire."""
MODEL_TYPES = ("auto", "sklearn", "xgboost", "lightgbm", "ensemble", "onnx", "custom")

_WITHOUT_BACKEND = {
    "pytorch": "torch",
    "torch": "torch",
    "tensorflow": "tensorflow",
    "tensorrt": "tensorrt",
}
_MANIFEST = "manifest.json"
_SUMS = "SHA256SUMS"
_CHUNK_BYTES = 1 << 20
_LOCK_POLL_S = 0.05
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
)


class PrepareOptions(msgspec.Struct, kw_only=True, frozen=True):
    """How `prepare` treats a file."""

    model_type: str = "auto"
    """One of `MODEL_TYPES`; another than "auto" must be what the file holds."""
    compile_model: bool = True
    allow_custom_code: bool = False
    """Whether the operator's own Python may be loaded (``ALLOW_CUSTOM_CODE``)."""
    model_dir: Path | None = None
    """The wall, where custom modules are looked up; None: beside the file itself."""
    timeout_s: float = 600.0
    memory_limit_mb: int | None = None
    """Address space of the converter child; None: the machine's memory, 16 GiB at most."""
    progress: Callable[[str], None] | None = None


class Prepared(msgspec.Struct, kw_only=True, frozen=True):
    """An artifact that a backend can load."""

    manifest: Manifest
    folder: Path
    """Holds ``manifest.json``, the artifact and ``SHA256SUMS``; belongs to the cache, which never
    writes it again: backends map its files into memory."""
    size_bytes: int
    """Of the source file, with the weight files that belong to it."""

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
    if options.model_type in _WITHOUT_BACKEND:
        raise MissingDependencyError(
            f"model_type {options.model_type!r} needs the {_WITHOUT_BACKEND[options.model_type]} "
            "backend, which this version of slipstream does not have: export the model to ONNX and "
            "load that",
            model_type=options.model_type,
        )
    if options.model_type not in MODEL_TYPES:
        raise InvalidInputError(
            f"model_type {options.model_type!r} is unknown: use one of {', '.join(MODEL_TYPES)}",
            model_type=options.model_type,
            allowed=list(MODEL_TYPES),
        )
    size = path.stat().st_size
    found = detect(path)
    _check_type(path, found, options)
    _check_custom(path, found, options)
    digest = sha256_of(path)
    weights = companions(path) if found.kind == "onnx" else []
    size += sum(file.stat().st_size for _, file in weights)
    digests = {name: sha256_of(file) for name, file in weights}
    key = _key(digest, digests, found, path, options)
    cache_dir.mkdir(parents=True, exist_ok=True)
    folder = cache_dir / key
    with _locked(cache_dir / f"{key}.lock", options.timeout_s):
        manifest = _cached(folder)
        if manifest is None:
            manifest = _make(path, digest, digests, found, folder, options)
    return Prepared(manifest=manifest, folder=folder, size_bytes=size)


def sha256_of(path: Path) -> str:
    """Hex digest of a file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _check_type(path: Path, found: Detected, options: PrepareOptions) -> None:
    """Refuse at once what the first bytes already contradict."""
    wanted = options.model_type
    if wanted == "auto" or found.library is None or wanted == found.library:
        return
    if wanted == "ensemble" and found.library == "sklearn":
        return
    if wanted == "custom" and found.kind == "pickle":
        return
    raise ModelLoadError(
        f"{path.name} holds a {found.library} model, not {wanted!r}: give model_type "
        f"{found.library!r} or 'auto'",
        model_type=wanted,
        found=found.library,
    )


def _check_custom(path: Path, found: Detected, options: PrepareOptions) -> None:
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
    if found.library in ("sklearn", "xgboost", "lightgbm", "onnx"):
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


def _finished(folder: Path) -> Manifest | None:
    """The manifest of what a converter left; None if there is none."""
    try:
        manifest = decode((folder / _MANIFEST).read_bytes())
    except (OSError, msgspec.MsgspecError):
        return None
    return manifest if (folder / manifest.artifact).is_file() else None


def _cached(folder: Path) -> Manifest | None:
    """The manifest of a cached artifact; None if there is none, or a file of it is damaged."""
    try:
        sums = (folder / _SUMS).read_text()
        for line in sums.splitlines():
            digest, _, name = line.partition("  ")
            file = folder / name
            if not file.is_file() or sha256_of(file) != digest:  # a FIFO would never end
                return None
    except (OSError, UnicodeDecodeError):
        return None
    return _finished(folder) if sums else None


def is_damaged(folder: Path, manifest: Manifest) -> bool:
    """Whether an artifact that was made before is not what it was."""
    if (folder / _SUMS).exists():
        return _cached(folder) is None
    return not (folder / manifest.artifact).is_file()


def _seal(folder: Path) -> None:
    """Write down what the files of an artifact are, as ``sha256sum`` does."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    lines = [f"{sha256_of(file)}  {file.relative_to(folder)}\n" for file in files]
    (folder / _SUMS).write_text("".join(lines))


@contextmanager
def _locked(lock: Path, timeout_s: float) -> Iterator[None]:
    """Hold an advisory lock: one preparation per key, whichever process it is in."""
    deadline = time.monotonic() + timeout_s
    with lock.open("w") as handle:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise ModelLoadError(
                        f"another preparation of the same model holds on for over {timeout_s:g} s"
                    ) from None
                time.sleep(_LOCK_POLL_S)
        yield


def _make(
    path: Path,
    digest: str,
    weights: dict[str, str],
    found: Detected,
    folder: Path,
    options: PrepareOptions,
) -> Manifest:
    """Fill a temporary folder and rename it into place. The key's lock is held."""
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as scratch:
        out = Path(scratch) / "out"
        out.mkdir()
        if found.kind == "onnx":
            _keep_onnx(path, digest, weights, out)
        else:
            _convert(path, digest, found, Path(scratch), out, options)
        manifest = _finished(out)
        if manifest is None:
            raise ModelLoadError("the converter left no artifact: the disk may be full")
        _seal(out)
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(out, folder)
    return manifest


def _copy(path: Path, digest: str, target: Path) -> None:
    """Copy, and make sure that the copy is what was hashed."""
    shutil.copyfile(path, target)
    if sha256_of(target) != digest:
        raise ModelLoadError(f"{path.name} changed while it was being read: load it again")


def _keep_onnx(path: Path, digest: str, weights: dict[str, str], out: Path) -> None:
    """An ONNX file is its own artifact; the backend tells the engine its inputs and outputs."""
    _copy(path, digest, out / "model.onnx")
    for name, weight_digest in weights.items():
        if name in ("model.onnx", _MANIFEST, _SUMS):
            raise ModelLoadError(f"{path.name} keeps weights in {name!r}: rename that file")
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        _copy(path.parent / name, weight_digest, out / name)
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
    )
    (out / _MANIFEST).write_bytes(encode(manifest))


def _convert(
    path: Path, digest: str, found: Detected, scratch: Path, out: Path, options: PrepareOptions
) -> None:
    source = scratch / "source"
    _copy(path, digest, source)
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
        "custom_root": None if root is None else str(root),
        "out": str(out.resolve()),
        "timeout_s": options.timeout_s,
        "memory_limit_mb": options.memory_limit_mb,
    }
    run_child(job, scratch, options.timeout_s, options.progress)
