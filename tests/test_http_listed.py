"""``models.json`` in a running server: what it says holds, and SIGHUP has it read again."""

from __future__ import annotations

import hashlib
import json
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from http_models import fresh_folder, json_rows, rows_of
from http_server import Server, error_of, eventually, slipstream_server

BASE = "/api/inference/models"
PREDICT = "/api/inference/predict"
WINE: dict[str, Any] = {"model_id": "wine", "model_path": "wine.pkl"}
CANCER: dict[str, Any] = {"model_id": "cancer", "model_path": "cancer.pkl"}
PAIR: dict[str, Any] = {"model_id": "pair", "model_path": "pair.onnx"}


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fresh_folder(
        tmp_path_factory, "listed", "wine.pkl", "cancer.pkl", "pair.onnx", "words.onnx", "sizes.py"
    )


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    write(folder, WINE | {"aliases": ["prod", "reds"]}, CANCER)
    with serving(folder) as server:
        yield server


def serving(folder: Path, *arguments: str, **settings: str) -> Any:
    env = {"MODEL_DIR": str(folder), "MODEL_CACHE_SIZE": "0", **settings}
    return slipstream_server(*arguments, env=env, cwd=folder)


def write(folder: Path, *entries: dict[str, Any]) -> None:
    (folder / "models.json").write_text(json.dumps({"models": entries}, indent=1))


def reread(server: Server, text: str) -> None:
    """Sends SIGHUP, and waits until the log says something that it did not say so often before."""
    before = server.log.count(text)
    server.process.send_signal(signal.SIGHUP)
    eventually(lambda: server.log.count(text) > before)


def ids(client: httpx.Client) -> list[str]:
    return sorted(one["model_id"] for one in client.get(f"{BASE}/list").json()["models"])


def info(client: httpx.Client, name: str) -> dict[str, Any]:
    response = client.get(f"{BASE}/{name}/info")
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


def ask(client: httpx.Client, name: str, **more: Any) -> httpx.Response:
    file = "cancer" if name == "cancer" else "wine"
    return client.post(
        PREDICT, json={"model_id": name, "data": json_rows(rows_of(file, 2)), **more}
    )


def health(client: httpx.Client) -> str:
    check: str = client.get("/api/inference/health").json()["checks"]["model_loading"]
    return check


class TestAliases:
    def test_they_stand_for_the_model_everywhere(self, server: Server) -> None:
        with server.client() as client:
            straight = ask(client, "wine").json()
            # the short way, and the general one, which unknown keys are left to
            for more in ({}, {"other": [None]}):
                by_alias = ask(client, "prod", **more)
                assert by_alias.status_code == 200, by_alias.text
                assert by_alias.json()["predictions"] == straight["predictions"]
                assert by_alias.json()["model_id"] == "wine"
            assert info(client, "reds")["model_id"] == "wine"
            assert client.get(f"{BASE}/prod/metrics").json()["inference_count"] == 3
            assert client.post(f"{BASE}/prod/reload").json()["model_id"] == "wine"
            assert ask(client, "prod").status_code == 200, "also of the version that came"
            task = client.post(
                f"{PREDICT}/async", json={"model_id": "reds", "data": json_rows(rows_of("wine", 1))}
            )
            assert task.status_code == 202
            stream = client.post("/api/inference/stream/start", json={"model_id": "prod"})
            assert stream.status_code == 200
            assert client.delete(f"{BASE}/prod").status_code == 200
            assert ids(client) == ["cancer"]
            assert ask(client, "prod").status_code == 404

    def test_nothing_else_may_be_called_so(self, server: Server) -> None:
        with server.client() as client:
            load = {"model_path": "pair.onnx", "model_id": "prod"}
            refused = error_of(client.post(f"{BASE}/load", json=load))
            assert refused["error"] == "ModelAlreadyLoadedError"
            assert "alias of model 'wine'" in refused["message"]
            drawn = {"variants": [{"model_id": "wine", "weight": 1}]}
            response = client.put("/api/inference/experiments/prod", json=drawn)
            assert response.status_code == 409, response.text

    def test_one_that_is_taken_is_not_in_force(self, folder: Path, server: Server) -> None:
        with server.client() as client:
            drawn = {"variants": [{"model_id": "cancer", "weight": 1}]}
            assert client.put("/api/inference/experiments/ab", json=drawn).status_code == 201
            write(folder, WINE | {"aliases": ["ab", "new"]}, CANCER)
            reread(server, "alias 'ab' is not in force")
            eventually(lambda: ask(client, "new").status_code == 200)
            assert ask(client, "prod").status_code == 404
            experiment = client.post(
                PREDICT, json={"model_id": "ab", "data": json_rows(rows_of("cancer", 1))}
            )
            assert experiment.json()["variant"] == "cancer"


