"""What an exported program says of itself, value by value: nothing that torch would run may be in.

torch evaluates expressions of sizes, and writes names of arguments, keys of dicts, guards and
comments into Python or C++ that it then compiles. So every text in a program has a form that it
must have, by its place; what is only there to be read by people, or to be evaluated, is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from slipstream.adapters.torch_graphs import REACHING
from slipstream.errors import ModelLoadError, UnsafeModelError

_SYMBOL = re.compile(r"Symbol\('[a-z]+\d+'(, \w+=(True|False))*\)", re.ASCII)
_EXPRESSION = re.compile(r"[\w\s+\-*/%(),<>=&|~]*", re.ASCII)
_WORD = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_SIZE = re.compile(r"[su]\d+", re.ASCII)
_WORDS = frozenset(
    "Add Mul Pow Integer Rational Mod PythonMod FloorDiv CleanDiv CeilDiv Max Min Abs Piecewise "
    "Equality Unequality GreaterThan LessThan StrictGreaterThan StrictLessThan And Or Not True "
    "False".split()
)
_NAME = re.compile(r"[\w.\[\]]*", re.ASCII)
_FORMS = {
    "as_string": re.compile(r"[\w ,.\->:;/]*", re.ASCII),
    "as_strings": re.compile(r"[\w ,.\->:;/]*", re.ASCII),
    "as_float": re.compile(r"-?(Infinity|NaN)"),
    "as_floats": re.compile(r"-?(Infinity|NaN)"),
    "torch_version": re.compile(r"[\w.+\-<= ]*", re.ASCII),
    "fqn": re.compile(r"[\w.@\-\[\]]*", re.ASCII),
    "parameter_name": re.compile(r"[\w.\-\[\]]*", re.ASCII),
    "buffer_name": re.compile(r"[\w.\-\[\]]*", re.ASCII),
    "tensor_constant_name": re.compile(r"[\w.\-\[\]]*", re.ASCII),
}
"""Key → form of its texts; others are plain names."""
_TARGET = re.compile(
    r"torch\.ops\.(?:aten|prims)\.(\w+)\.[A-Za-z]\w*|math\.[a-z]\w*|torch\.sym_\w+|"
    r"_operator\.(?:add|sub|mul|truediv|floordiv|mod|pow|neg|pos|abs|and_|or_|xor|not_|lshift|"
    r"rshift|eq|ne|lt|le|gt|ge|getitem)",
    re.ASCII,
)
_EXPRESSIONS = frozenset(("expr_str", "as_expr"))
_SPECS = frozenset(("in_spec", "out_spec"))
_OBJECTS = frozenset(("as_custom_obj", "custom_obj", "class_fqn"))
"""Keys of values of classes of C++."""
_LISTS = frozenset(
    "builtins.tuple builtins.list torch.fx.immutable_collections.immutable_list".split()
)
_DICTS = frozenset(
    "builtins.dict collections.OrderedDict torch.fx.immutable_collections.immutable_dict".split()
)
_KEY = re.compile(r"[\w.\- /:]*", re.ASCII)
"""Of a dict that a program takes or gives; torch writes it into Python."""


def checked_program(text: bytes) -> bytes:
    """The JSON of a program, written anew without comments and guards.

    Guards repeat what sizes and their ranges say, as Python; the machine code has none of them.

    Raises:
        UnsafeModelError: it has a text that torch may run; names it.
        ModelLoadError: it is damaged.
    """
    program = decoded(text, "models/model.json")
    try:
        program["guards_code"] = []
        program["graph_module"]["metadata"] = {}
        program["graph_module"]["treespec_namedtuple_fields"] = {}
    except (KeyError, TypeError) as error:
        raise ModelLoadError("models/model.json in the archive is no exported program") from error
    _leave_out_comments(program)
    for key, value in _texts(program):
        _check(key, value)
    return msgspec.json.encode(program)


def decoded(text: bytes, name: str) -> Any:
    """The value of a JSON.

    Raises:
        ModelLoadError: it is none.
    """
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ModelLoadError(f"{name} in the archive is no JSON: {error}") from error


def _values(value: Any) -> Iterator[tuple[str, Any]]:
    """Every value in a tree, with the key that it, or the list that it is in, stands under."""
    waiting = [("", value)]
    while waiting:
        key, one = waiting.pop()
        yield key, one
        if isinstance(one, dict):
            waiting += one.items()
        elif isinstance(one, list):
            waiting += [(key, item) for item in one]


def _leave_out_comments(program: Any) -> None:
    """Traces of where a node came from, which compilers write into their sources."""
    for _, value in _values(program):
        if isinstance(value, dict) and isinstance(value.get("target"), str):
            value["metadata"] = {}


def _texts(program: Any) -> Iterator[tuple[str, str]]:
    for key, value in _values(program):
        if isinstance(value, str):
            yield key, value
        elif isinstance(value, dict):
            for name in value:
                yield "expr_str" if key == "range_constraints" else "name", name
            if _OBJECTS & value.keys():
                raise UnsafeModelError(
                    "the exported program has objects of classes of C++, which are not served: "
                    "export it with tensors and numbers only"
                )


def _check(key: str, value: str) -> None:
    if key in _SPECS:
        _check_spec(decoded(value.encode("utf-8", "replace"), key))
        return
    if key in _EXPRESSIONS:
        fits = _is_expression(value)
    elif key in ("target", "as_operator"):
        found = _TARGET.fullmatch(value)
        fits = found is not None and found[1] not in REACHING
    else:
        fits = bool(_FORMS.get(key, _NAME).fullmatch(value))
    if not fits:
        raise UnsafeModelError(
            f"the exported program has the {key or 'text'} {value[:80]!r}, which is none that can "
            "be served: operators of aten and prims that compute, plain names and sizes"
        )


def _is_expression(text: str) -> bool:
    """Whether an expression is one of sizes: it will be evaluated as Python."""
    plain = _SYMBOL.sub("", text)
    words = set(_WORD.findall(plain)) - _WORDS
    return bool(_EXPRESSION.fullmatch(plain)) and all(_SIZE.fullmatch(word) for word in words)


def _check_spec(spec: Any) -> None:
    """How arguments or answers are nested: in tuples, lists and dicts."""
    waiting = [spec[1]] if isinstance(spec, list) and len(spec) == 2 else [None]
    while waiting:
        one = waiting.pop()
        if not isinstance(one, dict) or one.keys() != {"type", "context", "children_spec"}:
            raise ModelLoadError("the exported program does not say how its arguments are nested")
        kind, context, children = one["type"], one["context"], one["children_spec"]
        fits = isinstance(children, list)
        if kind is None:
            fits = fits and context is None and not children
        elif kind in _LISTS:
            fits = fits and context == "null"
        else:
            fits = fits and kind in _DICTS and _are_keys(context)
        if not fits:
            raise UnsafeModelError(
                f"the exported program takes or gives {str(kind)[:80]!r} of {str(context)[:80]!r}, "
                "which cannot be served: only tuples, lists and dicts with plain names"
            )
        waiting += children


def _are_keys(context: Any) -> bool:
    found = (
        decoded(context.encode("utf-8", "replace"), "context") if isinstance(context, str) else 0
    )
    return isinstance(found, list) and all(
        isinstance(key, int) or (isinstance(key, str) and _KEY.fullmatch(key)) for key in found
    )
