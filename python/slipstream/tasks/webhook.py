"""Signatures of callbacks, as the Standard Webhooks specification (standardwebhooks.com) has them.

``webhook-signature`` holds ``v1,`` and the base64 of HMAC-SHA256 over ``id.timestamp.body``; with
several secrets one such word each, set apart by spaces, so that a secret can be replaced without a
moment in which callbacks are refused.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence

PREFIX = "whsec_"


def key_of(secret: str) -> bytes:
    """The key of a secret, ``whsec_`` and base64.

    Raises:
        ValueError: it is not of that form.
    """
    if not secret.startswith(PREFIX):
        raise ValueError(f"a secret begins with {PREFIX}")
    try:
        return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error as error:
        raise ValueError("a secret is base64") from error


def signed_headers(
    keys: Sequence[bytes], message_id: str, timestamp: int, body: bytes
) -> list[tuple[str, str]]:
    """The headers of one attempt; without keys there is no signature among them."""
    headers = [("webhook-id", message_id), ("webhook-timestamp", str(timestamp))]
    if keys:
        signatures = (signature(key, message_id, timestamp, body) for key in keys)
        headers.append(("webhook-signature", " ".join(signatures)))
    return headers


def signature(key: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """One word of ``webhook-signature``."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    digest = hmac.new(key, signed, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"
