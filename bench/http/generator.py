"""Runs the load generator (``load/``) and checks what it says before anybody sees a figure.

Every response is checked: the generator compares each answer with those it has kept for the same
body, byte by byte, and the kept ones are compared here with what is right.
"""

from __future__ import annotations

import json
import struct
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.lib import tools
from bench.lib.latency import Latency

HERE = Path(__file__).resolve().parent
PROGRAM = tools.WORK / "load" / "http_load"
LEAST_BODIES = 64

Check = Callable[[int, bytes], str | None]
"""Given a body's index and an answer to it: None where it is right, else what is wrong."""


class LoadError(Exception):
    """The generator could not run, or an answer was wrong, or a request got lost."""


@dataclass(frozen=True)
class Traffic:
    """One class of requests.

    Attributes:
        name: Unique within a run.
        requests: Whole HTTP requests; at least 64 different ones.
        check: What is asked about every answer with status 200.
        key: JSON key of an answer's value; None: the whole body is the answer.
        connections: Kept open.
        rate: Requests a second, of an open loop; None: a closed loop, in which a connection sends
            again as soon as it has its answer.
        arrivals: ``poisson``, ``gamma`` (bursts) or ``uniform``, of an open loop.
        shape: Of the gamma distribution: 0.25 makes bursts.
        deadline_ms: Later answers are not in time; None: all are.
        variants: Different answers to one body that are accepted, if each is right: servers that
            batch round otherwise in another batch.
        refusals: Whether statuses other than 200 are answers too (bad clients, overload).
        seed: Of the arrivals.
    """

    name: str
    requests: Sequence[bytes]
    check: Check
    key: str | None = "predictions"
    connections: int = 1
    rate: float | None = None
    arrivals: str = "poisson"
    shape: float = 0.25
    deadline_ms: float | None = None
    variants: int = 64
    refusals: bool = False
    seed: int = 1


@dataclass(frozen=True)
class Measured:
    """What one class of requests came to; counts are of the window unless they say otherwise."""

    name: str
    seconds: float
    sent: int
    """In the whole run, warm-up included."""
    statuses: dict[int, int]
    """In the whole run."""
    broken: int
    """Connections that ended before their answer, in the whole run."""
    unfinished: int
    due: int
    ok: int
    in_time: int
    per_s: float
    """Answers with status 200 a second."""
    latency: Latency
    """Of answers with status 200, from when they were due."""
    refusals: Latency
    lag: Latency
    """From when a request was due to when it was sent."""
    generator_share: float = field(default=0.0)
    """Of a core that the generator itself used."""
    idle_closed: int = 0

    @property
    def failed(self) -> int:
        """Requests without a 200, in the whole run."""
        good = self.statuses.get(200, 0)
        return self.sent - good

    @property
    def in_time_per_s(self) -> float:
        """Goodput: answers within the deadline a second."""
        return self.in_time / self.seconds


def program() -> Path:
    """The generator, compiled from the sources as they are now."""
    tools.cmake(HERE / "load", PROGRAM.parent, PROGRAM.name)
    return PROGRAM


