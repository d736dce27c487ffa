"""Exported programs: compiled to machine code here, and checked where that checks nothing."""

from __future__ import annotations

import io
import json
import re
import shutil
import stat
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import slipstream
from slipstream.adapters.torch_export import open_program, require_harmless
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
            new.writestr(f"net/{name}", data)
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
        ("Symbol(", "\uff4f\uff50\uff45\uff4e("),  # Python takes these letters for those of "open"
        ("torch.ops.aten.relu.default", "torch.ops.aten.relu.default.__class__"),
        ("torch.ops.aten.relu.default", "torch.ops.aten.from_file.default"),
        ("torch.ops.aten.relu.default", "torch.ops.inductor.relu.default"),
        ("torch.ops.aten.relu.default", "os.system"),
        ("torch.ops.aten.relu.default", "_operator.methodcaller"),
        ("torch.ops.aten.relu.default", "torch.ops.mine.relu.default"),
        ('"name": "relu"', '"name": "relu; system(0)"'),
        ('"forward_arg_names": ["x"', '"forward_arg_names": ["x=exec(1)"'),
        ("builtins.dict", "collections.defaultdict"),
        ('[\\\\\\"logits\\\\\\"', '[\\\\\\"); exec(1); (\\\\\\"'),
    ],
)
def test_what_torch_would_evaluate_is_looked_through(program, tmp_path, before, after):
    with pytest.raises(UnsafeModelError):
        require_harmless(rewritten(program, tmp_path / "a.pt2", in_graph(before, after)))


def kept(entry: str, data: bytes) -> bytes:
    return data


@pytest.mark.parametrize(
    "name",
    [
        "data/x.so",
        "data/aotinductor/model/k.wrapper.cpp",
        "data/aotinductor/model/k.wrapper_metadata.json",
        "data/aotinductor/model/k_compile_flags.json",
        "DATA/AOTINDUCTOR/model/k.wrapper.cpp",
        "data/constants/custom_obj_0",
        "data/constants/opaque_obj_0",
        "data/constants/model.pt",
        "data/weights/model.pt",
        "models/other.json",
        "models/MODEL.json",
        "data/weights/../weights/weight_0",
        "/data/weights/weight_0",
        "data\\weights\\weight_0",
        "serialized_exported_program.json",
        "run.py",
    ],
)
def test_entries_that_no_exporter_writes_are_refused(program, tmp_path, name):
    with pytest.raises(UnsafeModelError, match="contains"):
        require_harmless(rewritten(program, tmp_path / "b.pt2", kept, **{name: b""}))


def test_a_name_that_is_there_twice_is_refused(program, tmp_path):
    with pytest.warns(UserWarning, match="Duplicate"):
        file = rewritten(program, tmp_path / "a.pt2", kept, **{"models/model.json": b"{}"})
    with pytest.raises(UnsafeModelError, match="twice"):
        require_harmless(file)
    other = tmp_path / "b.pt2"
    with zipfile.ZipFile(rewritten(program, other, kept), "a") as archive:
        archive.writestr("other/archive_version", "0")
    with pytest.raises(UnsafeModelError, match="twice"):
        require_harmless(other)


def test_links_and_trailing_bytes_are_refused(program, tmp_path):
    link = zipfile.ZipInfo("net/extra/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    file = rewritten(program, tmp_path / "a.pt2", kept)
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(link, "/etc/hostname")
    with pytest.raises(UnsafeModelError, match="link"):
        require_harmless(file)
    file = rewritten(program, tmp_path / "b.pt2", kept)
    with zipfile.ZipFile(file, "a") as archive:
        archive.comment = b"more"
    with pytest.raises(ModelLoadError, match="behind it"):
        require_harmless(file)


def in_list(key: str, value: Any) -> Callable[[str, bytes], bytes]:
    def change(entry: str, data: bytes) -> bytes:
        if not entry.endswith("weights_config.json"):
            return data
        found = json.loads(data)
        next(iter(found["config"].values()))[key] = value
        return json.dumps(found).encode()

    return change


def test_weights_are_files_of_their_own_and_no_pickles(program, tmp_path):
    with pytest.raises(UnsafeModelError, match="pickles"):
        require_harmless(rewritten(program, tmp_path / "a.pt2", in_list("use_pickle", True)))
    for path in ("../sample_inputs/model.pt", "custom_obj_0", "/etc/hostname"):
        with pytest.raises(UnsafeModelError, match="no file of a tensor"):
            require_harmless(rewritten(program, tmp_path / "b.pt2", in_list("path_name", path)))


class Runs:
    """Makes a file when it is unpickled."""

    def __init__(self, sentinel: Path) -> None:
        self.sentinel = sentinel

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.sentinel,)


