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


def _beside_a_gpu(_: int | None, timeout_s: float) -> None:
    confine(_UNBOUNDED_MB, timeout_s)


def _build(request: dict[str, Any], say: Callable[[str], None]) -> None:
    import os
    from pathlib import Path

    from slipstream.convert.tensorrt import build_plan, plan_job
    from slipstream.convert.tensorrt_proof import prove
    from slipstream.device_names import VISIBLE, name_of, narrowed
    from slipstream.engine import tensorrt_library
    from slipstream.engine.runtime import require_tensorrt_backend
    from slipstream.models.manifest import encode

    job = plan_job(request)
    if job.gpu is not None:  # before anything starts the driver: TensorRT builds on the first one
        os.environ[VISIBLE] = narrowed(os.environ.get(VISIBLE), job.gpu)
    require_tensorrt_backend()  # before minutes of building
    out = Path(job.out)
    manifest, profile = build_plan(job, Path.cwd(), say)
    say("comparing the plan with the graph")
    library = tensorrt_library.runtime_library()
    options = manifest.backend_options | {"device": name_of((0,))}  # the one that is left
    if library is not None:
        options["library_path"] = str(library)
    shapes = {name: one.opt for name, one in profile.items()}
    say(prove(Path(job.source), out / manifest.artifact, options, job.wanted, shapes))
    (out / "manifest.json").write_bytes(encode(manifest))


if __name__ == "__main__":
    sys.exit(main())
