"""What models, experiments and streams may be called."""

from __future__ import annotations

import re

from slipstream.errors import InvalidInputError

_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


def require_id(text: str, key: str) -> None:
    """Refuses what cannot stand in a path, or would hide as a file.

    Raises:
        InvalidInputError: names ``key``.
    """
    if not _ID.fullmatch(text):
        raise InvalidInputError(
            f"{key} {text!r} is not valid: 1 to 128 letters, digits, '_', '-' or '.', "
            "not beginning with '-' or '.'",
            key=key,
        )
