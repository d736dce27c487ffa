"""SIGHUP: every step runs, whatever became of the others; a terminal that goes ends the server."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios
import time

import httpx
import pytest

from http_models import fresh_folder
from http_server import SMALL_APP, clean_environment, eventually, running, slipstream_server


def test_steps_run_one_after_the_other_and_a_failure_stops_none() -> None:
    with running([SMALL_APP]) as server, server.client() as client:
        for count in (1, 2):
            server.process.send_signal(signal.SIGHUP)
            eventually(lambda count=count: client.get("/state").json()["hangups"] == count)  # type: ignore[misc]
        assert server.log.count("what was in force stays: this file is damaged") == 2
        assert server.log.count("RuntimeError: a fault of a step") == 2
        assert client.get("/count").status_code == 200
        assert server.stop() == 0


def test_the_server_lives_on(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = fresh_folder(tmp_path_factory, "http-hangup", "wine.pkl")
    with slipstream_server(env={"MODEL_DIR": str(folder)}) as server, server.client() as client:
        server.process.send_signal(signal.SIGHUP)
        eventually(lambda: "SIGHUP: reading again" in server.log)
        assert client.get("/api/inference/health").status_code == 200
        assert server.stop() == 0


@pytest.mark.parametrize("survives", [False, True])
def test_a_terminal_that_goes(survives: bool) -> None:
    """What was started in a terminal ends with it, unless it was told to survive that."""
    mine, its = pty.openpty()

    def take_the_terminal() -> None:
        os.setsid()
        fcntl.ioctl(its, termios.TIOCSCTTY, 0)
        # Whoever runs these tests may have told them to survive it, which children inherit.
        signal.signal(signal.SIGHUP, signal.SIG_IGN if survives else signal.SIG_DFL)

    process = subprocess.Popen(
        [sys.executable, SMALL_APP],
        env=clean_environment(),
        stdin=its,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=take_the_terminal,
    )
    try:
        os.close(its)
        assert process.stderr is not None
        address = next(line for line in process.stderr if "ready on" in line).split()[-1]
        assert httpx.get(f"{address}/count").status_code == 200
        os.close(mine)
        if survives:
            time.sleep(0.5)
            assert httpx.get(f"{address}/count").status_code == 200
        else:
            assert process.wait(30) == 0
    finally:
        process.kill()
        process.communicate()
