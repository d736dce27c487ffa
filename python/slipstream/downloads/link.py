"""A file behind a URL, from a host that the operator allows. Runs in the download child only.

https only; each hop of a redirect is held against the same list and the same wall as the URL, a
name is looked up once, and the connection goes to an address that was checked.
"""

from __future__ import annotations

import ipaddress
import json
import ssl
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path, PurePosixPath
from typing import Final, cast
from urllib.parse import unquote, urljoin

import httpcore

from slipstream.decoding import foreign_json
from slipstream.downloads.partial import Partial
from slipstream.downloads.plan import Plan, PlannedFile, Wanted
from slipstream.downloads.selecting import is_safe, is_worth_having, may_be_pickle
from slipstream.errors import (
    DownloadRefusedError,
    InvalidInputError,
    NetworkError,
    SourceNotFoundError,
)
from slipstream.tasks.addresses import IpAddress, Target, Wall, parsed
from slipstream.tasks.resolver import system_lookup

_CONNECT_S = 5.0
_READ_S = 30.0
_MOST_ADDRESSES = 4
_MOST_HOPS = 5
_ATTEMPTS = 5
"""In a row without a byte."""
_PAUSE_S = 1.0
_SETTLED: Final = timedelta(seconds=1)
_REDIRECTS = (301, 302, 303, 307, 308)
_TRY_LATER = (408, 425, 429, 500, 502, 503, 504)
_PLAIN = (b"", b"identity")


class Link:
    """Fetches a URL.

    Args:
        allowed_hosts: From which hosts, each with ``:port`` or not.
        private_hosts: Which of these may be at private addresses.
    """

    def __init__(self, allowed_hosts: Sequence[str], private_hosts: Sequence[str]) -> None:
        self._allowed = Wall(allowed_hosts, "url", "DOWNLOAD_ALLOWED_HOSTS")
        self._wall = Wall(private_hosts, "url", "DOWNLOAD_PRIVATE_HOSTS")
        self._trust = ssl.create_default_context()

    def resolve(self, wanted: Wanted) -> Plan:
        """What is behind the URL.

        Raises:
            InvalidInputError: a URL that may not be fetched.
            DownloadRefusedError: a file that is no model, or may be a pickle.
            SourceNotFoundError: there is no such file.
            NetworkError: its host cannot be reached.
        """
        url = wanted.url or ""
        name = _name_of(self._target(url).path, wanted)
        with self._opened(url, ()) as answer:
            size = _length(answer)
            validator = _validator(answer)
        file = PlannedFile(path=name, size_bytes=size, sha256=wanted.sha256)
        return Plan(files=(file,), validator=validator)

    def fetch(self, wanted: Wanted, part: Partial) -> str:
        """The file, going on behind what is there. Returns the validator of what came.

        Raises: as `resolve`, and where the connection breaks again and again without a byte.
        """
        left = _ATTEMPTS
        while True:
            before = part.size_bytes
            try:
                return self._attempt(wanted.url or "", part)
            except NetworkError:
                left = _ATTEMPTS if part.size_bytes > before else left - 1
                if left == 0:
                    raise
            time.sleep(_PAUSE_S)

    def _attempt(self, url: str, part: Partial) -> str:
        have = part.size_bytes
        validator = _kept(part.source) if have else ""
        if validator and have == part.file.size_bytes:
            return validator
        headers = []
        if validator:
            headers = [(b"range", b"bytes=%d-" % have), (b"if-range", validator.encode("latin-1"))]
        with self._resumed(url, headers, part.source) as answer:
            anew = answer.status != 206 or not _begins_at(answer, have)
            if anew and answer.status == 206:
                raise NetworkError("the server sent another part of the file than was asked for")
            found = _validator(answer)
            if not anew and found not in ("", validator):  # a 206 need not repeat a date
                raise _RangeError("the server went on with another content than it began with")
            validator = found if anew else validator
            part.source.write_text(json.dumps({"validator": validator}))
            with part.open(anew=anew) as stream:
                for chunk in answer.iter_stream():
                    stream.write(chunk)
        if part.file.size_bytes is not None and part.size_bytes < part.file.size_bytes:
            raise NetworkError(f"the connection broke after {part.size_bytes} bytes")
        return validator

    @contextmanager
    def _resumed(
        self, url: str, headers: Sequence[tuple[bytes, bytes]], source: Path
    ) -> Iterator[httpcore.Response]:
        try:
            with self._opened(url, headers) as answer:
                yield answer
        except _RangeError:
            source.unlink(missing_ok=True)  # the next attempt begins anew
            raise

    def _target(self, url: str) -> Target:
        target = parsed(url, "url")
        if target.scheme != "https":
            raise InvalidInputError(
                "'url' is not valid: it, or where it leads, is plain http, and only https is used",
                key="url",
            )
        if not self._allowed.is_listed(target):
            raise DownloadRefusedError(
                f"{target.host} is not among the hosts that this server downloads from: its "
                "operator lists them in DOWNLOAD_ALLOWED_HOSTS",
                key="url",
            )
        return self._wall.target(url)

    @contextmanager
    def _opened(
        self, url: str, headers: Iterable[tuple[bytes, bytes]]
    ) -> Iterator[httpcore.Response]:
        """The answer of whoever has the file, after redirects; its body is still to be read."""
        for _ in range(_MOST_HOPS + 1):
            target = self._target(url)
            with self._asked(target, headers) as answer:
                if answer.status not in _REDIRECTS:
                    _require_content(answer, target)
                    yield answer
                    return
                url = _next_hop(url, answer, target)
        raise DownloadRefusedError(f"{target.host} redirects more than {_MOST_HOPS} times")

    @contextmanager
    def _asked(
        self, target: Target, headers: Iterable[tuple[bytes, bytes]]
    ) -> Iterator[httpcore.Response]:
        addresses = self._addresses(target)
        pool = httpcore.ConnectionPool(
            ssl_context=self._trust,
            max_connections=1,
            network_backend=_Fixed(addresses[:_MOST_ADDRESSES]),
        )
        every = [
            (b"host", target.authority.encode()),
            (b"user-agent", b"slipstream"),
            (b"accept-encoding", b"identity"),
            *headers,
        ]
        where = httpcore.URL(
            scheme=b"https",
            host=target.host.encode(),
            port=target.port,
            target=target.path.encode(),
        )
        patience = {"connect": _CONNECT_S, "read": _READ_S, "write": _READ_S, "pool": _CONNECT_S}
        try:
            with (
                pool,
                pool.stream(
                    "GET", where, headers=every, extensions={"timeout": patience}
                ) as answer,
            ):
                yield answer
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException) as error:
            raise NetworkError(
                f"the network is not there, or {target.host} is not: "
                f"{str(error) or type(error).__name__}"
            ) from error

    def _addresses(self, target: Target) -> list[IpAddress]:
        if target.address is not None:
            return [target.address]
        try:
            texts = dict.fromkeys(system_lookup(target.host, target.port))
        except OSError as error:
            raise NetworkError(
                f"the network is not there, or {target.host} is not: {error}"
            ) from error
        found = [ipaddress.ip_address(text.partition("%")[0]) for text in texts]
        self._wall.check(found, target)
        return found


