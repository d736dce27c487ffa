"""The HTTP benchmark's pure parts: bodies, checks, rounds, goals, tables, the report's page."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from http_server import eventually
from small_http_server import SmallServer, request, respond


@pytest.fixture
def bench(root: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    monkeypatch.syspath_prepend(str(root))
    return lambda name: importlib.import_module(f"bench.{name}")


# Latencies.


def latency_of(bench: Any, *pairs: tuple[int, int], largest: int = 0) -> Any:
    return bench("lib.latency").Latency.of_buckets(pairs, largest or pairs[-1][0])


def test_percentiles_of_buckets(bench: Any) -> None:
    one = latency_of(bench, (1_000, 50), (2_000, 40), (3_000, 9), (9_000, 1), largest=8_500)
    assert one.count == 100
    values = [one.percentile_us(percent) for percent in (1, 50, 50.1, 90, 99, 99.9, 100)]
    assert values == [1, 1, 2, 2, 3, 8.5, 8.5]
    assert one.share_within(2.0) == 0.9 and one.share_within(0.5) == 0
    places, shares = one.curve()
    assert places == [1, 2, 3, 8.5] and shares == [0.5, 0.9, 0.99, 1.0]
    with pytest.raises(ValueError, match="no percentile 0"):
        one.percentile_us(0)


def test_histograms_merge_and_may_be_empty(bench: Any) -> None:
    latency = bench("lib.latency").Latency
    merged = latency.merged(
        [latency_of(bench, (10, 1), (30, 2)), latency_of(bench, (10, 3), (20, 1))]
    )
    assert merged.ends_ns == (10, 20, 30) and merged.counts == (4, 1, 2) and merged.max_ns == 30
    nothing = latency.merged([])
    assert nothing.count == 0 and nothing.percentile_us(50) is None
    assert nothing.figures()["p99_us"] is None and nothing.share_within(1) == 0


# Bodies.


def test_bodies_differ_and_hold_the_rows(bench: Any) -> None:
    bodies, models = bench("http.bodies"), bench("http.models")
    rows = models.SMALL.rows(3, seed=1)
    for dialect in (bodies.OWN, bodies.PLAIN, bodies.V2):
        head, _, text = bodies.post(dialect, models.SMALL, rows).partition(b"\r\n\r\n")
        assert f"Content-Length: {len(text)}".encode() in head
        asked = json.loads(text)
        data = asked["inputs"][0]["data"] if dialect is bodies.V2 else asked["data"]
        assert np.array_equal(np.asarray(data, np.float32).reshape(rows.shape), rows)
    asked = json.loads(
        bodies.post(bodies.OWN, models.GBDT, rows, {"timeout_ms": 9}).split(b"\r\n\r\n")[1]
    )
    assert asked["return_probabilities"] is True and asked["timeout_ms"] == 9


def test_an_answer_is_compared_as_numbers(bench: Any) -> None:
    differs = bench("http.models").differs
    right = np.array([[0.25, 0.75], [0.5, 0.5]], np.float32)
    assert differs(b"[[0.25, 0.75], [0.5, 0.50000003]]", right) is None
    assert differs(b"[0.25, 0.75, 0.5, 0.5]", right) is None, "tensors may be flat"
    assert "row 1" in differs(b"[[0.25, 0.75], [0.49, 0.51]]", right)
    assert "2 numbers" in differs(b"[1, 2]", right)
    assert "no array" in differs(b"{", right)


def test_spoiled_bodies_hold_a_string(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bodies, models = bench("http.bodies"), bench("http.models")
    rows = [models.GBDT.rows(1, seed=n) for n in range(3)]
    monkeypatch.setattr(bodies, "_inputs", lambda model, count: (rows, None))
    for dialect in (bodies.OWN, bodies.PLAIN, bodies.V2):
        for text in bodies.spoiled(dialect, models.GBDT):
            asked = json.loads(text.partition(b"\r\n\r\n")[2])
            if dialect is bodies.V2:
                assert asked["inputs"][0]["shape"] == [1, 30]
                found = asked["inputs"][0]["data"]
            else:
                found = asked["data"][0]
            assert len(found) == 30 and isinstance(found[0], str)


# Rounds.


class Quiet:
    """A server that only notes whether it runs."""

    def __init__(self) -> None:
        self.running = True

    def pause(self) -> None:
        self.running = False

    def resume(self) -> None:
        self.running = True


def measured_of(bench: Any, per_s: float) -> Any:
    generator = bench("http.generator")
    some = latency_of(bench, (1_000, 10))
    return generator.Measured(
        name="all", seconds=1, sent=10, statuses={200: 10}, broken=0, unfinished=0, due=10, ok=10,
        in_time=10, per_s=per_s, latency=some, refusals=some, lag=some,
    )  # fmt: skip


def test_contenders_run_alone_and_failures_leave_out(bench: Any) -> None:
    rounds, generator = bench("http.rounds"), bench("http.generator")
    servers = {name: Quiet() for name in "abc"}
    ran: list[str] = []

    def block(name: str) -> Any:
        assert [key for key, server in servers.items() if server.running] == [name]
        ran.append(name)
        if name == "c" and len(ran) > 3:
            raise generator.LoadError("c: wrong answer")
        return measured_of(bench, 100.0 + len(ran))

    contenders = [
        rounds.Contender(name, server, lambda name=name: block(name))
        for name, server in servers.items()
    ]
    said: list[str] = []
    a, b, c = rounds.run(contenders, 12, said.append)
    assert len(a.rounds) == len(b.rounds) == 12 and c.rounds == []
    assert c.left_out == "c: wrong answer" and ran.count("c") == 2
    assert all(server.running for server in servers.values())
    orders = {tuple(ran[i : i + 2]) for i in range(len(ran) - 16, len(ran), 2)}
    assert len(orders) > 1, "the order changes"
    record = a.record()
    assert record["latency"]["count"] == 120 and record["medians"]["p50_us"] == 1.0
    assert sum("left out" in line for line in said) == 1


# Goals.


def scenario(**rates: list[float] | str) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "rounds": []
            if isinstance(values, str)
            else [{"per_s": value, "p50_us": 1e6 / value} for value in values],
            "left_out": values if isinstance(values, str) else None,
        }
        for name, values in rates.items()
    ]  # fmt: skip


def test_goals_compare_within_rounds(bench: Any) -> None:
    goals = bench("lib.goals")
    taken = {
        "s": scenario(slipstream=[20, 10, 30], slow=[5, 5, 5], quick=[10, 5, 10], ceiling=[99] * 3)
    }
    goal = goals.Goal("rate", "s", "per_s", 2, True, over=goals.BEST)
    found = goals.evaluate(goal, taken, ["ceiling"])
    assert found.over == "quick" and found.met
    assert (found.measured.minimum, found.measured.median, found.measured.maximum) == (2, 2, 3)
    assert not goals.evaluate(goal._replace(limit=2.1), taken, ["ceiling"]).met
    time = goals.Goal("p50", "s", "p50_us", 0.5, False, over=goals.BEST, best_by="p50_us")
    assert goals.evaluate(time, taken, ["ceiling"]).over == "quick"
    assert goals.evaluate(time, taken, ["ceiling"]).met
    alone = goals.Goal("own", "s", "per_s", 25, False)
    assert goals.evaluate(alone, taken).measured.median == 20 and goals.evaluate(alone, taken).met


def test_goals_that_were_not_measured_say_why(bench: Any) -> None:
    goals = bench("lib.goals")
    goal = goals.Goal("rate", "s", "per_s", 2, True, over="gone")
    cases = {
        "not measured": {},
        "gone was not measured": {"s": scenario(slipstream=[1])},
        "no wheel": {"s": scenario(slipstream=[1], gone="no wheel")},
        "crashed": {"s": scenario(slipstream="crashed", gone=[1])},
    }
    for why, taken in cases.items():
        found = goals.evaluate(goal, taken)
        assert found.met is None and found.why == why
    lonely = goals.evaluate(goal._replace(over=goals.BEST), {"s": scenario(slipstream=[1])})
    assert lonely.why == "no rival was measured"
    table = goals.table([lonely, goals.evaluate(goal, cases["not measured"])])
    assert table.count("\n") == 4 and "(no rival was measured)" in table


def test_every_goal_names_what_is_measured(bench: Any) -> None:
    goals, scenarios = bench("goals"), bench("http.scenarios")
    everything, registry, parse = (
        bench("everything"),
        bench("rivals.registry"),
        bench("micro.parse"),
    )
    parsed = {parse.scenario(*body) for body in parse.BODIES}
    known = {*scenarios.EVERY, *everything.SUITES, *parsed}
    others = {*registry.QUICK, *goals.NOT_RIVALS, *parse.GOALS, goals.ORT, goals.BEST, None}
    for goal in goals.GOALS:
        assert goal.scenario in known, goal
        assert goal.over in others, goal


# The small suites.


def test_stages_add_up(bench: Any) -> None:
    stages = bench("stages")

    def summary(count: int, sum_us: float) -> dict[str, float]:
        return {"count": count, "sum_ns": sum_us * 1e3}

    stats = {
        "stages": {
            "queue": summary(5, 50), "batch": summary(2, 1), "stage": summary(2, 2),
            "execute": summary(10, 100), "complete": summary(2, 3), "total": summary(20, 400),
        },
        "succeeded": 20, "executions": 10, "inline_executions": 8,
    }  # fmt: skip
    found = stages.breakdown(stats, client_us=50.0)
    assert found["around"] == 30 and found["queue"] == 2.5 and found["execute"] == 10
    parts = sum(found[name] for name in (stages.AROUND, *stages.STAGES, "rest_of_core"))
    assert parts == pytest.approx(found["client"])
    assert found["inline_share"] == 0.8 and found["requests_per_execution"] == 2


def test_steps_of_cores(bench: Any) -> None:
    steps = bench("scale").steps
    assert [steps(n) for n in (1, 2, 3, 8, 12)] == [
        [1], [1, 2], [1, 2, 3], [1, 2, 4, 8], [1, 2, 4, 8, 12]
    ]  # fmt: skip


# Servers.


def test_asking_a_server_once(bench: Any) -> None:
    servers = bench("lib.servers")

    def behave(body: bytes, number: int) -> bytes:
        if number == 0:
            return respond(b"no", 503)
        return (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
        )

    with SmallServer(behave) as server:
        port = int(server.address.rpartition(":")[2])
        assert servers.ask(port, request(b"x")) == (503, b"no")
        assert servers.ask(port, request(b"x")) == (200, b"abc")


def test_a_server_that_does_not_start_says_why(bench: Any, monkeypatch: Any, tmp_path: Any) -> None:
    servers, tools = bench("lib.servers"), bench("lib.tools")
    monkeypatch.setattr(servers, "LOGS", tmp_path)
    ends = [sys.executable, "-c", "import sys; sys.exit('there is no model')"]
    with (
        servers.Server("brief", ends, servers.free_port()) as server,
        pytest.raises(tools.SetupError, match=r"brief ended at its start: there is no model"),
    ):
        server.wait(request(b"x"), lambda body: None, 30)
    with servers.Server(
        "sleeper", [sys.executable, "-c", "import time; time.sleep(99)"], 1
    ) as server:
        eventually(lambda: server.rss_mb() > 1)  # once it is more than a process to be
        assert len(server.tree()) == 1
        server.pause()
        eventually(lambda: server.tree()[0].status() == "stopped")
    assert server.tree() == []


# The page.


def test_markdown_becomes_html(bench: Any) -> None:
    html = bench("report.html")
    table = "| x | y |\n| --- | ---: |\n| **1** | <2 |\n"
    text = f"# A & b\n\n{table}\n- one `two`\n\n```text\na < b\n```\nword"
    assert html.of_markdown(text) == (
        "<h1>A &amp; b</h1>\n<table>\n<tr><th>x</th><th>y</th></tr>\n"
        "<tr><td><b>1</b></td><td>&lt;2</td></tr>\n</table>\n"
        "<ul><li>one <code>two</code></li></ul>\n<pre>a &lt; b</pre>\n<p>word</p>"
    )


def test_a_page_needs_nothing_else(bench: Any, tmp_path: Path) -> None:
    page, environment, taken = bench("report.page"), bench("lib.environment"), bench("lib.taken")
    figures = {"per_s": 9.0, "p50_us": 1.0, "p99_us": 2.0, "generator_share": 0.1}
    seen = latency_of(bench, (1_000, 5), (2_000, 1))
    ours = taken.Taken("slipstream", [figures], [seen]).record()
    memory = taken.Taken("x", [{"rss_mb": 5.0}]).record()
    record = {
        "environment": environment.describe(["numpy"]),
        "size": "smoke",
        "scenarios": {"gbdt_64": [ours], "memory": [memory]},
        "http": {
            "size": "smoke",
            "titles": {"gbdt_64": "forest"},
            "left_out": {"Triton": "no wheel"},
            "notes": {"FastAPI": "two"},
            "rivals": {"mosec": "1"},
            "wrk": {"why": "no wrk"},
        },
    }
    said = page.write(record, tmp_path / "report")
    text = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert "no wheel" in text and "gbdt_64: forest" in text and "Bias" in text
    assert not re.search(r"(?:src|href)=\"(?!data:)", text), "everything is inside"
    drawn = list((tmp_path / "report").glob("*.png"))
    assert text.count("data:image/png;base64,") == len(drawn)
    assert drawn or bench("lib.plots").MISSING in said


def test_wrk_is_given_the_same_bodies(bench: Any, tmp_path: Path) -> None:
    wrk = bench("http.wrk")
    script = wrk.write_script(tmp_path, [request(b'{"a": 1}'), request(b'{"a": 2}')], "/there")
    assert (tmp_path / "bodies").read_bytes() == b'{"a": 1}\n{"a": 2}'
    assert 'wrk.format("POST", "/there"' in script.read_text()


def test_suites_explain_themselves(root: Path, bench: Any) -> None:
    for name, module in bench("__main__").SUITES.items():
        ended = subprocess.run(
            [sys.executable, "-m", "bench", name, "--help"],
            cwd=root,
            capture_output=True,
            check=False,
        )
        assert ended.returncode == 0, (module, ended.stderr.decode())
        assert f"bench {name}" in ended.stdout.decode()
