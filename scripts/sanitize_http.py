"""Loads a server whose compiled parts are built with AddressSanitizer: ``make sanitize-http``.

Good and bad clients, bursts beyond what the models can do, and an orderly end. Fails when the
sanitizer says anything, when an answer is wrong, or when a good request fails.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "asan-http"
sys.path.insert(0, str(ROOT))

from bench.http import servers, special  # noqa: E402, after the path
from bench.http.bodies import OWN  # noqa: E402
from bench.http.models import DEEP, GBDT, WIDE, make_all  # noqa: E402
from bench.lib.servers import Server  # noqa: E402


def build() -> Path:
    """Installs slipstream, built with the sanitizer, into a folder of its own."""
    site = BUILD / "site"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
         "--no-build-isolation", "--no-deps", "--upgrade", "--target", site,
         f"-Cbuild-dir={BUILD / 'cmake'}", "-Ccmake.build-type=RelWithDebInfo",
         "-Ccmake.define.SLIPSTREAM_SANITIZE=address,undefined", "."],
        check=True, cwd=ROOT,
    )  # fmt: skip
    return site


def environment(site: Path) -> dict[str, str]:
    """For an interpreter without the editable install, whose finder would come first."""
    found = [
        subprocess.run(
            ["g++", f"-print-file-name={name}"], capture_output=True, text=True, check=True
        ).stdout.strip()
        for name in ("libasan.so", "libubsan.so")
    ]
    return {
        "LD_PRELOAD": " ".join(found),
        "PYTHONPATH": os.pathsep.join((str(site), sysconfig.get_path("purelib"))),
        "PYTHONMALLOC": "malloc",
        # The interpreter never frees some of what it allocates at its start.
        "ASAN_OPTIONS": "detect_leaks=0:halt_on_error=1",
        "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    }


def load(server: Server, seconds: float) -> list[str]:
    """Loads the server in several ways; returns what went wrong."""
    wrong = []
    found = special.bad_clients(server, OWN, seconds)
    print(f"beside bad clients: {found}", flush=True)
    if found["failed"]:
        wrong.append(f"{found['failed']:g} good requests failed beside bad clients")
    for model in (WIDE, DEEP):
        with servers.constant(model, server) as ceiling:
            found = special.overload(server, ceiling, model, seconds, 0.5)
        print(f"overload of {model.name}: {found}")
        found = special.urgent(server, model, seconds, 0.5)
        print(f"urgent beside overload of {model.name}: {found}", flush=True)
        if found["urgent_failed"]:
            wrong.append(f"{found['urgent_failed']:g} urgent requests of {model.name} failed")
    return wrong


def main() -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=5.0, help="of each kind of load")
    seconds = parser.parse_args().seconds
    make_all()
    variables = environment(build())
    program = ("-S", "-m", "slipstream.cli.main")
    models = [GBDT, WIDE, DEEP]
    with servers.slipstream(models, "slipstream asan", env=variables, program=program) as server:
        wrong = load(server, seconds)
    log = server.log.read_text(encoding="utf-8", errors="replace")
    if "AddressSanitizer" in log or "runtime error" in log:
        wrong.append(f"the sanitizer said:\n{log}")
    if "slipstream stopped" not in log:
        wrong.append(f"the server did not stop in good order:\n{log[-2000:]}")
    print("\n".join(wrong) if wrong else "the sanitizer had nothing to say")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
