"""Loads what an ensemble file names, and loads it again when a model that it shares changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec

from slipstream.api.ensembles import compose
from slipstream.api.member_agreement import Candidate
from slipstream.api.members import Fresh, users_of
from slipstream.api.model import LoadOptions, Model
from slipstream.api.placement import together
from slipstream.api.promise import Promise
from slipstream.api.tuning import GPU_WORDS, UNTUNED, Tuning
from slipstream.api.version import Member, Version, version_of
from slipstream.engine.runtime import CoreEngine
from slipstream.errors import ModelLoadError, ModelNotFoundError, SlipstreamError
from slipstream.models.declared import UNDECLARED
from slipstream.models.ensembles import (
    Described,
    EnsembleFile,
    EnsembleMethod,
    MemberEntry,
    read_ensemble,
)
from slipstream.models.paths import resolve_model_path
from slipstream.models.sidecar import Sidecar, sidecar_of
from slipstream.settings import Settings


class Host(Protocol):
    """What is asked of a `slipstream.Engine` here."""

    settings: Settings

    def model(self, model_id: str) -> Model:
        """A loaded model. Raises `ModelNotFoundError`."""

    def models(self) -> list[Model]:
        """What is loaded."""

    def resident_version(self, model: Model) -> Version:
        """Its version in memory. Raises `UnavailableError`."""


class LoadVersion(Protocol):
    """Loads one file: its version, and its size in bytes."""

    def __call__(
        self,
        model_id: str,
        file: Path,
        options: LoadOptions,
        promise: Promise,
        replaced: Version | None = None,
        tuning: Tuning = UNTUNED,
    ) -> tuple[Version, int]:
        """Blocks until it can answer."""


class Ensembles:
    """The part of an `Engine` that knows ensemble files. Thread-safe as the engine is.

    Args:
        host: The engine.
        core: Gives its core, of which a restart makes another.
        promised: Counts instances while a version is being loaded.
        load_version: Loads a member of an ensemble's own.
    """

    def __init__(
        self,
        host: Host,
        core: Callable[[], CoreEngine],
        promised: Callable[[], AbstractContextManager[Promise]],
        load_version: LoadVersion,
    ) -> None:
        self._host = host
        self._core = core
        self._promised = promised
        self._load_version = load_version

    def load(
        self,
        model_id: str,
        file: Path,
        description: Described,
        options: LoadOptions,
        promise: Promise,
        replaced: Version | None = None,
        replacing: Mapping[str, Version] | None = None,
        tuning: Tuning = UNTUNED,
    ) -> tuple[Version, int]:
        """An ensemble, started, and the size in bytes of its files; not yet entered anywhere.

        Args:
            model_id: Of the ensemble.
            file: That describes it.
            description: What it says, or said.
            options: How it is loaded; members of its own are loaded alike.
            promise: Gets the instances of its own members.
            replaced: The version that this one is to replace, if any.
            replacing: Versions of shared models to take in place of those that answer now.
            tuning: Where members of its own compute.

        Raises:
            ModelLoadError: a member cannot be loaded, or they do not go together; names it.
        """
        if options.model_type not in ("auto", "ensemble"):
            raise ModelLoadError(
                f"{file.name} describes an ensemble, not {options.model_type!r}: give model_type "
                "'ensemble' or 'auto'",
                model_type=options.model_type,
                found="ensemble",
            )
        if replacing is None:
            _require_own_members(file, description, tuning)
        with ExitStack() as promises:

            def owned(name: str, path: Path, model_type: str) -> tuple[Version, int]:
                own = promises.enter_context(self._promised())
                own.load = promise.load
                member_options = options._replace(
                    model_type=model_type, ensemble_method=None, declared=UNDECLARED
                )
                return self._load_version(
                    *(name, path, member_options, own, replaced), of_member(tuning)
                )

            def shared(member_id: str) -> Version:
                promise.shares.add(member_id)
                found = (replacing or {}).get(member_id)
                return found or self._host.resident_version(self._host.model(member_id))

            wall = self._host.settings.model_dir if options.walled else None
            sources = Sources(self._core(), shared, owned, wall)
            fresh = replaced.sidecar if replaced and replacing else None
            sidecar = fresh or sidecar_of(file, options.declared)
            loaded = load_ensemble(
                *(sources, model_id, file, description, options.ensemble_method), sidecar
            )
            promise.instances = loaded[0].core.instances
        return loaded

    def users_with(self, model: Model, version: Version, promises: ExitStack) -> list[Fresh]:
        """The ensembles that share a model, made again with another version of it.

        They stay what their files said when they were loaded: somebody may be editing one.

        Raises:
            ModelLoadError: an ensemble does not take it; names it.
        """
        fresh: list[Fresh] = []
        for user_id in users_of(self._host.models(), model.model_id):
            promise = promises.enter_context(self._promised())
            try:
                user = self._host.model(user_id)
                before = user.version
                assert before.description is not None
                made, size_bytes = self.load(
                    *(user_id, user.file, before.description, user.load_options, promise, before),
                    {model.model_id: version},
                    user.tuning,
                )
            except SlipstreamError as error:
                for _, unused, _ in fresh:
                    unused.core.close(0.0)
                raise ModelLoadError(f"ensemble {user_id!r} does not take it: {error}") from error
            fresh.append(Fresh(user, made, size_bytes))
        return fresh


def of_member(tuning: Tuning) -> Tuning:
    """What of an ensemble's tuning holds for members of its own: where they compute."""
    return Tuning(device=tuning.device, **{key: getattr(tuning, key) for key in GPU_WORDS})


