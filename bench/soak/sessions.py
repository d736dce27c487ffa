"""Kinds that take several requests: tasks that are asked for later, and streams."""

from __future__ import annotations

import itertools
from random import Random
from typing import Any

import msgspec

from bench.soak.served import SMALL_ONE, Array, agrees
from bench.soak.ways import BASE, WrongAnswerError, asked_of, inputs_of, post
from bench.soak.wire import Connection, Reply, request

_INPUTS = 32
_PIECES = 3
"""Requests of a stream."""
_names = itertools.count(1)


class Tasks:
    """Submits a task, waits for it, and looks at what came of it."""

    def __init__(self) -> None:
        self._questions = [
            (post(f"{BASE}/predict/async", asked_of(SMALL_ONE, rows)), SMALL_ONE.expected(rows))
            for rows in inputs_of(SMALL_ONE, _INPUTS, 1)
        ]

    def __call__(self, connection: Connection, random: Random) -> int:
        """Makes the requests; how many it were.

        Raises:
            WrongAnswerError: a reply is wrong.
        """
        submission, right = random.choice(self._questions)
        task_id = _said("task", connection.ask(submission), 202)["task_id"]
        path = f"{BASE}/predict/async/{task_id}?wait_ms=20000"
        task = _said("task", connection.ask(request("GET", path)))
        if task["status"] != "completed" or not agrees(task["result"]["predictions"], right):
            raise WrongAnswerError(f"task: {task}, where {right.tolist()} is right")
        return 2


class Streams:
    """Opens a stream, sends in any order, one of them twice, reads everything, and closes it."""

    def __init__(self) -> None:
        self._inputs = inputs_of(SMALL_ONE, _INPUTS, 1)

    def __call__(self, connection: Connection, random: Random) -> int:
        """Makes the requests; how many it were.

        Raises:
            WrongAnswerError: a reply is wrong.
        """
        name = f"soak-{next(_names)}"
        stream = f"{BASE}/stream/{name}"
        start = {"stream_id": name, "model_id": SMALL_ONE.model_id}
        _said("stream", connection.ask(post(f"{BASE}/stream/start", start)))
        pieces = [random.choice(self._inputs) for _ in range(_PIECES)]
        order = [*range(1, _PIECES + 1), random.randint(1, _PIECES)]
        random.shuffle(order)
        for number in order:
            sent = {"data": asked_of(SMALL_ONE, pieces[number - 1])["data"], "sequence_id": number}
            _said("stream", connection.ask(post(f"{stream}/send", sent)))
        reads = self._read(connection, stream, pieces)
        closed = _said("stream", connection.ask(request("DELETE", stream)))
        if (closed["delivered"], closed["discarded"]) != (_PIECES, 0):
            raise WrongAnswerError(f"stream: closed with {closed}")
        return 1 + len(order) + reads + 1

    @staticmethod
    def _read(connection: Connection, stream: str, pieces: list[Array]) -> int:
        seen = 0
        for reads in itertools.count(1):
            page = connection.ask(request("GET", f"{stream}/results?wait_ms=20000"))
            for result in _said("stream", page)["results"]:
                seen += 1
                right = SMALL_ONE.expected(pieces[seen - 1])
                if result["sequence_id"] != seen or not agrees(result["predictions"], right):
                    raise WrongAnswerError(f"stream: {result}, where {right.tolist()} is right")
            if seen == len(pieces):
                return reads
        raise AssertionError("the loop above does not end by itself")


def _said(name: str, reply: Reply, status: int = 200) -> dict[str, Any]:
    if reply.status != status:
        raise WrongAnswerError(f"{name}: {reply.status} {reply.body[:300]!r}")
    said: dict[str, Any] = msgspec.json.decode(reply.body)
    return said
