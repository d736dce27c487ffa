"""Binary bodies: the same rows as JSON, MessagePack and bytes get the same answers, in any form."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper

from http_models import TRAINED, fresh_folder, json_rows, rows_of
from http_server import Server, error_of, slipstream_server

PREDICT, BATCH = "/api/inference/predict", "/api/inference/predict/batch"
JSON, MSGPACK, TENSOR = "application/json", "application/msgpack", "application/octet-stream"
NUMERIC = ("wine", "diabetes")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = fresh_folder(tmp_path_factory, "forms", *(f"{name}.pkl" for name in TRAINED))
    loads = [word for name in TRAINED for word in ("--load", f"{folder}/{name}.pkl={name}")]
    with slipstream_server("--model-dir", str(folder), *loads) as server:
        yield server


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


def tensor_request(array: npt.NDArray[Any]) -> dict[str, Any]:
    return {
        "content": array.tobytes(),
        "headers": {
            "content-type": TENSOR,
            "x-tensor-dtype": array.dtype.name,
            "x-tensor-shape": ",".join(map(str, array.shape)),
        },
    }


def tensor_of(answer: httpx.Response, name: str, data: bytes) -> npt.NDArray[Any]:
    shape = tuple(int(size) for size in answer.headers[f"x-{name}-shape"].split(","))
    return np.frombuffer(data, answer.headers[f"x-{name}-dtype"]).reshape(shape)


@pytest.mark.parametrize("path", [PREDICT, BATCH])
@pytest.mark.parametrize("model", list(TRAINED))
def test_msgpack_answers_as_json(client: httpx.Client, path: str, model: str) -> None:
    envelope = {"model_id": model, "data": json_rows(rows_of(model))}
    if model != "diabetes":
        envelope["return_probabilities"] = True
    expected = client.post(path, json=envelope).json()
    headers = {"content-type": MSGPACK}
    answer = client.post(path, content=msgspec.msgpack.encode(envelope), headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == MSGPACK
    got = msgspec.msgpack.decode(answer.content)
    assert list(got) == list(expected)
    for name in ("predictions", "probabilities", "model_id", "batch_size"):
        assert got.get(name) == expected.get(name)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("model", NUMERIC)
def test_tensors_answer_as_json(client: httpx.Client, model: str, dtype: str) -> None:
    rows = np.asarray(rows_of(model), dtype=dtype)
    wants = {"return_probabilities": model != "diabetes"}
    expected = client.post(PREDICT, json={"model_id": model, "data": rows.tolist(), **wants}).json()
    query = {"model_id": model, "return_probabilities": str(wants["return_probabilities"]).lower()}
    answer = client.post(PREDICT, params=query, **tensor_request(rows))
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == TENSOR
    assert answer.headers["x-model-id"] == model
    assert float(answer.headers["x-inference-time"]) > 0
    shape = [int(size) for size in answer.headers["x-tensor-shape"].split(",")]
    split = int(np.prod(shape)) * np.dtype(answer.headers["x-tensor-dtype"]).itemsize
    predictions = tensor_of(answer, "tensor", answer.content[:split])
    assert predictions.tolist() == expected["predictions"]
    if model != "diabetes":
        probabilities = tensor_of(answer, "probabilities", answer.content[split:])
        assert probabilities.tolist() == expected["probabilities"]


def test_accept_chooses_the_answer(client: httpx.Client) -> None:
    rows = np.asarray(rows_of("wine"), dtype=np.float64)
    envelope = {"model_id": "wine", "data": rows.tolist()}
    expected = client.post(PREDICT, json=envelope).json()["predictions"]
    for accept, form in (
        (MSGPACK, MSGPACK),
        (TENSOR, TENSOR),
        (f"text/html, {MSGPACK};q=0.5, {JSON}", MSGPACK),
        ("Application/MsgPack", MSGPACK),
        ("*/*", JSON),
        ("text/html", JSON),
    ):
        answer = client.post(PREDICT, json=envelope, headers={"accept": accept})
        assert answer.headers["content-type"] == form
        if form == TENSOR:
            assert tensor_of(answer, "tensor", answer.content).tolist() == expected
        else:
            decode = json.loads if form == JSON else msgspec.msgpack.decode
            assert decode(answer.content)["predictions"] == expected
    request = tensor_request(rows)
    request["headers"]["accept"] = JSON
    answer = client.post(PREDICT, params={"model_id": "wine"}, **request)
    assert answer.json()["predictions"] == expected


def test_bytes_that_spell_json_are_a_tensor_all_the_same(client: httpx.Client) -> None:
    spelled = b'{"model_id": "wine", "data": [[1]]}'
    rows = np.frombuffer(spelled.ljust(10 * 8, b" "), np.float64).reshape(1, 10)
    answer = client.post(PREDICT, params={"model_id": "diabetes"}, **tensor_request(rows))
    expected = client.post(PREDICT, json={"model_id": "diabetes", "data": rows.tolist()}).json()
    assert tensor_of(answer, "tensor", answer.content).tolist() == expected["predictions"]


GOOD_MSGPACK = msgspec.msgpack.encode({"model_id": "diabetes", "data": [[0.0] * 10]})


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 400),
        (b"\xc1", 400),
        (GOOD_MSGPACK[:-3], 400),
        (GOOD_MSGPACK + b"\x00", 400),
        (msgspec.msgpack.encode([1]), 422),
        (msgspec.msgpack.encode({"model_id": "diabetes"}), 422),
        (msgspec.msgpack.encode({"model_id": "diabetes", "data": [["a"] * 10]}), 422),
        (msgspec.msgpack.encode({"model_id": "diabetes", "data": [[0.0] * 9]}), 422),
        (msgspec.msgpack.encode({"model_id": "nobody", "data": [[0.0] * 10]}), 404),
    ],
)
def test_bad_msgpack(client: httpx.Client, content: bytes, status: int) -> None:
    answer = client.post(PREDICT, content=content, headers={"content-type": MSGPACK})
    assert answer.status_code == status, answer.text
    error_of(answer)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-tensor-dtype": "float64"},
        {"x-tensor-shape": "1,10"},
        {"x-tensor-dtype": "float65", "x-tensor-shape": "1,10"},
        {"x-tensor-dtype": "float64", "x-tensor-shape": "1,11"},
        {"x-tensor-dtype": "float64", "x-tensor-shape": "-1,-10"},
        {"x-tensor-dtype": "float64", "x-tensor-shape": "1e1"},
        {"x-tensor-dtype": "float64", "x-tensor-shape": ""},
        {"x-tensor-dtype": "float64", "x-tensor-shape": "999999999999999999,999999999999999999"},
        {"x-tensor-dtype": "float64", "x-tensor-shape": ",".join(["1"] * 100)},
        {"x-tensor-dtype": "float32", "x-tensor-shape": "1,10"},
        {"x-tensor-dtype": "string", "x-tensor-shape": "1,10"},
    ],
    ids=str,
)
def test_bad_tensors(client: httpx.Client, headers: dict[str, str]) -> None:
    answer = client.post(
        PREDICT,
        params={"model_id": "diabetes"},
        content=bytes(80),
        headers={"content-type": TENSOR, **headers},
    )
    assert answer.status_code == 422, answer.text
    error_of(answer)


@pytest.mark.parametrize("kind", [MSGPACK, TENSOR])
def test_compressed_bodies(client: httpx.Client, kind: str) -> None:
    """What a compressed body of the right length would mean, nobody could tell."""
    answer = client.post(
        PREDICT,
        params={"model_id": "diabetes"},
        content=bytes(80),
        headers={
            "content-type": kind,
            "content-encoding": "gzip",
            "x-tensor-dtype": "float64",
            "x-tensor-shape": "1,10",
        },
    )
    assert answer.status_code == 415, answer.text
    assert error_of(answer)["details"] == {"content_encoding": "gzip"}


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({}, 400),
        ({"model_id": "nobody"}, 404),
        ({"model_id": "diabetes", "timeout_ms": "soon"}, 422),
        ({"model_id": "diabetes", "timeout_ms": "0"}, 422),
        ({"model_id": "diabetes", "priority": "now"}, 422),
        ({"model_id": "diabetes", "return_probabilities": "true"}, 422),
        ({"model_id": "diabetes", "priority": "urgent", "timeout_ms": "5e3"}, 200),
    ],
    ids=str,
)
def test_options_of_tensors(client: httpx.Client, query: dict[str, str], status: int) -> None:
    answer = client.post(PREDICT, params=query, **tensor_request(np.zeros((1, 10))))
    assert answer.status_code == status, answer.text


def test_text_has_no_tensor(client: httpx.Client) -> None:
    envelope = {"model_id": "penguins", "data": json_rows(rows_of("penguins"))}
    answer = client.post(PREDICT, json=envelope, headers={"accept": TENSOR})
    assert answer.status_code == 422
    assert "JSON or MessagePack" in error_of(answer)["message"]


@pytest.mark.parametrize("shape", [(1, 0, 5), (1, 0, 0), (2, 3, 0), (1, 5, 0)], ids=str)
@pytest.mark.parametrize("accept", ["application/json", MSGPACK, TENSOR])
@pytest.mark.parametrize("form", ["tensor", "msgpack", "json"])
def test_tensors_without_elements(
    free: httpx.Client, form: str, accept: str, shape: tuple[int, ...]
) -> None:
    """They are answered, not taken for outputs that nobody asked for."""
    empty = np.zeros(shape, np.float32)
    request = tensor_request(empty)
    if form != "tensor":
        encode = msgspec.json.encode if form == "json" else msgspec.msgpack.encode
        content = encode({"model_id": "free", "data": empty.tolist()})
        request = {"content": content, "headers": {"content-type": f"application/{form}"}}
    request["headers"]["accept"] = accept
    answer = free.post(PREDICT, params={"model_id": "free"}, timeout=10, **request)
    if form != "tensor" and shape[1] == 0 and 0 in shape[:2]:
        assert answer.status_code in (200, 422), answer.text  # [[]] does not say how long rows are
    else:
        assert answer.status_code == 200, answer.text
    if answer.status_code != 200:
        return
    if accept == TENSOR:
        assert answer.content == b""
        return
    decode = msgspec.json.decode if accept == "application/json" else msgspec.msgpack.decode
    assert decode(answer.content)["predictions"] == empty.tolist()


@pytest.fixture(scope="module")
def free(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A server of a network whose inner dimensions are free."""
    folder = tmp_path_factory.mktemp("free")
    dims = ["n", "a", "b"]
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "free",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, dims)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, dims)],
    )
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    onnx.save(model, folder / "free.onnx")
    arguments = ("--model-dir", str(folder), "--load", "free.onnx=free")
    with slipstream_server(*arguments) as server, server.client() as client:
        yield client
