"""Which file or folder of MODEL_DIR a model of speech is, and what sort it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, cast

from slipstream.audio.known import known
from slipstream.audio.kokoro import voices_path
from slipstream.audio.piper import config_path
from slipstream.decoding import foreign_json
from slipstream.errors import InvalidInputError, ModelNotFoundError, UnsafeModelError

Sort = Literal["piper", "kokoro", "pipeline", "faster_whisper", "whisper"]
_PIPELINES: Final = ("speecht5", "bark", "vits")
_DOWNLOADS: Final = "downloads"
_MOST_DOWNLOADS = 20
_MOST_NAME_CHARS = 512
_MOST_FILES = 10_000
_MOST_CONFIG_BYTES = 4 * 1024 * 1024


class Place(NamedTuple):
    """A model on disk."""

    sort: Sort
    path: Path
    """The graph, or the folder; every link resolved."""


def find(name: str, model_dir: Path) -> Place:
    """The model of that name: a path below MODEL_DIR, with or without ``.onnx``.

    Args:
        name: Also ``OWNER/NAME`` of a model that was downloaded, or put into ``OWNER--NAME`` or
            ``NAME``.
        model_dir: The wall.

    Raises:
        InvalidInputError: no name of that kind, or what is there is no model of speech.
        ModelNotFoundError: nothing is there; says how it gets there.
        UnsafeModelError: the folder links to files outside MODEL_DIR.
    """
    if not name or len(name) > _MOST_NAME_CHARS or "\0" in name:
        raise InvalidInputError(
            f"'model_name' is 1 to {_MOST_NAME_CHARS} characters without NUL", key="model_name"
        )
    wall = model_dir.resolve()
    for candidate in (*_candidates(name), *_downloaded(wall, name)):
        found = _inside(wall, candidate)
        if found is None:
            continue
        found = _only_graph(found) or found
        sort = _sort_of(found)
        if sort is None:
            raise InvalidInputError(
                f"'{name}' is no model of speech: a voice is a .onnx with its .onnx.json, or a "
                "folder of transformers; a model that transcribes is a folder of Whisper",
                key="model_name",
            )
        if found.is_dir():
            _require_inside(found, wall)
        return Place(sort, found)
    raise _missing(name)


def _candidates(name: str) -> list[str]:
    meant = known(name)
    names = [name]
    if meant is not None:
        names += [meant.name, *meant.others]
    if "/" in name or meant is not None:
        names += [one.replace("/", "--") for one in list(names) if "/" in one]
        names += [one.rpartition("/")[2] for one in list(names) if "/" in one]
    names = list(dict.fromkeys(names))
    return [path for one in names for path in (one, f"{one}.onnx")]


def _downloaded(wall: Path, name: str) -> list[str]:
    """Folders that ``POST /models/download`` made of that name, the latest first."""
    meant = known(name)
    names = [name] if meant is None else [name, meant.name, *meant.others]
    ours = tuple(f"{one.replace('/', '--')}@" for one in names if "/" in one)
    try:
        folders = [path for path in (wall / _DOWNLOADS).iterdir() if path.name.startswith(ours)]
        folders.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    except OSError:  # there is no such folder
        return []
    return [f"{_DOWNLOADS}/{path.name}" for path in folders[:_MOST_DOWNLOADS]]


def _inside(wall: Path, relative: str) -> Path | None:
    """What is there, if it is behind the wall."""
    try:
        path = (wall / relative).resolve()
        exists = path != wall and path.is_relative_to(wall) and path.exists()
    except (OSError, RuntimeError):  # a loop of links, or a component that is too long
        return None
    return path if exists else None


def _only_graph(folder: Path) -> Path | None:
    """The voice in a folder that holds one graph and what belongs to it."""
    if not folder.is_dir():
        return None
    graphs = [path for path in folder.glob("*.onnx") if sort_of_graph(path) is not None]
    return graphs[0].resolve() if len(graphs) == 1 else None


def _sort_of(path: Path) -> Sort | None:
    if path.is_file():
        return sort_of_graph(path)
    try:
        with (path / "config.json").open("rb") as stream:
            config = foreign_json(stream.read(_MOST_CONFIG_BYTES))
    except (OSError, ValueError):
        return None
    kind = cast(dict[str, Any], config).get("model_type") if isinstance(config, dict) else None
    if (path / "model.bin").is_file():
        return "faster_whisper"
    if kind == "whisper":
        return "whisper"
    return "pipeline" if kind in _PIPELINES else None


def sort_of_graph(file: Path) -> Sort | None:
    """What sort of voice a graph is, by what lies beside it; None: it is no voice."""
    if file.suffix != ".onnx":
        return None
    if config_path(file).is_file():
        return "piper"
    return "kokoro" if voices_path(file) is not None else None


def _require_inside(folder: Path, wall: Path) -> None:
    for number, path in enumerate(folder.rglob("*")):
        if number > _MOST_FILES or not path.resolve().is_relative_to(wall):
            raise UnsafeModelError(
                f"'{folder.name}' has a link to something outside the model directory (MODEL_DIR), "
                "or very many files"
            )


def _missing(name: str) -> ModelNotFoundError:
    meant = known(name)
    about = f". {meant.name} is known: {meant.needs}" if meant is not None else ""
    return ModelNotFoundError(
        f"There is no model '{name}' in the model directory (MODEL_DIR): put it there, or fetch it "
        f'with POST /models/download {{"model_name": "{name}"}}{about}',
        model_id=name,
    )
