"""Whether all is well."""

from __future__ import annotations

import msgspec


class HealthAnswer(msgspec.Struct):
    """GET health."""

    status: str
    timestamp: str
    checks: dict[str, str]
    uptime: str
    version: str
