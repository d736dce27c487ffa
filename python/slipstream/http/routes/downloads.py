"""POST /models/download and what becomes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slipstream.http.clock import format_time
from slipstream.http.codec import JsonBody, json_response
from slipstream.http.lane_call import LaneCall
from slipstream.http.routes.context import Context
from slipstream.http.schemas.downloads import (
    DownloadAnswer,
    DownloadFailure,
    DownloadFile,
    DownloadRequest,
)
from slipstream.http.types import Pending, Request, Response

if TYPE_CHECKING:
    from slipstream.downloads.job import Job

_read = JsonBody(DownloadRequest)
_FOLDER = "downloads"


def download(context: Context, request: Request) -> Pending:
    """POST models/download: 202 once it is known what there is to fetch."""
    from slipstream.downloads.plan import Wanted, require_valid  # here: with the first download

    body = _read(request)
    wanted = Wanted(
        model_name=body.model_name,
        revision=body.revision,
        files=tuple(body.files or ()),
        allow_pickle=body.allow_pickle,
        url=body.url,
        sha256=body.sha256,
    )
    require_valid(wanted)
    downloads = context.downloads

    def resolve() -> Response:
        return json_response(answer_of(downloads.submit(wanted)), 202)

    return LaneCall(context.resolve_lane, resolve, request, context.clock)


def find(context: Context, request: Request) -> Response:
    """GET models/download/{job_id}."""
    return json_response(answer_of(context.downloads.find(request.params["job_id"])))


def cancel(context: Context, request: Request) -> Response:
    """DELETE models/download/{job_id}."""
    return json_response(answer_of(context.downloads.cancel(request.params["job_id"])))


def answer_of(job: Job) -> DownloadAnswer:
    """A job as it stands."""
    files, folder, rate = job.files, f"{_FOLDER}/{job.folder}", job.rate_bytes_per_s
    failure = None
    if job.error is not None:
        failure = DownloadFailure(type(job.error).__name__, job.error.message)
    return DownloadAnswer(
        job.job_id,
        job.status,
        job.wanted.model_name,
        job.wanted.revision,
        job.plan.commit,
        job.wanted.url,
        folder,
        sum(state.size_bytes for state in files),
        job.plan.size_bytes,
        None if rate is None else round(rate, 1),
        [
            DownloadFile(
                f"{folder}/{state.file.path}",
                state.status,
                state.size_bytes,
                state.size_bytes if state.status == "done" else state.file.size_bytes,
                state.sha256,
            )
            for state in files
        ],
        list(job.plan.skipped),
        format_time(job.created_at),
        None if job.started_at is None else format_time(job.started_at),
        None if job.ended_at is None else format_time(job.ended_at),
        failure,
    )
