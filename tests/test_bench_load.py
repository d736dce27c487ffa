"""The load generator meets a small server: everything is counted once, and checked."""

from __future__ import annotations

import importlib
import json
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from small_http_server import SmallServer, request, respond

BODIES = [f'{{"data": [{number}]}}'.encode() for number in range(64)]
REQUESTS = [request(body) for body in BODIES]
RUN = {"seconds": 0.3, "warmup_s": 0.05}


@pytest.fixture(scope="module")
def generator(root: Path) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(root))
        module = importlib.import_module("bench.http.generator")
        module.program()
        yield module


def echo(body: bytes, number: int) -> bytes:
    """Answers the number of the body."""
    return respond(b'{"time": 1, "predictions": ' + number_of(body) + b', "id": "x"}')


def number_of(body: bytes) -> bytes:
    return body.partition(b"[")[2].partition(b"]")[0]


def right(body: int, answer: bytes) -> str | None:
    return None if int(answer) == body else f"{answer!r}"


def traffic(generator: Any, **changes: Any) -> Any:
    options = {"name": "all", "requests": REQUESTS, "check": right, "variants": 1, **changes}
    return generator.Traffic(**options)


@pytest.mark.parametrize("connections", [1, 7])
def test_every_request_is_sent_and_counted_once(generator: Any, connections: int) -> None:
    with SmallServer(echo) as server:
        found = generator.run(server.address, [traffic(generator, connections=connections)], **RUN)
    measured = found["all"]
    assert measured.sent == len(server.bodies) > 64
    assert measured.statuses == {200: measured.sent}
    assert measured.broken == measured.unfinished == measured.failed == 0
    assert 0 < measured.ok == measured.due == measured.latency.count <= measured.sent
    assert measured.in_time == measured.ok
    counts = Counter(server.bodies)
    assert set(counts) == set(BODIES), "bodies are rotated"
    assert max(counts.values()) - min(counts.values()) <= 1


@pytest.mark.parametrize("arrivals", ["uniform", "poisson", "gamma"])
def test_an_open_loop_sends_what_is_due(generator: Any, arrivals: str) -> None:
    one = traffic(generator, connections=8, rate=800.0, arrivals=arrivals)
    with SmallServer(echo) as server:
        measured = generator.run(server.address, [one], **RUN)["all"]
    assert measured.sent == len(server.bodies) == measured.statuses[200]
    assert measured.ok == measured.due == measured.lag.count
    if arrivals == "uniform":
        assert abs(measured.due - 240) <= 1
    assert measured.due > 20


def test_a_server_that_stalls_makes_all_later_requests_late(generator: Any) -> None:
    one = traffic(generator, rate=200.0, arrivals="uniform", deadline_ms=50.0)
    with SmallServer(echo) as server:
        server.stall_s = 0.3
        measured = generator.run(server.address, [one], seconds=0.5, warmup_s=0)["all"]
    assert abs(measured.due - 100) <= 1, "a stall omits nothing"
    # About fifty were due more than 50 ms before the stall ended.
    assert measured.due - measured.in_time >= 40
    assert measured.latency.max_ns >= 280e6


def test_chunks_and_closed_connections_are_understood(generator: Any) -> None:
    def behave(body: bytes, number: int) -> bytes:
        value = number_of(body)
        text = b'{"note": "\\"predictions\\": [", "predictions" : ' + value + b"}"
        if number % 3 == 0:
            return respond(text, headers="Connection: close\r\n")
        half = len(text) // 2
        pieces = b"".join(b"%x\r\n%b\r\n" % (len(t), t) for t in (text[:half], text[half:], b""))
        return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + pieces

    with SmallServer(behave) as server:
        measured = generator.run(server.address, [traffic(generator, connections=4)], **RUN)["all"]
    assert measured.sent == len(server.bodies) == measured.statuses[200]


def test_broken_connections_and_refusals_are_counted(generator: Any) -> None:
    def behave(body: bytes, number: int) -> bytes | None:
        if number % 5 == 0:
            return None
        return respond(b"busy", 503) if number % 5 == 1 else echo(body, number)

    with SmallServer(behave) as server:
        one = traffic(generator, connections=3, refusals=True)
        measured = generator.run(server.address, [one], **RUN)["all"]
        assert measured.sent == len(server.bodies)
        assert measured.broken == len(range(0, measured.sent, 5))
        assert measured.statuses[503] == len(range(1, measured.sent, 5))
        assert measured.refusals.count + measured.ok <= measured.sent
        with pytest.raises(generator.LoadError, match="requests failed"):
            generator.run(server.address, [traffic(generator)], **RUN)


