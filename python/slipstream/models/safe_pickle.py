"""Opening a pickle or joblib file of a model without letting it do anything else.

Three guards, each sufficient against the attacks that we know:

1. `slipstream.models.pickle_scan` runs the file symbolically and every global that it names must
   be admitted by `slipstream.models.safe_globals`, before anything is built;
2. the machine that builds (the Python one, so that each opcode is ours) asks again for each global
   and tells classes, helpers and mere values apart: only admitted helpers are ever called, states
   are only given to instances, items are only put into plain containers;
3. callers are child processes with limits (`slipstream.convert.child`, the ``process`` backend).

Arrays of joblib files are read here, never by joblib: its reader opens a fresh, unguarded pickle
for arrays of objects in the versions that most people have.
"""

from __future__ import annotations

import os
import pickle
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

from slipstream.errors import MissingDependencyError, ModelLoadError, UnsafeModelError
from slipstream.models import pickle_scan
from slipstream.models.safe_globals import Policy, Use, resolve

_ARRAY_CHUNK_BYTES = 1 << 24
_Unpickler: Any = pickle._Unpickler


def scan_file(path: Path) -> pickle_scan.Scan:
    """What the pickle at ``path`` names. Raises `ModelLoadError` if it is none."""
    with path.open("rb") as stream:
        return pickle_scan.scan(stream, os.fstat(stream.fileno()).st_size)


def check(found: pickle_scan.Scan, policy: Policy) -> None:
    """Raise `UnsafeModelError` naming the first global of ``found`` that is not admitted."""
    for module, name in found.globals:
        if (module, name) != pickle_scan.ARRAY_WRAPPER:
            resolve(module, name, policy)


def load(path: Path, policy: Policy | None = None) -> Any:
    """The object in an uncompressed pickle or joblib file.

    Args:
        path: The file (see `slipstream.models.compression` for compressed ones).
        policy: What is admitted beyond the known model libraries.

    Raises:
        UnsafeModelError: It names something that is not admitted; nothing was executed.
        ModelLoadError: It is corrupt, or does not fit the installed library versions.
        MissingDependencyError: It needs a package that is not installed.
    """
    policy = policy or Policy()
    check(scan_file(path), policy)
    with path.open("rb") as stream:
        return _load_one(stream, policy, depth=0)


def _load_one(stream: BinaryIO, policy: Policy, depth: int) -> Any:
    try:
        return SafeUnpickler(stream, policy, depth).load()
    except (ModelLoadError, MissingDependencyError, MemoryError):
        raise
    except Exception as error:
        raise ModelLoadError(
            f"the model cannot be restored by the installed libraries ({type(error).__name__}: "
            f"{error}); it may be corrupt, or saved by a version too far from the installed one"
        ) from error


class _ArrayRecord:
    """Takes the place of joblib's array wrapper: what the bytes that follow it mean."""

    shape: tuple[int, ...]
    order: str
    dtype: Any


