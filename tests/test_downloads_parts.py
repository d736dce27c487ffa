"""What is worth having, what may be written, and what a download's folder is called."""

from __future__ import annotations

import hashlib
import os
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from http_server import clean_environment
from slipstream.downloads.job import Job
from slipstream.downloads.partial import Partial
from slipstream.downloads.plan import Plan, PlannedFile, Wanted, folder_name
from slipstream.downloads.selecting import is_safe, may_be_pickle, select
from slipstream.downloads.service import _size_of
from slipstream.errors import DownloadRefusedError

NAMES = [
    *("config.json", "model.safetensors", "model-00001-of-00002.safetensors", "onnx/model.onnx"),
    *("onnx/model.onnx_data", "tokenizer.model", "vocab.txt", "README.md", "LICENSE"),
]
PICKLES = ["pytorch_model.bin", "model.PKL", "sub/x.pt", "a.npz", "flax_model.msgpack", "m.keras"]
NEVER = [
    "modeling.py",
    ".gitattributes",
    "run.sh",
    "x.so",
    "a/.hidden/x.json",
    "Makefile",
    "x.toml",
]


def files(*names: str) -> list[PlannedFile]:
    return [PlannedFile(path=name) for name in names]


def test_what_is_worth_having() -> None:
    found = select(files(*NAMES, *PICKLES, *NEVER), (), allow_pickle=False)
    assert [file.path for file in found.taken] == NAMES
    assert list(found.pickles) == PICKLES
    found = select(files(*NAMES, *PICKLES, *NEVER), (), allow_pickle=True)
    assert [file.path for file in found.taken] == NAMES + PICKLES
    found = select(files(*NAMES, *NEVER), ("*.py", "onnx/*", "vocab.txt"), allow_pickle=True)
    assert [file.path for file in found.taken] == [*NAMES[3:5], "vocab.txt"]


@pytest.mark.parametrize(
    "path",
    [
        *("", "/etc/x.json", "../x.json", "a/../x.json", "a//x.json", "./x.json", "a/./x.json"),
        *("a\\x.json", "x\0.json", "x\n.json", ".x.json", "a/.git/x.json", "x.json/", "x.json "),
        *("é.json", "a" * 300 + ".json", "/".join("a" * 20) + "/x.json", "~/x.json", "-x.json"),
    ],
)
def test_names_that_are_not_safe(path: str) -> None:
    assert not is_safe(path)
    assert not select(files(path), (), allow_pickle=True).taken


@given(st.text(alphabet="ab./\\~-_ \0é", max_size=40))
def test_what_is_safe_stays_in_its_folder(path: str) -> None:
    if is_safe(path):
        folder = Path("/models/downloads/x")
        target = Path(f"{folder}/{path}")
        assert target.resolve().is_relative_to(folder)
        assert not any(part.startswith(".") for part in Path(path).parts)


def test_another_content_has_another_folder() -> None:
    plan = Plan(files=tuple(files("a.onnx", "b.onnx")), commit="c" * 40)
    one = Plan(files=tuple(files("a.onnx")), commit="c" * 40)
    hub = Wanted(model_name="acme/digits")
    chosen = Wanted(model_name="acme/digits", files=("a.*",))
    link = Wanted(url="https://a.example/a.onnx?x=1")
    names = [
        folder_name(hub, plan),
        folder_name(hub, Plan(files=plan.files, commit="d" * 40)),
        folder_name(chosen, one),
        folder_name(Wanted(model_name="digits"), plan),
        folder_name(link, one),
        folder_name(link, Plan(files=one.files, validator='"2"')),
    ]
    assert len(set(names)) == len(names)
    assert names[0] == "acme--digits@cccccccccccc"
    assert all(is_safe(name) for name in names)


class TestPartial:
    def part(self, folder: Path, **known: object) -> Partial:
        file = PlannedFile(path="sub/a.onnx", **known)  # type: ignore[arg-type]
        return Partial(folder, file, 1000, lambda _: None)

    def test_it_goes_on_behind_what_is_there(self, tmp_path: Path) -> None:
        digest = hashlib.sha256(b"abcdef").hexdigest()
        for piece in (b"abc", b"def"):
            part = self.part(tmp_path, size_bytes=6, sha256=digest)
            with part.open() as stream:
                stream.write(piece)
        part.finish()
        assert (tmp_path / "sub" / "a.onnx").read_bytes() == b"abcdef"
        assert part.is_done and part.digest == digest
        assert not part.part.exists()

    @pytest.mark.parametrize(
        "known", [{"size_bytes": 5}, {"sha256": "0" * 64}, {"git_sha1": "0" * 40}]
    )
    def test_what_is_not_as_announced_is_thrown_away(
        self, tmp_path: Path, known: dict[str, object]
    ) -> None:
        part = self.part(tmp_path, **known)
        with part.open() as stream:
            stream.write(b"abc")
        with pytest.raises(DownloadRefusedError, match="thrown"):
            part.finish()
        assert not list(tmp_path.rglob("*.*"))

    def test_it_never_becomes_longer_than_it_may(self, tmp_path: Path) -> None:
        for known, most in (({"size_bytes": 3}, 3), ({}, 1000)):
            part = self.part(tmp_path, **known)
            with part.open(anew=True) as stream:
                stream.write(bytes(most))
                with pytest.raises(DownloadRefusedError, match="thrown away"):
                    stream.write(b"x")
            assert not list(tmp_path.rglob("*.*")), "it does not stay"

    def test_what_finds_no_room_makes_some(self, tmp_path: Path) -> None:
        part = self.part(tmp_path)
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
            with pytest.raises(OSError, match="large"), part.open() as stream:
                stream.write(bytes(500))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            signal.signal(signal.SIGXFSZ, handler)
        assert not list(tmp_path.rglob("*.*"))


def test_a_size_while_files_are_moved(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    for number in range(50):
        (here / f"{number}.onnx").write_bytes(b"x")
    has_ended = threading.Event()

    def move() -> None:
        while not has_ended.is_set():
            os.replace(here, there)
            os.replace(there, here)

    mover = threading.Thread(target=move)
    mover.start()
    try:
        for _ in range(300):
            assert 0 <= _size_of(here) <= 50
    finally:
        has_ended.set()
        mover.join()


def test_a_job_ends_once() -> None:
    job = Job("download_1", Wanted(model_name="a/b"), Plan(files=tuple(files("a.onnx"))), "x")
    told: list[str] = []
    job.when_ended(lambda: told.append(job.status))
    assert job.begin()
    job.heard("0 17")
    job.heard("0 20 verifying")
    assert (job.bytes_done, job.files[0].status) == (20, "verifying")
    job.end("completed")
    job.end("failed")
    assert (job.status, told) == ("completed", ["completed"])
    assert not job.cancel()
    assert may_be_pickle("x.BIN")


@pytest.mark.parametrize(
    ("imports", "unwanted"),
    [
        (
            "slipstream.http.routes.table, slipstream.downloads.service",
            ("huggingface_hub", "httpx", "requests"),
        ),
        ("slipstream.downloads.hub; slipstream.downloads.hub.Hub()", ("hf_xet", "numpy", "torch")),
    ],
)
def test_nobody_imports_more_than_he_needs(imports: str, unwanted: tuple[str, ...]) -> None:
    """The server nothing of the hub, which is the child's; the child no protocol of its own."""
    code = f"import sys, {imports}\nprint([name for name in {unwanted!r} if name in sys.modules])"
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.strip() == "[]"
