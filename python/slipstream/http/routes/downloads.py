"""POST /models/download and what becomes of it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from slipstream.errors import InvalidInputError
from slipstream.http.clock import format_time
from slipstream.http.codec import JsonBody, json_response
from slipstream.http.lane_call import LaneCall
from slipstream.http.queries import Query, waiting_ms
from slipstream.http.routes.context import Context
from slipstream.http.schemas.downloads import (
    DownloadAnswer,
    DownloadFailure,
    DownloadFile,
    DownloadQuery,
    DownloadRequest,
)
from slipstream.http.types import Pending, Request, Response

if TYPE_CHECKING:
    from slipstream.downloads.job import Job

_read = JsonBody(DownloadRequest)
_read_query = Query(DownloadQuery)
_FOLDER = "downloads"
MAX_WAIT_MS = 30_000.0
"""Most that a GET may wait."""


class EndCall(Pending):
    """An answer about a download when it has ended, or later than somebody wants to wait."""

    __slots__ = ("_job", "_loop", "_timer")

    def __init__(self, job: Job, wait_s: float) -> None:
        super().__init__()
        self._job = job
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(wait_s, self._tell)
        job.when_ended(self._ended)

    def _ended(self) -> None:
        """On any thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        if self.answer is None:
            self.cancel()
            self.resolve(json_response(answer_of(self._job)))

    def cancel(self) -> None:
        """Waits no longer; the download goes on."""
        self._timer.cancel()
        self._job.wait_no_more(self._ended)


def download(context: Context, request: Request) -> Pending:
    """POST models/download: 202 once it is known what there is to fetch."""
    from slipstream.downloads.plan import Wanted, require_valid  # here: with the first download

    body = _read(request)
    if body.files is not None and not body.files:
        raise InvalidInputError(
            "'files' is an empty list, which no file fits: name patterns, or leave it out for all "
            "files that are worth having",
            key="files",
        )
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
        job = downloads.accept(wanted)
        answer = json_response(answer_of(job), 202)
        downloads.start(job)
        return answer

    return LaneCall(context.resolve_lane, resolve, request, context.clock)


def find(context: Context, request: Request) -> Response | Pending:
    """GET models/download/{job_id}."""
    wait_s = waiting_ms(_read_query(request).wait_ms, MAX_WAIT_MS) / 1e3
    job = context.downloads.find(request.params["job_id"])
    if wait_s == 0 or job.has_ended:
        return json_response(answer_of(job))
    return EndCall(job, wait_s)


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
        job.wanted.shown_url,
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
