"""Callbacks over HTTP, to a real receiver that the operator has allowed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from async_place import KEYS, PATH, Place, places
from http_server import error_of, eventually
from slipstream.tasks.webhook import key_of, signature
from webhook_receiver import Receiver, receiving

SECRETS = ("whsec_" + "QUFB" * 8, "whsec_" + "QkJC" * 8)
RETRY_S = 0.05


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, receiver: Receiver) -> Iterator[Place]:
    yield from places(
        tmp_path_factory,
        "async-callbacks",
        CALLBACK_ALLOWED_HOSTS=f"127.0.0.1:{receiver.server_port}",
        CALLBACK_SECRET=",".join(SECRETS),
        CALLBACK_RETRY_S=str(RETRY_S),
        CALLBACK_MAX_ATTEMPTS="3",
        ASYNC_RESULT_TTL_S="600",
    )


def delivery(place: Place, task_id: str) -> dict[str, Any]:
    """The state of its callback, once that is not pending any more."""
    eventually(lambda: place.get(task_id)["callback"]["status"] != "pending")
    state: dict[str, Any] = place.get(task_id)["callback"]
    assert list(state) == [
        "url", "status", "attempts", "next_attempt_at", "last_status_code", "last_error",
    ]  # fmt: skip
    return state


class TestDelivery:
    def test_it_is_the_json_of_get_and_signed(self, place: Place, receiver: Receiver) -> None:
        url = receiver.url("/done?who=me")
        task_id = place.submit([[7]], callback_url=url)
        state = delivery(place, task_id)
        assert state == {
            "url": url,
            "status": "delivered",
            "attempts": 1,
            "next_attempt_at": None,
            "last_status_code": 204,
            "last_error": None,
        }
        (message,) = receiver.of("/done?who=me")
        assert list(message.json) == KEYS
        assert {**message.json, "callback": state} == place.get(task_id)
        assert message.json["result"]["predictions"] == [7]
        assert message.headers["content-type"] == "application/json"
        assert message.headers["host"] == f"127.0.0.1:{receiver.server_port}"
        assert message.headers["webhook-id"] == task_id
        timestamp = int(message.headers["webhook-timestamp"])
        assert abs(timestamp - time.time()) < 3600
        assert message.headers["webhook-signature"].split() == [
            signature(key_of(secret), task_id, timestamp, message.body) for secret in SECRETS
        ]

    def test_every_end_is_told(self, place: Place, receiver: Receiver) -> None:
        running = place.hold()
        url = receiver.url("/ends")
        cancelled = place.submit([[1]], callback_url=url)
        expired = place.submit([[2]], callback_url=url, timeout_ms=50)
        assert place.get(cancelled)["callback"]["status"] == "pending"
        assert place.get(cancelled)["callback"]["next_attempt_at"] is None
        place.client.delete(f"{PATH}/{cancelled}")
        eventually(lambda: len(receiver.of("/ends")) == 2)
        told = {message.json["task_id"]: message.json for message in receiver.of("/ends")}
        assert told[cancelled]["status"] == "cancelled"
        assert told[expired]["status"] == "expired"
        assert told[expired]["error"]["error"] == "DeadlineExceededError"
        place.let_go()
        place.ended(running)

    def test_it_is_tried_again(self, place: Place, receiver: Receiver) -> None:
        receiver.answer = lambda path, count: (500 if count < 3 else 200, {})
        task_id = place.submit([[3]], callback_url=receiver.url("/again"))
        assert delivery(place, task_id)["attempts"] == 3
        messages = receiver.of("/again")
        assert {message.headers["webhook-id"] for message in messages} == {task_id}
        assert [message.json["callback"]["attempts"] for message in messages] == [0, 1, 2]
        assert messages[1].json["callback"]["last_status_code"] == 500

    def test_it_is_given_up_after_so_many_attempts(self, place: Place, receiver: Receiver) -> None:
        receiver.answer = lambda path, count: (503, {"retry-after": "0"})
        state = delivery(place, place.submit([[3]], callback_url=receiver.url("/never")))
        assert (state["status"], state["attempts"], state["last_status_code"]) == ("failed", 3, 503)
        assert state["last_error"] == "the receiver refused it (503)"
        assert state["next_attempt_at"] is None
        assert len(receiver.of("/never")) == 3

    def test_a_receiver_that_is_gone_for_good(self, place: Place, receiver: Receiver) -> None:
        receiver.answer = lambda path, count: (410, {})
        state = delivery(place, place.submit([[3]], callback_url=receiver.url("/gone")))
        assert (state["status"], state["attempts"]) == ("failed", 1)

    def test_redirects_are_not_followed(self, place: Place, receiver: Receiver) -> None:
        elsewhere = receiver.url("/elsewhere")
        receiver.answer = lambda path, count: (302, {"location": elsewhere})
        state = delivery(place, place.submit([[3]], callback_url=receiver.url("/redirect")))
        assert (state["status"], state["last_status_code"]) == ("failed", 302)
        assert receiver.of("/elsewhere") == []

    def test_many_at_once(self, place: Place, receiver: Receiver) -> None:
        receiver.answer = lambda path, count: (204, {})
        tasks = [place.submit([[1]], callback_url=receiver.url("/many")) for _ in range(150)]
        eventually(lambda: len(receiver.of("/many")) >= 150)
        for task_id in tasks:
            assert delivery(place, task_id)["attempts"] == 1
        told = [message.json["task_id"] for message in receiver.of("/many")]
        assert sorted(told) == sorted(tasks)

    def test_the_server_says_when_it_will_try_again(self, place: Place, receiver: Receiver) -> None:
        receiver.answer = lambda path, count: (429, {"retry-after": "1000"})
        task_id = place.submit([[3]], callback_url=receiver.url("/later"))
        eventually(lambda: place.get(task_id)["callback"]["attempts"] == 1)
        state = place.get(task_id)["callback"]
        assert (state["status"], state["last_status_code"]) == ("pending", 429)
        assert state["next_attempt_at"] > place.get(task_id)["completed_at"]


class TestRefusals:
    @pytest.mark.parametrize(
        "url",
        [
            "http://127.0.0.1:1/",
            "http://localhost/",
            "https://localhost:8443/",
            "https://169.254.169.254/latest/meta-data/",
            "https://[::ffff:169.254.169.254]/",
            "https://2130706433/",
            "https://10.0.0.1/",
            "http://example.com/",
            "ftp://example.com/",
            "https://user:password@example.com/",
            "nonsense",
        ],
    )
    def test_at_submission(self, place: Place, url: str) -> None:
        before = place.client.post(PATH, json={"model_id": "gated", "data": [[1]]}).json()
        response = place.client.post(
            PATH, json={"model_id": "gated", "data": [[1]], "callback_url": url}
        )
        assert response.status_code == 422
        body = error_of(response)
        assert body["error"] == "InvalidInputError"
        assert body["details"] == {"key": "callback_url"}
        place.ended(before["task_id"])

    def test_a_name_that_is_not_known_may_be_known_later(self, place: Place) -> None:
        """The lookup fails here, also where there is no name server; delivery goes on trying."""
        task_id = place.submit([[1]], callback_url="https://absent.invalid/")
        place.ended(task_id)
        state = delivery(place, task_id)
        assert (state["status"], state["attempts"]) == ("failed", 3)
        assert state["last_error"].startswith("absent.invalid was not found")
