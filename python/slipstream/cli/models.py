"""``slipstream models``: the list of models, checked before a server reads it; and its schema."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import msgspec

from slipstream.errors import SlipstreamError
from slipstream.models.catalog import MODELS_FILE
from slipstream.models.catalog_check import Checked, check_entry
from slipstream.models.catalog_file import CatalogError, read_catalog
from slipstream.models.catalog_schema import catalog_schema
from slipstream.settings import Settings, load_settings

_MIB = 1 << 20


def register(commands: argparse._SubParsersAction[Any]) -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser(
        "models",
        help=f"check {MODELS_FILE}",
        description=f"Checks {MODELS_FILE}, the list of models that a server loads when it starts.",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    check = actions.add_parser(
        "check",
        help="tell what is wrong with it",
        description="Tells what is wrong with the list and with the files that it names. Exit "
        "status 0: nothing; 1: something.",
    )
    check.add_argument(
        "folder", metavar="DIR", nargs="?", help="the model directory (default: MODEL_DIR)"
    )
    check.add_argument("--json", action="store_true", help="print one JSON object")
    check.set_defaults(run=run_check)
    schema = actions.add_parser(
        "schema",
        help="print its JSON Schema",
        description=f"Prints the JSON Schema of {MODELS_FILE}, for editors and for CI.",
    )
    schema.set_defaults(run=run_schema)


def run_schema(_: argparse.Namespace) -> int:
    """Prints the schema."""
    print(msgspec.json.format(msgspec.json.encode(catalog_schema()), indent=2).decode())
    return 0


class CheckedModel(msgspec.Struct):
    """One model of what ``--json`` prints."""

    model_id: str | None
    model_path: str
    enabled: bool
    found: str | None
    """What the file holds."""
    size_mb: float | None
    problem: str | None


class Report(msgspec.Struct):
    """What ``--json`` prints."""

    file: str
    valid: bool
    problems: list[str]
    """Of the list itself, by line."""
    models: list[CheckedModel]


def run_check(arguments: argparse.Namespace) -> int:
    """Checks; returns 0 when all is well."""
    settings = load_settings()
    folder = Path(arguments.folder) if arguments.folder else settings.model_dir
    file = folder / MODELS_FILE
    problems: list[str] = []
    checked: list[Checked] = []
    if not file.exists():
        problems = [f"{file}: there is no such file"]
    else:
        try:
            found = [
                check_entry(entry, folder, allow_custom_code=settings.allow_custom_code)
                for entry in read_catalog(folder).models
            ]
            checked = [_placed(one, settings) for one in found]
        except CatalogError as error:
            problems = error.message.splitlines()
    valid = not problems and not any(one.problem and one.entry.enabled for one in checked)
    if arguments.json:
        report = Report(str(file), valid, problems, [_row(one) for one in checked])
        print(msgspec.json.format(msgspec.json.encode(report), indent=2).decode())
    else:
        _show(file, problems, checked)
    return 0 if valid else 1


def _placed(one: Checked, settings: Settings) -> Checked:
    """The same, with what is said of GPUs held against the backends that it may come to run in."""
    from slipstream.api.listed import tuning_of  # here: it loads the core
    from slipstream.api.placement import checked_tuning, require_possible

    if one.problem is not None:
        return one
    name, refusals = Path(one.entry.model_path).name, []
    try:
        tuning = checked_tuning(tuning_of(one.entry), plugins=settings.gpu_provider_plugins)
    except SlipstreamError as error:
        return one._replace(problem=error.message)
    asked = tuning.device or one.own_device or settings.device
    for backend in one.backends:
        try:
            require_possible(backend, name, tuning, asked)
        except SlipstreamError as error:
            refusals.append(error.message)
    # Which of several it will be is known when the file is converted.
    refused = bool(refusals) and len(refusals) == len(one.backends)
    return one._replace(problem=refusals[0]) if refused else one


def _row(one: Checked) -> CheckedModel:
    size = None if one.size_bytes is None else round(one.size_bytes / _MIB, 6)
    entry = one.entry
    return CheckedModel(
        *(entry.model_id, entry.model_path, entry.enabled, one.kind, size, one.problem)
    )


def _show(file: Path, problems: list[str], checked: list[Checked]) -> None:
    for problem in problems:
        print(problem)
    for one in checked:
        entry = one.entry
        name = entry.model_id or entry.model_path
        state = "ok" if one.problem is None else "wrong"
        if not entry.enabled:
            state = "off"
        told = one.problem or f"{entry.model_path}: {one.kind}, {_size(one.size_bytes)}"
        print(f"{state:<6}{name}: {told}")
    wrong = sum(1 for one in checked if one.problem and one.entry.enabled)
    if not problems:
        print(f"{file}: {len(checked)} models, {wrong} of them wrong")


def _size(count: int | None) -> str:
    return "?" if count is None else f"{count / _MIB:.3g} MiB"
