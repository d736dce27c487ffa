"""Files of torch.save: modules that are pickled whole, and pickles that are something else."""

from __future__ import annotations

import importlib
import io
import os
import pickle
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import slipstream
from slipstream.adapters.torch_pickle import globals_in
from slipstream.errors import ModelLoadError, UnsafeModelError
from torch_models import mlp

CUSTOM = '''
import torch

class Net(torch.nn.Module):
    """Cannot be scripted: its loop is over what only Python knows."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layers = {"first": torch.nn.Linear(6, 4)}
        self.add_module("inner", self.layers["first"])

    def forward(self, x):
        for name, layer in {**self.layers}.items():
            x = layer(x)
        return torch.relu(x)
'''


ODD = """
import torch

class Odd(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(3, 1)

    def forward(self, x):
        y = self.layer(x)
        if torch.jit.is_scripting():
            return y + 1000.0
        return y

class Called(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(3, 1)

    def __call__(self, x):
        return super().__call__(x) * 100

    def forward(self, x):
        return self.layer(x)

class Turns(torch.nn.Module):
    def forward(self, x):
        if torch.jit.is_scripting() or torch.jit.is_tracing():
            return x + 1000.0
        return x
"""


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[slipstream.Engine]:
    with slipstream.Engine(state_dir=tmp_path / "state", model_dir=tmp_path) as engine:
        yield engine


def test_a_module_of_known_layers_is_converted(engine, tmp_path):
    torch.save(mlp(), tmp_path / "mlp.pth")
    model = engine.load(tmp_path / "mlp.pth")
    assert (model.model_type, model.backend) == ("pytorch", "torch")
    given = np.random.default_rng(0).normal(size=(4, 16)).astype(np.float32)
    with torch.no_grad():
        expected = mlp()(torch.from_numpy(given)).numpy()
    np.testing.assert_allclose(model.predict(given), expected, rtol=0, atol=1e-6)


def test_weights_alone_are_told_what_is_missing(engine, tmp_path):
    torch.save(mlp().state_dict(), tmp_path / "weights.pth")
    with pytest.raises(ModelLoadError, match=r"4 tensors.*torch\.export"):
        engine.load(tmp_path / "weights.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(ModelLoadError, match="a list, no torch module"):
        engine.load(tmp_path / "list.pth")


def test_classes_of_ones_own_need_leave(engine, tmp_path, monkeypatch):
    (tmp_path / "nets.py").write_text(CUSTOM)
    monkeypatch.syspath_prepend(str(tmp_path))
    import nets  # type: ignore[import-not-found]

    network = nets.Net().eval()
    torch.save(network, tmp_path / "net.pth")
    with pytest.raises(UnsafeModelError, match=r"nets\.Net.*ALLOW_CUSTOM_CODE"):
        engine.load(tmp_path / "net.pth")
    with slipstream.Engine(state_dir=tmp_path / "other", allow_custom_code=True) as other:
        model = other.load(tmp_path / "net.pth")
        given = np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32)
        with torch.no_grad():
            expected = network(torch.from_numpy(given)).numpy()
        np.testing.assert_allclose(model.predict(given), expected, rtol=0, atol=1e-6)


def odd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> torch.nn.Module:
    """One of the modules of `ODD`, saved in a folder where its class is found."""
    (tmp_path / "odd_nets.py").write_text(ODD)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "odd_nets", raising=False)
    torch.manual_seed(0)
    network: torch.nn.Module = getattr(importlib.import_module("odd_nets"), name)().eval()
    torch.save(network, tmp_path / "odd.pth")
    return network


@pytest.mark.parametrize("name", ["Odd", "Called"])
def test_what_is_served_answers_as_the_module_does(tmp_path, monkeypatch, name):
    network = odd(tmp_path, monkeypatch, name)
    given = np.ones((2, 3), np.float32)
    with torch.no_grad():
        expected = network(torch.from_numpy(given)).numpy()
    with slipstream.Engine(state_dir=tmp_path / "other", allow_custom_code=True) as engine:
        model = engine.load(tmp_path / "odd.pth")
        np.testing.assert_allclose(model.predict(given), expected, rtol=0, atol=1e-4)