class TestWhatAnEntrySays:
    def test_a_digest_that_holds_and_one_that_does_not(self, folder: Path) -> None:
        digest = hashlib.sha256((folder / "wine.pkl").read_bytes()).hexdigest()
        other = "0" * 64
        write(folder, WINE | {"sha256": digest}, CANCER | {"sha256": other})
        with serving(folder) as server, server.client() as client:
            assert ids(client) == ["wine"]
            assert health(client) == "degraded"
            line = next(line for line in server.log.splitlines() if "cancer.pkl is not" in line)
            actual = hashlib.sha256((folder / "cancer.pkl").read_bytes()).hexdigest()
            assert actual in line and other in line
            (folder / "wine.pkl").write_bytes((folder / "cancer.pkl").read_bytes())
            refused = client.post(f"{BASE}/wine/reload")
            assert refused.status_code == 422
            assert refused.json()["details"] == {"sha256": actual, "wanted_sha256": digest}
            assert ask(client, "wine").status_code == 200, "the version that is there answers"

    def test_one_that_is_not_enabled(self, folder: Path) -> None:
        write(folder, WINE, CANCER | {"enabled": False})
        with serving(folder) as server, server.client() as client:
            assert ids(client) == ["wine"]
            assert health(client) == "healthy"

    @pytest.mark.parametrize("more", [{}, {"other": [None]}])
    def test_a_deadline_of_its_own(self, folder: Path, more: dict[str, Any]) -> None:
        """Of requests that name none, the short way and the general one."""
        write(folder, WINE | {"timeout_ms": 1e-6, "compile_model": False})
        with serving(folder) as server, server.client() as client:
            late = ask(client, "wine", **more)
            assert late.status_code in (503, 504), late.text
            assert ask(client, "wine", timeout_ms=20_000, **more).status_code == 200
            write(folder, WINE | {"compile_model": False})
            reread(server, "wine was changed")
            assert ask(client, "wine", **more).status_code == 200

    def test_batching(self, folder: Path) -> None:
        """The custom model answers each row with the rows that its execution had."""
        sizes = {"model_id": "sizes", "model_path": "sizes.py"}
        rows = [[0.0]] * 6
        write(folder, sizes | {"max_batch_size": 4})
        with serving(folder, ALLOW_CUSTOM_CODE="True") as server, server.client() as client:

            def seen() -> list[float]:
                body = client.post(PREDICT, json={"model_id": "sizes", "data": rows}).json()
                predictions: list[float] = body["predictions"]
                return predictions

            assert max(seen()) <= 4
            write(folder, sizes | {"max_batch_size": 2})
            reread(server, "sizes was changed")
            assert max(seen()) <= 2
            write(folder, sizes | {"batching": False})
            reread(server, "sizes was reloaded")
            assert seen() == [6.0] * 6, "a request is one execution"

    def test_rows_to_warm_up_on(self, folder: Path) -> None:
        write(folder, WINE | {"warmup_rows": [["text"]]}, CANCER)
        with serving(folder) as server, server.client() as client:
            assert ids(client) == ["cancer"]
            assert "fails on its warm-up rows (models.json)" in server.log

    def test_what_the_command_line_names_is_not_the_lists(self, folder: Path) -> None:
        write(folder, WINE | {"aliases": ["prod"]}, CANCER)
        with serving(folder, "--load", "pair.onnx=wine") as server, server.client() as client:
            assert info(client, "wine")["model_path"] == "pair.onnx"
            assert ask(client, "prod").status_code == 404
            write(folder, CANCER | {"description": "changed"})
            reread(server, "cancer was changed")
            assert ids(client) == ["cancer", "wine"], "and removing it there changes nothing"


