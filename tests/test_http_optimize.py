"""Compiling and optimizing loaded models, over real HTTP with real models."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from http_models import json_rows, rows_of, trained
from http_networks import (
    MODELS,
    answers,
    images,
    load,
    network_folder,
    optimize,
    quantize,
    unload_all,
)
from http_server import Server, error_of, eventually, slipstream_server

PICKY = """
class Picky:
    def predict(self, rows):
        if not (rows[:, 0] == 7).all():
            raise ValueError("only 7")
        return rows[:, 1]

ENTRY = Picky
"""
CONFIGURATION = {
    "instances": int,
    "max_batch_rows": int,
    "intra_op_threads": int,
    "graph_optimization_level": str,
    "quantization": (str, type(None)),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return network_folder(tmp_path_factory, "optimize")


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


class TestCompile:
    def test_one_that_was_loaded_as_it_is(self, client: httpx.Client) -> None:
        model_id = load(client, "wine.pkl", compile_model=False)
        rows = json_rows(rows_of("wine"))
        expected = trained("wine").predict(rows_of("wine")).tolist()
        assert answers(client, model_id, rows) == expected
        response = client.post(f"{MODELS}/{model_id}/compile")
        assert response.status_code == 200, response.text
        body = response.json()
        assert list(body) == ["message", "model_id", "compiled", "backend", "compile_time"]
        assert (body["compiled"], body["backend"]) == (True, "forest")
        assert body["compile_time"] > 0
        assert answers(client, model_id, rows) == expected
        assert client.get(f"{MODELS}/{model_id}/info").json()["compiled"] is True
        again = client.post(f"{MODELS}/{model_id}/compile").json()
        assert again["message"] == "Model is compiled already"
        assert (again["compiled"], again["compile_time"]) == (True, 0.0)
        assert client.post(f"{MODELS}/{model_id}/reload").json()["compiled"] is True

    def test_one_that_cannot_be(self, client: httpx.Client) -> None:
        model_id = load(client, "sizes.py")
        response = client.post(f"{MODELS}/{model_id}/compile", json={})
        assert response.status_code == 200
        body = response.json()
        assert list(body)[-1] == "reason"
        assert (body["compiled"], body["backend"]) == (False, "process")
        assert body["reason"]

    def test_a_graph_is_compiled_as_it_is(self, client: httpx.Client) -> None:
        body = client.post(f"{MODELS}/{load(client, 'conv.onnx')}/compile").json()
        assert (body["compiled"], body["backend"]) == (True, "onnx")

    def test_what_is_not_there(self, client: httpx.Client) -> None:
        assert client.post(f"{MODELS}/nobody/compile").status_code == 404

    def test_the_operator_may_refuse(self, folder: Path) -> None:
        env = {"MODEL_DIR": str(folder), "ENABLE_COMPILATION": "False"}
        with slipstream_server(env=env) as server, server.client() as client:
            body = client.post(f"{MODELS}/{load(client, 'wine.pkl')}/compile").json()
            assert body["compiled"] is False
            assert "ENABLE_COMPILATION" in body["reason"]


def check_row(row: dict[str, Any]) -> None:
    """A candidate has what its status promises."""
    assert list(row["configuration"]) == list(CONFIGURATION)
    for key, kind in CONFIGURATION.items():
        assert isinstance(row["configuration"][key], kind)
    if row["status"] == "skipped":
        assert set(row) == {"configuration", "status", "reason"}
        assert row["reason"]
    else:
        assert 0 < row["latency_p50_ms"] <= row["latency_p99_ms"]
        assert row["throughput_per_second"] > 0


def measured(body: dict[str, Any]) -> list[dict[str, Any]]:
    return [row for row in body["candidates"] if row["status"] == "measured"]


class TestOptimize:
    def test_the_documented_request(self, client: httpx.Client) -> None:
        model_id = load(client, "conv.onnx")
        data = images(4)
        before = answers(client, model_id, data)
        response = optimize(
            client, model_id, optimization_level="aggressive", target_latency_ms=1000,
            target_throughput=1, time_budget_s=20, calibration_data=images(64),
        )  # fmt: skip
        assert response.status_code == 200, response.text
        body = response.json()
        assert list(body) == [
            "message", "model_id", "optimization_level", "applied", "configuration", "before",
            "best", "targets", "candidates", "rows", "rows_source", "concurrency", "optimize_time",
        ]  # fmt: skip
        assert (body["model_id"], body["optimization_level"]) == (model_id, "aggressive")
        assert (body["rows"], body["rows_source"]) == (64, "calibration")
        assert body["optimize_time"] <= 21
        for row in (body["before"], body["best"], *body["candidates"]):
            check_row(row)
        assert body["candidates"][0] == body["before"]
        assert len(measured(body)) > 3
        configurations = [row["configuration"] for row in body["candidates"]]
        assert len({str(one) for one in configurations}) == len(configurations)
        for key in ("instances", "max_batch_rows", "intra_op_threads"):
            assert len({one[key] for one in configurations}) > 1
        assert all(one["instances"] <= 4 for one in configurations)
        assert [target["met"] for target in body["targets"]] == [True, True]
        if body["applied"]:
            assert body["configuration"] == body["best"]["configuration"]
        else:
            assert body["configuration"] == body["before"]["configuration"]
        # The figures of quantized candidates are within the limit, and so are the answers.
        for row in measured(body):
            is_quantized = row["configuration"]["quantization"] is not None
            assert is_quantized == ("accuracy_loss_percent" in row)
            assert row.get("accuracy_loss_percent", 0) <= 1
        after = np.array(answers(client, model_id, data))
        assert np.abs(after - before).max() < 0.1 * np.ptp(before)

    def test_what_is_applied_lasts(self, client: httpx.Client) -> None:
        model_id = load(client, "digits.onnx")
        body = optimize(client, model_id, optimization_level="conservative", time_budget_s=6).json()
        assert body["rows_source"] == "generated"
        now = client.get(f"{MODELS}/{model_id}/optimize").json()["configuration"]
        assert now == body["configuration"]
        assert body["applied"] == (now != body["before"]["configuration"])
        assert client.post(f"{MODELS}/{model_id}/reload").status_code == 200
        assert client.get(f"{MODELS}/{model_id}/optimize").json()["configuration"] == now

    def test_a_quantized_model(self, client: httpx.Client) -> None:
        model_id = load(client, "conv.onnx")
        assert quantize(client, model_id, quantization_type="UINT8").status_code == 200
        data = images(4)
        before = answers(client, model_id, data)
        body = optimize(client, model_id, time_budget_s=1, target_latency_ms=1e-6).json()
        assert body["before"]["configuration"]["quantization"] == "UINT8 DYNAMIC"
        assert body["before"]["accuracy_loss_percent"] < 1
        assert {row["configuration"]["quantization"] for row in measured(body)} == {"UINT8 DYNAMIC"}
        assert answers(client, model_id, data) == before

    def test_targets_out_of_reach_change_nothing(self, client: httpx.Client) -> None:
        model_id = load(client, "digits.onnx")
        before = client.get(f"{MODELS}/{model_id}/info").json()
        response = optimize(
            client, model_id, optimization_level="balanced", target_latency_ms=1e-6,
            target_throughput=1e12, time_budget_s=5,
        )  # fmt: skip
        assert response.status_code == 200
        body = response.json()
        assert body["applied"] is False
        assert "target_latency_ms" in body["message"]
        assert "target_throughput" in body["message"]
        for target in body["targets"]:
            assert target["met"] is False
            assert target["short_by_percent"] > 0
        assert body["configuration"] == body["before"]["configuration"]
        assert body["optimize_time"] <= 6
        after = client.get(f"{MODELS}/{model_id}/info").json()
        assert after["loaded_at"] == before["loaded_at"]
        assert after["inference_count"] == 0  # measuring is nobody's request

    def test_quantizing_a_tree_is_a_skipped_candidate(self, client: httpx.Client) -> None:
        model_id = load(client, "wine.pkl")
        rows = json_rows(rows_of("wine"))
        before = answers(client, model_id, rows)
        body = optimize(client, model_id, optimization_level="aggressive", time_budget_s=8).json()
        skipped = [row for row in body["candidates"] if row["status"] == "skipped"]
        (quantized,) = (row for row in skipped if row["configuration"]["quantization"])
        assert "RandomForestClassifier" in quantized["reason"]
        assert answers(client, model_id, rows) == before

    def test_without_quantization_where_the_operator_refuses_it(self, folder: Path) -> None:
        env = {"MODEL_DIR": str(folder), "ENABLE_QUANTIZATION": "False"}
        with slipstream_server(env=env) as server, server.client(timeout=60) as client:
            model_id = load(client, "digits.onnx")
            body = optimize(
                client, model_id, optimization_level="aggressive", time_budget_s=8
            ).json()
            reasons = [row["reason"] for row in body["candidates"] if row["status"] == "skipped"]
            assert any("ENABLE_QUANTIZATION" in reason for reason in reasons)

    def test_progress_and_one_search_at_a_time(self, client: httpx.Client, server: Server) -> None:
        model_id = load(client, "conv.onnx")
        path = f"{MODELS}/{model_id}/optimize"
        nothing = client.get(path).json()
        assert list(nothing) == [
            "model_id", "state", "configuration", "seconds_left", "candidates", "applied",
        ]  # fmt: skip
        assert (nothing["state"], nothing["candidates"]) == ("none", [])
        found: list[httpx.Response] = []

        def search() -> None:
            with server.client(timeout=60) as one:
                found.append(optimize(one, model_id, time_budget_s=12))

        searching = threading.Thread(target=search)
        searching.start()
        try:
            eventually(lambda: len(client.get(path).json()["candidates"]) >= 2)
            now = client.get(path).json()
            assert now["state"] == "running"
            assert 0 < now["seconds_left"] <= 12
            for row in now["candidates"]:
                check_row(row)
            again = optimize(client, model_id, time_budget_s=12)
            assert again.status_code == 409
            assert error_of(again)["error"] == "ModelBusyError"
            # Loads and predictions go on meanwhile.
            assert answers(client, load(client, "digits.onnx"), [[0.5] * 64])
            assert answers(client, model_id, images(2))
        finally:
            searching.join(60)
        assert found[0].status_code == 200
        after = client.get(path).json()
        assert (after["state"], after["seconds_left"]) == ("finished", 0)
        assert after["candidates"] == found[0].json()["candidates"]

    def test_unloading_ends_the_search(self, client: httpx.Client, server: Server) -> None:
        model_id = load(client, "conv.onnx")
        found: list[httpx.Response] = []

        def search() -> None:
            with server.client(timeout=60) as one:
                found.append(optimize(one, model_id, time_budget_s=30))

        searching = threading.Thread(target=search)
        searching.start()
        path = f"{MODELS}/{model_id}/optimize"
        eventually(lambda: len(client.get(path).json()["candidates"]) >= 1)
        assert client.delete(f"{MODELS}/{model_id}").status_code == 200
        searching.join(60)
        assert found[0].status_code == 404
        assert client.get(path).status_code == 404
        assert client.get(f"{MODELS}/list").json()["models"] == []
        assert load(client, "conv.onnx") == model_id
        assert client.get(path).json()["state"] == "none"

    def test_a_search_that_fails_says_why(self, client: httpx.Client, folder: Path) -> None:
        (folder / "picky.py").write_text(PICKY)
        model_id = load(client, "picky.py")
        response = optimize(client, model_id, time_budget_s=3)
        assert response.status_code == 422
        assert "calibration_data" in error_of(response)["message"]
        progress = client.get(f"{MODELS}/{model_id}/optimize").json()
        assert progress["state"] == "failed"
        assert "calibration_data" in progress["reason"]
        body = optimize(
            client, model_id, optimization_level="conservative", time_budget_s=10,
            calibration_data=[[7.0, 2.0]],
        ).json()  # fmt: skip
        assert body["before"]["status"] == "measured"
        response = optimize(client, model_id, time_budget_s=3, calibration_data=[[8.0, 2.0]])
        assert response.status_code == 422  # it answers none of these either
        assert "only 7" in error_of(response)["message"]

    @pytest.mark.parametrize(
        ("body", "key"),
        [
            ({"optimization_level": "reckless"}, "optimization_level"),
            ({"target_latency_ms": 0}, "target_latency_ms"),
            ({"target_latency_ms": "fast"}, "target_latency_ms"),
            ({"target_throughput": -1}, "target_throughput"),
            ({"time_budget_s": 0}, "time_budget_s"),
            ({"time_budget_s": 1e9}, "time_budget_s"),
            ({"max_accuracy_loss_percent": 101}, "max_accuracy_loss_percent"),
            ({"calibration_data": [[1, 2]]}, "calibration_data"),
        ],
    )
    def test_what_is_not_valid(self, client: httpx.Client, body: dict[str, Any], key: str) -> None:
        response = optimize(client, load(client, "digits.onnx"), **body)
        assert response.status_code == 422
        error = error_of(response)
        assert key in error["message"] + str(error["details"])

    def test_what_is_not_there(self, client: httpx.Client) -> None:
        assert optimize(client, "nobody").status_code == 404
        assert client.get(f"{MODELS}/nobody/optimize").status_code == 404


def test_a_search_does_not_hold_up_the_end_of_the_server(folder: Path) -> None:
    found: list[httpx.Response] = []
    with slipstream_server(env={"MODEL_DIR": str(folder)}) as server:
        with server.client() as client:
            model_id = load(client, "conv.onnx")

            def search() -> None:
                with server.client(timeout=60) as one:
                    found.append(optimize(one, model_id, time_budget_s=60))

            searching = threading.Thread(target=search)
            searching.start()
            path = f"{MODELS}/{model_id}/optimize"
            eventually(lambda: len(client.get(path).json()["candidates"]) >= 1)
        assert server.stop() == 0
        searching.join(60)
        assert found[0].status_code == 503
        assert "slipstream stopped\n" in server.log  # every request came to its end
