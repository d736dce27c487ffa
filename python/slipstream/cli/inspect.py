"""``slipstream inspect``: what a model file is, takes and gives.

A pickle is never opened in this process: the converter child opens it, if it is one that may be.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from slipstream.cli.local import local_engine, patience, say
from slipstream.errors import ModelLoadError

if TYPE_CHECKING:
    from slipstream.api import Engine
    from slipstream.models.manifest import Manifest, Tensor

_MIB = 1 << 20
_SHOWN_LABELS = 20


class TensorReport(msgspec.Struct):
    """One input or output; null in ``shape`` is a dimension of any size."""

    name: str
    dtype: str
    shape: list[int | None]


class Report(msgspec.Struct):
    """What ``--json`` prints."""

    model_path: str
    model_size_mb: float
    model_type: str
    framework: str
    estimator: str | None
    task: str
    compiled: bool
    reason: str | None
    """Why it is not compiled; null when it is."""
    backend: str
    accepts_missing: bool
    inputs: list[TensorReport]
    outputs: list[TensorReport]
    columns: list[str] | None
    classes: list[str | bool | int | float] | None


def register(commands: argparse._SubParsersAction[Any]) -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser(
        "inspect",
        help="tell what a model file is",
        description="Tells what a model file is, takes and gives. Refuses pickles that would run "
        "code when opened.",
    )
    parser.add_argument("model", metavar="MODEL", help="the model file")
    parser.add_argument("--type", default="auto", help="the model's type (default: by content)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Inspects; returns 0 when the file is a model that slipstream serves."""
    with local_engine() as engine, patience(f"looking at {arguments.model} …"):
        report = _report(engine, arguments.model, arguments.type)
    if arguments.json:
        print(msgspec.json.format(msgspec.json.encode(report), indent=2).decode())
    else:
        print("\n".join(f"{name:<12}{text}" for name, text in _lines(report)))
    return 0


def _report(engine: Engine, path: str, model_type: str) -> Report:
    from slipstream.api.placement import gpu_to_build_on
    from slipstream.api.plan_check import not_kept_if_refused, require_runnable
    from slipstream.api.tuning import UNTUNED
    from slipstream.models.paths import resolve_model_path
    from slipstream.models.prepare import PrepareOptions, prepare
    from slipstream.models.tensorrt_files import is_plan, unprepared_manifest

    settings, file = engine.settings, resolve_model_path(path, None)
    try:
        require_runnable(file, model_type, UNTUNED, settings)
        prepared = prepare(
            file,
            settings.state_path / "artifacts",
            PrepareOptions(
                model_type=model_type,
                compile_model=settings.enable_compilation,
                allow_custom_code=settings.allow_custom_code,
                gpu=lambda own: gpu_to_build_on(own, file.name, UNTUNED, settings.device),
            ),
        )
        manifest, size = prepared.manifest, prepared.size_bytes
        inputs, outputs = _tensors(manifest.inputs), _tensors(manifest.outputs)
        if not inputs:  # a graph: only the backend can tell
            with not_kept_if_refused(prepared):
                signature = engine.load(path, model_type).signature
            shown = [spec for spec in signature.outputs if spec[0] not in signature.kept_outputs]
            inputs, outputs = _specs(signature.inputs), _specs(shown)
    except ModelLoadError as error:
        if model_type not in ("auto", "tensorrt") or not is_plan(file):
            raise
        say(f"inputs and outputs are known only where the plan runs: {error.message}")
        manifest, size, inputs, outputs = unprepared_manifest(file), file.stat().st_size, [], []
    return _reported(path, size, manifest, inputs, outputs)


def _reported(
    path: str,
    size_bytes: int,
    manifest: Manifest,
    inputs: list[TensorReport],
    outputs: list[TensorReport],
) -> Report:
    return Report(
        model_path=path,
        model_size_mb=round(size_bytes / _MIB, 6),
        model_type=manifest.model_type,
        framework=manifest.framework,
        estimator=manifest.estimator,
        task=manifest.task,
        compiled=manifest.compiled,
        reason=manifest.reason,
        backend=manifest.backend,
        accepts_missing=manifest.accepts_missing or manifest.model_type == "onnx",
        inputs=inputs,
        outputs=outputs,
        columns=_column_names(manifest),
        classes=None if manifest.classes is None else list(manifest.classes),
    )


def _tensors(tensors: Sequence[Tensor]) -> list[TensorReport]:
    return [TensorReport(tensor.name, tensor.dtype, list(tensor.shape)) for tensor in tensors]


def _specs(specs: Sequence[tuple[str, str, tuple[int, ...]]]) -> list[TensorReport]:
    return [
        TensorReport(name, dtype, [None if extent < 0 else extent for extent in dims])
        for name, dtype, dims in specs
    ]


def _column_names(manifest: Manifest) -> list[str] | None:
    return None if manifest.columns is None else [column.name for column in manifest.columns]


def _lines(report: Report) -> list[tuple[str, str]]:
    made = f"{report.estimator} ({report.framework})" if report.estimator else report.framework
    lines = [
        ("file", f"{Path(report.model_path).name}, {_size(report.model_size_mb)}"),
        ("type", report.model_type),
        ("made with", made),
        ("task", report.task),
        ("compiled", "yes" if report.compiled else f"no: {report.reason}"),
        ("backend", report.backend),
        ("missing", "values may be missing" if report.accepts_missing else "nothing may be"),
    ]
    lines += _tensor_lines("inputs", report.inputs)
    lines += _tensor_lines("outputs", report.outputs)
    if report.columns is not None:
        lines.append(("columns", ", ".join(report.columns)))
    if report.classes is not None:
        shown = ", ".join(map(str, report.classes[:_SHOWN_LABELS]))
        more = len(report.classes) - _SHOWN_LABELS
        lines.append(("classes", f"{shown}, and {more} more" if more > 0 else shown))
    return lines


def _size(mebibytes: float) -> str:
    return f"{mebibytes:,.1f} MiB" if mebibytes >= 1 else f"{round(mebibytes * _MIB):,} bytes"


def _tensor_lines(title: str, tensors: list[TensorReport]) -> list[tuple[str, str]]:
    width = max((len(tensor.name) for tensor in tensors), default=0)
    texts = [
        f"{tensor.name:<{width}}  {tensor.dtype} "
        f"[{', '.join('any' if extent is None else str(extent) for extent in tensor.shape)}]"
        for tensor in tensors
    ]
    return [(title if index == 0 else "", text) for index, text in enumerate(texts)]
