"""Many callers at once: each gets the answer to its own rows, whoever else's are in its batch."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import slipstream
from gpu.conftest import KINDS, Load
from gpu.networks import CNN, MLP, Network
from slipstream.errors import DeadlineExceededError, SlipstreamError

pytestmark = pytest.mark.gpu

CALLERS, CALLS = 16, 40
APART = 2e-3


def at_once(callers: int, do: Callable[[int], None]) -> None:
    """Every caller on a thread of its own; the first failure is raised here."""
    failures: list[BaseException] = []
    together = threading.Barrier(callers)

    def run(number: int) -> None:
        try:
            together.wait()
            do(number)
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for failure in failures:
        raise failure


def ask(model: slipstream.Model, network: Network, number: int, **options: Any) -> None:
    """A caller whose requests differ in rows, checked one by one."""
    rng = np.random.default_rng(number)
    for call in range(CALLS):
        rows = network.rows(1 + (number + call) % 5) + rng.normal()
        rows = rows.astype(np.float32)
        right = network.right(rows)
        answer = model.predict(rows, **options)
        assert np.abs(answer - right).max() <= APART * np.abs(right).max(), (number, call)


@pytest.mark.parametrize("kind", KINDS)
def test_everybody_gets_their_own_rows(load: Load, kind: str) -> None:
    model = load(kind, MLP)
    at_once(CALLERS, lambda number: ask(model, MLP, number))
    core: Any = model.version.core
    stats = core.stats()
    assert stats["succeeded"] >= CALLERS * CALLS
    assert stats["max_batch_rows_seen"] > 1


@pytest.mark.parametrize("kind", ["torchscript", "onnx cuda"])
def test_a_queue_of_futures(load: Load, kind: str) -> None:
    model = load(kind, MLP)
    asked = [MLP.rows(1 + number % 7) * (1 + number) for number in range(300)]
    futures = [model.submit(rows.astype(np.float32)) for rows in asked]
    for rows, future in zip(asked, futures, strict=True):
        right = MLP.right(rows.astype(np.float32))
        assert np.abs(future.result(60) - right).max() <= APART


def test_two_models_on_one_gpu(load: Load) -> None:
    models = [(load("torchscript", MLP), MLP), (load("torchscript", CNN), CNN)]
    models += [(load("onnx cuda", MLP), MLP)]

    def one(number: int) -> None:
        model, network = models[number % len(models)]
        ask(model, network, number)

    at_once(CALLERS, one)


def test_priorities_and_deadlines(load: Load) -> None:
    """Those that are too late are refused, and nobody else is the worse for it."""
    model = load("torchscript", CNN)
    rows = CNN.rows(32)
    right = CNN.right(rows)
    late: list[int] = []

    def one(number: int) -> None:
        for _ in range(CALLS):
            if number % 4 == 0:
                try:
                    model.predict(rows, timeout_ms=0.001)
                except SlipstreamError as error:
                    late.append(isinstance(error, DeadlineExceededError))
                continue
            priority = "urgent" if number % 4 == 1 else "low"
            answer = model.predict(rows, priority=priority, timeout_ms=60_000)
            assert np.abs(answer - right).max() <= APART * np.abs(right).max()

    at_once(CALLERS, one)
    assert any(late)
