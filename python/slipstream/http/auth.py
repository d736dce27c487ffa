"""Who may call which route.

A request proves who calls by ``X-API-Key: KEY`` or by ``Authorization: Bearer KEY_OR_TOKEN``.
Where it has both, the key counts first, and has to be a known one; what the key may not do, the
other may still allow.

Routes ask for that if the operator requires keys; a few, of which a row of the route table says
so (`Route.protected`), always do.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator

from slipstream.auth.credentials import Caller, UnknownCallerError
from slipstream.auth.sources import (
    files_of,
    not_from_files,
    read_credentials,
    takes_keys,
    takes_tokens,
)
from slipstream.http.errors import AuthenticationError, ForbiddenError, HttpError
from slipstream.http.types import Headers, Route
from slipstream.scopes import SCOPES, Scope, shown
from slipstream.settings import Settings

_log = logging.getLogger("slipstream.auth")
_SECRET_BYTES = 32


class Access:
    """The credentials in force, and what they open. Any thread; `read_again` on one at a time.

    Raises:
        SettingsError: a key, a secret or a file of them does not fit.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.required = settings.require_api_key
        """Whether every route that is not open asks who calls."""
        self.start_secret: str | None = None
        """Made up where the operator set neither keys nor secrets, so that what always asks for
        a token can be reached by whoever started the server."""
        if not (takes_keys(settings) or takes_tokens(settings)):
            self.start_secret = secrets.token_urlsafe(_SECRET_BYTES)
        self._credentials = read_credentials(settings, self.start_secret)

    def asks(self, route: Route) -> bool:
        """Whether this route asks who calls."""
        return route.protected or (self.required and not route.open)

    def check(self, route: Route, headers: Headers) -> Caller | None:
        """Who calls; None where nobody asks.

        Raises:
            AuthenticationError: no known key and no valid token.
            ForbiddenError: they are known, and may not do this.
        """
        return self._of(headers, route.scope, route.protected) if self.asks(route) else None

    def check_any(self, headers: Headers) -> Caller:
        """Who calls, whatever they may do.

        Raises:
            AuthenticationError: no known key and no valid token.
        """
        return self._of(headers, None, False)

    def check_token(self, route: Route, token: str | None) -> Caller:
        """Who calls, by a key or token that did not come in the head.

        Raises:
            AuthenticationError: it is missing, or not valid.
            ForbiddenError: it is valid, and does not suffice.
        """
        if not token:
            raise self._missing(route.protected)
        try:
            caller = self._credentials.of_key_or_token(token)
        except UnknownCallerError as error:
            raise _not_valid(error) from None
        if not _may(caller, route.scope, route.protected):
            raise _forbidden(caller, route.scope, route.protected)
        return caller

    def knows(self, headers: Headers) -> bool:
        """Whether a request for an express route may pass; their scope is ``predict``."""
        try:
            self._of(headers, "predict", False)
        except HttpError:
            return False
        return True

    def _of(self, headers: Headers, scope: Scope | None, protected: bool) -> Caller:
        caller: Caller | None = None
        try:
            for caller in self._callers(headers):
                if _may(caller, scope, protected):
                    return caller
        except UnknownCallerError as error:
            raise _not_valid(error) from None
        if caller is None:
            raise self._missing(protected)
        raise _forbidden(caller, scope, protected)

    def _callers(self, headers: Headers) -> Iterator[Caller]:
        key = headers.get("x-api-key")
        if key is not None:
            yield self._credentials.of_key(key)
        bearer = bearer_of(headers)
        if bearer:
            yield self._credentials.of_key_or_token(bearer)

    def _missing(self, protected: bool) -> AuthenticationError:
        if protected:
            where = "Authorization: Bearer TOKEN"
            return AuthenticationError(f"This needs a token: send it in the header {where}")
        if not takes_tokens(self._settings):
            text = "This server needs an API key: send it in the header X-API-Key"
        elif not takes_keys(self._settings):
            text = "This server needs a token: send it in the header Authorization: Bearer TOKEN"
        else:
            text = (
                "This server needs an API key or a token: send it in the header X-API-Key, or "
                "Authorization: Bearer TOKEN"
            )
        return AuthenticationError(text)

    def read_again(self) -> None:
        """Reads keys and secrets that come from files; nothing that is remembered stays.

        Raises:
            SettingsError: one of them does not fit; all of the old ones stay in force.
        """
        stays = not_from_files(self._settings)
        if stays:
            _log.info("%s did not come from files and stay as they are", ", ".join(stays))
        if not files_of(self._settings):
            return
        old, new = self._credentials, read_credentials(self._settings, self.start_secret)
        self._credentials = new
        for what, before, now in (
            ("API keys", old.key_marks, new.key_marks),
            ("keys that check tokens", old.token_marks, new.token_marks),
        ):
            added, gone = len(now - before), len(before - now)
            _log.info("%s: %d now, %d added, %d removed", what, len(now), added, gone)


def bearer_of(headers: Headers) -> str | None:
    """What ``Authorization`` bears; None if it is absent, or of another scheme."""
    scheme, _, offered = (headers.get("authorization") or "").partition(" ")
    return offered.strip() or None if scheme.lower() == "bearer" else None


def _may(caller: Caller, scope: Scope | None, protected: bool) -> bool:
    if protected:
        return caller.has_token or "admin" in caller.scopes
    return scope is None or scope in caller.scopes


def _not_valid(error: UnknownCallerError) -> AuthenticationError:
    return AuthenticationError(str(error), challenge='error="invalid_token"')


def _forbidden(caller: Caller, scope: Scope | None, protected: bool) -> ForbiddenError:
    needed = "admin" if protected or scope is None else scope
    what = "token" if caller.has_token else "API key"
    text = f"This needs scope '{needed}', and the {what} has {shown(caller.scopes)}"
    if protected:
        text += "; any valid token will do, too"
    has = [one for one in SCOPES if one in caller.scopes]
    return ForbiddenError(text, needed_scope=needed, scopes=has)
