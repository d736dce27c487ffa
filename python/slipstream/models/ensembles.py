"""Ensemble files: JSON or TOML that names models and says how they answer together.

    {"ensemble_method": "voting", "voting": "soft",
     "members": [{"model_path": "forest.pkl", "weight": 2}, {"model_id": "net"}]}

The words are scikit-learn's. What is read here is only the file: whether its members go together is
seen when they are loaded (`slipstream.api.ensembles`).
"""

from __future__ import annotations

import math
import re
import tomllib
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec

from slipstream.decoding import converter, foreign_toml, foreign_value
from slipstream.errors import ModelLoadError
from slipstream.models.artifacts import sha256_of

EnsembleMethod = Literal["voting", "stacking", "bagging"]
Label = str | bool | int | float

_LARGEST_BYTES = 1 << 20
_MOST_MEMBERS = 64
_TOML = re.compile(rb"(?m)^[ \t]*(\[\[[ \t]*members[ \t]*\]\]|members[ \t]*=)")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")


class MemberEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One member: a loaded model by its id, or a file, which is loaded for the ensemble alone."""

    model_id: str | None = None
    model_path: str | None = None
    """Looked up from the ensemble file's folder, then as every ``model_path``."""
    model_type: str = "auto"
    """Of ``model_path``."""
    name: str | None = None
    """What errors call it; None: the id, or the file's name without its ending."""
    weight: float = 1.0
    classes: tuple[Label, ...] | None = None
    """Labels in the order of its probabilities, where the model itself does not know them (ONNX
    graphs) or knows only places 0, 1, … (XGBoost's and LightGBM's own files)."""

    @property
    def title(self) -> str:
        """`name`, or what stands for it."""
        return self.name or self.model_id or Path(self.model_path or "").stem


class EnsembleFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole file."""

    members: tuple[MemberEntry, ...]
    ensemble_method: EnsembleMethod | None = None
    """None: what the load asks for, else voting."""
    voting: Literal["soft", "hard"] | None = None
    """None: soft if every member gives probabilities, else hard."""
    final_estimator: MemberEntry | None = None
    """Of stacking: the model that takes the members' answers as columns."""
    passthrough: bool = False
    """Of stacking: whether the request's own columns follow them."""


_ensemble = converter(EnsembleFile)


def read_ensemble(path: Path) -> EnsembleFile | None:
    """The ensemble that a file describes; None for any other file.

    Raises:
        ModelLoadError: it is meant to be one, and is not sound.
    """
    if path.suffix == ".py" or not path.is_file() or path.stat().st_size > _LARGEST_BYTES:
        return None
    data = path.read_bytes()
    if b"members" not in data or b"\0" in data:
        return None
    document = _document(path, data)
    if not isinstance(document, dict) or "members" not in document:
        return None
    try:
        ensemble = _ensemble(document)
    except msgspec.ValidationError as error:
        raise ModelLoadError(f"{path.name} is an ensemble file with a mistake: {error}") from error
    _check(path, ensemble)
    return ensemble


class Described(NamedTuple):
    """What an ensemble file said when it was read."""

    ensemble: EnsembleFile
    sha256: str
    """Of the file."""
    size_bytes: int


def describe(path: Path) -> Described | None:
    """An ensemble file as it is now; None for any other file. Raises: as `read_ensemble`."""
    ensemble = read_ensemble(path)
    if ensemble is None:
        return None
    return Described(ensemble, sha256_of(path), path.stat().st_size)


def _document(path: Path, data: bytes) -> Any:
    """The parsed file; None where it is neither JSON nor TOML with members."""
    try:
        if data.lstrip()[:1] == b"{":
            return foreign_value(data)
        if _TOML.search(data):
            return foreign_toml(data)
    except (msgspec.DecodeError, tomllib.TOMLDecodeError) as error:
        if b'"learner"' in data:  # a damaged model of XGBoost's: its own adapter tells
            return None
        raise ModelLoadError(
            f"{path.name} looks like an ensemble file and cannot be parsed: {error}"
        ) from error
    return None


def _check(path: Path, ensemble: EnsembleFile) -> None:
    """What types alone do not say."""

    def refuse(why: str) -> None:
        raise ModelLoadError(f"{path.name} is an ensemble file with a mistake: {why}")

    method = ensemble.ensemble_method
    if not 1 <= len(ensemble.members) <= _MOST_MEMBERS:
        refuse(f"an ensemble has 1 to {_MOST_MEMBERS} members, not {len(ensemble.members)}")
    named = [*ensemble.members]
    if ensemble.final_estimator is not None:
        named.append(ensemble.final_estimator)
    for member in named:
        if (member.model_id is None) == (member.model_path is None):
            refuse("each member has either a model_id or a model_path")
        if not _NAME.fullmatch(member.title):
            refuse(f"give the member {member.title!r} a name of letters, digits, '_', '-' and '.'")
        if not (math.isfinite(member.weight) and member.weight >= 0):
            refuse(f"the weight of {member.title!r} must be a number of at least 0")
    titles = [member.title for member in named]
    twice = sorted({title for title in titles if titles.count(title) > 1})
    if twice:
        refuse(f"two members are called {twice[0]!r}: give one of them another name")
    if not any(member.weight for member in ensemble.members):
        refuse("the weights must not all be zero")
    if method == "stacking" and ensemble.final_estimator is None:
        refuse("stacking needs a final_estimator")
    if method != "stacking" and ensemble.passthrough:
        refuse("passthrough is for stacking")
    if method in ("voting", "bagging") and ensemble.final_estimator is not None:
        refuse(f"final_estimator is for stacking, not for {method}")
    if method in ("stacking", "bagging") and ensemble.voting is not None:
        refuse(f"voting is a choice of ensemble_method 'voting', not of {method!r}")
    if method in ("stacking", "bagging") and any(m.weight != 1 for m in ensemble.members):
        refuse(f"weights are for ensemble_method 'voting', not for {method!r}")