def run(
    address: str,
    traffics: Sequence[Traffic],
    seconds: float = 2.0,
    warmup_s: float = 0.3,
    idle: int = 0,
    drain_s: float = 5.0,
    coalesce_us: float = 0.0,
    turn_ms: float = 0.0,
) -> dict[str, Measured]:
    """Sends everything at once and returns what was measured, by class.

    Args:
        address: ``127.0.0.1:8000`` or ``unix:PATH``.
        traffics: Sent side by side, each over its own connections.
        seconds: What is measured.
        warmup_s: What is sent before that, and not timed (but checked).
        idle: Connections that are kept open beside, without requests.
        drain_s: How long answers are waited for at the end.
        coalesce_us: The generator looks at its sockets and sends no more often than that.
        turn_ms: Longest turn on a core that it asks the kernel for, so that it wakes in time beside
            those that compute; 0: as the kernel has it.

    Raises:
        LoadError: an answer is wrong, a request was lost, or the server went away.
    """
    with tempfile.TemporaryDirectory(prefix="bench-load-") as scratch:
        command: list[str] = [
            str(PROGRAM), "--connect", address, "--seconds", str(seconds), "--warmup",
            str(warmup_s), "--drain", str(drain_s), "--idle", str(idle),
            "--coalesce-us", str(coalesce_us), "--turn-ms", str(turn_ms),
        ]  # fmt: skip
        for traffic in traffics:
            command += _class_words(traffic, Path(scratch))
        try:
            ended = subprocess.run(
                command,
                capture_output=True,
                text=True,
                check=False,
                timeout=seconds + warmup_s + drain_s + 120,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise LoadError(f"the load generator did not run: {error}") from error
        if ended.returncode != 0:
            raise LoadError(ended.stderr.strip() or f"http_load ended with {ended.returncode}")
        said = json.loads(ended.stdout)
        found = {}
        for traffic, one in zip(traffics, said["classes"], strict=True):
            measured = _measured(one, said)
            _require_right(traffic, measured, one, Path(scratch) / f"{traffic.name}.answers")
            found[traffic.name] = measured
    return found


def write_requests(file: Path, requests: Sequence[bytes]) -> None:
    """Writes requests as the generator reads them."""
    file.write_bytes(b"".join(struct.pack("<Q", len(one)) + one for one in requests))


def read_answers(file: Path) -> Iterator[tuple[int, bytes]]:
    """The answers that the generator kept: the body's index, and the answer's text."""
    data = file.read_bytes()
    at = 0
    while at < len(data):
        body, length = struct.unpack_from("<IQ", data, at)
        at += 12
        yield body, data[at : at + length]
        at += length


def _class_words(traffic: Traffic, folder: Path) -> list[str]:
    if len(set(traffic.requests)) < LEAST_BODIES:
        raise LoadError(f"{traffic.name}: fewer than {LEAST_BODIES} different requests")
    write_requests(folder / f"{traffic.name}.requests", traffic.requests)
    words = [
        "--class", traffic.name,
        f"requests={folder / traffic.name}.requests",
        f"answers={folder / traffic.name}.answers",
        f"key={traffic.key or ''}",
        f"connections={traffic.connections}",
        f"variants={traffic.variants}",
        f"seed={traffic.seed}",
        f"deadline_ms={traffic.deadline_ms or 0}",
    ]  # fmt: skip
    if traffic.rate is not None:
        words += [f"arrivals={traffic.arrivals}", f"rate={traffic.rate}", f"shape={traffic.shape}"]
    return words


def _measured(one: dict[str, Any], run: dict[str, Any]) -> Measured:
    return Measured(
        name=one["name"],
        seconds=run["seconds"],
        sent=one["sent"],
        statuses={int(status): count for status, count in one["statuses"].items()},
        broken=one["broken"],
        unfinished=one["unfinished"],
        due=one["due"],
        ok=one["ok"],
        in_time=one["in_time"],
        per_s=one["ended_per_s"],
        latency=Latency.of_buckets(one["latency_ns"]["buckets"], one["latency_ns"]["max"]),
        refusals=Latency.of_buckets(one["refusals_ns"]["buckets"], one["refusals_ns"]["max"]),
        lag=Latency.of_buckets(one["lag_ns"]["buckets"], one["lag_ns"]["max"]),
        generator_share=run["cpu_s"] / run["wall_s"],
        idle_closed=run["idle_closed"],
    )


def _require_right(traffic: Traffic, measured: Measured, one: dict[str, Any], file: Path) -> None:
    """Raises `LoadError` unless every request was counted once and every answer is right."""
    counted = sum(measured.statuses.values()) + measured.broken + measured.unfinished
    if counted != measured.sent:
        raise LoadError(f"{traffic.name}: {measured.sent} requests sent, {counted} accounted for")
    if one["wrong_answers"]:
        raise LoadError(
            f"{traffic.name}: {one['wrong_answers']} wrong answers: another answer than before to "
            f"the same body, such as {one['wrong_example']!r}"
        )
    for body, answer in read_answers(file):
        wrong = traffic.check(body, answer)
        if wrong is not None:
            raise LoadError(f"{traffic.name}: wrong answer to body {body}: {wrong}")
    if not traffic.refusals and measured.failed:
        raise LoadError(
            f"{traffic.name}: {measured.failed} of {measured.sent} requests failed: statuses "
            f"{measured.statuses}, {measured.broken} broken, {measured.unfinished} unfinished"
        )
