"""python/slipstream: imports point down, never in a circle, and few know the compiled module."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tidy.tree import PACKAGE, PYTHON, name_of, report, require_no_cycle, text_of

LAYERS = (
    {"cli", "samples"},
    {"http"},
    {"tasks", "streams", "tune", "audio", "auth", "autoscale", "example", "downloads"},
    {"api"},
    {"engine", "gpu", "models", "adapters", "convert", "quantize", "worker"},
    {"settings"},
    {"setting_options"},
    {"ids"},
    {"child_environment", "decoding", "drawing", "errors", "own_threads", "priorities", "scopes"}
    | {"device_names"}
    | {"_engine", "_engine_cuda", "_engine_ensembles", "_engine_front", "_version"},
)
"""From top to bottom; a module imports from its own layer and from those below it."""

ENGINE_FACE = "engine"
"""The one part that imports the compiled module, slipstream._engine."""

COMPILED = {"_engine", "_engine_cuda", "_engine_ensembles", "_engine_front"}
"""Its stubs; at run time it is one module."""

LEVEL = {part: level for level, parts in enumerate(LAYERS) for part in parts}
FACADE_LEVEL = LEVEL["http"]
"""Layers down to this one may import the facade, ``slipstream`` itself."""

MODULES = [path for path in PYTHON if path.is_relative_to(PACKAGE)]


def dotted(path: Path) -> str:
    """The import name of the module at ``path``."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {dotted(path) for path in MODULES}


def part_of(module: str) -> str:
    """The part of slipstream that ``module`` belongs to; "" for the package itself."""
    return [*module.split("."), ""][1]


def run_at_import(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes below ``node`` that run when the module is imported."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        yield from run_at_import(child)


def imports(path: Path, *, at_import_only: bool = False) -> Iterator[tuple[int, str]]:
    """The modules of slipstream that ``path`` imports, each with the line."""
    tree = ast.parse(text_of(path))
    package = dotted(path).split(".")
    if path.name != "__init__.py":
        package.pop()
    for node in run_at_import(tree) if at_import_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            start = ".".join([*base, *filter(None, [node.module])])
            names = [f"{start}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            if name.partition(".")[0] == "slipstream":
                # `from a.b import c` imports the module a.b.c if there is one, else a.b.
                known = name in NAMES or part_of(name) == "_engine"
                yield node.lineno, name if known else name.rpartition(".")[0] or name


def test_every_module_has_its_layer() -> None:
    report(
        f"{name_of(path)}: '{part_of(dotted(path))}' has no place in LAYERS of this test"
        for path in MODULES
        if dotted(path) != "slipstream" and part_of(dotted(path)) not in LEVEL
    )


def test_imports_point_down() -> None:
    findings = []
    for path in MODULES:
        part = part_of(dotted(path))
        if part not in LEVEL:
            continue
        for line, module in imports(path):
            imported = part_of(module)
            if imported and LEVEL.get(imported, LEVEL[part]) < LEVEL[part]:
                findings.append(f"{name_of(path)}:{line}: {part} imports {module}, a layer above")
            elif not imported and LEVEL[part] > FACADE_LEVEL:
                findings.append(f"{name_of(path)}:{line}: imports the facade, slipstream itself")
    report(findings)


def test_only_the_engine_face_imports_the_compiled_module() -> None:
    report(
        f"{name_of(path)}:{line}: use slipstream.{ENGINE_FACE} instead of slipstream._engine"
        for path in MODULES
        if part_of(dotted(path)) not in {ENGINE_FACE, *COMPILED}
        for line, module in imports(path)
        if part_of(module) == "_engine"
    )


def test_structs_are_decoded_by_what_was_made_at_import() -> None:
    """Anything else may end a process with several threads: see ``slipstream.decoding``."""
    names = {"msgspec.convert", "json.decode", "msgpack.decode", "json.Decoder", "msgpack.Decoder"}
    report(
        f"{name_of(path)}:{call.lineno}: decodes a Struct by itself; use slipstream.decoding"
        for path in MODULES
        if path.stem not in ("decoding", "child")  # a child process has one thread
        for call in ast.walk(ast.parse(text_of(path)))
        if isinstance(call, ast.Call)
        and any(ast.unparse(call.func).endswith(name) for name in names)
        and (len(call.args) > 1 or call.keywords or "Decoder" in ast.unparse(call.func))
        and "dict[str, object]" not in ast.unparse(call)
        and "InputDecoder" not in ast.unparse(call.func)
    )


def test_imports_have_no_cycle() -> None:
    graph = {
        dotted(path): {
            module for _, module in imports(path, at_import_only=True) if module != dotted(path)
        }
        for path in MODULES
        if path.suffix == ".py"
    }
    require_no_cycle(graph, "modules import each other")
