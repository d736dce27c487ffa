"""The kinds of request, each with what is right to answer.

A `Way` makes one or more requests on a connection and checks every reply. Most are one prepared
request with its check (`prepared`), which `every` lists: a new endpoint is a new row there. What
takes several requests, a task or a stream, is in `bench.soak.sessions`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, NamedTuple

import msgspec
import numpy as np

from bench.soak.served import EXPERIMENT, FOREST, GUESTS, SMALL_ONE, TWIN, Array, Served, agrees
from bench.soak.wire import Connection, Reply, request

BASE = "/api/inference"
_PREDICT = f"{BASE}/predict"
_MSGPACK = "application/msgpack"
_TENSOR = "application/octet-stream"
_BODIES = 32
"""Different ones of each kind."""
_LOOKS = (
    "models/list",
    "engine/status",
    "experiments/list",
    "metrics/performance",
    "metrics/resources",
    "health",
)


class WrongAnswerError(Exception):
    """A reply was not what it should be."""


Ask = Callable[[Connection, Random], int]
"""Makes requests and checks replies; how many it were."""
Check = Callable[[Reply], str | None]
"""None where a reply is right, else what is wrong."""


class Way(NamedTuple):
    """One kind."""

    name: str
    share: int
    """How often, beside the others."""
    ask: Ask


class Question(NamedTuple):
    """One request with its check."""

    request: bytes
    check: Check


def prepared(name: str, questions: Sequence[Question]) -> Ask:
    """Asks one of them."""

    def ask(connection: Connection, random: Random) -> int:
        question = random.choice(questions)
        require(name, question, connection)
        return 1

    return ask


def require(name: str, question: Question, connection: Connection) -> None:
    """Asks, and checks the reply.

    Raises:
        WrongAnswerError: it is wrong; the text says how.
    """
    reply = connection.ask(question.request)
    wrong = question.check(reply)
    if wrong is not None:
        raise WrongAnswerError(f"{name}: {wrong}: {reply.status} {reply.body[:300]!r}")


def questions_of(served: Served, count: int, rows: int = 1, seed: int = 0) -> list[Question]:
    """Predictions of a model in JSON."""
    return [
        Question(post(_PREDICT, asked_of(served, data)), _json_check(served, data))
        for data in inputs_of(served, count, rows, seed)
    ]


def every() -> list[Way]:
    """All kinds; the express takes about half of the requests, as in real traffic."""
    some = {served: inputs_of(served, _BODIES, 1) for served in (SMALL_ONE, TWIN, FOREST)}
    return [
        Way("predict", 20, prepared("predict", questions_of(SMALL_ONE, _BODIES))),
        Way("predict, forest", 20, prepared("predict, forest", questions_of(FOREST, _BODIES))),
        Way("predict, 20 rows", 5, prepared("predict, 20 rows", questions_of(TWIN, _BODIES, 20))),
        Way("batch", 5, prepared("batch", [_batch(FOREST, x) for x in inputs_of(FOREST, 8, 64)])),
        Way(
            "MessagePack", 10,
            prepared("MessagePack", [_packed(s, x) for s, all_x in some.items() for x in all_x]),
        ),
        Way("tensor", 10, prepared("tensor", [_tensor(SMALL_ONE, x) for x in some[SMALL_ONE]])),
        Way("tensors", 5, prepared("tensors", [_tensor(FOREST, x) for x in some[FOREST]])),
        Way("multi-batch", 8, prepared("multi-batch", _multi_batches(some))),
        Way("experiment", 15, prepared("experiment", _experiments(some[SMALL_ONE]))),
        Way("refused", 3, prepared("refused", _refused())),
        Way("looked at", 1, prepared("looked at", [_look(path) for path in _LOOKS])),
        Way("hung up", 1, _hang_up),
    ]  # fmt: skip


def inputs_of(served: Served, count: int, rows: int, seed: int = 0) -> list[Array]:
    """Rows for that many requests."""
    every_row = served.rows(count * rows, seed=seed + rows)
    return [every_row[i * rows : (i + 1) * rows] for i in range(count)]


def _numbers(rows: Array) -> list[list[float]]:
    return [[float(str(value)) for value in row] for row in rows]


def asked_of(served: Served, rows: Array, **more: Any) -> dict[str, Any]:
    """The body of a prediction."""
    asked: dict[str, Any] = {"model_id": served.model_id, "data": _numbers(rows), **more}
    if served.key == "probabilities":
        asked["return_probabilities"] = True
    return asked


def post(path: str, body: dict[str, Any]) -> bytes:
    """A whole request of JSON."""
    return request("POST", path, json.dumps(body).encode())


def _fault(said: dict[str, Any], served: Served, right: Array) -> str | None:
    """What is wrong with one answer, of a request or of an entry."""
    if said.get("model_id") != served.model_id:
        return f"it is not of {served.model_id}"
    return None if agrees(said.get(served.key), right) else f"{right.tolist()} is right"


def _json_check(served: Served, rows: Array) -> Check:
    right = served.expected(rows)

    def check(reply: Reply) -> str | None:
        if reply.status != 200:
            return "not answered"
        return _fault(msgspec.json.decode(reply.body), served, right)

    return check


def _batch(served: Served, rows: Array) -> Question:
    right = served.expected(rows)

    def check(reply: Reply) -> str | None:
        if reply.status != 200:
            return "not answered"
        said = msgspec.json.decode(reply.body)
        if said["batch_size"] != len(rows):
            return f"it is not of {len(rows)} rows"
        return _fault(said, served, right)

    return Question(post(f"{_PREDICT}/batch", asked_of(served, rows, batch_size=16)), check)


def _packed(served: Served, rows: Array) -> Question:
    right = served.expected(rows)
    body = msgspec.msgpack.encode(asked_of(served, rows))

    def check(reply: Reply) -> str | None:
        if reply.status != 200 or reply.headers["content-type"] != _MSGPACK:
            return "not answered in MessagePack"
        return _fault(msgspec.msgpack.decode(reply.body), served, right)

    return Question(request("POST", _PREDICT, body, {"Content-Type": _MSGPACK}), check)


def _tensor(served: Served, rows: Array) -> Question:
    right = served.expected(rows)
    names = ["tensor", "probabilities"] if served.key == "probabilities" else ["tensor"]
    wish = "&return_probabilities=true" if len(names) > 1 else ""
    headers = {
        "Content-Type": _TENSOR,
        "X-Tensor-Dtype": rows.dtype.name,
        "X-Tensor-Shape": ",".join(map(str, rows.shape)),
    }

    def check(reply: Reply) -> str | None:
        if reply.status != 200 or reply.headers["x-model-id"] != served.model_id:
            return f"not answered by {served.model_id}"
        values, body = None, reply.body
        for name in names:  # what was asked for last is compared
            dtype = np.dtype(reply.headers[f"x-{name}-dtype"])
            shape = tuple(map(int, reply.headers[f"x-{name}-shape"].split(",")))
            size = int(np.prod(shape)) * dtype.itemsize
            values = np.frombuffer(body[:size], dtype).reshape(shape)
            body = body[size:]
        return None if not body and agrees(values, right) else f"{right.tolist()} is right"

    path = f"{_PREDICT}?model_id={served.model_id}{wish}"
    return Question(request("POST", path, rows.tobytes(), headers), check)


def _multi_batches(some: dict[Served, list[Array]]) -> list[Question]:
    """Three models that answer, and an entry for none."""
    found = []
    for number in range(_BODIES):
        asked = [(served, inputs[number]) for served, inputs in some.items()]
        body = {
            "requests": [
                *(asked_of(served, rows) for served, rows in asked),
                {"model_id": "nobody", "data": [[1]]},
            ]
        }
        rights = [(served, served.expected(rows)) for served, rows in asked]
        found.append(Question(post(f"{_PREDICT}/multi-batch", body), _multi_check(rights)))
    return found


def _multi_check(rights: list[tuple[Served, Array]]) -> Check:
    def check(reply: Reply) -> str | None:
        if reply.status != 200:
            return "not answered"
        said = msgspec.json.decode(reply.body)
        if (said["successful_requests"], said["failed_requests"]) != (len(rights), 1):
            return f"not {len(rights)} of {len(rights) + 1} are answered"
        pairs = zip(said["results"], rights, strict=False)
        faults = (_fault(result, served, right) for result, (served, right) in pairs)
        return next((fault for fault in faults if fault is not None), None)

    return check


def _experiments(inputs: list[Array]) -> list[Question]:
    """Each of the three networks may answer; which did stands in the answer."""
    found = []
    for number, rows in enumerate(inputs):
        body = {"model_id": EXPERIMENT, "data": _numbers(rows)}
        if number % 2:
            body["routing_key"] = f"user-{number}"
        rights = {one.model_id: one.expected(rows) for one in (SMALL_ONE, TWIN, GUESTS[0])}
        found.append(Question(post(_PREDICT, body), _experiment_check(rights)))
    return found


def _experiment_check(rights: dict[str, Array]) -> Check:
    def check(reply: Reply) -> str | None:
        if reply.status != 200:
            return "not answered"
        said = msgspec.json.decode(reply.body)
        if said["model_id"] != EXPERIMENT or said["variant"] not in rights:
            return "nobody's answer"
        right = rights[said["variant"]]
        return None if agrees(said["predictions"], right) else f"{right.tolist()} is right"

    return check


def _refused() -> list[Question]:
    """Each with the status that it must have."""
    row = _numbers(SMALL_ONE.rows(1, seed=9))
    bodies: list[tuple[int, dict[str, Any]]] = [
        (404, {"model_id": "nobody", "data": row}),
        (422, {"model_id": SMALL_ONE.model_id, "data": [[1.0]]}),
        (422, {"model_id": SMALL_ONE.model_id, "data": [["a"] * SMALL_ONE.width]}),
        (422, {"model_id": EXPERIMENT, "data": [[1.0]]}),
        (504, {"model_id": SMALL_ONE.model_id, "data": row, "timeout_ms": 1e-6}),
        (504, {"model_id": EXPERIMENT, "data": row, "timeout_ms": 1e-6}),
    ]
    found = [Question(post(_PREDICT, body), _status_check(status)) for status, body in bodies]
    return [*found, Question(request("POST", _PREDICT, b'{"data": [['), _status_check(400))]


def _status_check(status: int) -> Check:
    return lambda reply: None if reply.status == status else f"it is not {status}"


def _look(path: str) -> Question:
    return Question(request("GET", f"{BASE}/{path}"), _status_check(200))


def _hang_up(connection: Connection, random: Random) -> int:
    """Nobody waits for the answer; half of the time not even the whole body comes."""
    rows = FOREST.rows(64, seed=random.randrange(_BODIES))
    whole = post(_PREDICT, asked_of(FOREST, rows))
    connection.abandon(whole if random.random() < 0.5 else whole[:-100])
    return 1
