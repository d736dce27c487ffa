"""Limits of requests a second and at once: by key, by address, behind proxies, by model."""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from ipaddress import ip_network
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from http_models import Gate, fresh_folder, json_rows, model_folder, rows_of
from http_server import Server, error_of, eventually, slipstream_server
from slipstream.http import limits
from slipstream.http.errors import RateLimitError
from slipstream.http.limits import Limits
from slipstream.setting_options import ModelLimit
from slipstream.settings import Settings, SettingsError, load_settings

BASE = "/api/inference"
ROWS = {"model_id": "wine", "data": json_rows(rows_of("wine", 2))}


class Moment:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def refusal(limited: Limits, client: str) -> RateLimitError | None:
    try:
        limited.enter(client)
    except RateLimitError as error:
        return error
    return None


class Headers(dict[str, str]):
    """Several lines of one header, set apart by ``|``."""

    def get_all(self, key: str) -> list[str]:
        return self[key].split("|") if key in self else []


class TestTheBucket:
    def test_burst_then_rate(self) -> None:
        clock = Moment()
        limited = Limits(Settings(rate_limit_rps=2.0, rate_limit_burst=3), clock)
        assert [refusal(limited, "a") for _ in range(3)] == [None] * 3
        refused = refusal(limited, "a")
        assert refused is not None
        assert refused.details == {
            "limit": "rate_limit_rps",
            "rps": 2.0,
            "burst": 3.0,
            "retry_after_s": 0.5,
        }
        assert refusal(limited, "b") is None, "another client has a bucket of its own"
        clock.now_s += 0.25
        assert refusal(limited, "a").details["retry_after_s"] == 0.25  # type: ignore[union-attr]
        clock.now_s += 0.25
        assert refusal(limited, "a") is None
        assert refusal(limited, "a") is not None
        clock.now_s += 1000
        assert [refusal(limited, "a") is None for _ in range(4)] == [True, True, True, False]

    @given(
        st.floats(0.01, 1e4),
        st.integers(1, 50),
        st.lists(st.floats(0, 10), min_size=1, max_size=60),
    )
    def test_never_more_than_allowed(self, rps: float, burst: int, gaps: list[float]) -> None:
        """In any stretch, at most the burst and what came back in it; and the wait is true."""
        clock = Moment()
        limited = Limits(Settings(rate_limit_rps=rps, rate_limit_burst=burst), clock)
        admitted: list[float] = []
        for gap in gaps:
            clock.now_s += gap
            refused = refusal(limited, "a")
            if refused is None:
                admitted.append(clock.now_s)
            else:
                clock.now_s += refused.details["retry_after_s"] * (1 + 1e-9) + 1e-9
                assert refusal(limited, "a") is None, "after the time it was told"
                admitted.append(clock.now_s)
        for i, start in enumerate(admitted):
            for j, end in enumerate(admitted[i:], start=1):
                assert j <= burst + (end - start) * rps * (1 + 1e-6) + 1e-6

    def test_requests_at_once(self) -> None:
        limited = Limits(Settings(rate_limit_concurrent=2))
        limited.enter("a")
        limited.enter("a")
        refused = refusal(limited, "a")
        assert refused is not None
        assert refused.details["limit"] == "rate_limit_concurrent"
        limited.enter("b")
        limited.leave("a")
        limited.enter("a")

    def test_the_table_is_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(limits, "MOST_CLIENTS", 5)
        limited = Limits(Settings(rate_limit_rps=1.0, rate_limit_concurrent=1))
        limited.enter("busy")
        for number in range(50):
            limited.enter(f"client-{number}")
            limited.leave(f"client-{number}")
        assert len(limited._clients) == 5
        assert refusal(limited, "busy") is not None, "what is in progress is not forgotten"
        for number in range(50):
            limited.enter(f"held-{number}")
        assert all(refusal(limited, f"held-{number}") for number in range(50))
        for number in range(50):
            limited.leave(f"held-{number}")

    def test_models(self) -> None:
        clock = Moment()
        some = (ModelLimit("wine", 1.0, 1, 0), ModelLimit("*", 0.0, 0, 1))
        limited = Limits(Settings(model_rate_limits=some), clock)
        ended: list[str] = []

        def at_once(done: Any) -> int:
            done("answer")
            return 7

        assert limited.start("wine", at_once, ended.append) == 7
        with pytest.raises(RateLimitError, match="wine") as caught:
            limited.start("wine", at_once, ended.append)
        assert caught.value.details["model_id"] == "wine"
        assert ended == ["answer"]
        waiting: list[Any] = []
        start = lambda done: waiting.append(done) or 1  # noqa: E731
        limited.start("other", start, ended.append)
        with pytest.raises(RateLimitError):
            limited.start("other", start, ended.append)
        waiting.pop()("late answer")
        assert ended == ["answer", "late answer"]

        def broken(done: Any) -> int:
            raise ValueError

        with pytest.raises(ValueError):
            limited.start("other", broken, ended.append)
        limited.start("other", start, ended.append)


