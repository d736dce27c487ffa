"""Hostile pickles must do nothing: each tries to create a canary file, and none may succeed."""

from __future__ import annotations

import io
import os
import pickle
import struct
import subprocess
import sys
from collections import OrderedDict, defaultdict
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest

from slipstream.errors import ModelLoadError, UnsafeModelError
from slipstream.models import safe_pickle
from slipstream.models.prepare import PrepareOptions, prepare
from slipstream.models.safe_globals import Policy, Use, resolve


class Call:
    """Pickles into ``function(*arguments)``."""

    def __init__(self, function: Any, *arguments: Any, state: Any = None) -> None:
        self.parts = (function, arguments, state) if state is not None else (function, arguments)

    def __reduce__(self) -> Any:
        return self.parts


def raw(*parts: bytes, protocol: int = 4) -> bytes:
    return bytes([0x80, protocol]) + b"".join(parts) + b"."


def text(value: str) -> bytes:
    data = value.encode()
    return b"\x8c" + bytes([len(data)]) + data


def stack_global(module: str, name: str) -> bytes:
    return text(module) + text(name) + b"\x93"


def call_raw(module: str, name: str, argument: str) -> bytes:
    return raw(stack_global(module, name), text(argument), b"\x85R")


def scaler(**state: Any) -> bytes:
    """An innocent StandardScaler whose state is what the caller says."""
    from sklearn.preprocessing import StandardScaler

    model = StandardScaler()
    model.__dict__.update(state)
    return pickle.dumps(model)


def gadgets(canary: str) -> dict[str, bytes]:
    """Hostile pickles by name: each would create ``canary``, or worse, if anything in it ran."""
    return known_gadgets(canary) | devious_gadgets(canary)


def known_gadgets(canary: str) -> dict[str, bytes]:
    """Names that execute something, written plainly."""
    touch = f"touch {canary}"
    python = f"open({canary!r}, 'w').close()"
    inner = pickle.dumps(Call(os.system, touch))
    return {
        "os.system": pickle.dumps(Call(os.system, touch)),
        "os.system protocol 0": pickle.dumps(Call(os.system, touch), protocol=0),
        "os.system protocol 2": pickle.dumps(Call(os.system, touch), protocol=2),
        "subprocess": pickle.dumps(Call(subprocess.Popen, ["touch", canary])),
        "check_output": pickle.dumps(Call(subprocess.check_output, ["touch", canary])),
        "eval": pickle.dumps(Call(eval, python)),
        "exec": pickle.dumps(Call(exec, python)),
        "nt.system": call_raw("nt", "system", touch),
        "importlib": call_raw("importlib", "import_module", "antigravity"),
        "runpy": call_raw("runpy", "run_path", canary),
        "pickle in pickle": raw(
            stack_global("pickle", "loads"), b"B", struct.pack("<I", len(inner)), inner, b"\x85R"
        ),
        "joblib.load": call_raw("joblib", "load", canary),
        "numpy.load": call_raw("numpy", "load", canary),
        "numpy testing": call_raw("numpy.testing._private.utils", "runstring", python),
        "numpy f2py": call_raw("numpy.f2py.crackfortran", "getlincoef", python),
        "getattr": raw(
            stack_global("builtins", "getattr"), stack_global("sklearn", "os"), text("system"),
            b"\x86", b"R", text(touch), b"\x85R",
        ),
        "dotted name": call_raw("sklearn.base", "os.system", touch),
        "dotted class": raw(
            stack_global("sklearn.base", "BaseEstimator.__init__.__globals__"), b"0N"
        ),
        "module attribute": call_raw("sklearn.utils", "os", touch),
        "sklearn shell": call_raw(
            "sklearn.utils._testing", "assert_run_python_script_without_output", python
        ),
        "sklearn test module": call_raw("sklearn.utils.tests.test_utils", "os", touch),
        "sklearn function": call_raw("sklearn.datasets._base", "load_files", "/"),
        "sklearn fetch": call_raw("sklearn.datasets._openml", "fetch_openml", "iris"),
        "functools.partial": raw(
            stack_global("functools", "partial"), stack_global("os", "system"), text(touch),
            b"\x86R)R",
        ),
        "operator": call_raw("operator", "methodcaller", "system"),
        "type": raw(stack_global("builtins", "type"), text("X"), b")}", b"\x87R"),
        "code object": call_raw("types", "CodeType", "x"),
        "inst opcode": b"(S'" + touch.encode() + b"'\nios\nsystem\n.",
        "obj opcode": b"(cos\nsystem\nS'" + touch.encode() + b"'\no.",
        "extension": raw(b"\x82\x01"),
        "persistent id": b"P1\n.",
    }  # fmt: skip


