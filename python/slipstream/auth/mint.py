"""New tokens."""

from __future__ import annotations

import time
import uuid
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from slipstream.auth.secret_files import text_of
from slipstream.auth.verifying_keys import algorithms_of, secret_key
from slipstream.scopes import Scope
from slipstream.settings import SettingsError


class Signer:
    """Signs with one key, by the first algorithm of its type."""

    def __init__(self, key: Any, algorithm: str, kid: str | None = None) -> None:
        self._key, self._algorithm, self._kid = key, algorithm, kid

    @classmethod
    def of_secret(cls, secret: str, source: str) -> Signer:
        """HS256.

        Raises:
            SettingsError: the secret is too short.
        """
        key = secret_key(secret, source)
        return cls(key.key, key.algorithms[0])

    @classmethod
    def of_file(cls, path: Path, kid: str | None = None) -> Signer:
        """By a private key in PEM that is not encrypted.

        Args:
            path: Of the key.
            kid: What the key is called in the set that it is checked with.

        Raises:
            SettingsError: there is none in the file, or one of a type that has no algorithm.
        """
        source = f"--key {path}"
        text = text_of(path, "--key")
        try:
            key = load_pem_private_key(text.encode(), password=None)
        except TypeError:
            raise SettingsError(
                f"{source}: the key is encrypted; decrypt it first: openssl pkey -in {path}"
            ) from None
        except Exception as error:  # whatever the library thinks of other bytes
            raise SettingsError(
                f"{source}: it holds no private key in PEM (-----BEGIN PRIVATE KEY-----)"
            ) from error
        return cls(key, algorithms_of(key, source)[0], kid)

    def token(
        self,
        scopes: tuple[Scope, ...] = (),
        *,
        expires_s: int | None,
        subject: str | None = None,
        audience: str | None = None,
        issuer: str | None = None,
    ) -> str:
        """A token that is valid from now on.

        Args:
            scopes: What it allows; none: no claim, which stands for ``predict``.
            expires_s: Seconds until it ends; None: with its key.
            subject: Who it is for; None: nobody by name.
            audience: Which service it is for.
            issuer: Who made it.
        """
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": issuer,
            "sub": subject,
            "aud": audience,
            "iat": now,
            "exp": None if expires_s is None else now + expires_s,
            "jti": uuid.uuid4().hex,
            "scope": " ".join(scopes) or None,
        }
        return jwt.encode(
            {name: value for name, value in claims.items() if value is not None},
            self._key,
            self._algorithm,
            headers=None if self._kid is None else {"kid": self._kid},
        )