class TestAddresses:
    PROXIES = (ip_network("10.0.0.0/8"), ip_network("::1/128"))

    @pytest.mark.parametrize(
        ("peer", "forwarded", "client"),
        [
            ("192.0.2.7:4711", "", "192.0.2.7"),
            ("192.0.2.7:4711", "198.51.100.1", "192.0.2.7"),  # no proxy of ours: its own word
            ("10.1.1.1:80", "198.51.100.1", "198.51.100.1"),
            ("10.1.1.1:80", "6.6.6.6, 198.51.100.1", "198.51.100.1"),  # 6.6.6.6 is a claim
            ("10.1.1.1:80", "6.6.6.6, 198.51.100.1, 10.9.9.9", "198.51.100.1"),
            ("10.1.1.1:80", "6.6.6.6|198.51.100.1", "198.51.100.1"),
            ("10.1.1.1:80", "198.51.100.1:3000", "198.51.100.1"),
            ("10.1.1.1:80", "6.6.6.6, nonsense, 10.9.9.9", "10.9.9.9"),
            ("10.1.1.1:80", "10.2.2.2, 10.9.9.9", "10.2.2.2"),
            ("10.1.1.1:80", "", "10.1.1.1"),
            ("[::1]:80", "[2001:db8:1:2:3:4:5:6]:99", "2001:db8:1:2::/64"),
            ("[::1]:80", "2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
            ("[::ffff:10.1.1.1]:80", "::ffff:198.51.100.1", "198.51.100.1"),
            ("", "198.51.100.1", "198.51.100.1"),
            ("", "", "unix"),
        ],
    )
    def test_who_it_is(self, peer: str, forwarded: str, client: str) -> None:
        limited = Limits(Settings(trusted_proxies=self.PROXIES))
        headers = Headers({"x-forwarded-for": forwarded} if forwarded else {})
        assert limited.client(peer, headers) == client

    def test_without_proxies_headers_say_nothing(self) -> None:
        headers = Headers({"x-forwarded-for": "198.51.100.1"})
        assert Limits(Settings()).client("127.0.0.1:9", headers) == "127.0.0.1"


class TestSettings:
    def test_forms(self) -> None:
        environment = {
            "RATE_LIMIT_RPS": "2.5",
            "MODEL_RATE_LIMITS": "wine=100, cancer=5:10:2, *=::8",
            "TRUSTED_PROXIES": "10.0.0.0/8, 127.0.0.1",
        }
        settings = load_settings(environ=environment)
        assert settings.rate_limit_rps == 2.5
        assert settings.model_rate_limits == (
            ModelLimit("wine", 100.0, 0, 0),
            ModelLimit("cancer", 5.0, 10, 2),
            ModelLimit("*", 0.0, 0, 8),
        )
        assert settings.trusted_proxies == (ip_network("10.0.0.0/8"), ip_network("127.0.0.1/32"))

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("MODEL_RATE_LIMITS", "wine"),
            ("MODEL_RATE_LIMITS", "wine=fast"),
            ("MODEL_RATE_LIMITS", "wine=-1"),
            ("MODEL_RATE_LIMITS", "wine=nan"),
            ("MODEL_RATE_LIMITS", "wine=1:2:3:4"),
            ("MODEL_RATE_LIMITS", "wine=::"),
            ("MODEL_RATE_LIMITS", "=5"),
            ("TRUSTED_PROXIES", "proxy.example"),
            ("TRUSTED_PROXIES", "10.0.0.1/8"),
            ("RATE_LIMIT_RPS", "-1"),
        ],
    )
    def test_what_does_not_fit(self, name: str, value: str) -> None:
        with pytest.raises(SettingsError, match=name):
            load_settings(environ={name: value})


