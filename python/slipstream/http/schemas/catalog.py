"""What models there are, and could be."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType


class LoadedModel(msgspec.Struct):
    """A model that answers, or comes back into memory with its next request."""

    model_id: str
    aliases: list[str]
    state: Literal["loaded", "evicted", "loading"]
    model_type: str
    model_path: str
    backend: str
    compiled: bool
    size_mb: float
    """Of the file, with weight files that belong to it."""
    sha256: str
    """Of the file."""
    loaded_at: str
    listed: bool
    """Whether ``models.json`` names it."""
    stateful: bool
    description: str


class LoadingModel(msgspec.Struct):
    """A load or a reload that was asked for and has not ended."""

    model_id: str
    model_path: str
    state: Literal["loading", "waiting"]
    """Waiting: for its turn."""
    progress: str
    """What it is at, in words."""
    priority: Literal["high", "normal", "low"]
    elapsed_s: float
    """Since it was asked for."""


class AvailableModel(msgspec.Struct):
    """A model that is here and not loaded."""

    model_path: str
    """As a load takes it; of a download with several files, its folder."""
    status: Literal["available", "disabled", "failed", "missing"]
    source: Literal["models.json", "download"]
    model_id: str | None
    aliases: list[str]
    model_type: str
    """As ``models.json`` says; ``"auto"``: told by content when it is loaded."""
    size_mb: float | None
    sha256: str | None
    """As measured when it was downloaded, or as pinned in ``models.json``; null: not measured."""
    description: str
    reason: str | UnsetType = UNSET
    """Why it could not be loaded."""
    model_name: str | UnsetType = UNSET
    """Of a download from the hub."""
    commit: str | UnsetType = UNSET
    """The same."""
    files: list[str] | UnsetType = UNSET
    """Of a download, from ``MODEL_DIR``."""


class DownloadableModel(msgspec.Struct):
    """A model that this server knows by its name on the hub."""

    model_name: str
    downloaded: bool


class DownloadSources(msgspec.Struct):
    """From where models may be downloaded."""

    hub: str | None
    """The hub's endpoint; null where it cannot be used."""
    hosts: list[str]
    """For URLs."""
    max_mb: int
    reason: str | UnsetType = UNSET
    """Why the hub cannot be used."""


class RunningDownload(msgspec.Struct):
    """A download that has not ended."""

    job_id: str
    status: Literal["queued", "downloading"]
    folder: str


class ModelsAnswer(msgspec.Struct):
    """GET /models."""

    loaded: list[LoadedModel]
    loading: list[LoadingModel]
    available: list[AvailableModel]
    downloadable: list[DownloadableModel]
    downloads: list[RunningDownload]
    sources: DownloadSources
    total_loaded: int
    total_available: int
