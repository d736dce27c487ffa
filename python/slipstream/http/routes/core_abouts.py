"""What the OpenAPI document says of each route at the root: one entry a route."""

from __future__ import annotations

from slipstream.http.types import About

CORE_ABOUTS: dict[str, About] = {}
"""Method and path → what it is."""
