"""TorchScript on the threads of those who wait for it: what they find there, what they share."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

import slipstream
from torch_models import mlp, save_script

CALLERS = 8


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[slipstream.Engine]:
    with slipstream.Engine(state_dir=tmp_path_factory.mktemp("state")) as engine:
        yield engine


@pytest.fixture
def small(engine: slipstream.Engine, tmp_path: Any) -> Iterator[slipstream.Model]:
    model = engine.load(save_script(mlp(), tmp_path / "small.pt"), instances=1)
    yield model
    engine.unload(model.model_id)


def on_a_thread(do: Callable[[], None]) -> None:
    """Does it on a thread of its own, whose settings of torch are its own, too."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            do()
        except BaseException as failure:
            failures.append(failure)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    for failure in failures:
        raise failure


def inline_executions(model: slipstream.Model) -> int:
    return int(model.version.core.stats()["inline_executions"])


def test_who_waits_computes_from_the_first_call_on(small: slipstream.Model) -> None:
    """The warm-up ran other numbers of rows than one."""
    row = np.ones((1, 16), np.float32)
    for call in range(1, 4):
        small.predict(row)
        small.predict(row, priority="high")
        assert inline_executions(small) == 2 * call


@pytest.mark.parametrize("count", [2, 3])
def test_the_callers_number_of_threads_stays(small: slipstream.Model, count: int) -> None:
    """OpenMP's and MKL's, which torch keeps for each thread and ours sets to one meanwhile."""

    def check() -> None:
        torch.set_num_threads(count)
        before = torch.__config__.parallel_info()
        assert f"omp_get_max_threads() : {count}" in before
        for rows in (1, 2, 64):
            small.predict(np.ones((rows, 16), np.float32))
        assert inline_executions(small) > 0
        assert torch.__config__.parallel_info() == before

    others = torch.get_num_threads()
    try:
        on_a_thread(check)
    finally:
        torch.set_num_threads(others)


def test_loading_leaves_it_alone_too(engine: slipstream.Engine, tmp_path: Any) -> None:
    def check() -> None:
        before = torch.__config__.parallel_info()
        engine.load(save_script(mlp(), tmp_path / "loaded.pt"))
        assert torch.__config__.parallel_info() == before

    on_a_thread(check)


def test_callers_at_the_same_time_share_executions(
    engine: slipstream.Engine, tmp_path: Any
) -> None:
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Linear(16, 2048), torch.nn.ReLU(), torch.nn.Linear(2048, 2048)
    ).eval()
    model = engine.load(save_script(network, tmp_path / "wide.pt"), instances=1)
    given = np.random.default_rng(0).normal(size=(CALLERS, 1, 16)).astype(np.float32)
    with torch.no_grad():
        expected = network(torch.from_numpy(given[:, 0])).numpy()
    model.predict(given[0])
    together = threading.Barrier(CALLERS)
    answers: list[Any] = [None] * CALLERS

    def ask(caller: int) -> None:
        together.wait()
        answers[caller] = [model.predict(given[caller]) for _ in range(40)]

    threads = [threading.Thread(target=ask, args=(caller,)) for caller in range(CALLERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for caller in range(CALLERS):
        for answer in answers[caller]:
            np.testing.assert_allclose(answer[0], expected[caller], rtol=0, atol=1e-5)
    stats = model.version.core.stats()
    assert stats["succeeded"] == 40 * CALLERS + 1
    assert stats["max_batch_rows_seen"] > 1
    assert stats["executions"] < stats["succeeded"]
