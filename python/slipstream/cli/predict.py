"""``slipstream predict``: ask a model file about the rows of a CSV file, without a server."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from slipstream.cli.local import local_engine, patience, say
from slipstream.errors import InvalidInputError

if TYPE_CHECKING:
    from slipstream.api import Model
    from slipstream.cli.answer_writers import Writer

_CHUNK_ROWS = 4096
_SAY_EVERY_S = 2.0


def register(commands: argparse._SubParsersAction[Any]) -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser(
        "predict",
        help="answer the rows of a CSV file",
        description="Answers the rows of a CSV file by a model file, without a server. An empty "
        "cell is a missing value.",
    )
    parser.add_argument("model", metavar="MODEL", help="the model file")
    parser.add_argument("rows", metavar="ROWS.csv", help="the rows; - reads standard input")
    parser.add_argument("--type", default="auto", help="the model's type (default: by content)")
    parser.add_argument(
        "--device",
        help="where to compute: auto, cpu, cuda, cuda:N, or cuda:0,cuda:1 (default: as the "
        "setting 'device', which is auto)",
    )
    parser.add_argument(
        "--probabilities", action="store_true", help="also give the probability of each class"
    )
    parser.add_argument(
        "--json", action="store_true", help="write one JSON object a row instead of CSV"
    )
    parser.add_argument("--output", metavar="FILE", help="write there instead of standard output")
    parser.add_argument(
        "--header",
        action=argparse.BooleanOptionalAction,
        help="the first line holds column names (default: find out)",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Predicts; returns 0 when every row was answered."""
    from slipstream.cli.answer_writers import csv_writer, json_writer
    from slipstream.cli.csv_rows import CsvRows

    with local_engine(arguments.device) as engine, _input(arguments.rows) as source:
        with patience(f"loading {arguments.model} …"):
            model = engine.load(arguments.model, arguments.type, device=arguments.device)
        if model.device_reason is not None:
            say(f"it computes on the cpu: {model.device_reason}")
        name = "standard input" if arguments.rows == "-" else arguments.rows
        rows = CsvRows(source, name, model.signature, arguments.header)
        with _output(arguments.output) as target:
            writer = json_writer(target) if arguments.json else csv_writer(target, model.classes)
            count = _predict(model, rows.chunks(_chunk_rows(model)), writer, arguments, source)
            if count == 0:
                raise InvalidInputError(f"{name} holds no rows")
    return 0


def _chunk_rows(model: Model) -> int:
    """As many as bound memory; as many as a model takes that takes a fixed number at a time."""
    first = model.signature.inputs[0][2][0]
    return first if first > 0 else _CHUNK_ROWS


def _predict(
    model: Model,
    chunks: Iterator[Any],
    write: Writer,
    arguments: argparse.Namespace,
    source: TextIO,
) -> int:
    from slipstream.cli.answer_writers import Answers

    count, told_at = 0, time.monotonic()
    for chunk in chunks:
        rows = len(next(iter(chunk.values()))) if isinstance(chunk, dict) else len(chunk)
        predictions = model.predict(chunk)
        probabilities = model.predict_proba(chunk) if arguments.probabilities else None
        write(Answers(rows, predictions, probabilities))
        count += rows
        if time.monotonic() - told_at >= _SAY_EVERY_S:
            told_at = time.monotonic()
            say(f"{count:,} rows{_share(source)} …")
    return count


def _share(source: TextIO) -> str:
    """How much of the file was read, where that can be told."""
    try:
        size = os.fstat(source.fileno()).st_size
        return f", {100 * source.buffer.tell() / size:.0f}%" if size else ""
    except OSError:  # a pipe
        return ""


def _input(path: str) -> TextIO:
    is_given = path == "-"
    return open(0 if is_given else path, newline="", encoding="utf-8-sig", closefd=not is_given)


@contextmanager
def _output(path: str | None) -> Iterator[TextIO]:
    """Standard output, or a file that appears when it is complete."""
    if path is None:
        yield sys.stdout
        sys.stdout.flush()
        return
    unfinished = Path(f"{path}.part")
    try:
        with unfinished.open("w", encoding="utf-8", newline="") as stream:
            yield stream
        unfinished.replace(path)
    except OSError as error:
        error.filename = error.filename or path  # a full disk does not say where
        raise
    finally:
        unfinished.unlink(missing_ok=True)