def _require_own_members(file: Path, description: Described, tuning: Tuning) -> None:
    """Refuses words of GPUs that would hold for no member."""
    described = description.ensemble
    estimator = described.final_estimator
    members = (*described.members, *(() if estimator is None else (estimator,)))
    if any(member.model_path is not None for member in members):
        return
    for key in ("device", *GPU_WORDS):
        if getattr(tuning, key) is not None:
            raise ModelLoadError(
                f"{file.name} takes no '{key}': it holds for members that are named by "
                "model_path, and each of these is a model of its own, which stays where it is; "
                "leave it out",
                key=key,
            )


class Sources(NamedTuple):
    """Where an ensemble gets its members from."""

    core: CoreEngine
    shared: Callable[[str], Version]
    """A loaded model by its id. Raises `ModelNotFoundError`."""
    owned: Callable[[str, Path, str], tuple[Version, int]]
    """Loads a file, for this ensemble alone: by its name, path and type."""
    wall: Path | None
    """Where files must lie; None: anywhere."""


def load_ensemble(
    sources: Sources,
    model_id: str,
    file: Path,
    description: Described,
    asked: EnsembleMethod | None,
    sidecar: Sidecar,
) -> tuple[Version, int]:
    """An ensemble that runs, and the size in bytes of its file and its own members' files.

    Raises:
        ModelLoadError: a member cannot be loaded, or they do not go together; names it.
    """
    ensemble = _with_method(file, description.ensemble, asked)
    opened: list[Version] = []
    total_bytes = description.size_bytes

    def open_member(entry: MemberEntry) -> Candidate:
        nonlocal total_bytes
        if entry.model_id is not None:
            return Candidate(entry, _shared(sources, entry))
        version, size_bytes = _owned(sources, model_id, file, entry)
        opened.append(version)
        total_bytes += size_bytes
        return Candidate(entry, version)

    try:
        members = [open_member(entry) for entry in ensemble.members]
        final = None if ensemble.final_estimator is None else open_member(ensemble.final_estimator)
        composed = compose(*(sources.core, model_id, ensemble, description.sha256, members, final))
    except BaseException:
        for version in opened:
            version.core.close(0.0)
        raise
    memory = [version.memory_usage_bytes for version in opened]
    everybody = members if final is None else [*members, final]
    version = version_of(composed.core, composed.manifest, file.parent, sidecar)
    version = version._replace(
        load_time_s=sum(version.load_time_s for version in opened),
        memory_usage_bytes=sum(m for m in memory if m is not None) if all(memory) else None,
        placement=together([member.version.placement for member in everybody]),
    )
    told = tuple(_told(member) for member in everybody)
    return version._replace(members=told, description=description), total_bytes


def _told(member: Candidate) -> Member:
    entry = member.entry
    return Member(entry.title, entry.model_id, entry.model_path, entry.weight, member.version)


def _with_method(file: Path, ensemble: EnsembleFile, asked: EnsembleMethod | None) -> EnsembleFile:
    told = ensemble.ensemble_method
    if asked is not None and told is not None and asked != told:
        raise ModelLoadError(
            f"{file.name} describes a {told} ensemble, not {asked}: leave ensemble_method out, or "
            "name the one it is",
            key="ensemble_method",
        )
    default: EnsembleMethod = "voting" if ensemble.final_estimator is None else "stacking"
    method = told or asked or default
    if method == "stacking" and ensemble.final_estimator is None:
        raise ModelLoadError(f"{file.name} names no final_estimator, which stacking needs")
    return msgspec.structs.replace(ensemble, ensemble_method=method)


def _shared(sources: Sources, entry: MemberEntry) -> Version:
    assert entry.model_id is not None
    try:
        version = sources.shared(entry.model_id)
    except ModelNotFoundError as error:
        raise ModelLoadError(
            f"member {entry.title!r}: no model {entry.model_id!r} is loaded; load it first, or "
            "give its model_path",
            **error.details,
        ) from error
    if version.manifest.backend == "ensemble":
        raise ModelLoadError(
            f"member {entry.title!r} is itself an ensemble: name its members instead"
        )
    return version


def _owned(sources: Sources, model_id: str, file: Path, entry: MemberEntry) -> tuple[Version, int]:
    assert entry.model_path is not None
    beside = file.parent / entry.model_path
    try:
        wanted = str(beside) if beside.exists() else entry.model_path
        path = resolve_model_path(wanted, sources.wall)
        if read_ensemble(path) is not None:
            raise ModelLoadError("it is itself an ensemble file: name its members instead")
        return sources.owned(f"{model_id}/{entry.title}", path, entry.model_type)
    except (ModelLoadError, ModelNotFoundError) as error:
        kind = type(error) if isinstance(error, ModelLoadError) else ModelLoadError
        raise kind(f"member {entry.title!r}: {error.message}", **error.details) from error
