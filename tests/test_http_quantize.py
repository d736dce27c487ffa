"""Quantizing loaded models, over real HTTP with real models."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from http_networks import MODELS, answers, images, load, network_folder, quantize, unload_all
from http_server import Server, error_of, slipstream_server
from network_models import digits, regressor_rows

QUANTIZED_KEYS = [
    "message",
    "model_id",
    "quantization_type",
    "size_reduction_percent",
    "speed_improvement_percent",
    "accuracy_loss_percent",
    "quantization_mode",
    "max_accuracy_loss_percent",
    "rows",
    "rows_source",
    "quantized_weights",
    "size_before_mb",
    "size_after_mb",
    "latency_before_ms",
    "latency_after_ms",
    "applied",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return network_folder(tmp_path_factory, "quantize")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    env = {"MODEL_DIR": str(folder), "ALLOW_CUSTOM_CODE": "True"}
    with slipstream_server(env=env) as server:
        yield server


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with server.client(timeout=120) as client:
        unload_all(client)
        yield client


class TestQuantize:
    def test_the_documented_request(self, client: httpx.Client, folder: Path) -> None:
        model_id = load(client, "conv.onnx")
        data = images(64)
        before = np.array(answers(client, model_id, data))
        response = quantize(
            client, model_id, quantization_type="INT8", calibration_data=data,
            quantization_mode="DYNAMIC",
        )  # fmt: skip
        assert response.status_code == 200, response.text
        body = response.json()
        assert list(body) == QUANTIZED_KEYS
        assert body["message"] == "Model quantized successfully"
        assert (body["model_id"], body["quantization_type"]) == (model_id, "INT8")
        assert (body["rows"], body["rows_source"]) == (64, "calibration")
        assert body["size_after_mb"] < body["size_before_mb"]
        assert body["size_before_mb"] == pytest.approx(
            (folder / "conv.onnx").stat().st_size / 2**20, abs=1e-6
        )
        shrunk = 100 * (1 - body["size_after_mb"] / body["size_before_mb"])
        assert body["size_reduction_percent"] == pytest.approx(shrunk, abs=0.02)
        speed = 100 * (body["latency_before_ms"] / body["latency_after_ms"] - 1)
        assert body["speed_improvement_percent"] == pytest.approx(speed, abs=0.5)
        assert body["applied"] is True
        # What answers now is the quantized model, and its loss is the one that was told.
        after = np.array(answers(client, model_id, data))
        assert not np.array_equal(before, after)
        rmse = np.sqrt(np.mean((before - after) ** 2))
        loss = 100 * rmse / (before.max() - before.min())
        assert 0 < body["accuracy_loss_percent"] <= 1
        assert body["accuracy_loss_percent"] == pytest.approx(loss, rel=0.05)
        info = client.get(f"{MODELS}/{model_id}/info").json()
        assert info["quantization"] == "INT8 DYNAMIC"
        assert info["model_size_mb"] == body["size_after_mb"]

    @pytest.mark.parametrize(
        ("kind", "mode"), [("UINT8", "DYNAMIC"), ("INT8", "STATIC"), ("UINT8", "STATIC"),
                           ("FP16", None), ("INT4", None)]
    )  # fmt: skip
    def test_every_type_answers(self, client: httpx.Client, kind: str, mode: str | None) -> None:
        model_id = load(client, "conv.onnx")
        data = images(48)
        before = np.array(answers(client, model_id, data))
        asked = {"quantization_mode": mode} if mode else {}
        response = quantize(
            client, model_id, quantization_type=kind, calibration_data=data,
            max_accuracy_loss_percent=10, **asked,
        )  # fmt: skip
        assert response.status_code == 200, response.text
        body = response.json()
        assert (body["quantization_mode"], body["applied"]) == (mode, True)
        assert body["size_reduction_percent"] > 0
        after = np.array(answers(client, model_id, data))
        loss = 100 * np.sqrt(np.mean((before - after) ** 2)) / (before.max() - before.min())
        assert body["accuracy_loss_percent"] == pytest.approx(loss, rel=0.05, abs=1e-3)

    def test_a_classifier_loses_labels(self, client: httpx.Client) -> None:
        model_id = load(client, "digits.onnx")
        data = digits()[0][-400:].tolist()
        before = np.array(answers(client, model_id, data)["label"])
        body = quantize(
            client, model_id, quantization_type="INT4", calibration_data=data,
            max_accuracy_loss_percent=50,
        ).json()  # fmt: skip
        after = np.array(answers(client, model_id, data)["label"])
        assert body["accuracy_loss_percent"] == pytest.approx(100 * np.mean(before != after))
        assert np.mean(after == digits()[1][-400:]) > 0.8

    def test_converted_models_keep_their_manner(self, client: httpx.Client) -> None:
        rows = regressor_rows(200)
        model_id = load(client, "regressor.pkl")
        before = np.array(answers(client, model_id, rows.tolist()))
        response = quantize(
            client, model_id, quantization_type="INT8", quantization_mode="STATIC",
            calibration_data=rows.tolist(), max_accuracy_loss_percent=5,
        )  # fmt: skip
        assert response.status_code == 200, response.text
        assert response.json()["size_reduction_percent"] > 50  # it was a graph in double precision
        after = np.array(answers(client, model_id, rows.tolist()))
        assert after.shape == before.shape == (200,)
        assert not np.array_equal(before, after)
        rmse = np.sqrt(np.mean((before - after) ** 2))
        loss = response.json()["accuracy_loss_percent"]
        assert loss == pytest.approx(100 * rmse / np.ptp(before), rel=0.05)

    @pytest.mark.parametrize("kind", ["INT8", "UINT8", "INT4", "FP16"])
    def test_a_converted_classifier(self, client: httpx.Client, kind: str) -> None:
        model_id = load(client, "network.pkl")
        data = digits()[0][-400:].tolist()
        before = answers(client, model_id, data)
        body = quantize(
            client, model_id, quantization_type=kind, calibration_data=data,
            max_accuracy_loss_percent=20,
        ).json()  # fmt: skip
        after = answers(client, model_id, data)
        changed = np.mean([one != other for one, other in zip(before, after, strict=True)])
        assert body["accuracy_loss_percent"] == pytest.approx(100 * changed)
        asked = {"model_id": model_id, "data": data[:2], "return_probabilities": True}
        shown = client.post("/api/inference/predict", json=asked).json()
        assert np.sum(shown["probabilities"], axis=1) == pytest.approx([1, 1], abs=1e-3)

    def test_rows_of_several_inputs(self, client: httpx.Client) -> None:
        model_id = load(client, "two.onnx")
        drawn = np.random.default_rng(0)
        data = {
            "left": drawn.standard_normal((40, 8)).tolist(),
            "right": drawn.standard_normal((40, 4)).tolist(),
        }
        before = np.array(answers(client, model_id, data))
        body = quantize(
            client, model_id, quantization_type="UINT8", quantization_mode="STATIC",
            calibration_data=data, max_accuracy_loss_percent=5,
        ).json()  # fmt: skip
        assert (body["rows"], body["quantized_weights"], body["applied"]) == (40, 1, True)
        after = np.array(answers(client, model_id, data))
        loss = 100 * np.sqrt(np.mean((before - after) ** 2)) / np.ptp(before)
        assert body["accuracy_loss_percent"] == pytest.approx(loss, rel=0.05)

    def test_a_real_network_of_another_team(self, client: httpx.Client) -> None:
        model_id = load(client, "magika.onnx")
        body = quantize(client, model_id, "?dry_run=true", quantization_type="FP16").json()
        assert body["rows_source"] == "generated"
        assert body["rows"] > 0
        assert body["size_reduction_percent"] == pytest.approx(50, abs=5)
        assert body["accuracy_loss_percent"] < 1

    def test_a_dry_run_changes_nothing(self, client: httpx.Client) -> None:
        model_id = load(client, "conv.onnx")
        data = images(16)
        before = answers(client, model_id, data)
        info = client.get(f"{MODELS}/{model_id}/info").json()
        body = quantize(client, model_id, "?dry_run=true", quantization_type="UINT8").json()
        assert list(body) == QUANTIZED_KEYS
        assert body["applied"] is False
        assert "Dry run" in body["message"]
        assert answers(client, model_id, data) == before
        again = client.get(f"{MODELS}/{model_id}/info").json()
        for key in ("loaded_at", "model_size_mb", "backend"):
            assert again[key] == info[key]
        assert "quantization" not in again
        assert again["inference_count"] == info["inference_count"] + 1  # measuring does not count

    def test_one_that_loses_too_much_is_refused(self, client: httpx.Client) -> None:
        model_id = load(client, "conv.onnx")
        data = images(16)
        before = answers(client, model_id, data)
        asked = {"quantization_type": "INT4", "max_accuracy_loss_percent": 0.001}
        response = quantize(client, model_id, **asked)
        assert response.status_code == 422
        error = error_of(response)
        assert error["error"] == "QuantizationError"
        details = error["details"]
        assert details["accuracy_loss_percent"] > details["max_accuracy_loss_percent"] == 0.001
        assert {"size_reduction_percent", "speed_improvement_percent", "rows"} <= set(details)
        assert answers(client, model_id, data) == before  # to the bit
        told = quantize(client, model_id, "?dry_run=true", **asked).json()
        assert told["applied"] is False
        assert "refused" in told["message"]

    @pytest.mark.parametrize(
        ("file", "reason"),
        [
            ("wine.pkl", "RandomForestClassifier"),
            ("sizes.py", "process"),
            ("pair.onnx", "this graph has none"),
        ],
    )
    def test_what_cannot_be_quantized(self, client: httpx.Client, file: str, reason: str) -> None:
        model_id = load(client, file)
        response = quantize(client, model_id, quantization_type="INT8")
        assert response.status_code == 422
        error = error_of(response)
        assert error["error"] == "QuantizationError"
        assert reason in error["message"]

    @pytest.mark.parametrize(
        ("body", "key"),
        [
            ({}, "quantization_type"),
            ({"quantization_type": "INT7"}, "quantization_type"),
            ({"quantization_type": "INT8", "quantization_mode": "OTHER"}, "quantization_mode"),
            ({"quantization_type": "INT8", "quantization_mode": "STATIC"}, "calibration_data"),
            ({"quantization_type": "FP16", "quantization_mode": "STATIC"}, "quantization_mode"),
            ({"quantization_type": "INT8", "max_accuracy_loss_percent": -1}, "max_accuracy"),
            ({"quantization_type": "INT8", "calibration_data": [[1, 2]]}, "64"),
            ({"quantization_type": "INT8", "calibration_data": "rows"}, "data"),
            ({"quantization_type": "INT8", "calibration_data": []}, ""),
        ],
    )
    def test_what_is_not_valid(self, client: httpx.Client, body: dict[str, Any], key: str) -> None:
        model_id = load(client, "digits.onnx")
        response = quantize(client, model_id, **body)
        assert response.status_code == 422
        error = error_of(response)
        assert key in error["message"] + str(error["details"])

    def test_what_is_not_there(self, client: httpx.Client) -> None:
        assert quantize(client, "nobody", quantization_type="INT8").status_code == 404
        model_id = load(client, "digits.onnx")
        response = quantize(client, model_id, "?dry_run=maybe", quantization_type="INT8")
        assert response.status_code == 422
        assert client.post(f"{MODELS}/{model_id}/quantize", content=b"{").status_code == 400

    def test_reload_keeps_it(self, client: httpx.Client) -> None:
        model_id = load(client, "conv.onnx")
        data = images(8)
        plain = answers(client, model_id, data)
        assert quantize(client, model_id, quantization_type="INT8").status_code == 200
        before = answers(client, model_id, data)
        assert client.post(f"{MODELS}/{model_id}/reload").status_code == 200
        assert answers(client, model_id, data) == before != plain
        assert client.delete(f"{MODELS}/{model_id}").status_code == 200
        assert answers(client, load(client, "conv.onnx"), data) == plain

    def test_a_file_that_changed_is_not_served_by_surprise(
        self, client: httpx.Client, folder: Path
    ) -> None:
        shutil.copyfile(folder / "conv.onnx", folder / "changing.onnx")
        model_id = load(client, "changing.onnx")
        before = answers(client, model_id, images(4))
        shutil.copyfile(folder / "digits.onnx", folder / "changing.onnx")
        response = quantize(client, model_id, quantization_type="INT8")
        assert response.status_code == 409
        assert error_of(response)["error"] == "ModelBusyError"
        assert answers(client, model_id, images(4)) == before

    def test_requests_meanwhile_are_all_answered(
        self, client: httpx.Client, server: Server
    ) -> None:
        model_id = load(client, "conv.onnx")
        data = images(2)
        old = answers(client, model_id, data)
        seen: list[Any] = []
        stop = threading.Event()

        def ask() -> None:
            with server.client() as one:
                while not stop.is_set():
                    seen.append(answers(one, model_id, data))

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            assert quantize(client, model_id, quantization_type="UINT8").status_code == 200
            new = answers(client, model_id, data)
        finally:
            stop.set()
            for thread in threads:
                thread.join(30)
        assert new != old
        assert seen
        assert all(answer in (old, new) for answer in seen)


def test_the_operator_may_refuse(folder: Path) -> None:
    env = {"MODEL_DIR": str(folder), "ENABLE_QUANTIZATION": "False"}
    with slipstream_server(env=env) as server, server.client() as client:
        response = quantize(client, load(client, "digits.onnx"), quantization_type="INT8")
        assert response.status_code == 422
        assert "ENABLE_QUANTIZATION" in error_of(response)["message"]
