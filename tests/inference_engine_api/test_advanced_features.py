"""Section "Advanced Features": custom models, ensembles, A/B testing."""

from __future__ import annotations

from collections import Counter
from typing import Any

import httpx
import numpy as np
import pytest

from inference_engine_api.conftest import Known
from inference_engine_api.contract import BASE, answer, refused


def test_custom_model_types(client: httpx.Client, load: Any) -> None:
    model_id = load("custom.py", model_type="custom")
    body = {"data": [[1.0, 2.0], [3.0, 4.0]], "model_id": model_id, "return_probabilities": True}
    predicted = answer(client.post(f"{BASE}/predict", json=body))
    assert predicted["predictions"] == [3.0, 7.0]
    share = 1 / (1 + np.exp([-3.0, -7.0]))
    expected = np.column_stack((1 - share, share))
    np.testing.assert_allclose(predicted["probabilities"], expected, rtol=1e-12)


def test_model_ensembles(client: httpx.Client, known: dict[str, Known]) -> None:
    body = {"model_path": "./models/wine.pkl", "model_type": "ensemble"}
    wrong = body | {"ensemble_method": "bagging"}
    refused(client.post(f"{BASE}/models/load", json=wrong), 422, "ModelLoadError")
    loaded = answer(client.post(f"{BASE}/models/load", json=body | {"ensemble_method": "voting"}))
    assert loaded["model_type"] == "ensemble"
    data = known["wine"].data(20)
    predicted = answer(
        client.post(f"{BASE}/predict", json={"data": data, "model_id": loaded["model_id"]})
    )
    assert predicted["predictions"] == known["wine"].model.predict(data).tolist()


def test_ab_testing(client: httpx.Client, load: Any, known: dict[str, Known]) -> None:
    load("breast_cancer.pkl", model_id="model_v1")
    load("custom.py", model_type="custom", model_id="model_v2")
    data = known["breast_cancer"].data(1)
    entries = [
        {"data": data, "model_id": "model_v1", "weight": 0.5},
        {"data": data, "model_id": "model_v2", "weight": 0.5},
    ]
    drawn: Counter[str] = Counter()
    for _ in range(60):
        body = {"requests": entries}
        done = answer(client.post(f"{BASE}/predict/multi-batch", json=body))
        assert done["total_requests"] == len(done["results"]) == 1
        drawn[done["results"][0]["model_id"]] += 1
    assert set(drawn) == {"model_v1", "model_v2"}
    for model_id, count in drawn.items():
        metrics = answer(client.get(f"{BASE}/models/{model_id}/metrics"))
        assert metrics["variant"]["inference_count"] == count


def test_a_user_stays_on_a_variant(
    client: httpx.Client, load: Any, known: dict[str, Known]
) -> None:
    load("wine.pkl", model_id="model_v1")
    load("custom.py", model_type="custom", model_id="model_v2")
    data = known["wine"].data(1)
    body = {
        "requests": [
            {"data": data, "model_id": "model_v1", "weight": 1},
            {"data": data, "model_id": "model_v2", "weight": 1},
        ]
    }
    for user in ("ann", "bob", "eve"):
        answers = {
            answer(client.post(f"{BASE}/predict/multi-batch", json=body | {"routing_key": user}))[
                "results"
            ][0]["model_id"]
            for _ in range(10)
        }
        assert len(answers) == 1


@pytest.mark.parametrize("weights", [[-1, 2], [0, 0]])
def test_weights_that_draw_nobody(
    client: httpx.Client, load: Any, known: dict[str, Known], weights: list[float]
) -> None:
    load("wine.pkl", model_id="model_v1")
    entries = [
        {"data": known["wine"].data(1), "model_id": "model_v1", "weight": weight}
        for weight in weights
    ]
    response = client.post(f"{BASE}/predict/multi-batch", json={"requests": entries})
    refused(response, 422, "InvalidInputError")
