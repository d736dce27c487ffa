"""From settings, and the files that they name, to `Credentials`.

What came by environment, ``slipstream.toml`` or command line is that of the start; the files are
read each time.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from slipstream.auth.credentials import Credentials
from slipstream.auth.secret_files import lines_of, text_of
from slipstream.scopes import Scopes, shown, split_key
from slipstream.setting_options import API_KEY, OPTIONS
from slipstream.settings import Settings, SettingsError

if TYPE_CHECKING:
    from slipstream.auth.tokens import Verifier

FILES = ("api_keys_file", "jwt_secret_file", "jwt_public_key_file", "jwt_jwks_file")
"""Settings that name what is read again."""
_MOST_KEYS = 10_000


def takes_tokens(settings: Settings) -> bool:
    """Whether the operator has set what tokens are checked with."""
    return any(
        (
            settings.jwt_secret,
            settings.jwt_secret_file,
            settings.jwt_public_key_file,
            settings.jwt_jwks_file,
        )
    )


def takes_keys(settings: Settings) -> bool:
    """Whether the operator has set API keys."""
    return bool(settings.api_keys or settings.api_keys_file)


def files_of(settings: Settings) -> tuple[Path, ...]:
    """The files that keys and secrets come from."""
    return tuple(path for name in FILES if (path := getattr(settings, name)) is not None)


def not_from_files(settings: Settings) -> list[str]:
    """The names of those that did not, and so stay as they were at the start."""
    return [OPTIONS[name].env for name in ("api_keys", "jwt_secret") if getattr(settings, name)]


def read_credentials(settings: Settings, start_secret: str | None = None) -> Credentials:
    """Everything, read now.

    Args:
        settings: Name the sources.
        start_secret: A secret that this process made up; None: none.

    Raises:
        SettingsError: a file, a key or a secret does not fit; names it, and shows none.
    """
    return Credentials(_keys(settings), _verifier(settings, start_secret))


def signing_secret(settings: Settings) -> str | None:
    """The secret to sign new tokens with: the first one; None if there is none.

    Raises:
        SettingsError: as `read_credentials`.
    """
    return next((secret for secret, _ in _secrets(settings)), None)


def _keys(settings: Settings) -> dict[str, Scopes]:
    found: dict[str, Scopes] = {}
    for text, source in _key_texts(settings):
        try:
            key, scopes = split_key(text)
        except ValueError as error:
            raise SettingsError(f"{source}: {error}") from None
        if found.setdefault(key, scopes) != scopes:
            raise SettingsError(
                f"{source}: this key is there already, with scope {shown(found[key])}; keep one"
            )
    if len(found) > _MOST_KEYS:
        raise SettingsError(f"{len(found)} API keys, {_MOST_KEYS} at most")
    return found


def _key_texts(settings: Settings) -> Iterator[tuple[str, str]]:
    for number, text in enumerate(settings.api_keys, start=1):
        yield text, f"API_KEYS, key {number}"
    if settings.api_keys_file is not None:
        for line, source in lines_of(settings.api_keys_file, "API_KEYS_FILE"):
            if not API_KEY.fullmatch(line):
                raise SettingsError(
                    f"{source}: expected one key, of visible ASCII characters without commas"
                )
            yield line, source


def _secrets(settings: Settings) -> Iterator[tuple[str, str]]:
    if settings.jwt_secret is not None:
        yield settings.jwt_secret, "JWT_SECRET"
    if settings.jwt_secret_file is not None:
        yield from lines_of(settings.jwt_secret_file, "JWT_SECRET_FILE")


def _verifier(settings: Settings, start_secret: str | None) -> Verifier | None:
    if start_secret is None and not takes_tokens(settings):
        return None
    from slipstream.auth import verifying_keys as keys  # here: they need the library for tokens
    from slipstream.auth.tokens import Verifier

    found = [keys.secret_key(secret, source) for secret, source in _secrets(settings)]
    if start_secret is not None:
        found.append(keys.secret_key(start_secret, "the secret of this start"))
    for path, source, read in (
        (settings.jwt_public_key_file, "JWT_PUBLIC_KEY_FILE", keys.pem_keys),
        (settings.jwt_jwks_file, "JWT_JWKS_FILE", keys.jwks_keys),
    ):
        if path is not None:
            found += read(text_of(path, source), f"{source}: {path}")
    if len(found) > keys.MOST_KEYS:
        raise SettingsError(f"{len(found)} keys that check tokens, {keys.MOST_KEYS} at most")
    return Verifier(
        found,
        audience=settings.jwt_audience,
        issuer=settings.jwt_issuer,
        leeway_s=settings.jwt_leeway_s,
    )