def devious_gadgets(canary: str) -> dict[str, bytes]:
    """The same hidden: in the memo, deep in a model, or behind names that are admitted."""
    touch = f"touch {canary}"
    found = {}
    # The name only comes together on the stack and through the memo.
    found["memo"] = raw(
        text("system"), b"\x94", b"0", text("os"), b"\x94", b"0",
        b"h\x01", b"h\x00", b"\x93", text(touch), b"\x85R",
    )  # fmt: skip
    # The last of many values, long after the model itself.
    found["after the model"] = pickle.dumps([_fitted(), Call(os.system, touch)])
    found["inside the model"] = scaler(mean_=Call(os.system, touch))
    found["in an object array"] = scaler(mean_=np.array([Call(os.system, touch)], dtype=object))
    # Things that are admitted, used for something else.
    found["class attribute"] = raw(
        stack_global("sklearn.preprocessing._data", "StandardScaler"),
        b"N}", text("transform"), stack_global("builtins", "set"), b"s\x86b",
    )  # fmt: skip
    found["restorer calls a class"] = raw(
        stack_global("numpy.random._pickle", "__randomstate_ctor"), text("MT19937"),
        stack_global("sklearn.preprocessing._data", "StandardScaler"), b"\x86R",
    )  # fmt: skip
    found["constructor reads a file"] = raw(
        stack_global("xgboost.core", "Booster"), b"N)", text(canary), b"\x87R"
    )
    found["codec by name"] = raw(
        stack_global("_codecs", "encode"), text("x"), text("os.path"), b"\x86R"
    )
    found["huge bytearray"] = raw(
        stack_global("builtins", "bytearray"), b"\x8a\x05" + (1 << 38).to_bytes(5, "little"),
        b"\x85R",
    )  # fmt: skip
    found["announces 16 EiB"] = raw(b"\x8e" + b"\xff" * 8)
    return found


def _fitted() -> Any:
    from sklearn.preprocessing import StandardScaler

    return StandardScaler().fit(np.eye(3))


NAMES = sorted(gadgets("/nowhere/canary"))


