"""How late a timeout is told: the answer's arrival less ``timeout_ms``, while the model is busy.

A custom model that sleeps keeps its only instance busy for much longer than any timeout here, so
every answer is a timeout: of a request that runs, or of one that waits behind it.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

_MODEL = """
import time
class Sleeper:
    def predict(self, rows):
        time.sleep(float(rows[0, 0]))
        return rows[:, 0]
ENTRY = Sleeper
"""
_BASE = "/api/inference"
_ROUNDS = 40
_TIMEOUTS_MS = (20.0, 100.0)
_READY = "slipstream ready on http://127.0.0.1:"


def main(words: Sequence[str] = ()) -> int:
    """Prints a table; 1 when an answer was no timeout."""
    parser = argparse.ArgumentParser(
        prog="python -m bench timeouts",
        description="How late timeouts are told, while the model is busy, by every way.",
    )
    parser.parse_args(words)
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "sleeper.py").write_text(_MODEL)
        server = subprocess.Popen(
            [
                *(sys.executable, "-m", "slipstream.cli.main", "serve", "--port", "0"),
                *("--model-dir", folder, "--load", "sleeper.py=sleeper"),
            ],
            env={**os.environ, "ALLOW_CUSTOM_CODE": "True"},
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert server.stderr is not None
            port = next(int(line.partition(_READY)[2]) for line in server.stderr if _READY in line)
            print(f"{'what':<34}{'timeout':>10}{'late p50':>12}{'p99':>10}{'max':>10}   ms")
            for what, path, body, general in _requests():
                for timeout_ms in _TIMEOUTS_MS:
                    late, others = _measure(port, path, body, timeout_ms, general)
                    wrong += others
                    print(
                        f"{what:<34}{timeout_ms:>10g}{late[len(late) // 2]:>12.3f}"
                        f"{late[int(len(late) * 0.99)]:>10.3f}{late[-1]:>10.3f}"
                    )
        finally:
            server.send_signal(signal.SIGKILL)
            server.wait()
    if wrong:
        print(f"{wrong} answers were no timeouts")
    return int(wrong > 0)


def _requests() -> list[tuple[str, str, dict[str, object], bool]]:
    row = {"data": [[30.0]]}
    return [
        ("predict, express", "/predict", row, False),
        ("predict, general", "/predict", row, True),
        ("batch, express", "/predict/batch", row, False),
        ("batch, general", "/predict/batch", row, True),
        ("multi-batch", "/predict/multi-batch", {"requests": [row, row]}, True),
    ]


def _measure(
    port: int, path: str, body: dict[str, object], timeout_ms: float, general: bool
) -> tuple[list[float], int]:
    """How late each was, sorted, in milliseconds; and how many were answered otherwise."""
    late, others = [], 0
    key = "batch_timeout_ms" if "requests" in body else "timeout_ms"
    headers = {"content-type": "application/json"}
    if general:
        headers["expect"] = "-"  # the express way declines it
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for _ in range(_ROUNDS):
        text = json.dumps({**body, key: timeout_ms})
        began = time.perf_counter()
        connection.request("POST", _BASE + path, text, headers)
        response = connection.getresponse()
        got = response.read()
        late.append((time.perf_counter() - began) * 1e3 - timeout_ms)
        others += b"DeadlineExceededError" not in got
    connection.close()
    return sorted(late), others


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
