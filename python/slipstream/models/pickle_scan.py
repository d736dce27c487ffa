"""What a pickle would do, found out without doing it.

A pickle is a program for a small stack machine. The scanner runs that program with symbols in the
place of everything it names: a class is a symbol, calling it gives another symbol, setting its
state is noted. So it follows every trick with the memo or the stack, and nothing is imported,
called or built. It also reads joblib files, whose arrays lie as raw bytes between the opcodes.

Used before `slipstream.models.safe_pickle` builds anything.
"""

from __future__ import annotations

import _compat_pickle
import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, BinaryIO, ClassVar

from slipstream.errors import ModelLoadError, UnsafeModelError

ARRAY_WRAPPER = ("joblib.numpy_pickle", "NumpyArrayWrapper")
_MOST_NESTED_STREAMS = 8
_MOST_GLOBALS = 100_000
_COPY_CHUNK = 1 << 20


@dataclass(eq=False)
class Symbol:
    """Stands for a global (``source`` None) or for what calling ``source`` would give."""

    module: str = ""
    name: str = ""
    source: Any = None
    args: Any = ()
    state: Any = None

    @property
    def is_global(self) -> bool:
        """Whether the pickle names this directly."""
        return self.source is None


@dataclass
class Scan:
    """All globals a pickle names, in order of appearance, and the class of its outermost object."""

    globals: list[tuple[str, str]] = field(default_factory=list)
    root: tuple[str, str] | None = None
    root_kind: str = ""
    """The Python type of the outermost object where that is not an instance of a named class."""
    persistent_ids: bool = False
    """Whether they are allowed."""


def scan(stream: BinaryIO, size: int, *, persistent_ids: bool = False) -> Scan:
    """Run the pickle in ``stream`` (``size`` bytes, seekable) symbolically.

    Args:
        stream: Where it begins.
        size: How long it is at most.
        persistent_ids: Whether it may use them: torch keeps its tensors apart by them.

    Raises:
        ModelLoadError: The stream is no complete pickle.
        UnsafeModelError: It uses persistent ids or extension codes, which a model file never needs.
    """
    found = Scan(persistent_ids=persistent_ids)
    reader = _Reader(stream, size)
    root = _scan_one(reader, found, depth=0)
    cls = _class_of(root)
    if cls is not None:
        found.root = (cls.module, cls.name)
    else:
        found.root_kind = type(root).__name__
    return found


def _scan_one(reader: _Reader, found: Scan, depth: int) -> Any:
    if depth > _MOST_NESTED_STREAMS:
        raise UnsafeModelError("the file nests pickles inside object arrays more than 8 deep")
    try:
        return _Scanner(reader, found, depth).load()
    except (ModelLoadError, MemoryError):
        raise
    except RecursionError as error:
        raise ModelLoadError("the pickle nests its values too deeply") from error
    except Exception as error:
        raise ModelLoadError(
            f"the pickle is corrupt or cut short ({type(error).__name__}: {error})"
        ) from error


def modern_name(module: str, name: str, protocol: int) -> tuple[str, str]:
    """The Python 3 name of a global; protocols below 3 write the Python 2 one."""
    if protocol >= 3:
        return module, name
    module, name = _compat_pickle.NAME_MAPPING.get((module, name), (module, name))
    return _compat_pickle.IMPORT_MAPPING.get(module, module), name


def _class_of(value: Any) -> Symbol | None:
    """The global whose instance ``value`` is, through the ways pickle has to make one."""
    if not isinstance(value, Symbol) or value.is_global:
        return None
    maker = value.source
    if not isinstance(maker, Symbol) or not maker.is_global:
        return None
    if (maker.module, maker.name) in _MAKERS and value.args:
        first = value.args[0]
        return first if isinstance(first, Symbol) and first.is_global else None
    return maker


_MAKERS = {("copyreg", "_reconstructor"), ("copyreg", "__newobj__")}


