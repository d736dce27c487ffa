"""API keys: who may call.

Keys are kept and compared as digests of equal length, every one of them every time, so the time
taken tells nothing about how much of a key was right or which key it was.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

from slipstream.http.errors import AuthenticationError
from slipstream.http.types import Headers


class ApiKeys:
    """Checks ``X-API-Key: <key>``, or ``Authorization: Bearer <key>`` where that is absent."""

    def __init__(self, keys: tuple[str, ...]) -> None:
        self._salt = secrets.token_bytes(16)
        self._digests = tuple(self._digest(key) for key in keys)

    def _digest(self, key: str) -> bytes:
        return hashlib.blake2b(key.encode(), digest_size=32, key=self._salt).digest()

    def knows(self, headers: Headers) -> bool:
        """Whether the request carries a known key."""
        try:
            self.check(headers)
        except AuthenticationError:
            return False
        return True

    def check(self, headers: Headers) -> int:
        """Returns which known key the request carries, counted from 0.

        Raises:
            AuthenticationError: saying whether the key was missing or unknown, never what it was.
        """
        offered = headers.get("x-api-key")
        if offered is None:
            scheme, _, token = (headers.get("authorization") or "").partition(" ")
            offered = token.strip() if scheme.lower() == "bearer" else None
        if not offered:
            raise AuthenticationError(
                "This server needs an API key: send it in the header X-API-Key"
            )
        digest = self._digest(offered)
        found = -1
        for number, candidate in enumerate(self._digests):
            if hmac.compare_digest(digest, candidate):
                found = number
        if found < 0:
            raise AuthenticationError("The API key is not valid")
        return found
