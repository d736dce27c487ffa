"""Downloads from the hub, over HTTP, from a server that stands in for it."""

from __future__ import annotations

import hashlib
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from http_models import canary_of, fresh_folder, model_folder
from http_server import Server, clean_environment, eventually, slipstream_server
from hub_server import COMMIT, Hub, hub_server, pattern

pytest.importorskip("huggingface_hub")

NAME = "acme/digits"
LARGE = pattern(3 << 20)
HELD_AFTER = 1 << 20


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    with hub_server() as hub:
        yield hub


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fresh_folder(tmp_path_factory, "downloads")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fresh_folder(tmp_path_factory, "downloads-shared")


@pytest.fixture(scope="module")
def server(hub: Hub, shared: Path) -> Iterator[Server]:
    with serving(hub, shared, DOWNLOAD_MAX_MB="8") as server:
        yield server


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


@pytest.fixture(autouse=True)
def as_it_was(hub: Hub) -> Iterator[None]:
    """Whatever a test made the hub do, it does no more."""
    yield
    for files in (hub, hub.large):
        files.break_after = files.status = None
        files.corrupt = files.ignores_ranges = False
        files.release()
        files._released.clear()
        files.seen.clear()
    hub.repositories.clear()


def serving(hub: Hub, folder: Path, **settings: str) -> Any:
    env = {"MODEL_DIR": str(folder), "HF_ENDPOINT": hub.url, "HF_TOKEN": "", **settings}
    return slipstream_server(env=env, cwd=folder)


def ask(client: httpx.Client, **body: Any) -> dict[str, Any]:
    response = client.post("/models/download", json=body)
    assert response.status_code == 202, response.text
    job: dict[str, Any] = response.json()
    return job


def look(client: httpx.Client, job: dict[str, Any]) -> dict[str, Any]:
    response = client.get(f"/models/download/{job['job_id']}")
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def ended(client: httpx.Client, job: dict[str, Any]) -> dict[str, Any]:
    eventually(lambda: look(client, job)["ended_at"] is not None)
    return look(client, job)


def refused(client: httpx.Client, **body: Any) -> tuple[int, str, str]:
    """Status, kind and message."""
    response = client.post("/models/download", json=body)
    error = response.json()
    assert error["success"] is False
    assert error["status_code"] == response.status_code
    return response.status_code, error["error_type"], error["detail"]