def test_the_list_of_all_models(folder: Path) -> None:
    """GET /models: what is loaded, and what of the list is not, with why."""
    digest = hashlib.sha256((folder / "pair.onnx").read_bytes()).hexdigest()
    write(
        folder,
        WINE | {"aliases": ["prod"], "description": "which cultivar"},
        CANCER | {"enabled": False, "sha256": "0" * 64},
        PAIR | {"sha256": "1" * 64},
        {"model_path": "absent.pkl"},
    )
    with serving(folder, "--load", "words.onnx=words") as server, server.client() as client:
        body = client.get("/models").json()
        assert list(body) == [
            *("loaded", "loading", "available", "downloadable", "downloads", "sources"),
            *("total_loaded", "total_available"),
        ]
        wine, words = body["loaded"]
        assert (body["total_loaded"], body["total_available"]) == (2, 3)
        assert (wine["aliases"], wine["description"]) == (["prod"], "which cultivar")
        assert wine["sha256"] == hashlib.sha256((folder / "wine.pkl").read_bytes()).hexdigest()
        assert (wine["listed"], words["listed"]) == (True, False)
        disabled, failed, missing = body["available"]
        assert (disabled["status"], disabled["sha256"]) == ("disabled", "0" * 64)
        assert failed["status"] == "failed" and digest in failed["reason"]
        assert missing["status"] == "missing" and "absent.pkl" in missing["reason"]
        size = (folder / "pair.onnx").stat().st_size
        assert failed["size_mb"] == pytest.approx(size / 2**20, abs=1e-6)
        assert missing["size_mb"] is None


