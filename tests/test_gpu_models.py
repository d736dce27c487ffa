"""Models in an engine whose GPUs are made up: what ``auto`` does, and what a full GPU does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cli_runs import run_code
from made_up_gpus import fake_driver, gpu_onnxruntime, gpus, write_double
from slipstream import Engine
from slipstream.api import gpu_options, loading, residency, warmup
from slipstream.api.ensemble_loading import _require_own_members
from slipstream.api.listed import Listed, load_entry
from slipstream.api.placement import ON_CPU
from slipstream.api.tuning import Tuning
from slipstream.errors import (
    MissingDependencyError,
    ModelLoadError,
    QueueFullError,
    UnavailableError,
)
from slipstream.gpu import gpus as gpus_module
from slipstream.models.catalog_file import read_catalog
from slipstream.models.ensembles import describe

ROWS = np.ones((3, 2), np.float32)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with Engine(state_dir=tmp_path / "state", max_workers=8) as engine:
        yield engine


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return [write_double(tmp_path / f"model-{number}.onnx") for number in range(4)]


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """GPUs, and an ONNX Runtime that looks as if it could use them; it is that of this machine."""
    monkeypatch.setattr(gpus_module, "survey", lambda: gpus(0, 1))
    monkeypatch.setattr(gpus_module, "free_bytes", lambda one: 100 * one.index)
    monkeypatch.setattr(gpus_module, "why_not", lambda backend, provider="cuda": None)
    monkeypatch.setattr(gpus_module, "provider_library", Path)
    monkeypatch.setattr(gpu_options, "preload", lambda path: None)


@pytest.fixture
def room(two_gpus: None, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How many models a GPU takes; they compute on the processor, and say that they do not."""
    most = {"models": 2}
    real = residency.started

    def started(*arguments: Any, placement: Any = ON_CPU, **named: Any) -> Any:
        there = [
            model.model_id
            for model in engine.models()
            if not model.is_resting and set(model.placement.devices) & set(placement.devices)
        ]
        if placement.devices and len(there) >= most["models"]:
            raise QueueFullError("Failed to allocate memory for requested buffer of size 4096")
        return real(*arguments, placement=placement, **named)

    monkeypatch.setattr(loading, "gpu_options", lambda *arguments: {})
    monkeypatch.setattr(residency, "started", started)
    return most


