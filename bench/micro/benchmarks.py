"""Single parts, timed by pytest-benchmark; ``python -m bench micro`` runs these.

Every benchmark says how many operations one call of its function is, and checks what comes out:
the C++ loops themselves, the Python ones before they are timed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import slipstream
from bench import inprocess
from bench.lib.interleave import Timer
from bench.micro import encode, loops, parse
from slipstream import _engine

RING_VALUES = 20_000
BATCH = 64
"""Requests that are formed into a batch, or end together."""
CALLS = 100
IMAGES_MIB = 64 * 3 * 224 * 224 * 4 >> 20


def run(benchmark: BenchmarkFixture, group: str, operations: int, call: Callable[[], Any]) -> None:
    """Times `call`, which is so many operations."""
    benchmark.group = group
    benchmark.extra_info["operations"] = operations
    benchmark(call)


def run_loop(benchmark: BenchmarkFixture, group: str, timer: Timer, calls: int, each: int) -> None:
    """Times a C++ loop of so many calls, each of so many operations. It checks itself."""
    run(benchmark, group, calls * each, lambda: timer(calls))


@pytest.mark.parametrize("pairs", [0, 1, 2])
@pytest.mark.parametrize("ring", ["mpmc", "mutex"])
def test_queue(benchmark: BenchmarkFixture, ring: str, pairs: int) -> None:
    """A value through the ring: pushed and popped by one thread, or by pairs of threads."""
    group = f"queue, {pairs} producers and consumers" if pairs else "queue, one thread"
    run_loop(benchmark, group, loops.part(f"time_{ring}_ring", pairs), RING_VALUES, 1)


def test_batcher(benchmark: BenchmarkFixture) -> None:
    """A request through the pool, a lane and a batch of 64."""
    run_loop(benchmark, "batcher", loops.part("time_batcher", BATCH), CALLS, BATCH)


def test_completion(benchmark: BenchmarkFixture) -> None:
    """A request's end: claimed, queued, drained with 63 others after one eventfd write."""
    run_loop(benchmark, "completion", loops.part("time_completion", BATCH), CALLS, BATCH)


@pytest.mark.parametrize("helpers", [-1, 0, 1, 3, 5], ids=lambda n: "bare copies" if n < 0 else n)
def test_gather(benchmark: BenchmarkFixture, helpers: int) -> None:
    """A mebibyte of a batch of 64 images, gathered on its way to a device."""
    run_loop(benchmark, "gather for a device", loops.part("time_gather", helpers), 4, IMAGES_MIB)


@pytest.mark.parametrize("digits", [17, 3])
@pytest.mark.parametrize("who", ["slipstream", "msgspec"])
def test_parse(benchmark: BenchmarkFixture, who: str, digits: int) -> None:
    """A number of a JSON body of 1000 rows of 100, into a tensor of doubles."""
    body = parse.document(digits)
    decoder = _engine.InputDecoder("matrix", [("x", "float64", (-1, parse.WIDTH))])
    ways: dict[str, Callable[[], Any]] = {
        "slipstream": lambda: decoder.decode(body),
        "msgspec": lambda: np.asarray(msgspec.json.decode(body)),
    }
    assert loops.same_bits(decoder.decode(body).arrays()[0], ways["msgspec"]())
    run(benchmark, f"parse, {digits} digits", parse.ROWS * parse.WIDTH, ways[who])


@pytest.mark.parametrize("who", ["slipstream", "msgspec"])
def test_encode(benchmark: BenchmarkFixture, who: str) -> None:
    """A double of 1000 rows of 100, as JSON."""
    values = encode.values_of(encode.KINDS[0])
    result = encode.result_of(values)
    ways: dict[str, Callable[[], bytes]] = {
        "slipstream": lambda: result.encode_json(0),
        "msgspec": lambda: msgspec.json.encode(values.tolist()),
    }
    assert loops.same_bits(np.asarray(msgspec.json.decode(ways["slipstream"]())), values)
    run(benchmark, "encode", encode.ROWS * encode.WIDTH, ways[who])


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network 16→64→3."""
    file = tmp_path_factory.mktemp("micro") / "network.onnx"
    onnx.save(inprocess.small_network(), file)
    return file


@pytest.fixture(scope="module")
def ways(network: Path) -> Iterator[dict[str, inprocess.Way]]:
    """Ways to ask it, which answer the same."""
    with slipstream.Engine(state_dir=network.parent / "state") as engine:
        model = engine.load(network)
        found = {
            inprocess.PREDICT: model.predict,
            inprocess.QUEUE: lambda x: model.submit(x, priority=0).result(30.0),
            inprocess.REFERENCE: inprocess.onnxruntime_way(network),
        }
        inprocess.require_same_answers(found, 1)
        yield found


@pytest.mark.parametrize("who", [inprocess.PREDICT, inprocess.QUEUE, inprocess.REFERENCE])
def test_inprocess(benchmark: BenchmarkFixture, ways: dict[str, inprocess.Way], who: str) -> None:
    """One row of the network 16→64→3, from Python."""
    row = np.random.default_rng(5).normal(size=(1, inprocess.WIDTHS[0])).astype(np.float32)
    run(benchmark, "in process, one row", 1, lambda: ways[who](row))
