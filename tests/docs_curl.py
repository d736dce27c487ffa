"""What ``curl`` with some words would send; for the examples of the documentation."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import httpx

ADDRESS = "http://127.0.0.1:8000"
"""Of the server, in the documentation."""


def _curl_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="curl", add_help=False, exit_on_error=False)
    parser.add_argument("url")
    parser.add_argument("-s", action="store_true")
    parser.add_argument("-i", action="store_true")
    parser.add_argument("-X", dest="method")
    parser.add_argument("-H", dest="headers", action="append", default=[])
    parser.add_argument("-d", "--data-binary", dest="body")
    parser.add_argument("-F", dest="form", action="append", default=[])
    return parser


_CURL = _curl_parser()


def run_curl(words: list[str], address: str, folder: Path) -> httpx.Response:
    """Sends what ``curl`` with these words would send from that folder."""
    assert words[0] == "curl", f"a bash block holds only curl commands, not {words[0]}"
    asked = _CURL.parse_args(words[1:])
    assert asked.url.startswith(ADDRESS + "/"), f"{asked.url} does not begin with {ADDRESS}"
    headers = {"user-agent": "curl", "accept": "*/*"}
    if asked.body is not None:
        headers["content-type"] = "application/x-www-form-urlencoded"
    for header in asked.headers:
        name, _, value = header.partition(":")
        headers[name.lower()] = value.strip()
    has_body = asked.body is not None or asked.form
    return httpx.request(
        asked.method or ("POST" if has_body else "GET"),
        address + asked.url.removeprefix(ADDRESS),
        headers=headers,
        content=_content(asked.body, folder),
        files=dict(_part(field, folder) for field in asked.form) or None,
        timeout=60,
    )


def _content(body: str | None, folder: Path) -> str | bytes | None:
    """A body that stands there, or is in a file: ``@FILE``."""
    if body is None or not body.startswith("@"):
        return body
    return (folder / body[1:]).read_bytes()


def _part(field: str, folder: Path) -> tuple[str, Any]:
    """``NAME=VALUE`` or ``NAME=@FILE`` of a form."""
    name, _, value = field.partition("=")
    content = _content(value, folder)
    return name, (value[1:], content) if value.startswith("@") else (None, content)
