"""Talks to the processes that hold rivals: a line of fields set apart by tabs, a line back.

`bench/forest/driver/commands.h` lists the commands; `bench.forest.python_rival` knows the same.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.forest import environments
from bench.forest.rivals import Ready
from bench.lib.interleave import ContenderFailedError, Timer


class WorkerError(ContenderFailedError):
    """The process refused a command, or died; the text says which."""


class Worker:
    """One process that holds rivals; a context manager that ends it.

    Args:
        command: The program.
        threads: How many the libraries in it may use; 1 also keeps their pools from starting.
        cpu: The core to run on; None: any.
    """

    def __init__(self, command: Sequence[str | Path], threads: int, cpu: int | None) -> None:
        variables = {"OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # libraries log there, and a full pipe would stop them
            text=True,
            env={**os.environ, **variables},
            cwd=environments.ROOT,
        )
        self._threads = threads
        if cpu is not None:
            self.ask("pin", cpu)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue  # it died with a command unread; `ask` has said so

    def ask(self, *fields: object) -> list[str]:
        """Gives a command and waits for the values that it answers.

        Raises:
            WorkerError: the answer was an error, or the process is gone.
        """
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write("\t".join(map(str, fields)) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            code = self._process.wait()
            raise WorkerError(f"the process ended ({code}) during: {fields[0]} {fields[1]}")
        status, *values = answer.rstrip("\n").split("\t")
        if status != "ok":
            raise WorkerError(" ".join(values))
        return values

    def data(self, name: str, stem: Path, rows: int, columns: int) -> None:
        """Opens the matrix that `write_matrix` wrote at ``stem``."""
        self.ask("data", name, f"{stem}.f64", f"{stem}.f32", rows, columns)

    def load(self, name: str, ready: Ready, features: int) -> int:
        """Loads a rival; returns the values per row that it answers."""
        options: Mapping[str, object] = {
            **ready.options, "threads": self._threads, "features": features
        }  # fmt: skip
        pairs = [f"{key}={value}" for key, value in options.items()]
        return int(self.ask("load", name, ready.kind, *pairs)[1])

    def timer(self, name: str, data: str, batch: int) -> Timer:
        """Times that many calls of ``batch`` rows."""
        return lambda calls: int(self.ask("time", name, data, batch, calls)[0])


def start_driver(threads: int, cpu: int | None) -> Worker:
    """The C++ program, with no rival loaded yet."""
    return Worker([environments.DRIVER], threads, cpu)


def start_python(threads: int, cpu: int | None) -> Worker:
    """A Python process for the rivals without a C interface."""
    return Worker([sys.executable, "-m", "bench.forest.python_rival"], threads, cpu)
