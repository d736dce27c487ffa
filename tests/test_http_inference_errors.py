"""Every bad input, through real HTTP: its status, its error, and a server that goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from http_models import canary_of, fresh_folder, json_rows, rows_of, write_hostile
from http_server import Server, error_of, slipstream_server

PREDICT = "/api/inference/predict"
BATCH = "/api/inference/predict/batch"
LOAD = "/api/inference/models/load"
LIMIT = 300_000
WIDTH = 13
ROW = [1.5] * WIDTH


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = fresh_folder(tmp_path_factory, "http-errors", "wine.pkl", "cancer.pkl")
    write_hostile(folder)
    (folder.parent / "outside.pkl").write_bytes((folder / "wine.pkl").read_bytes())
    (folder / "link.pkl").symlink_to(folder.parent / "outside.pkl")
    (folder / "folder.pkl").mkdir()
    (folder / "circle.pkl").symlink_to(folder / "circle.pkl")
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    arguments = ("--model-dir", str(folder), "--load", "wine.pkl=wine")
    with slipstream_server(*arguments, env={"MAX_BODY_BYTES": str(LIMIT)}) as server:
        yield server


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client
        answer = client.post(PREDICT, json={"data": json_rows(rows_of("wine", 1))})
        assert answer.status_code == 200  # whatever was sent, the next one is served


def refused(response: httpx.Response, status: int, kind: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    error = error_of(response)
    assert error["error"] == kind
    assert error["message"]
    assert isinstance(error["details"], dict)
    return error


def body(data: str, **more: Any) -> bytes:
    """A predict request whose ``data`` is exactly this text."""
    rest = "".join(f', "{key}": {json.dumps(value)}' for key, value in more.items())
    return f'{{"data": {data}{rest}}}'.encode()


class TestData:
    @pytest.mark.parametrize("path", [PREDICT, BATCH])
    @pytest.mark.parametrize(
        ("data", "says"),
        [
            ("null", "null"),
            ("[]", "no rows"),
            ("{}", "object"),
            ("5", "number"),
            ('"text"', "string"),
            ("true", "true"),
            (json.dumps(ROW), "[[...]]"),
            ("[[]]", f"expected {WIDTH}"),
            (json.dumps([ROW[1:]]), f"expected {WIDTH}"),
            (json.dumps([[*ROW, 1]]), f"expected {WIDTH}"),
            (json.dumps([ROW, ROW[1:]]), "row 1"),
            (json.dumps([ROW, [*ROW[1:], "a"]]), f"row 1, column {WIDTH - 1}"),
            (json.dumps([[*ROW[1:], "1.5"]]), f"column {WIDTH - 1}"),
            (json.dumps([[*ROW[1:], True]]), f"column {WIDTH - 1}"),
            (json.dumps([[*ROW[1:], [1]]]), f"column {WIDTH - 1}"),
            (json.dumps([[*ROW[1:], {}]]), f"column {WIDTH - 1}"),
            (json.dumps([ROW, None]), "row 1"),
            (json.dumps([{"alcohol": 1}]), "names"),
        ],
    )
    def test_json_that_does_not_fit(
        self, client: httpx.Client, path: str, data: str, says: str
    ) -> None:
        response = client.post(path, content=body(data, model_id="wine"))
        assert says in refused(response, 422, "InvalidInputError")["message"]

    @pytest.mark.parametrize("path", [PREDICT, BATCH])
    @pytest.mark.parametrize(
        "data",
        [
            f"[[1e999{', 1' * (WIDTH - 1)}]]",
            f"[[-1e999{', 1' * (WIDTH - 1)}]]",
            "[[NaN]]",
            "[[Infinity]]",
            "[[1,]]",
            "[[1}",
            "[[01]]",
            "[[1.]]",
            "[[.5]]",
            "[[0x10]]",
            "[['1']]",
            '[["\\x"]]',
            '[["\\ud800"]]',
            '[["a\nb"]]',
            "[" * 100_000,
            "[" * 100_000 + "]" * 100_000,
            "[" * 500 + "]" * 500,
            '{"a":' * 40_000 + "1" + "}" * 40_000,
        ],
        ids=lambda data: data[:12],
    )
    def test_what_is_no_json(self, client: httpx.Client, path: str, data: str) -> None:
        response = client.post(path, content=body(data, model_id="wine"))
        refused(response, 400, "MalformedInputError")

    def test_invalid_utf8_inside_data(self, client: httpx.Client) -> None:
        for text in (b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf5\x80\x80\x80"):
            response = client.post(PREDICT, content=b'{"data": [["' + text + b'"]]}')
            refused(response, 400, "MalformedInputError")


class TestEnvelope:
    @pytest.mark.parametrize("path", [PREDICT, BATCH, LOAD])
    @pytest.mark.parametrize(
        "content",
        [b"", b" ", b"not json", b"{", b'{"data": [[1]]', b'{"data": [[1]]} x', b"\x00", b"\xff"],
    )
    def test_not_json(self, client: httpx.Client, path: str, content: bytes) -> None:
        refused(client.post(path, content=content), 400, "MalformedInputError")

    @pytest.mark.parametrize("path", [PREDICT, BATCH])
    @pytest.mark.parametrize("content", [b"{}", b'{"model_id": "wine"}', b"[]", b"null", b"5"])
    def test_missing_data(self, client: httpx.Client, path: str, content: bytes) -> None:
        refused(client.post(path, content=content), 422, "InvalidInputError")

    @pytest.mark.parametrize("path", [PREDICT, BATCH])
    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("priority", "soon"),
            ("priority", ""),
            ("priority", "HIGH"),
            ("priority", 3),
            ("timeout_ms", 0),
            ("timeout_ms", -5),
            ("timeout_ms", "5"),
            ("timeout_ms", True),
            ("batch_size", 0),
            ("batch_size", -1),
            ("batch_size", 1.5),
            ("return_probabilities", "yes"),
            ("model_id", 5),
            ("model_id", ["wine"]),
        ],
    )
    def test_a_wrong_option_is_named(
        self, client: httpx.Client, path: str, key: str, value: Any
    ) -> None:
        response = client.post(path, json={"data": [ROW], key: value})
        error = refused(response, 422, "InvalidInputError")
        assert f"'{key}'" in error["message"]
        assert error["details"]["key"] == key

    def test_the_known_priorities_are_listed(self, client: httpx.Client) -> None:
        response = client.post(PREDICT, json={"data": [ROW], "priority": "soon"})
        details = refused(response, 422, "InvalidInputError")["details"]
        assert details["allowed"] == ["low", "normal", "high", "urgent"]

    def test_a_timeout_beyond_a_double(self, client: httpx.Client) -> None:
        response = client.post(PREDICT, content=b'{"data": [[1]], "timeout_ms": 1e999}')
        assert response.status_code in (400, 422)
        error_of(response)

    def test_a_timeout_below_a_clock_tick_has_expired(self, client: httpx.Client) -> None:
        response = client.post(PREDICT, json={"data": [ROW], "timeout_ms": 1e-9})
        refused(response, 504, "DeadlineExceededError")

    def test_options_may_be_null(self, client: httpx.Client) -> None:
        names = ("model_id", "priority", "timeout_ms", "batch_size", "return_probabilities")
        request = {"data": [ROW], **dict.fromkeys(names)}
        assert client.post(PREDICT, json=request).status_code == 200

    def test_a_timeout_of_any_length_will_do(self, client: httpx.Client) -> None:
        request = {"data": [ROW], "timeout_ms": 1e300, "batch_size": 10**30}
        assert client.post(PREDICT, json=request).status_code == 200

    @pytest.mark.parametrize("path", [PREDICT, BATCH])
    def test_unknown_model(self, client: httpx.Client, path: str) -> None:
        response = client.post(path, json={"data": [ROW], "model_id": "model_12345"})
        error = refused(response, 404, "ModelNotFoundError")
        assert error["message"] == "Model with ID 'model_12345' not found"
        assert error["details"] == {"model_id": "model_12345", "available_models": ["wine"]}

    @pytest.mark.parametrize("path", [PREDICT, BATCH, LOAD])
    def test_too_large(self, client: httpx.Client, path: str) -> None:
        content = body("[" + "[1],".join([""] * (LIMIT // 4)) + "[1]]")
        assert len(content) > LIMIT
        error = refused(client.post(path, content=content), 413, "BodyTooLargeError")
        assert error["details"] == {"max_body_bytes": LIMIT}


class TestRoutes:
    @pytest.mark.parametrize(
        ("method", "path", "allowed"),
        [
            ("GET", PREDICT, "POST"),
            ("DELETE", BATCH, "POST"),
            ("PUT", LOAD, "POST"),
            ("POST", "/api/inference/models/list", "GET, HEAD"),
            ("POST", "/api/inference/health", "GET, HEAD"),
            ("POST", "/api/inference/models/wine/info", "GET, HEAD"),
            ("GET", "/api/inference/models/wine/reload", "POST"),
            ("GET", "/api/inference/models/wine", "DELETE"),
            ("PATCH", PREDICT, "POST"),
        ],
    )
    def test_wrong_method(self, client: httpx.Client, method: str, path: str, allowed: str) -> None:
        response = client.request(method, path)
        error = refused(response, 405, "MethodNotAllowedError")
        assert response.headers["allow"] == allowed
        assert error["details"]["allowed_methods"] == allowed.split(", ")

    @pytest.mark.parametrize(
        "path",
        [
            "/api/inference",
            "/api/inference/",
            "/api/inference/nothing",
            "/api/inference/predict/",
            "/api/inference/models",
            "/api/inference/models/wine/nothing",
            "/api/inference/models//info",
            "/api/inference/" + "x" * 4000,
            "/api/inference/%00",
        ],
    )
    def test_unknown_path(self, server: Server, client: httpx.Client, path: str) -> None:
        refused(client.get(httpx.URL(server.address, raw_path=path.encode())), 404, KIND_OF_404)


KIND_OF_404 = "EndpointNotFoundError"


class TestFiles:
    """What a client names as ``model_path``."""

    @pytest.mark.parametrize(
        "path",
        [
            "{outside}",
            "/etc/passwd",
            "/proc/self/environ",
            "../outside.pkl",
            "a/../../outside.pkl",
            "link.pkl",
            "circle.pkl",
            "~/model.pkl",
            "http://127.0.0.1/model.pkl",
            "file:///etc/passwd",
        ],
    )
    def test_outside_the_wall(self, client: httpx.Client, folder: Path, path: str) -> None:
        path = path.format(outside=folder.parent / "outside.pkl")
        response = client.post(LOAD, json={"model_path": path})
        assert response.status_code in (404, 422)
        error = error_of(response)
        assert error["error"] in ("UnsafeModelError", "ModelNotFoundError")
        assert "root:" not in response.text

    def test_what_exists_outside_is_not_told(self, client: httpx.Client) -> None:
        """A file and no file outside the wall get the same answer."""
        there, absent = (
            client.post(LOAD, json={"model_path": path}).json()["message"].replace(path, "PATH")
            for path in ("/etc/passwd", "/etc/absent")
        )
        assert there == absent

    @pytest.mark.parametrize("path", ["absent.pkl", "folder.pkl", "absent/wine.pkl", "."])
    def test_no_file(self, client: httpx.Client, path: str) -> None:
        response = client.post(LOAD, json={"model_path": path})
        refused(response, 404, "ModelNotFoundError")

    @pytest.mark.parametrize("path", ["", " ", "\0", "wine.pkl\0", "x" * 5000, 5, None, ["a"]])
    def test_no_path(self, client: httpx.Client, path: Any) -> None:
        response = client.post(LOAD, json={"model_path": path})
        refused(response, 422, "InvalidInputError")

    def test_a_path_is_needed(self, client: httpx.Client) -> None:
        error = refused(client.post(LOAD, json={}), 422, "InvalidInputError")
        assert "'model_path'" in error["message"]

    def test_a_hostile_pickle_does_nothing(self, client: httpx.Client, folder: Path) -> None:
        for model_type in ("auto", "sklearn"):
            request = {"model_path": "hostile.pkl", "model_type": model_type}
            error = refused(client.post(LOAD, json=request), 422, "UnsafeModelError")
            assert "system" in error["message"]
        assert not canary_of(folder).exists()

    @pytest.mark.parametrize("file", ["junk.pkl", "cut.pkl", "empty.onnx", "notes.txt"])
    def test_files_that_are_no_models(self, client: httpx.Client, file: str) -> None:
        response = client.post(LOAD, json={"model_path": file})
        refused(response, 422, "ModelLoadError")

    @pytest.mark.parametrize("model_type", ["xgboost", "lightgbm", "onnx", "custom"])
    def test_another_type_than_said(self, client: httpx.Client, model_type: str) -> None:
        request = {"model_path": "cancer.pkl", "model_type": model_type}
        response = client.post(LOAD, json=request)
        assert response.status_code == 422
        assert error_of(response)["error"] in ("ModelLoadError", "UnsafeModelError")

    @pytest.mark.parametrize("model_type", ["zebra", "SKLEARN", "", 5, None])
    def test_a_type_that_is_none(self, client: httpx.Client, model_type: Any) -> None:
        request = {"model_path": "cancer.pkl", "model_type": model_type}
        refused(client.post(LOAD, json=request), 422, "InvalidInputError")

    @pytest.mark.parametrize("value", ["yes", 1, None])
    def test_compile_model_is_true_or_false(self, client: httpx.Client, value: Any) -> None:
        request = {"model_path": "cancer.pkl", "compile_model": value}
        refused(client.post(LOAD, json=request), 422, "InvalidInputError")

    def test_nothing_of_it_is_loaded(self, client: httpx.Client) -> None:
        listed = client.get("/api/inference/models/list").json()
        assert [model["model_id"] for model in listed["models"]] == ["wine"]