@pytest.mark.parametrize("name", NAMES)
def test_hostile_pickle_does_nothing(name: str, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    file = tmp_path / "model.pkl"
    file.write_bytes(gadgets(str(canary))[name])
    modules = set(sys.modules)
    with pytest.raises(ModelLoadError):
        safe_pickle.load(file)
    assert not canary.exists()
    imported = set(sys.modules) - modules
    assert not {"antigravity", "runpy"} & imported
    assert not any("test" in module.split(".") for module in imported)


@pytest.mark.parametrize("compress", [0, 3, ("gzip", 3), ("xz", 3)])
def test_hostile_joblib_object_array(compress: Any, tmp_path: Path) -> None:
    """joblib pickles arrays of objects with a fresh pickler inside the file."""
    canary = tmp_path / "canary"
    evil = np.array([1.0, Call(os.system, f"touch {canary}")], dtype=object)
    model = _fitted()
    model.mean_ = evil
    model.extra_ = np.arange(12.0).reshape(3, 4)
    joblib.dump(model, tmp_path / "model.joblib", compress=compress)
    with pytest.raises(UnsafeModelError, match=r"(posix|os)\.system"):
        prepare(tmp_path / "model.joblib", tmp_path / "cache", PrepareOptions())
    assert not canary.exists()


def test_the_file_is_really_hostile(tmp_path: Path) -> None:
    """The same bytes do create the canary under pickle.load: the test above can fail."""
    canary = tmp_path / "canary"
    for name in ("os.system", "memo", "inst opcode", "obj opcode", "eval", "inside the model"):
        pickle.loads(gadgets(str(canary))[name])
        assert canary.exists(), name
        canary.unlink()


def test_the_first_forbidden_global_is_named_before_anything_is_built(tmp_path: Path) -> None:
    file = tmp_path / "model.pkl"
    file.write_bytes(pickle.dumps([_fitted(), Call(os.system, "true"), Call(eval, "1")]))
    with pytest.raises(UnsafeModelError) as caught:
        safe_pickle.load(file)
    assert caught.value.details["refused"] == "posix.system"


def test_damaged_tree_is_refused(tmp_path: Path) -> None:
    """Native code follows a tree's links without looking: links out of it must not get there."""
    from sklearn.tree import DecisionTreeClassifier

    model = DecisionTreeClassifier().fit(np.arange(20.0).reshape(-1, 1), np.arange(20) % 2)
    state = model.tree_.__getstate__()
    state["nodes"]["left_child"][0] = 1_000_000
    data = pickle.dumps(Call(type(model.tree_), 1, np.array([2]), 1, state=state))
    (tmp_path / "tree.pkl").write_bytes(data)
    with pytest.raises(UnsafeModelError, match="links"):
        safe_pickle.load(tmp_path / "tree.pkl")


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_plain_values_survive_every_protocol(protocol: int, tmp_path: Path) -> None:
    value = {
        "numbers": [1, -2, 3.5, 10**30, True, None],
        "array": np.arange(6, dtype=np.float32).reshape(2, 3),
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "objects": np.array(["a", None, 3], dtype=object),
        "record": np.zeros(2, dtype=[("a", "<i4"), ("b", "<f8", (2,))]),
        "ordered": OrderedDict(a=1),
        "default": defaultdict(list, a=[1]),
        "sets": {1, 2},
        "frozen": frozenset({1}),
        "bytes": b"\x00\xff",
        "scalar": np.float64(2.5),
        "masked": np.ma.masked_array([1, 2], mask=[0, 1]),
        "rng": np.random.RandomState(3),
    }
    file = tmp_path / "value.pkl"
    file.write_bytes(pickle.dumps(value, protocol=protocol))
    back = safe_pickle.load(file)
    assert back["numbers"] == value["numbers"]
    assert back["ordered"] == value["ordered"] and back["default"] == value["default"]
    assert back["sets"] == {1, 2} and back["frozen"] == {1} and back["bytes"] == b"\x00\xff"
    for name in ("array", "fortran", "objects", "record"):
        np.testing.assert_array_equal(back[name], value[name])
    assert back["rng"].rand() == np.random.RandomState(3).rand()


def test_joblib_arrays_of_every_kind(tmp_path: Path) -> None:
    value = [
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(5, dtype=">i4"),
        np.array(["x", "yy"]),
        np.array([["x", None]], dtype=object),
        np.zeros((0, 3)),
        np.array(7.5),
        np.zeros(2, dtype=[("a", "<i4"), ("o", "O")]),
    ]
    joblib.dump(value, tmp_path / "v.joblib")
    back = safe_pickle.load(tmp_path / "v.joblib")
    for given, got in zip(value, back, strict=True):
        np.testing.assert_array_equal(given, got)
        assert got.shape == given.shape and got.dtype == given.dtype.newbyteorder("=")


def test_truncated_at_every_length(tmp_path: Path) -> None:
    data = pickle.dumps(_fitted())
    file = tmp_path / "cut.pkl"
    for length in range(0, len(data) - 1, 7):
        file.write_bytes(data[:length])
        with pytest.raises(ModelLoadError):
            safe_pickle.load(file)


def test_random_bytes_never_escape(tmp_path: Path) -> None:
    """Bit flips of a real model end in an answer or in our error, nothing else."""
    good = pickle.dumps(_fitted())
    rng = np.random.default_rng(0)
    file = tmp_path / "flip.pkl"
    for _ in range(300):
        data = bytearray(good)
        for place in rng.integers(0, len(data), 3):
            data[place] ^= 1 << int(rng.integers(0, 8))
        file.write_bytes(data)
        try:
            safe_pickle.load(file)
        except (ModelLoadError, MemoryError):
            continue


def test_policy_admits_no_prefix() -> None:
    for module, name in [
        ("sklearn", "os"),
        ("sklearn.base", "clone"),
        ("sklearn.utils", "resample"),
        ("numpy", "load"),
        ("numpy", "frompyfunc"),
        ("numpy", "vectorize"),
        ("builtins", "getattr"),
        ("builtins", "open"),
        ("xgboost.core", "DMatrix"),
        ("lightgbm.basic", "Dataset"),
        ("joblib.memory", "Memory"),
        ("sklearn.pipeline", "os"),
        ("sklearn.metrics", "os"),
        ("slipstream.errors", "ModelLoadError"),
        ("__main__", "Call"),
    ]:
        with pytest.raises(UnsafeModelError):
            resolve(module, name, Policy())
    assert resolve("numpy", "log1p", Policy())[1] is Use.VALUE
    assert resolve("sklearn.pipeline", "Pipeline", Policy())[1] is Use.CLASS


def test_scan_reads_what_pickletools_reads() -> None:
    """On a plain pickle the scanner finds the same globals as the standard library's tool."""
    import pickletools

    from slipstream.models.pickle_scan import scan

    data = pickle.dumps(_fitted(), protocol=2)
    expected = {
        tuple(str(argument).split(" "))
        for opcode, argument, _ in pickletools.genops(data)
        if opcode.name == "GLOBAL"
    }
    found = scan(io.BytesIO(data), len(data))
    assert {g for g in found.globals if g[0] != "builtins"} == {
        g for g in expected if g[0] != "__builtin__"
    }
    assert found.root == ("sklearn.preprocessing._data", "StandardScaler")


def test_a_partial_call_is_of_check_array_alone(tmp_path: Path) -> None:
    """HistGradientBoosting keeps one; another function, also swapped in later, is refused."""
    from functools import partial

    from sklearn.utils.validation import check_array

    def load(value: Any) -> Any:
        (tmp_path / "model.pkl").write_bytes(pickle.dumps(value))
        return safe_pickle.load(tmp_path / "model.pkl")

    found = load(partial(check_array, dtype=[np.float64], ensure_all_finite=False))
    rows = found([["1", np.nan]])
    assert rows.dtype == np.float64 and rows[0, 0] == 1.0 and np.isnan(rows[0, 1])
    for other in (
        partial(np.mean),
        partial(check_array, [[1.0]]),
        partial(check_array, estimator="x"),
        Call(partial, check_array, state=(np.mean, (), {}, None)),
    ):
        with pytest.raises(UnsafeModelError):
            load(other)