class TestReadAgain:
    def test_new_gone_changed_and_untouched(self, folder: Path, server: Server) -> None:
        with server.client() as client:
            ask(client, "cancer")
            before = info(client, "cancer")
            write(
                folder,
                WINE | {"compile_model": False},
                CANCER,
                PAIR | {"aliases": ["prod"]},
            )
            reread(server, "pair was loaded")
            eventually(lambda: info(client, "wine")["compiled"] is False)
            eventually(lambda: client.get(f"{BASE}/prod/info").json().get("model_id") == "pair")
            assert info(client, "cancer") == before, "untouched"
            write(folder, CANCER, {"model_id": "wine", "model_path": "words.onnx"})
            reread(server, "pair was unloaded")
            assert ids(client) == ["cancer", "wine"]
            assert info(client, "wine")["model_type"] == "onnx", "another file, the same name"
            assert info(client, "wine")["model_path"] == "words.onnx"
            reread(server, "nothing has changed")
            assert info(client, "cancer") == before
            assert health(client) == "healthy"

    def test_a_file_that_is_not_valid_changes_nothing(self, folder: Path, server: Server) -> None:
        with server.client() as client:
            (folder / "models.json").write_text('{"models": [\n{"model_path": 5}, {"a": 1}]}')
            reread(server, "what was in force stays")
            assert "models.json:2:16: models[0].model_path: expected 'str'" in server.log
            assert ids(client) == ["cancer", "wine"]
            assert ask(client, "prod").status_code == 200
            (folder / "models.json").unlink()
            reread(server, "wine was unloaded")
            eventually(lambda: ids(client) == [])

    def test_one_that_fails_stops_no_other_and_is_tried_again(
        self, folder: Path, server: Server
    ) -> None:
        kept = (folder / "words.onnx").read_bytes()
        (folder / "words.onnx").unlink()
        words = {"model_id": "words", "model_path": "words.onnx"}
        with server.client() as client:
            broken = WINE | {"model_path": "junk.pkl", "aliases": ["prod"]}
            write(folder, broken, CANCER, words, PAIR)
            reread(server, "wine was not reloaded")
            eventually(lambda: ids(client) == ["cancer", "pair", "wine"])
            assert ask(client, "prod").status_code == 200, "as it was"
            assert health(client) == "degraded"
            (folder / "words.onnx").write_bytes(kept)
            reread(server, "wine was not reloaded")
            eventually(lambda: "words" in ids(client))
            assert health(client) == "healthy"

    def test_one_that_was_unloaded_over_http(self, folder: Path, server: Server) -> None:
        """Stays so, until its entry changes."""
        with server.client() as client:
            for changed in ({"pinned": True}, {"compile_model": False}):
                assert client.delete(f"{BASE}/cancer").status_code == 200
                reread(server, "nothing has changed")
                assert ids(client) == ["wine"]
                write(folder, WINE | {"aliases": ["prod", "reds"]}, CANCER | changed)
                reread(server, "cancer was")
                eventually(lambda: ids(client) == ["cancer", "wine"])
                reread(server, "nothing has changed")

    def test_one_that_is_missed_can_be_given_up(self, folder: Path, server: Server) -> None:
        with server.client() as client:
            write(folder, WINE, CANCER, {"model_path": "absent.pkl"})
            reread(server, "model_path absent.pkl was not loaded")
            eventually(lambda: health(client) == "degraded")
            write(folder, WINE, CANCER)
            reread(server, "nothing has changed")
            eventually(lambda: health(client) == "healthy")

    def test_one_that_was_loaded_over_http_is_taken_over(
        self, folder: Path, server: Server
    ) -> None:
        with server.client() as client:
            load = {"model_path": "pair.onnx", "model_id": "pair"}
            assert client.post(f"{BASE}/load", json=load).status_code == 200
            write(folder, WINE, CANCER, PAIR | {"aliases": ["both"]})
            reread(server, "pair was loaded")
            eventually(lambda: client.get(f"{BASE}/both/info").status_code == 200)
            assert health(client) == "healthy"
            write(folder, WINE, CANCER)
            reread(server, "pair was unloaded")
            assert ids(client) == ["cancer", "wine"]

    def test_a_member_of_an_experiment_stays(self, folder: Path, server: Server) -> None:
        with server.client() as client:
            drawn = {"variants": [{"model_id": "cancer", "weight": 1}]}
            assert client.put("/api/inference/experiments/ab", json=drawn).status_code == 201
            write(folder, WINE)
            reread(server, "cancer was not unloaded: model 'cancer' is used by experiment")
            assert ask(client, "cancer").status_code == 200
            assert client.delete("/api/inference/experiments/ab").status_code == 200
            reread(server, "cancer was unloaded")
            assert ids(client) == ["wine"]

    def test_no_request_is_lost(self, folder: Path, server: Server) -> None:
        """By id and by an alias that moves from one model to another and back."""
        other = {"model_id": "other", "model_path": "copy.pkl"}
        (folder / "copy.pkl").write_bytes((folder / "wine.pkl").read_bytes() + b"\0")
        statuses: list[int] = []
        done = threading.Event()

        def keep_asking(name: str) -> None:
            with server.client() as client:
                while not done.is_set():
                    statuses.append(ask(client, name).status_code)

        threads = [threading.Thread(target=keep_asking, args=(one,)) for one in ("wine", "prod")]
        for thread in threads:
            thread.start()
        try:
            for compiled in (False, True):
                write(folder, WINE | {"compile_model": compiled}, other | {"aliases": ["prod"]})
                reread(server, "wine was reloaded")
                write(folder, WINE | {"compile_model": compiled, "aliases": ["prod"]})
                reread(server, "other was unloaded")
        finally:
            done.set()
            for thread in threads:
                thread.join()
        assert set(statuses) == {200}
        assert len(statuses) > 20
