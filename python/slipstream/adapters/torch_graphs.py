"""Which operators the code of a TorchScript archive calls, read from what torch compiled of it.

Sources can spell one operator in many ways; a compiled graph names it in one. So this is the check
that is relied on. All methods of all classes and all functions are compiled before anything runs:
an archive is opened whose object has no content, and only names the classes
(`with_nothing_to_run`); then, again, what was opened to be used is looked through.
"""

from __future__ import annotations

import pickletools
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from slipstream.errors import ModelLoadError, UnsafeModelError

OPERATORS = frozenset(
    "aten prim quantized _quantized quantization mkldnn mkldnn_prepacked sparse onednn "
    "torchvision".split()
)
"""Namespaces of operators that compute. Of the others, some reach files, processes or the network
(``c10d``, ``symm_mem``, ``debugprims``), some memory (``inductor``)."""
REACHING = frozenset("from_file save load _save _load load_tensor data_ptr".split())
"""Names of operators in any namespace that reach files, or tell where memory lies."""
CLASSES = frozenset(("quantized", "sparse", "mkldnn"))
"""Namespaces of classes of C++ that hold weights. Others are connections and the like."""
_REFUSED = frozenset("PythonOp IgnoredPythonOp rpc_async rpc_sync rpc_remote".split())
"""Of ``prim``: what leaves the process, or the language."""
_CLASS = re.compile(r"__torch__\.torch\.classes\.(\w+)", re.ASCII)
_HOLDER = "slipstream_holder"
HOLDER_FILE = f"code/__torch__/{_HOLDER}.py"
"""An entry that no archive may have of its own."""
_HOLDER_SOURCE = f"""class Holder(Module):
  __parameters__ = []
  __buffers__ = []
  def forward(self: __torch__.{_HOLDER}.Holder) -> NoneType:
    return None
"""


def refuse_operator(name: str) -> None:
    """Refuses an operator, as in ``aten::add``, that does more than compute.

    Raises:
        UnsafeModelError: names it.
    """
    namespace, _, short = name.partition("::")
    if short in REACHING or (namespace == "prim" and short in _REFUSED):
        raise UnsafeModelError(
            f"the model calls the operator {short!r} ({name}), which reaches files, processes or "
            "memory: no model needs that to answer"
        )
    if namespace not in OPERATORS:
        raise UnsafeModelError(
            f"the model calls the operator {name}; only operators that compute are served: those "
            f"of {', '.join(sorted(OPERATORS))}"
        )


def refuse_class(name: str) -> None:
    """Refuses a text that names a class of C++ that does more than hold weights.

    Raises:
        UnsafeModelError: names its namespace.
    """
    for namespace in _CLASS.findall(name):
        if namespace not in CLASSES:
            raise UnsafeModelError(
                f"the model uses a class of torch.classes.{namespace}, which no model needs to "
                "answer"
            )


def require_harmless_graphs(functions: Iterable[Any]) -> None:
    """Looks at every node of compiled functions, those in blocks included.

    Raises:
        UnsafeModelError: names the operator.
    """
    for function in functions:
        for node in _nodes(function.graph):
            refuse_operator(node.kind())
            for value in node.outputs():
                refuse_class(str(value.type()))


def _nodes(graph: Any) -> Iterator[Any]:
    waiting = [graph]
    while waiting:
        for node in waiting.pop().nodes():
            yield node
            waiting += node.blocks()


def classes_in(data: bytes) -> list[tuple[str, str]]:
    """The classes that a pickle of TorchScript names: (module, name), each once.

    Raises:
        UnsafeModelError: one of C++ that does more than hold weights.
        ModelLoadError: it is no pickle.
    """
    found: dict[tuple[str, str], None] = {}
    try:
        for opcode, argument, _ in pickletools.genops(data):
            if opcode.name == "GLOBAL":
                module, _, name = str(argument).partition(" ")
                refuse_class(f"{module}.{name}")
                if f"{module}.".startswith("__torch__."):
                    found[module, name] = None
    except UnsafeModelError:
        raise
    except Exception as error:  # genops raises ValueError, IndexError, UnicodeDecodeError, …
        raise ModelLoadError(
            f"a pickle of the TorchScript archive is damaged ({type(error).__name__})"
        ) from error
    return list(found)


def with_nothing_to_run(classes: Iterable[tuple[str, str]]) -> dict[str, bytes]:
    """Entries that make an archive compile these classes when it is opened, and build none.

    The unpickler of TorchScript resolves, and so compiles, each class that is named. Here the names
    are values in the state of an object without attributes: nothing is called with them.
    """
    pickled = [f"c__torch__.{_HOLDER}\nHolder\n)\x81}}(".encode("latin-1")]
    for number, (module, name) in enumerate(classes):
        key = str(number).encode()
        pickled.append(b"X" + len(key).to_bytes(4, "little") + key)
        pickled.append(f"c{module}\n{name}\n".encode())
    return {
        "data.pkl": b"".join((b"\x80\x02", *pickled, b"ub.")),
        HOLDER_FILE: _HOLDER_SOURCE.encode(),
    }


def import_module(path: Path) -> tuple[Any, list[Any]]:
    """As ``torch.jit.load`` to the CPU; with all functions and methods that were compiled.

    Raises: what torch does.
    """
    import torch
    from torch.jit._recursive import wrap_cpp_module

    unit: Any = torch._C.CompilationUnit()
    load: Any = torch._C.import_ir_module
    wrap: Any = wrap_cpp_module
    module = wrap(load(unit, str(path), torch.device("cpu"), {}, False))
    return module, list(unit.get_functions())
