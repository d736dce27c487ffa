"""Experiments over a restart, changed beside traffic, and asked by clients that hang up."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import msgspec
import pytest

from http_experiments import BASE, MODELS, PREDICT, ask, close, folder_of, look, put, right, serving
from http_models import Gate, json_rows, rows_of
from http_server import Server, error_of, eventually, slipstream_server


def test_over_a_restart(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = folder_of(tmp_path_factory, "restart")
    with serving(folder, "diabetes", "line") as server, server.client() as client:
        before = put(client, "exp", {"diabetes": 1, "line": 1}, {"line": 1}).json()
        assert server.stop() == 0
    with serving(folder, "diabetes") as server, server.client() as client:
        after = look(client, "exp")
        assert after["variants"][1].pop("loaded") is False
        assert before["variants"][1].pop("loaded") is True
        after["shadows"][0]["loaded"] = True
        assert after == before
        statuses: Counter[int] = Counter()
        for key in map(str, range(20)):
            body = {"data": json_rows(rows_of("diabetes")), "model_id": "exp", "routing_key": key}
            response = client.post(PREDICT, json=body)
            statuses[response.status_code] += 1
            if response.status_code == 503:
                error = error_of(response)
                assert error["error"] == "UnavailableError"
                assert error["details"]["model_id"] == error["details"]["variant"] == "line"
        assert set(statuses) == {200, 503}
        load = {"model_path": "line.pkl", "model_id": "line"}
        assert client.post(f"{MODELS}/load", json=load).status_code == 200
        assert look(client, "exp")["variants"][1]["loaded"] is True
        assert ask(client, "diabetes", model_id="exp", routing_key="0")["model_id"] == "exp"


def test_changes_beside_traffic_lose_nothing(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Every answer is of a model that was a member, and the counts add up."""
    folder = folder_of(tmp_path_factory, "traffic")
    with serving(folder, "diabetes", "line") as server, server.client() as client:
        change_beside_traffic(server, client, folder)


def change_beside_traffic(server: Server, client: httpx.Client, folder: Path) -> None:
    answers = {name: right(name, "diabetes") for name in ("diabetes", "line")}
    answers["guest"] = answers["line"]
    put(client, "exp", {"diabetes": 1})
    stop = threading.Event()

    def traffic(number: int) -> Counter[str]:
        found: Counter[str] = Counter()
        body = {"data": json_rows(rows_of("diabetes")), "model_id": "exp"}
        if number % 2:
            body["routing_key"] = str(number)
        with server.client() as own:
            while not stop.is_set():
                response = own.post(PREDICT, json=body)
                assert response.status_code == 200, response.text
                answer = response.json()
                assert close(answer["predictions"], answers[answer["variant"]])
                found[answer["variant"]] += 1
        return found

    guest = folder / "guest.pkl"
    guest.write_bytes((folder / "line.pkl").read_bytes())
    with ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(traffic, number) for number in range(4)]
        try:
            for step in range(10):
                load = {"model_path": str(guest), "model_id": "guest"}
                assert client.post(f"{MODELS}/load", json=load).status_code == 200
                put(client, "exp", {"guest": 2 + step, "diabetes": 1}, {"line": 0.5})
                eventually(lambda: look(client, "exp")["variants"][0]["inference_count"] > 3)
                put(client, "exp", {"diabetes": 1, "guest": 5})
                assert client.post(f"{MODELS}/guest/reload").status_code == 200
                put(client, "exp", {"diabetes": 2, "line": 1})
                assert client.delete(f"{MODELS}/guest").status_code == 200
                assert not any(one.done() for one in asking)
        finally:
            stop.set()
        found = sum((one.result() for one in asking), Counter[str]())
    assert set(found) == {"diabetes", "line", "guest"}
    body = look(client, "exp")
    assert body["drawn_count"] == body["inference_count"] == found.total()
    assert body["error_count"] == 0
    assert body["variants"][0]["inference_count"] == found["diabetes"]


def test_a_client_that_hangs_up_withdraws_its_request(tmp_path: Path) -> None:
    gate = Gate(tmp_path, "gate")
    arguments = ("--model-dir", str(tmp_path), "--load", "gate.py=gate")
    env = {"ALLOW_CUSTOM_CODE": "True", "MAX_CONCURRENT_REQUESTS": "2"}
    with slipstream_server(*arguments, env=env) as server, server.client() as client:
        put(client, "exp", {"gate": 1})
        gate.close()
        with ThreadPoolExecutor(1) as pool:
            one = {"model_id": "exp", "data": [[0.0]], "timeout_ms": 30_000}
            first = pool.submit(client.post, PREDICT, json=one)
            eventually(lambda: gate.ran == [0])
            body = msgspec.json.encode(one | {"data": [[1.0]]})
            with server.connect() as connection:
                connection.sendall(
                    b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b"
                    % (PREDICT.encode(), len(body), body)
                )
                eventually(lambda: client.get(f"{BASE}/list").status_code == 503)
            eventually(lambda: client.get(f"{BASE}/list").status_code == 200)
            gate.open()
            assert first.result().status_code == 200
            assert client.post(PREDICT, json=one | {"data": [[8.0]]}).status_code == 200
            assert gate.ran == [0, 8]
            counts = look(client, "exp")
            assert (counts["inference_count"], counts["error_count"]) == (2, 1)
