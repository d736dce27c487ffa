"""``python -m slipstream.convert.child``: the one process that opens a model file.

Reads a `Job` as JSON from stdin and writes JSON lines to the file descriptor that is its argument:
any number of ``{"progress": text}``, then ``{"manifest": …}`` or ``{"error": {code, message,
details}}``. Nothing that was unpickled leaves it in another form.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any, BinaryIO

from slipstream.convert.limits import confine

_LONGEST_MESSAGE = 2000


def main() -> int:
    """Run one job; the exit status is 0 whenever an answer was written."""
    answer_to = os.fdopen(int(sys.argv[1]), "wb", buffering=0)
    request = json.loads(sys.stdin.buffer.read())
    os.dup2(2, 1)  # libraries print; nobody reads this process's stdout
    confine(request.get("memory_limit_mb"), request["timeout_s"])  # before NumPy starts threads
    _write(answer_to, _answer(request, answer_to))
    return 0


def _answer(request: dict[str, Any], answer_to: BinaryIO) -> dict[str, Any]:
    from pathlib import Path

    import msgspec

    from slipstream.convert.build import Job, build
    from slipstream.errors import SlipstreamError
    from slipstream.models.manifest import encode

    try:
        job = msgspec.convert(request, type=Job)
        manifest = build(job, lambda text: _write(answer_to, {"progress": text}))
        (Path(job.out) / "manifest.json").write_bytes(encode(manifest))
        return {"done": True}
    except SlipstreamError as error:
        return _error(type(error).__name__, error.message, error.details)
    except MemoryError:
        return _error("ModelLoadError", "opening the model needs more memory than is allowed", {})
    except Exception as error:  # the last seam: nothing may leave it as a traceback
        return _error("ModelLoadError", f"the model cannot be opened: {error!r}", {})


def _error(code: str, message: str, details: dict[str, Any]) -> dict[str, Any]:
    plain = {key: value for key, value in details.items() if isinstance(value, (str, int, float))}
    return {"error": {"code": code, "message": message[:_LONGEST_MESSAGE], "details": plain}}


def _write(answer_to: BinaryIO, message: dict[str, Any]) -> None:
    answer_to.write(json.dumps(message).encode() + b"\n")


if __name__ == "__main__":
    sys.exit(main())
