"""Exported programs: compiled to machine code here, and checked where that checks nothing."""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import slipstream
from slipstream.adapters.torch_export import require_harmless
from slipstream.api import Model
from slipstream.errors import InferenceError, InvalidInputError, ModelLoadError, UnsafeModelError

Row = Any
TOLD = """
[inputs.x]
shape = ["rows", 16]

[inputs.scale]
shape = ["rows", 1]
"""


class Net(torch.nn.Module):
    """Two inputs of one number of rows, two named outputs."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = torch.nn.Linear(16, 64)
        self.second = torch.nn.Linear(64, 3)

    def forward(self, x: torch.Tensor, scale: torch.Tensor) -> dict[str, torch.Tensor]:
        logits = self.second(torch.relu(self.first(x))) * scale
        return {"logits": logits, "probabilities": torch.softmax(logits, 1)}


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = torch.export.Dim("rows", max=64)
    dynamic = {"x": {0: rows}, "scale": {0: rows}}
    example = (torch.zeros(3, 16), torch.ones(3, 1))
    exported = torch.export.export(Net().eval(), example, dynamic_shapes=dynamic)
    file = tmp_path_factory.mktemp("program") / "net.pt2"
    torch.export.save(exported, file)
    return file


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[slipstream.Engine]:
    with slipstream.Engine(state_dir=tmp_path_factory.mktemp("state")) as engine:
        yield engine


@pytest.fixture(scope="module")
def model(engine: slipstream.Engine, program: Path) -> Model:
    return engine.load(program)  # compiles for the better part of a minute


def rows_of(count: int) -> dict[str, Any]:
    rng = np.random.default_rng(count)
    return {
        "x": rng.normal(size=(count, 16)).astype(np.float32),
        "scale": rng.normal(size=(count, 1)).astype(np.float32),
    }


def test_a_program_says_all_of_its_inputs(model: Model) -> None:
    manifest = model.version.manifest
    assert (model.backend, model.compiled, manifest.estimator) == ("torch", True, "ExportedProgram")
    assert [(one.name, one.dtype, one.shape) for one in manifest.inputs] == [
        ("x", "float32", (None, 16)),
        ("scale", "float32", (None, 1)),
    ]
    assert [one.name for one in manifest.outputs] == ["logits", "probabilities"]
    assert manifest.backend_options["batchable"] == "true"


@pytest.mark.parametrize("count", [1, 2, 5, 64])
def test_a_compiled_program_agrees_with_eager(model: Model, count: int) -> None:
    given = rows_of(count)
    with torch.no_grad():
        expected = Net().eval()(*(torch.from_numpy(one) for one in given.values()))
    answer = model.predict(given)
    for name, tensor in expected.items():
        np.testing.assert_allclose(answer[name], tensor.numpy(), rtol=0, atol=1e-5)


def test_sizes_that_the_machine_code_relies_on_are_checked(model: Model) -> None:
    given = rows_of(4)
    with pytest.raises(InvalidInputError, match="scale"):
        model.predict({**given, "scale": given["scale"][:3]})
    with pytest.raises(InvalidInputError, match="15"):
        model.predict({**given, "x": given["x"][:, :15]})
    assert model.predict(rows_of(200))["logits"].shape == (200, 3)  # in executions of 64 rows


def test_the_artifact_is_kept(engine: slipstream.Engine, model: Model, program: Path) -> None:
    copy = shutil.copy(program, program.with_name("copy.pt2"))
    again = engine.load(copy)
    assert again.version.folder == model.version.folder
    assert again.predict(rows_of(2))["logits"].shape == (2, 3)


def test_a_package_needs_leave_and_all_of_its_inputs_told(model: Model, tmp_path: Path) -> None:
    package = tmp_path / "package.pt2"
    shutil.copy(model.version.folder / model.version.manifest.artifact, package)
    with (
        slipstream.Engine(state_dir=tmp_path / "a") as strict,
        pytest.raises(UnsafeModelError, match="machine code"),
    ):
        strict.load(package)
    with slipstream.Engine(state_dir=tmp_path / "b", allow_custom_code=True) as engine:
        with pytest.raises(ModelLoadError, match=r"takes 2 tensors.*package\.pt2\.toml"):
            engine.load(package)
        (tmp_path / "package.pt2.toml").write_text(TOLD)
        loaded = engine.load(package)
        given = rows_of(3)
        answer = loaded.predict(given)
        with torch.no_grad():
            eager = Net().eval()(*(torch.from_numpy(one) for one in given.values()))
        np.testing.assert_allclose(answer["logits"], eager["logits"].numpy(), rtol=0, atol=1e-5)


def rewritten(program: Path, target: Path, change: Callable[[str, bytes], bytes], **more: bytes):
    """The archive with each entry changed, and some more."""
    with zipfile.ZipFile(program) as old, zipfile.ZipFile(target, "w") as new:
        for entry in old.namelist():
            new.writestr(entry, change(entry, old.read(entry)))
        for name, data in more.items():
            new.writestr(f"net/{name.replace('__', '/')}", data)
    return target


def in_graph(before: str, after: str) -> Callable[[str, bytes], bytes]:
    def change(entry: str, data: bytes) -> bytes:
        if not entry.endswith("models/model.json"):
            return data
        text = data.decode()
        assert before in text
        return text.replace(before, after).encode()

    return change


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("positive=True, integer=True)", "positive=True, integer=True).func(exec)"),
        ("Symbol(", "open("),
        ("Symbol(", "__import__("),
        ("torch.ops.aten.relu.default", "torch.ops.aten.relu.default.__class__"),
        ("torch.ops.aten.relu.default", "os.system"),
        ("torch.ops.aten.relu.default", "torch.ops.mine.relu.default"),
        ('"name": "relu"', '"name": "relu; system(0)"'),
    ],
)
def test_what_torch_would_evaluate_is_looked_through(program, tmp_path, before, after):
    with pytest.raises(UnsafeModelError):
        require_harmless(rewritten(program, tmp_path / "a.pt2", in_graph(before, after)))


def test_pickles_and_code_in_a_program_are_refused(program, tmp_path):
    require_harmless(program)
    keep = lambda entry, data: data  # noqa: E731
    for name in ("data__x.so", "extra__run.py", "data__constants__constant_0.pt"):
        with pytest.raises(UnsafeModelError, match="contains"):
            require_harmless(rewritten(program, tmp_path / "b.pt2", keep, **{name: b""}))

    def pickled(entry: str, data: bytes) -> bytes:
        if not entry.endswith("weights_config.json"):
            return data
        found = json.loads(data)
        next(iter(found["config"].values()))["use_pickle"] = True
        return json.dumps(found).encode()

    with pytest.raises(UnsafeModelError, match="pickles"):
        require_harmless(rewritten(program, tmp_path / "c.pt2", pickled))


def test_sample_inputs_may_name_tensors_only(program, tmp_path):
    torch.save({"x": print}, tmp_path / "wicked.pt")
    wicked = (tmp_path / "wicked.pt").read_bytes()

    def change(entry: str, data: bytes) -> bytes:
        return wicked if "/sample_inputs/" in entry else data

    with pytest.raises(UnsafeModelError, match="print"):
        require_harmless(rewritten(program, tmp_path / "d.pt2", change))


def test_a_failure_tells_nothing_of_this_machine(engine, tmp_path):
    class Words(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = torch.nn.Embedding(10, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.table(x).mean(1)

    exported = torch.export.export(Words().eval(), (torch.zeros(3, 5, dtype=torch.int64),))
    torch.export.save(exported, tmp_path / "words.pt2")
    model = engine.load(tmp_path / "words.pt2")
    with pytest.raises(InferenceError) as caught:
        model.predict(np.tile([1, 2, 3, 4, 10], (3, 1)))
    assert "index out of bounds" in str(caught.value)
    assert not re.search(r"frame #|0x[0-9a-f]{5}|\.so\b|\.cpp\b|(^|[\s('\"])/\w", str(caught.value))


def test_numbers_beside_tensors_are_told(engine, tmp_path):
    class Takes(torch.nn.Module):
        def forward(self, x: torch.Tensor, times: int) -> torch.Tensor:
            return x * times

    exported = torch.export.export(Takes(), (torch.ones(2, 3), 4))
    torch.export.save(exported, tmp_path / "takes.pt2")
    with pytest.raises(ModelLoadError, match="takes 4, which is no tensor"):
        engine.load(tmp_path / "takes.pt2")
