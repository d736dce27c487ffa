"""Streams on a real engine, without HTTP: their table, their readers, their end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import slipstream
from http_models import Gate
from slipstream.api.loading import QUEUE_CAPACITY
from slipstream.errors import (
    AmbiguousModelError,
    DeadlineExceededError,
    InvalidInputError,
    ModelNotFoundError,
    QueueFullError,
    SlipstreamError,
    StreamExistsError,
    StreamFullError,
    StreamNotFoundError,
    UnavailableError,
)
from slipstream.http.routes import stream_events
from slipstream.settings import Settings
from slipstream.streams.sequence import Counts
from slipstream.streams.stream import MOST_RUNNING, Outcome, Stream, Work
from slipstream.streams.table import MOST_BUFFERED, StreamTable
from test_engine_stateful import write_sum


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[slipstream.Engine]:
    folder = tmp_path_factory.mktemp("streams")
    with slipstream.Engine(state_dir=folder / "state", allow_custom_code=True) as engine:
        engine.load(write_sum(folder / "sum.onnx"), model_id="sum")
        engine.load(
            write_sum(folder / "plain.onnx", "[constants]\nbefore = [[1, 1, 1]]\n"),
            model_id="plain",
        )
        yield engine


def with_table(
    engine: slipstream.Engine, act: Callable[[StreamTable], Awaitable[None]], **settings: Any
) -> None:
    async def run() -> None:
        await act(StreamTable(engine.get, Settings(**settings)))

    asyncio.run(run())


def work(*row: float) -> Work:
    return Work(json.dumps([row]).encode(), False, 0, 30_000.0)


def total(outcome: Outcome) -> Any:
    """The first number of an answer of `write_sum`'s graph; or the error."""
    if isinstance(outcome.answer, Exception):
        return outcome.answer
    assert isinstance(outcome.answer.predictions, bytes)
    answer = json.loads(outcome.answer.predictions)
    return answer["total"][0][0]


async def settled(stream: Stream) -> None:
    while stream.queued:
        await asyncio.sleep(0.001)


class Listener:
    """A reader that only notes what it is told."""

    def __init__(self, *, takes_all: bool) -> None:
        self.takes_all = takes_all
        self.wakes = 0
        self.is_dismissed = False

    def wake(self) -> None:
        self.wakes += 1

    def dismiss(self) -> None:
        self.is_dismissed = True


class TestTable:
    def test_names(self, engine: slipstream.Engine) -> None:
        async def act(table: StreamTable) -> None:
            made_up = {table.start(None, "sum", 1).stream_id for _ in range(10)}
            assert len(made_up) == len(table) == 10
            assert all(name.startswith("stream_") for name in made_up)
            stream = table.start("mine", "sum", 7)
            assert (stream.stream_id, stream.model_id, stream.buffer_size) == ("mine", "sum", 7)
            assert table.get("mine") is stream
            with pytest.raises(StreamExistsError, match="open already"):
                table.start("mine", "sum", 1)
            for bad in ("", "-a", ".a", "a b", "a/b", "é", "x" * 129, "a\n"):
                with pytest.raises(InvalidInputError, match="stream_id"):
                    table.start(bad, "sum", 1)
            for size in (0, -1, MOST_BUFFERED + 1):
                with pytest.raises(InvalidInputError, match="buffer_size"):
                    table.start("other", "sum", size)
            with pytest.raises(ModelNotFoundError):
                table.start("other", "nothing", 1)
            with pytest.raises(AmbiguousModelError):
                table.start("other", None, 1)
            with pytest.raises(StreamNotFoundError):
                table.get("other")

        with_table(engine, act)

    def test_there_are_only_so_many(self, engine: slipstream.Engine) -> None:
        async def act(table: StreamTable) -> None:
            first = table.start("a", "sum", 1)
            table.start("b", "sum", 1)
            with pytest.raises(StreamFullError, match="MAX_STREAMS"):
                table.start("c", "sum", 1)
            table.close_stream(first)
            assert first.is_over
            table.start("a", "sum", 1)

        with_table(engine, act, max_streams=2)

    def test_one_that_nobody_uses_ends(self, engine: slipstream.Engine) -> None:
        async def act(table: StreamTable) -> None:
            left, read = table.start("left", "sum", 1), table.start("read", "sum", 1)
            read.attach(Listener(takes_all=True))
            left.send(1, work(1, 2, 3))
            while not left.is_over:
                await asyncio.sleep(0.01)
            assert left.counts == Counts(received=1, delivered=0, discarded=1)
            with pytest.raises(StreamNotFoundError, match="idle for over"):
                table.get("left")
            assert table.get("read") is read

        with_table(engine, act, stream_idle_timeout_s=0.1)

    def test_what_streams_hold_is_bounded(self, engine: slipstream.Engine) -> None:
        async def act(table: StreamTable) -> None:
            one, other = table.start("one", "sum", 100), table.start("other", "sum", 100)
            number = 0
            with pytest.raises(StreamFullError, match="MAX_STREAM_BYTES"):
                while True:
                    one.send(number + 1, work(1, 2, 3))
                    number += 1
            with pytest.raises(StreamFullError, match="MAX_STREAM_BYTES"):
                other.send(1, work(1, 2, 3))
            one.send(number, work(1, 2, 3))  # again: it needs no room
            await settled(one)
            assert len(one.take(None, 100)) == number  # and retained, which it gives up first
            one.send(number + 1, work(1, 2, 3))
            one.end()
            other.send(1, work(1, 2, 3))
            assert other.pending == 1

        with_table(engine, act, max_stream_bytes=5000)

    def test_a_closed_table_opens_none_and_closes_all(self, engine: slipstream.Engine) -> None:
        async def act(table: StreamTable) -> None:
            stream = table.start("a", "sum", 1)
            table.close()
            assert stream.is_over and len(table) == 0
            with pytest.raises(UnavailableError):
                table.start("b", "sum", 1)

        with_table(engine, act)


