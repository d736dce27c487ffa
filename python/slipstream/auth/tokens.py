"""JSON Web Tokens (RFC 7519): is one valid, and what does it say.

The signature is checked before anything that the token says of itself, so a message that tells why
a token is refused (expired, meant for others) goes only to somebody who had a real one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import jwt
import msgspec

from slipstream.auth.verifying_keys import VerifyingKey, mark_of
from slipstream.scopes import Scopes, scopes_of

LONGEST_TOKEN = 8192
"""Characters; longer ones are refused unread."""
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
"""RFC 7515, 7.1, and no padding: one token has one text."""
_NEVER = 2**53
_TIMES = ("exp", "nbf", "iat")
_NOT_VALID = "The token is not valid"


class TokenError(Exception):
    """A token is refused; the text says why, and never what it was."""


class Claims(msgspec.Struct, frozen=True):
    """What a valid token says."""

    subject: str | None
    issuer: str | None
    scopes: Scopes
    expires_at: float
    """Seconds since the epoch; far away if the token does not say."""


class Verifier:
    """Checks tokens with some keys. Any thread.

    Args:
        keys: Each is tried whose algorithms and ``kid`` fit.
        audience: One of these has to be in the token's ``aud``; empty: it is not looked at.
        issuer: One of these has to be its ``iss``; empty: it is not looked at.
        leeway_s: How far clocks may be apart.
    """

    def __init__(
        self,
        keys: Sequence[VerifyingKey],
        *,
        audience: Sequence[str] = (),
        issuer: Sequence[str] = (),
        leeway_s: float = 0.0,
    ) -> None:
        self._keys = tuple(keys)
        self._audience = list(audience) or None
        self._issuer = list(issuer) or None
        self.leeway_s = leeway_s
        self._jwt = jwt.PyJWT()

    @property
    def marks(self) -> list[bytes]:
        """Of each key, to tell one from another; not for showing."""
        return [mark_of(key) for key in self._keys]

    def claims(self, token: str) -> Claims:
        """What the token says.

        Raises:
            TokenError: it is not valid, or not now, or not here.
        """
        if len(token) > LONGEST_TOKEN:
            raise TokenError(f"The token is longer than {LONGEST_TOKEN} characters")
        if not _COMPACT.fullmatch(token):
            raise TokenError(_NOT_VALID)
        try:
            kid = jwt.get_unverified_header(token).get("kid")
            for key in self._keys:
                if key.kid is None or kid is None or key.kid == kid:
                    try:
                        return _claims_of(self._decoded(token, key))
                    except (jwt.InvalidSignatureError, jwt.InvalidAlgorithmError):
                        continue  # another key may fit
        except jwt.ExpiredSignatureError:
            raise TokenError("The token has expired") from None
        except jwt.ImmatureSignatureError:
            raise TokenError("The token is not valid yet: its nbf or iat is to come") from None
        except jwt.InvalidAudienceError:
            raise TokenError("The token is meant for another audience (aud)") from None
        except jwt.InvalidIssuerError:
            raise TokenError("The token is of another issuer (iss)") from None
        except jwt.MissingRequiredClaimError as error:
            raise TokenError(f"The token has no {error.claim}, which is asked for here") from None
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError):
            raise TokenError(_NOT_VALID) from None
        raise TokenError(_NOT_VALID)

    def _decoded(self, token: str, key: VerifyingKey) -> dict[str, Any]:
        return self._jwt.decode(
            token,
            key=key.key,
            algorithms=list(key.algorithms),
            audience=self._audience,
            issuer=self._issuer,
            leeway=self.leeway_s,
            options={"verify_aud": self._audience is not None},
        )


def _claims_of(payload: dict[str, Any]) -> Claims:
    for name in _TIMES:
        value = payload.get(name, 0)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TokenError(f"The token's {name} is no number")
    scope = payload.get("scope", "predict")
    if not isinstance(scope, str):
        raise TokenError("The token's scope is no text: words separated by spaces (RFC 9068)")
    subject, issuer = payload.get("sub"), payload.get("iss")
    return Claims(
        subject if isinstance(subject, str) else None,
        issuer if isinstance(issuer, str) else None,
        scopes_of(scope.split()),
        float(min(payload.get("exp", _NEVER), _NEVER)),
    )
