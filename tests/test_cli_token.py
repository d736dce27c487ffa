"""``slipstream token``: what it makes is what a server takes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import jwt
import pytest

from cli_runs import slipstream
from http_server import SMALL_APP, running
from token_keys import ED25519, P256, RSA, SECRET, jwk, jwks, private_pem, public_pem


def made(*arguments: str | Path, state: Path, **settings: str) -> str:
    ended = slipstream("token", *arguments, state=state, **settings)
    assert (ended.returncode, ended.stderr) == (0, "")
    text = ended.stdout.strip()
    assert ended.stdout == f"{text}\n"
    return text


def claims_of(text: str) -> dict[str, Any]:
    return jwt.decode(text, SECRET, ["HS256"], options={"verify_aud": False})


def test_the_defaults(tmp_path: Path) -> None:
    claims = claims_of(made(state=tmp_path, JWT_SECRET=SECRET))
    assert list(claims) == ["iat", "exp", "jti", "scope"]
    assert claims["scope"] == "predict"
    assert claims["exp"] == claims["iat"] + 3600
    assert abs(claims["iat"] - time.time()) < 60


def test_everything_is_said(tmp_path: Path) -> None:
    arguments = ("--scope", "models predict", "--scope", "models", "--expires", "2d")
    arguments += ("--subject", "me", "--audience", "us", "--issuer", "it")
    claims = claims_of(made(*arguments, state=tmp_path, JWT_SECRET=SECRET))
    assert claims["scope"] == "predict models"
    assert claims["exp"] - claims["iat"] == 2 * 86_400
    assert (claims["sub"], claims["aud"], claims["iss"]) == ("me", "us", "it")


def test_what_the_server_looks_at_is_there(tmp_path: Path) -> None:
    settings = {"JWT_SECRET": SECRET, "JWT_AUDIENCE": "ours,others", "JWT_ISSUER": "here"}
    text = made(state=tmp_path, **settings)
    with running([SMALL_APP], settings) as server, server.client() as client:
        heads = {"Authorization": f"Bearer {text}"}
        assert client.get("/stats", headers=heads).status_code == 200


def test_the_first_secret_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "secrets"
    file.write_text(f"# new\n{SECRET}\n{'old' * 20}\n")
    assert claims_of(made(state=tmp_path, JWT_SECRET_FILE=str(file)))["scope"] == "predict"


@pytest.mark.parametrize(
    ("key", "algorithm"), [(RSA, "RS256"), (P256, "ES256"), (ED25519, "EdDSA")]
)
def test_a_private_key(tmp_path: Path, key: Any, algorithm: str) -> None:
    (tmp_path / "private.pem").write_bytes(private_pem(key))
    (tmp_path / "jwks.json").write_bytes(jwks(jwk(key, "mine")))
    arguments = ("--key", tmp_path / "private.pem", "--kid", "mine", "--scope", "admin")
    text = made(*arguments, state=tmp_path)
    assert jwt.get_unverified_header(text) == {"alg": algorithm, "kid": "mine", "typ": "JWT"}
    env = {"JWT_JWKS_FILE": str(tmp_path / "jwks.json"), "REQUIRE_API_KEY": "True"}
    with running([SMALL_APP], env) as server, server.client() as client:
        heads = {"Authorization": f"Bearer {text}"}
        assert client.post("/rule", headers=heads).status_code == 200


@pytest.mark.parametrize(
    ("arguments", "settings", "why"),
    [
        ((), {}, "there is nothing to sign with: set JWT_SECRET"),
        ((), {"JWT_SECRET": "too-short"}, "at least 32 bytes, this one 9"),
        (("--kid", "x"), {"JWT_SECRET": SECRET}, "--kid names a key of a set, and needs --key"),
        (("--key", "absent.pem"), {}, "absent.pem cannot be read"),
        (("--key", "public.pem"), {}, "public.pem: it holds no private key in PEM"),
        (("--key", "locked.pem"), {}, "the key is encrypted; decrypt it first"),
        (("--scope", "everything"), {}, "'everything' is none of predict, models, admin"),
        (("--expires", "0"), {}, "'0' is no time from now"),
        (("--expires", "11y"), {}, "'11y' is no time from now"),
        (("--expires", "99999d"), {}, "'99999d' is no time from now"),
        (("--subject", ""), {}, "1 to 256 visible characters"),
    ],
)
def test_refusals(
    tmp_path: Path, arguments: tuple[str, ...], settings: dict[str, str], why: str
) -> None:
    from cryptography.hazmat.primitives.serialization import (
        BestAvailableEncryption,
        Encoding,
        PrivateFormat,
    )

    (tmp_path / "public.pem").write_bytes(public_pem(RSA))
    locked = RSA.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
    (tmp_path / "locked.pem").write_bytes(locked)
    files = [str(tmp_path / one) if one.endswith(".pem") else one for one in arguments]
    ended = slipstream("token", *files, state=tmp_path, **settings)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert why in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "too-short" not in ended.stderr