class _RangeError(NetworkError):
    """There is nothing behind what is there."""


class _Fixed(httpcore.NetworkBackend):
    """Connects to given addresses, whatever name it is asked for."""

    def __init__(self, addresses: Sequence[IpAddress]) -> None:
        self._addresses = addresses
        self._backend = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        *others, last = map(str, self._addresses)
        for address in others:
            try:
                return self._backend.connect_tcp(
                    address, port, timeout, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return self._backend.connect_tcp(last, port, timeout, local_address, socket_options)


def _name_of(path: str, wanted: Wanted) -> str:
    name = unquote(PurePosixPath(path.partition("?")[0]).name)
    if not name or not is_safe(name):
        raise DownloadRefusedError(f"{wanted.title} does not end in the name of a file")
    if may_be_pickle(name) and not wanted.allow_pickle:
        raise DownloadRefusedError(
            f"{name} may be a pickle, which can run code when it is opened: allow_pickle true "
            "fetches it all the same"
        )
    if not (is_worth_having(name) or may_be_pickle(name)):
        raise DownloadRefusedError(f"{name} is no file of a model that this server fetches")
    return name


def _require_content(answer: httpcore.Response, target: Target) -> None:
    status = answer.status
    if status in (200, 206):
        coding = _header(answer, b"content-encoding")
        if coding.strip().lower() not in _PLAIN:
            raise DownloadRefusedError(
                f"{target.host} sends that file compressed ({_shown(coding)}), although it was "
                "asked for its own bytes: a compressed file is no model; have it served as it is"
            )
        return
    if status in (404, 410):
        raise SourceNotFoundError(f"{target.host} has no such file ({status})")
    if status == 416:
        raise _RangeError(f"{target.host} has no more of that file than is here already")
    if status in _TRY_LATER:
        raise NetworkError(f"{target.host} answered {status}; try again later")
    raise DownloadRefusedError(f"{target.host} answered {status}")


def _header(answer: httpcore.Response, name: bytes) -> bytes:
    return next((value for key, value in answer.headers if key.lower() == name), b"")


def _length(answer: httpcore.Response) -> int | None:
    text = _header(answer, b"content-length")
    return int(text) if text.isdigit() and len(text) < 19 else None


def _begins_at(answer: httpcore.Response, first: int) -> bool:
    return _header(answer, b"content-range").startswith(b"bytes %d-" % first)


def _next_hop(url: str, answer: httpcore.Response, target: Target) -> str:
    location = _header(answer, b"location").strip()
    if not location:
        raise DownloadRefusedError(
            f"{target.host} redirects ({answer.status}) without saying where to; give the URL "
            "that the file itself has"
        )
    try:
        return urljoin(url, location.decode("ascii", "replace"))
    except ValueError as error:
        raise DownloadRefusedError(
            f"{target.host} redirects to what is no URL ({_shown(location)}); give the URL that "
            "the file itself has"
        ) from error


def _shown(text: bytes) -> str:
    """For messages: of what a stranger sent no more than this, and no query, as of any URL."""
    return text.partition(b"?")[0][:100].decode("ascii", "replace")


def _validator(answer: httpcore.Response) -> str:
    """By what the server knows again which file it was; empty where nothing tells bytes apart.

    An entity tag, unless it is a weak one; else the date of the last change, if it was long enough
    ago that the file cannot have changed again within the same second (RFC 9110, section 8.8.2.2).
    """
    tag = _header(answer, b"etag")
    if tag and not tag.startswith(b"W/"):
        return tag.decode("latin-1")
    changed = _header(answer, b"last-modified").decode("latin-1")
    try:
        now = parsedate_to_datetime(_header(answer, b"date").decode("latin-1"))
        is_settled = now - parsedate_to_datetime(changed) >= _SETTLED
    except (ValueError, TypeError, OverflowError):  # one of the two is no date, or has no zone
        return ""
    return changed if is_settled else ""


def _kept(source: Path) -> str:
    try:
        found = foreign_json(source.read_bytes())
    except (OSError, ValueError):
        return ""
    kept = cast(dict[str, object], found).get("validator") if isinstance(found, dict) else None
    return kept if isinstance(kept, str) else ""
