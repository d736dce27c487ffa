"""GET /metrics: real counters of a real server, in both formats, and never going down."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as openmetrics_families,
)
from prometheus_client.parser import text_string_to_metric_families

from http_models import Gate, fresh_folder, json_rows, model_folder, rows_of
from http_server import Server, core_error_of, eventually, slipstream_server

BASE = "/api/inference"
ROWS = {"model_id": "wine", "data": json_rows(rows_of("wine", 3))}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = model_folder(tmp_path_factory)
    with slipstream_server("--model-dir", str(folder), "--load", "wine.pkl=wine") as server:
        yield server


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


class Scrape:
    """One scrape, to be asked for values by name and labels."""

    def __init__(self, client: httpx.Client) -> None:
        self.response = client.get("/metrics")
        assert self.response.status_code == 200
        self.families = list(text_string_to_metric_families(self.response.text))
        self.values = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in self.families
            for sample in family.samples
        }

    def __call__(self, name: str, **labels: str) -> float:
        return self.values[f"slipstream_{name}", frozenset(labels.items())]

    def get(self, name: str, **labels: str) -> float:
        return self.values.get((f"slipstream_{name}", frozenset(labels.items())), 0.0)


def wrong_order(values: list[float]) -> bool:
    return any(a > b for a, b in pairwise(values))


class TestTheFormat:
    def test_text(self, client: httpx.Client) -> None:
        scrape = Scrape(client)
        assert scrape.response.headers["content-type"].startswith("text/plain; version=0.0.4")
        names = {family.name for family in scrape.families}
        assert "process_resident_memory_bytes" in names
        assert "process_open_fds" in names
        ours = [family for family in scrape.families if family.name.startswith("slipstream_")]
        assert all(family.documentation and family.type != "unknown" for family in ours)

    def test_openmetrics(self, client: httpx.Client) -> None:
        accept = "application/openmetrics-text; version=1.0.0, text/plain;q=0.5"
        response = client.get("/metrics", headers={"accept": accept})
        assert response.headers["content-type"].startswith("application/openmetrics-text")
        families = {family.name: family for family in openmetrics_families(response.text)}
        assert families["slipstream_requests"].type == "counter"
        assert families["slipstream_request_duration_seconds"].type == "histogram"

    def test_head_and_ids(self, client: httpx.Client) -> None:
        assert client.head("/metrics").status_code == 200
        response = client.get("/metrics", headers={"x-request-id": "scrape-1"})
        assert response.headers["x-request-id"] == "scrape-1"

    def test_scrapes_side_by_side_are_all_answered(self, server: Server) -> None:
        from concurrent.futures import ThreadPoolExecutor

        def scrape(number: int) -> int:
            accept = "application/openmetrics-text" if number % 2 else "*/*"
            return httpx.get(f"{server.address}/metrics", headers={"accept": accept}).status_code

        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(scrape, range(24))) == {200}


class TestModels:
    def test_requests_rows_and_executions(self, client: httpx.Client) -> None:
        before = Scrape(client)
        for _ in range(5):
            assert client.post(f"{BASE}/predict", json=ROWS).status_code == 200
        assert client.post(f"{BASE}/predict", json={**ROWS, "timeout_ms": 1e-6}).status_code == 504
        after = Scrape(client)

        def grown(name: str, **labels: str) -> float:
            return after(name, model="wine", **labels) - before(name, model="wine", **labels)

        assert grown("requests_total", outcome="succeeded") == 5
        assert grown("requests_total", outcome="failed") == 0
        assert grown("requests_total", outcome="rejected") == 1
        assert grown("rows_total") == 15
        assert grown("batch_rows_count") == 5
        assert grown("batch_rows_sum") == 15
        assert grown("batch_rows_bucket", le="2.0") == 0
        assert grown("batch_rows_bucket", le="4.0") == 5
        assert grown("request_duration_seconds_count", stage="total") == 5
        assert grown("request_duration_seconds_sum", stage="total") > 0
        assert grown("execution_seconds_total") > 0

    def test_histograms_are_cumulative(self, client: httpx.Client) -> None:
        client.post(f"{BASE}/predict", json=ROWS)
        scrape = Scrape(client)
        families = {family.name: family for family in scrape.families}
        for name in ("slipstream_request_duration_seconds", "slipstream_batch_rows"):
            series: dict[frozenset[tuple[str, str]], list[tuple[float, float]]] = {}
            for sample in families[name].samples:
                if sample.name.endswith("_bucket"):
                    labels = dict(sample.labels)
                    bound = float(labels.pop("le"))
                    series.setdefault(frozenset(labels.items()), []).append((bound, sample.value))
            assert series
            for labels, buckets in series.items():
                assert not wrong_order([bound for bound, _ in buckets])
                assert not wrong_order([count for _, count in buckets])
                assert buckets[-1][0] == float("inf")
                total = scrape.values[f"{name}_count", labels]
                assert buckets[-1][1] == total

    def test_what_is_now(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        folder = fresh_folder(tmp_path_factory, "observed")
        gate = Gate(folder, "held")
        environment = {"ALLOW_CUSTOM_CODE": "True", "MAX_CONCURRENT_REQUESTS": "3"}
        arguments = ("--model-dir", str(folder), "--load", "held.py=held")
        with slipstream_server(*arguments, env=environment) as server, server.client() as client:
            from concurrent.futures import ThreadPoolExecutor

            gate.close()
            with ThreadPoolExecutor(3) as pool:
                held = [
                    pool.submit(
                        httpx.post,
                        f"{server.address}{BASE}/predict",
                        json={"model_id": "held", "data": [[0.0]]},
                        timeout=60,
                    )
                    for _ in range(3)
                ]
                try:
                    eventually(
                        lambda: (
                            Scrape(client)("http_requests_in_progress") == 3
                            and Scrape(client)("instances_busy", model="held") == 1
                        )
                    )
                    scrape = Scrape(client)  # also while the server lets nobody in
                    assert scrape("instances", model="held") == 1
                    assert scrape("queue_depth", model="held") == 2
                    assert scrape("http_body_bytes_in_memory") > 0
                    refused = client.post(f"{BASE}/predict", json={"data": [[1.0]]})
                    assert refused.status_code == 503
                    assert Scrape(client)("http_refused_total", reason="requests") == 1
                finally:
                    gate.open()
                assert [one.result().status_code for one in held] == [200] * 3
            assert Scrape(client)("http_requests_in_progress") == 0
            assert Scrape(client)("instances_busy", model="held") == 0


class TestAnswers:
    @pytest.mark.parametrize(
        ("headers", "way"),
        [({}, "express"), ({"content-type": "application/vnd.msgpack"}, "general")],
    )
    def test_by_route_and_status(
        self, client: httpx.Client, headers: dict[str, str], way: str
    ) -> None:
        import msgspec

        path = f"{BASE}/predict"
        encode = msgspec.json.encode if way == "express" else msgspec.msgpack.encode

        def ask(**changes: object) -> int:
            return client.post(path, content=encode(ROWS | changes), headers=headers).status_code

        before = Scrape(client)
        statuses = [ask(), ask(), ask(model_id="nobody"), ask(data=[]), ask(timeout_ms=1e-6)]
        assert statuses == [200, 200, 404, 422, 504]
        after = Scrape(client)
        for status in set(statuses):
            labels = {"route": path, "status": str(status)}
            grown = after("http_responses_total", **labels) - before.get(
                "http_responses_total", **labels
            )
            assert grown == statuses.count(status), status

    def test_strangers_make_no_series(self, client: httpx.Client) -> None:
        before = Scrape(client)
        for number in range(5):
            assert client.get(f"/no/such/{number}").status_code == 404
        assert client.get(f"{BASE}/models/nobody/info").status_code == 404
        after = Scrape(client)
        labels = {"route": "none", "status": "404"}
        grown = after("http_responses_total", **labels) - before.get(
            "http_responses_total", **labels
        )
        assert grown == 5
        labels["route"] = f"{BASE}/models/{{model_id}}/info"
        assert after("http_responses_total", **labels) >= 1
        assert "/no/such" not in after.response.text
        assert "nobody" not in after.response.text

    def test_bytes_of_bodies(self, client: httpx.Client) -> None:
        before = Scrape(client)
        response = client.post(f"{BASE}/predict", json=ROWS)
        after = Scrape(client)
        name = "http_request_body_bytes_total"
        assert after(name) - before(name) == len(response.request.content)


class TestLives:
    def test_reloading_takes_nothing_away(self, client: httpx.Client) -> None:
        for _ in range(3):
            client.post(f"{BASE}/predict", json=ROWS)
        before = Scrape(client)
        assert client.post(f"{BASE}/models/wine/reload").status_code == 200
        client.post(f"{BASE}/predict", json=ROWS)
        after = Scrape(client)
        for (name, labels), value in before.values.items():
            if not name.endswith(("_total", "_count", "_bucket", "_sum")) or "process" in name:
                continue
            assert after.values[name, labels] >= value, (name, labels)
        succeeded = {"model": "wine", "outcome": "succeeded"}
        assert after("requests_total", **succeeded) - before("requests_total", **succeeded) == 1

    def test_unloading_ends_the_series_and_loading_goes_on(self, client: httpx.Client) -> None:
        load = {"model_path": "cancer.pkl", "model_id": "cancer"}
        row = {"model_id": "cancer", "data": json_rows(rows_of("cancer", 1))}
        labels = {"model": "cancer", "outcome": "succeeded"}
        assert client.post(f"{BASE}/models/load", json=load).status_code == 200
        assert client.post(f"{BASE}/predict", json=row).status_code == 200
        assert Scrape(client)("requests_total", **labels) == 1
        assert client.delete(f"{BASE}/models/cancer").status_code == 200
        assert 'model="cancer"' not in Scrape(client).response.text
        assert client.post(f"{BASE}/models/load", json=load).status_code == 200
        assert client.post(f"{BASE}/predict", json=row).status_code == 200
        assert Scrape(client)("requests_total", **labels) == 2


class TestKeys:
    def test_open_by_default(self, tmp_path: Path) -> None:
        environment = {"REQUIRE_API_KEY": "True", "API_KEYS": "key-1"}
        with (
            slipstream_server("--model-dir", str(tmp_path), env=environment) as server,
            server.client() as client,
        ):
            assert client.get("/metrics").status_code == 200
            assert client.get(f"{BASE}/models/list").status_code == 401
            assert Scrape(client)("http_refused_total", reason="key") == 1
            answered = Scrape(client)(
                "http_responses_total", route=f"{BASE}/models/list", status="401"
            )
            assert answered == 1

    def test_closed_by_a_setting(self, tmp_path: Path) -> None:
        environment = {"METRICS_REQUIRE_KEY": "True", "API_KEYS": "key-1,key-2"}
        with (
            slipstream_server("--model-dir", str(tmp_path), env=environment) as server,
            server.client() as client,
        ):
            for headers in ({}, {"x-api-key": "key-3"}):
                response = client.get("/metrics", headers=headers)
                assert response.status_code == 401
                assert core_error_of(response)["error_type"] == "AuthenticationError"
            for headers in ({"x-api-key": "key-2"}, {"authorization": "Bearer key-1"}):
                assert client.get("/metrics", headers=headers).status_code == 200
            assert client.get(f"{BASE}/models/list").status_code == 200
