"""``python -m slipstream.convert.tensorrt_child``: builds a plan, and holds it against its graph.

Speaks as the converter child does. Its address space is not bounded: CUDA reserves far more than
any machine has.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from slipstream.convert.child import serve
from slipstream.convert.limits import confine

_UNBOUNDED_MB = 1 << 26


def main() -> int:
    """Run one job; the exit status is 0 whenever an answer was written."""
    return serve(_build, "ModelLoadError", "building the plan", _beside_a_gpu)


def _beside_a_gpu(memory_limit_mb: int | None, timeout_s: float) -> None:
    confine(memory_limit_mb or _UNBOUNDED_MB, timeout_s)


def _build(request: dict[str, Any], say: Callable[[str], None]) -> None:
    from pathlib import Path

    from slipstream.convert.tensorrt import build_plan, plan_job
    from slipstream.convert.tensorrt_proof import prove
    from slipstream.engine import tensorrt_library
    from slipstream.engine.runtime import module_folder
    from slipstream.models.manifest import encode

    job = plan_job(request)
    tensorrt_library.require_backend(module_folder())  # before minutes of building
    out = Path(job.out)
    manifest = build_plan(job, Path.cwd(), say)
    say("comparing the plan with the graph")
    library = tensorrt_library.runtime_library()
    options = dict(manifest.backend_options)
    if library is not None:
        options["library_path"] = str(library)
    wanted = job.wanted
    say(
        prove(
            Path(job.source),
            out / manifest.artifact,
            options,
            wanted.precision,
            tf32=wanted.tf32,
            rows=max(wanted.min_rows, min(8, wanted.max_rows)),
        )
    )
    (out / "manifest.json").write_bytes(encode(manifest))


if __name__ == "__main__":
    sys.exit(main())
