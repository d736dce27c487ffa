"""What health means, as a pure function of measurements.

``degraded`` still serves and says look at me; ``unhealthy`` should get no traffic.
"""

from __future__ import annotations

import collections
from pathlib import Path
from typing import Literal

import msgspec

Level = Literal["healthy", "degraded", "unhealthy"]
_ORDER: tuple[Level, ...] = ("healthy", "degraded", "unhealthy")
_WINDOW_S = 60.0
_ENOUGH_REQUESTS = 10
_TOO_MANY_ERRORS = 0.1
_TOO_MANY_RESTARTS = 3
_NEARLY_FULL = 0.9


class Measurements(msgspec.Struct, frozen=True):
    """What `assess` looks at, all measured at one moment."""

    accepting: bool
    """The engine takes requests."""
    memory_is_over: bool
    """More than the limit is used, and nothing is left to evict."""
    available_share: float | None
    """Memory that the machine or container can still give, as a share of all it has."""
    missing_models: int
    """That were to be there after the start, or to come back into memory, and are not."""
    lost_devices: int
    """Models whose device is lost: they answer nothing until the process is started again, or the
    device comes back."""
    recent_restarts: int
    """Worker processes of models that died in the last minute and were started again."""
    fullest_queue: float
    """Of all models, as a share of what may wait."""
    gate_full: bool
    """As many requests are in progress as are admitted."""
    recent_requests: int
    recent_errors: int
    """Requests of the last minute that a backend failed on."""


def assess(now: Measurements) -> dict[str, Level]:
    """The four documented checks."""
    memory: Level = "healthy"
    if now.memory_is_over:
        memory = "degraded"
    if now.available_share is not None and now.available_share < 0.05:
        memory = "unhealthy" if now.available_share < 0.01 else "degraded"
    engine: Level = "degraded" if now.recent_restarts >= _TOO_MANY_RESTARTS else "healthy"
    if now.lost_devices or not now.accepting:
        engine = "unhealthy"
    crowded = now.gate_full or now.fullest_queue > _NEARLY_FULL
    failing = (
        now.recent_requests >= _ENOUGH_REQUESTS
        and now.recent_errors >= _TOO_MANY_ERRORS * now.recent_requests
    )
    return {
        "engine_status": engine,
        "memory_usage": memory,
        "model_loading": "degraded" if now.missing_models else "healthy",
        "inference_performance": "degraded" if failing or crowded else "healthy",
    }


def overall(checks: dict[str, Level]) -> Level:
    """The worst of the checks."""
    return max(checks.values(), key=_ORDER.index)


class RecentCounts:
    """Turns counters that only grow into how much they grew over about the last minute."""

    def __init__(self) -> None:
        self._samples: collections.deque[tuple[float, int, int]] = collections.deque(maxlen=64)

    def update(self, now_s: float, requests: int, errors: int) -> tuple[int, int]:
        """Enters the totals of this moment (seconds on any steady clock); returns the growth.

        A total that shrank (a model was unloaded) starts the window anew.
        """
        samples = self._samples
        if samples and (requests < samples[-1][1] or errors < samples[-1][2]):
            samples.clear()
        while len(samples) > 1 and now_s - samples[0][0] > _WINDOW_S:
            samples.popleft()
        if not samples or now_s - samples[-1][0] >= 1.0:
            samples.append((now_s, requests, errors))
        return requests - samples[0][1], errors - samples[0][2]


def available_share() -> float | None:
    """Memory still to be had: the machine's or the container's, whichever is scarcer."""
    shares = [share for share in (_machine_share(), _container_share()) if share is not None]
    return min(shares, default=None)


def _machine_share() -> float | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    sizes = {line.split(":")[0]: int(line.split()[1]) for line in lines if ":" in line}
    total, available = sizes.get("MemTotal"), sizes.get("MemAvailable")
    return available / total if total and available is not None else None


def _container_share() -> float | None:
    """From control groups version 2; file pages that can be dropped count as available."""
    root = Path("/sys/fs/cgroup")
    try:
        limit = (root / "memory.max").read_text(encoding="ascii").strip()
        used = int((root / "memory.current").read_text(encoding="ascii"))
        lines = (root / "memory.stat").read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return None
    if not limit.isdigit() or int(limit) == 0:
        return None
    droppable = next(
        (int(line.split()[1]) for line in lines if line.startswith("inactive_file ")), 0
    )
    return max(0.0, 1 - (used - droppable) / int(limit))
