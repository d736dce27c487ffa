"""Folders for engines of TensorRT: one for whatever they are good for, and not too many."""

from __future__ import annotations

from pathlib import Path

from slipstream.engine import provider_cache


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
    used = provider_cache.cache_folder(tmp_path, "used", ("H100",), "1.31")
    for number in range(provider_cache.MOST_KEPT + 5):
        (tmp_path / f"of-another-process-{number}").mkdir()
    (tmp_path / "of-another-process-0" / "engine").write_bytes(b"x")
    provider_cache.cache_folder(tmp_path, "new", ("H100",), "1.31")
    left = [one.name for one in tmp_path.iterdir()]
    assert len(left) == provider_cache.MOST_KEPT + 2
    assert used.name in left
