"""What is to be fetched, as plain data that goes to the child and comes back from it."""

from __future__ import annotations

import hashlib
import re

import msgspec

from slipstream.decoding import converter
from slipstream.errors import InvalidInputError

_HUB_NAME = re.compile(
    r"(?:[A-Za-z0-9][A-Za-z0-9._-]{0,95}/)?[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?"
)
_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/-]{0,254}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_PATTERN = re.compile(r"[\x21-\x7e]{1,200}")
MOST_PATTERNS = 64


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What a client asks for: a repository of the hub, or a URL."""

    model_name: str | None = None
    revision: str | None = None
    files: tuple[str, ...] = ()
    """Only files that one of these patterns fits (``*.onnx``); none: all that are worth having."""
    allow_pickle: bool = False
    """Whether files that may be pickles are fetched too."""
    url: str | None = None
    sha256: str | None = None
    """What the file behind ``url`` must be."""

    @property
    def title(self) -> str:
        """For messages, without a query, which may hold a secret."""
        return self.shown_url or f"{self.model_name}{'@' + self.revision if self.revision else ''}"

    @property
    def shown_url(self) -> str | None:
        """The URL without its query."""
        return None if self.url is None else self.url.partition("?")[0]


class PlannedFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file."""

    path: str
    """Below the download's folder; safe (`selecting.is_safe`)."""
    size_bytes: int | None = None
    """None where the source does not say."""
    sha256: str | None = None
    git_sha1: str | None = None
    """Of a git blob with this content, where the hub gives no SHA-256."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a source has of what is wanted, resolved."""

    files: tuple[PlannedFile, ...]
    skipped: tuple[str, ...] = ()
    """Files that may be pickles, which were not asked for."""
    commit: str | None = None
    """Of the hub's repository: what a branch or tag stands for now."""
    validator: str = ""
    """By what the server behind a URL tells one content of the file from another, if it does."""

    @property
    def size_bytes(self) -> int | None:
        """Of all files; None where one is not known."""
        sizes = [file.size_bytes for file in self.files]
        known = [size for size in sizes if size is not None]
        return sum(known) if len(known) == len(sizes) else None


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What a child is told. Paths are absolute."""

    action: str
    """``"resolve"`` or ``"fetch"``."""
    wanted: Wanted
    timeout_s: float
    most_bytes: int
    """Of all files together."""
    plan: Plan | None = None
    """To fetch."""
    folder: str = ""
    """Where to: what is in it from an earlier attempt is gone on with."""
    allowed_hosts: tuple[str, ...] = ()
    private_hosts: tuple[str, ...] = ()
    memory_limit_mb: int | None = None


plan_of = converter(Plan)
order_of = converter(Order)


def require_valid(wanted: Wanted) -> None:
    """Refuses what cannot be asked for, before anybody is asked.

    Raises:
        InvalidInputError: names the key.
    """
    if (wanted.model_name is None) == (wanted.url is None):
        raise InvalidInputError(
            "give either 'model_name', a repository of the hub, or 'url'", key="model_name"
        )
    if wanted.url is not None:
        for key in ("revision", "files"):
            if getattr(wanted, key):
                raise InvalidInputError(f"'{key}' belongs to 'model_name', not to 'url'", key=key)
    name = wanted.model_name
    if name is not None and (not _HUB_NAME.fullmatch(name) or ".." in name or "--" in name):
        raise InvalidInputError(
            f"'model_name' is not valid: {name[:100]!r}; it is a repository of the hub, "
            "as in microsoft/speecht5_tts",
            key="model_name",
        )
    revision = wanted.revision
    if revision is not None and (not _REVISION.fullmatch(revision) or ".." in revision):
        raise InvalidInputError(
            f"'revision' is not valid: {revision[:100]!r}; it is a branch, a tag or a commit",
            key="revision",
        )
    if wanted.sha256 is not None and (wanted.url is None or not _SHA256.fullmatch(wanted.sha256)):
        raise InvalidInputError(
            "'sha256' is not valid: it is the 64 lower-case digits of the SHA-256 of the file "
            "behind 'url'",
            key="sha256",
        )
    if len(wanted.files) > MOST_PATTERNS or not all(map(_PATTERN.fullmatch, wanted.files)):
        raise InvalidInputError(
            f"'files' is not valid: it is at most {MOST_PATTERNS} patterns of file names, as in "
            "['*.onnx', 'config.json']",
            key="files",
        )


def is_told_apart(wanted: Wanted, plan: Plan) -> bool:
    """Whether it is known before a fetch which content would come: so what is there may do."""
    return wanted.url is None or wanted.sha256 is not None or bool(plan.validator)


def folder_name(wanted: Wanted, plan: Plan, digest: str = "") -> str:
    """The download's folder: the same for the same content, another one for another.

    Nothing that was downloaded is ever written over, so a model may be loaded from it meanwhile.

    Args:
        wanted: Which URL, or repository.
        plan: What its source says of it.
        digest: SHA-256 of what came from a URL. Where the source says nothing by which one content
            is told from another (`is_told_apart`), the name is good only with it.
    """
    if wanted.url is not None:
        (file,) = plan.files
        stem = re.sub(r"[^A-Za-z0-9._-]", "_", file.path)[:64].lstrip(".-") or "file"
        return f"{stem}@{_short(wanted.url, wanted.sha256 or plan.validator or digest)}"
    name = (wanted.model_name or "").replace("/", "--")
    selection = ""
    if wanted.files or wanted.allow_pickle:
        selection = "-" + _short(*sorted(file.path for file in plan.files))[:8]
    return f"{name}@{(plan.commit or '')[:12]}{selection}"


def _short(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]
