"""Downloads from URLs: https, from listed hosts, to checked addresses, over HTTP."""

from __future__ import annotations

import gzip
import hashlib
import subprocess
import time
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import httpx
import pytest

from http_models import fresh_folder, model_folder
from http_server import Server, eventually, slipstream_server
from hub_server import Files, files_server, pattern

LARGE = pattern(3 << 20, seed=1)
STEP = 1 << 20


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("certificate")
    files = folder / "certificate.pem", folder / "key.pem"
    made = subprocess.run(
        f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=files "
        f"-addext subjectAltName=IP:127.0.0.1 -keyout {files[1]} -out {files[0]}".split(),
        capture_output=True,
        check=False,
    )
    if made.returncode != 0:
        pytest.skip("openssl is needed to make a certificate")
    return files


@pytest.fixture(scope="module")
def files(certificate: tuple[Path, Path]) -> Iterator[Files]:
    with files_server(certificate) as files:
        yield files


@pytest.fixture(autouse=True)
def as_it_was(files: Files) -> Iterator[None]:
    yield
    files.break_after = files.status = None
    files.corrupt = files.ignores_ranges = False
    files.has_length = True
    files.tag = files.changed = files.coding = None
    files.then.clear()
    files.release()
    files._released.clear()
    files.seen.clear()
    files.redirects.clear()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fresh_folder(tmp_path_factory, "downloads-url")


@pytest.fixture(scope="module")
def server(files: Files, folder: Path, certificate: tuple[Path, Path]) -> Iterator[Server]:
    host = f"127.0.0.1:{files.server_port}"
    listed = f"{host},localhost,unlisted.example,127.0.0.1:1"
    with serving(folder, certificate, listed, f"{host},127.0.0.1:1") as server:
        yield server


def serving(folder: Path, certificate: tuple[Path, Path], allowed: str, private: str) -> Any:
    return slipstream_server(
        env={
            "MODEL_DIR": str(folder),
            "SSL_CERT_FILE": str(certificate[0]),
            "DOWNLOAD_ALLOWED_HOSTS": allowed,
            "DOWNLOAD_PRIVATE_HOSTS": private,
            "DOWNLOAD_MAX_MB": "4",
        },
        cwd=folder,
    )


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


def ended(client: httpx.Client, url: str, **more: Any) -> dict[str, Any]:
    response = client.post("/models/download", json={"url": url, **more})
    assert response.status_code == 202, response.text
    where = f"/models/download/{response.json()['job_id']}"
    eventually(lambda: client.get(where).json()["ended_at"] is not None)
    job: dict[str, Any] = client.get(where).json()
    return job


def cancelled(client: httpx.Client, job: dict[str, Any]) -> None:
    where = f"/models/download/{job['job_id']}"
    client.delete(where)
    eventually(lambda: client.get(where).json()["status"] == "cancelled")


def partials(folder: Path) -> dict[str, int]:
    """Files that are on their way, and their sizes."""
    found = (folder / "downloads" / ".partial").rglob("*")
    return {str(path): path.stat().st_size for path in found if path.is_file()}


def refused(client: httpx.Client, url: str, **more: Any) -> tuple[int, str, str]:
    response = client.post("/models/download", json={"url": url, **more})
    error = response.json()
    return response.status_code, error.get("error_type"), error.get("detail")


