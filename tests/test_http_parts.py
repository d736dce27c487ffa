"""The parts of the HTTP layer that can be held in the hand: no server needed."""

from __future__ import annotations

import re
import time
from typing import Any

import msgspec
import pytest

from slipstream import errors
from slipstream.http import health
from slipstream.http.clock import Clock, RequestIds, format_time, format_uptime
from slipstream.http.errors import (
    STATUS,
    AuthenticationError,
    EndpointNotFoundError,
    MethodNotAllowedError,
    retry_after_s,
    status_of,
)
from slipstream.http.failures import family_of, in_words, refusal
from slipstream.http.gate import Gate
from slipstream.http.router import Router
from slipstream.http.slow import SlowLane
from slipstream.http.types import Family, Method, Request, Response, Route


def handler(request: Request) -> Response:
    return Response(200, b"")


def route(method: Method, path: str) -> Route:
    return Route(method, path, handler)


class TestRouter:
    rows = (
        route("GET", "/models/list"),
        route("GET", "/models/{model_id}/info"),
        route("DELETE", "/models/{model_id}"),
        route("POST", "/models/{model_id}/reload"),
        route("GET", "/a/fixed/end"),
        route("GET", "/a/{name}/other"),
    )
    router = Router(rows)

    def test_literal_and_parameter(self) -> None:
        assert self.router.find("GET", "/models/list") == (self.rows[0], {})
        assert self.router.find("GET", "/models/m 1/info") == (self.rows[1], {"model_id": "m 1"})
        assert self.router.find("DELETE", "/models/x") == (self.rows[2], {"model_id": "x"})

    def test_head_is_served_where_get_is(self) -> None:
        assert self.router.find("HEAD", "/models/list")[0] is self.rows[0]

    def test_a_literal_that_leads_nowhere_steps_back(self) -> None:
        assert self.router.find("GET", "/a/fixed/other") == (self.rows[5], {"name": "fixed"})

    @pytest.mark.parametrize(
        "path", ["/", "", "/models", "/models/list/", "/models//info", "/x" * 5000, "/models/a/b"]
    )
    def test_unknown_path(self, path: str) -> None:
        with pytest.raises(EndpointNotFoundError):
            self.router.find("GET", path)

    def test_wrong_method_tells_the_right_ones(self) -> None:
        with pytest.raises(MethodNotAllowedError) as caught:
            self.router.find("POST", "/models/m/info")
        assert caught.value.headers == (("allow", "GET, HEAD"),)

    def test_a_table_with_two_equal_rows_is_refused(self) -> None:
        with pytest.raises(ValueError, match="two routes"):
            Router((route("GET", "/x"), route("GET", "/x")))
        with pytest.raises(ValueError, match="another route"):
            Router((route("GET", "/x/{a}"), route("GET", "/x/{b}/y")))


