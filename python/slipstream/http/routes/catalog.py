"""GET /models: what is loaded, what could be, and what could be fetched."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from msgspec import UNSET

from slipstream.errors import SlipstreamError
from slipstream.http.clock import format_time
from slipstream.http.codec import json_response
from slipstream.http.lane_call import LaneCall
from slipstream.http.routes.context import Context, mebibytes
from slipstream.http.schemas.catalog import (
    AvailableModel,
    DownloadableModel,
    DownloadSources,
    LoadedModel,
    LoadingModel,
    ModelsAnswer,
    RunningDownload,
)
from slipstream.http.types import Pending, Request, Response
from slipstream.models.paths import resolve_model_path

if TYPE_CHECKING:
    from slipstream.api import Model
    from slipstream.api.loads import Load
    from slipstream.downloads.index import Downloaded
    from slipstream.models.catalog import ModelEntry

KNOWN_NAMES = ("microsoft/speecht5_tts", "suno/bark", "facebook/bart-large", "tacotron2")
"""Repositories of the hub that clients ask for by name."""

_FOLDER = "downloads"
_HUB = "https://huggingface.co"
_OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
_TRUE = frozenset(("1", "on", "yes", "true"))


def models(context: Context, request: Request) -> Pending:
    """GET models; it looks at files, so not on the event loop's thread."""
    work = partial(_models, context)
    return LaneCall(context.catalog_lane, work, request, context.clock)


def _models(context: Context) -> Response:
    entries: Sequence[ModelEntry] = ()
    found: list[Model | None] = []
    if context.listed is not None:
        entries = context.listed.catalog.models
        found = context.listed.models_of(entries)
    loaded = sorted(context.engine.models(), key=lambda model: model.model_id)
    listed = {model.model_id for model in found if model is not None}
    downloads = context.downloads.index.all()
    available = [
        _of_entry(context, entry)
        for entry, model in zip(entries, found, strict=True)
        if model is None
    ]
    files = {model.file for model in loaded}
    available += [_of_download(one) for one in downloads if not _is_loaded(context, one, files)]
    names = {one.model_name for one in downloads}
    return json_response(
        ModelsAnswer(
            [_of_model(context, model, model.model_id in listed) for model in loaded],
            [_of_load(load) for load in context.engine.loads.all()],
            available,
            [DownloadableModel(name, name in names) for name in KNOWN_NAMES],
            [
                RunningDownload(job.job_id, job.status, f"{_FOLDER}/{job.folder}")
                for job in context.downloads.all()
                if job.status in ("queued", "downloading")
            ],
            _sources(context),
            len(loaded),
            len(available),
        )
    )


def _of_model(context: Context, model: Model, listed: bool) -> LoadedModel:
    return LoadedModel(
        model.model_id,
        context.engine.aliases_of(model.model_id),
        model.state,
        model.model_type,
        model.model_path,
        model.backend,
        model.compiled,
        mebibytes(model.model_size_bytes) or 0.0,
        model.manifest.source_sha256,
        format_time(model.loaded_at),
        listed,
        model.is_stateful,
        model.declared.description,
    )


def _of_load(load: Load) -> LoadingModel:
    return LoadingModel(
        *(load.model_id, load.path, load.state, load.progress, load.priority),
        elapsed_s=round(load.age_s, 3),
    )


def _of_entry(context: Context, entry: ModelEntry) -> AvailableModel:
    reason = context.engine.absences.reason_of(entry.model_id, entry.model_path)
    size: int | None = None
    status: Literal["available", "disabled", "failed", "missing"]
    try:
        size = resolve_model_path(entry.model_path, context.settings.model_dir).stat().st_size
    except (SlipstreamError, OSError) as error:
        status = "missing"
        reason = reason or (error.message if isinstance(error, SlipstreamError) else str(error))
    else:
        status = "available" if reason is None else "failed"
    if not entry.enabled:
        status, reason = "disabled", None
    return AvailableModel(
        entry.model_path,
        status,
        "models.json",
        entry.model_id,
        list(entry.aliases),
        entry.model_type,
        mebibytes(size),
        entry.sha256,
        entry.description,
        UNSET if reason is None else reason,
    )


def _of_download(one: Downloaded) -> AvailableModel:
    folder = f"{_FOLDER}/{one.folder}"
    is_single = len(one.files) == 1
    return AvailableModel(
        f"{folder}/{one.files[0].path}" if is_single else folder,
        "available",
        "download",
        None,
        [],
        "auto",
        mebibytes(sum(file.size_bytes for file in one.files)),
        one.files[0].sha256 if is_single else None,
        "",
        UNSET,
        UNSET if one.model_name is None else one.model_name,
        UNSET if one.commit is None else one.commit,
        [f"{folder}/{file.path}" for file in one.files],
    )


def _is_loaded(context: Context, one: Downloaded, files: set[Path]) -> bool:
    folder = (context.settings.model_dir / _FOLDER / one.folder).resolve()
    return any(file.is_relative_to(folder) for file in files)


def _sources(context: Context) -> DownloadSources:
    settings = context.settings
    reason = None
    if importlib.util.find_spec("huggingface_hub") is None:
        reason = "huggingface_hub is not installed: pip install 'slipstream[hub]'"
    for name in _OFFLINE:
        if os.environ.get(name, "").lower() in _TRUE:
            reason = f"this server does not use the network ({name} is set)"
    return DownloadSources(
        _endpoint() if reason is None else None,
        list(settings.download_allowed_hosts),
        settings.download_max_mb,
        UNSET if reason is None else reason,
    )


def _endpoint() -> str:
    """Of the hub, without what its address may hold of secrets."""
    parts = urlsplit(os.environ.get("HF_ENDPOINT") or _HUB)
    port = "" if parts.port is None else f":{parts.port}"
    return f"{parts.scheme}://{parts.hostname}{port}"
