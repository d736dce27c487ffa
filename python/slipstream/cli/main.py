"""``slipstream <command> …``: finds the command and turns its errors into one line.

A command is a module with ``register(commands)``, which adds its parser, and ``run(arguments)``,
which returns the exit status: 0 done, 1 failed, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from slipstream._version import __version__
from slipstream.cli import build_backend, devices, inspect, models, predict, serve, token
from slipstream.errors import SlipstreamError
from slipstream.settings import SettingsError

_COMMANDS = (serve, predict, inspect, models, token, devices, build_backend)


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    top = argparse.ArgumentParser(
        prog="slipstream", description="An inference server for people who count microseconds."
    )
    top.add_argument("--version", action="version", version=f"slipstream {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in _COMMANDS:
        command.register(commands)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit status."""
    arguments = parser().parse_args(argv)
    try:
        status: int = arguments.run(arguments)
        return status
    except SlipstreamError as error:
        print(f"slipstream: error: {error.message}", file=sys.stderr)
        return 2 if isinstance(error, SettingsError) else 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whoever read our output has enough; nothing may be flushed to it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"slipstream: error: {where}{error.strerror or error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