class TestRunning:
    def test_a_model_with_states_sees_them_in_order(self, engine: slipstream.Engine) -> None:
        async def act(table: StreamTable) -> None:
            stream = table.start("a", "sum", 100)
            for number in (3, 1, 4, 2, 5):
                stream.send(number, work(number, 0, 0))
            await settled(stream)
            results = stream.take(None, 100)
            assert [number for number, _ in results] == [1, 2, 3, 4, 5]
            assert [total(outcome) for _, outcome in results] == [1, 3, 6, 10, 15]

        with_table(engine, act)

    def test_one_that_fails_leaves_the_others_alone(self, engine: slipstream.Engine) -> None:
        async def act(table: StreamTable) -> None:
            stream = table.start("a", "sum", 100)
            stream.send(1, work(1, 0, 0))
            stream.send(2, work(1, 0))
            stream.send(3, Work(b'[["text", 0, 0]]', False, 0, 30_000.0))
            stream.send(4, work(1, 0, 0))
            await settled(stream)
            got = [total(outcome) for _, outcome in stream.take(None, 100)]
            assert got[0] == 1 and got[3] == 2
            assert all(isinstance(error, SlipstreamError) for error in got[1:3])

        with_table(engine, act)

    def test_more_than_the_engine_gets_at_once(self, engine: slipstream.Engine) -> None:
        async def act(table: StreamTable) -> None:
            count = 5 * MOST_RUNNING
            stream = table.start("a", "plain", count)
            for number in range(count, 0, -1):
                stream.send(number, work(number, 0, 0))
            await settled(stream)
            results = stream.take(None, count)
            assert [total(outcome) for _, outcome in results] == [
                n + 1 for n in range(1, count + 1)
            ]

        with_table(engine, act)

    def test_a_model_that_is_gone(self, engine: slipstream.Engine, tmp_path: Path) -> None:
        async def act(table: StreamTable) -> None:
            engine.load(write_sum(tmp_path / "going.onnx"), model_id="going")
            stream = table.start("a", "going", 100)
            stream.send(1, work(1, 0, 0))
            await settled(stream)
            await asyncio.to_thread(engine.unload, "going")
            stream.send(2, work(1, 0, 0))
            (_, first), (_, second) = stream.take(None, 100)
            assert total(first) == 1 and isinstance(total(second), ModelNotFoundError)
            await asyncio.to_thread(engine.load, tmp_path / "going.onnx", model_id="going")
            stream.send(3, work(5, 0, 0))
            await settled(stream)
            assert total(stream.take(None, 1)[0][1]) == 6, "the same file goes on"
            await asyncio.to_thread(engine.unload, "going")

        with_table(engine, act)


class TestReaders:
    def test_one_is_woken_and_a_newer_takes_its_place(self, engine: slipstream.Engine) -> None:
        async def act(table: StreamTable) -> None:
            stream = table.start("a", "sum", 100)
            first, second = Listener(takes_all=False), Listener(takes_all=False)
            stream.attach(first)
            stream.send(2, work(1, 0, 0))
            await asyncio.sleep(0.01)
            assert first.wakes == 0, "nothing is ready behind a gap"
            stream.send(1, work(1, 0, 0))
            await settled(stream)
            assert first.wakes == 2
            stream.attach(second)
            assert first.is_dismissed and not second.is_dismissed
            stream.detach(first)
            stream.send(3, work(1, 0, 0))
            await settled(stream)
            assert (first.wakes, second.wakes) == (2, 1)
            stream.end()
            assert second.is_dismissed

        with_table(engine, act)


