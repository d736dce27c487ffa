"""Quantized artifacts: in the cache of all artifacts, keyed by original and options.

Runs in the server process, which opens neither graph: a child does, with limits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import msgspec

from slipstream._version import __version__
from slipstream.adapters.base import distribution_version
from slipstream.errors import QuantizationError
from slipstream.models.artifacts import MANIFEST_FILE, SUMS_FILE, artifact
from slipstream.models.converter import Child, run_child
from slipstream.models.manifest import Manifest, Quantized
from slipstream.models.prepare import Prepared
from slipstream.quantize.options import QuantizeOptions
from slipstream.quantize.rows import file_of

QUANTIZER_VERSION = 1
"""Raise it whenever the quantizer's output for the same artifact changes."""
ROWS_FILE = "rows.npz"
"""In a quantized artifact: what it was compared on."""
QUANTIZER = Child(
    "slipstream.quantize.child",
    "quantizing process",
    "quantizing the model",
    "give fewer calibration rows, or more time",
    QuantizationError,
)
_TIMEOUT_S = 600.0
_LIBRARIES = (("onnx",), ("onnx-ir",), ("onnxruntime", "onnxruntime-gpu"), ("numpy",))


def quantized(
    original: Prepared,
    options: QuantizeOptions,
    rows_folder: Path,
    *,
    timeout_s: float = _TIMEOUT_S,
    is_stopped: Callable[[], bool] | None = None,
) -> tuple[Prepared, Quantized]:
    """Makes (or finds) the quantized artifact of an artifact; blocks.

    Args:
        original: In its own precision.
        options: See there; ``rows`` are looked up in ``rows_folder``.
        rows_folder: Where `slipstream.quantize.rows.keep` keeps rows.
        timeout_s: For the child, and for others who make the same.
        is_stopped: See `run_child`.

    Returns:
        The quantized artifact, and what it costs. Nothing is judged here.

    Raises:
        InvalidInputError: the options contradict themselves, or the rows do not suit the model.
        QuantizationError: this model cannot be quantized; says why.
        MissingDependencyError: a package is not installed.
        UnavailableError: it was stopped.
    """
    options.check()
    reason = why_not(original.manifest)
    if reason is not None:
        raise QuantizationError(f"the model cannot be quantized: {reason}")
    rows = None if options.rows is None else file_of(rows_folder, options.rows)
    if rows is not None and not rows.is_file():
        raise QuantizationError(
            "the calibration rows of this quantization are gone from the state directory: quantize "
            "again, with calibration_data"
        )

    def make(scratch: Path, out: Path) -> None:
        job = {
            "source": str(original.folder.resolve()),
            "options": msgspec.to_builtins(options),
            "rows": None if rows is None else str(rows.resolve()),
            "out": str(out.resolve()),
            "timeout_s": timeout_s,
        }
        run_child(job, scratch, timeout_s, None, QUANTIZER, is_stopped)

    cache = original.folder.parent
    folder, manifest = artifact(cache, _key(original.folder.name, options), timeout_s, make)
    assert manifest.quantized is not None, "the child writes it"
    made = Prepared(manifest=manifest, folder=folder, size_bytes=artifact_bytes(folder))
    return made, manifest.quantized


def why_not(manifest: Manifest) -> str | None:
    """Why an artifact of this kind cannot be quantized; None if it may be tried."""
    if manifest.backend == "onnx":
        return None
    name = manifest.estimator or manifest.model_type
    if manifest.backend == "forest":
        return (
            f"{name} decides by comparisons, in the evaluator of tree and linear models; it has no "
            "matrices whose numbers could be made smaller"
        )
    return f"{name} runs in the '{manifest.backend}' backend; only ONNX graphs can be quantized" + (
        f" ({manifest.reason})" if manifest.reason else ""
    )


def artifact_bytes(folder: Path) -> int:
    """What a backend loads of an artifact: its files without manifest, sums and rows."""
    beside = {MANIFEST_FILE, SUMS_FILE, ROWS_FILE}
    files = (file for file in folder.rglob("*") if file.is_file() and file.name not in beside)
    return sum(file.stat().st_size for file in files)


def _key(original: str, options: QuantizeOptions) -> str:
    parts = [
        original,
        str(options),
        str(options.rows),
        __version__,
        str(QUANTIZER_VERSION),
        *(distribution_version(*names) for names in _LIBRARIES),
    ]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
