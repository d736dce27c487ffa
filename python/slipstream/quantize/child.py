"""``python -m slipstream.quantize.child``: quantizes one artifact and measures what that costs.

Speaks as the converter child does, and has its limits. The artifact is a copy of the original
manifest, the quantized graph, and the rows on which both were compared.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from slipstream.convert.child import serve


class Job(msgspec.Struct, kw_only=True):
    """What the child is told. Paths are absolute."""

    source: str
    """Folder of the artifact in its own precision."""
    options: dict[str, Any]
    """Of `slipstream.quantize.options.QuantizeOptions`."""
    rows: str | None
    """File with calibration rows; None: generate some."""
    out: str
    """An existing folder that receives artifact and manifest."""
    timeout_s: float
    memory_limit_mb: int | None = None


def main() -> int:
    """Run one job; the exit status is 0 whenever an answer was written."""
    return serve(_quantize, "QuantizationError", "quantizing the model")


def _quantize(request: dict[str, Any], say: Callable[[str], None]) -> None:
    from slipstream.models.artifacts import MANIFEST_FILE
    from slipstream.models.manifest import Quantized, decode, encode
    from slipstream.quantize import rows as row_sets
    from slipstream.quantize.artifact import ROWS_FILE
    from slipstream.quantize.graph import quantize_file
    from slipstream.quantize.loss import accuracy_loss_percent
    from slipstream.quantize.options import QuantizeOptions
    from slipstream.quantize.session import Session

    job = msgspec.convert(request, type=Job)
    options = msgspec.convert(job.options, type=QuantizeOptions)
    source, out = Path(job.source), Path(job.out)
    manifest = decode((source / MANIFEST_FILE).read_bytes())
    say("opening the model")
    original = Session(source / manifest.artifact, manifest.backend_options.get("batchable"))
    rows = _rows(original, None if job.rows is None else Path(job.rows))
    before = original.run(rows)
    say(f"quantizing to {options}")
    weights = quantize_file(
        source / manifest.artifact,
        out / manifest.artifact,
        options,
        original.names,
        rows,
        is_batchable=original.is_batchable,
    )
    say("comparing")
    quantized = Session(out / manifest.artifact, manifest.backend_options.get("batchable"))
    original.require_same_face(quantized)
    loss = accuracy_loss_percent(before, quantized.run(rows), manifest.predictions)
    row_sets.write(rows, out / ROWS_FILE)
    told = Quantized(
        type=options.type,
        mode=options.mode if options.has_mode else None,
        weights=weights,
        accuracy_loss_percent=round(loss, 4),
        rows=row_sets.count(original.specs, rows),
        rows_source="generated" if job.rows is None else "calibration",
    )
    whole = msgspec.structs.replace(manifest, quantized=told)
    (out / MANIFEST_FILE).write_bytes(encode(whole))


def _rows(original: Any, file: Path | None) -> Sequence[Any]:
    from slipstream.errors import InvalidInputError
    from slipstream.quantize import rows as row_sets

    if file is not None:
        return row_sets.read(file)
    for rows in row_sets.candidates(original.specs, is_batchable=original.is_batchable):
        if original.takes(rows):
            return rows
    raise InvalidInputError(
        "no generated rows suit this model: give some as calibration_data", key="calibration_data"
    )


if __name__ == "__main__":
    sys.exit(main())
