"""Downloads that do not fit the disk: names in each other's way, and what lies there already."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from http_models import fresh_folder
from http_server import eventually, slipstream_server
from hub_server import Hub, hub_server

pytest.importorskip("huggingface_hub")


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    with hub_server() as hub:
        yield hub


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fresh_folder(tmp_path_factory, "downloads-disk")


@pytest.fixture(scope="module")
def client(hub: Hub, folder: Path) -> Iterator[httpx.Client]:
    env = {"MODEL_DIR": str(folder), "HF_ENDPOINT": hub.url, "HF_TOKEN": ""}
    with slipstream_server(env=env, cwd=folder) as server, server.client() as client:
        yield client


def ended(client: httpx.Client, **body: Any) -> dict[str, Any]:
    response = client.post("/models/download", json=body)
    assert response.status_code == 202, response.text
    where = f"/models/download/{response.json()['job_id']}"
    eventually(lambda: client.get(where).json()["ended_at"] is not None)
    job: dict[str, Any] = client.get(where).json()
    return job


@pytest.mark.parametrize("other", ["d.onnx/e.onnx", "d.onnx.part/e.onnx"])
def test_files_that_cannot_be_side_by_side(
    client: httpx.Client, hub: Hub, folder: Path, other: str
) -> None:
    hub.add("acme/clash", {other: b"2", "d.onnx": b"1"})
    hub.seen.clear()
    answer = client.post("/models/download", json={"model_name": "acme/clash"})
    assert (answer.status_code, answer.json()["error_type"]) == (422, "DownloadRefusedError")
    said = answer.json()["detail"]
    assert "'d.onnx'" in said and f"'{other}'" in said and "'files'" in said
    assert str(folder) not in said
    assert not hub.fetched
    job = ended(client, model_name="acme/clash", files=["d.onnx"])
    assert job["status"] == "completed"


def test_a_disk_that_is_in_the_way(client: httpx.Client, hub: Hub, folder: Path) -> None:
    """The error is the disk's, not the network's, and has no path of this machine."""
    hub.add("acme/odd", {"a.onnx": b"1"}, commit="f" * 40)
    partial = folder / "downloads" / ".partial" / f"acme--odd@{'f' * 12}"
    (partial / "a.onnx.part").mkdir(parents=True)
    error = ended(client, model_name="acme/odd")["error"]
    assert error["error"] == "UnavailableError"
    assert "cannot be written" in error["message"]
    assert "network" not in error["message"]
    assert str(folder) not in error["message"]
