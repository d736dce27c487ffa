"""Section "Unified Prediction": POST /predict."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from core_endpoints.contract import OWNER, answer, predict, refused
from http_models import json_rows, rows_of, trained
from http_server import Server, eventually
from slipstream.example.network import scores

JSON = {"Content-Type": "application/json"}


def example(*rows: list[float] | bytes) -> list[float]:
    """What the example answers these rows."""
    numbers: list[float] = scores(np.array([list(row) for row in rows], dtype=np.float32)).tolist()
    return numbers


class TestTheExample:
    def test_single(self, client: httpx.Client) -> None:
        """The document's first example, byte for byte."""
        body = '{\n    "model_name": "example",\n    "inputs": [1, 2, 3, 4, 5]\n  }'
        found = answer(client.post("/predict", content=body, headers=JSON))
        assert found["result"] == pytest.approx(example([1, 2, 3, 4, 5])[0], abs=1e-6)
        assert found["model_info"]["input_type"] == "single"
        assert found["model_info"]["input_count"] == 1

    def test_batch(self, client: httpx.Client) -> None:
        body = '{"model_name": "example", "inputs": [[1,2,3], [4,5,6], [7,8,9]]}'
        found = answer(client.post("/predict", content=body, headers=JSON))
        expected = example([1, 2, 3], [4, 5, 6], [7, 8, 9])
        assert found["result"] == pytest.approx(expected, abs=1e-6)
        assert found["model_info"]["input_type"] == "batch"
        assert found["model_info"]["input_count"] == 3

    def test_with_everything(self, client: httpx.Client) -> None:
        found = predict(
            *(client, "example", [[1, 2, 3, 4, 5], [6, 7, 8, 9, 10]]),
            token="optional_auth_token",
            priority=1,
            timeout=30.0,
            enable_batching=True,
        )
        assert found["result"] == pytest.approx(
            example([1, 2, 3, 4, 5], [6, 7, 8, 9, 10]), abs=1e-6
        )

    def test_text_and_a_token(self, client: httpx.Client) -> None:
        response = client.post(
            "/predict",
            headers={"Authorization": "Bearer YOUR_JWT_TOKEN"},
            json={
                "model_name": "example",
                "inputs": "Hello world",
                "token": "optional_token_override",
            },
        )
        assert answer(response)["result"] == pytest.approx(example(b"Hello world")[0], abs=1e-6)

    def test_texts(self, client: httpx.Client) -> None:
        found = predict(client, "example", ["né", "abc"])
        assert found["result"] == pytest.approx(example("né".encode(), b"abc"), abs=1e-6)
        mixed = predict(client, "example", ["ab", [97, 98]])["result"]
        assert mixed[0] == mixed[1]
        response = client.post("/predict", json={"model_name": "example", "inputs": ["a", "bc"]})
        assert "has 2 values, expected 1" in refused(response, 422, "InvalidInputError")["detail"]

    def test_a_value(self, client: httpx.Client) -> None:
        assert predict(client, "example", 5)["result"] == pytest.approx(example([5])[0], abs=1e-6)

    def test_by_its_only_input(self, client: httpx.Client) -> None:
        one = predict(client, "example", {"inputs": [1, 2]})
        assert one["result"] == pytest.approx(example([1, 2])[0], abs=1e-6)
        assert one["model_info"]["input_type"] == "single"

    def test_text_is_a_row_on_other_routes_too(self, client: httpx.Client) -> None:
        body = {"model_id": "example", "data": ["Hello world"]}
        found = answer(client.post("/api/inference/predict", json=body))
        assert found["predictions"] == pytest.approx(example(b"Hello world"), abs=1e-6)


