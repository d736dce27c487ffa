"""``MODEL_DIR`` is a wall: which file a client's ``model_path`` may name.

The answer never tells whether a file outside the wall exists: everything that does not end inside
it gets the same refusal.
"""

from __future__ import annotations

import re
from pathlib import Path

from slipstream.errors import InvalidInputError, ModelNotFoundError, UnsafeModelError

_URL = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*://")
_LONGEST_PATH = 4096
_SAVED_MODEL = "saved_model.pb"


def resolve_model_path(path: str, model_dir: Path | None) -> Path:
    """The regular file that ``path`` names, with every link resolved.

    For the folder of a TensorFlow SavedModel it is the ``saved_model.pb`` inside.

    Args:
        path: As the caller wrote it. A relative one is looked up from the working directory, then
            from ``model_dir``.
        model_dir: The wall. None for in-process callers, who may name any file of theirs.

    Raises:
        InvalidInputError: Not a usable path (empty, NUL, over 4096 characters).
        UnsafeModelError: A URL, or a path that does not end inside ``model_dir``.
        ModelNotFoundError: Inside the wall, but there is no regular file.
    """
    if not path or "\0" in path or len(path) > _LONGEST_PATH:
        raise InvalidInputError(
            "model_path must be a file name of 1 to 4096 characters without NUL", field="model_path"
        )
    if _URL.match(path):
        raise UnsafeModelError(
            f"model_path {path!r} is a URL; slipstream loads local files only: download the model "
            "and give its path"
        )
    if model_dir is None:
        return _any_file(path)
    wall = model_dir.resolve()
    inside = False
    for candidate in _candidates(path, model_dir):
        try:
            resolved = candidate.resolve()
            if not resolved.is_relative_to(wall):
                continue
            inside = True
            file = _file_of(resolved)
            if file is not None and file.resolve().is_relative_to(wall):
                return file.resolve()
        except (OSError, RuntimeError):  # a loop of links, or a component that is too long
            continue
    if inside:
        raise ModelNotFoundError(f"there is no model file at {path!r} in the model directory")
    raise UnsafeModelError(
        f"model_path {path!r} does not lead into the model directory (MODEL_DIR): "
        "put the file there and give its path relative to it"
    )


def _candidates(path: str, model_dir: Path) -> list[Path]:
    given = Path(path)
    return [given] if given.is_absolute() else [Path.cwd() / given, model_dir / given]


def _file_of(path: Path) -> Path | None:
    """The file itself; of a TensorFlow SavedModel, which is a folder, the one that names it."""
    if path.is_dir():
        path = path / _SAVED_MODEL
    return path if path.is_file() else None


def _any_file(path: str) -> Path:
    try:
        file = _file_of(Path(path).expanduser().resolve())
        if file is not None:
            return file.resolve()
    except (OSError, RuntimeError) as error:
        raise ModelNotFoundError(f"{path!r} cannot be followed to a file: {error}") from error
    raise ModelNotFoundError(f"there is no model file at {path!r}")
