"""What the OpenAPI document says of each route at the root: one entry a route."""

from __future__ import annotations

from slipstream.http.schemas.catalog import ModelsAnswer
from slipstream.http.schemas.downloads import DownloadAnswer, DownloadQuery, DownloadRequest
from slipstream.http.types import About

CORE_ABOUTS: dict[str, About] = {
    "GET /models": About("What models there are, and could be", ModelsAnswer),
    "POST /models/download": About(
        *("Fetch a model from the hub, or from a URL", DownloadAnswer, DownloadRequest),
        fails=(404, 422),
        status=202,
    ),
    "GET /models/download/{job_id}": About(
        "How a download is going", DownloadAnswer, query=DownloadQuery
    ),
    "DELETE /models/download/{job_id}": About("Cancel a download", DownloadAnswer, fails=(409,)),
}
"""Method and path → what it is."""