class TestAuto:
    def test_falls_back_and_says_so(
        self, two_gpus: None, engine: Engine, files: list[Path], caplog: pytest.LogCaptureFixture
    ) -> None:
        """The package of this machine has no CUDA, whatever it looks like."""
        model = engine.load(files[0])
        assert model.device == "cpu"
        assert model.device_reason is not None
        assert model.device_reason.startswith(
            "cuda:1 was chosen, and did not take it: onnx backend"
        )
        assert f"model-0.onnx computes on the cpu: {model.device_reason}" in caplog.text
        assert model.predict(ROWS).tolist() == (2 * ROWS).tolist()

    def test_what_fell_back_is_not_tried_again_before_a_reload(
        self, two_gpus: None, engine: Engine, files: list[Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        model = engine.load(files[0])
        reason = model.device_reason
        assert reason is not None
        tried: list[str] = []
        real = residency.started

        def started(*arguments: Any, **named: Any) -> Any:
            tried.append(named["placement"].device)
            return real(*arguments, **named)

        monkeypatch.setattr(residency, "started", started)
        assert engine.evict(model)
        assert model.predict(ROWS).tolist() == (2 * ROWS).tolist()
        assert (tried, model.device_reason) == (["cpu"], reason)
        engine.reload(model.model_id)
        assert tried == ["cpu", "cuda:1", "cpu"]

    def test_asked_for_means_there_or_not_at_all(
        self, two_gpus: None, engine: Engine, files: list[Path]
    ) -> None:
        kept = engine.load(files[0], device="cpu")
        with pytest.raises(ModelLoadError, match=r"cannot run|CUDA|GPU"):
            engine.load(files[1], device="cuda:0")
        assert engine.models() == [kept]
        assert kept.device_reason is None
        assert kept.predict(ROWS).tolist() == (2 * ROWS).tolist()

    def test_nothing_is_evicted_for_a_load_that_is_refused(
        self, engine: Engine, files: list[Path], tmp_path: Path
    ) -> None:
        with Engine(state_dir=tmp_path / "other", model_cache_size=1) as small:
            kept = small.load(files[0])
            with pytest.raises((ModelLoadError, MissingDependencyError)):
                small.load(files[1], device="cuda:7")
            assert kept.state == "loaded"

    def test_the_engines_setting(self, two_gpus: None, files: list[Path], tmp_path: Path) -> None:
        with Engine(state_dir=tmp_path / "state", device="cpu") as engine:
            model = engine.load(files[0])
            assert (model.device, model.device_reason) == ("cpu", None)
            assert engine.load(files[1], device="auto").device_reason is not None


class TestFirstExecutions:
    """On rows that are made up, for nobody has told what the model takes."""

    @pytest.fixture
    def fails(self, tmp_path: Path) -> Path:
        """Takes any vector by its shape, and fails on what is made up for it: one zero."""
        import onnx
        from onnx import TensorProto, helper

        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n"])
        y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["a", "b"])
        shape = helper.make_tensor("shape", TensorProto.INT64, [2], [2, -1])
        nodes = [helper.make_node("Reshape", ["x", "shape"], ["y"])]
        graph = helper.make_graph(nodes, "halves", [x], [y], [shape])
        opset = [helper.make_opsetid("", 17)]
        file = tmp_path / "halves.onnx"
        onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), str(file))
        return file

    def test_a_gpu_that_was_only_chosen(
        self, room: dict[str, int], engine: Engine, fails: Path
    ) -> None:
        model = engine.load(fails)
        assert model.device == "cpu"
        assert model.device_reason is not None
        assert "cuda:1 was chosen, and did not take it: onnx backend" in model.device_reason
        assert model.predict(np.ones(4, np.float32)).shape == (2, 2)

    def test_a_gpu_that_was_asked_for(
        self, room: dict[str, int], engine: Engine, fails: Path
    ) -> None:
        assert engine.load(fails, device="cuda:0").device == "cuda:0"

    @pytest.fixture
    def full(self, room: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
        """A GPU that loads any number of models, and lets no more than so many execute."""
        state = {"models": 1, "error": QueueFullError("out of memory on cuda:0")}
        room["models"] = 9

        def run(version: Any, *arguments: Any) -> None:
            others = [
                model
                for model in state["engine"].models()
                if not model.is_resting and model.placement.devices
            ]
            if version.placement.devices and len(others) >= state["models"]:
                raise state["error"]

        monkeypatch.setattr(warmup, "_run", run)
        return state

    @pytest.mark.parametrize("declared", [False, True])
    def test_that_find_no_memory_have_another_model_leave(
        self, full: dict[str, Any], engine: Engine, files: list[Path], declared: bool
    ) -> None:
        full["engine"] = engine
        if declared:
            text = "[warmup]\nrows = [[1.0, 2.0]]\n"
            Path(f"{files[1]}.toml").write_text(text)
        first = engine.load(files[0], device="cuda:0")
        second = engine.load(files[1], device="cuda:0")
        assert (first.state, second.state, second.device) == ("evicted", "loaded", "cuda:0")

    def test_that_find_no_memory_at_all_are_a_refusal(
        self, full: dict[str, Any], engine: Engine, files: list[Path]
    ) -> None:
        full |= {"engine": engine, "models": 0}
        with pytest.raises(QueueFullError, match=r"model-0\.onnx .* does not fit on cuda:0"):
            engine.load(files[0], device="cuda:0")
        assert engine.models() == []

    def test_on_a_gpu_that_is_lost(
        self, full: dict[str, Any], engine: Engine, files: list[Path]
    ) -> None:
        full |= {"engine": engine, "models": 0, "error": UnavailableError("cuda:0 is lost")}
        with pytest.raises(UnavailableError, match="is lost"):
            engine.load(files[0], device="cuda:0")
        assert engine.models() == []


def test_a_changed_list_moves_a_model(
    room: dict[str, int], files: list[Path], tmp_path: Path
) -> None:
    entry = {"model_id": "one", "model_path": files[0].name, "device": "cuda:0"}

    def write(**more: Any) -> None:
        text = json.dumps({"models": [entry | more]})
        (tmp_path / "models.json").write_text(text)

    write()
    with Engine(model_dir=tmp_path, state_dir=tmp_path / "listed") as engine:
        listed = Listed(engine, read_catalog(tmp_path))
        for one in listed.catalog.enabled:
            load_entry(engine, one)
        listed.settle()
        model = engine.model("one")
        assert (model.device, model.tuning) == ("cuda:0", Tuning(device="cuda:0"))
        before = model.version.serial
        write(device="cpu", max_batch_size=7)
        listed.reread()
        assert (model.device, model.tuning) == ("cpu", Tuning(device="cpu", max_batch_rows=7))
        write(device="cpu", max_batch_size=8)  # takes no other version
        after = model.version.serial
        listed.reread()
        assert model.version.serial == after != before
        write(device="cuda:9", max_batch_size=8)
        listed.reread()  # which is not done, and says so in the log
        assert (model.device, model.version.serial) == ("cpu", after)


class TestRoom:
    def test_where_models_are(
        self, room: dict[str, int], engine: Engine, files: list[Path]
    ) -> None:
        one = engine.load(files[0], device="cuda:0,cuda:1")
        assert (one.device, one.placement.first_device) == ("cuda:0,cuda:1", "cuda:0")
        assert one.version.running.instances == 2  # one on each
        two = engine.load(files[1])
        assert (two.device, two.version.running.instances) == ("cuda:1", 1)
        assert engine.load(files[2], device="cuda:0", instances=3).version.running.instances == 3

    def test_the_model_used_least_recently_leaves(
        self, room: dict[str, int], engine: Engine, files: list[Path]
    ) -> None:
        a, b = (engine.load(file, device="cuda:0") for file in files[:2])
        elsewhere = engine.load(files[2], device="cuda:1")
        a.predict(ROWS)  # b is the one that nobody has asked since
        c = engine.load(files[3], device="cuda:0")
        states = [model.state for model in (a, b, elsewhere, c)]
        assert states == ["loaded", "evicted", "loaded", "loaded"]

    def test_one_that_is_pinned_stays_and_the_load_is_refused(
        self, room: dict[str, int], engine: Engine, files: list[Path]
    ) -> None:
        kept = [engine.load(file, device="cuda:0", pinned=True) for file in files[:2]]
        with pytest.raises(
            QueueFullError, match=r"model-2\.onnx .* does not fit on cuda:0"
        ) as said:
            engine.load(files[2], device="cuda:0")
        assert said.value.details["device"] == "cuda:0"
        assert [model.state for model in kept] == ["loaded", "loaded"]
        assert len(engine.models()) == 2

    def test_auto_computes_elsewhere_then(
        self, room: dict[str, int], engine: Engine, files: list[Path]
    ) -> None:
        for file in files[:2]:
            engine.load(file, device="cuda:1", pinned=True)
        model = engine.load(files[2])
        assert model.device == "cpu"
        assert model.device_reason is not None and "does not fit on cuda:1" in model.device_reason

    def test_one_that_comes_back_makes_room_too(
        self, room: dict[str, int], engine: Engine, files: list[Path]
    ) -> None:
        room["models"] = 1
        a = engine.load(files[0], device="cuda:0")
        b = engine.load(files[1], device="cuda:0")
        assert (a.state, b.state) == ("evicted", "loaded")
        assert a.predict(ROWS).tolist() == (2 * ROWS).tolist()
        assert (a.state, b.state, a.device) == ("loaded", "evicted", "cuda:0")

    def test_a_limit_is_kept_with_the_model(
        self, room: dict[str, int], engine: Engine, files: list[Path]
    ) -> None:
        tuning = Tuning(gpu_memory_limit_mb=64)
        model = engine.load(files[0], device="cuda:0", tuning=tuning)
        assert engine.reload(model.model_id).tuning == Tuning(
            device="cuda:0", gpu_memory_limit_mb=64
        )


class TestEnsembles:
    def ensemble(self, folder: Path, *members: dict[str, str]) -> Path:
        file = folder / "both.json"
        file.write_text(json.dumps({"ensemble_method": "voting", "members": members}))
        return file

    def test_members_of_its_own_are_where_it_was_asked_to_be(
        self, room: dict[str, int], engine: Engine, files: list[Path], tmp_path: Path
    ) -> None:
        shared = engine.load(files[0], model_id="shared", device="cpu")
        file = self.ensemble(tmp_path, {"model_id": "shared"}, {"model_path": files[1].name})
        model = engine.load(file, device="cuda:1")
        assert (model.device, shared.device) == ("cuda:1", "cpu")
        assert [one.version.placement.device for one in model.members] == ["cpu", "cuda:1"]
        assert engine.reload("shared").device == "cpu"  # the ensemble is made again with it
        assert model.device == "cuda:1"

    @pytest.mark.parametrize("words", [{"device": "cpu"}, {"gpu_graph_rows": 8}])
    def test_words_that_would_hold_for_no_member(
        self, room: dict[str, int], engine: Engine, files: list[Path], tmp_path: Path,
        words: dict[str, Any],
    ) -> None:  # fmt: skip
        for number, file in enumerate(files[:2]):
            engine.load(file, model_id=f"m{number}", device="cpu")
        file = self.ensemble(tmp_path, {"model_id": "m0"}, {"model_id": "m1"})
        with pytest.raises(ModelLoadError, match=f"both.json takes no '{next(iter(words))}': it"):
            engine.load(file, tuning=Tuning(**words))
        assert engine.load(file).device == "cpu"
        assert engine.reload("m0").device == "cpu"

    def test_words_hold_for_a_final_estimator_of_its_own(self, tmp_path: Path) -> None:
        members = [{"model_id": "m0"}, {"model_id": "m1"}]
        described = {"members": members, "final_estimator": {"model_path": "last.onnx"}}
        file = tmp_path / "both.json"
        file.write_text(json.dumps(described))
        found = describe(file)
        assert found is not None
        _require_own_members(file, found, Tuning(device="cpu"))

    def test_a_member_that_fell_back(
        self, two_gpus: None, engine: Engine, files: list[Path], tmp_path: Path
    ) -> None:
        file = self.ensemble(tmp_path, *({"model_path": one.name} for one in files[:2]))
        model = engine.load(file)
        assert model.device == "cpu"
        assert model.device_reason is not None and "cuda:1 was chosen" in model.device_reason

    def test_a_member_that_cannot_is_named(
        self, engine: Engine, files: list[Path], tmp_path: Path
    ) -> None:
        file = self.ensemble(tmp_path, *({"model_path": one.name} for one in files[:2]))
        with pytest.raises(ModelLoadError, match=r"^member 'model-0.*cannot compute on cuda:7"):
            engine.load(file, device="cuda:7")
        assert engine.models() == []


def answer(code: str, **environment: str) -> Any:
    """What a process of its own prints, as JSON."""
    return json.loads(run_code(code, **environment))


LOAD = """
import json, sys
from slipstream import Engine
from slipstream.errors import SlipstreamError
found = []
with Engine(state_dir={state!r}) as engine:
    for device in (None, "cpu", "cuda:0", "cuda:1", "cuda"):
        try:
            model = engine.load({file!r}, device=device)
        except SlipstreamError as error:
            found.append([type(error).__name__, error.message])
            continue
        found.append([model.device, model.device_reason])
        engine.unload(model.model_id)
maps = open("/proc/self/maps").read()
print(json.dumps([found, "libcuda.so" in maps, "torch" in sys.modules, "pynvml" in sys.modules]))
"""


def test_with_a_driver_and_a_package_for_gpus(tmp_path: Path) -> None:
    """The driver is made up, and so is the look of the package: auto chooses, and falls back."""
    code = LOAD.format(state=str(tmp_path / "s"), file=str(write_double(tmp_path / "m.onnx")))
    (auto, cpu, first, second, some), is_open, has_torch, _ = answer(
        code,
        LD_LIBRARY_PATH=fake_driver(),
        PYTHONPATH=gpu_onnxruntime(tmp_path / "packages"),
    )
    assert auto[0] == "cpu"
    assert auto[1].startswith("cuda:0 was chosen, and did not take it: onnx backend: provider 'cu")
    assert cpu == ["cpu", None]
    assert first[0] == some[0] == "ModelLoadError"
    assert "install onnxruntime-gpu instead of onnxruntime" in first[1]
    assert second == [
        "ModelLoadError",
        "m.onnx cannot compute on cuda:1: there is no cuda:1 here, there is cuda:0 (as `slipstream "
        "devices` tells, and CUDA_VISIBLE_DEVICES decides)",
    ]
    assert (is_open, has_torch) == (True, False)


def test_a_missing_wheel_is_named(tmp_path: Path) -> None:
    code = LOAD.format(state=str(tmp_path / "s"), file=str(write_double(tmp_path / "m.onnx")))
    (auto, _, first, _, _), *_ = answer(
        code,
        LD_LIBRARY_PATH=fake_driver(),
        PYTHONPATH=gpu_onnxruntime(tmp_path / "packages", ["libcublas.so.97", "libc.so.6"]),
    )
    assert auto[0] == "cpu" and "pip install nvidia-cublas, or" in auto[1]
    assert first[0] == "MissingDependencyError"
    assert first[1].startswith(
        "libonnxruntime_providers_cuda.so needs libcublas.so.97, which is ne"
    )


def test_a_machine_without_the_package_looks_for_no_driver(tmp_path: Path) -> None:
    found = gpus_module.onnxruntime_library().parent
    if (found / "libonnxruntime_providers_cuda.so").is_file():
        pytest.skip("onnxruntime-gpu is installed")
    code = LOAD.format(state=str(tmp_path / "s"), file=str(write_double(tmp_path / "m.onnx")))
    (auto, cpu, *refused), is_open, has_torch, has_nvml = answer(code)
    assert auto == cpu == ["cpu", None]
    assert (is_open, has_torch, has_nvml) == (False, False, False)
    for kind, message in refused:
        assert kind == "MissingDependencyError"
        assert "install onnxruntime-gpu instead of onnxruntime" in message
