"""Models that rest, in process: blocking calls, futures and coroutines bring them back alike."""

from __future__ import annotations

import asyncio
import pickle
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from http_models import rows_of, trained
from http_server import eventually
from slipstream import Engine, Model
from slipstream.api.resting import MOST_WAITING, RestingError, Room
from slipstream.errors import (
    DeadlineExceededError,
    QueueFullError,
    RequestCancelledError,
    UnavailableError,
)

NAMES = ("wine", "diabetes")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    folder = tmp_path_factory.mktemp("resting")
    with Engine(model_cache_size=1, memory_limit_mb=0, state_dir=folder / "state") as engine:
        for name in NAMES:
            (folder / f"{name}.pkl").write_bytes(pickle.dumps(trained(name)))
            engine.load(folder / f"{name}.pkl", model_id=name)
        yield engine


@pytest.fixture
def wine(engine: Engine) -> Model:
    """It rests."""
    wine = engine.get("wine")

    def rests() -> bool:  # once it has come back for the test before, if it is about to
        engine.evict(wine)
        return wine.state == "evicted"

    eventually(rests)
    return wine


def right() -> object:
    return trained("wine").predict(rows_of("wine")).tolist()


class TestModel:
    def test_predict(self, wine: Model) -> None:
        assert wine.predict(rows_of("wine")).tolist() == right()
        assert wine.state == "loaded"
        assert wine.predict(rows_of("wine")).tolist() == right()

    def test_predict_proba_with_options(self, wine: Model) -> None:
        found = wine.predict_proba(rows_of("wine"), timeout_ms=60_000, priority="high")
        assert np.allclose(found, trained("wine").predict_proba(rows_of("wine")))

    def test_submit(self, wine: Model) -> None:
        futures = [wine.submit(rows_of("wine")) for _ in range(5)]
        assert all(future.result(60).tolist() == right() for future in futures)

    def test_predict_async(self, wine: Model) -> None:
        async def ask() -> object:
            answers = await asyncio.gather(*(wine.predict_async(rows_of("wine")) for _ in range(5)))
            return [answer.tolist() for answer in answers]

        assert asyncio.run(ask()) == [right()] * 5

    def test_a_cancelled_coroutine(self, wine: Model) -> None:
        async def ask() -> None:
            asking = asyncio.create_task(wine.predict_async(rows_of("wine")))
            await asyncio.sleep(0)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking

        asyncio.run(ask())
        assert wine.predict(rows_of("wine")).tolist() == right()

    def test_what_is_wrong_is_said_at_once(self, wine: Model) -> None:
        with pytest.raises(ValueError, match="rows"):
            wine.submit([1.0])
        assert wine.state == "evicted"

    def test_a_timeout_that_is_too_short(self, wine: Model) -> None:
        with pytest.raises(DeadlineExceededError):
            wine.predict(rows_of("wine"), timeout_ms=0.001)
        with pytest.raises(DeadlineExceededError):
            wine.submit(rows_of("wine"), timeout_ms=0.001).result(60)

    def test_its_info_is_there(self, wine: Model) -> None:
        assert wine.model_type == "sklearn"
        assert wine.classes is not None
        assert wine.memory_usage_bytes == 0
        assert wine.metrics().inference_count >= 0

    def test_many_threads_and_evictions(self, engine: Engine, wine: Model) -> None:
        """Every call is answered, whenever its model is taken away."""
        over = threading.Event()

        def keep_evicting() -> int:
            count = 0
            while not over.is_set():
                count += engine.evict(wine)
            return count

        def keep_asking(number: int) -> None:
            for _ in range(20):
                if number % 2:
                    assert wine.predict(rows_of("wine")).tolist() == right()
                else:
                    assert wine.submit(rows_of("wine")).result(60).tolist() == right()

        before = wine.metrics().inference_count
        with ThreadPoolExecutor(5) as pool:
            evicting = pool.submit(keep_evicting)
            try:
                list(pool.map(keep_asking, range(4)))
            finally:
                over.set()
        assert evicting.result() > 0
        assert wine.metrics().inference_count == before + 80

    def test_an_engine_that_closes(self, tmp_path: Path) -> None:
        (tmp_path / "wine.pkl").write_bytes(pickle.dumps(trained("wine")))
        engine = Engine(state_dir=tmp_path / "state")
        wine = engine.load(tmp_path / "wine.pkl")
        engine.evict(wine)
        engine.close()
        with pytest.raises(UnavailableError):
            wine.predict(rows_of("wine"))


class TestRoom:
    """The rules of waiting, with requests that only note what becomes of them."""

    def test_order(self) -> None:
        room = Room(lambda: None, lambda: True)
        began: list[str] = []
        for name, priority in (("a", 0), ("b", -1), ("c", 10), ("d", 0)):
            room.add(RestingError(priority, None), lambda *_, name=name: began.append(name), print)
        assert len(room) == 4
        room.release()
        assert began == ["c", "a", "d", "b"]
        assert len(room) == 0

    def test_full(self) -> None:
        room = Room(lambda: None, lambda: True)
        for _ in range(MOST_WAITING):
            room.add(RestingError(0, None), print, print)
        with pytest.raises(QueueFullError):
            room.add(RestingError(0, None), print, print)

    def test_back_already(self) -> None:
        assert Room(lambda: None, lambda: False).add(RestingError(0, None), print, print) is None

    def test_each_leaves_once(self) -> None:
        room = Room(lambda: None, lambda: True)
        failed: list[Exception] = []
        ticket = room.add(RestingError(0, None), print, failed.append)
        assert ticket is not None
        assert room.withdraw(ticket)
        assert not room.withdraw(ticket)
        room.fail(UnavailableError("late"))
        assert [type(error) for error in failed] == [RequestCancelledError]

    def test_the_earliest_deadline_first(self) -> None:
        room = Room(lambda: None, lambda: True)
        ended: list[int] = []
        all_ended = threading.Event()

        def fail(number: int, error: Exception) -> None:
            assert isinstance(error, DeadlineExceededError)
            ended.append(number)
            if len(ended) == 3:
                all_ended.set()

        for number, timeout_ms in ((3, 300.0), (1, 50.0), (2, 150.0)):
            room.add(
                RestingError(0, timeout_ms),
                print,
                lambda error, number=number: fail(number, error),
            )
        room.add(RestingError(0, None), print, print)
        assert all_ended.wait(30)
        assert ended == [1, 2, 3]
        assert len(room) == 1

    def test_gone_for_good(self) -> None:
        room = Room(lambda: None, lambda: True)
        failed: list[Exception] = []
        room.add(RestingError(0, None), print, failed.append)
        room.close(UnavailableError("it is unloaded"))
        assert len(failed) == 1
        with pytest.raises(UnavailableError, match="it is unloaded"):
            room.add(RestingError(0, None), print, print)
