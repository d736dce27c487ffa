"""This checkout beside another revision of it, over HTTP, in one interleaved run.

``python -m bench compare REVISION``: the revision's files go to ``build/bench/compare/COMMIT``,
where it gets an environment and a build of its own, by its own ``scripts/install.sh``. What is
measured is the server as it is installed, so run ``make install`` first.
"""

from __future__ import annotations

import argparse
import io
import subprocess
import sys
import tarfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from bench.http import bodies, generator, models, servers
from bench.http.bodies import OWN
from bench.http.command import names
from bench.http.generator import LoadError, Measured, Traffic
from bench.http.models import MODELS
from bench.http.rounds import Contender, run
from bench.http.scenarios import FULL, QUICK, SCENARIOS, SMOKE, Plan, Scenario
from bench.http.servers import OURS
from bench.lib import environment, results, tools
from bench.lib.servers import Server
from bench.lib.spread import ratio
from bench.lib.tables import figure, markdown
from bench.lib.tools import SetupError

SUITE = "compare"
PACKAGES = ("slipstream", "granian", "uvloop", "onnxruntime", "numpy")
FOLDER = tools.WORK / "compare"
COMPARED = [one.name for one in SCENARIOS if not one.full_only and one.name != "idle"]
_METRICS = (("per_s", "req/s"), ("p50_us", "p50"), ("p99_us", "p99"))
_PLANS = {"full": FULL, "quick": QUICK, "smoke": SMOKE}


def commit_of(revision: str) -> str:
    """The commit that a revision names.

    Raises:
        SetupError: there is none.
    """
    return tools.call(["git", "rev-parse", "--verify", f"{revision}^{{commit}}"]).strip()


def build(commit: str) -> Path:
    """The interpreter of that commit's environment, which is made if needed.

    Raises:
        SetupError: it cannot be installed.
    """
    tree = FOLDER / commit / "tree"
    python = tree / ".venv" / "bin" / "python"
    done = FOLDER / commit / "installed"
    if done.is_file():
        return python
    print(f"building {commit[:9]} into {tree.relative_to(tools.ROOT)}", flush=True)
    tree.mkdir(parents=True, exist_ok=True)
    packed = subprocess.run(
        ["git", "archive", "--format=tar", commit], cwd=tools.ROOT, capture_output=True, check=False
    )
    if packed.returncode != 0:
        raise SetupError(f"git archive: {packed.stderr.decode()[-300:]}")
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(tree, filter="data")
    tools.call([tree / "scripts" / "install.sh", "serve"])
    tools.call([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
                "-c", tree / "constraints.txt", "xgboost-cpu"])  # fmt: skip
    done.write_text(commit, encoding="utf-8")
    return python


def measure(
    commit: str, python: Path, chosen: Sequence[str], plan: Plan, say: Callable[[str], None]
) -> dict[str, list[dict[str, Any]]]:
    """Both revisions in turn, in every chosen scenario.

    Raises:
        SetupError: a server did not start.
        LoadError: an answer was wrong.
    """
    generator.program()
    models.make_all()
    other = f"{OURS} {commit[:9]}"
    found = {}
    for model in MODELS.values():
        mine = [one for one in SCENARIOS if one.model is model and one.name in chosen]
        if not mine:
            continue
        with (
            servers.slipstream([model]) as ours,
            servers.slipstream([model], other, python) as theirs,
        ):
            for scenario in mine:
                say(f"{scenario.name}: {scenario.title}")
                contenders = [
                    Contender(OURS, ours, _block(scenario, ours, plan)),
                    Contender(other, theirs, _block(scenario, theirs, plan)),
                ]
                taken = run(contenders, plan.rounds, say)
                for one in taken:
                    if one.left_out is not None:
                        raise LoadError(f"{scenario.name}, {one.name}: {one.left_out}")
                found[scenario.name] = [one.record() for one in taken]
    return found


def _block(scenario: Scenario, server: Server, plan: Plan) -> Callable[[], Measured]:
    options: dict[str, Any] = {"connections": scenario.connections}
    if scenario.rate is not None:
        options |= {"rate": scenario.rate, "arrivals": scenario.arrivals}
    traffic = bodies.traffic(OWN, scenario.model, scenario.rows, **options)
    return partial(_measure, server, traffic, plan)


def _measure(server: Server, traffic: Traffic, plan: Plan) -> Measured:
    return generator.run(server.address, [traffic], plan.block_s, plan.warmup_s)["all"]


def table(scenarios: dict[str, list[dict[str, Any]]]) -> str:
    """Ours over theirs, for each scenario: medians of the rounds' ratios, and their range."""
    rows = []
    for name, (ours, theirs) in scenarios.items():
        cells = []
        for metric, _ in _METRICS:
            mine = [values[metric] for values in ours["rounds"]]
            found = ratio([values[metric] for values in theirs["rounds"]], mine)
            spans = f"{figure(found.minimum)}–{figure(found.maximum)}"
            cells.append(f"{figure(found.median)} ({spans})")
        rows.append([name, *cells])
    return markdown(["ours over theirs", *(title for _, title in _METRICS)], rows)


def main(arguments: Sequence[str]) -> int:
    """``python -m bench compare REVISION``."""
    parser = argparse.ArgumentParser(prog="python -m bench compare", description=__doc__)
    parser.add_argument("revision", help="what git understands: main, HEAD~3, a commit")
    size = parser.add_mutually_exclusive_group()
    for word in ("quick", "smoke"):
        size.add_argument(
            f"--{word}", dest="size", action="store_const", const=word, default="full"
        )
    parser.add_argument("--scenarios", type=names(COMPARED), default=COMPARED, metavar="A,B")
    parser.add_argument("--output", type=Path, default=tools.WORK / "compare.json", metavar="FILE")
    options = parser.parse_args(arguments)
    try:
        commit = commit_of(options.revision)
        python = build(commit)
        where = environment.describe(PACKAGES)
        print("\n".join(environment.lines(where)), flush=True)
        plan = _PLANS[options.size]
        say = partial(print, flush=True)
        found = measure(commit, python, options.scenarios, plan, say)
    except (SetupError, LoadError, OSError) as error:
        print(f"bench compare: error: {error}", file=sys.stderr)
        return 1
    record = {
        "environment": environment.finish(where),
        "against": commit,
        "size": options.size,
        "scenarios": found,
    }
    results.write(options.output, SUITE, record)
    print(f"\nagainst {commit}\n\n{table(found)}\nwrote {options.output}")
    return 0
