"""``python -m slipstream.convert.child``: the one process that opens a model file.

Reads a `Job` as JSON from stdin and writes JSON lines to the file descriptor that is its argument:
any number of ``{"progress": text}``, then ``{"manifest": …}`` or ``{"error": {code, message,
details}}``. Nothing that was unpickled leaves it in another form.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any, BinaryIO, TypeAlias

from slipstream.convert.limits import confine

_LONGEST_MESSAGE = 2000

Work: TypeAlias = Callable[[dict[str, Any], Callable[[str], None]], object]


def main() -> int:
    """Run one job; the exit status is 0 whenever an answer was written."""
    return serve(_convert, "ModelLoadError", "opening the model")


def serve(
    work: Work, failure: str, task: str, limit: Callable[[int | None, float], None] = confine
) -> int:
    """The life of a child: limits first, one job, one answer. Returns the exit status.

    Args:
        work: Does the job that it is given; its second argument tells how far it is. What it
            returns is the answer's ``result``.
        failure: Name of the error class for what is no `SlipstreamError`.
        task: What is being done, for its message.
        limit: What the process takes away from itself, by memory in MiB and time in seconds.
    """
    answer_to = os.fdopen(int(sys.argv[1]), "wb", buffering=0)
    request = json.loads(sys.stdin.buffer.read())
    os.dup2(2, 1)  # libraries print; nobody reads this process's stdout
    limit(request.get("memory_limit_mb"), request["timeout_s"])  # before NumPy starts threads
    _write(answer_to, _answer(work, request, answer_to, failure, task))
    return 0


def _answer(
    work: Work,
    request: dict[str, Any],
    answer_to: BinaryIO,
    failure: str,
    task: str,
) -> dict[str, Any]:
    from slipstream.errors import SlipstreamError

    try:
        result = work(request, lambda text: _write(answer_to, {"progress": text}))
        return {"done": True, "result": result}
    except SlipstreamError as error:
        return _error(type(error).__name__, error.message, error.details)
    except MemoryError:
        return _error(failure, f"{task} needs more memory than is allowed", {})
    except Exception as error:  # the last seam: nothing may leave it as a traceback
        return _error(failure, f"{task} failed: {error!r}", {})


def _convert(request: dict[str, Any], say: Callable[[str], None]) -> None:
    from pathlib import Path

    import msgspec

    from slipstream.convert.build import Job, build
    from slipstream.models.manifest import encode

    job = msgspec.convert(request, type=Job)
    manifest = build(job, say)
    (Path(job.out) / "manifest.json").write_bytes(encode(manifest))


def _error(code: str, message: str, details: dict[str, Any]) -> dict[str, Any]:
    plain = {key: value for key, value in details.items() if isinstance(value, (str, int, float))}
    return {"error": {"code": code, "message": message[:_LONGEST_MESSAGE], "details": plain}}


def _write(answer_to: BinaryIO, message: dict[str, Any]) -> None:
    answer_to.write(json.dumps(message).encode() + b"\n")


if __name__ == "__main__":
    sys.exit(main())
