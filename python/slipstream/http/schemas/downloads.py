"""Model files from elsewhere."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import msgspec


class DownloadRequest(msgspec.Struct):
    """POST /models/download: a repository of the hub, or a URL."""

    model_name: str | None = None
    """``OWNER/NAME``, as the hub has it."""
    revision: str | None = None
    """A branch, a tag or a commit; without one the default branch."""
    files: list[str] | None = None
    """Patterns of file names; without them all that are worth having."""
    allow_pickle: bool = False
    """Fetch also what may be a pickle."""
    url: str | None = None
    """https, from a host that the operator allows."""
    sha256: str | None = None
    """What the file behind ``url`` must be."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"model_name": "microsoft/speecht5_tts"}


class DownloadQuery(msgspec.Struct):
    """GET /models/download/{job_id}."""

    wait_ms: float = 0.0
    """How long to wait for its end."""


class DownloadFailure(msgspec.Struct):
    """Why a download failed."""

    error: str
    message: str


class DownloadFile(msgspec.Struct):
    """One file of a download."""

    path: str
    """From ``MODEL_DIR``, as a load takes it, once the download is complete."""
    status: Literal["waiting", "downloading", "verifying", "done"]
    bytes_done: int
    bytes_total: int | None
    sha256: str | None


class DownloadAnswer(msgspec.Struct):
    """A download, as it stands."""

    job_id: str
    status: Literal["queued", "downloading", "completed", "failed", "cancelled"]
    model_name: str | None
    revision: str | None
    commit: str | None
    """What the revision stood for when it was resolved."""
    url: str | None
    folder: str
    """From ``MODEL_DIR``; there once the download is complete."""
    bytes_done: int
    bytes_total: int | None
    rate_bytes_per_second: float | None
    files: list[DownloadFile]
    skipped: list[str]
    """Files that may be pickles, and were not asked for."""
    created_at: str
    started_at: str | None
    ended_at: str | None
    error: DownloadFailure | None
