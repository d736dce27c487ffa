"""What proves who calls, as read at one moment: API keys, and what tokens are checked with.

Keys are kept and looked up as digests under a salt that nobody outside the process knows. So the
time that a look-up takes tells nothing about how much of a key was right, and many keys cost no
more than one. Tokens that were valid are remembered by digest until they expire, so that a request
need not verify a signature. A change makes new `Credentials`, and with them everything that was
remembered is forgotten.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from slipstream.scopes import Scopes

if TYPE_CHECKING:
    from slipstream.auth.tokens import Claims, Verifier

MOST_REMEMBERED = 4096
"""Valid tokens; of more, those that were used longest ago are verified again."""
_SALT = secrets.token_bytes(16)
"""Of this process: no digest means anything outside it."""


class Caller(msgspec.Struct, frozen=True):
    """Who calls."""

    name: str
    """The same for the same key, or for the same subject of tokens; empty: not known by name."""
    scopes: Scopes
    has_token: bool
    """Whether a token proved it, not a key."""


class UnknownCallerError(Exception):
    """Neither a key nor a valid token; the text says why, and never what was offered."""


class Credentials:
    """Immutable but for what it remembers. Any thread."""

    def __init__(self, keys: Mapping[str, Scopes], verifier: Verifier | None) -> None:
        self._callers = {
            digest: Caller(f"key {digest.hex()[:16]}", scopes, has_token=False)
            for digest, scopes in ((_digest(key), scopes) for key, scopes in keys.items())
        }
        self._verifier = verifier
        self._lock = threading.Lock()
        self._remembered: OrderedDict[bytes, tuple[Caller, float]] = OrderedDict()
        self.key_marks = frozenset(
            (digest, caller.scopes) for digest, caller in self._callers.items()
        )
        """Of API keys, to tell what a change changed."""
        self.token_marks = frozenset(
            _digest(mark) for mark in (() if verifier is None else verifier.marks)
        )
        """The same of what tokens are checked with."""

    def of_key(self, offered: str) -> Caller:
        """Who has this API key.

        Raises:
            UnknownCallerError: nobody.
        """
        found = self._callers.get(_digest(offered))
        if found is None:
            raise UnknownCallerError("The API key is not valid")
        return found

    def of_key_or_token(self, offered: str) -> Caller:
        """Who has this API key, or this token.

        Raises:
            UnknownCallerError: nobody, or the token is not valid.
        """
        digest = _digest(offered)
        found = self._callers.get(digest) or self._remembered_caller(digest)
        return found or self._verified(offered, digest)

    def _remembered_caller(self, digest: bytes) -> Caller | None:
        with self._lock:
            found = self._remembered.get(digest)
            if found is None:
                return None
            caller, until = found
            if time.time() >= until:
                del self._remembered[digest]
                return None
            self._remembered.move_to_end(digest)
            return caller

    def _verified(self, offered: str, digest: bytes) -> Caller:
        verifier = self._verifier
        if verifier is None or offered.count(".") != 2:
            kinds = [*(["API key"] if self._callers else []), *(["token"] if verifier else [])]
            raise UnknownCallerError(f"The {' or '.join(kinds)} is not valid")
        from slipstream.auth.tokens import TokenError  # here: a server of keys alone needs no JWT

        try:
            claims = verifier.claims(offered)
        except TokenError as error:
            raise UnknownCallerError(str(error)) from None
        caller = Caller(_name_of(claims), claims.scopes, has_token=True)
        with self._lock:
            self._remembered[digest] = (caller, claims.expires_at + verifier.leeway_s)
            if len(self._remembered) > MOST_REMEMBERED:
                self._remembered.popitem(last=False)
        return caller


def _digest(text: str | bytes) -> bytes:
    octets = text.encode(errors="surrogatepass") if isinstance(text, str) else text
    return hashlib.blake2b(octets, digest_size=32, key=_SALT).digest()


def _name_of(claims: Claims) -> str:
    if claims.subject is None:
        return ""
    return f"token {_digest(repr((claims.issuer, claims.subject))).hex()[:16]}"
