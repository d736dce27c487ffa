"""The express way and the general way answer the same.

A body of announced length goes the express way if its form is plain; the same body in chunks always
goes the general way. So every body here is sent both ways, to one server.
"""

from __future__ import annotations

import json
import select
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

import slipstream
from http_models import TRAINED, fresh_folder, json_rows, rows_of
from http_server import Server, error_of, read_response, slipstream_server
from slipstream.errors import InvalidInputError

PREDICT, BATCH = "/api/inference/predict", "/api/inference/predict/batch"
_TIMES = ("inference_time", "total_inference_time", "average_inference_time")


def save_two_outputs(file: Path) -> None:
    """A graph with two outputs: 2x and x + 1."""
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [
            helper.make_node("Add", ["x", "x"], ["double"]),
            helper.make_node("Add", ["x", "one"], ['n"ext']),
        ],
        "two_outputs",
        [value("x", TensorProto.FLOAT, ["n", 2])],
        [
            value("double", TensorProto.FLOAT, ["n", 2]),
            value('n"ext', TensorProto.FLOAT, ["n", 2]),
        ],
        [helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0])],
    )
    onnx.save(
        helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)]), file
    )


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = fresh_folder(tmp_path_factory, "express", *(f"{name}.pkl" for name in TRAINED))
    save_two_outputs(folder / "two.onnx")
    loads = [
        word
        for file in sorted(folder.iterdir())
        if file.is_file()
        for word in ("--load", f"{file}={file.stem}")
    ]
    with slipstream_server("--model-dir", str(folder), *loads) as server:
        yield server


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


def both_ways(
    client: httpx.Client, path: str, body: bytes
) -> tuple[httpx.Response, httpx.Response]:
    """The answers of the express way (if it takes the body) and of the general way."""
    headers = {"x-request-id": "the-same"}
    express = client.post(path, content=body, headers=headers)
    general = client.post(path, content=iter([body]), headers=headers)
    assert "content-length" not in general.request.headers
    return express, general


def require_same(express: httpx.Response, general: httpx.Response) -> None:
    assert express.status_code == general.status_code, (express.text, general.text)
    ours, theirs = express.json(), general.json()
    assert list(ours) == list(theirs)
    for body in (ours, theirs):
        for name in (*_TIMES, "timestamp"):
            if name in body:
                assert isinstance(body.pop(name), str if name == "timestamp" else float)
    assert ours == theirs
    for name in ("content-type", "x-request-id", "retry-after"):
        assert express.headers.get(name) == general.headers.get(name)


@pytest.mark.parametrize("path", [PREDICT, BATCH])
@pytest.mark.parametrize("probabilities", [True, False, None])
@pytest.mark.parametrize("model", ["wine", "cancer", "diabetes", "penguins"])
def test_models(client: httpx.Client, path: str, probabilities: bool | None, model: str) -> None:
    body = {
        "model_id": model,
        "data": json_rows(rows_of(model)),
        "return_probabilities": probabilities,
    }
    for _ in range(3):  # first queued, then inline where the model is quick
        require_same(*both_ways(client, path, json.dumps(body).encode()))


def test_several_outputs(client: httpx.Client) -> None:
    body = b'{"model_id": "two", "data": [[1, 2], [3.5, -4]]}'
    express, general = both_ways(client, PREDICT, body)
    require_same(express, general)
    assert express.json()["predictions"] == {
        "double": [[2.0, 4.0], [7.0, -8.0]],
        'n"ext': [[2.0, 3.0], [4.5, -3.0]],
    }


