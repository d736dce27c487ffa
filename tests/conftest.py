"""What every test shares: reproducible property tests, and the repository's root."""

from __future__ import annotations

from pathlib import Path

import hypothesis
import pytest

# The same examples in every run, so that a red run can be repeated; no test measures time.
hypothesis.settings.register_profile("slipstream", deadline=None, derandomize=True)
hypothesis.settings.load_profile("slipstream")


@pytest.fixture(scope="session")
def root() -> Path:
    """The root of the checkout."""
    return Path(__file__).resolve().parent.parent
