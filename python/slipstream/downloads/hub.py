"""The Hugging Face hub, through `huggingface_hub`. Runs in the download child only.

The library knows the hub's protocol (endpoints, tokens, redirects to where large files are, ranges
and retries); what is kept between attempts, and whether what came is right, is ours, since it
keeps no partial file of an attempt that failed and compares sizes only.
"""

from __future__ import annotations

import errno
import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from slipstream.downloads.partial import Partial
from slipstream.downloads.plan import Plan, PlannedFile, Wanted
from slipstream.downloads.selecting import first_clash, select
from slipstream.errors import (
    DownloadRefusedError,
    InvalidInputError,
    MissingDependencyError,
    NetworkError,
    SourceNotFoundError,
)

CONNECT_S = 5.0
_READ_S = 20.0
_MOST_FILES = 2000
_CHUNK_BYTES = 256 << 10
_OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.EACCES)
_TRY_LATER = (408, 429, 500, 502, 503, 504)


class Hub:
    """The endpoint that the environment names (``HF_ENDPOINT``)."""

    def __init__(self) -> None:
        # Xet would bring a protocol and an executable part of its own, and the hub serves plain
        # ranges to whoever does without.
        os.environ |= {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
        os.environ.setdefault("HF_HUB_ETAG_TIMEOUT", str(int(CONNECT_S)))
        try:
            self._hub: Any = importlib.import_module("huggingface_hub")
            self._files: Any = importlib.import_module("huggingface_hub.file_download")
            self._errors: Any = importlib.import_module("huggingface_hub.errors")
            constants: Any = importlib.import_module("huggingface_hub.constants")
        except ImportError as error:
            raise MissingDependencyError(
                "models are downloaded from the hub by huggingface_hub, which is not installed: "
                "pip install 'slipstream[hub]'"
            ) from error
        # By default 10 MiB are gathered before any are written, and are lost when it breaks.
        constants.DOWNLOAD_CHUNK_SIZE = _CHUNK_BYTES
        self._api = self._hub.HfApi(library_name="slipstream")

    def resolve(self, wanted: Wanted) -> Plan:
        """What the repository has of what is wanted.

        Raises:
            SourceNotFoundError: no such repository, or no such revision.
            DownloadRefusedError: it is gated, or has nothing worth having.
            NetworkError: the hub cannot be reached.
        """
        with self._explained(wanted):
            info = self._api.model_info(
                wanted.model_name,
                revision=wanted.revision,
                files_metadata=True,
                timeout=(CONNECT_S, _READ_S, _READ_S, CONNECT_S),
            )
        files = [_planned(one) for one in info.siblings or ()]
        taken, pickles = select(files, wanted.files, allow_pickle=wanted.allow_pickle)
        if len(taken) > _MOST_FILES:
            raise DownloadRefusedError(
                f"{wanted.title} has {len(taken)} files, and at most {_MOST_FILES} are fetched: "
                "choose some by 'files'"
            )
        if not taken:
            raise DownloadRefusedError(_nothing(wanted, pickles))
        clash = first_clash(taken)
        if clash is not None:
            raise DownloadRefusedError(
                f"{wanted.title} has '{clash[0]}', and '{clash[1]}' below a folder of that name or "
                "of its partial file: both cannot be on one disk; choose one of them by 'files'"
            )
        return Plan(files=taken, skipped=pickles[:100], commit=info.sha)

    def fetch(self, wanted: Wanted, plan: Plan, part: Partial) -> None:
        """One file of a plan.

        Raises: as `resolve`.
        """
        url = self._hub.hf_hub_url(
            wanted.model_name,
            part.file.path,
            revision=plan.commit,
            endpoint=self._api.endpoint,
        )
        with self._explained(wanted):
            headers = self._hub.utils.build_hf_headers(library_name="slipstream")
            found = self._files.get_hf_file_metadata(
                url, timeout=CONNECT_S, endpoint=self._api.endpoint
            )
            if urlsplit(found.location).netloc != urlsplit(url).netloc:
                headers.pop("authorization", None)  # it is nobody else's
            # Small texts may come compressed, where bytes of the body are not those of the file.
            is_resumable = part.file.sha256 is not None
            with part.open(anew=not is_resumable) as stream:
                self._files.http_get(
                    found.location,
                    stream,
                    resume_size=part.size_bytes,
                    headers=headers,
                    expected_size=part.file.size_bytes,
                )

    @contextmanager
    def _explained(self, wanted: Wanted) -> Iterator[None]:
        errors = self._errors
        try:
            yield
        except errors.GatedRepoError as error:
            raise DownloadRefusedError(
                f"{wanted.title} is gated: accept its conditions on the hub, and give this server "
                "a token of that account (HF_TOKEN)"
            ) from error
        except errors.RevisionNotFoundError as error:
            raise SourceNotFoundError(
                f"{wanted.model_name} has no revision {wanted.revision or 'main'!r}"
            ) from error
        except errors.RepositoryNotFoundError as error:
            raise SourceNotFoundError(
                f"the hub has no model {wanted.model_name!r}, or it is private and this server has "
                "no token for it (HF_TOKEN)"
            ) from error
        except errors.OfflineModeIsEnabled as error:
            name = next((one for one in _OFFLINE if os.environ.get(one)), _OFFLINE[0])
            raise NetworkError(
                f"this server does not use the network ({name} is set): unset it to download models"
            ) from error
        except errors.HfHubHTTPError as error:
            status = error.response.status_code if error.response is not None else 0
            if status in _TRY_LATER:
                raise NetworkError(f"{self._host} answered {status}; try again later") from error
            raise DownloadRefusedError(
                f"{self._host} answered {status} for {wanted.title}"
            ) from error
        except errors.HFValidationError as error:
            raise InvalidInputError(
                f"'model_name' is not valid: {error}", key="model_name"
            ) from None
        except (OSError, errors.HTTPError) as error:
            if isinstance(error, OSError) and (error.filename or error.errno in _OF_THE_DISK):
                raise  # of a file of ours, and not of the network
            raise NetworkError(
                f"the network is not there: {self._host} cannot be reached "
                f"({str(error) or type(error).__name__})"
            ) from error

    @property
    def _host(self) -> str:
        return urlsplit(self._api.endpoint).hostname or "the hub"


def _planned(sibling: Any) -> PlannedFile:
    lfs = sibling.lfs
    if lfs is None:
        return PlannedFile(
            path=sibling.rfilename, size_bytes=sibling.size, git_sha1=sibling.blob_id
        )
    return PlannedFile(path=sibling.rfilename, size_bytes=lfs.size, sha256=lfs.sha256)


def _nothing(wanted: Wanted, pickles: tuple[str, ...]) -> str:
    if pickles:
        names = ", ".join(pickles[:3])
        return (
            f"{wanted.title} has its weights only in files that may be pickles ({names}), which "
            "can run code when they are opened: allow_pickle true fetches them all the same"
        )
    return f"{wanted.title} has no file worth having" + (
        " that fits 'files'" if wanted.files else ""
    )