class TestEveryModel:
    def test_a_classifier(self, client: httpx.Client) -> None:
        rows, model = rows_of("wine", 3), trained("wine")
        expected = model.predict(rows).tolist()
        assert predict(client, "wine", json_rows(rows))["result"] == expected
        one = predict(client, "wine", json_rows(rows)[0])
        assert one["result"] == expected[0]
        assert one["model_info"]["input_type"] == "single"

    def test_rows_by_column_names(self, client: httpx.Client) -> None:
        frame = rows_of("penguins", 2)
        expected = trained("penguins").predict(frame).tolist()
        rows = [dict(zip(frame.columns, row, strict=True)) for row in json_rows(frame)]
        assert predict(client, "penguins", rows)["result"] == expected
        one = predict(client, "penguins", rows[1])
        assert one["result"] == expected[1]
        assert one["model_info"]["input_count"] == 1
        assert predict(client, "penguins", json_rows(frame)[0])["result"] == expected[0]

    def test_text(self, client: httpx.Client) -> None:
        """A string is a value where the model takes strings."""
        assert predict(client, "words", "two")["result"] == 2
        assert predict(client, "words", ["three"])["result"] == 3
        assert predict(client, "words", [["one"], ["four"]])["result"] == [1, -1]

    def test_several_inputs_and_outputs(self, client: httpx.Client) -> None:
        one = predict(client, "pair", {"left": [1, 2, 3], "right": [2]})
        assert one["result"] == {"scaled": [2, 4, 6], "largest": 6}
        assert one["model_info"]["input_type"] == "single"
        two = predict(client, "pair", {"left": [[1, 2, 3], [4, 5, 6]], "right": [[2], [1]]})
        assert two["result"] == {"scaled": [[2, 4, 6], [4, 5, 6]], "largest": [6, 6]}
        assert (two["model_info"]["input_type"], two["model_info"]["input_count"]) == ("batch", 2)

    def test_several_inputs_one_output(self, client: httpx.Client) -> None:
        one = predict(client, "two", {"left": [0] * 8, "right": [1, 2, 3, 4]})
        assert one["result"] == [1, 2, 3, 4]

    def test_a_model_without_batches_gets_its_tensors_as_they_are(
        self, client: httpx.Client
    ) -> None:
        found = predict(client, "whole", [[1, 2, 3], [4, 5, 6]])
        assert found["result"] == [[1, 4], [2, 5], [3, 6]]
        assert found["model_info"]["input_type"] == "single"
        assert found["model_info"]["input_count"] == 1
        assert not found["batch_info"]["inflight_batching_enabled"]

    def test_an_experiment(self, client: httpx.Client) -> None:
        variants = [{"model_id": "wine", "weight": 1}]
        path = "/api/inference/experiments/tasting"
        assert client.put(path, json={"variants": variants}).status_code == 201
        try:
            row = json_rows(rows_of("wine", 1))[0]
            body = {"model_name": "tasting", "inputs": row}
            found = answer(client.post("/predict", json=body))
            assert found["result"] == predict(client, "wine", row)["result"]
            assert found["model_info"]["model"] == "tasting"
            assert found["model_info"]["variant"] == "wine"
        finally:
            client.delete(path)

    def test_answers_that_are_remembered(self, client: httpx.Client) -> None:
        wanted = {"model_path": "cached.onnx", "model_id": "cached", "cache_predictions": True}
        assert client.post("/api/inference/models/load", json=wanted).status_code == 200
        try:
            row = {"left": [[1, 2, 3]], "right": [[2]]}
            first = predict(client, "cached", row)
            again = predict(client, "cached", row)
            single = predict(client, "cached", {"left": [1, 2, 3], "right": [2]})
        finally:
            client.delete("/api/inference/models/cached")
        assert first["model_info"]["processing_path"] != "remembered"
        assert again["model_info"]["processing_path"] == "remembered"
        assert single["model_info"]["processing_path"] == "remembered"
        assert again["result"] == {"scaled": [[2, 4, 6]], "largest": [6]}
        assert single["result"] == {"scaled": [2, 4, 6], "largest": 6}

    def test_large_bodies(self, client: httpx.Client) -> None:
        rows = np.random.default_rng(0).uniform(-3, 3, (20_000, 40)).round(3)
        found = predict(client, "example", rows.tolist())
        assert found["model_info"]["input_count"] == 20_000
        expected = scores(rows.astype(np.float32))
        np.testing.assert_allclose(found["result"], expected, rtol=0, atol=1e-5)