def wicked_example(sentinel: Path, spelling: str) -> bytes:
    """What stands in the place of the example inputs, and would run."""
    written = io.BytesIO()
    legacy = spelling == "legacy"
    torch.save(((Runs(sentinel),), {}), written, _use_new_zipfile_serialization=not legacy)
    if legacy:
        return written.getvalue()
    changed = io.BytesIO()
    with zipfile.ZipFile(written) as old, zipfile.ZipFile(changed, "w") as new:
        for entry in old.namelist():
            name = entry.replace("data.pkl", spelling)
            new.writestr(name, old.read(entry))
    return changed.getvalue()


@pytest.mark.parametrize(
    "spelling", ["data.pkl", "DATA.PKL", "Data.pkl", "data.pkl ", "x/data.pkl", "legacy"]
)
def test_sample_inputs_may_name_tensors_only(engine, program, tmp_path, spelling):
    wicked = wicked_example(tmp_path / "sentinel", spelling)

    def change(entry: str, data: bytes) -> bytes:
        return wicked if "/sample_inputs/" in entry else data

    with pytest.raises(UnsafeModelError):
        engine.load(rewritten(program, tmp_path / "d.pt2", change))
    assert not (tmp_path / "sentinel").exists()


def test_machine_code_that_torch_would_compile_is_refused(engine, program, tmp_path):
    sentinel = tmp_path / "sentinel"
    flags = {
        "passthrough_args": [f"; touch {sentinel};"],
        **{key: [] for key in "definitions include_dirs cflags ldflags libraries".split()},
        **{"libraries_dirs": [], "compiler": "g++", "aot_mode": True, "compile_only": True},
    }
    folder = "data/aotinductor/model"
    more = {
        f"{folder}/k.wrapper.cpp": b"int x;",
        f"{folder}/k.wrapper_metadata.json": b'{"AOTI_DEVICE_KEY": "cpu"}',
        f"{folder}/k.wrapper_compile_flags.json": json.dumps(flags).encode(),
        f"{folder}/k.wrapper_linker_flags.json": json.dumps(flags).encode(),
    }
    with pytest.raises(UnsafeModelError, match="aotinductor"):
        engine.load(rewritten(program, tmp_path / "e.pt2", kept, **more))
    assert not sentinel.exists()


def test_guards_are_never_run(program, tmp_path):
    sentinel = tmp_path / "sentinel"
    code = f"__import__('pathlib').Path('{sentinel}').touch() is None"

    def change(entry: str, data: bytes) -> bytes:
        if not entry.endswith("models/model.json"):
            return data
        found = json.loads(data)
        found["guards_code"] = [code]
        return json.dumps(found).encode()

    opened = open_program(rewritten(program, tmp_path / "f.pt2", change))
    opened.module()(torch.zeros(2, 16), torch.ones(2, 1))
    assert not sentinel.exists()


def test_a_program_that_was_written_anew_answers_the_same(program, tmp_path):
    class Constants(torch.nn.Module):
        """Weights that are shared, buffers, constants, and nested answers."""

        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(1)
            self.layer = torch.nn.Linear(3, 4)
            self.again = self.layer
            self.register_buffer("kept", torch.rand(4))
            self.register_buffer("left", torch.rand(4), persistent=False)
            self.constant = torch.rand(4)

        def forward(self, x: torch.Tensor) -> dict[str, Any]:
            whole = self.layer(x) + self.kept * self.constant + self.left
            return {"a": whole + torch.tensor([1.0, 2.0, 3.0, 4.0]), "b": [x, self.again(x)]}

    example = torch.rand(2, 3)
    exported = torch.export.export(Constants().eval(), (example,))
    torch.export.save(exported, tmp_path / "c.pt2", extra_files={"note.txt": "hello"})
    expected = exported.module()(example)
    got = open_program(tmp_path / "c.pt2").module()(example)
    assert torch.equal(got["a"], expected["a"]) and torch.equal(got["b"][1], expected["b"][1])
    with zipfile.ZipFile(tmp_path / "c.pt2") as archive:
        names = archive.namelist()
    assert len(names) == len(set(names)) and not any("extra" in name for name in names)
    copy = Path(shutil.copy(program, tmp_path / "net.pt2"))
    opened, given = open_program(copy), [torch.rand(5, 16), torch.rand(5, 1)]
    expected = torch.export.load(program).module()(*given)
    assert torch.equal(opened.module()(*given)["logits"], expected["logits"])
    assert not any("stack_trace" in node.meta for node in opened.graph.nodes)


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
