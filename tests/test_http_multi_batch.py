"""POST predict/multi-batch: entries side by side, each with an end of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from http_models import Gate, fresh_folder, json_rows, rows_of, trained
from http_server import Server, error_of, eventually, slipstream_server
from slipstream.http.routes import variants
from slipstream.http.routes.multi_batch import MOST_ENTRIES

PATH = "/api/inference/predict/multi-batch"
LIST = "/api/inference/models/list"
PREDICT = "/api/inference/predict"
MODELS_PATH = "/api/inference/models"
MODELS = ("wine", "cancer", "diabetes", "penguins")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = fresh_folder(tmp_path_factory, "multi", *(f"{name}.pkl" for name in MODELS))
    loads = [word for name in MODELS for word in ("--load", f"{folder}/{name}.pkl={name}")]
    with slipstream_server("--model-dir", str(folder), *loads) as server:
        yield server


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


def entry(model: str, **more: Any) -> dict[str, Any]:
    return {"model_id": model, "data": json_rows(rows_of(model)), **more}


def answer(client: httpx.Client, requests: list[Any], **more: Any) -> dict[str, Any]:
    response = client.post(PATH, json={"requests": requests, **more})
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    assert body["batch_id"] == response.headers["x-request-id"]
    assert body["total_requests"] == len(requests) == len(body["results"])
    assert body["successful_requests"] + body["failed_requests"] == len(requests)
    assert body["total_time"] > 0
    return body


class TestTheAnswer:
    def test_every_model_answers_as_it_does_alone(self, client: httpx.Client) -> None:
        body = answer(client, [entry(name, request_id=f"r-{name}") for name in MODELS])
        assert list(body) == [
            "results", "batch_id", "total_requests", "successful_requests", "failed_requests",
            "total_time",
        ]  # fmt: skip
        assert body["successful_requests"] == 4 and body["batch_id"].startswith("batch_")
        for name, result in zip(MODELS, body["results"], strict=True):
            assert list(result) == [
                "request_id", "predictions", "model_id", "inference_time", "status",
            ]  # fmt: skip
            assert result["request_id"] == f"r-{name}"
            assert (result["model_id"], result["status"]) == (name, "success")
            assert 0 < result["inference_time"] <= body["total_time"]
            assert result["predictions"] == list(trained(name).predict(rows_of(name)))

    def test_probabilities(self, client: httpx.Client) -> None:
        body = answer(client, [entry("wine", return_probabilities=True), entry("wine")])
        first, second = body["results"]
        got, right = first["probabilities"], trained("wine").predict_proba(rows_of("wine"))
        np.testing.assert_array_equal(np.array(got), right)
        assert "probabilities" not in second
        assert [first["request_id"], second["request_id"]] == ["1", "2"]

    def test_its_id_is_the_clients(self, client: httpx.Client) -> None:
        response = client.post(
            PATH, json={"requests": [entry("wine")]}, headers={"x-request-id": "mine"}
        )
        assert response.json()["batch_id"] == "mine"


class TestFailures:
    @pytest.mark.parametrize(
        ("spoilt", "error", "model_id"),
        [
            ({"model_id": "nobody", "data": [[1.0]]}, "ModelNotFoundError", "nobody"),
            ({"data": [[1.0]]}, "AmbiguousModelError", None),
            ({"model_id": "wine"}, "InvalidInputError", "wine"),
            ({"model_id": "wine", "data": [["a"] * 13]}, "InvalidInputError", "wine"),
            ({"model_id": "wine", "data": []}, "InvalidInputError", "wine"),
            ({"model_id": 7, "data": [[1.0]]}, "InvalidInputError", None),
            (entry("wine", timeout_ms=0), "InvalidInputError", "wine"),
            (entry("wine", timeout_ms=1e-6), "DeadlineExceededError", "wine"),
            (entry("wine", priority="soon"), "InvalidInputError", "wine"),
            (entry("wine", batch_size=0), "InvalidInputError", "wine"),
            (entry("diabetes", return_probabilities=True), "InvalidInputError", "diabetes"),
            (None, "InvalidInputError", None),
            (17, "InvalidInputError", None),
        ],
        ids=str,
    )
    def test_one_fails_alone(
        self, client: httpx.Client, spoilt: Any, error: str, model_id: str | None
    ) -> None:
        body = answer(client, [entry("wine"), spoilt, entry("cancer")])
        first, failed, last = body["results"]
        assert (body["successful_requests"], body["failed_requests"]) == (2, 1)
        assert first["predictions"] == list(trained("wine").predict(rows_of("wine")))
        assert last["predictions"] == list(trained("cancer").predict(rows_of("cancer")))
        assert list(failed) == ["request_id", "model_id", "status", "error"]
        assert (failed["request_id"], failed["status"]) == ("2", "error")
        assert failed["model_id"] == model_id
        assert list(failed["error"]) == ["error", "message", "details"]
        assert failed["error"]["error"] == error

    def test_all_may_fail(self, client: httpx.Client) -> None:
        body = answer(client, [{"model_id": "nobody", "data": []}] * 3)
        assert (body["successful_requests"], body["failed_requests"]) == (0, 3)

    @pytest.mark.parametrize(
        ("body", "status"),
        [
            (b"", 400),
            (b"{", 400),
            (b"[]", 422),
            (b"{}", 422),
            (b'{"requests": {}}', 422),
            (b'{"requests": []}', 422),
            (b'{"requests": [{}], "priority": "soon"}', 422),
            (b'{"requests": [{}], "batch_timeout_ms": 0}', 422),
            (b'{"requests": [{}], "batch_timeout_ms": "1"}', 422),
            (b'{"requests": [' + b",".join([b"{}"] * (MOST_ENTRIES + 1)) + b"]}", 422),
        ],
        ids=lambda value: str(value)[:40],
    )
    def test_of_the_whole(self, client: httpx.Client, body: bytes, status: int) -> None:
        response = client.post(PATH, content=body)
        assert response.status_code == status, response.text
        error_of(response)

    def test_as_many_as_are_taken(self, client: httpx.Client) -> None:
        body = answer(client, [entry("diabetes")] * MOST_ENTRIES)
        assert body["successful_requests"] == MOST_ENTRIES

    def test_the_deadline_is_that_of_all(self, client: httpx.Client) -> None:
        body = answer(client, [entry("wine"), entry("cancer")], batch_timeout_ms=1e-6)
        assert {result["error"]["error"] for result in body["results"]} == {"DeadlineExceededError"}

    @given(
        st.recursive(
            st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=8),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(["requests", "data", "model_id", "request_id", "priority"]),
                    inner,
                )
            ),
            max_leaves=12,
        )
    )
    def test_whatever_is_sent(self, server: Server, body: Any) -> None:
        with server.client() as client:
            response = client.post(PATH, content=msgspec.json.encode({"requests": body}))
        assert response.status_code in (200, 422), response.text


class TestVariants:
    def test_one_answers_and_is_named(self, client: httpx.Client) -> None:
        requests = [
            entry("wine", request_id="a", weight=0),
            entry("cancer", request_id="b", weight=2, return_probabilities=True),
            {"model_id": "nobody", "data": 7, "weight": 0},
        ]
        body = client.post(PATH, json={"requests": requests}).json()
        assert (body["total_requests"], body["successful_requests"]) == (1, 1)
        (result,) = body["results"]
        assert list(result) == [
            "request_id", "predictions", "probabilities", "model_id", "inference_time", "status",
            "variant",
        ]  # fmt: skip
        assert (result["variant"], result["model_id"]) == ("b", "cancer")
        assert result["predictions"] == list(trained("cancer").predict(rows_of("cancer")))

    def test_a_variant_that_fails_is_named_too(self, client: httpx.Client) -> None:
        requests = [entry("wine", weight=0), {"model_id": "nobody", "data": [[1]], "weight": 1}]
        body = client.post(PATH, json={"requests": requests}).json()
        (result,) = body["results"]
        assert (result["status"], result["variant"], result["request_id"]) == ("error", "2", "2")
        assert body["failed_requests"] == 1

    def test_shares_follow_the_weights_and_metrics_count_them(self, client: httpx.Client) -> None:
        before = {name: variant_counts(client, name) for name in ("wine", "diabetes")}
        requests = [entry("wine", weight=3), entry("diabetes", weight=1)]
        taken = [
            client.post(PATH, json={"requests": requests}).json()["results"][0]["model_id"]
            for _ in range(400)
        ]
        wine = taken.count("wine")
        assert 240 < wine < 360, "three quarters, seven deviations either way"
        after = {name: variant_counts(client, name) for name in before}
        grown = {name: after[name][0] - before[name][0] for name in before}
        assert grown == {"wine": wine, "diabetes": 400 - wine}
        bad = [{"model_id": "wine", "data": [["x"]], "weight": 1}]
        assert client.post(PATH, json={"requests": bad}).json()["failed_requests"] == 1
        assert variant_counts(client, "wine")[1] == after["wine"][1] + 1

    def test_a_model_that_was_never_drawn_says_nothing(self, client: httpx.Client) -> None:
        assert "variant" not in client.get(f"{MODELS_PATH}/penguins/metrics").json()

    def test_a_key_draws_the_same(self, client: httpx.Client) -> None:
        requests = [entry("wine", weight=1), entry("diabetes", weight=1)]
        drawn: dict[str, set[str]] = {}
        for key in map(str, range(20)):
            for _ in range(3):
                body = client.post(PATH, json={"requests": requests, "routing_key": key}).json()
                drawn.setdefault(key, set()).add(body["results"][0]["variant"])
        assert all(len(found) == 1 for found in drawn.values())
        assert set().union(*drawn.values()) == {"1", "2"}

    @pytest.mark.parametrize(
        "weights", [(1, None), (-1, 1), (0, 0), ("1", 1), (True, 1), (1e308, 1e308)], ids=str
    )
    def test_weights_that_are_none(self, client: httpx.Client, weights: tuple[Any, ...]) -> None:
        requests = [
            entry("wine") if weight is None else entry("wine", weight=weight) for weight in weights
        ]
        response = client.post(PATH, json={"requests": requests})
        assert response.status_code == 422, response.text
        assert error_of(response)["error"] == "InvalidInputError"

    @given(
        st.lists(st.floats(0, 1e6), min_size=1, max_size=6).filter(lambda each: sum(each) > 0),
        st.none() | st.text(),
    )
    def test_only_what_has_weight_is_drawn(self, weights: list[float], key: str | None) -> None:
        place = variants.drawn(weights, key)
        assert weights[place] > 0
        if key is not None:
            assert variants.drawn(weights, key) == place


def variant_counts(client: httpx.Client, model: str) -> tuple[int, int]:
    """How often it was drawn and answered, and how often it was drawn and failed."""
    counts = client.get(f"{MODELS_PATH}/{model}/metrics").json().get("variant")
    if counts is None:
        return 0, 0
    assert list(counts) == ["inference_count", "error_count", "average_inference_time"]
    return counts["inference_count"], counts["error_count"]


def test_many_clients_get_their_own(server: Server) -> None:
    wrong: list[str] = []

    def ask(number: int) -> None:
        with server.client() as client:
            for _ in range(20):
                names = [MODELS[(number + i) % 4] for i in range(4)]
                body = answer(client, [entry(name, request_id=f"{number}") for name in names])
                for name, result in zip(names, body["results"], strict=True):
                    if result["predictions"] != list(trained(name).predict(rows_of(name))):
                        wrong.append(f"{number} got {result}")

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path, "gate")


def test_a_client_that_hangs_up_withdraws_its_entries(tmp_path: Path, gate: Gate) -> None:
    arguments = ("--model-dir", str(tmp_path), "--load", "gate.py=gate")
    env = {"ALLOW_CUSTOM_CODE": "True", "MAX_CONCURRENT_REQUESTS": "2"}
    with slipstream_server(*arguments, env=env) as server:
        gate.close()
        with server.client() as client, ThreadPoolExecutor(1) as pool:
            one = {"model_id": "gate", "data": [[0.0]], "timeout_ms": 30_000}
            first = pool.submit(client.post, PREDICT, json=one)
            eventually(lambda: gate.ran == [0])
            body = msgspec.json.encode({"requests": [one | {"data": [[float(i)]]} for i in (1, 2)]})
            with server.connect() as connection:
                connection.sendall(
                    b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b"
                    % (PATH.encode(), len(body), body)
                )
                eventually(lambda: client.get(LIST).status_code == 503)  # two are in progress
            eventually(lambda: client.get(LIST).status_code == 200)
            gate.open()
            assert first.result().status_code == 200
            assert client.post(PREDICT, json=one | {"data": [[8.0]]}).status_code == 200
            assert gate.ran == [0, 8]