class TestWhatHappened:
    """The custom model ``sizes`` answers each row with the number of rows of its execution."""

    @staticmethod
    def together(server: Server, folder: Path, *more: dict[str, Any]) -> list[dict[str, Any]]:
        """One request after the other, all of which wait until the model is free."""

        def ask(first: float, options: dict[str, Any]) -> dict[str, Any]:
            with server.client() as client:
                return predict(client, "sizes", [first, 0.0], **options)

        def queued() -> int:
            count: int = answer(client.get("/stats"))["stats"]["queue_size"]
            return count

        held = folder / "held"
        held.touch()
        try:
            with (
                ThreadPoolExecutor(len(more) + 1) as pool,
                server.client(headers=OWNER) as client,
            ):
                blocking = pool.submit(ask, 0.0, {})
                eventually(lambda: answer(client.get("/stats"))["stats"]["active_requests"] == 2)
                asked = []
                for number, options in enumerate(more, start=1):
                    asked.append(pool.submit(ask, float(number), options))
                    eventually(lambda: queued() == len(asked))
                held.unlink()
                assert blocking.result()["result"] == 1
                return [one.result() for one in asked]
        finally:
            held.unlink(missing_ok=True)

    def test_sharing_is_told_as_it_was(self, server: Server, folder: Path) -> None:
        alone = {"enable_batching": False}
        found = self.together(server, folder, {}, alone, {}, {}, alone)
        assert [one["result"] for one in found] == [3, 1, 3, 3, 1]
        for one in found:
            is_shared = one["result"] > 1
            assert one["batch_info"]["processed_as_batch"] is is_shared
            path = "batched" if is_shared else "queued"
            assert one["model_info"]["processing_path"] == path
        enabled = [one["batch_info"]["inflight_batching_enabled"] for one in found]
        assert enabled == [True, False, True, True, False]

    def test_priorities(self, server: Server, folder: Path) -> None:
        wanted = [{"priority": level, "enable_batching": False} for level in (0, 10, 5)]
        journal = folder / "journal"
        journal.write_text("")
        self.together(server, folder, *wanted)
        assert journal.read_text().split() == ["0", "2", "3", "1"]

    def test_a_batch_of_ones_own_is_not_shared(self, client: httpx.Client) -> None:
        found = predict(client, "sizes", [[1.0, 2.0]] * 5)
        assert found["result"] == [5] * 5
        assert not found["batch_info"]["processed_as_batch"]

    def test_several_instances(self, client: httpx.Client) -> None:
        status = {
            name: predict(client, name, rows)["batch_info"]["concurrent_optimization"]
            for name, rows in (("example", [1]), ("sizes", [1.0, 2.0]))
        }
        assert status == {"example": False, "sizes": False}


