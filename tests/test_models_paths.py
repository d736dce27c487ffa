"""MODEL_DIR is a wall, and it does not tell what lies behind it."""

from __future__ import annotations

from pathlib import Path

import pytest

from slipstream.errors import InvalidInputError, ModelNotFoundError, UnsafeModelError
from slipstream.models.paths import resolve_model_path
from slipstream.models.sidecar import read_sidecar
from slipstream.models.states_file import states_file_of
from slipstream.models.tensorrt_table import tensorrt_table_of


@pytest.fixture
def wall(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "outside.onnx").write_text("secret")
    wall = tmp_path / "models"
    (wall / "deep").mkdir(parents=True)
    (wall / "a.onnx").write_text("a")
    (wall / "deep" / "b.onnx").write_text("b")
    (wall / "out.onnx").symlink_to(tmp_path / "outside.onnx")
    (wall / "nowhere.onnx").symlink_to(tmp_path / "absent.onnx")
    (wall / "in.onnx").symlink_to(wall / "deep" / "b.onnx")
    (wall / "up").symlink_to(tmp_path)
    (wall / "loop").symlink_to(wall / "loop")
    monkeypatch.chdir(tmp_path)
    return wall


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("a.onnx", "a.onnx"),
        ("models/a.onnx", "a.onnx"),
        ("./models/deep/b.onnx", "deep/b.onnx"),
        ("deep/../a.onnx", "a.onnx"),
        ("in.onnx", "deep/b.onnx"),
        ("up/models/a.onnx", "a.onnx"),
    ],
)
def test_inside(wall: Path, given: str, found: str) -> None:
    assert resolve_model_path(given, wall) == wall / found
    assert resolve_model_path(given, Path("models")) == wall / found


def test_absolute_inside(wall: Path) -> None:
    assert resolve_model_path(str(wall / "a.onnx"), wall) == wall / "a.onnx"


@pytest.mark.parametrize(
    "given",
    [
        "../outside.onnx",
        "../absent.onnx",
        "outside.onnx/../../outside.onnx",
        "out.onnx",
        "nowhere.onnx",
        "up/outside.onnx",
        "up/absent.onnx",
        "/etc/passwd",
        "/etc/absent",
        "deep/../../outside.onnx",
        "http://example.org/model.onnx",
        "file:///etc/passwd",
        "s3://bucket/model",
    ],
)
def test_outside_is_one_refusal(wall: Path, given: str) -> None:
    with pytest.raises(UnsafeModelError) as caught:
        resolve_model_path(given, wall)
    text = caught.value.message.replace(given, "X")
    assert "://" in given or text == (
        "model_path 'X' does not lead into the model directory (MODEL_DIR): "
        "put the file there and give its path relative to it"
    )


@pytest.mark.parametrize("given", ["absent.onnx", "deep", ".", "a.onnx/b"])
def test_inside_but_no_file(wall: Path, given: str) -> None:
    with pytest.raises(ModelNotFoundError):
        resolve_model_path(given, wall)


@pytest.mark.parametrize("given", ["", "a\0.onnx", "x" * 5000])
def test_unusable(wall: Path, given: str) -> None:
    with pytest.raises(InvalidInputError):
        resolve_model_path(given, wall)


def test_loop_of_links(wall: Path) -> None:
    with pytest.raises((ModelNotFoundError, UnsafeModelError)):
        resolve_model_path("loop", wall)


def test_without_a_wall(wall: Path) -> None:
    assert resolve_model_path("outside.onnx", None) == wall.parent / "outside.onnx"
    with pytest.raises(ModelNotFoundError):
        resolve_model_path("absent.onnx", None)
    with pytest.raises(UnsafeModelError):
        resolve_model_path("https://example.org/x", None)


def test_what_lies_beside_a_model_does_not_lead_out(wall: Path, tmp_path: Path) -> None:
    """For whoever reads it: all of them read it through one function."""
    (tmp_path / "outside.toml").write_text("[cache]\npredictions = true\n")
    (wall / "a.onnx.toml").symlink_to(tmp_path / "outside.toml")
    for read in (read_sidecar, states_file_of, tensorrt_table_of):
        with pytest.raises(UnsafeModelError, match=r"a\.onnx\.toml leads outside the model's own"):
            read(wall / "a.onnx")
    (wall / "deep" / "within.toml").write_text("[cache]\npredictions = true\n")
    (wall / "a.onnx.toml").unlink()
    (wall / "a.onnx.toml").symlink_to(wall / "deep" / "within.toml")
    assert read_sidecar(wall / "a.onnx").cache.predictions