def test_a_file(
    client: httpx.Client, files: Files, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    graph = (model_folder(tmp_path_factory) / "pair.onnx").read_bytes()
    files.content["/models/pair.onnx"] = graph
    files.redirects["/latest/pair.onnx"] = "/models/pair.onnx"
    digest = hashlib.sha256(graph).hexdigest()
    job = ended(client, f"{files.url}/latest/pair.onnx?token=x", sha256=digest)
    assert (job["status"], job["error"]) == ("completed", None)
    assert job["url"] == f"{files.url}/latest/pair.onnx", "a query may hold a secret"
    (file,) = job["files"]
    assert file["sha256"] == digest
    assert (folder / file["path"]).read_bytes() == graph
    listed = client.get("/models").json()
    assert file["path"] in [one["model_path"] for one in listed["available"]]
    load = client.post("/api/inference/models/load", json={"model_path": file["path"]})
    assert load.status_code == 200, load.text


def test_another_content_is_another_download(
    client: httpx.Client, files: Files, folder: Path
) -> None:
    url = f"{files.url}/config.json"
    files.content["/config.json"] = b'{"version": 1}'
    one = ended(client, url)
    files.content["/config.json"] = b'{"version": 2}'
    two = ended(client, url)
    assert one["folder"] != two["folder"]
    assert (folder / two["files"][0]["path"]).read_bytes() == b'{"version": 2}'
    assert (folder / one["files"][0]["path"]).read_bytes() == b'{"version": 1}'


def test_a_connection_that_breaks(client: httpx.Client, files: Files, folder: Path) -> None:
    files.content["/broken.safetensors"] = LARGE
    files.break_after = STEP
    job = ended(client, f"{files.url}/broken.safetensors")
    assert job["status"] == "completed", job
    assert (folder / job["files"][0]["path"]).read_bytes() == LARGE
    ranges = [seen.range for seen in files.seen[1:]]
    assert ranges == [None, f"bytes={STEP}-", f"bytes={2 * STEP}-"]


def test_a_file_that_changes_meanwhile(client: httpx.Client, files: Files, folder: Path) -> None:
    """What is there belongs to another file: it is fetched from the start."""
    files.content["/changing.safetensors"] = LARGE
    files.hold_after = STEP
    response = client.post("/models/download", json={"url": f"{files.url}/changing.safetensors"})
    where = f"/models/download/{response.json()['job_id']}"
    eventually(lambda: client.get(where).json()["bytes_done"] > 0)
    client.delete(where)
    eventually(lambda: client.get(where).json()["status"] == "cancelled")
    other = pattern(3 << 20, seed=2)
    files.content["/changing.safetensors"] = other
    files.release()
    job = ended(client, f"{files.url}/changing.safetensors")
    assert job["status"] == "completed"
    assert (folder / job["files"][0]["path"]).read_bytes() == other


def test_of_unknown_length(client: httpx.Client, files: Files, folder: Path) -> None:
    """It is taken, and stopped where it becomes longer than allowed."""
    files.has_length = False
    files.content["/short.safetensors"] = LARGE
    files.content["/long.safetensors"] = pattern(5 << 20)
    job = ended(client, f"{files.url}/short.safetensors")
    assert (job["status"], job["bytes_total"]) == ("completed", None)
    assert (folder / job["files"][0]["path"]).read_bytes() == LARGE
    job = ended(client, f"{files.url}/long.safetensors")
    assert job["status"] == "failed"
    assert "DOWNLOAD_MAX_MB" in job["error"]["message"]
    assert not (folder / job["folder"]).exists()
    assert not [one for one in partials(folder) if "/long." in one], "it is thrown away"
    files.has_length = True
    status, kind, said = refused(client, f"{files.url}/long.safetensors")
    assert (status, kind) == (422, "DownloadRefusedError")
    assert "DOWNLOAD_MAX_MB" in said
    assert "'files'" not in said, "a URL has none to choose from"


def test_what_nobody_goes_on_with_is_bounded(
    client: httpx.Client, files: Files, folder: Path
) -> None:
    """As much as one download may have stays: the latest; a cancelled one of 3 MiB each here."""
    files.content["/often.safetensors"] = pattern(4 << 20)
    jobs = []
    for number in range(3):
        files.hold_after = 3 << 20
        files._released.clear()
        url = f"{files.url}/often.safetensors?{number}"
        jobs.append(client.post("/models/download", json={"url": url}).json())
        part = folder / "downloads" / ".partial" / Path(jobs[-1]["folder"]).name
        part /= "often.safetensors.part"
        eventually(lambda part=part: part.exists() and part.stat().st_size > 2 << 20)  # type: ignore[misc]
        cancelled(client, jobs[-1])
        files.release()
    eventually(lambda: sum(partials(folder).values()) <= 4 << 20)
    (left,) = (name for name in partials(folder) if name.endswith("/often.safetensors.part"))
    assert Path(left).parent.name == Path(jobs[-1]["folder"]).name
    files.seen.clear()
    job = ended(client, f"{files.url}/often.safetensors?2")
    assert job["status"] == "completed"
    assert files.seen[-1].range is not None, "it was gone on with"


def test_a_source_that_does_not_tell_contents_apart(
    client: httpx.Client, files: Files, folder: Path
) -> None:
    """It is asked for the whole again, every time, and each content has a folder of its own."""
    url = f"{files.url}/untagged.json"
    found = {}
    for tag in ("", 'W/"weak"'):
        files.tag = tag
        for content in (b"[1]", b"[2]", b"[1]", b"[1]"):
            files.content["/untagged.json"] = content
            files.seen.clear()
            job = ended(client, url)
            assert job["status"] == "completed", job
            assert len(files.seen) == 2, "resolved and fetched"
            assert (folder / job["files"][0]["path"]).read_bytes() == content
            assert found.setdefault(content, job["folder"]) == job["folder"]
    assert len(set(found.values())) == 2
    assert not [one for one in partials(folder) if "untagged" in one]
    files.seen.clear()
    job = ended(client, url, sha256=hashlib.sha256(b"[2]").hexdigest())
    assert (job["status"], job["folder"]) == ("completed", found[b"[2]"])
    assert len(files.seen) == 1, "what is there is known to be what is wanted"


def test_what_nobody_can_go_on_with_does_not_stay(
    client: httpx.Client, files: Files, folder: Path
) -> None:
    files.tag, files.hold_after = "", STEP
    files.content["/untagged.safetensors"] = LARGE
    job = client.post("/models/download", json={"url": f"{files.url}/untagged.safetensors"}).json()
    where = f"/models/download/{job['job_id']}"
    eventually(lambda: client.get(where).json()["bytes_done"] > 0)
    client.delete(where)
    eventually(lambda: client.get(where).json()["status"] == "cancelled")
    assert not [one for one in partials(folder) if "untagged" in one]


def test_the_date_of_the_last_change(client: httpx.Client, files: Files, folder: Path) -> None:
    """Tells contents apart where the tag is weak, if it is not of this second."""
    url = f"{files.url}/dated.safetensors"
    files.tag = 'W/"1"'
    jobs = []
    for number in (1, 2):
        files.changed = f"Sun, 29 Nov 2020 10:00:0{number} GMT"
        files.content["/dated.safetensors"] = pattern(3 << 20, seed=number)
        files.break_after = STEP
        jobs.append(ended(client, url))
        assert jobs[-1]["status"] == "completed", jobs[-1]
        assert files.seen[-1].range == f"bytes={2 * STEP}-", "it is good for going on, too"
        path = folder / jobs[-1]["files"][0]["path"]
        assert path.read_bytes() == files.content["/dated.safetensors"]
    assert jobs[0]["folder"] != jobs[1]["folder"]
    files.seen.clear()
    assert ended(client, url)["folder"] == jobs[1]["folder"]
    assert len(files.seen) == 1, "nothing has changed"
    files.break_after = None
    files.changed = formatdate(time.time() + 60, usegmt=True)
    files.content["/dated.safetensors"] = b"changed just now"
    one = ended(client, url)
    files.content["/dated.safetensors"] = b"changed again, within one second"
    two = ended(client, url)
    assert one["folder"] != two["folder"]
    assert (folder / two["files"][0]["path"]).read_bytes() == b"changed again, within one second"


def test_a_file_that_changes_before_it_is_fetched(
    client: httpx.Client, files: Files, folder: Path
) -> None:
    """Its folder is that of what came, so nothing stale is ever answered."""
    url = f"{files.url}/swapped.json"
    files.content["/swapped.json"], files.then["/swapped.json"] = b"[1]", b"[2]"
    swapped = ended(client, url)
    assert (folder / swapped["files"][0]["path"]).read_bytes() == b"[2]"
    assert ended(client, url)["folder"] == swapped["folder"]
    files.content["/swapped.json"] = b"[1]"
    assert (folder / ended(client, url)["files"][0]["path"]).read_bytes() == b"[1]"


def test_a_compressed_answer_is_no_model(client: httpx.Client, files: Files) -> None:
    files.content["/packed.onnx"] = gzip.compress(b"graph")
    files.coding = "gzip"
    status, kind, said = refused(client, f"{files.url}/packed.onnx")
    assert (status, kind) == (422, "DownloadRefusedError")
    assert "compressed (gzip)" in said


def test_another_digest(client: httpx.Client, files: Files, folder: Path) -> None:
    files.content["/digest.onnx"] = b"graph"
    job = ended(client, f"{files.url}/digest.onnx", sha256="0" * 64)
    assert job["status"] == "failed"
    assert hashlib.sha256(b"graph").hexdigest() in job["error"]["message"]
    assert not (folder / job["folder"]).exists()


def test_what_is_not_there(client: httpx.Client, files: Files) -> None:
    assert refused(client, f"{files.url}/absent.onnx")[:2] == (404, "SourceNotFoundError")
    files.status = 403
    assert refused(client, f"{files.url}/absent.onnx")[:2] == (422, "DownloadRefusedError")
    files.status = 503
    assert refused(client, f"{files.url}/absent.onnx")[:2] == (503, "NetworkError")
    status, kind, said = refused(client, "https://127.0.0.1:1/x.onnx")
    assert (status, kind) == (503, "NetworkError")
    assert "the network is not there" in said


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://127.0.0.1/x.onnx", "only https"),
        ("ftp://127.0.0.1/x.onnx", "does not begin with"),
        ("file:///etc/passwd", "does not begin with"),
        ("https://other.example/x.onnx", "DOWNLOAD_ALLOWED_HOSTS"),
        ("https://169.254.169.254/x.onnx", "DOWNLOAD_ALLOWED_HOSTS"),
        ("https://localhost/x.onnx", "DOWNLOAD_PRIVATE_HOSTS"),
        ("https://user:secret@unlisted.example/x.onnx", "user name"),
        ("https://unlisted.example/", "name of a file"),
        ("https://unlisted.example/..%2f..%2fx.onnx", "name of a file"),
        ("https://unlisted.example/.hidden.onnx", "name of a file"),
        ("https://unlisted.example/model.py", "no file of a model"),
        ("https://unlisted.example/model.pkl", "allow_pickle"),
        ("https://unlisted.example/" + "x" * 3000 + ".onnx", "2048 characters"),
        ("https://2130706433/x.onnx", "unusual way"),
    ],
)
def test_what_is_never_asked(client: httpx.Client, files: Files, url: str, says: str) -> None:
    status, _, said = refused(client, url)
    assert status == 422
    assert says in said
    assert not files.seen


