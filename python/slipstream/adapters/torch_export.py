"""Opening programs of ``torch.export`` (``.pt2``): in the converter child only.

An exported program is data, but ``torch.export.load`` reads parts of it as pickles, and size
expressions by evaluating them; and its names end up in the sources of what is compiled from it. So
an archive is looked through before torch sees it, and only what an exporter writes is let through.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from slipstream.adapters.base import missing_package
from slipstream.adapters.torch_pickle import globals_in, is_storage
from slipstream.errors import ModelLoadError, UnsafeModelError

_MOST_JSON_BYTES = 256 << 20
_SYMBOL = re.compile(r"Symbol\('[a-z]+\d+'(, \w+=(True|False))*\)")
_EXPRESSION = re.compile(r"[\w\s+\-*/%(),<>=&|~]*")
_WORD = re.compile(r"[A-Za-z_]\w*")
_WORDS = frozenset(
    "Add Mul Pow Integer Rational Mod PythonMod FloorDiv CleanDiv CeilDiv Max Min Abs Piecewise "
    "Equality Unequality GreaterThan LessThan StrictGreaterThan StrictLessThan And Or Not True "
    "False".split()
)
_NAME = re.compile(r"[\w.\[\]]*")
_TARGET = re.compile(r"torch\.ops\.(aten|prims)\.\w+\.\w+|_operator\.\w+|math\.\w+|torch\.sym_\w+")
_TEXT = re.compile(r"[\w ,.\->:;/]*")
_EXPRESSION_KEYS = frozenset(("expr_str", "as_expr"))
_NAME_KEYS = frozenset(("name", "param_name", "buffer_name", "input_name", "tensor_name"))
_COMMENTS = frozenset(
    ("stack_trace", "nn_module_stack", "torch_fn", "source_fn_stack", "from_node")
)
"""Free texts of a node, which compilers write into their sources as comments."""
_SAFE_GLOBALS = frozenset(
    (
        ("torch._utils", "_rebuild_tensor_v2"),
        ("torch._utils", "_rebuild_parameter"),
        ("collections", "OrderedDict"),
    )
)


def require_harmless(path: Path) -> None:
    """Refuses an archive with parts that torch would run.

    Raises:
        UnsafeModelError: there is one; names it.
        ModelLoadError: the archive is damaged, or too large.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                _check(archive, name)
    except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError) as error:
        raise ModelLoadError(f"the exported program is damaged: {error}") from error


def _check(archive: zipfile.ZipFile, name: str) -> None:
    if archive.getinfo(name).file_size > _MOST_JSON_BYTES and name.endswith((".json", ".pt")):
        raise ModelLoadError(f"{name} in the archive is longer than {_MOST_JSON_BYTES} bytes")
    if name.endswith("_config.json"):
        found = _json(archive, name)
        if any(key == "use_pickle" and value for key, value in _entries(found)):
            raise UnsafeModelError(f"the exported program keeps values in pickles ({name})")
    elif "/models/" in name and name.endswith(".json"):
        _check_graph(_json(archive, name))
    elif "/sample_inputs/" in name:
        _check_pickles(archive.read(name), name)
    elif name.endswith((".so", ".o", ".py", ".pkl", ".pt")):
        raise UnsafeModelError(f"the exported program contains {name.rpartition('/')[2]}")


def _json(archive: zipfile.ZipFile, name: str) -> Any:
    try:
        return msgspec.json.decode(archive.read(name))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ModelLoadError(f"{name} in the archive is no JSON: {error}") from error


def _entries(value: Any) -> Iterator[tuple[str, Any]]:
    """Every key of every object, with its value; bounded by the size of the JSON."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            yield from one.items()
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one


def _check_graph(graph: Any) -> None:
    for key, value in _entries(graph):
        if not isinstance(value, str):
            continue
        if key in _EXPRESSION_KEYS:
            fits = _is_expression(value)
        elif key == "target":
            fits = bool(_TARGET.fullmatch(value))
        elif key in _NAME_KEYS:
            fits = bool(_NAME.fullmatch(value))
        elif key == "as_string":
            fits = bool(_TEXT.fullmatch(value))
        else:
            continue
        if not fits:
            raise UnsafeModelError(
                f"the exported program has the {key} {value[:80]!r}, which is none that can be "
                "served: operators of aten and prims, plain names and sizes"
            )


def _is_expression(text: str) -> bool:
    """Whether an expression is one of sizes: it will be evaluated as Python."""
    plain = _SYMBOL.sub("", text)
    words = set(_WORD.findall(plain)) - _WORDS
    return bool(_EXPRESSION.fullmatch(plain)) and all(re.fullmatch(r"[su]\d+", w) for w in words)


def _check_pickles(data: bytes, name: str) -> None:
    """What torch.save has written: its pickle may name tensors and nothing else."""
    with zipfile.ZipFile(io.BytesIO(data)) as inner:
        for entry in inner.namelist():
            if not entry.endswith(".pkl"):
                continue
            content = inner.read(entry)
            for module, what in globals_in(content):
                if not is_storage(module, what) and (module, what) not in _SAFE_GLOBALS:
                    raise UnsafeModelError(
                        f"{name} in the exported program is a pickle that names {module}.{what}"
                    )


def open_program(path: Path) -> Any:
    """The ``torch.export.ExportedProgram`` in an archive.

    Raises:
        MissingDependencyError: no torch.
        UnsafeModelError, ModelLoadError: as `require_harmless`; or it does not open.
    """
    require_harmless(path)
    try:
        import torch
    except ImportError as error:
        raise missing_package("torch", "torch", error) from error
    try:
        with path.open("rb") as stream:
            program = torch.export.load(stream)
        for node in program.graph.nodes:
            for key in _COMMENTS & node.meta.keys():
                del node.meta[key]
        return program
    except Exception as error:  # the reader raises what it likes
        raise ModelLoadError(
            f"torch {torch.__version__} cannot open the exported program "
            f"({type(error).__name__}: {str(error)[:300]})"
        ) from error