class TestTheEnd:
    def test_it_waits_for_what_runs_and_counts(self, engine: slipstream.Engine) -> None:
        async def act(table: StreamTable) -> None:
            stream = table.start("a", "sum", 100)
            told: list[Counts] = []
            stream.on_over.append(told.append)
            for number in (1, 2, 4):  # nothing can run behind the gap
                stream.send(number, work(1, 0, 0))
            await asyncio.sleep(0.05)
            assert len(stream.take(None, 1)) == 1
            table.close_stream(stream)
            assert told == [Counts(received=3, delivered=1, discarded=2)]
            with pytest.raises(StreamNotFoundError, match="is closed"):
                stream.send(3, work(1, 0, 0))
            assert stream.take(None, 10) == []

        with_table(engine, act)

    def test_a_reader_that_takes_all_gets_the_rest(self, engine: slipstream.Engine) -> None:
        async def act(table: StreamTable) -> None:
            stream = table.start("a", "sum", 100)
            reader = Listener(takes_all=True)
            stream.attach(reader)
            stream.send(1, work(1, 0, 0))
            stream.send(2, work(1, 0, 0))
            table.close_stream(stream)
            await settled(stream)
            assert not stream.is_over
            assert len(stream.take(None, 10)) == 2
            await asyncio.sleep(0)
            assert stream.is_over and reader.is_dismissed
            assert stream.counts == Counts(received=2, delivered=2, discarded=0)

        with_table(engine, act)

    def test_it_does_not_wait_for_ever(self, engine: slipstream.Engine) -> None:
        async def act(table: StreamTable) -> None:
            stream = table.start("a", "sum", 100)
            stream.attach(Listener(takes_all=True))  # and never does
            stream.send(1, work(1, 0, 0))
            await settled(stream)
            table.close_stream(stream)
            assert not stream.is_over
            while not stream.is_over:
                await asyncio.sleep(0.01)
            assert stream.counts == Counts(received=1, delivered=0, discarded=1)

        with_table(engine, act, drain_timeout_s=0.05)


class TestEvents:
    def test_one_answer_is_only_so_long(
        self, engine: slipstream.Engine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The server holds what a client does not take; the client comes back for the rest."""
        monkeypatch.setattr(stream_events, "MOST_EVENT_BYTES", 300)

        async def act(table: StreamTable) -> None:
            stream = table.start("a", "plain", 100)
            last, answers = 0, 0
            for number in range(1, 101):
                stream.send(number, work(1, 1, 1))
            await settled(stream)
            while last < 100:
                pieces = [one async for one in stream_events.events(stream, last, "req", 10.0)]
                text = b"".join(pieces).decode()
                seen = [int(line[4:]) for line in text.splitlines() if line.startswith("id: ")]
                assert seen == list(range(last + 1, seen[-1] + 1))
                assert "event: end" not in text
                last = seen[-1]
                answers += 1
            assert answers == 2, "of at most 64 events each"
            assert stream.is_idle, "nobody is attached"

        with_table(engine, act)


class TestABusyModel:
    """More sends than the model's queue has room for: they wait in their streams, and run."""

    @pytest.fixture
    def gate(self, engine: slipstream.Engine, tmp_path: Path) -> Iterator[Gate]:
        gate = Gate(tmp_path, "gate")
        engine.load(gate.file, model_id="gate")
        gate.close()
        yield gate
        gate.open()
        engine.unload("gate")

    @staticmethod
    async def crowd(table: StreamTable) -> list[Stream]:
        """Streams that together send more than a queue takes."""
        count = QUEUE_CAPACITY // MOST_RUNNING + 4
        streams = [table.start(None, "gate", MOST_RUNNING) for _ in range(count)]
        for number in range(1, MOST_RUNNING + 1):
            for place, stream in enumerate(streams):
                value = 0.0 if number == 1 and place == 0 else 1.0
                stream.send(number, work(value))
            await asyncio.sleep(0)
        return streams

    def test_all_are_answered(self, engine: slipstream.Engine, gate: Gate) -> None:
        async def act(table: StreamTable) -> None:
            streams = await self.crowd(table)
            model = engine.get("gate")
            while not model.version.core.stats()["rejected"]:
                await asyncio.sleep(0.01)
            gate.open()
            for stream in streams:
                await settled(stream)
                results = stream.take(None, MOST_RUNNING)
                assert [number for number, _ in results] == list(range(1, MOST_RUNNING + 1))
                assert not [one for _, one in results if isinstance(one.answer, Exception)]

        with_table(engine, act)

    def test_until_their_time_is_up(self, engine: slipstream.Engine, gate: Gate) -> None:
        async def act(table: StreamTable) -> None:
            streams = await self.crowd(table)
            late = table.start(None, "gate", 1)
            late.send(1, Work(b"[[1.0]]", False, 0, 50.0))
            await settled(late)
            error = total(late.take(None, 1)[0][1])
            assert isinstance(error, QueueFullError | DeadlineExceededError)
            for stream in streams:
                stream.end()

        with_table(engine, act)
