"""What the server says of itself: the OpenAPI document, and a page that shows it."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

from slipstream.http.codec import encode_json
from slipstream.http.openapi import document
from slipstream.http.types import About, Request, Response, Route

_PAGE = Path(__file__).parent.parent / "docs_page.html"
_CACHED = ("cache-control", "no-cache")  # a new version of the server may say something else


class Reference:
    """Both routes, each made at its first use and kept. One thread: the event loop's."""

    def __init__(self, *, keys_required: bool) -> None:
        self._keys_required = keys_required
        self._table: Sequence[Route] = ()
        self._document: Response | None = None
        self._page: Response | None = None

    def routes(self) -> tuple[Route, ...]:
        """The rows of the route table."""
        return (
            Route(
                *("GET", "/openapi.json", self.openapi),
                open=True,
                about=About("This document"),
                family="core",
            ),
            Route(
                *("GET", "/docs", self.docs),
                open=True,
                about=About("A page that shows this document", media_type="text/html"),
                family="core",
            ),
        )

    def describe(self, table: Sequence[Route]) -> None:
        """Sets what is described: every row of the server, these included."""
        self._table = table

    def openapi(self, request: Request) -> Response:
        """GET /openapi.json: made from the route table and the Structs of bodies."""
        if self._document is None:
            made = document(self._table, keys_required=self._keys_required)
            self._document = Response(200, encode_json(made), (_CACHED,))
        return self._document

    def docs(self, request: Request) -> Response:
        """GET /docs: one file that asks this server for the document, and nobody else."""
        if self._page is None:
            text = _PAGE.read_text(encoding="utf-8")
            self._page = Response(
                200,
                text.encode(),
                (
                    _CACHED,
                    ("content-security-policy", content_policy(text)),
                    ("x-content-type-options", "nosniff"),
                    ("referrer-policy", "no-referrer"),
                ),
                content_type="text/html; charset=utf-8",
            )
        return self._page


def content_policy(page: str) -> str:
    """A Content-Security-Policy that lets exactly the page's own script and style run."""
    sources = {}
    for tag in ("script", "style"):
        (inline,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = hashlib.sha256(inline.encode()).digest()
        sources[tag] = f"'sha256-{base64.b64encode(digest).decode()}'"
    return (
        f"default-src 'none'; script-src {sources['script']}; style-src {sources['style']}; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