class TestRefusals:
    def test_an_unknown_model(self, client: httpx.Client) -> None:
        response = client.post("/predict", json={"model_name": "unknown_model", "inputs": [1]})
        body = refused(response, 404, "ModelNotFoundError")
        assert body["error"] == (
            "Model 'unknown_model' is not available. Check models.json configuration."
        )
        assert body["model_info"] == {"model": "unknown_model", "available": False}

    def test_a_timeout(self, client: httpx.Client) -> None:
        body = {"model_name": "example", "inputs": [1], "timeout": 1e-9}
        found = refused(client.post("/predict", json=body), 504, "DeadlineExceededError")
        assert found["error"] == "Request timed out"
        assert found["processing_time"] > 0

    @pytest.mark.parametrize(
        ("more", "key"),
        [
            ({"priority": 11}, "priority"),
            ({"priority": -1}, "priority"),
            ({"priority": "high"}, "priority"),
            ({"priority": 0.5}, "priority"),
            ({"timeout": 0}, "timeout"),
            ({"timeout": -3.5}, "timeout"),
            ({"timeout": "30"}, "timeout"),
            ({"enable_batching": "yes"}, "enable_batching"),
            ({"token": 7}, "token"),
            ({"model_name": 7}, "model_name"),
            ({"model_name": "x" * 257}, "model_name"),
            ({"inputs": []}, "inputs"),
            ({"inputs": [[]]}, "inputs"),
            ({"inputs": ""}, "inputs"),
            ({"inputs": None}, "inputs"),
            ({"inputs": {"inputs": []}}, "inputs"),
        ],
    )
    def test_values(self, client: httpx.Client, more: dict[str, Any], key: str) -> None:
        body = {"model_name": "example", "inputs": [1], **more}
        found = refused(client.post("/predict", json=body), 422, "InvalidInputError")
        assert key in found["detail"]
        assert found["details"].get("key", key) == key

    @pytest.mark.parametrize("body", [{"inputs": [1]}, {"model_name": "example"}, [], 3])
    def test_keys(self, client: httpx.Client, body: Any) -> None:
        refused(client.post("/predict", json=body), 422, "InvalidInputError")

    @pytest.mark.parametrize(
        ("name", "inputs"),
        [
            ("example", [1, "a"]),
            ("example", [[1, 2], [3]]),
            ("example", [[[1]]]),
            ("example", {"other": [1]}),
            ("example", True),
            ("wine", [1, 2]),
            ("wine", "text"),
            ("wine", 5),
            ("whole", [1, 2, 3]),
            ("pair", [1, 2, 3]),
            ("pair", {"left": [1, 2, 3]}),
            ("pair", {"left": [1, 2, 3], "right": [[2]]}),
            ("penguins", {"island": "Biscoe"}),
        ],
    )
    def test_inputs(self, client: httpx.Client, name: str, inputs: Any) -> None:
        response = client.post("/predict", json={"model_name": name, "inputs": inputs})
        refused(response, 422, "InvalidInputError")

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"{",
            b'{"model_name": "example", "inputs": [1e999]}',
            b'{"model_name": "example", "inputs": [NaN]}',
            b'{"model_name": "example", "inputs": [1],}',
            b'{"model_name": "example", "inputs": "\xff"}',
            b'{"model_name": "example", "inputs": ' + b"[" * 2000 + b"]" * 2000 + b"}",
        ],
    )
    def test_what_is_no_json(self, client: httpx.Client, body: bytes) -> None:
        refused(client.post("/predict", content=body), 400, "MalformedInputError")

    def test_a_list_cannot_be_closed_from_inside(self, client: httpx.Client) -> None:
        """One input is wrapped as bytes: what was sent must be one value."""
        for inputs in ("1],[2", "1]]", '"a","b"'):
            body = f'{{"model_name": "example", "inputs": {inputs}}}'
            refused(client.post("/predict", content=body), 400, "MalformedInputError")

    def test_other_methods(self, client: httpx.Client) -> None:
        response = client.get("/predict")
        refused(response, 405, "MethodNotAllowedError")
        assert response.headers["allow"] == "POST"

    def test_a_compressed_body(self, client: httpx.Client) -> None:
        response = client.post(
            "/predict", content=b"\x1f\x8b\x08\x00junk", headers={"Content-Encoding": "gzip"}
        )
        refused(response, 415, "UnsupportedEncodingError")


def test_space_does_not_count(client: httpx.Client) -> None:
    space = " \n\t\r" * 3000
    body = f'{{"model_name": "example", "inputs": {space}[{space}1{space},2]}}'
    found = answer(client.post("/predict", content=body))
    assert found["result"] == pytest.approx(example([1, 2])[0], abs=1e-6)
    assert json.loads(body)["inputs"] == [1, 2]