GOOD = '{"model_id": "two", "data": [[1, 2]]'
BODIES = [
    b"",
    b" ",
    b"{",
    b"[1]",
    b'{"model_id": "two"}',
    b'{"data": [[1, 2]]}',
    b'{"model_id": "none", "data": [[1, 2]]}',
    b'{"model_id": "two", "data": 5}',
    b'{"model_id": "two", "data": [[1, 2}]}',
    b'{"model_id": "two", "data": {"x": [[1, 2]]}}',
    b'{"model_id": "two", "data": {"x": [[1, 2]], "y": 1}}',
    b'{"model_id": "two", "data": [[1, "a"]]}',
    b'{"model_id": "two", "data": [["\xff", 1]]}',
    b'{"model_id": "two", "data": [[1e999, 1]]}',
    b'{"model_id": "two", "data": [[NaN, 1]]}',
    b'{"model_id": "two", "data": [[1, 2, 3]]}',
    b'{"model_id": "two", "data": []}',
    b'{"model_id": "two", "data": ' + b"[" * 100 + b"]" * 100 + b"}",
    b'{"model_id": 5, "data": [[1, 2]]}',
    b'{"model_id": "\\u0074wo", "data": [[1, 2]]}',
    b'{"model_id": "two", "data": [[1, 2]], "data": [[3, 4]]}',
    b'{"model_id": "two", "data": [[1, 2]], "other": {"a": [1, null]}}',
    *(
        f"{GOOD}, {rest}}}".encode()
        for rest in (
            '"return_probabilities": true',
            '"return_probabilities": 1',
            '"priority": "urgent"',
            '"priority": "now"',
            '"priority": 3',
            '"timeout_ms": 0',
            '"timeout_ms": -1',
            '"timeout_ms": 1e-9',
            '"timeout_ms": 1e300',
            '"timeout_ms": "5"',
            '"batch_size": 0',
            '"batch_size": 1',
            '"batch_size": 1.5',
            '"batch_size": 99999999999999999999',
            '"batch_size": null, "priority": null, "timeout_ms": null',
        )
    ),
]


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
def test_other_bodies(client: httpx.Client, body: bytes) -> None:
    require_same(*both_ways(client, PREDICT, body))


_values = st.one_of(
    st.floats(width=32),
    st.integers(-(10**20), 10**20),
    st.none(),
    st.booleans(),
    st.text(max_size=3),
)
_envelopes = st.fixed_dictionaries(
    {"data": st.lists(st.lists(_values, max_size=3), max_size=3)},
    optional={
        "model_id": st.sampled_from(["two", "wine", "x", None, 1]),
        "return_probabilities": st.sampled_from([True, False, None, 0]),
        "batch_size": st.one_of(st.none(), st.integers(-2, 5), st.floats(0, 4)),
        "timeout_ms": st.one_of(st.none(), st.sampled_from([-1, 0, 1e4, 60000, "1"])),
        "priority": st.sampled_from(["low", "normal", "high", "urgent", "", 1, None]),
        "else": _values,
    },
)


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(envelope=_envelopes, cut=st.one_of(st.none(), st.integers(0, 200)))
def test_any_body(client: httpx.Client, envelope: dict[str, Any], cut: int | None) -> None:
    require_same(*both_ways(client, PREDICT, json.dumps(envelope).encode()[:cut]))


def test_request_ids_are_echoed_or_made_up(client: httpx.Client) -> None:
    body = f"{GOOD}}}".encode()
    seen = set()
    for offered, echoed in (("mine", True), ('"quoted\\"', True), ("x" * 129, False)):
        answer = client.post(PREDICT, content=body, headers={"x-request-id": offered})
        assert (answer.json()["request_id"] == offered) is echoed
        assert answer.headers["x-request-id"] == answer.json()["request_id"]
    for path, prefix in ((PREDICT, "req_"), (BATCH, "batch_")):
        for _ in range(20):
            answered = client.post(path, content=body).json()["request_id"]
            assert answered.startswith(prefix)
            seen.add(answered)
    assert len(seen) == 40


def test_pipelined_requests_are_answered_in_order(server: Server) -> None:
    with server.connect() as connection:
        for value in range(20):
            body = f'{{"model_id": "two", "data": [[{value}, 0]]}}'.encode()
            connection.sendall(
                b"POST /api/inference/predict HTTP/1.1\r\nhost: x\r\ncontent-length: "
                + str(len(body)).encode()
                + b"\r\n\r\n"
                + body
            )
        stream = connection.makefile("rb")
        for value in range(20):
            assert stream.readline().split()[1] == b"200"
            length = 0
            while (line := stream.readline().strip()) != b"":
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            answer = json.loads(stream.read(length))
            assert answer["predictions"]["double"] == [[2.0 * value, 0.0]]


