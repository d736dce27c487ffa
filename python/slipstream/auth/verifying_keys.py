"""Keys that tokens are checked with, each with the algorithms that its own type allows.

Which algorithm may check a token follows from the key and from nothing in the token (RFC 8725,
3.1). So ``none`` is never possible, and a public key can never be taken for a shared secret.
"""

from __future__ import annotations

import json
import logging
from typing import Any, NamedTuple

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)
from cryptography.x509 import load_pem_x509_certificate

from slipstream.settings import SettingsError

_log = logging.getLogger("slipstream.auth")
MOST_KEYS = 32
"""In one file, and at once: each may be tried for one token."""
SHORTEST_SECRET_BYTES = 32
"""RFC 7518, 3.2: a key of HS256 is at least as long as its hash."""
_SHORTEST_RSA_BITS = 2048  # RFC 7518, 3.3
_EC_ALGORITHMS = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
_A_SECRET = "make one with: openssl rand -hex 32"


class VerifyingKey(NamedTuple):
    """One key; ``kid`` None stands for any."""

    key: Any
    algorithms: tuple[str, ...]
    kid: str | None = None


def secret_key(secret: str, source: str) -> VerifyingKey:
    """The key that is a shared secret.

    Raises:
        SettingsError: it is too short, or something else that is meant to be public.
    """
    octets = secret.encode()
    if "-----BEGIN" in secret:
        raise SettingsError(
            f"{source}: this is a key in PEM, not a secret; name its file with JWT_PUBLIC_KEY_FILE"
        )
    if len(octets) < SHORTEST_SECRET_BYTES:
        raise SettingsError(
            f"{source}: a secret for HS256 has at least {SHORTEST_SECRET_BYTES} bytes, this one "
            f"{len(octets)} (RFC 7518, 3.2); {_A_SECRET}"
        )
    return VerifyingKey(octets, ("HS256",))


def pem_keys(text: str, source: str) -> list[VerifyingKey]:
    """The public keys and certificates of a PEM file.

    Raises:
        SettingsError: there are none, too many, a private one, or one that is too weak.
    """
    found = []
    for block in text.split("-----BEGIN ")[1:]:
        label = block.partition("-----")[0]
        if "PRIVATE" in label:
            raise SettingsError(
                f"{source}: it holds a private key, which belongs to whoever makes tokens; put "
                "the public one here: openssl pkey -in private.pem -pubout"
            )
        pem = f"-----BEGIN {block}".encode()
        try:
            if label == "CERTIFICATE":
                key: Any = load_pem_x509_certificate(pem).public_key()
            else:
                key = load_pem_public_key(pem)
        except Exception as error:  # whatever the library thinks of damaged bytes
            raise SettingsError(f"{source}: it holds no public key that can be read") from error
        found.append(VerifyingKey(key, algorithms_of(key, source)))
    return _counted(found, source, "it holds no public key in PEM (-----BEGIN PUBLIC KEY-----)")


def jwks_keys(text: str, source: str) -> list[VerifyingKey]:
    """The public signature keys of a JSON Web Key Set (RFC 7517); other keys are left out.

    Raises:
        SettingsError: it is no such set, has none of them or too many, or a secret part of one.
    """
    try:
        members = json.loads(text)["keys"]
        keys = [dict(member) for member in members]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise SettingsError(f'{source}: it is no JSON Web Key Set: {{"keys": […]}}') from error
    found = []
    left_out = []
    for number, member in enumerate(keys):
        where = f"{source}: key {number}"
        if member.get("kty") == "oct" or "d" in member:
            raise SettingsError(
                f"{where} is secret: a set here holds public keys only, and secrets go into "
                "JWT_SECRET_FILE"
            )
        if member.get("use", "sig") == "sig":
            try:
                found.append(_jwk(member, where))
            except SettingsError as error:  # one of another service's, perhaps: RFC 7517, 5
                left_out.append(error.message)
    keys_found = _counted(
        found, source, "; ".join(left_out) or "none of its keys is for signatures"
    )
    for reason in left_out:
        _log.warning("a key is left out: %s", reason)
    return keys_found


def _jwk(member: dict[str, Any], where: str) -> VerifyingKey:
    kid, alg = member.get("kid"), member.get("alg")
    try:
        key = jwt.PyJWK(member).key
    except Exception as error:  # its text may repeat the key
        raise SettingsError(f"{where} cannot be read, or is of a type that is not known") from error
    algorithms = algorithms_of(key, where)
    if alg is not None:
        if alg not in algorithms:
            raise SettingsError(f"{where}: its 'alg' is none of {', '.join(algorithms)}")
        algorithms = (alg,)
    return VerifyingKey(key, algorithms, kid if isinstance(kid, str) else None)


def algorithms_of(key: object, source: str) -> tuple[str, ...]:
    """The algorithms of a key by its type, private or public; the first one is used to sign.

    Raises:
        SettingsError: there are none for it, or it is too weak.
    """
    if isinstance(key, rsa.RSAPublicKey | rsa.RSAPrivateKey):
        if key.key_size < _SHORTEST_RSA_BITS:
            raise SettingsError(
                f"{source}: an RSA key has at least {_SHORTEST_RSA_BITS} bits, this one "
                f"{key.key_size} (RFC 7518, 3.3)"
            )
        return ("RS256", "PS256")
    if isinstance(key, ec.EllipticCurvePublicKey | ec.EllipticCurvePrivateKey):
        algorithm = _EC_ALGORITHMS.get(key.curve.name)
        if algorithm is not None:
            return (algorithm,)
    if isinstance(key, ed25519.Ed25519PublicKey | ed25519.Ed25519PrivateKey):
        return ("EdDSA",)
    raise SettingsError(
        f"{source}: keys are RSA, EC on the curves P-256, P-384 and P-521, or Ed25519; this one "
        "is something else"
    )


def mark_of(key: VerifyingKey) -> bytes:
    """What tells this key from others, its name and its algorithms included."""
    if isinstance(key.key, bytes):
        content = key.key
    else:
        content = key.key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return repr((key.kid, key.algorithms)).encode() + content


def _counted(found: list[VerifyingKey], source: str, none: str) -> list[VerifyingKey]:
    if not found:
        raise SettingsError(f"{source}: {none}")
    if len(found) > MOST_KEYS:
        raise SettingsError(f"{source}: {len(found)} keys, {MOST_KEYS} at most")
    return found
