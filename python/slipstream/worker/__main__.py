"""``python -m slipstream.worker``: become the worker that the server describes by arguments.

Not for people: the file descriptors come open from the server. Exit status 0 means that the server
closed the socket, 1 that the model could not be loaded (the server was told why).
"""

from __future__ import annotations

import argparse
import fcntl
import gc
import logging
import os
import resource
import select
import signal
import sys
from typing import TYPE_CHECKING

from slipstream.worker.protocol import (
    KIND_FAILED,
    KIND_READY,
    PROTOCOL_VERSION,
    Record,
)

if TYPE_CHECKING:
    from slipstream.worker.runner import Runner

logger = logging.getLogger("slipstream.worker")


def _arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="slipstream.worker", allow_abbrev=False)
    for name in (
        "protocol",
        "socket-fd",
        "request-fd",
        "response-fd",
        "lifeline-fd",
        "max-message-bytes",
    ):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--memory-limit-mb", type=int)
    parser.add_argument("--runner", required=True)
    parser.add_argument("--artifact", required=True)
    parser.add_argument("--runner-option", action="append", default=[], metavar="KEY=VALUE")
    return parser.parse_args(argv)


def _ignore_terminal_signals() -> None:
    """Leave SIGINT, SIGTERM and SIGHUP to the server, which drains and then closes our socket.

    Handlers that do nothing, not SIG_IGN: a program that the model starts must not inherit this.
    The server started us with them blocked, so that none slips in before this line.
    """
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for number in numbers:
        signal.signal(number, lambda *_: None)
        signal.siginterrupt(number, False)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)


def _die_with_server(lifeline_fd: int) -> None:
    """Have the kernel kill this process when the server's end of the lifeline pipe closes.

    A worker that waits sees the socket's end, but one that is busy in native code sees nothing,
    and must not outlive a killed server. Nothing is ever written to the pipe; its one event is the
    end. (PR_SET_PDEATHSIG would fire when the *thread* that started us ends.)
    """
    fcntl.fcntl(lifeline_fd, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline_fd, fcntl.F_SETSIG, signal.SIGKILL)
    flags = fcntl.fcntl(lifeline_fd, fcntl.F_GETFL)
    fcntl.fcntl(lifeline_fd, fcntl.F_SETFL, flags | os.O_ASYNC)
    poll = select.poll()
    poll.register(lifeline_fd, select.POLLIN)
    if poll.poll(0):
        sys.exit(0)  # The server ended before the lifeline was armed.


def _load(arguments: argparse.Namespace) -> Runner:
    """Check the version, set the limits, and have the runner load the artifact."""
    if arguments.protocol != PROTOCOL_VERSION:
        raise ImportError(
            f"the worker speaks protocol {PROTOCOL_VERSION}, the server {arguments.protocol}: "
            "install the same slipstream for both (options python and python_path)"
        )
    if arguments.memory_limit_mb is not None:
        limit_bytes = arguments.memory_limit_mb << 20
        resource.setrlimit(resource.RLIMIT_AS, (limit_bytes, limit_bytes))
    from slipstream.worker.runner import load_runner  # NumPy, under the limit just set

    options = dict(option.split("=", 1) for option in arguments.runner_option)
    return load_runner(arguments.runner, arguments.artifact, options)


def _report_failure(arguments: argparse.Namespace, error: Exception) -> None:
    """Tell the server why there is no model. Needs no NumPy, which may be what is missing."""
    from slipstream.worker.failures import describe_load_failure, encode_text

    status, text = describe_load_failure(error)
    data = encode_text(text)
    os.pwrite(arguments.response_fd, data, 0)
    record = Record(
        KIND_FAILED,
        body_bytes=len(data),
        status=status,
        segment_bytes=os.fstat(arguments.response_fd).st_size,
    )
    os.write(arguments.socket_fd, record.pack())


def _run(arguments: argparse.Namespace) -> None:
    """Load the model, say so, serve, and close the model."""
    try:
        runner = _load(arguments)
        from slipstream.worker.loop import serve
        from slipstream.worker.segment import RequestSegment, ResponseSegment
        from slipstream.worker.tensors import pack_spec

        spec = pack_spec(runner)
        request = RequestSegment(arguments.request_fd)
        response = ResponseSegment(arguments.response_fd, arguments.max_message_bytes)
        response.reserve(len(spec))
    except Exception as error:
        logger.debug("cannot load %s", arguments.artifact, exc_info=True)
        _report_failure(arguments, error)
        sys.exit(1)
    response.view[: len(spec)] = spec
    # What the model is made of lives as long as the process: the collector need not visit it.
    gc.collect()
    gc.freeze()
    ready = Record(KIND_READY, body_bytes=len(spec), segment_bytes=len(response.view))
    os.write(arguments.socket_fd, ready.pack())
    serve(arguments.socket_fd, request, response, runner)
    close = getattr(runner, "close", None)
    if callable(close):
        close()


def main(argv: list[str]) -> None:
    """Run the worker until the server ends it."""
    arguments = _arguments(argv)
    _ignore_terminal_signals()
    inherited = (
        arguments.socket_fd,
        arguments.request_fd,
        arguments.response_fd,
        arguments.lifeline_fd,
    )
    for fd in inherited:
        os.set_inheritable(fd, False)
    _die_with_server(arguments.lifeline_fd)
    level = os.environ.get("SLIPSTREAM_LOG_LEVEL", "").upper()
    logging.basicConfig(
        level=logging.getLevelNamesMapping().get(level, logging.WARNING),
        format=f"worker {os.getpid()} %(levelname)s %(name)s: %(message)s",
    )
    _run(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
