"""``python -m bench gpu`` on the processor, and its tables on made-up figures; nothing is timed."""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import slipstream
from slipstream.errors import InferenceError

torch = pytest.importorskip("torch")


@pytest.fixture
def bench(root: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    monkeypatch.syspath_prepend(str(root))
    return lambda name: importlib.import_module(f"bench.{name}")


@pytest.fixture
def context(bench: Any, tmp_path: Path) -> Any:
    plan = bench("gpu.plan")
    tiny = plan.PLANS["smoke"]._replace(block_s=0.02, concurrencies=(1, 3))
    return plan.Context(tiny, "cpu", tmp_path, ("onnx", "tensorrt"), lambda text: None)


def test_without_a_gpu_it_says_why(root: Path, tmp_path: Path) -> None:
    if slipstream.devices().cuda_available:
        pytest.skip("there is one")
    command = [sys.executable, "-m", "bench", "gpu", "--output", str(tmp_path / "figures.json")]
    ended = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert ended.returncode == 1 and ended.stdout == ""
    assert ended.stderr.count("\n") == 1
    assert ended.stderr.startswith("bench gpu: error: there is no GPU to measure: ")
    assert str(slipstream.devices().reason) in ended.stderr
    assert not list(tmp_path.iterdir())


def test_a_part_runs_whole(root: Path, tmp_path: Path) -> None:
    """With callers: it needs no C++ of its own."""
    file = tmp_path / "figures.json"
    words = ["--smoke", "--device", "cpu", "--parts", "callers", "--backends", "onnx,tensorrt"]
    ended = subprocess.run(
        [sys.executable, "-m", "bench", "gpu", *words, "--output", str(file)],
        cwd=root, capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    record = json.loads(file.read_text(encoding="utf-8"))
    assert (record["suite"], record["size"], record["device"]) == ("gpu", "smoke", "cpu")
    assert record["failed"] == [] and set(record["seconds"]) == {"callers"}
    scenario = record["scenarios"]["gpu callers: small, 4 under way"]
    by_name = {one["name"]: one for one in scenario}
    assert set(by_name) == {"torch eager", "slipstream onnx", "slipstream tensorrt"}
    assert by_name["slipstream tensorrt"]["left_out"] == "TensorRT needs a GPU"
    for figures in by_name["slipstream onnx"]["rounds"]:
        assert figures["per_s"] > 0 and figures["over_eager"] > 0
    tables = file.with_suffix(".md").read_text(encoding="utf-8")
    assert tables in ended.stdout and "mean nothing" in tables


@pytest.mark.parametrize("name", ["small", "convolutions", "encoder"])
def test_networks_are_the_same_as_script_and_as_onnx(bench: Any, tmp_path: Path, name: str) -> None:
    networks = bench("gpu.networks")
    network = next(one for one in networks.TINY if one.name == name)
    rows = network.rows(3, seed=7)
    right = networks.expected(network, rows)
    require = bench("gpu.backends").require_same
    script = torch.jit.load(str(network.script(tmp_path)))
    with torch.inference_mode():
        require("script", network, script(torch.from_numpy(rows)).numpy(), right)
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(
        str(network.onnx(tmp_path)), providers=["CPUExecutionProvider"]
    )
    require("onnx", network, session.run(None, {"x": rows})[0], right)
    assert [one.name for one in networks.NETWORKS if one.name == name] == [name]


def test_a_wrong_answer_ends_it(bench: Any) -> None:
    small = bench("gpu.networks").SMALL
    right = np.array([[0.2, 0.8]], np.float32)
    backends, wrong = bench("gpu.backends"), bench("lib.suite").WrongError
    backends.require_same("one", small, right + 1e-6, right)
    for spoilt in (right + 1e-2, right * np.nan):
        with pytest.raises(wrong, match="otherwise than torch"):
            backends.require_same("one", small, spoilt, right)


def test_throughput_and_latency_of_a_driver_that_is_made_up(
    bench: Any, context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All but the C++, which takes minutes to compile: what it would answer is right."""
    networks = bench("gpu.networks")
    context = replace(context, plan=context.plan._replace(networks=(networks.SMALL,)))

    class Driver:
        def __init__(self, file: Path, rows: Any) -> None:
            self._answer = networks.expected(networks.SMALL, rows)

        def __enter__(self) -> Driver:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def require_recorded(self, device: str) -> None:
            assert device == "cpu"

        def call(self, calls: int) -> Any:
            return np.full(calls, 1000)

        def answer(self) -> Any:
            return self._answer

        def back_to_back(self, times: int) -> int:
            return 8000 * times

    for part in ("latency", "throughput"):
        monkeypatch.setattr(bench(f"gpu.{part}"), "Bare", Driver)
    latency = bench("gpu.latency")
    (taken,) = latency.measure(context).values()
    by_name = {one.name: one for one in taken}
    assert by_name["slipstream tensorrt, recorded"].left_out == "TensorRT needs a GPU"
    both = ("slipstream onnx", "slipstream onnx, recorded")
    for figures in (one for name in both for one in by_name[name].rounds):
        assert figures["added_us"] == pytest.approx(figures["p50_us"] - 1.0)
    assert "added_us" not in by_name[latency.BARE].rounds[0]
    throughput = bench("gpu.throughput")
    (taken,) = throughput.measure(context).values()
    by_name = {one.name: one for one in taken}
    assert by_name[throughput.CEILING].rounds[0]["per_s"] == pytest.approx(1e6)
    for figures in (one for name in both for one in by_name[name].rounds):
        assert figures["of_ceiling"] == pytest.approx(figures["per_s"] / 1e6)


def test_overlap_is_the_slowest_stage_over_the_whole(bench: Any) -> None:
    overlap = bench("gpu.overlap")
    stages = {"gather": 1e3, "copy_in": 2e3, "compute": 10e3, "copy_out": 3e3, "wall": 10.6e3}
    found = overlap.overlap_of(stages, batches=10)
    assert found["overlap"] == pytest.approx(1.0)  # 10 µs and a tenth of the other 6
    assert found["in_turn_us"] == pytest.approx(16.0) and found["compute_us"] == 10.0
    assert overlap.overlap_of({**stages, "wall": 21.2e3}, 10)["overlap"] == pytest.approx(0.5)
    assert [overlap.label(size) for size in (1 << 16, 1 << 22)] == ["64 KiB", "4 MiB"]


def test_so_many_requests_are_under_way(bench: Any) -> None:
    load = bench("gpu.load")
    asked: list[Any] = []

    def submit(x: Any) -> Future[Any]:
        asked.append(x)
        future: Future[Any] = Future()
        future.set_result(x)
        return future

    assert load.rate(submit, [np.zeros(1), np.ones(1)], 5, 0.02) > 0
    assert {float(one[0]) for one in asked} == {0.0, 1.0}

    def fail(x: Any) -> Future[Any]:
        raise RuntimeError("full")

    with pytest.raises(bench("lib.suite").WrongError, match="full"):
        load.rate(fail, [np.zeros(1)], 2, 0.02)


def test_every_goal_is_measured_and_told(bench: Any) -> None:
    command, goals, plan = bench("gpu.command"), bench("gpu.goals"), bench("gpu.plan")
    latency, overlap, throughput = (
        bench("gpu.latency"), bench("gpu.overlap"), bench("gpu.throughput"),
    )  # fmt: skip
    names = [one.name for one in plan.PLANS["quick"].networks]
    parts = (latency, overlap, throughput)
    known = {part.scenario(name) for part in parts for name in names} | {overlap.BANDWIDTH}
    sizes = {overlap.label(size) for size in plan.PLANS["quick"].sizes}
    for goal in goals.GOALS:
        assert goal.scenario in known, goal
        assert goal.ours in {goals.TORCH, overlap.PIPELINE, *sizes}, goal

    def one(name: str, **figures: float) -> dict[str, Any]:
        taken = bench("lib.taken").Taken(name, [dict(figures)] * 2)
        record: dict[str, Any] = taken.record()
        return record

    scenarios = {
        latency.scenario("wide"): [one(latency.BARE, p50_us=20), one(goals.TORCH, added_us=14)],
        throughput.scenario("encoder"): [
            one(throughput.CEILING, per_s=100), one(goals.TORCH, per_s=94),
        ],
        overlap.BANDWIDTH: [one("4 MiB", of_bare=0.93)],
    }  # fmt: skip
    where = bench("lib.environment").describe(("numpy",))
    record = {
        "environment": where, "size": "quick", "device": "cuda:0", "gpu": {"name": "made up"},
        "scenarios": scenarios, "failed": ["http: no"],
    }  # fmt: skip
    lines = command.tables_of(record).splitlines()
    met = {line.split("|")[1].strip(): line.split("|")[6].strip() for line in lines
           if line.startswith("|") and line.count("|") == 7}  # fmt: skip
    assert met["512→1024→1024→10: one row, one caller, over the bare launch"] == "yes"
    assert met["encoder of 12 layers, float16: rows/s under load"] == "**no**"
    assert met["copies in of 4 MiB, gathered, over bare ones"] == "yes"
    assert met["copies in of 1 MiB, gathered, over bare ones"] == "(not measured)"
    assert "failed: http: no" in lines and "do not quote" in "\n".join(lines)


def test_a_part_that_fails_leaves_the_others(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = bench("gpu.command")
    taken = bench("lib.taken").Taken("one", [{"per_s": 1.0}])
    overlap, callers = bench("gpu.overlap"), bench("gpu.callers")

    def fails(context: Any) -> Any:
        raise RuntimeError("CUDA error:\n  an illegal memory access")

    def refuses(context: Any) -> Any:
        raise InferenceError("the model failed")

    monkeypatch.setattr(overlap, "measure", fails)
    monkeypatch.setattr(bench("gpu.latency"), "measure", refuses)
    monkeypatch.setattr(callers, "measure", lambda context: {"made up": [taken]})
    options = argparse.Namespace(
        size="smoke", device="cpu", parts=["overlap", "latency", "callers"], backends=["torch"],
        output=tmp_path / "figures.json",
    )  # fmt: skip
    record = command.measure(options, lambda text: None)
    assert record["failed"] == [
        "overlap: CUDA error: an illegal memory access",
        "latency: the model failed",
    ]
    assert list(record["scenarios"]) == ["made up"]
    assert json.loads(options.output.read_text())["scenarios"] == record["scenarios"]
