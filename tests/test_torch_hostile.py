"""TorchScript archives that would reach files: refused, however it is spelled, before they run."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import slipstream
from slipstream.adapters.torch_graphs import import_module, require_harmless_graphs
from slipstream.adapters.torch_pickle import open_saved
from slipstream.adapters.torch_script import load_script, open_script
from slipstream.errors import ModelLoadError, UnsafeModelError
from test_engine_stateful import silero_files
from torch_models import HiddenReader, Reader, Recurrent, cnn, mlp, save_script

SOURCE = """class M(Module):
  __parameters__ = ["w", ]
  __buffers__ = []
  w : Tensor
  training : bool
  _is_full_backward_hook : Optional[bool]
  def forward(self: __torch__.M,
    x: Tensor) -> Tensor:
    w = self.w
    {line}
    return torch.mul(x, w)
"""
SPELLINGS = [
    'torch.save(5, "{file}")',
    'torch . save(5, "{file}")',
    'torch.save (5, "{file}")',
    '(torch).save(5, "{file}")',
    '(torch\n      .save)(5, "{file}")',
    'ops.aten.save(5, "{file}")',
    'ops . aten . save(5, "{file}")',
    'u = ops.aten\n    u.save(5, "{file}")',
    't = torch\n    t.save(5, "{file}")',
    'getattr(torch, "save")(5, "{file}")',
    'getattr(ops.aten, "save")(5, "{file}")',
    'getattr(ops.aten, "sa\\166e")(5, "{file}")',
]


class M(torch.nn.Module):
    """What `SOURCE` takes the place of."""

    def __init__(self) -> None:
        super().__init__()
        self.w = torch.nn.Parameter(torch.ones(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.w


def reads(x: torch.Tensor) -> torch.Tensor:
    return x + torch.from_file("/etc/hostname", False, 2, dtype=torch.uint8)


@torch.jit.script
class Keeper:
    """A class of the language, no module."""

    def __init__(self) -> None:
        self.kept = 1

    def go(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.from_file("/etc/hostname", False, 2, dtype=torch.uint8)


class InList(torch.nn.Module):
    """Calls a method of an object in a list."""

    def __init__(self) -> None:
        super().__init__()
        self.kept = torch.jit.annotate(list[Keeper], [Keeper()])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.kept[0].go(x)


class InFork(torch.nn.Module):
    """Calls a function on another thread."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.jit.wait(torch.jit.fork(reads, x))


