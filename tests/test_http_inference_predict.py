"""Predictions over HTTP: what goes in, what comes out, key by key."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest

from http_models import json_rows, model_folder, rows_of, trained
from http_server import Server, error_of, slipstream_server

PREDICT = "/api/inference/predict"
BATCH = "/api/inference/predict/batch"
FILES = {
    "wine": "wine.pkl",
    "cancer": "cancer.pkl",
    "diabetes": "diabetes.pkl",
    "penguins": "penguins.pkl",
    "pair": "pair.onnx",
    "whole": "whole.onnx",
    "words": "words.onnx",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    loads = [text for name, file in FILES.items() for text in ("--load", f"{file}={name}")]
    folder = model_folder(tmp_path_factory)
    with slipstream_server("--model-dir", str(folder), *loads) as server:
        yield server


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


def answer(client: httpx.Client, model_id: str, data: Any, **options: Any) -> dict[str, Any]:
    response = client.post(PREDICT, json={"data": data, "model_id": model_id, **options})
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


class TestTheAnswer:
    def test_single(self, client: httpx.Client) -> None:
        rows = rows_of("wine", 1)
        response = client.post(
            PREDICT,
            json={"data": json_rows(rows), "model_id": "wine", "return_probabilities": False},
        )
        assert response.status_code == 200
        assert response.headers["content-type"] == "application/json"
        body = response.json()
        assert list(body) == [
            "predictions",
            "model_id",
            "inference_time",
            "request_id",
            "timestamp",
        ]
        assert body["predictions"] == trained("wine").predict(rows).tolist()
        assert type(body["predictions"][0]) is int
        assert body["model_id"] == "wine"
        assert 0 < body["inference_time"] < 30
        assert body["request_id"].startswith("req_")
        assert response.headers["x-request-id"] == body["request_id"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", body["timestamp"])

    def test_probabilities_follow_the_predictions(self, client: httpx.Client) -> None:
        rows = rows_of("wine")
        body = answer(client, "wine", json_rows(rows), return_probabilities=True)
        assert list(body)[:3] == ["predictions", "probabilities", "model_id"]
        expected = trained("wine").predict_proba(rows)
        assert np.allclose(body["probabilities"], expected, rtol=0, atol=1e-5)
        assert body["predictions"] == trained("wine").predict(rows).tolist()

    def test_batch(self, client: httpx.Client) -> None:
        rows = rows_of("wine", 3)
        request = {
            "data": json_rows(rows),
            "model_id": "wine",
            "batch_size": 32,
            "return_probabilities": True,
        }
        response = client.post(BATCH, json=request)
        assert response.status_code == 200
        body = response.json()
        assert list(body) == [
            "predictions",
            "probabilities",
            "model_id",
            "batch_size",
            "total_inference_time",
            "average_inference_time",
            "request_id",
            "timestamp",
        ]
        assert body["predictions"] == trained("wine").predict(rows).tolist()
        assert body["batch_size"] == 3
        assert body["total_inference_time"] > 0
        average = body["total_inference_time"] / 3
        assert body["average_inference_time"] == pytest.approx(average)
        assert body["request_id"].startswith("batch_")
        del request["return_probabilities"]
        assert "probabilities" not in client.post(BATCH, json=request).json()

    def test_the_clients_request_id_is_echoed(self, client: httpx.Client) -> None:
        response = client.post(
            PREDICT,
            json={"data": json_rows(rows_of("wine", 1)), "model_id": "wine"},
            headers={"X-Request-ID": "mine-7"},
        )
        assert response.json()["request_id"] == "mine-7"
        assert response.headers["x-request-id"] == "mine-7"

    def test_more_rows_than_one_execution_takes(self, client: httpx.Client) -> None:
        rows = np.tile(rows_of("wine", 50), (20, 1))
        assert len(rows) > 64 * 10
        body = answer(client, "wine", json_rows(rows))
        assert body["predictions"] == trained("wine").predict(rows).tolist()


class TestLabels:
    def test_text_labels_come_back_as_they_were_trained(self, client: httpx.Client) -> None:
        rows = rows_of("cancer", 20)
        body = answer(client, "cancer", json_rows(rows), return_probabilities=True)
        model = trained("cancer")
        assert body["predictions"] == model.predict(rows).tolist()
        assert set(body["predictions"]) == {"benign", "malignant"}
        assert np.allclose(body["probabilities"], model.predict_proba(rows), rtol=0, atol=1e-5)

    def test_a_regression_answers_numbers(self, client: httpx.Client) -> None:
        rows = rows_of("diabetes")
        body = answer(client, "diabetes", json_rows(rows))
        assert np.allclose(body["predictions"], trained("diabetes").predict(rows), rtol=1e-5)

    def test_probabilities_of_a_regression_are_422(self, client: httpx.Client) -> None:
        request = {
            "data": json_rows(rows_of("diabetes", 1)),
            "model_id": "diabetes",
            "return_probabilities": True,
        }
        response = client.post(PREDICT, json=request)
        assert response.status_code == 422
        assert "probabilities" in error_of(response)["message"]


class TestMixedColumns:
    def test_rows_of_text_and_numbers(self, client: httpx.Client) -> None:
        rows = rows_of("penguins", 30)
        data = json_rows(rows)
        assert any(None in row for row in data)
        assert isinstance(data[0][0], str)
        body = answer(client, "penguins", data, return_probabilities=True)
        model = trained("penguins")
        assert body["predictions"] == model.predict(rows).tolist()
        assert len(set(body["predictions"])) == 3
        assert np.allclose(body["probabilities"], model.predict_proba(rows), rtol=0, atol=1e-5)

    def test_rows_as_objects_in_any_order(self, client: httpx.Client) -> None:
        rows = rows_of("penguins", 6)
        names = list(rows.columns)
        objects = [dict(reversed(list(zip(names, row, strict=True)))) for row in json_rows(rows)]
        body = answer(client, "penguins", objects)
        assert body["predictions"] == trained("penguins").predict(rows).tolist()

    @pytest.mark.parametrize(
        ("change", "named"),
        [
            ({"bill_length_mm": "long"}, "bill_length_mm"),
            ({"island": 5}, "island"),
            ({"wings": 2}, "wings"),
            ({"sex": ["male"]}, "sex"),
        ],
    )
    def test_what_does_not_fit_is_named(
        self, client: httpx.Client, change: dict[str, Any], named: str
    ) -> None:
        rows = rows_of("penguins", 1)
        row = dict(zip(rows.columns, json_rows(rows)[0], strict=True)) | change
        response = client.post(PREDICT, json={"data": [row], "model_id": "penguins"})
        assert response.status_code == 422
        assert named in error_of(response)["message"]

    def test_a_missing_column_is_named(self, client: httpx.Client) -> None:
        response = client.post(
            PREDICT, json={"data": [{"island": "Dream"}], "model_id": "penguins"}
        )
        assert response.status_code == 422
        assert "bill_length_mm" in error_of(response)["message"]


class TestTensors:
    def test_several_inputs_and_outputs_are_objects_by_name(self, client: httpx.Client) -> None:
        body = answer(client, "pair", {"right": [[2.0], [10.0]], "left": [[1, 2, 3], [0.5, 0, -1]]})
        assert body["predictions"] == {
            "scaled": [[2.0, 4.0, 6.0], [5.0, 0.0, -10.0]],
            "largest": [6.0, 5.0],
        }

    def test_what_is_not_finite_is_null(self, client: httpx.Client) -> None:
        body = answer(client, "pair", {"left": [[3e38, 1, -3e38]], "right": [[100]]})
        assert body["predictions"] == {"scaled": [[None, 100.0, None]], "largest": [None]}

    def test_batch_counts_the_rows(self, client: httpx.Client) -> None:
        data = {"left": [[1, 2, 3]] * 4, "right": [[1]] * 4}
        response = client.post(BATCH, json={"data": data, "model_id": "pair"})
        assert response.json()["batch_size"] == 4

    @pytest.mark.parametrize(
        ("data", "named"),
        [
            ({"left": [[1, 2, 3]]}, "right"),
            ({"left": [[1, 2, 3]], "right": [[1]], "up": [[1]]}, "up"),
            ({"left": [[1, 2, 3]], "right": [[1], [2]]}, "right"),
            ({"left": [[1, 2]], "right": [[1]]}, "left"),
            ({"left": [[1, 2, "3"]], "right": [[1]]}, "left"),
            ([[1, 2, 3]], "inputs by name"),
        ],
    )
    def test_what_does_not_fit_is_named(self, client: httpx.Client, data: Any, named: str) -> None:
        response = client.post(PREDICT, json={"data": data, "model_id": "pair"})
        assert response.status_code == 422
        assert named in error_of(response)["message"]

    def test_a_model_without_rows_runs_on_the_tensor_as_given(self, client: httpx.Client) -> None:
        body = answer(client, "whole", [[1, 2, 3], [4, 5, 6]])
        assert body["predictions"] == [[1, 4], [2, 5], [3, 6]]
        response = client.post(PREDICT, json={"data": [[1, 2, 3]], "model_id": "whole"})
        assert response.status_code == 422

    def test_text_in(self, client: httpx.Client) -> None:
        body = answer(client, "words", [["two"], ["three"], ["Ünknown"]])
        assert body["predictions"] == [[2], [3], [-1]]
        response = client.post(PREDICT, json={"data": [[2]], "model_id": "words"})
        assert response.status_code == 422


class TestNumbers:
    def test_missing_values_are_null(self, client: httpx.Client) -> None:
        rows = np.array(rows_of("wine", 4))
        rows[1, 3] = rows[2, 0] = np.nan
        body = answer(client, "wine", json_rows(rows))
        assert body["predictions"] == trained("wine").predict(rows).tolist()

    def test_a_model_that_takes_none_says_so(self, client: httpx.Client) -> None:
        rows = json_rows(rows_of("cancer", 1))
        rows[0][4] = None
        response = client.post(PREDICT, json={"data": rows, "model_id": "cancer"})
        assert response.status_code == 422
        assert "column 4" in error_of(response)["message"]

    def test_every_digit_of_a_double_counts(self, client: httpx.Client) -> None:
        row = np.array(rows_of("diabetes", 1))
        row[0, 2] = 0.1 + 0.2
        body = answer(client, "diabetes", json_rows(row))
        expected = trained("diabetes").predict(row)
        assert np.allclose(body["predictions"], expected, rtol=1e-12)