def test_a_module_that_answers_otherwise_in_any_script_is_refused(tmp_path, monkeypatch):
    odd(tmp_path, monkeypatch, "Turns")
    with (
        slipstream.Engine(state_dir=tmp_path / "other", allow_custom_code=True) as engine,
        pytest.raises(ModelLoadError, match=r"otherwise.*torch\.export"),
    ):
        engine.load(tmp_path / "odd.pth")


def test_a_layer_with_several_forwards_is_traced(engine, tmp_path):
    torch.manual_seed(0)
    network = torch.nn.LSTM(4, 6, batch_first=True).eval()
    torch.save(network, tmp_path / "lstm.pth")
    model = engine.load(tmp_path / "lstm.pth")
    manifest = model.version.manifest
    assert [(one.name, one.shape) for one in manifest.inputs] == [("input", (None, None, 4))]
    given = np.random.default_rng(0).normal(size=(2, 9, 4)).astype(np.float32)
    with torch.no_grad():
        steps, (last, _) = network(torch.from_numpy(given))
    answer = model.predict(given)
    np.testing.assert_allclose(answer["output_0"], steps.numpy(), rtol=0, atol=1e-6)
    np.testing.assert_allclose(answer["output_1.0"], last.numpy(), rtol=0, atol=1e-6)


def test_files_of_the_old_format_are_named(engine, tmp_path):
    torch.save(mlp(), tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    with pytest.raises(ModelLoadError, match=r"old format of torch\.save.*1\.6"):
        engine.load(tmp_path / "old.pth")


class _Runs:
    def __init__(self, what: Any, *arguments: Any) -> None:
        self._made_of = (what, arguments)

    def __reduce__(self) -> Any:
        return self._made_of


@pytest.mark.parametrize("name", ["system", "exec", "load", "getattr"])
def test_a_pickle_that_runs_something_runs_nothing(engine, tmp_path, name):
    mark = tmp_path / "mark"
    wicked = {
        "system": _Runs(os.system, f"touch {mark}"),
        "exec": _Runs(exec, f"open({str(mark)!r}, 'w')"),
        "load": _Runs(torch.load, "/etc/hostname"),
        "getattr": _Runs(getattr, [], "append"),
    }[name]
    network = mlp()
    network.wicked = wicked
    torch.save(network, tmp_path / "wicked.pth")
    with pytest.raises(UnsafeModelError, match="refers to"):
        engine.load(tmp_path / "wicked.pth")
    assert not mark.exists()


def test_names_that_are_put_together_are_refused(engine, tmp_path):
    torch.save(mlp(), tmp_path / "four.pth", pickle_protocol=4)
    with pytest.raises(UnsafeModelError, match="pickle_protocol=2"):
        engine.load(tmp_path / "four.pth")
    with pytest.raises(ModelLoadError, match="damaged"):
        globals_in(b"\x80\x02c")


def test_a_constructor_gets_no_arguments_of_the_pickles(engine, tmp_path):
    """``torch.nn.Linear(…)`` by REDUCE would allocate what the file says."""
    stream = io.BytesIO()
    torch.save(mlp(), stream)
    data = pickle.dumps(_Runs(torch.nn.Linear, 10**6, 10**6), protocol=2)
    with zipfile.ZipFile(stream) as old, zipfile.ZipFile(tmp_path / "big.pth", "w") as new:
        for entry in old.namelist():
            new.writestr(entry, data if entry.endswith("data.pkl") else old.read(entry))
    with pytest.raises(UnsafeModelError, match="Linear"):
        engine.load(tmp_path / "big.pth")