class SafeUnpickler(_Unpickler):  # type: ignore[misc]
    """The machine that builds; `load` and readers of containers around a pickle make one."""

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = dict(_Unpickler.dispatch)

    def __init__(self, stream: BinaryIO, policy: Policy, depth: int) -> None:
        super().__init__(stream)
        self.proto = 0
        self._stream = stream
        self._policy = policy
        self._depth = depth
        self._uses: dict[int, tuple[Any, Use]] = {}  # by id; the object is kept so ids stay true

    def find_class(self, module: str, name: str) -> Any:
        """The object of a global, which is admitted."""
        module, name = pickle_scan.modern_name(module, name, self.proto)
        if (module, name) == pickle_scan.ARRAY_WRAPPER:
            found: tuple[Any, Use] = (_ArrayRecord, Use.CLASS)
        else:
            found = self.resolve(module, name)
        self._uses[id(found[0])] = found
        return found[0]

    def resolve(self, module: str, name: str) -> tuple[Any, Use]:
        """The object of a global, and what may be done with it. Raises `UnsafeModelError`."""
        return resolve(module, name, self._policy)

    def persistent_load(self, pid: Any) -> Any:
        """Refuses: whoever keeps things beside the pickle puts a method of its own here."""
        raise UnsafeModelError("the pickle uses persistent ids, which a model file never needs")

    def get_extension(self, code: int) -> None:
        """Refuses."""
        raise UnsafeModelError("the pickle uses extension codes, which a model file never needs")

    def _use_of(self, value: Any) -> Use | None:
        entry = self._uses.get(id(value))
        return entry[1] if entry is not None else None

    def _instantiate(self, klass: Any, args: Any) -> None:
        self.append(self._make(klass, tuple(args)))

    def _make(self, maker: Any, args: tuple[Any, ...]) -> Any:
        """What REDUCE asks for: an admitted helper is called, a bare class is instantiated."""
        use = self._use_of(maker)
        if use is Use.CALL and _arguments_allowed(maker, args, self._use_of):
            return maker(*args)
        if use is Use.CLASS and not args:
            return maker.__new__(maker)
        label = getattr(maker, "__qualname__", type(maker).__name__)
        raise UnsafeModelError(f"the pickle calls {label} in a way that no saved model needs")

    def _load_reduce(self) -> None:
        args = self.stack.pop()
        self.stack[-1] = self._make(self.stack[-1], args)

    def _load_newobj(self) -> None:
        args = self.stack.pop()
        cls = self.stack[-1]
        if self._use_of(cls) not in (Use.CLASS, Use.CALL) or not isinstance(cls, type):
            raise UnsafeModelError("the pickle instantiates something that is no model class")
        self.stack[-1] = cls.__new__(cls, *args)

    def _load_newobj_ex(self) -> None:
        if self.stack.pop():
            raise UnsafeModelError("the pickle passes keyword arguments to a constructor")
        self._load_newobj()

    def _load_build(self) -> None:
        if self._use_of(self.stack[-2]) is not None or callable_type(self.stack[-2]):
            raise UnsafeModelError("the pickle changes a class or a function")
        _Unpickler.load_build(self)
        if isinstance(self.stack[-1], _ArrayRecord):
            self.stack[-1] = self._read_array(self.stack[-1])
        else:
            _check_structure(self.stack[-1])

    def _container(self, value: Any, kinds: tuple[type, ...]) -> None:
        if not isinstance(value, kinds):
            raise UnsafeModelError(f"the pickle puts items into a {type(value).__name__}")

    def _load_append(self) -> None:
        self._container(self.stack[-2], (list,))
        _Unpickler.load_append(self)

    def _load_appends(self) -> None:
        values = self.pop_mark()
        self._container(self.stack[-1], (list,))
        self.stack[-1].extend(values)

    def _load_setitem(self) -> None:
        self._container(self.stack[-3], (dict,))
        _Unpickler.load_setitem(self)

    def _load_setitems(self) -> None:
        values = self.pop_mark()
        self._container(self.stack[-1], (dict,))
        kind = OrderedDict if isinstance(self.stack[-1], OrderedDict) else dict
        for key, value in zip(values[::2], values[1::2], strict=True):
            kind.__setitem__(self.stack[-1], key, value)

    def _load_additems(self) -> None:
        values = self.pop_mark()
        self._container(self.stack[-1], (set,))
        self.stack[-1].update(values)

    def _read_array(self, record: _ArrayRecord) -> Any:
        """The array whose bytes follow; arrays of objects are a nested, equally guarded pickle."""
        import numpy as np

        if not isinstance(record.dtype, np.dtype):
            raise ModelLoadError("a joblib array has no dtype")
        if record.dtype.hasobject:
            return _load_one(self._stream, self._policy, self._depth + 1)
        if getattr(record, "numpy_array_alignment_bytes", None) is not None:
            self._stream.read(self._stream.read(1)[0])
        shape = tuple(int(extent) for extent in record.shape)
        flat = np.empty(int(np.prod(shape, dtype=np.int64)), dtype=record.dtype)
        raw: Any = flat.view(np.uint8) if flat.nbytes else b""
        done = 0
        while done < flat.nbytes:
            count = self._stream.readinto(raw[done : done + _ARRAY_CHUNK_BYTES])  # type: ignore[attr-defined]
            if not count:
                raise ModelLoadError("the file ends inside an array")
            done += count
        if not flat.dtype.isnative:
            flat = flat.astype(flat.dtype.newbyteorder("="))
        return flat.reshape(shape[::-1]).T if record.order == "F" else flat.reshape(shape)

    dispatch[pickle.REDUCE[0]] = _load_reduce
    dispatch[pickle.NEWOBJ[0]] = _load_newobj
    dispatch[pickle.NEWOBJ_EX[0]] = _load_newobj_ex
    dispatch[pickle.BUILD[0]] = _load_build
    dispatch[pickle.APPEND[0]] = _load_append
    dispatch[pickle.APPENDS[0]] = _load_appends
    dispatch[pickle.SETITEM[0]] = _load_setitem
    dispatch[pickle.SETITEMS[0]] = _load_setitems
    dispatch[pickle.ADDITEMS[0]] = _load_additems


