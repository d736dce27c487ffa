"""A second opinion on the closed loop: ``wrk``, where it is installed, with the same bodies."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.http import bodies, generator, servers
from bench.http.bodies import OWN
from bench.http.generator import LoadError
from bench.http.models import SMALL
from bench.lib.servers import Server, only

CONNECTIONS = 64

_SCRIPT = """\
local file = io.open({file}, "rb")
local bodies = {{}}
for line in file:lines() do bodies[#bodies + 1] = line end
file:close()
local requests, turn = {{}}, 0
init = function()
  for i = 1, #bodies do
    local headers = {{["Content-Type"] = "application/json"}}
    requests[i] = wrk.format("POST", {path}, headers, bodies[i])
  end
end
request = function()
  turn = turn % #requests + 1
  return requests[turn]
end
done = function(summary)
  local e = summary.errors
  io.write(string.format("errors %d\\n", e.connect + e.read + e.write + e.status + e.timeout))
end
"""


def cross_check(rounds: int, seconds: float) -> dict[str, Any]:
    """The closed loop of the small network by wrk: slipstream's, and that of the constant answer.

    Returns:
        Requests a second and their ratio, by round; beside them what our own generator makes of
        slipstream. Or why there is no wrk.
    """
    program = shutil.which("wrk")
    if program is None:
        return {"why": "wrk is not installed"}
    traffic = bodies.traffic(OWN, SMALL, 1, connections=CONNECTIONS)
    found: dict[str, Any] = {"wrk_per_s": [], "wrk_constant_per_s": [], "ours_per_s": []}
    with (
        servers.slipstream([SMALL]) as server,
        servers.constant(SMALL, server) as constant,
        tempfile.TemporaryDirectory() as folder,
    ):
        script = write_script(Path(folder), traffic.requests, OWN.path(SMALL))
        command = [program, "-t1", f"-c{CONNECTIONS}", f"-d{max(1, round(seconds))}s", "-s", script]
        both = (server, constant)
        try:
            for _ in range(rounds):
                with only(server, both):
                    found["wrk_per_s"].append(_rate(command, server))
                    measured = generator.run(server.address, [traffic], seconds)["all"]
                    found["ours_per_s"].append(measured.per_s)
                with only(constant, both):
                    found["wrk_constant_per_s"].append(_rate(command, constant))
        except (LoadError, subprocess.TimeoutExpired) as error:
            return {"why": str(error)}
    return found


def _rate(command: Sequence[str | Path], server: Server) -> float:
    """Requests a second that wrk counts."""
    ended = subprocess.run(
        [*command, f"http://{server.address}"],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    rate = re.search(r"Requests/sec:\s*([\d.]+)", ended.stdout)
    errors = re.search(r"errors (\d+)", ended.stdout)
    if ended.returncode != 0 or rate is None or errors is None:
        raise LoadError(f"wrk failed: {(ended.stdout + ended.stderr)[-200:]!r}")
    if int(errors[1]):
        raise LoadError(f"wrk counted {errors[1]} errors")
    return float(rate[1])


def write_script(folder: Path, requests: Sequence[bytes], path: str) -> Path:
    """The Lua script that rotates the requests' bodies."""
    file = folder / "bodies"
    file.write_bytes(b"\n".join(one.partition(b"\r\n\r\n")[2] for one in requests))
    script = folder / "rotate.lua"
    text = _SCRIPT.format(file=json.dumps(str(file)), path=json.dumps(path))
    script.write_text(text, encoding="utf-8")
    return script
