"""Keys and tokens for tests, made by the libraries alone and not by slipstream."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

SECRET = "a-secret-of-the-tests-that-is-long-enough-for-HS512-also-64-bytes-or-more"
OTHER_SECRET = "another-secret-of-the-tests-that-is-as-long"
RSA = rsa.generate_private_key(65537, 2048)
OTHER_RSA = rsa.generate_private_key(65537, 2048)
P256 = ec.generate_private_key(ec.SECP256R1())
ED25519 = ed25519.Ed25519PrivateKey.generate()
ANY_SIGNER = {"HS256": SECRET, "RS256": RSA, "PS256": RSA, "ES256": P256, "EdDSA": ED25519}
"""By algorithm: what a server that has them all checks with."""


def public_pem(key: Any) -> bytes:
    return bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def private_pem(key: Any) -> bytes:
    return bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def jwk(key: Any, kid: str, **more: str) -> dict[str, Any]:
    """The public half as a member of a key set."""
    algorithm = {
        rsa.RSAPrivateKey: jwt.algorithms.RSAAlgorithm,
        ec.EllipticCurvePrivateKey: jwt.algorithms.ECAlgorithm,
        ed25519.Ed25519PrivateKey: jwt.algorithms.OKPAlgorithm,
    }
    make = next(made for kind, made in algorithm.items() if isinstance(key, kind))
    return {**json.loads(make.to_jwk(key.public_key())), "kid": kid, **more}


def jwks(*members: dict[str, Any]) -> bytes:
    return json.dumps({"keys": members}).encode()


def token(
    key: Any = SECRET, algorithm: str = "HS256", kid: str | None = None, **claims: Any
) -> str:
    """A token that ends in an hour unless ``claims`` say otherwise; a claim of None is left out."""
    said = {"sub": "tests", "exp": int(time.time()) + 3600, **claims}
    headers = None if kid is None else {"kid": kid}
    return jwt.encode(
        {name: value for name, value in said.items() if value is not None},
        key,
        algorithm,
        headers=headers,
    )


def bearer(text: str) -> dict[str, str]:
    """The header that carries a token, or a key."""
    return {"Authorization": f"Bearer {text}"}


def part(content: bytes | dict[str, Any]) -> str:
    """One part of a token: base64url without padding."""
    octets = content if isinstance(content, bytes) else json.dumps(content).encode()
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def handmade(header: dict[str, Any], claims: dict[str, Any] | bytes, key: bytes = b"") -> str:
    """A token that no library would make: any header, signed with HMAC-SHA256, or not at all."""
    signed = f"{part(header)}.{part(claims)}"
    if not key:
        return f"{signed}."
    return f"{signed}.{part(hmac.new(key, signed.encode(), hashlib.sha256).digest())}"