class TestErrors:
    @pytest.mark.parametrize(
        ("error", "status"),
        [
            (errors.MalformedInputError("m"), 400),
            (errors.AmbiguousModelError("m"), 400),
            (errors.ModelNotFoundError("m"), 404),
            (errors.ModelAlreadyLoadedError("m"), 409),
            (errors.InvalidInputError("m"), 422),
            (errors.ModelLoadError("m"), 422),
            (errors.UnsafeModelError("m"), 422),
            (errors.MissingDependencyError("m"), 422),
            (errors.InferenceError("m"), 422),
            (errors.QueueFullError("m"), 503),
            (errors.UnavailableError("m"), 503),
            (errors.DeadlineExceededError("m"), 504),
            (errors.SlipstreamError("m"), 500),
        ],
    )
    def test_status(self, error: errors.SlipstreamError, status: int) -> None:
        answer = refusal(error, "req_1", Clock(), "inference")
        assert answer.status == status == status_of(error)
        body = msgspec.json.decode(answer.body)
        assert list(body) == ["error", "message", "details", "timestamp", "request_id"]
        assert body["error"] == type(error).__name__
        assert ("retry-after" in dict(answer.headers)) == (status == 503)

    def test_every_error_class_was_thought_of(self) -> None:
        def leaves(kind: type[errors.SlipstreamError]) -> set[type[errors.SlipstreamError]]:
            below = {k for k in kind.__subclasses__() if k.__module__ == "slipstream.errors"}
            return {kind}.union(*(leaves(k) for k in below))

        known = tuple(kind for kind, _ in STATUS)
        unmapped = {k for k in leaves(errors.SlipstreamError) if not issubclass(k, known)}
        assert unmapped == {errors.SlipstreamError}

    @pytest.mark.parametrize(
        ("given", "seconds"),
        [(0, 1), (0.2, 1), (1.0, 1), (2.1, 3), (float("inf"), 1), ("soon", 1), (-5, 1)],
    )
    def test_retry_after_is_whole_seconds(self, given: Any, seconds: int) -> None:
        assert retry_after_s(errors.QueueFullError("m", retry_after_s=given)) == seconds

    @pytest.mark.parametrize("family", ["inference", "core"])
    def test_a_bug_says_nothing_about_itself(
        self, family: Family, caplog: pytest.LogCaptureFixture
    ) -> None:
        answer = refusal(KeyError("secret"), "req_9", Clock(), family)
        assert answer.status == 500
        assert b"secret" not in answer.body
        assert b"KeyError" not in answer.body
        assert (b"Internal server error" in answer.body) == (family == "core")


class TestFamilies:
    @pytest.mark.parametrize(
        ("path", "family"),
        [
            ("/api/inference", "inference"),
            ("/api/inference/", "inference"),
            ("/api/inference/nothing", "inference"),
            ("/api/inferences", "core"),
            ("/api", "core"),
            ("/predict", "core"),
            ("/", "core"),
            ("", "core"),
        ],
    )
    def test_of_a_path(self, path: str, family: Family) -> None:
        assert family_of(path) == family

    @pytest.mark.parametrize(
        ("kind", "words"),
        [
            ("InvalidInputError", "Invalid input"),
            ("BodyTooLargeError", "Body too large"),
            ("MissingDependencyError", "Missing dependency"),
        ],
    )
    def test_words(self, kind: str, words: str) -> None:
        assert in_words(kind) == words

    def test_a_model_that_is_not_there(self) -> None:
        error = errors.ModelNotFoundError("there are a, b", model_id="x")
        answer = refusal(error, "req_1", Clock(), "core")
        body = msgspec.json.decode(answer.body)
        assert answer.status == body["status_code"] == 404
        assert body["error"] == "Model 'x' is not available. Check models.json configuration."
        assert body["detail"] == "there are a, b"
        assert body["model_info"] == {"model": "x", "available": False}

    def test_a_file_that_is_not_there_is_no_model_of_that_name(self) -> None:
        answer = refusal(errors.ModelNotFoundError("no file"), "req_1", Clock(), "core")
        body = msgspec.json.decode(answer.body)
        assert (body["error"], body["detail"]) == ("Model not found", "no file")
        assert "model_info" not in body

    def test_a_request_that_timed_out(self) -> None:
        began_s = time.perf_counter() - 2
        answer = refusal(errors.DeadlineExceededError("late"), "req_1", Clock(), "core", began_s)
        body = msgspec.json.decode(answer.body)
        assert answer.status == body["status_code"] == 504
        assert (body["error"], body["detail"]) == ("Request timed out", "late")
        assert body["processing_time"] >= 2

    def test_nobody_known(self) -> None:
        answer = refusal(AuthenticationError("send a key"), "req_1", Clock(), "core")
        body = msgspec.json.decode(answer.body)
        assert answer.status == body["status_code"] == 401
        assert (body["error"], body["detail"]) == ("send a key", "Not authenticated")
        assert "www-authenticate" in dict(answer.headers)


