"""A speech child and who watches over it: it is killed, it hangs, it is not wanted any more."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import psutil
import pytest

from http_server import clean_environment, eventually
from slipstream.audio import process as process_module
from slipstream.audio.process import ChildOptions, SpeechProcess
from slipstream.errors import (
    DeadlineExceededError,
    InvalidInputError,
    MissingDependencyError,
    QueueFullError,
    UnavailableError,
)
from slipstream.http.front import FrontLoop

ASKED = {"voice": "en-us", "texts": ["Hello."]}
HELLO = ["h", "ə", "l", "ˈ", "o", "ʊ", "."]


@pytest.fixture(scope="module", autouse=True)
def others() -> set[int]:
    """Processes that other tests of this worker have, before the first one here."""
    return {one.pid for one in psutil.Process().children(recursive=True)}


def run(work: Coroutine[Any, Any, None]) -> None:
    """On the loop that a server runs on."""
    with asyncio.Runner(loop_factory=FrontLoop) as runner:
        runner.run(work)


def child(most_waiting: int = 4) -> SpeechProcess:
    return SpeechProcess("phonemes", "espeak-ng", {}, ChildOptions(5, 1), most_waiting)


async def hello(process: SpeechProcess, timeout_s: float = 60.0) -> list[str]:
    answer, payload = await process.run(ASKED, timeout_s=timeout_s)
    assert payload == b""
    found: list[str] = answer["phonemes"][0]
    return found


async def in_progress(process: SpeechProcess, timeout_s: float = 60.0) -> asyncio.Task[list[str]]:
    """A job of a child that has been stopped in its tracks."""
    await hello(process)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGSTOP)
    job = asyncio.create_task(hello(process, timeout_s))
    while not process.is_busy:
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.05)  # until the job has been sent
    return job


def test_it_answers_and_ranks_behind_the_server() -> None:
    async def work() -> None:
        process = child()
        assert not process.is_running
        assert await hello(process) == HELLO
        pid = process.pid
        assert await hello(process) == HELLO
        assert process.pid == pid
        assert psutil.Process(pid).nice() == os.nice(0) + 5
        await process.close()
        assert pid is not None and not psutil.pid_exists(pid)

    run(work())


def test_an_error_of_the_request_is_told_and_costs_no_child() -> None:
    async def work() -> None:
        process = child()
        with pytest.raises(InvalidInputError, match="does not know the voice 'nobody'"):
            await process.run({"voice": "nobody", "texts": ["a"]}, timeout_s=60)
        pid = process.pid
        assert await hello(process) == HELLO
        assert (process.pid, process.restarts) == (pid, 0)
        await process.close()

    run(work())


def test_a_child_that_dies_costs_the_job_that_it_did() -> None:
    async def work() -> None:
        process = child()
        first = await in_progress(process)
        others = [asyncio.create_task(hello(process)) for _ in range(3)]
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        with pytest.raises(UnavailableError, match="signal 9"):
            await first
        assert await asyncio.gather(*others) == [HELLO] * 3
        assert process.restarts == 1
        await process.close()

    run(work())


def test_a_child_that_hangs_is_killed_and_the_next_job_has_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(process_module, "_WITHDRAWN_S", 0.2)

    async def work() -> None:
        process = child()
        first = await in_progress(process, timeout_s=0.3)
        pid = process.pid
        second = asyncio.create_task(hello(process))
        with pytest.raises(DeadlineExceededError, match=r"espeak-ng did not answer within 0\.3 s"):
            await first
        assert await second == HELLO
        assert process.pid != pid
        await process.close()

    run(work())


def test_a_child_that_is_only_slow_stays() -> None:
    async def work() -> None:
        process = child()
        first = await in_progress(process, timeout_s=0.1)
        pid = process.pid
        assert pid is not None
        with pytest.raises(DeadlineExceededError):
            await first
        os.kill(pid, signal.SIGCONT)
        assert await hello(process) == HELLO
        assert (process.pid, process.restarts) == (pid, 0)
        await process.close()

    run(work())


def test_who_waits_too_long_goes_and_the_job_in_progress_stays() -> None:
    async def work() -> None:
        process = child()
        first = await in_progress(process)
        pid = process.pid
        assert pid is not None
        with pytest.raises(DeadlineExceededError):
            await hello(process, timeout_s=0.1)
        os.kill(pid, signal.SIGCONT)
        assert await first == HELLO
        assert process.pid == pid
        await process.close()

    run(work())


def test_a_job_that_is_withdrawn_is_dropped_and_the_child_stays() -> None:
    async def work() -> None:
        process = child()
        first = await in_progress(process)
        pid = process.pid
        assert pid is not None
        second = asyncio.create_task(hello(process))
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        os.kill(pid, signal.SIGCONT)
        assert await second == HELLO
        assert (process.pid, process.restarts) == (pid, 0)
        await process.close()

    run(work())


def test_a_withdrawn_job_that_goes_on_for_long_costs_the_child(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(process_module, "_WITHDRAWN_S", 0.2)

    async def work() -> None:
        process = child()
        first = await in_progress(process)
        pid = process.pid
        first.cancel()
        assert await hello(process) == HELLO
        assert process.pid != pid
        await process.close()

    run(work())


def test_who_waits_may_be_withdrawn_too() -> None:
    async def work() -> None:
        process = child()
        first = await in_progress(process)
        waiting = asyncio.create_task(hello(process))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert process.pid is not None
        os.kill(process.pid, signal.SIGCONT)
        assert await first == HELLO
        assert await hello(process) == HELLO
        await process.close()

    run(work())


def test_so_many_may_wait() -> None:
    async def work() -> None:
        process = child(most_waiting=2)
        first = await in_progress(process)
        waiting = [asyncio.create_task(hello(process)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(QueueFullError, match="2 requests wait for espeak-ng"):
            await hello(process)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGCONT)
        assert await asyncio.gather(first, *waiting) == [HELLO] * 3
        await process.close()

    run(work())


def test_closing_ends_what_is_in_progress() -> None:
    async def work() -> None:
        process = child()
        first = await in_progress(process)
        await process.close()
        with pytest.raises(UnavailableError):
            await first
        with pytest.raises(UnavailableError, match="is being closed"):
            await hello(process)

    run(work())


def test_closing_while_it_starts() -> None:
    async def work() -> None:
        process = child()
        first = asyncio.create_task(hello(process))
        await asyncio.sleep(0.02)
        await process.close()
        with pytest.raises((UnavailableError, asyncio.CancelledError)):
            await first

    run(work())


def test_a_library_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "piper.py").write_text("raise ImportError('hidden by a test')")
    path = os.pathsep.join((str(tmp_path), os.environ.get("PYTHONPATH", "")))
    monkeypatch.setenv("PYTHONPATH", path)

    async def work() -> None:
        process = child()
        with pytest.raises(MissingDependencyError, match=r"slipstream\[espeak\].*GPL-3\.0"):
            await hello(process)
        await process.close()

    run(work())


def test_it_does_not_know_the_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEYS", "a-secret-key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "no setting of slipstream's")
    monkeypatch.setenv("HF_TOKEN", "neither")
    monkeypatch.setenv("LC_TIME", "C")

    async def work() -> None:
        process = child()
        await hello(process)
        known = psutil.Process(process.pid).environ()
        assert not {"API_KEYS", "AWS_SECRET_ACCESS_KEY", "HF_TOKEN"} & known.keys()
        assert known["LC_TIME"] == "C"
        await process.close()

    run(work())


def test_a_child_that_cannot_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")

    async def work() -> None:
        process = child()
        with pytest.raises(UnavailableError, match="status 1"):
            await hello(process)
        await process.close()

    run(work())


def test_it_dies_with_its_server() -> None:
    program = (
        "import asyncio\n"
        "from test_speech_process import child, hello\n"
        "async def work():\n"
        "    process = child()\n"
        "    await hello(process)\n"
        "    print(process.pid, flush=True)\n"
        "    await asyncio.sleep(600)\n"
        "asyncio.run(work())\n"
    )
    server = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        text=True,
        env=clean_environment(),
        cwd=Path(__file__).parent,
    )
    try:
        assert server.stdout is not None
        pid = int(server.stdout.readline())
        os.kill(pid, signal.SIGSTOP)  # it reads nothing, so only the kernel can tell it
        server.kill()
        server.wait(30)
        eventually(lambda: not psutil.pid_exists(pid) or _is_dead(pid))
    finally:
        if server.poll() is None:
            server.kill()
            server.wait(30)


def _is_dead(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_its_output_is_not_taken_for_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Libraries print: here one that prints while it is imported, and in each call."""
    (tmp_path / "piper").mkdir()
    (tmp_path / "piper" / "__init__.py").write_text("print('hello from a library')\n")
    (tmp_path / "piper" / "phonemize_espeak.py").write_text(
        "import os\n"
        "class EspeakPhonemizer:\n"
        "    def phonemize(self, *given):\n"
        "        print('one call', flush=True)\n"
        "        os.write(1, b'past python')\n"
        "        return [['a'], ['b']]\n"
    )
    path = os.pathsep.join((str(tmp_path), os.environ.get("PYTHONPATH", "")))
    monkeypatch.setenv("PYTHONPATH", path)

    async def work() -> None:
        process = child()
        assert await hello(process) == ["a", " ", "b"]
        await process.close()

    run(work())


def test_no_process_is_left(others: set[int]) -> None:
    # One whose start was cancelled ends by itself, when it finds its input closed.
    children = {one.pid for one in psutil.Process().children(recursive=True)} - others
    eventually(lambda: all(map(_is_dead, children)))