@pytest.mark.parametrize(
    ("to", "says"),
    [
        ("http://127.0.0.1:9/x.onnx", "only https"),
        ("https://169.254.169.254/latest/x.onnx", "DOWNLOAD_ALLOWED_HOSTS"),
        ("https://localhost/x.onnx", "DOWNLOAD_PRIVATE_HOSTS"),
        ("/loop.onnx", "redirects more than 5 times"),
        ("https://[::1", "no URL"),
        ("", "without saying where to"),
    ],
)
def test_redirects_are_held_against_the_same_wall(
    client: httpx.Client, files: Files, to: str, says: str
) -> None:
    files.redirects["/loop.onnx"] = to
    status, _, said = refused(client, f"{files.url}/loop.onnx")
    assert status == 422
    assert says in said


def test_off_by_default(
    files: Files, certificate: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """And a host that is listed must be public, unless it is listed as a private one too."""
    folder = fresh_folder(tmp_path_factory, "downloads-off")
    url = f"{files.url}/x.onnx"
    for allowed, says in (("", "DOWNLOAD_ALLOWED_HOSTS"), ("127.0.0.1", "DOWNLOAD_PRIVATE_HOSTS")):
        with serving(folder, certificate, allowed, "") as server, server.client() as client:
            status, _, said = refused(client, url)
            assert status == 422
            assert says in said
    assert not files.seen


def test_a_certificate_that_nobody_vouches_for(
    files: Files, certificate: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = fresh_folder(tmp_path_factory, "downloads-untrusted")
    host = f"127.0.0.1:{files.server_port}"
    env = {
        "MODEL_DIR": str(folder),
        "DOWNLOAD_ALLOWED_HOSTS": host,
        "DOWNLOAD_PRIVATE_HOSTS": host,
    }
    with slipstream_server(env=env, cwd=folder) as server, server.client() as client:
        status, kind, said = refused(client, f"{files.url}/x.onnx")
    assert (status, kind) == (503, "NetworkError")
    assert "certificate" in said.lower()
