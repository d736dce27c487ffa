"""Plans of TensorRT that cannot run here: what is said of them, and what is left of them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from made_up_gpus import gpus
from slipstream import Engine
from slipstream.api import plan_check
from slipstream.api.plan_check import not_kept_if_refused
from slipstream.engine import tensorrt_library
from slipstream.errors import MissingDependencyError, ModelLoadError, QueueFullError
from slipstream.gpu import gpus as gpus_module
from slipstream.models import tensorrt_files
from slipstream.models.artifacts import MANIFEST_FILE, artifact, forget
from slipstream.models.detect import detect
from slipstream.models.manifest import encode
from slipstream.models.prepare import Prepared

PLAN = b"ftrt" + bytes(20) + bytes((10, 16, 1, 11)) + b"the rest"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with Engine(state_dir=tmp_path / "state") as engine:
        yield engine


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    file = tmp_path / "x.plan"
    file.write_bytes(PLAN)
    return file


@pytest.fixture
def has_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus_module, "survey", lambda: gpus(0))


def kept(folder: Path) -> list[str]:
    """Of artifacts and their locks."""
    return sorted(file.name for file in (folder / "state" / "artifacts").glob("*"))


class TestBeforeTheCopy:
    @pytest.fixture(autouse=True)
    def no_copy(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tensorrt_files, "copy_checked", pytest.fail)

    def test_without_a_driver(
        self, engine: Engine, plan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(gpus_module, "survey", gpus)
        with pytest.raises(
            ModelLoadError, match=r"^x\.plan cannot compute .* need a GPU: no NVIDIA"
        ):
            engine.load(plan)
        assert kept(tmp_path) == []

    def test_without_that_gpu(
        self, engine: Engine, plan: Path, tmp_path: Path, has_gpu: None
    ) -> None:
        with pytest.raises(ModelLoadError, match="there is no cuda:7 here"):
            engine.load(plan, device="cuda:7")
        with pytest.raises(ModelLoadError, match="computes on GPUs only"):
            engine.load(plan, device="cpu")
        assert kept(tmp_path) == []

    def test_without_the_backend(
        self, engine: Engine, plan: Path, tmp_path: Path, has_gpu: None,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        monkeypatch.setattr(tensorrt_library, "LIBRARY", "libnobody.so")
        with pytest.raises(MissingDependencyError, match="slipstream build-backend tensorrt"):
            engine.load(plan)
        assert kept(tmp_path) == []


class TestAfterTheCopy:
    """The backend is not here, so the engine meets its absence in place of a plan's refusal."""

    @pytest.fixture(autouse=True)
    def is_runnable(self, has_gpu: None, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(plan_check, "backend_options", lambda *arguments: {})

    def refuse(self, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
        def start(*arguments: Any, **named: Any) -> None:
            raise error

        monkeypatch.setattr(Engine, "_start", start)

    def test_a_refused_plan_leaves_nothing(
        self, engine: Engine, plan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.refuse(monkeypatch, ModelLoadError("built by another TensorRT"))
        with pytest.raises(ModelLoadError, match="another TensorRT"):
            engine.load(plan)
        assert kept(tmp_path) == []

    def test_one_that_finds_no_memory_is_kept(
        self, engine: Engine, plan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.refuse(monkeypatch, QueueFullError("no memory"))
        with pytest.raises(QueueFullError):
            engine.load(plan)
        before = kept(tmp_path)
        assert len(before) == 2
        self.refuse(monkeypatch, ModelLoadError("another GPU"))
        with pytest.raises(ModelLoadError):
            engine.load(plan)  # whose copy others may use by now
        assert kept(tmp_path) == before


def make(scratch: Path, out: Path) -> None:
    plan = scratch / "x.plan"
    plan.write_bytes(PLAN)
    manifest = tensorrt_files.unprepared_manifest(plan)
    (out / manifest.artifact).write_bytes(PLAN)
    (out / MANIFEST_FILE).write_bytes(encode(manifest))


@pytest.mark.parametrize("is_refused", [False, True])
def test_a_copy_that_another_load_uses_stays_for_as_long(tmp_path: Path, is_refused: bool) -> None:
    folder, manifest = artifact(tmp_path, "key", 5.0, make)
    mine = Prepared(manifest=manifest, folder=folder, size_bytes=1, is_new_copy=True)
    found = msgspec.structs.replace(mine, is_new_copy=False)
    with suppress(ModelLoadError), not_kept_if_refused(found):
        with pytest.raises(ModelLoadError), not_kept_if_refused(mine):
            raise ModelLoadError("another GPU")
        assert folder.is_dir()
        if is_refused:
            raise ModelLoadError("another GPU, too")
    assert folder.is_dir() is not is_refused


def test_what_is_forgotten_can_be_made_again(tmp_path: Path) -> None:
    folder, _ = artifact(tmp_path, "key", 5.0, make)
    assert (folder.is_dir(), (tmp_path / "key.lock").is_file()) == (True, True)
    forget(folder)
    assert list(tmp_path.iterdir()) == []
    again, _ = artifact(tmp_path, "key", 5.0, make)
    assert again == folder and folder.is_dir()


class TestJunk:
    @pytest.mark.parametrize("name", ["x.plan", "x.engine", "x.TRT"])
    def test_is_told_by_its_suffix(self, tmp_path: Path, name: str) -> None:
        (tmp_path / name).write_bytes(b"\x00\x01 junk of some length")
        with pytest.raises(ModelLoadError) as said:
            detect(tmp_path / name)
        assert said.value.message.startswith(
            rf"{name} is no TensorRT plan: it begins with b'\x00\x01 junk "
        )
        assert "trtexec --saveEngine" in said.value.message

    def test_is_told_by_what_it_is_said_to_be(self, tmp_path: Path) -> None:
        file = tmp_path / "x.bin"
        file.write_bytes(b"<html><body>not found")
        with pytest.raises(ModelLoadError, match=r"no TensorRT plan, and no ONNX graph .*<html><b"):
            detect(file, "tensorrt")
        with pytest.raises(ModelLoadError, match=r"recognises: .* TensorRT plans"):
            detect(file)

    def test_that_is_compressed(self, tmp_path: Path) -> None:
        import gzip

        file = tmp_path / "x.plan"
        file.write_bytes(gzip.compress(PLAN))
        with pytest.raises(ModelLoadError, match="no TensorRT plan: it is gzip-compressed; unpack"):
            detect(file)

    def test_that_is_cut_short(self, tmp_path: Path) -> None:
        file = tmp_path / "x.plan"
        file.write_bytes(PLAN[:20])
        with pytest.raises(ModelLoadError, match="a TensorRT plan cut short: it has 20 bytes"):
            detect(file)


def test_inspecting_tells_what_the_header_does(plan: Path) -> None:
    command = [sys.executable, "-m", "slipstream.cli.main", "inspect", str(plan)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert "made with   tensorrt 10.16.1\n" in run.stdout
    if not gpus_module.survey().cuda:
        assert "known only where the plan runs: x.plan cannot compute" in run.stderr
