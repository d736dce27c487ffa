"""Folders for engines of TensorRT: one for whatever they are good for, and not too many."""

from __future__ import annotations

import weakref
from pathlib import Path

import numpy as np
import pytest

from http_server import eventually
from made_up_gpus import write_double
from slipstream import Engine
from slipstream.gpu import provider_cache


class Model:
    """What can be referred to weakly, as the core's models can."""


def fill(root: Path, name: str) -> None:
    """Another process has many folders, with engines; then this one makes one more."""
    for number in range(provider_cache.MOST_KEPT + 5):
        (root / f"{name}-{number}").mkdir()
        (root / f"{name}-{number}" / "engine").write_bytes(b"x")
    provider_cache.cache_folder(root, name, ("H100",), "1.31")


def test_engines_are_kept_by_what_they_are_good_for(tmp_path: Path) -> None:
    made = {
        provider_cache.cache_folder(tmp_path, *which)
        for which in (
            ("a", ("H100",), "1.31"),
            ("b", ("H100",), "1.31"),
            ("a", ("H200",), "1.31"),
            ("a", ("H100",), "1.32"),
        )
    }
    assert len(made) == 4


def test_old_engines_are_deleted_and_none_in_use(tmp_path: Path) -> None:
    folder = provider_cache.cache_folder(tmp_path, "used", ("H100",), "1.31")
    model = Model()
    with provider_cache.used(folder) as keep:
        keep(model)
    fill(tmp_path, "first")
    assert folder.is_dir() and len(list(tmp_path.iterdir())) == provider_cache.MOST_KEPT + 1
    del model
    fill(tmp_path, "second")
    assert not folder.exists() and len(list(tmp_path.iterdir())) == provider_cache.MOST_KEPT


def test_engines_of_a_load_that_fails_are_kept_while_it_lasts(tmp_path: Path) -> None:
    folder = provider_cache.cache_folder(tmp_path, "used", ("H100",), "1.31")
    with pytest.raises(RuntimeError), provider_cache.used(folder):
        fill(tmp_path, "first")
        assert folder.is_dir()
        raise RuntimeError("the load failed")
    fill(tmp_path, "second")
    assert not folder.exists()


def test_folders_that_another_process_deletes_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = [tmp_path / "gone", *(tmp_path / f"{number}" for number in range(3))]
    for folder in gone[1:]:
        folder.mkdir()
    monkeypatch.setattr(Path, "iterdir", lambda self: iter(gone))
    monkeypatch.setattr(Path, "is_dir", lambda self: True)
    provider_cache.forget(tmp_path, 1)
    assert sum(folder.exists() for folder in gone) == 1


def test_a_version_lets_go_of_what_it_used_when_it_closes(tmp_path: Path) -> None:
    """It is the core's model that keeps a folder, so nothing else may keep that model."""
    with Engine(state_dir=tmp_path / "state") as engine:
        model = engine.load(write_double(tmp_path / "m.onnx"))
        ends = [engine.reload, lambda name: engine.evict(engine.model(name)), engine.unload]
        for end in ends:
            model.predict(np.ones((1, 2), np.float32))
            running = weakref.ref(model.version.running)
            end(model.model_id)
            eventually(lambda ref=running: ref() is None)  # type: ignore[misc]