class TestClock:
    def test_formats(self) -> None:
        assert format_time(1736937000.9) == "2025-01-15T10:30:00Z"
        assert format_uptime(9045.9) == "2h 30m 45s"
        assert format_uptime(59) == "0h 0m 59s"
        assert format_uptime(200_000) == "55h 33m 20s"
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", Clock().timestamp())

    def test_request_ids(self) -> None:
        ids = RequestIds()
        made = [ids.choose(None, "req_") for _ in range(1000)]
        assert len(set(made)) == 1000
        assert all(one.startswith("req_") for one in made)
        assert ids.choose("mine-1", "req_") == "mine-1"
        for bad in ("", "a b", "a\n", "é", "x" * 129):
            assert ids.choose(bad, "batch_").startswith("batch_")


class TestGate:
    def test_counts_and_refuses(self) -> None:
        gate = Gate(max_requests=2, max_body_bytes=10)
        gate.enter()
        gate.enter()
        assert gate.full
        with pytest.raises(errors.SlipstreamError) as caught:
            gate.enter()
        assert status_of(caught.value) == 503
        gate.reserve(10)
        with pytest.raises(errors.SlipstreamError):
            gate.reserve(1)
        gate.leave(10)
        gate.reserve(10)
        gate.leave(10)
        assert (gate.active, gate.body_bytes) == (0, 0)

    def test_closed(self) -> None:
        gate = Gate(2, 10)
        gate.close()
        with pytest.raises(errors.UnavailableError):
            gate.enter()


def test_slow_lane_is_bounded() -> None:
    import threading

    lane = SlowLane(threads=1, max_waiting=1)
    go = threading.Event()

    def work() -> Response:
        go.wait(30)
        return Response(200, b"")

    running = [lane.submit(work), lane.submit(work)]
    with pytest.raises(errors.SlipstreamError) as caught:
        lane.submit(work)
    assert status_of(caught.value) == 503
    assert lane.busy
    go.set()
    assert [future.result(30).status for future in running] == [200, 200]
    lane.close()


class TestHealth:
    good = health.Measurements(
        accepting=True,
        memory_is_over=False,
        available_share=0.5,
        missing_models=0,
        lost_devices=0,
        recent_restarts=0,
        fullest_queue=0.1,
        gate_full=False,
        recent_requests=100,
        recent_errors=1,
    )

    @pytest.mark.parametrize(
        ("change", "check", "level"),
        [
            ({}, "engine_status", "healthy"),
            ({"accepting": False}, "engine_status", "unhealthy"),
            ({"memory_is_over": True}, "memory_usage", "degraded"),
            ({"available_share": None}, "memory_usage", "healthy"),
            ({"available_share": 0.04}, "memory_usage", "degraded"),
            ({"available_share": 0.005}, "memory_usage", "unhealthy"),
            ({"missing_models": 1}, "model_loading", "degraded"),
            ({"lost_devices": 1}, "engine_status", "unhealthy"),
            ({"recent_restarts": 2}, "engine_status", "healthy"),
            ({"recent_restarts": 3}, "engine_status", "degraded"),
            ({"recent_restarts": 3, "accepting": False}, "engine_status", "unhealthy"),
            ({"fullest_queue": 0.95}, "inference_performance", "degraded"),
            ({"gate_full": True}, "inference_performance", "degraded"),
            ({"recent_errors": 10}, "inference_performance", "degraded"),
            ({"recent_errors": 9, "recent_requests": 9}, "inference_performance", "healthy"),
        ],
    )
    def test_one_measurement_decides_one_check(
        self, change: dict[str, Any], check: str, level: str
    ) -> None:
        checks = health.assess(msgspec.structs.replace(self.good, **change))
        assert checks.pop(check) == level
        assert set(checks.values()) == {"healthy"}
        assert health.overall({**checks, check: level}) == level  # type: ignore[dict-item]

    def test_recent_counts(self) -> None:
        recent = health.RecentCounts()
        assert recent.update(0, 1000, 5) == (0, 0)
        assert recent.update(30, 1100, 6) == (100, 1)
        assert recent.update(62, 1150, 6) == (50, 0)
        assert recent.update(63, 10, 0) == (0, 0)  # a model was unloaded

    def test_this_machine_can_be_measured(self) -> None:
        share = health.available_share()
        assert share is not None
        assert 0 <= share <= 1