class _Reader:
    """A file that refuses to be asked for more bytes than it has: no allocation on a lie."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream = stream
        self._left = size
        self._skipped = 0

    def read(self, n: int = -1) -> bytes:
        if n < 0 or n > self._left:
            raise EOFError(f"{n} bytes announced, {self._left} left")
        self._left -= n
        return self._stream.read(n)

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def readline(self) -> bytes:
        line = self._stream.readline(min(self._left, 1 << 16))
        self._left -= len(line)
        return line

    def skip(self, n: int) -> None:
        if n < 0 or n > self._left:
            raise EOFError(f"an array of {n} bytes announced, {self._left} left")
        self._left -= n
        self._stream.seek(n, 1)


_Unpickler: Any = pickle._Unpickler
"""The stack machine in Python: its every opcode can be replaced, unlike the C one."""


class _Scanner(_Unpickler):  # type: ignore[misc]
    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = dict(_Unpickler.dispatch)

    def __init__(self, reader: _Reader, found: Scan, depth: int) -> None:
        super().__init__(reader)
        self.proto = 0
        self._reader = reader
        self._found = found
        self._depth = depth

    def find_class(self, module: str, name: str) -> Symbol:
        module, name = modern_name(module, name, self.proto)
        key = (module, name)
        if key not in self._found.globals:
            if len(self._found.globals) >= _MOST_GLOBALS:
                raise UnsafeModelError("the pickle names more than 100000 different globals")
            self._found.globals.append(key)
        return Symbol(module, name)

    def persistent_load(self, pid: Any) -> Any:
        if self._found.persistent_ids:
            return Symbol(source=Symbol("pickle", "persistent_load"), args=(pid,))
        raise UnsafeModelError("the pickle uses persistent ids, which a model file never needs")

    def get_extension(self, code: int) -> None:
        raise UnsafeModelError("the pickle uses extension codes, which a model file never needs")

    def _instantiate(self, klass: Any, args: Any) -> None:
        self.append(Symbol(source=klass, args=tuple(args)))

    def _load_reduce(self) -> None:
        args = self.stack.pop()
        self.stack[-1] = Symbol(source=self.stack[-1], args=args)

    def _load_newobj_ex(self) -> None:
        self.stack.pop()  # keyword arguments
        self._load_reduce()

    def _load_build(self) -> None:
        state = self.stack.pop()
        target = self.stack[-1]
        if not isinstance(target, Symbol):
            return
        target.state = state
        cls = _class_of(target)
        if cls is not None and (cls.module, cls.name) == ARRAY_WRAPPER:
            _skip_array(self._reader, state, self._found, self._depth)

    def _load_append(self) -> None:
        value = self.stack.pop()
        if isinstance(self.stack[-1], list):
            self.stack[-1].append(value)

    def _load_appends(self) -> None:
        values = self.pop_mark()
        if isinstance(self.stack[-1], list):
            self.stack[-1].extend(values)

    def _load_setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        if isinstance(self.stack[-1], dict):
            self.stack[-1][key] = value

    def _load_setitems(self) -> None:
        values = self.pop_mark()
        if isinstance(self.stack[-1], dict):
            self.stack[-1].update(zip(values[::2], values[1::2], strict=True))

    def _load_additems(self) -> None:
        self.pop_mark()

    dispatch[pickle.REDUCE[0]] = _load_reduce
    dispatch[pickle.NEWOBJ[0]] = _load_reduce
    dispatch[pickle.NEWOBJ_EX[0]] = _load_newobj_ex
    dispatch[pickle.BUILD[0]] = _load_build
    dispatch[pickle.APPEND[0]] = _load_append
    dispatch[pickle.APPENDS[0]] = _load_appends
    dispatch[pickle.SETITEM[0]] = _load_setitem
    dispatch[pickle.SETITEMS[0]] = _load_setitems
    dispatch[pickle.ADDITEMS[0]] = _load_additems


def _skip_array(reader: _Reader, state: Any, found: Scan, depth: int) -> None:
    """Step over the bytes of one array that joblib wrote after its wrapper."""
    import numpy as np

    if not isinstance(state, dict) or not {"shape", "dtype"} <= set(state):
        raise ModelLoadError("a joblib array has no shape or dtype")
    dtype = state["dtype"]
    if has_object(dtype):
        _scan_one(reader, found, depth + 1)
        return
    count = 1
    for extent in state["shape"]:
        if not isinstance(extent, int) or extent < 0:
            raise ModelLoadError("a joblib array has an impossible shape")
        count *= extent
    if state.get("numpy_array_alignment_bytes") is not None:
        reader.skip(reader.read(1)[0])
    reader.skip(count * np.dtype(str(dtype.args[0])).itemsize)


def has_object(dtype: Any, depth: int = 0) -> bool:
    """Whether a symbolic ``numpy.dtype`` holds Python objects anywhere."""
    if not isinstance(dtype, Symbol) or not dtype.args or depth > _MOST_NESTED_STREAMS:
        raise ModelLoadError("a joblib array has a dtype that cannot be read")
    if str(dtype.args[0]).startswith("O"):
        return True
    state = dtype.state
    if not isinstance(state, tuple) or len(state) < 5:
        return False
    if isinstance(state[2], tuple) and state[2]:  # an array of a base dtype
        return has_object(state[2][0], depth + 1)
    fields = state[4]
    if not isinstance(fields, dict):
        return False
    return any(has_object(entry[0], depth + 1) for entry in fields.values())
