"""``slipstream token``: makes a token that a server takes.

It signs with what the server checks with: ``JWT_SECRET`` or the first line of ``JWT_SECRET_FILE``,
from the same settings file and environment; or with a private key (``--key``), whose public half
the server has.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from slipstream.scopes import SCOPES, Scope
from slipstream.settings import Settings, SettingsError, load_settings

if TYPE_CHECKING:
    from slipstream.auth.mint import Signer

_DURATION = re.compile(r"([0-9]{1,9})([smhd]?)")
_UNITS_S = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_LONGEST_S = 10 * 366 * 86_400


def register(commands: argparse._SubParsersAction[Any]) -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser(
        "token",
        help="make a token that a server takes",
        description="Makes a token (JWT) and prints it. It is signed with JWT_SECRET or "
        "JWT_SECRET_FILE of the server's settings, or with a private key.",
    )
    parser.add_argument(
        "--scope",
        metavar="SCOPE",
        action="append",
        type=_scopes,
        help=f"what it allows: {', '.join(SCOPES)}; may be repeated (default predict)",
    )
    parser.add_argument(
        "--expires",
        metavar="TIME",
        type=_duration_s,
        default="1h",
        help="when it ends: seconds, or 90s, 15m, 12h, 30d (default 1h)",
    )
    parser.add_argument("--subject", metavar="NAME", type=_text, help="whom it is for (sub)")
    parser.add_argument(
        "--audience",
        metavar="NAME",
        type=_text,
        help="which service it is for (aud; default: the first of JWT_AUDIENCE)",
    )
    parser.add_argument(
        "--issuer",
        metavar="NAME",
        type=_text,
        help="who made it (iss; default: the first of JWT_ISSUER)",
    )
    parser.add_argument(
        "--key", metavar="FILE", type=Path, help="sign with this private key (PEM) instead"
    )
    parser.add_argument(
        "--kid", metavar="NAME", type=_text, help="what the key is called in the server's key set"
    )
    parser.add_argument(
        "--config", metavar="FILE", help="settings file (default slipstream.toml, if it is there)"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Prints the token; returns 0."""
    settings = load_settings(config=arguments.config)
    named = {scope for scopes in arguments.scope or [("predict",)] for scope in scopes}
    token = _signer(settings, arguments.key, arguments.kid).token(
        tuple(scope for scope in SCOPES if scope in named),
        expires_s=arguments.expires,
        subject=arguments.subject,
        audience=arguments.audience or next(iter(settings.jwt_audience), None),
        issuer=arguments.issuer or next(iter(settings.jwt_issuer), None),
    )
    print(token)
    return 0


def _signer(settings: Settings, key: Path | None, kid: str | None) -> Signer:
    from slipstream.auth.mint import Signer  # here: other commands need no library for tokens
    from slipstream.auth.sources import signing_secret

    if key is not None:
        return Signer.of_file(key, kid)
    if kid is not None:
        raise SettingsError("--kid names a key of a set, and needs --key")
    secret = signing_secret(settings)
    if secret is None:
        raise SettingsError(
            "there is nothing to sign with: set JWT_SECRET as the server has it (make one with: "
            "openssl rand -hex 32), or give a private key with --key"
        )
    return Signer.of_secret(secret, "the secret to sign with")


def _scopes(text: str) -> tuple[Scope, ...]:
    words = re.split(r"[ ,+]+", text.strip())
    for word in words:
        if word not in SCOPES:
            raise argparse.ArgumentTypeError(f"{word!r} is none of {', '.join(SCOPES)}")
    return tuple(cast("list[Scope]", words))


def _duration_s(text: str) -> int:
    found = _DURATION.fullmatch(text)
    seconds = int(found[1]) * _UNITS_S[found[2]] if found else 0
    if not 1 <= seconds <= _LONGEST_S:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no time from now: 1 s to 10 years, as 90s, 15m, 12h or 30d"
        )
    return seconds


def _text(text: str) -> str:
    if not text or not text.isprintable() or len(text) > 256:
        raise argparse.ArgumentTypeError("1 to 256 visible characters")
    return text
