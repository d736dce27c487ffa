"""Collects the counts of the gate and prints them when the run ends."""

from __future__ import annotations

import pytest

from exactness.counts import Table, lines

_TABLE = pytest.StashKey[Table]()


@pytest.fixture(scope="session")
def counts(request: pytest.FixtureRequest) -> Table:
    """Where tests put their counts."""
    return request.config.stash.setdefault(_TABLE, {})


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print the counts: by kind of row always, by model too if asked with -v."""
    table = config.stash.get(_TABLE, {})
    if not table:
        return
    for by in (2, 1) if config.get_verbosity() > 0 else (2,):
        terminalreporter.section("exactness by " + ("model" if by == 1 else "kind of row"))
        for line in lines(table, by):
            terminalreporter.write_line(line)