def repository(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    models = model_folder(tmp_path_factory)
    return {
        "README.md": b"# digits",
        "config.json": b'{"model_type": "digits"}',
        "onnx/model.onnx": (models / "pair.onnx").read_bytes(),
        "model.safetensors": LARGE,
        "pytorch_model.bin": (models / "hostile.pkl").read_bytes(),
        "modeling_digits.py": b"raise SystemExit",
        ".gitattributes": b"*",
        "../../escape.json": b"{}",
        "a/../../b.json": b"{}",
        "/etc/c.json": b"{}",
    }


class TestADownload:
    def test_the_whole_of_it(
        self,
        client: httpx.Client,
        hub: Hub,
        shared: Path,
        tmp_path_factory: pytest.TempPathFactory,
    ) -> None:
        files = repository(tmp_path_factory)
        hub.add(NAME, files)
        job = ask(client, model_name=NAME)
        assert list(job) == [
            *("job_id", "status", "model_name", "revision", "commit", "url", "folder"),
            *("bytes_done", "bytes_total", "rate_bytes_per_second", "files", "skipped"),
            *("created_at", "started_at", "ended_at", "error"),
        ]
        assert job["commit"] == COMMIT
        wanted = ["README.md", "config.json", "onnx/model.onnx", "model.safetensors"]
        total = sum(len(files[name]) for name in wanted)
        assert job["bytes_total"] == total
        done = ended(client, job)
        assert (done["status"], done["error"], done["bytes_done"]) == ("completed", None, total)
        assert done["folder"] == f"downloads/acme--digits@{COMMIT[:12]}"
        there = shared / done["folder"]
        assert sorted(str(one.relative_to(there)) for one in there.rglob("*.*")) == sorted(wanted)
        for one, name in zip(done["files"], wanted, strict=True):
            assert (shared / one["path"]).read_bytes() == files[name]
            assert one["sha256"] == hashlib.sha256(files[name]).hexdigest()
            assert one["status"] == "done"
        assert done["skipped"] == ["pytorch_model.bin"]
        assert not list((shared / "downloads" / ".partial").iterdir())
        assert not list(shared.parent.glob("**/escape.json"))

        listed = client.get("/models").json()
        (found,) = (one for one in listed["available"] if one["source"] == "download")
        assert found["model_path"] == done["folder"]
        assert found["model_name"] == NAME
        assert found["size_mb"] == pytest.approx(total / 2**20, abs=1e-6)
        assert listed["sources"]["hub"] == hub.url

        path = done["files"][2]["path"]
        load = {"model_path": path, "model_id": "fetched"}
        assert client.post("/api/inference/models/load", json=load).status_code == 200
        listed = client.get("/models").json()
        (model,) = (one for one in listed["loaded"] if one["model_id"] == "fetched")
        assert model["sha256"] == done["files"][2]["sha256"]
        assert not [one for one in listed["available"] if one["source"] == "download"]

        hub.seen.clear()
        hub.large.seen.clear()
        again = ask(client, model_name=NAME)
        assert (again["status"], again["bytes_done"]) == ("completed", total)
        assert [one["sha256"] for one in again["files"]] == [one["sha256"] for one in done["files"]]
        assert not hub.fetched, "it is there already"

    def test_pickles_where_they_are_asked_for(
        self,
        client: httpx.Client,
        hub: Hub,
        shared: Path,
        tmp_path_factory: pytest.TempPathFactory,
    ) -> None:
        """They are fetched, and still are what every pickle is."""
        files = repository(tmp_path_factory)
        hub.add("acme/pickled", {"pytorch_model.bin": files["pytorch_model.bin"]})
        status, kind, said = refused(client, model_name="acme/pickled")
        assert (status, kind) == (422, "DownloadRefusedError")
        assert "pytorch_model.bin" in said and "allow_pickle" in said
        done = ended(client, ask(client, model_name="acme/pickled", allow_pickle=True))
        assert done["status"] == "completed"
        load = client.post(
            "/api/inference/models/load", json={"model_path": done["files"][0]["path"]}
        )
        assert (load.status_code, load.json()["error"]) == (422, "UnsafeModelError")
        assert not canary_of(model_folder(tmp_path_factory)).exists()

    def test_a_choice_of_files_and_a_revision(self, client: httpx.Client, hub: Hub) -> None:
        hub.add("acme/many", {"a.onnx": b"a", "b.onnx": b"b", "sub/c.json": b"{}"})
        one = ended(client, ask(client, model_name="acme/many", files=["a.*"], revision="v1"))
        assert [file["path"].rpartition("/")[2] for file in one["files"]] == ["a.onnx"]
        assert one["revision"] == "v1"
        two = ended(client, ask(client, model_name="acme/many", files=["*.json", "b.onnx"]))
        assert len(two["files"]) == 2
        assert one["folder"] != two["folder"], "other contents, another folder"
        status, _, said = refused(client, model_name="acme/many", files=["*.gguf"])
        assert status == 422
        assert "no file worth having" in said

    def test_a_token_is_the_hubs_alone(self, hub: Hub, folder: Path) -> None:
        hub.add("acme/secret", {"model.safetensors": LARGE}, private=True)
        with serving(hub, folder, HF_TOKEN="hf_good") as server, server.client() as client:
            done = ended(client, ask(client, model_name="acme/secret"))
            assert done["status"] == "completed"
            assert any(seen.token == "Bearer hf_good" for seen in hub.seen)
            assert [seen.token for seen in hub.large.seen] == [None] * len(hub.large.seen)
            assert "hf_good" not in server.log + client.get("/models").text + str(done)


class TestRefusals:
    @pytest.mark.parametrize(
        ("body", "key"),
        [
            ({}, "model_name"),
            ({"model_name": NAME, "url": "https://a.example/x.onnx"}, "model_name"),
            ({"model_name": ""}, "model_name"),
            ({"model_name": "../x"}, "model_name"),
            ({"model_name": "a/b/c"}, "model_name"),
            ({"model_name": "a b"}, "model_name"),
            ({"model_name": "a/..b"}, "model_name"),
            ({"model_name": "a--b/c"}, "model_name"),
            ({"model_name": "https://x/y"}, "model_name"),
            ({"model_name": 5}, "model_name"),
            ({"model_name": NAME, "revision": "../main"}, "revision"),
            ({"model_name": NAME, "revision": "a b"}, "revision"),
            ({"model_name": NAME, "revision": ""}, "revision"),
            ({"model_name": NAME, "files": "*.onnx"}, "files"),
            ({"model_name": NAME, "files": []}, "files"),
            ({"url": "https://a.example/x.onnx", "files": []}, "files"),
            ({"model_name": NAME, "files": ["a b"]}, "files"),
            ({"model_name": NAME, "files": ["x"] * 100}, "files"),
            ({"model_name": NAME, "sha256": "0" * 64}, "sha256"),
            ({"url": "https://a.example/x.onnx", "sha256": "xyz"}, "sha256"),
            ({"url": "https://a.example/x.onnx", "revision": "main"}, "revision"),
        ],
    )
    def test_what_cannot_be_asked_for(
        self, client: httpx.Client, hub: Hub, body: dict[str, Any], key: str
    ) -> None:
        response = client.post("/models/download", json=body)
        assert response.status_code == 422, response.text
        assert response.json()["details"]["key"] == key
        assert not hub.seen

    def test_what_is_not_there(self, client: httpx.Client, hub: Hub) -> None:
        hub.add(NAME, {"a.onnx": b"a"})
        hub.add("acme/gated", {"a.onnx": b"a"}, gated=True)
        status, kind, said = refused(client, model_name="acme/absent")
        assert (status, kind) == (404, "SourceNotFoundError")
        assert "no model 'acme/absent'" in said
        status, kind, said = refused(client, model_name=NAME, revision="v9")
        assert (status, kind) == (404, "SourceNotFoundError")
        assert "no revision 'v9'" in said
        status, kind, said = refused(client, model_name="acme/gated")
        assert (status, kind) == (422, "DownloadRefusedError")
        assert "gated" in said
        response = client.get("/models/download/download_0")
        assert (response.status_code, response.json()["error_type"]) == (
            404,
            "DownloadNotFoundError",
        )

    def test_a_hub_that_has_troubles(self, client: httpx.Client, hub: Hub) -> None:
        hub.status = 503
        status, kind, said = refused(client, model_name=NAME)
        assert (status, kind) == (503, "NetworkError")
        assert "503" in said

    @pytest.mark.parametrize(
        ("settings", "says"),
        [
            ({"HF_ENDPOINT": "http://127.0.0.1:1"}, "the network is not there"),
            ({"HF_ENDPOINT": "http://nowhere.invalid"}, "the network is not there"),
            ({"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE is set"),
        ],
    )
    def test_no_network(self, hub: Hub, folder: Path, settings: dict[str, str], says: str) -> None:
        with serving(hub, folder, **settings) as server, server.client() as client:
            response = client.post("/models/download", json={"model_name": NAME})
            assert response.status_code == 503, response.text
            assert response.json()["error_type"] == "NetworkError"
            assert says in response.json()["detail"]
            assert "retry-after" in response.headers
            listed = client.get("/models").json()
            assert (listed["sources"]["hub"] is None) == ("HF_HUB_OFFLINE" in settings)

    def test_too_large(self, client: httpx.Client, hub: Hub) -> None:
        hub.add("acme/huge", {"model.safetensors": pattern(9 << 20)})
        status, kind, said = refused(client, model_name="acme/huge")
        assert (status, kind) == (422, "DownloadRefusedError")
        assert "DOWNLOAD_MAX_MB" in said
        assert not hub.fetched


def test_a_server_without_the_library(hub: Hub, folder: Path) -> None:
    """Its answer names the extra."""
    (folder / "huggingface_hub.py").write_text("raise ImportError")
    path = f"{folder}:{clean_environment()['PYTHONPATH']}"
    with serving(hub, folder, PYTHONPATH=path) as server, server.client() as client:
        status, kind, said = refused(client, model_name=NAME)
    assert (status, kind) == (422, "MissingDependencyError")
    assert "slipstream[hub]" in said


class TestWhatGoesWrong:
    def test_another_content_than_announced(
        self, client: httpx.Client, hub: Hub, shared: Path
    ) -> None:
        hub.add("acme/corrupt", {"config.json": b"{}", "model.safetensors": LARGE})
        hub.large.corrupt = True
        done = ended(client, ask(client, model_name="acme/corrupt"))
        assert done["status"] == "failed"
        assert done["error"]["error"] == "DownloadRefusedError"
        assert hashlib.sha256(LARGE).hexdigest() in done["error"]["message"]
        assert not (shared / done["folder"]).exists()
        hub.large.corrupt = False
        again = ended(client, ask(client, model_name="acme/corrupt"))
        assert again["status"] == "completed", "what was wrong is not gone on with"

    def test_a_small_file_that_was_changed(self, client: httpx.Client, hub: Hub) -> None:
        hub.add("acme/small", {"config.json": b'{"a": 1}'})
        hub.corrupt = True
        done = ended(client, ask(client, model_name="acme/small"))
        assert done["status"] == "failed"
        assert "git blob" in done["error"]["message"]

    def test_a_connection_that_breaks(self, client: httpx.Client, hub: Hub, shared: Path) -> None:
        """Each time after a megabyte: the rest is asked for, and nothing twice."""
        hub.add("acme/broken", {"model.safetensors": LARGE})
        hub.large.break_after = HELD_AFTER
        done = ended(client, ask(client, model_name="acme/broken"))
        assert done["status"] == "completed", done
        ranges = [seen.range for seen in hub.large.seen if seen.method == "GET"]
        assert ranges == [None, f"bytes={HELD_AFTER}-", f"bytes={2 * HELD_AFTER}-"]
        assert (shared / done["files"][0]["path"]).read_bytes() == LARGE

    @pytest.mark.parametrize("ranges", [True, False])
    def test_a_server_that_is_killed(self, hub: Hub, folder: Path, ranges: bool) -> None:
        """The next one goes on behind what is there; from the start where the hub cannot."""
        hub.add(NAME, {"config.json": b"{}", "model.safetensors": LARGE})
        hub.large.hold_after = HELD_AFTER
        with serving(hub, folder) as server, server.client() as client:
            job = ask(client, model_name=NAME)
            part = folder / "downloads/.partial" / job["folder"].partition("/")[2]
            part /= "model.safetensors.part"
            eventually(lambda: part.exists() and part.stat().st_size >= HELD_AFTER // 2)
            children = psutil.Process(server.process.pid).children(recursive=True)
            server.stop(signal.SIGKILL)
            psutil.wait_procs(children, timeout=30)
            assert not any(child.is_running() for child in children), "they die with the server"
        had = part.stat().st_size
        assert 0 < had <= HELD_AFTER
        hub.large.release()
        hub.large.ignores_ranges = not ranges
        hub.large.seen.clear()
        with serving(hub, folder) as server, server.client() as client:
            assert client.get(f"/models/download/{job['job_id']}").status_code == 404
            done = ended(client, ask(client, model_name=NAME))
            assert done["status"] == "completed", done
            assert (folder / done["files"][1]["path"]).read_bytes() == LARGE
        (seen,) = (one for one in hub.large.seen if one.method == "GET")
        assert seen.range == f"bytes={had}-"
        assert hub.fetched.count(f"/{NAME}/resolve/{COMMIT}/config.json") == 1, "it was done"

    def test_cancelling(self, hub: Hub, folder: Path) -> None:
        hub.add(NAME, {"model.safetensors": LARGE})
        hub.add("acme/second", {"a.onnx": b"a"})
        hub.large.hold_after = HELD_AFTER
        settings = {"DOWNLOAD_MAX_RUNNING": "1"}
        with serving(hub, folder, **settings) as server, server.client() as client:
            job = ask(client, model_name=NAME)
            assert ask(client, model_name=NAME)["job_id"] == job["job_id"], "the same, once"
            second = ask(client, model_name="acme/second")
            eventually(lambda: look(client, job)["bytes_done"] > 0)
            assert look(client, second)["status"] == "queued", "one at a time"
            running = {
                one["job_id"]: one["status"] for one in client.get("/models").json()["downloads"]
            }
            assert running == {job["job_id"]: "downloading", second["job_id"]: "queued"}
            assert client.delete(f"/models/download/{job['job_id']}").status_code == 200
            stopped = ended(client, job)
            assert (stopped["status"], stopped["error"]) == ("cancelled", None)
            again = client.delete(f"/models/download/{job['job_id']}")
            assert (again.status_code, again.json()["error_type"]) == (409, "DownloadEndedError")
            assert again.json()["details"] == {"status": "cancelled"}
            assert ended(client, second)["status"] == "completed"
            assert not (folder / job["folder"]).exists()
            hub.large.release()
            assert ended(client, ask(client, model_name=NAME))["status"] == "completed"
            assert hub.large.seen[-1].range is not None, "what was there was gone on with"

    def test_cancelled_and_asked_again_at_once(self, hub: Hub, folder: Path) -> None:
        """Two processes never write one file."""
        hub.add(NAME, {"model.safetensors": LARGE})
        hub.large.hold_after = HELD_AFTER
        with serving(hub, folder) as server, server.client() as client:
            for _ in range(3):
                job = ask(client, model_name=NAME)
                eventually(lambda job=job: look(client, job)["bytes_done"] > 0)  # type: ignore[misc]
                client.delete(f"/models/download/{job['job_id']}")
            hub.large.release()
            done = ended(client, ask(client, model_name=NAME))
            assert done["status"] == "completed", done
            assert (folder / done["files"][0]["path"]).read_bytes() == LARGE

    def test_a_place_that_is_taken(self, hub: Hub, folder: Path) -> None:
        (folder / "downloads").write_text("a file where the folder should be")
        hub.add(NAME, {"a.onnx": b"a"})
        with serving(hub, folder) as server, server.client() as client:
            status, kind, said = refused(client, model_name=NAME)
            assert (status, kind) == (503, "UnavailableError")
            assert "downloads" in said

    def test_waiting_for_the_end(self, hub: Hub, folder: Path) -> None:
        hub.add(NAME, {"model.safetensors": LARGE})
        hub.large.hold_after = HELD_AFTER
        with serving(hub, folder) as server, server.client() as client:
            job = ask(client, model_name=NAME)
            where = f"/models/download/{job['job_id']}"
            assert client.get(f"{where}?wait_ms=50").json()["ended_at"] is None
            threading.Timer(0.2, hub.large.release).start()
            assert client.get(f"{where}?wait_ms=30000").json()["status"] == "completed"
            assert client.get(f"{where}?wait_ms=-1").status_code == 422

    def test_a_server_that_ends(self, hub: Hub, folder: Path) -> None:
        hub.add(NAME, {"model.safetensors": LARGE})
        hub.large.hold_after = HELD_AFTER
        with serving(hub, folder) as server, server.client() as client:
            job = ask(client, model_name=NAME)
            eventually(lambda: look(client, job)["bytes_done"] > 0)
            assert server.stop() == 0