def test_many_clients_get_their_own_answers(server: Server) -> None:
    """With a poisoned row in every fourth request."""
    wrong: list[str] = []

    def work(seed: int) -> None:
        rng = np.random.default_rng(seed)
        with server.client() as client:
            for turn in range(60):
                rows = rng.integers(-9999, 9999, (int(rng.integers(1, 5)), 2)).tolist()
                is_bad = turn % 4 == 3
                if is_bad:
                    rows[-1][1] = "poison"
                answer = client.post(PREDICT, json={"model_id": "two", "data": rows})
                if is_bad:
                    if answer.status_code != 422:
                        wrong.append(answer.text)
                elif answer.json()["predictions"]["double"] != [
                    [2.0 * value for value in row] for row in rows
                ]:
                    wrong.append(answer.text)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_client_that_leaves_its_body_unfinished_harms_nobody(
    server: Server, client: httpx.Client
) -> None:
    head = b"POST /api/inference/predict HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{"
    lingering: list[socket.socket] = []
    for _ in range(20):
        connection = server.connect()
        connection.sendall(head)
        lingering.append(connection)
    assert client.post(PREDICT, content=f"{GOOD}}}".encode()).status_code == 200
    for connection in lingering:
        connection.close()
    time.sleep(0.2)
    assert client.post(PREDICT, content=f"{GOOD}}}".encode()).status_code == 200


def test_a_late_body_is_given_up(tmp_path: Path) -> None:
    save_two_outputs(tmp_path / "two.onnx")
    arguments = ("--model-dir", str(tmp_path), "--load", f"{tmp_path}/two.onnx=two")
    with (
        slipstream_server(*arguments, env={"BODY_TIMEOUT_S": "0.3"}) as server,
        server.connect() as connection,
    ):
        connection.sendall(
            b"POST /api/inference/predict HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{"
        )
        status, headers, body = read_response(connection)
        assert status == 408
        assert headers["connection"] == "close"
        assert json.loads(body)["error"] == "BodyTimeoutError"


def test_keys_are_checked(tmp_path: Path) -> None:
    save_two_outputs(tmp_path / "two.onnx")
    arguments = ("--model-dir", str(tmp_path), "--load", f"{tmp_path}/two.onnx=two")
    env = {"REQUIRE_API_KEY": "True", "API_KEYS": "right"}
    body = f"{GOOD}}}".encode()
    with slipstream_server(*arguments, env=env) as server, server.client() as client:
        for headers, status in (
            ({}, 401),
            ({"x-api-key": "wrong"}, 401),
            ({"x-api-key": "right"}, 200),
            ({"authorization": "Bearer right"}, 200),
        ):
            answer = client.post(PREDICT, content=body, headers=headers)
            assert answer.status_code == status
            if status == 401:
                error_of(answer)


def test_the_plain_form_is_taken_and_the_rest_declined(tmp_path: Path) -> None:
    """Of the route itself: over HTTP nobody can tell which way a request went."""
    save_two_outputs(tmp_path / "two.onnx")
    with slipstream.Engine(state_dir=tmp_path / "state") as engine:
        engine.load(tmp_path / "two.onnx", model_id="two")
        route = engine.predict_route(is_batch=False)
        taken = route.answer(f"{GOOD}}}".encode(), "id", "now", "somebody")
        if isinstance(taken, int):  # queued: nothing is known about the model's speed yet
            assert select.select([route.fileno()], [], [], 10)[0]
            ((who, taken),) = route.drain("now")
            assert who == "somebody"
        assert isinstance(taken, bytes)
        assert json.loads(taken)["predictions"]["double"] == [[2.0, 4.0]]
        for body in (
            b"{}",
            b"",
            f'{GOOD}, "other": 1}}'.encode(),
            b'{"model_id": "x", "data": []}',
        ):
            assert route.answer(body, "id", "now", "somebody") is None
        with pytest.raises(InvalidInputError):
            route.answer(b'{"model_id": "two", "data": [[1]]}', "id", "now", "somebody")


def test_a_body_that_is_cut_short_is_malformed(server: Server) -> None:
    """The client has closed its half of the connection, and still reads."""
    with server.connect() as connection:
        head = f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{{"
        connection.sendall(head.encode())
        connection.shutdown(socket.SHUT_WR)
        status, _, body = read_response(connection)
    assert status == 400
    assert b"ended before the length announced" in body
