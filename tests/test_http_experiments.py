"""Experiments over real HTTP: one id for several models, changed beside traffic."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np
import pytest
from sklearn.datasets import load_wine

from http_experiments import (
    BASE,
    FILES,
    MODELS,
    OTHERS,
    PREDICT,
    STREAM,
    ask,
    close,
    folder_of,
    look,
    put,
    right,
    serving,
)
from http_models import Gate, json_rows, rows_of, trained
from http_server import Server, error_of, eventually
from slipstream.api.shadows import MOST_COPIES


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder_of(tmp_path_factory, "experiments")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    with serving(folder, *FILES, *OTHERS, ALLOW_CUSTOM_CODE="True") as server:
        yield server


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client
        for one in client.get(f"{BASE}/list").json()["experiments"]:
            client.delete(f"{BASE}/{one['experiment_id']}")


class TestDefining:
    def test_create_replace_look_end(self, client: httpx.Client) -> None:
        created = put(client, "exp", {"wine": 3, "stump": 1}, {"stump": 0.5})
        assert created.status_code == 201, created.text
        body = created.json()
        assert list(body) == [
            "experiment_id", "created_at", "changed_at", "drawn_count", "inference_count",
            "error_count", "variants", "shadows",
        ]  # fmt: skip
        assert list(body["variants"][0]) == [
            "model_id", "weight", "loaded", "drawn_count", "drawn_share", "inference_count",
            "error_count", "latency",
        ]  # fmt: skip
        assert list(body["shadows"][0]) == [
            "model_id", "share", "loaded", "compared", "agreeing", "max_difference",
            "mean_difference", "error_count", "dropped_count", "latency",
        ]  # fmt: skip
        nothing = {"count": 0, "mean": None, "p50": None, "p95": None, "p99": None}
        assert body["variants"][0]["latency"] == body["shadows"][0]["latency"] == nothing
        assert body["variants"][0]["drawn_share"] is None
        assert look(client, "exp") == body
        replaced = put(client, "exp", {"wine": 1})
        assert replaced.status_code == 200
        assert replaced.json()["shadows"] == []
        assert client.get(f"{BASE}/list").json() == {
            "experiments": [replaced.json()],
            "total_experiments": 1,
        }
        ended = client.delete(f"{BASE}/exp")
        assert (ended.status_code, list(ended.json())) == (200, ["message", "experiment_id"])
        for response in (client.get(f"{BASE}/exp"), client.delete(f"{BASE}/exp")):
            assert response.status_code == 404
            assert error_of(response)["error"] == "ExperimentNotFoundError"

    @pytest.mark.parametrize(
        ("name", "body", "status"),
        [
            ("exp", b"{", 400),
            ("exp", b"{}", 422),
            ("exp", b'{"variants": []}', 422),
            ("exp", b'{"variants": [{"model_id": "wine"}]}', 422),
            ("exp", b'{"variants": [{"model_id": "wine", "weight": "1"}]}', 422),
            ("exp", b'{"variants": [{"model_id": "wine", "weight": true}]}', 422),
            ("exp", b'{"variants": [{"model_id": "wine", "weight": -1}]}', 422),
            ("exp", b'{"variants": [{"model_id": "wine", "weight": 0}]}', 422),
            ("exp", b'{"variants": [{"model_id": "wine", "weight": 1e999}]}', 422),
            ("exp", b'{"variants": [{"model_id": "nobody", "weight": 1}]}', 404),
            (
                "exp",
                b'{"variants": [{"model_id": "wine", "weight": 1}, '
                b'{"model_id": "wine", "weight": 2}]}',
                422,
            ),
            (
                "exp",
                b'{"variants": [{"model_id": "wine", "weight": 1}], '
                b'"shadows": [{"model_id": "wine", "share": 0}]}',
                422,
            ),
            ("wine", b'{"variants": [{"model_id": "stump", "weight": 1}]}', 409),
            (".exp", b'{"variants": [{"model_id": "stump", "weight": 1}]}', 422),
            ("list", b'{"variants": [{"model_id": "stump", "weight": 1}]}', 405),
        ],
        ids=str,
    )
    def test_what_is_refused(
        self, client: httpx.Client, name: str, body: bytes, status: int
    ) -> None:
        response = client.put(f"{BASE}/{name}", content=body)
        assert response.status_code == status, response.text
        error_of(response)
        assert client.get(f"{BASE}/list").json()["total_experiments"] == 0

    def test_models_and_experiments_share_their_ids(self, client: httpx.Client) -> None:
        put(client, "exp", {"wine": 1}, {"stump": 1})
        for model in ("wine", "stump"):
            refused = client.delete(f"{MODELS}/{model}")
            assert refused.status_code == 409
            body = error_of(refused)
            assert body["error"] == "ModelInUseError"
            assert body["details"] == {"model_id": model, "experiment_id": "exp"}
        load = {"model_path": "cancer.pkl", "model_id": "exp"}
        assert client.post(f"{MODELS}/load", json=load).status_code == 409
        nested = put(client, "other", {"exp": 1})
        assert (nested.status_code, error_of(nested)["error"]) == (422, "InvalidInputError")
        for path in (f"{MODELS}/exp/info", f"{MODELS}/exp/metrics"):
            assert client.get(path).status_code == 404
        assert client.post(f"{MODELS}/exp/reload").status_code == 404
        assert client.delete(f"{MODELS}/exp").status_code == 404


class TestPredicting:
    def test_the_answer_names_both(self, client: httpx.Client) -> None:
        put(client, "exp", {"diabetes": 1, "line": 0})
        answer = ask(client, "diabetes", model_id="exp")
        assert list(answer) == [
            "predictions", "model_id", "inference_time", "request_id", "timestamp", "variant",
        ]  # fmt: skip
        assert (answer["model_id"], answer["variant"]) == ("exp", "diabetes")
        assert answer["predictions"] == right("diabetes", "diabetes")
        assert "variant" not in ask(client, "diabetes", model_id="diabetes", routing_key="u")
        put(client, "exp", {"diabetes": 0, "line": 1})
        answer = ask(client, "diabetes", model_id="exp")
        assert answer["variant"] == "line"
        assert close(answer["predictions"], right("line", "diabetes"))

    def test_a_batch_with_probabilities(self, client: httpx.Client) -> None:
        put(client, "exp", {"wine": 1}, {"stump": 1})
        body = {
            "model_id": "exp",
            "data": json_rows(rows_of("wine")),
            "return_probabilities": True,
        }
        answer = client.post(f"{PREDICT}/batch", json=body).json()
        assert list(answer)[-3:] == ["request_id", "timestamp", "variant"]
        assert (answer["variant"], answer["batch_size"]) == ("wine", len(body["data"]))
        proba = trained("wine").predict_proba(rows_of("wine"))
        np.testing.assert_array_equal(np.array(answer["probabilities"]), proba)

    def test_messagepack_and_tensors(self, client: httpx.Client) -> None:
        put(client, "exp", {"line": 1})
        rows = rows_of("diabetes")
        packed = client.post(
            PREDICT,
            content=msgspec.msgpack.encode(
                {"model_id": "exp", "data": json_rows(rows), "routing_key": "u"}
            ),
            headers={"content-type": "application/msgpack"},
        )
        answer = msgspec.msgpack.decode(packed.content)
        assert (answer["model_id"], answer["variant"]) == ("exp", "line")
        assert close(answer["predictions"], right("line", "diabetes"))
        tensor = client.post(
            f"{PREDICT}?model_id=exp&routing_key=u",
            content=np.ascontiguousarray(rows).tobytes(),
            headers={
                "content-type": "application/octet-stream",
                "x-tensor-dtype": str(rows.dtype),
                "x-tensor-shape": ",".join(map(str, rows.shape)),
            },
        )
        assert tensor.status_code == 200, tensor.text
        assert (tensor.headers["x-model-id"], tensor.headers["x-variant"]) == ("exp", "line")
        values = np.frombuffer(tensor.content, tensor.headers["x-tensor-dtype"])
        assert close(values.tolist(), right("line", "diabetes"))

    def test_multi_batch(self, client: httpx.Client) -> None:
        put(client, "exp", {"line": 1})
        entry = {"model_id": "exp", "data": json_rows(rows_of("diabetes"))}
        bad = {"model_id": "exp", "data": [[1]]}
        body = client.post(
            f"{PREDICT}/multi-batch",
            json={"requests": [entry, entry | {"model_id": "diabetes"}, bad]},
        ).json()
        first, second, third = body["results"]
        assert (first["model_id"], first["variant"]) == ("exp", "line")
        assert close(first["predictions"], right("line", "diabetes"))
        assert second["model_id"] == "diabetes" and "variant" not in second
        assert third["error"]["details"]["variant"] == "line"
        drawn = client.post(
            f"{PREDICT}/multi-batch", json={"requests": [entry | {"weight": 1, "request_id": "a"}]}
        ).json()["results"][0]
        assert (drawn["model_id"], drawn["variant"]) == ("exp", "a")
        (line,) = look(client, "exp")["variants"]
        assert (line["inference_count"], line["error_count"]) == (2, 1)

    def test_streams(self, client: httpx.Client) -> None:
        put(client, "exp", {"diabetes": 1, "line": 1})
        of_streams: set[str] = set()
        for name in map("stream-{}".format, range(12)):
            asked = {"stream_id": name, "model_id": "exp"}
            assert client.post(f"{STREAM}/start", json=asked).status_code == 200
            for number in (1, 2, 3):
                entry = {"sequence_id": number, "data": json_rows(rows_of("diabetes"))}
                client.post(f"{STREAM}/{name}/send", json=entry).raise_for_status()
            results: list[dict[str, Any]] = []
            while len(results) < 3:
                found = client.get(f"{STREAM}/{name}/results?wait_ms=5000").raise_for_status()
                results += found.json()["results"]
            (variant,) = {one["variant"] for one in results}
            of_streams.add(variant)
            for one in results:
                assert one["model_id"] == "exp"
                assert close(one["predictions"], right(variant, "diabetes"))
            client.delete(f"{STREAM}/{name}").raise_for_status()
        assert of_streams == {"diabetes", "line"}

    def test_keys_and_shares(self, client: httpx.Client) -> None:
        put(client, "exp", {"diabetes": 1, "line": 1})
        found: dict[str, set[str]] = {}
        entry = {"model_id": "exp", "data": json_rows(rows_of("diabetes", 1))}
        for key in map(str, range(20)):
            for _ in range(2):
                answer = ask(client, "diabetes", model_id="exp", routing_key=key)
                found.setdefault(key, set()).add(answer["variant"])
            for of_all, of_entry in ((key, None), ("other", key)):
                body = {"requests": [entry | {"routing_key": of_entry}], "routing_key": of_all}
                (result,) = client.post(f"{PREDICT}/multi-batch", json=body).json()["results"]
                found[key].add(result["variant"])
        assert all(len(one) == 1 for one in found.values())
        assert set().union(*found.values()) == {"diabetes", "line"}
        body = look(client, "exp")
        assert [one["drawn_count"] for one in body["variants"]] == [
            4 * sum(one == {name} for one in found.values()) for name in ("diabetes", "line")
        ]
        assert sum(one["drawn_share"] for one in body["variants"]) == pytest.approx(1)
        assert body["drawn_count"] == body["inference_count"] == 80
        metrics = client.get(f"{MODELS}/line/metrics").json()["variant"]
        assert metrics["inference_count"] >= body["variants"][1]["inference_count"]

    def test_a_key_has_a_length(self, client: httpx.Client) -> None:
        put(client, "exp", {"wine": 1})
        body = {"model_id": "exp", "data": [[1.0]], "routing_key": "x" * 1025}
        response = client.post(PREDICT, json=body)
        assert response.status_code == 422
        assert error_of(response)["details"] == {"key": "routing_key"}

    def test_errors(self, client: httpx.Client) -> None:
        put(client, "exp", {"wine": 1})
        for body, status in (
            ({"data": [[1.0]]}, 422),
            ({"data": json_rows(rows_of("wine")), "timeout_ms": 1e-6}, 504),
        ):
            response = client.post(PREDICT, json={"model_id": "exp", **body})
            assert response.status_code == status
            assert error_of(response)["details"]["variant"] == "wine"
        (wine,) = look(client, "exp")["variants"]
        assert (wine["drawn_count"], wine["error_count"], wine["inference_count"]) == (2, 2, 0)


class TestShadows:
    def settled(self, client: httpx.Client, count: int) -> dict[str, Any]:
        """The one shadow, once that many copies have their end."""
        found: dict[str, Any] = {}

        def is_there() -> bool:
            found.update(look(client, "exp")["shadows"][0])
            seen: int = found["latency"]["count"] + found["error_count"] + found["dropped_count"]
            return seen >= count

        eventually(is_there)
        return found

    def test_numbers(self, client: httpx.Client) -> None:
        put(client, "exp", {"diabetes": 1}, {"line": 1})
        for _ in range(5):
            assert ask(client, "diabetes", model_id="exp")["variant"] == "diabetes"
        expected = np.abs(
            np.array(right("diabetes", "diabetes")) - np.array(right("line", "diabetes"))
        )
        eventually(lambda: self.settled(client, 5)["compared"] == 5 * len(expected))
        shadow = self.settled(client, 5)
        assert shadow["max_difference"] == pytest.approx(expected.max())
        assert shadow["mean_difference"] == pytest.approx(expected.mean())
        assert (shadow["error_count"], shadow["dropped_count"]) == (0, 0)
        assert 0 < shadow["latency"]["p50"] <= shadow["latency"]["p99"]

    def test_labels(self, client: httpx.Client) -> None:
        put(client, "exp", {"wine": 1}, {"stump": 1})
        rows = load_wine().data
        body = {"model_id": "exp", "data": rows.tolist()}
        assert client.post(PREDICT, json=body).json()["variant"] == "wine"
        same = trained("wine").predict(rows) == OTHERS["stump"].predict(rows)
        eventually(lambda: self.settled(client, 1)["compared"] == len(rows))
        shadow = self.settled(client, 1)
        assert shadow["agreeing"] == int(same.sum()) < len(rows)
        assert shadow["max_difference"] is None

    def test_another_question(self, client: httpx.Client) -> None:
        put(client, "exp", {"wine": 1}, {"cancer": 1})
        for _ in range(3):
            ask(client, "wine", model_id="exp")
        assert self.settled(client, 3)["error_count"] == 3

    def test_one_that_hangs_holds_up_nothing(self, client: httpx.Client, folder: Path) -> None:
        gate = Gate(folder, "gate")
        loaded = client.post(f"{MODELS}/load", json={"model_path": "gate.py", "model_id": "gate"})
        assert loaded.status_code == 200, loaded.text
        gate.close()
        put(client, "exp", {"diabetes": 1}, {"gate": 1})
        body = {"model_id": "exp", "data": [[0.0] * 10]}
        for _ in range(MOST_COPIES + 10):
            assert client.post(PREDICT, json=body).status_code == 200
        assert look(client, "exp")["shadows"][0]["dropped_count"] == 10
        gate.open()
        shadow = self.settled(client, MOST_COPIES + 10)
        assert (shadow["latency"]["count"], shadow["error_count"]) == (MOST_COPIES, 0)
        client.delete(f"{BASE}/exp")
        assert client.delete(f"{MODELS}/gate").status_code == 200
