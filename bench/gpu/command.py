"""The command: ``python -m bench gpu [--quick] [--parts A,B] [--output FILE.json]``."""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import slipstream
from bench.http.command import names
from bench.http.generator import LoadError
from bench.lib import environment, results, tools
from bench.lib.goals import evaluate
from bench.lib.goals import table as goals_table
from bench.lib.suite import Say, WrongError, add_sizes
from bench.lib.taken import table
from slipstream.errors import SlipstreamError
from slipstream.gpu.gpus import GPU_BACKENDS as BACKENDS

SUITE = "gpu"
PACKAGES = (
    *("slipstream", "torch", "onnxruntime", "onnxruntime-gpu", "tensorrt-cu13", "numpy"),
    *("granian", "uvloop", "fastapi", "uvicorn"),
)
PARTS = {
    "overlap": "bench.gpu.overlap",
    "latency": "bench.gpu.latency",
    "throughput": "bench.gpu.throughput",
    "http": "bench.gpu.http",
    "callers": "bench.gpu.callers",
    "cores": "bench.gpu.cores",
}
"""In the order in which they are measured: what is quick, and goals name, first."""
FAILURES = (tools.SetupError, WrongError, LoadError, SlipstreamError, OSError, RuntimeError)
"""Of a part, which leave the others: a model that fails must not cost what was measured."""
ON_CPU = "on the processor these figures mean nothing; they show that everything runs"


def parser() -> argparse.ArgumentParser:
    """What the command understands."""
    made = argparse.ArgumentParser(
        prog="python -m bench gpu", description="Measures models on a GPU, and the GPU itself."
    )
    add_sizes(made, quick="few and short rounds", smoke="tiny networks: shows that it runs")
    made.add_argument(
        "--parts", type=names(tuple(PARTS)), default=list(PARTS), metavar="A,B",
        help=f"only these of: {', '.join(PARTS)}",
    )  # fmt: skip
    made.add_argument(
        "--backends", type=names(BACKENDS), default=list(BACKENDS), metavar="A,B",
        help=f"only these of: {', '.join(BACKENDS)}",
    )  # fmt: skip
    made.add_argument(
        "--device", choices=("cuda:0", "cpu"), default="cuda:0",
        help=f"cpu: with --smoke, for machines without a GPU; {ON_CPU}",
    )  # fmt: skip
    made.add_argument(
        "--output", "--out", type=Path, default=tools.WORK / "gpu.json", metavar="FILE",
        help="where the figures go, as JSON; tables beside it (default: %(default)s)",
    )  # fmt: skip
    return made


def main(arguments: Sequence[str]) -> int:
    """Measures; 1 where there is no GPU, an answer was wrong, or a part failed."""
    options = parser().parse_args(arguments)
    why = cannot_run(options.device)
    if why is not None:
        print(f"bench gpu: error: {why}", file=sys.stderr)
        return 1
    record = measure(options, lambda text: print(text, flush=True))
    print(f"\n{tables_of(record)}")
    print(f"wrote {options.output}")
    for failure in record["failed"]:
        print(f"bench gpu: error: {failure}", file=sys.stderr)
    return 1 if record["failed"] else 0


def cannot_run(device: str) -> str | None:
    """Why nothing can be measured here, in a line; None where something can."""
    if device == "cpu":
        return None
    found = slipstream.devices()
    if not found.cuda_available:
        return f"there is no GPU to measure: {found.reason}"
    import torch

    if not torch.cuda.is_available():
        return f"torch {torch.__version__} cannot use the GPU: a build of it for CUDA is needed"
    return None


def measure(options: argparse.Namespace, say: Say) -> dict[str, Any]:
    """The result file's content, which is written after every part."""
    from bench.gpu.plan import PLANS, Context

    warnings.filterwarnings("ignore", category=DeprecationWarning)
    where = environment.describe(PACKAGES)
    say("\n".join(environment.lines(where)))
    plan = PLANS[options.size]
    record: dict[str, Any] = {
        "environment": where, "size": plan.name, "device": options.device, "gpu": gpu(),
        "scenarios": {}, "failed": [], "seconds": {},
    }  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="bench-gpu-") as folder:
        context = Context(plan, options.device, Path(folder), tuple(options.backends), say)
        for number, part in enumerate(options.parts, 1):
            say(f"\n[{number}/{len(options.parts)}] {part}")
            began = time.monotonic()
            try:
                found = importlib.import_module(PARTS[part]).measure(context)
                record["scenarios"] |= {
                    key: [one.record() for one in taken] for key, taken in found.items()
                }
            except FAILURES as error:
                record["failed"].append(f"{part}: {' '.join(str(error).split())[:600]}")
                say(f"  failed: {error}")
            record["seconds"][part] = round(time.monotonic() - began, 1)
            record["environment"] = environment.finish(where)
            results.write(options.output, SUITE, record)
            options.output.with_suffix(".md").write_text(tables_of(record), encoding="utf-8")
    return record


def gpu() -> dict[str, Any]:
    """What the figures are of."""
    import torch

    found = slipstream.devices()
    return {
        "name": found.cuda[0].name if found.cuda else None,
        "driver_cuda": found.driver_cuda_version,
        "torch_cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version() if torch.version.cuda else None,
    }


def tables_of(record: Mapping[str, Any]) -> str:
    """Everything as Markdown: where, every scenario, and the goals last."""
    parts = ["```text", *environment.lines(record["environment"])]
    parts += [f"gpu       {record['gpu']}", "```", ""]
    for scenario, taken in record["scenarios"].items():
        parts.append(f"### {scenario}\n\n{table(taken)}")
    if record["device"] != "cpu":
        from bench.gpu.goals import GOALS

        parts.append(
            f"### Goals\n\n{goals_table([evaluate(one, record['scenarios']) for one in GOALS])}"
        )
    if record["size"] != "full":
        parts.append(f"--{record['size']}: few and short rounds; do not quote these figures")
    if record["device"] == "cpu":
        parts.append(ON_CPU)
    parts += [f"failed: {failure}" for failure in record["failed"]]
    return "\n".join(parts) + "\n"
