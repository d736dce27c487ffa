"""A stand-in for the Hugging Face hub: its metadata, its `resolve` URLs, and the place to which it
sends whoever wants a large file, with ranges. Speaks what `huggingface_hub` speaks."""

from __future__ import annotations

import hashlib
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

COMMIT = "c0ffee" * 6 + "beef"
LARGE = 4096
"""Files from this size on are large ones (LFS)."""


class Seen(NamedTuple):
    """One request."""

    method: str
    path: str
    range: str | None
    token: str | None


class Files(ThreadingHTTPServer):
    """Serves bytes by path, with ranges and a validator; can be made to misbehave."""

    daemon_threads = True

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.scheme = "http"
        self.content: dict[str, bytes] = {}
        self.redirects: dict[str, str] = {}
        self.seen: list[Seen] = []
        self.break_after: int | None = None
        """Each answer breaks off after so many bytes."""
        self.hold_after: int | None = None
        """Each answer pauses after so many bytes, until `release`."""
        self.corrupt = False
        self.status: int | None = None
        """What is answered to everything."""
        self.has_length = True
        self.ignores_ranges = False
        self.tag: str | None = None
        """Entity tag of everything; None: a digest; empty: there is none."""
        self.changed: str | None = None
        """When everything was changed last, if that is told."""
        self.coding: str | None = None
        """What every content is said to be compressed with."""
        self.then: dict[str, bytes] = {}
        """What a path has from its next answer on."""
        self._released = threading.Event()

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_port}"

    def release(self) -> None:
        """Lets those go on that are held, and holds nobody any more."""
        self.hold_after = None
        self._released.set()

    def wait_for_release(self) -> None:
        self._released.wait(60)

    def use_tls(self, certificate: Path, key: Path) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self.scheme = "https"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are what some tests are about."""


class FilesHandler(BaseHTTPRequestHandler):
    """The place where large files are."""

    protocol_version = "HTTP/1.1"
    server: Files

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nobody reads it."""

    def note(self) -> str:
        path = unquote(urlsplit(self.path).path)
        token = self.headers.get("authorization")
        self.server.seen.append(Seen(self.command, path, self.headers.get("range"), token))
        return path

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.note()
        if self.server.status is not None:
            self.empty(self.server.status)
        elif path in self.server.redirects:
            self.empty(302, location=self.server.redirects[path])
        elif path not in self.server.content:
            self.empty(404)
        else:
            content = self.server.content[path]
            self.server.content[path] = self.server.then.pop(path, content)
            self.send_content(content)

    def empty(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"content_length": "0", **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def send_content(self, data: bytes, **headers: str) -> None:
        etag = self.server.tag
        if etag is None:
            etag = f'"{hashlib.sha256(data).hexdigest()[:40]}"'
        wanted = self.headers.get("range")
        condition = self.headers.get("if-range")
        first = 0
        if (
            wanted
            and not self.server.ignores_ranges
            and condition in (*(None, etag, self.server.changed),)
        ):
            first = int(wanted.removeprefix("bytes=").partition("-")[0])
            if first >= len(data):
                self.empty(416)
                return
        part = bytes(len(data) - first) if self.server.corrupt else data[first:]
        self.send_response(206 if first else 200)
        if first:
            self.send_header("content-range", f"bytes {first}-{len(data) - 1}/{len(data)}")
        for name, text in (
            ("etag", etag),
            ("last-modified", self.server.changed),
            ("content-encoding", self.server.coding),
        ):
            if text:
                self.send_header(name, text)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if self.server.has_length:
            self.send_header("content-length", str(len(part)))
        else:
            self.send_header("connection", "close")
            self.close_connection = True
        self.end_headers()
        if self.command == "GET":
            self.send_part(part)

    def send_part(self, part: bytes) -> None:
        for limit, stop in (
            (self.server.break_after, True),
            (self.server.hold_after, False),
        ):
            if limit is not None and len(part) > limit:
                self.wfile.write(part[:limit])
                self.wfile.flush()
                if stop:
                    self.close_connection = True
                    return
                self.server.wait_for_release()
                part = part[limit:]
        self.wfile.write(part)


class Repository(NamedTuple):
    """A model on the hub."""

    files: dict[str, bytes]
    commit: str = COMMIT
    gated: bool = False
    private: bool = False


class Hub(Files):
    """Metadata, and files that are not large."""

    def __init__(self, large: Files) -> None:
        super().__init__(HubHandler)
        self.large = large
        self.repositories: dict[str, Repository] = {}

    def add(self, name: str, files: dict[str, bytes], **options: Any) -> Repository:
        made = Repository(files, **options)
        self.repositories[name] = made
        for data in files.values():
            if len(data) >= LARGE:
                self.large.content[f"/blobs/{hashlib.sha256(data).hexdigest()}"] = data
        return made

    @property
    def fetched(self) -> list[str]:
        """Paths of contents that were asked for, here and there."""
        return [
            seen.path
            for seen in (*self.seen, *self.large.seen)
            if seen.method == "GET" and not seen.path.startswith("/api/")
        ]


class HubHandler(FilesHandler):
    """The hub itself."""

    server: Hub

    def do_GET(self) -> None:
        path = self.note()
        if self.server.status is not None:
            self.empty(self.server.status)
        elif path.startswith("/api/models/"):
            name, _, revision = path.removeprefix("/api/models/").partition("/revision/")
            found = self.found(name, revision or "main")
            if found is not None:
                self.send_json(described(name, found))
        else:
            name, _, rest = path.strip("/").partition("/resolve/")
            revision, _, file = rest.partition("/")
            found = self.found(name, revision)
            if found is not None:
                self.resolve(found, file)

    def found(self, name: str, revision: str) -> Repository | None:
        found = self.server.repositories.get(name)
        has_token = self.headers.get("authorization") == "Bearer hf_good"
        if found is None or (found.private and not has_token):
            self.empty(401 if found else 404, x_error_code="RepoNotFound")
        elif found.gated and not has_token:
            self.empty(403, x_error_code="GatedRepo")
        elif revision not in ("main", "v1", found.commit):
            self.empty(404, x_error_code="RevisionNotFound")
        else:
            return found
        return None

    def resolve(self, found: Repository, file: str) -> None:
        data = found.files.get(file)
        if data is None:
            self.empty(404, x_error_code="EntryNotFound")
        elif len(data) >= LARGE:
            digest = hashlib.sha256(data).hexdigest()
            self.empty(
                302,
                location=f"{self.server.large.url}/blobs/{digest}",
                x_repo_commit=found.commit,
                x_linked_etag=f'"{digest}"',
                x_linked_size=str(len(data)),
            )
        else:
            self.send_content(data, x_repo_commit=found.commit)

    def send_json(self, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def described(name: str, found: Repository) -> dict[str, Any]:
    siblings: list[dict[str, Any]] = []
    for file, data in found.files.items():
        blob = hashlib.sha1(f"blob {len(data)}\0".encode() + data).hexdigest()
        one: dict[str, Any] = {"rfilename": file, "size": len(data), "blobId": blob}
        if len(data) >= LARGE:
            one["lfs"] = {
                "sha256": hashlib.sha256(data).hexdigest(),
                "size": len(data),
                "pointerSize": 134,
            }
        siblings.append(one)
    return {
        "_id": "1",
        "id": name,
        "modelId": name,
        "sha": found.commit,
        "private": found.private,
        "gated": found.gated,
        "disabled": False,
        "tags": [],
        "downloads": 0,
        "likes": 0,
        "siblings": siblings,
    }


@contextmanager
def files_server(certificate: tuple[Path, Path] | None = None) -> Iterator[Files]:
    server = Files(FilesHandler)
    if certificate is not None:
        server.use_tls(*certificate)
    yield from _serving(server)


@contextmanager
def hub_server() -> Iterator[Hub]:
    with files_server() as large:
        yield from _serving(Hub(large))


def _serving(server: Any) -> Iterator[Any]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.release()
        server.shutdown()
        thread.join()
        server.server_close()


def pattern(count: int, seed: int = 0) -> bytes:
    """Bytes that differ from place to place, so that a gap or an overlap shows."""
    block = hashlib.shake_256(str(seed).encode()).digest(min(count, 1 << 20))
    return (block * (count // len(block) + 1))[:count]


@contextmanager
def example_hub() -> Iterator[Hub]:
    """With the repository of the documentation's examples: the same bytes every time."""
    with hub_server() as hub:
        hub.add(
            "acme/digits",
            {
                "README.md": b"# digits",
                "config.json": b'{"model_type": "digits"}',
                "model.safetensors": pattern(20_000),
                "pytorch_model.bin": pattern(20_000, seed=1),
            },
        )
        yield hub
