"""Which files of a repository are worth having, and which names are safe to write.

Weights, graphs, configurations and vocabularies are; Python sources never are: what is downloaded
is never to be run. A file that may be a pickle is fetched only where the client says so, and then
it is what every pickle is: opened in the converter child, if its names are those of models.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import NamedTuple

from slipstream.downloads.partial import PART_SUFFIX, SOURCE_SUFFIX
from slipstream.downloads.plan import PlannedFile

_WORTH_HAVING = frozenset(
    ".safetensors .onnx .onnx_data .data .json .jsonl .txt .model .tiktoken .vocab .merges .spm "
    ".tflite .pb .index .gguf .ubj .cbm .lgb .xgb .md .wav .flac .mlmodel".split()
)
_MAY_BE_PICKLES = frozenset(
    ".bin .pt .pth .ckpt .pkl .pickle .joblib .npy .npz .h5 .keras .msgpack .jit .nemo .pt2".split()
)
_NAMES = frozenset(("LICENSE", "NOTICE", "COPYING"))
_SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+@=, ()-]{0,199}")
_LONGEST_PATH = 512
_MOST_SEGMENTS = 16


class Selection(NamedTuple):
    """What came of it."""

    taken: tuple[PlannedFile, ...]
    pickles: tuple[str, ...]
    """Left out for what they may be."""


def is_safe(path: str) -> bool:
    """Whether a path stays where it is put: relative, without ``..``, hidden or odd names."""
    segments = path.split("/")
    return (
        len(path) <= _LONGEST_PATH
        and len(segments) <= _MOST_SEGMENTS
        and all(_SEGMENT.fullmatch(one) and not one.endswith((" ", ".")) for one in segments)
    )


def may_be_pickle(path: str) -> bool:
    """Whether a file of that name may hold a pickle, or code in another form."""
    return PurePosixPath(path).suffix.lower() in _MAY_BE_PICKLES


def is_worth_having(path: str) -> bool:
    """Whether a file of that name is part of a model, and no pickle."""
    name = PurePosixPath(path)
    return name.suffix.lower() in _WORTH_HAVING or name.stem.upper() in _NAMES


def select(
    files: Iterable[PlannedFile], patterns: Sequence[str], *, allow_pickle: bool
) -> Selection:
    """The files to fetch.

    Args:
        files: All that the repository has; unsafe names are left out.
        patterns: Only files that one of these fits, by path or by name; none: all.
        allow_pickle: Whether those that may be pickles are taken.
    """
    taken, pickles = [], []
    for file in files:
        if not is_safe(file.path):
            continue
        name = PurePosixPath(file.path).name
        if patterns and not any(fnmatchcase(one, p) for one in (file.path, name) for p in patterns):
            continue
        if may_be_pickle(file.path):
            if allow_pickle:
                taken.append(file)
            else:
                pickles.append(file.path)
        elif is_worth_having(file.path):
            taken.append(file)
    return Selection(tuple(taken), tuple(pickles))


def first_clash(files: Iterable[PlannedFile]) -> tuple[str, str] | None:
    """Two files of which one, or its partial file, is where the other needs a folder.

    Args:
        files: With safe paths.
    """
    paths = [file.path for file in files]
    taken = {path + suffix: path for path in paths for suffix in ("", PART_SUFFIX, SOURCE_SUFFIX)}
    for path in paths:
        for folder in PurePosixPath(path).parents:
            if str(folder) in taken:
                return taken[str(folder)], path
    return None