def test_another_answer_to_the_same_body_fails(generator: Any) -> None:
    with (
        SmallServer(lambda body, number: respond(b'{"predictions": %d}' % number)) as server,
        pytest.raises(generator.LoadError, match="another answer than before"),
    ):
        generator.run(server.address, [traffic(generator)], **RUN)


def test_an_answer_that_is_not_right_fails(generator: Any) -> None:
    def behave(body: bytes, number: int) -> bytes:
        value = b"7" if number_of(body) == b"63" else number_of(body)
        return respond(b'{"predictions": ' + value + b"}")

    with (
        SmallServer(behave) as server,
        pytest.raises(generator.LoadError, match="wrong answer to body 63: b'7'"),
    ):
        generator.run(server.address, [traffic(generator)], **RUN)


def test_an_answer_without_the_key_fails(generator: Any) -> None:
    with (
        SmallServer(lambda body, number: respond(b'{"data": 1}')) as server,
        pytest.raises(generator.LoadError, match="wrong answers"),
    ):
        generator.run(server.address, [traffic(generator)], **RUN)


def test_variants_are_all_checked(generator: Any) -> None:
    def behave(body: bytes, number: int) -> bytes:
        zeros = b"0" * (number // 64 % 3)
        return respond(b'{"predictions": ' + number_of(body) + b"." + zeros + b"0}")

    seen: set[bytes] = set()

    def check(body: int, answer: bytes) -> str | None:
        seen.add(answer)
        return None if float(answer) == body else "wrong"

    with SmallServer(behave) as server:
        one = traffic(generator, check=check, variants=3)
        measured = generator.run(server.address, [one], **RUN)["all"]
    assert measured.statuses[200] == measured.sent > 192
    assert {b"5.0", b"5.00", b"5.000"} <= seen


def test_classes_and_idle_connections_run_beside(generator: Any, tmp_path: Path) -> None:
    classes = [
        traffic(generator, name="first", connections=2),
        traffic(generator, name="second", rate=300.0, connections=4),
    ]
    with SmallServer(echo, tmp_path / "socket") as server:
        found = generator.run(server.address, classes, idle=20, **RUN)
    assert sum(one.sent for one in found.values()) == len(server.bodies) - 20
    assert found["first"].idle_closed == 0
    assert found["second"].due > 20


def test_what_cannot_be_run_says_why(generator: Any) -> None:
    with pytest.raises(generator.LoadError, match="fewer than 64 different requests"):
        generator.run("127.0.0.1:1", [traffic(generator, requests=REQUESTS[:63])], **RUN)
    with pytest.raises(generator.LoadError, match=r"cannot connect to 127\.0\.0\.1:1"):
        generator.run("127.0.0.1:1", [traffic(generator)], **RUN)
    for words, why in (
        (["--connect", "nowhere"], "--class is needed"),
        (["--class", "a", "rate=x"], "rate: 'x' is no number"),
        (["--class", "a", "colour=blue"], "no key 'colour'"),
        (["--connect", "x:1", "--class", "a", "requests=f", "arrivals=poisson"], "has a rate"),
    ):
        ended = subprocess.run([generator.PROGRAM, *words], capture_output=True, check=False)
        assert ended.returncode == 1 and why in ended.stderr.decode()


def test_percentiles_are_those_of_the_buckets(generator: Any, tmp_path: Path) -> None:
    file = tmp_path / "requests"
    generator.write_requests(file, REQUESTS)
    with SmallServer(echo) as server:
        ended = subprocess.run(
            [generator.PROGRAM, "--connect", server.address, "--seconds", "0.3",
             "--class", "a", f"requests={file}", "connections=3", "key=predictions"],
            capture_output=True, check=True,
        )  # fmt: skip
    latency = json.loads(ended.stdout)["classes"][0]["latency_ns"]
    module = importlib.import_module("bench.lib.latency")
    read = module.Latency.of_buckets(latency["buckets"], latency["max"])
    assert read.count == latency["count"] == sum(n for _, n in latency["buckets"])
    for percent, key in ((50, "p50"), (90, "p90"), (99, "p99"), (99.9, "p99_9")):
        assert read.percentile_us(percent) == pytest.approx(latency[key] / 1e3, rel=0.01)
    assert latency["min"] <= latency["p50"] <= latency["p99"] <= latency["max"]
    assert read.mean_us() == pytest.approx(latency["mean"] / 1e3, rel=0.01)
