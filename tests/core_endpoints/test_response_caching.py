"""Section "Response Caching": answers that are kept, and conditional requests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from core_endpoints.contract import answer, predict
from http_server import slipstream_server
from slipstream.http.answer_cache import AnswerCache
from slipstream.http.types import Request, Response, Route

KEPT = ("/", "/info", "/config", "/api/inference/models/list", "/api/inference/models/wine/info")


@pytest.mark.parametrize("path", KEPT)
def test_a_tag_brings_a_304(client: httpx.Client, path: str) -> None:
    for _ in range(20):  # each pair within the time that answers are kept, or once more
        first = client.get(path)
        answer(first)
        tag = first.headers["etag"]
        assert tag.startswith('W/"')
        assert first.headers["cache-control"] == "private, max-age=1"
        for condition in (tag, tag.removeprefix("W/"), f'"other", {tag}', "*"):
            again = client.get(path, headers={"If-None-Match": condition})
            if again.headers["etag"] != tag:
                break
            assert again.status_code == 304
            assert again.content == b""
            assert again.headers["x-request-id"] != first.headers["x-request-id"]
        else:
            break
    else:
        pytest.fail("the tag never held for two requests")
    other = client.get(path, headers={"If-None-Match": '"other"'})
    assert other.status_code == 200


def test_what_is_known_to_have_changed_is_not_kept(client: httpx.Client) -> None:
    path = "/api/inference/models"
    for _ in range(3):
        before = answer(client.get(f"{path}/wine/info"))["inference_count"]
        rows = [[13.0] * 13]
        predict(client, "wine", rows)
        assert answer(client.get(f"{path}/wine/info"))["inference_count"] == before + 1
        wanted = {"model_path": "cached.onnx", "model_id": "more"}
        assert client.post(f"{path}/load", json=wanted).status_code == 200
        listed = [one["model_id"] for one in answer(client.get(f"{path}/list"))["models"]]
        assert "more" in listed
        answer(client.get(f"{path}/more/info"))
        assert client.delete(f"{path}/more").status_code == 200
        assert client.get(f"{path}/more/info").status_code == 404
        listed = [one["model_id"] for one in answer(client.get(f"{path}/list"))["models"]]
        assert "more" not in listed


def test_the_document_knows_which(client: httpx.Client) -> None:
    served = answer(client.get("/openapi.json"))["paths"]
    kept = {
        path for path, item in served.items() for one in item.values() if "304" in one["responses"]
    }
    assert {path.replace("/wine/", "/{model_id}/") for path in KEPT} <= kept
    assert not kept & {"/stats", "/health", "/predict"}


def test_hits_are_counted(client: httpx.Client) -> None:
    for _ in range(50):
        answer(client.get("/config"))
    assert 0 < answer(client.get("/info"))["performance_metrics"]["cache_hit_rate"] <= 1


def test_turned_off(tmp_path: Path) -> None:
    with (
        slipstream_server("--model-dir", str(tmp_path), env={"ANSWER_CACHE_S": "0"}) as server,
        server.client() as client,
    ):
        first = client.get("/")
        assert first.headers["cache-control"] == "private, no-cache"
        again = client.get("/", headers={"If-None-Match": first.headers["etag"]})
        assert again.status_code == 304, "nothing has changed but the moment"
        assert answer(client.get("/info"))["performance_metrics"]["cache_hit_rate"] == 0.0


class _NoHeaders:
    def get(self, key: str, default: None = None, /) -> str | None:
        return default

    def __contains__(self, key: str, /) -> bool:
        return False


class TestTheCache:
    """With a clock that the test moves."""

    now_s = 0.0

    def ask(self, cache: AnswerCache, path: str, body: bytes, stamp: Any = ()) -> bytes:
        route = Route("GET", path, lambda request: Response(200, body))
        request = Request("GET", path, "", _NoHeaders(), {}, "req_1", route, -1)
        return cache.serve(request, lambda: Response(200, body), stamp).body

    def test_freshness(self) -> None:
        cache = AnswerCache(2.0, lambda: self.now_s)
        assert cache.hit_rate is None
        assert self.ask(cache, "/a", b"1") == b"1"
        self.now_s = 1.9
        assert self.ask(cache, "/a", b"2") == b"1"
        assert self.ask(cache, "/b", b"2") == b"2"
        self.now_s = 2.0
        assert self.ask(cache, "/a", b"3") == b"3"
        assert cache.hit_rate == 0.25

    def test_a_stamp_ends_it(self) -> None:
        cache = AnswerCache(2.0, lambda: self.now_s)
        assert self.ask(cache, "/a", b"1", (1,)) == b"1"
        assert self.ask(cache, "/a", b"2", (2,)) == b"2"
        assert self.ask(cache, "/a", b"3", (2,)) == b"2"

    def test_failures_are_not_kept(self) -> None:
        cache = AnswerCache(2.0, lambda: self.now_s)
        route = Route("GET", "/a", lambda request: Response(200, b""))
        request = Request("GET", "/a", "", _NoHeaders(), {}, "req_1", route, -1)

        def fail() -> Response:
            raise LookupError

        for _ in range(2):
            with pytest.raises(LookupError):
                cache.serve(request, fail)
        assert cache.hit_rate is None

    def test_it_is_bounded(self) -> None:
        cache = AnswerCache(2.0, lambda: self.now_s)
        for number in range(1000):
            self.ask(cache, f"/{number}", b"x")
        assert len(cache._answers) <= 256
        assert self.ask(cache, "/999", b"y") == b"x", "the newest ones stay"
