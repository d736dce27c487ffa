"""Files with keys and secrets: small texts, one thing a line."""

from __future__ import annotations

from pathlib import Path

from slipstream.settings import SettingsError

LARGEST_BYTES = 1024 * 1024


def text_of(path: Path, source: str) -> str:
    """The whole file.

    Raises:
        SettingsError: it cannot be read, is too large, or no text in UTF-8.
    """
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_BYTES + 1)
    except OSError as error:
        raise SettingsError(f"{source}: {path} cannot be read: {error.strerror}") from error
    if len(content) > LARGEST_BYTES:
        raise SettingsError(f"{source}: {path} is larger than {LARGEST_BYTES} bytes")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise SettingsError(f"{source}: {path} is no text in UTF-8") from None


def lines_of(path: Path, source: str) -> list[tuple[str, str]]:
    """The lines that are neither empty nor comments (``#``), each with its place for messages.

    Raises:
        SettingsError: as `text_of`, or there are none.
    """
    lines = [
        (line.strip(), f"{source}: {path}, line {number}")
        for number, line in enumerate(text_of(path, source).splitlines(), start=1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    if not lines:
        raise SettingsError(f"{source}: {path} is empty; it has one a line")
    return lines