def callable_type(value: Any) -> bool:
    """Whether ``value`` is a class or a function (whose state a pickle must not touch)."""
    return isinstance(value, type) or type(value).__name__ in (
        "function",
        "builtin_function_or_method",
        "module",
        "method",
        "cython_function_or_method",
    )


def _arguments_allowed(
    maker: Any, args: tuple[Any, ...], use_of: Callable[[Any], Use | None]
) -> bool:
    """The helpers that would do more than their purpose with other arguments get these checks."""
    name = getattr(maker, "__name__", "")
    if name == "_reconstructor":
        return (
            len(args) == 3
            and use_of(args[0]) in (Use.CLASS, Use.CALL)
            and args[1] in (object, dict)
            and (args[2] is None or type(args[2]) is dict)
        )
    if name in ("__bit_generator_ctor", "__generator_ctor", "__randomstate_ctor"):
        return all(_random_argument(arg) for arg in args)
    if name == "encode":
        return len(args) == 2 and isinstance(args[0], str) and args[1] in ("latin1", "latin-1")
    if name == "_reconstruct":
        return len(args) == 3 and use_of(args[0]) is Use.VALUE and args[1] in ((0,), ())
    if name == "_mareconstruct":
        return all(use_of(arg) is Use.VALUE for arg in args[:2]) and args[2:3] == ((0,),)
    if maker is defaultdict:
        return all(arg in (None, list, dict, set, int, float, str, OrderedDict) for arg in args)
    if name in ("bytearray", "bytes"):
        return not any(isinstance(arg, int) for arg in args)  # a number would be a size
    return True


def _random_argument(value: Any) -> bool:
    """NumPy's restorers call what they are given: only its own generators and restorer will do."""
    module = getattr(value, "__module__", None) or type(value).__module__
    return isinstance(value, str) or str(module).startswith("numpy.random")


def _check_structure(value: Any) -> None:
    """Refuse restored trees whose links or features would send native code out of bounds."""
    kind = f"{type(value).__module__}.{type(value).__name__}"
    if kind == "sklearn.tree._tree.Tree":
        nodes, features = value.node_count, value.n_features
        left, right, feature = value.children_left, value.children_right, value.feature
        inner = left != -1
    elif kind == "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor":
        table = value.nodes
        nodes, features = len(table), None
        left, right, feature = table["left"], table["right"], table["feature_idx"]
        inner = table["is_leaf"] == 0
    else:
        return
    import numpy as np

    at = np.flatnonzero(inner)
    for child in (left[at].astype(np.int64), right[at].astype(np.int64)):
        if ((child <= at) | (child >= nodes)).any():
            raise UnsafeModelError("a decision tree in the file has links that lead out of it")
    wanted = feature[at]
    if (wanted < 0).any() or (features is not None and (wanted >= features).any()):
        raise UnsafeModelError("a decision tree in the file splits on a feature it does not have")
