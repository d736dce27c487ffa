"""The model files that the HTTP and command line tests load, trained once per test run."""

from __future__ import annotations

import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model_zoo import zoo

TRAINED = {
    "wine": "random_forest_wine",
    "cancer": "logistic_pipeline_breast_cancer",
    "diabetes": "ridge_diabetes",
    "penguins": "text_columns_penguins",
}
"""File name without its suffix → name in the zoo."""

SIZES = """
import numpy as np

class Sizes:
    batchable = True

    def predict(self, rows):
        return np.full(len(rows), len(rows))

ENTRY = Sizes
"""
"""Answers each row with the number of rows that its execution had."""

GATED = """
import os
import time
from pathlib import Path

import numpy as np

HERE = Path({folder!r})

class Gated:
    def __init__(self):
        (HERE / "new-worker").write_text(str(os.getpid()))
        os.replace(HERE / "new-worker", HERE / "worker")

    def predict(self, rows):
        with open(HERE / "journal", "a") as journal:
            journal.write(f"{{rows[0, 0]:g}}\\n")
        while rows[0, 0] == 0 and (HERE / "closed").exists():
            time.sleep(0.005)
        return rows[:, 0]

ENTRY = Gated
"""
"""Writes down the first value of each request it runs; a 0 waits until the gate is open."""


def trained(name: str) -> Any:
    """The fitted estimator of a file."""
    return zoo(TRAINED[name]).model


def rows_of(name: str, count: int = 5) -> Any:
    """Rows of its data set, every 20th or so, as the library takes them."""
    rows = zoo(TRAINED[name]).rows
    return rows[:: max(1, len(rows) // count)][:count]


def json_rows(rows: Any) -> list[Any]:
    """The same rows as JSON values; what is missing is None."""
    values = rows.values.tolist() if hasattr(rows, "values") else rows.tolist()
    return [[None if cell != cell else cell for cell in row] for row in values]


class Gate:
    """A custom model that the test holds open or closed; open while it is loaded."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder / f"{name}-gate"
        self.folder.mkdir()
        self.file = folder / f"{name}.py"
        self.file.write_text(GATED.format(folder=str(self.folder)))
        (self.folder / "journal").touch()

    def close(self) -> None:
        (self.folder / "closed").touch()
        (self.folder / "journal").write_text("")

    def open(self) -> None:
        (self.folder / "closed").unlink(missing_ok=True)

    @property
    def worker(self) -> int:
        """Process id of the worker that serves it now."""
        return int((self.folder / "worker").read_text())

    @property
    def ran(self) -> list[float]:
        """First values of the requests that ran, in order."""
        return [float(line) for line in (self.folder / "journal").read_text().splitlines()]


def model_folder(factory: pytest.TempPathFactory) -> Path:
    """The folder, made on first use; what is made of its files serves every server of the run."""
    folder = factory.getbasetemp() / "http-models"
    if not folder.exists():
        (folder / ".slipstream" / "artifacts").mkdir(parents=True)
        for name in TRAINED:
            (folder / f"{name}.pkl").write_bytes(pickle.dumps(trained(name)))
        (folder / "sizes.py").write_text(SIZES)
        write_graphs(folder)
        write_hostile(folder)
    return folder


def fresh_folder(factory: pytest.TempPathFactory, name: str, *files: str) -> Path:
    """A model folder of its own with copies of these files; what is made of them is shared."""
    source, folder = model_folder(factory), factory.mktemp(name)
    for file in files:
        shutil.copyfile(source / file, folder / file)
    (folder / ".slipstream").mkdir()
    (folder / ".slipstream" / "artifacts").symlink_to(source / ".slipstream" / "artifacts")
    return folder


def write_graphs(folder: Path) -> None:
    """ONNX graphs of several shapes: ``pair``, ``whole``, ``words``."""
    from onnx import TensorProto, save
    from onnx.helper import (
        make_graph,
        make_model,
        make_node,
        make_opsetid,
        make_tensor_value_info,
    )

    floats, text = TensorProto.FLOAT, TensorProto.STRING

    def write(name: str, nodes: list[Any], inputs: list[Any], outputs: list[Any]) -> None:
        infos = [[make_tensor_value_info(*one) for one in side] for side in (inputs, outputs)]
        opsets = [make_opsetid("", 17), make_opsetid("ai.onnx.ml", 3)]
        graph = make_graph(nodes, name, *infos)
        save(make_model(graph, opset_imports=opsets, ir_version=8), folder / f"{name}.onnx")

    write(
        "pair",
        [
            make_node("Mul", ["left", "right"], ["scaled"]),
            make_node("ReduceMax", ["scaled"], ["largest"], axes=[1], keepdims=0),
        ],
        [("left", floats, ["n", 3]), ("right", floats, ["n", 1])],
        [("scaled", floats, ["n", 3]), ("largest", floats, ["n"])],
    )
    write(
        "whole",
        [make_node("Transpose", ["image"], ["turned"])],
        [("image", floats, [2, 3])],
        [("turned", floats, [3, 2])],
    )
    write(
        "words",
        [
            make_node(
                "LabelEncoder",
                ["word"],
                ["length"],
                domain="ai.onnx.ml",
                keys_strings=["one", "two", "three"],
                values_int64s=[1, 2, 3],
                default_int64=-1,
            )
        ],
        [("word", text, ["n", 1])],
        [("length", TensorProto.INT64, ["n", 1])],
    )


class _Attack:
    """Unpickled, it creates the canary."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.canary}",)


def canary_of(folder: Path) -> Path:
    """The file that is there if a hostile pickle was ever opened."""
    return folder / "canary"


def write_hostile(folder: Path) -> None:
    """Files that are no models, or worse."""
    (folder / "hostile.pkl").write_bytes(pickle.dumps(_Attack(canary_of(folder))))
    (folder / "junk.pkl").write_bytes(np.random.default_rng(0).bytes(4096))
    (folder / "empty.onnx").write_bytes(b"")
    wine = pickle.dumps(trained("wine"))
    (folder / "cut.pkl").write_bytes(wine[: len(wine) // 2])
    (folder / "notes.txt").write_text("no model\n")
