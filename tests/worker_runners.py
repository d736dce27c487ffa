"""Runners for the tests of the process backend (tests/cpp/process and test_worker.py)."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
import time
from pathlib import Path

import numpy as np

from slipstream.errors import MissingDependencyError
from slipstream.worker.protocol import DTYPE_NAMES
from slipstream.worker.runner import Array, TensorSpec


def _dims(text: str) -> tuple[int, ...]:
    return tuple(int(dim) for dim in text.split(",") if dim)


def _fd_link(fd: int) -> Path:
    return Path(f"/proc/self/fd/{fd}")


class Rows:
    """One input of every dtype comes back, row by row."""

    batchable = True

    def __init__(self, artifact: str, options: dict[str, str]) -> None:
        dims = _dims(options.get("dims", "-1"))
        self.inputs = [TensorSpec(f"in_{name}", name, dims) for name in DTYPE_NAMES]
        self.outputs = [TensorSpec(f"out_{name}", name, dims) for name in DTYPE_NAMES]

    def run(self, inputs: list[Array], wanted: int) -> list[Array | None]:
        if any(array.flags.writeable for array in inputs):
            raise RuntimeError("an input is writeable")
        return [array if wanted >> i & 1 else None for i, array in enumerate(inputs)]


class Echo(Rows):
    """The same for any rank; a last output ``seen`` says what Python made of each input."""

    batchable = False

    def __init__(self, artifact: str, options: dict[str, str]) -> None:
        super().__init__(artifact, options)
        self.outputs.append(TensorSpec("seen", "string", (len(DTYPE_NAMES),)))

    def run(self, inputs: list[Array], wanted: int) -> list[Array | None]:
        seen = [f"{array.dtype}:{array.tolist()}" for array in inputs]
        return [*super().run(inputs, wanted), np.array(seen, dtype=object)]


class Scale:
    """A batchable model: y = factor * x, float32[-1, 3]; returns float64 to be converted."""

    inputs = (TensorSpec("x", "float32", (-1, 3)),)
    outputs = (TensorSpec("y", "float32", (-1, 3)),)
    batchable = True

    def __init__(self, artifact: str, options: dict[str, str]) -> None:
        self._factor = float(options["factor"])

    def run(self, inputs: list[Array], wanted: int) -> list[Array]:
        return [inputs[0].astype(np.float64) * self._factor]


class Control:
    """Does what its one string input says; see the methods' names."""

    inputs = (TensorSpec("command", "string", (-1,)),)
    outputs = (
        TensorSpec("pid", "int64", (1,)),
        TensorSpec("data", "uint8", (-1,)),
        TensorSpec("text", "string", (-1,)),
    )
    batchable = False

    def __init__(self, artifact: str, options: dict[str, str]) -> None:
        self._options = options
        self._artifact = artifact

    def run(self, inputs: list[Array], wanted: int) -> list[Array | None]:
        command, _, argument = str(inputs[0][0]).partition(":")
        data: Array = np.zeros(0, np.uint8)
        text: list[object] = []
        match command:
            case "block":  # Say that we are here, then never return.
                Path(argument).touch()
                while True:
                    time.sleep(3600)
            case "block_natively":  # The same without ever releasing the interpreter.
                Path(argument).touch()
                ctypes.PyDLL(None).pause()
            case "exit":
                os._exit(int(argument))
            case "sys_exit":
                sys.exit(int(argument))
            case "signal":
                os.kill(os.getpid(), int(argument))
            case "raise":
                kind, _, message = argument.partition(":")
                known = {
                    k.__name__: k for k in (ValueError, TypeError, KeyError, ZeroDivisionError)
                }
                raise known[kind](message)
            case "data":
                data = (np.arange(int(argument)) % 251).astype(np.uint8)
            case "lengths":
                text = [str(len(item)) for item in inputs[0]]
            case "environment":
                text = [os.environ.get(argument)]
            case "limit":
                text = [str(resource.getrlimit(resource.RLIMIT_AS)[0])]
            case "loaded_with":
                text = [self._artifact, *sorted(f"{k}={v}" for k, v in self._options.items())]
            case "files":
                text = [
                    str(link.readlink()) for link in map(_fd_link, range(64)) if link.is_symlink()
                ]
            case "signals":
                os.kill(os.getpid(), signal.SIGINT)
                os.kill(os.getpid(), signal.SIGTERM)
                os.kill(os.getpid(), signal.SIGHUP)
                text = ["survived"]
            case "wrong_dtype":
                data = np.zeros(1, np.float32)
            case "wrong_rank":
                data = np.zeros((1, 1), np.uint8)
            case "no_output":
                return [None, None, None]
            case "too_few":
                return [data]
            case "not_text":
                text = [7]
            case "surrogate":
                text = ["\ud800"]
        return [np.array([os.getpid()]), data, np.array(text, dtype=object)]


def moody(artifact: str, options: dict[str, str]) -> Control:
    """What happens at the start is written in the artifact."""
    mood, _, argument = Path(artifact).read_text().strip().partition(" ")
    match mood:
        case "raise":
            raise RuntimeError(argument)
        case "value":
            raise ValueError(argument)
        case "missing":
            raise MissingDependencyError(argument)
        case "import":
            __import__(argument)
        case "exit":
            os._exit(int(argument))
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "hang":
            time.sleep(3600)
    control = Control(artifact, options)
    if mood == "other_spec":
        control.inputs = (TensorSpec("other", "string", (-1,)),)
    return control


class Glutton:
    """Takes as many GiB of memory as it is asked to."""

    inputs = (TensorSpec("gib", "int64", ()),)
    outputs = (TensorSpec("bytes", "int64", ()),)
    batchable = False

    def __init__(self, artifact: str, options: dict[str, str]) -> None:
        pass

    def run(self, inputs: list[Array], wanted: int) -> list[Array]:
        return [np.asarray(np.empty(int(inputs[0]) << 30, np.uint8).nbytes)]


class FalselyBatchable(Control):
    batchable = True


class UnknownDtype(Control):
    inputs = (TensorSpec("command", "decimal", (-1,)),)


not_callable = 7