class InBlock(torch.nn.Module):
    """Calls it in a loop under a condition."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for _ in range(x.shape[0]):
            if x.shape[0] == 12345:
                x = reads(x)
        return x


def rewritten(
    source: Path, target: Path, change: Callable[[str, bytes], tuple[str, bytes] | None]
) -> Path:
    """The archive with each entry changed, or left out."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for entry in old.namelist():
            changed = change(entry, old.read(entry))
            if changed is not None:
                new.writestr(*changed)
    return target


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive of `M`, whose code is in one entry."""
    folder = tmp_path_factory.mktemp("plain")
    whole = save_script(M(), folder / "whole.pt")
    named = f"c__torch__.{M.__module__}".encode()

    def change(entry: str, data: bytes) -> tuple[str, bytes] | None:
        if entry.endswith(".debug_pkl"):
            return None
        is_code = "/code/" in entry
        return ("m/code/__torch__.py" if is_code else entry.replace("whole/", "m/")), (
            SOURCE.format(line="u = 1").encode() if is_code else data.replace(named, b"c__torch__")
        )

    return rewritten(whole, folder / "plain.pt", change)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[slipstream.Engine]:
    with slipstream.Engine(state_dir=tmp_path_factory.mktemp("state")) as engine:
        yield engine


def with_line(plain: Path, target: Path, line: str, name: str = "m/code/__torch__.py") -> Path:
    code = SOURCE.format(line=line).encode()
    return rewritten(
        plain, target, lambda entry, data: (name, code) if "/code/" in entry else (entry, data)
    )


def test_the_archive_that_the_others_are_made_of_is_served(plain, tmp_path):
    module = open_script(Path(shutil.copy(plain, tmp_path)))
    assert module(torch.full((1, 4), 3.0)).tolist() == [[3.0] * 4]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_however_an_operator_is_spelled(plain, tmp_path, spelling):
    sentinel = tmp_path / "sentinel"
    file = with_line(plain, tmp_path / "a.pt", spelling.format(file=sentinel))
    with pytest.raises((UnsafeModelError, ModelLoadError), match=r"'save'|uses torch or ops"):
        open_script(file)
    assert not sentinel.exists()


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_what_is_compiled_of_it_tells_by_itself(plain, tmp_path, spelling):
    """The check that is relied on, without those in front of it."""
    sentinel = tmp_path / "sentinel"
    file = with_line(plain, tmp_path / "a.pt", spelling.format(file=sentinel))
    _, functions = import_module(file)
    with pytest.raises(UnsafeModelError, match="aten::save"):
        require_harmless_graphs(functions)
    with pytest.raises(UnsafeModelError, match="aten::save"):
        load_script(file)
    assert not sentinel.exists()


@pytest.mark.parametrize(
    "line",
    [
        'u = torch.from_file("/etc/hostname", False, 4, dtype=0)',
        "u = ops.inductor._reinterpret_tensor(x, [9], [1], 99)",
        "u = ops.mkldnn.data_ptr(x)",
        "u = ops.mine.add(x, x)",
        "u = ops.c10d.barrier(x)",
        "u : __torch__.torch.classes.c10d.ProcessGroup = self.w",
    ],
)
def test_operators_and_classes_that_do_more_than_compute(plain, tmp_path, line):
    with pytest.raises(UnsafeModelError, match=r"from_file|inductor|data_ptr|mine::add|c10d"):
        open_script(with_line(plain, tmp_path / "a.pt", line))


@pytest.mark.parametrize(
    "name",
    [
        "m/CODE/__torch__.py",
        "m/code/__torch__.PY",
        "m/Code/__torch__.py",
        "m/code/../code/__torch__.py",
        "m//code/__torch__.py",
        "/code/__torch__.py",
        "m/code/__torch__.py.txt",
        "m\\code/__torch__.py",
        "other/code/__torch__.py",
    ],
)
def test_code_in_an_entry_of_another_name(engine, plain, tmp_path, name):
    sentinel = tmp_path / "sentinel"
    file = with_line(plain, tmp_path / "a.pt", f'torch.save(5, "{sentinel}")', name)
    with pytest.raises((UnsafeModelError, ModelLoadError)):
        engine.load(file)
    assert not sentinel.exists()


@pytest.mark.parametrize("name", ["m/code/__torch__.py", "m/code/__TORCH__.py", "m/model.json"])
def test_entries_that_readers_take_one_for_the_other(plain, tmp_path, name):
    file = Path(shutil.copy(plain, tmp_path))
    with zipfile.ZipFile(file, "a") as archive:
        code = SOURCE.format(line='torch.save(5, "sentinel")')
        if name == "m/code/__torch__.py":
            with pytest.warns(UserWarning, match="Duplicate"):
                archive.writestr(name, code)
        else:
            archive.writestr(name, code)
    with pytest.raises(UnsafeModelError, match=r"twice|writes to no such archive"):
        open_script(file)


def test_what_runs_while_an_archive_is_opened_is_seen_before(tmp_path):
    file = save_script(HiddenReader(), tmp_path / "hidden.pt")

    def change(entry: str, data: bytes) -> tuple[str, bytes]:
        return entry, data.replace(b"torch.from_file", b"ops.aten.from_file")

    with pytest.raises(UnsafeModelError, match="from_file"):
        open_script(rewritten(file, tmp_path / "a.pt", change))
    with pytest.raises(UnsafeModelError, match="from_file"):
        open_script(save_script(Reader(), tmp_path / "reader.pt"))


@pytest.mark.parametrize("module", [InList, InFork, InBlock, HiddenReader])
def test_wherever_it_is_called_from(monkeypatch, tmp_path, module):
    file = save_script(module(), tmp_path / "a.pt")
    monkeypatch.setattr("slipstream.adapters.torch_script._check_tree", lambda tree: None)
    with pytest.raises(UnsafeModelError, match="aten::from_file"):
        open_script(file)


def test_no_object_with_code_is_among_the_constants(plain, tmp_path):
    pickled = b"\x80\x02c__torch__\nM\n)\x81}b\x85."

    def change(entry: str, data: bytes) -> tuple[str, bytes]:
        return entry, pickled if entry.endswith("constants.pkl") else data

    with pytest.raises(UnsafeModelError, match="among its constants"):
        open_script(rewritten(plain, tmp_path / "a.pt", change))


def test_torch_save_with_code_in_it_is_not_opened_as_a_program(plain, tmp_path):
    def change(entry: str, data: bytes) -> tuple[str, bytes]:
        return entry.replace("constants.pkl", "Constants.pkl"), data

    for file in (Path(shutil.copy(plain, tmp_path)), rewritten(plain, tmp_path / "a.pt", change)):
        with pytest.raises(UnsafeModelError, match="writes to no such archive"):
            open_saved(file, None)


@pytest.mark.parametrize("module", [mlp, cnn, Recurrent])
def test_an_archive_that_was_written_anew_answers_the_same(tmp_path, module):
    original = module().eval()
    file = save_script(original, tmp_path / "a.pt")
    shape = (2, 3, 8, 8) if module is cnn else (2, 16)
    given = [torch.rand(shape)] * (2 if module is Recurrent else 1)
    opened = open_script(file)
    with torch.no_grad():
        for left, right in zip(original(*given), opened(*given), strict=True):
            assert torch.equal(left, right)
    with zipfile.ZipFile(file) as archive:
        assert {name.partition("/")[0] for name in archive.namelist()} == {"archive"}
        assert not any("debug_pkl" in name or "extra" in name for name in archive.namelist())


def test_silero_answers_the_same(tmp_path):
    source = silero_files() / "silero_vad.jit"
    opened = open_script(Path(shutil.copy(source, tmp_path)))
    load = torch.jit.load
    original = load(str(source)).eval()
    for seed in range(3):
        chunk = torch.from_numpy(np.random.default_rng(seed).normal(size=512).astype(np.float32))
        with torch.no_grad():
            assert torch.equal(opened(chunk, 16000), original(chunk, 16000))
