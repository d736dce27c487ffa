"""Priorities by their names, as both APIs and `slipstream.Engine` take them."""

from __future__ import annotations

PRIORITIES = {"low": -1, "normal": 0, "high": 5, "urgent": 10}
"""Levels of the core's scale, -1 to 10; higher wins."""