@contextmanager
def limited_server(
    factory: pytest.TempPathFactory, **environment: str
) -> Iterator[tuple[Server, httpx.Client]]:
    arguments = ("--model-dir", str(model_folder(factory)), "--load", "wine.pkl=wine")
    with slipstream_server(*arguments, env=environment) as server, server.client() as client:
        yield server, client


class TestOverHttp:
    def test_requests_a_second(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        limit = {"RATE_LIMIT_RPS": "0.001", "RATE_LIMIT_BURST": "3"}
        with limited_server(tmp_path_factory, **limit) as (_, client):
            for _ in range(3):
                assert client.post(f"{BASE}/predict", json=ROWS).status_code == 200
            for path in ("predict", "predict/batch"):
                response = client.post(
                    f"{BASE}/{path}", json=ROWS, headers={"x-request-id": "again"}
                )
                assert response.status_code == 429
                error = error_of(response)
                assert error["error"] == "RateLimitError"
                assert error["request_id"] == "again"
                wait_s = error["details"]["retry_after_s"]
                assert 0 < wait_s <= 1000
                assert int(response.headers["retry-after"]) == math.ceil(wait_s)
            assert client.get(f"{BASE}/models/list").status_code == 429
            assert client.get(f"{BASE}/health").status_code == 200, "open routes are not limited"
            metrics = client.get("/metrics").text
            assert 'slipstream_http_refused_total{reason="rate_limit"} 3.0' in metrics

    def test_each_key_has_its_own(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        limit = {
            "RATE_LIMIT_RPS": "0.001",
            "RATE_LIMIT_BURST": "1",
            "REQUIRE_API_KEY": "True",
            "API_KEYS": "key-1,key-2",
        }
        with limited_server(tmp_path_factory, **limit) as (_, client):
            statuses = [
                client.post(f"{BASE}/predict", json=ROWS, headers={"x-api-key": key}).status_code
                for key in ("key-1", "key-1", "key-2", "key-3", "key-2")
            ]
            assert statuses == [200, 429, 200, 401, 429]

    def test_an_address_cannot_be_made_up(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        limit = {"RATE_LIMIT_RPS": "0.001", "RATE_LIMIT_BURST": "1"}

        def ask(client: httpx.Client, forwarded: str) -> int:
            headers = {"x-forwarded-for": forwarded, "x-api-key": forwarded}
            return client.get(f"{BASE}/models/list", headers=headers).status_code

        with limited_server(tmp_path_factory, **limit) as (_, client):
            assert [ask(client, "1.1.1.1"), ask(client, "2.2.2.2")] == [200, 429]
        limit["TRUSTED_PROXIES"] = "127.0.0.0/8"
        with limited_server(tmp_path_factory, **limit) as (_, client):
            assert [ask(client, "1.1.1.1"), ask(client, "2.2.2.2")] == [200, 200]
            assert [ask(client, "3.3.3.3, 1.1.1.1"), ask(client, "2.2.2.2")] == [429, 429]

    def test_requests_at_once(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        folder = fresh_folder(tmp_path_factory, "at-once")
        gate = Gate(folder, "held")
        environment = {"ALLOW_CUSTOM_CODE": "True", "RATE_LIMIT_CONCURRENT": "1"}
        arguments = ("--model-dir", str(folder), "--load", "held.py=held")
        with slipstream_server(*arguments, env=environment) as server, server.client() as client:
            gate.close()
            with ThreadPoolExecutor(1) as pool:
                held = pool.submit(
                    httpx.post,
                    f"{server.address}{BASE}/predict",
                    json={"data": [[0.0]]},
                    timeout=60,
                )
                try:
                    eventually(lambda: len(gate.ran) == 1)
                    response = client.post(f"{BASE}/predict", json={"data": [[1.0]]})
                    assert response.status_code == 429
                    assert response.headers["retry-after"] == "1"
                    assert error_of(response)["details"]["limit"] == "rate_limit_concurrent"
                finally:
                    gate.open()
                assert held.result().status_code == 200
            assert client.post(f"{BASE}/predict", json={"data": [[1.0]]}).status_code == 200

    def test_what_is_refused_otherwise_costs_nothing(
        self, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        with limited_server(tmp_path_factory, MODEL_RATE_LIMITS="wine=0.001:1") as (_, client):
            bad = ROWS | {"callback_url": "http://127.0.0.1/"}
            for _ in range(3):
                assert client.post(f"{BASE}/predict/async", json=bad).status_code == 422
            assert client.post(f"{BASE}/predict/async", json=ROWS).status_code == 202
            assert client.post(f"{BASE}/predict/async", json=ROWS).status_code == 429

    def test_tasks_and_streams_of_a_model(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        """They count when they are accepted; one that is refused was not."""
        with limited_server(tmp_path_factory, MODEL_RATE_LIMITS="wine=0.001:3:1") as (_, client):
            stream = {"stream_id": "lines", "model_id": "wine"}
            assert client.post(f"{BASE}/stream/start", json=stream).status_code == 200
            task = client.post(f"{BASE}/predict/async", json=ROWS)
            assert task.status_code == 202
            sent = [
                client.post(f"{BASE}/stream/lines/send", json={"data": ROWS["data"]} | number)
                for number in ({"sequence_id": 1}, {"sequence_id": 2}, {"sequence_id": 3})
            ]
            assert [one.status_code for one in sent] == [200, 200, 429]
            again = client.post(
                f"{BASE}/stream/lines/send", json={"data": ROWS["data"], "sequence_id": 2}
            )
            assert again.status_code == 200, "it was accepted before, and costs nothing"
            assert error_of(sent[-1])["details"]["model_id"] == "wine"
            assert client.post(f"{BASE}/predict/async", json=ROWS).status_code == 429
            done = client.get(f"{BASE}/predict/async/{task.json()['task_id']}?wait_ms=20000")
            assert done.json()["status"] == "completed"
            closed = client.delete(f"{BASE}/stream/lines").json()
            assert closed["received"] == 2

    def test_a_model(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        with limited_server(tmp_path_factory, MODEL_RATE_LIMITS="wine=0.001:2") as (_, client):
            assert client.post(f"{BASE}/predict", json=ROWS).status_code == 200
            both = client.post(f"{BASE}/predict/multi-batch", json={"requests": [ROWS, ROWS]})
            assert both.status_code == 200, "each entry ends by itself"
            good, refused = both.json()["results"]
            assert good["status"] == "success"
            assert refused["error"]["error"] == "RateLimitError"
            response = client.post(f"{BASE}/predict", json=ROWS)
            assert response.status_code == 429
            assert error_of(response)["details"]["model_id"] == "wine"
            assert client.get(f"{BASE}/models/list").status_code == 200
