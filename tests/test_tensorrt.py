"""TensorRT plans, as far as they can be told without TensorRT: files, tables, keys, messages.

What a plan computes is tested in tests/cpp/tensorrt. No test here builds one: that needs a GPU.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from made_up_gpus import NO_DRIVER, gpus, write_double
from slipstream.api.loading import prepared_of
from slipstream.api.model import LoadOptions
from slipstream.api.placement import place
from slipstream.api.tuning import UNTUNED, Tuning
from slipstream.cli.build_backend import BuildError, build_tensorrt
from slipstream.convert import tensorrt_child
from slipstream.convert.tensorrt import plan_job, require_gpu
from slipstream.convert.tensorrt_shapes import profile_of
from slipstream.convert.tensorrt_words import Fault, Progress, refusal_of
from slipstream.engine import runtime, tensorrt_library
from slipstream.errors import MissingDependencyError, ModelLoadError, UnsafeModelError
from slipstream.gpu import gpus as gpus_module
from slipstream.models import tensorrt_files
from slipstream.models.manifest import encode
from slipstream.models.prepare import PrepareOptions, prepare
from slipstream.models.states_file import states_file_of
from slipstream.models.tensorrt_files import (
    BuildGpu,
    PlanSource,
    machine,
    plan_manifest,
    plan_version,
    timing_name,
)
from slipstream.models.tensorrt_table import (
    BuildTable,
    ShapeRange,
    TensorRtTable,
    calibration_file,
    tensorrt_table_of,
)
from slipstream.settings import Settings

FOLDERS = ("CUDA_INCLUDE_DIR", "TENSORRT_DIR")
PLAN = b"ftrt" + bytes(20) + bytes((10, 16, 1, 11)) + b"the rest"


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    file = tmp_path / "engine.plan"
    file.write_bytes(PLAN)
    return file


def table(plan: Path, text: str) -> TensorRtTable:
    plan.with_name("engine.plan.toml").write_text(text)
    return tensorrt_table_of(plan)


def test_a_plan_is_kept_with_what_its_header_and_the_file_beside_it_say(
    plan: Path, tmp_path: Path
) -> None:
    table(
        plan,
        '[tensorrt]\ndevice = "cuda:1"\nslots = 2\nprofile = 3\nbatchable = "false"\n'
        "graph_rows = 8\n",
    )
    made = prepare(plan, tmp_path / "cache", PrepareOptions())
    assert made.manifest.framework == "tensorrt 10.16.1"
    assert made.manifest.backend_options == {
        "device": "cuda:1",
        "slots": "2",
        "profile": "3",
        "graph_rows": "8",
        "batchable": "false",
    }
    assert made.artifact_path.read_bytes() == PLAN
    table(plan, "[tensorrt]\nslots = 1\n")
    again = prepare(plan, tmp_path / "cache", PrepareOptions())
    assert again.folder != made.folder and again.manifest.backend_options == {"slots": "1"}


def test_a_table_names_a_device_as_loads_do_or_none(plan: Path) -> None:
    assert table(plan, "[tensorrt]\n").device is None
    assert table(plan, '[tensorrt]\ndevice = "auto"\n').device is None
    assert table(plan, '[tensorrt]\ndevice = "CUDA:01, cuda:0"\n').device == "cuda:1,cuda:0"


def test_what_only_a_build_takes_is_refused_beside_a_plan(plan: Path, tmp_path: Path) -> None:
    table(plan, '[tensorrt]\nprecision = "fp16"\n')
    with pytest.raises(ModelLoadError, match="a TensorRT engine already"):
        prepare(plan, tmp_path / "cache", PrepareOptions())


def test_a_header_of_another_layout_tells_no_version(plan: Path) -> None:
    assert plan_version(plan) == "10.16.1"
    plan.write_bytes(PLAN[:4] + b"\x01" + PLAN[5:])
    assert plan_version(plan) is None
    plan.write_bytes(PLAN[:27])
    assert plan_version(plan) is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[tensorrt]\nslotz = 1\n", "slotz"),
        ('[tensorrt]\nprecision = "fp12"\n', "precision"),
        ("[tensorrt]\nmin_rows = 3\nmax_rows = 2\n", "in that order"),
        ("[tensorrt]\nmin_rows = 0\n", "in that order"),
        ("[tensorrt]\nopt_rows = 64\n", "in that order"),
        ('[tensorrt]\nprecision = "int8"\n', "calibration"),
        ("[tensorrt", "not valid"),
        ('[tensorrt]\ndevice = "gpu"\n', "device 'gpu' is not valid: it takes auto, cpu, cuda"),
        ('[tensorrt]\ndevice = "cuda:0,cuda:0"\n', "is not valid"),
        ('[tensorrt]\ndevice = "cpu"\n', "computes on GPUs only"),
    ],
)
def test_a_table_that_is_wrong_is_refused_by_name(plan: Path, text: str, told: str) -> None:
    with pytest.raises(ModelLoadError, match=r"engine\.plan\.toml") as caught:
        table(plan, text)
    assert told in caught.value.message


def test_the_table_leads_nowhere_else(plan: Path, tmp_path: Path) -> None:
    assert tensorrt_table_of(plan) == TensorRtTable()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    inner = elsewhere / "inner.plan"
    inner.write_bytes(PLAN)
    (elsewhere / "inner.plan.toml").symlink_to(plan)
    with pytest.raises(UnsafeModelError, match="leads outside"):
        tensorrt_table_of(inner)
    wanted = TensorRtTable(calibration="../engine.plan")
    with pytest.raises(UnsafeModelError, match="leads outside"):
        calibration_file(inner, wanted)
    with pytest.raises(ModelLoadError, match="no calibration file"):
        calibration_file(plan, TensorRtTable(calibration="rows.npz"))


def test_the_other_tables_of_the_file_are_left_alone(plan: Path) -> None:
    assert table(plan, "[constants]\nsr = 16000\n[tensorrt]\nslots = 4\n").slots == 4
    assert states_file_of(plan).constants == {"sr": 16000}


def test_profiles_are_of_rows_and_of_the_shapes_that_were_given() -> None:
    inputs = {"x": (-1, 3), "image": (-1, 3, -1, -1), "fixed": (4, 2)}
    given = ShapeRange(min=(1, 3, 8, 8), opt=(2, 3, 16, 16), max=(4, 3, 32, 32))
    wanted = BuildTable(min_rows=2, opt_rows=4, max_rows=8, shapes={"image": given})
    made = profile_of(inputs, wanted)
    assert made["x"] == ((2, 3), (4, 3), (8, 3))
    assert made["image"] == (given.min, given.opt, given.max)
    assert "fixed" not in made
    assert profile_of({"x": (-1,)}, BuildTable())["x"] == ((1,), (32,), (32,))


@pytest.mark.parametrize(
    ("inputs", "shapes", "told"),
    [
        ({"x": (-1, -1)}, {}, r"input 'x' has shape \[\?, \?\].*\[tensorrt.shapes.x\]"),
        ({"x": (-1, 3)}, {"z": ((1,), (1,), (1,))}, "'z'.*inputs are 'x'"),
        ({"x": (-1, 3)}, {"x": ((1, 4), (1, 4), (1, 4))}, r"\[1, 4\] is no shape"),
        ({"x": (-1, 3)}, {"x": ((1,), (1,), (1,))}, r"\[1\] is no shape"),
        ({"x": (-1, 3)}, {"x": ((0, 3), (1, 3), (1, 3))}, r"\[0, 3\] is no shape"),
        ({"x": (-1, 3)}, {"x": ((2, 3), (1, 3), (4, 3))}, "in that order"),
    ],
)
def test_a_profile_that_cannot_be_says_why(
    inputs: dict[str, tuple[int, ...]],
    shapes: dict[str, tuple[tuple[int, ...], ...]],
    told: str,
) -> None:
    ranges = {name: ShapeRange(*one) for name, one in shapes.items()}
    with pytest.raises(ModelLoadError, match=told):
        profile_of(inputs, BuildTable(shapes=ranges))


def test_faults_of_the_parser_are_told_node_by_node() -> None:
    faults = [Fault(f"node{i}", "Loop", i, "no\n  importer") for i in range(10)]
    said = refusal_of(faults, [])
    assert "10 part(s)" in said and "Loop 'node0': no importer" in said and "and 2 more" in said
    assert "node8" not in said
    assert "the graph: no opset" in refusal_of([Fault("", "", -1, "no opset")], [])
    assert "node 4: bad" in refusal_of([Fault("", "", 4, "bad")], [])
    assert "TensorRT says: a; b c" in refusal_of([], ["a", "b\nc"])


def test_progress_is_told_twice_a_second_with_its_phases() -> None:
    now, lines = [0.0], list[str]()
    progress = Progress(lines.append, lambda: now[0])
    progress.begin("Building", 3)
    progress.step("Building", 0)  # too soon after the first line
    now[0] = 0.5
    progress.begin("Tactics", 200)
    now[0] = 1.0
    progress.step("Tactics", 41)
    progress.end("Tactics")
    now[0] = 1.5
    progress.step("Building", 1)
    assert lines == [
        "building the plan: Building 0/3",
        "building the plan: Building 1/3, Tactics 0/200",
        "building the plan: Building 1/3, Tactics 42/200",
        "building the plan: Building 2/3",
    ]


def test_measurements_are_kept_by_graph_precision_and_machine(tmp_path: Path) -> None:
    def name(**changes: object) -> str:
        parts = {"sha256": "a", "weights": {}, "table": TensorRtTable(), "where": "here"} | changes
        where = str(parts.pop("where"))
        return timing_name(PlanSource(tmp_path, **parts), where)  # type: ignore[arg-type]

    half = TensorRtTable(precision="fp16")
    names = {name(), name(sha256="b"), name(weights={"w": "c"}), name(table=half), name(where="x")}
    assert len(names) == 5
    assert name() == name(table=TensorRtTable(max_rows=64)), "other sizes reuse what was measured"


def test_the_machine_is_its_tensorrt_and_the_kind_of_gpu() -> None:
    first, second = (machine(BuildGpu(number, "NVIDIA H100 PCIe")) for number in (0, 1))
    assert first == second and first.endswith("; NVIDIA H100 PCIe")
    assert machine(BuildGpu(0, "NVIDIA L4")) != first != machine(None)


class TestBuilding:
    """All but the child, which needs TensorRT and a GPU."""

    @pytest.fixture
    def jobs(self, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
        """What children were told; they leave measurements and a manifest."""
        jobs: list[dict[str, Any]] = []

        def run_child(job: dict[str, Any], *_: object) -> None:
            jobs.append(job)
            file = Path(job["timing_cache"])
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(b"measured")
            made = plan_manifest("11.1", job["backend_options"], job["sha256"], "Made-up 1")
            (Path(job["out"]) / "model.plan").write_bytes(PLAN)
            (Path(job["out"]) / "manifest.json").write_bytes(encode(made))

        monkeypatch.setattr(tensorrt_files, "run_child", run_child)
        monkeypatch.setattr(gpus_module, "survey", lambda: gpus(0, 1, 2))
        monkeypatch.setattr(gpus_module, "free_bytes", lambda one: 100 - one.index)
        return jobs

    def prepared(self, folder: Path, tuning: Tuning, text: str = "", default: str = "auto") -> Any:
        file = write_double(folder / "m.onnx")
        file.with_name("m.onnx.toml").write_text(f"[tensorrt]\n{text}")
        settings = Settings(state_dir=folder / "state", device=default)
        return prepared_of(settings, file, LoadOptions("tensorrt", True, None, False), tuning)

    @pytest.mark.parametrize(
        ("asked", "text", "default", "gpu"),
        [
            (None, "", "auto", 0),
            (None, "", "cuda:1", 1),
            (None, 'device = "cuda:2,cuda:1"', "cuda:1", 2),
            ("cuda:1", 'device = "cuda:2"', "auto", 1),
            ("auto", 'device = "cuda:2"', "cpu", 2),
            ("auto", "", "cpu", 0),
        ],
    )
    def test_is_done_on_the_gpu_that_is_to_run_it(
        self,
        jobs: list[dict[str, Any]],
        tmp_path: Path,
        asked: str | None,
        text: str,
        default: str,
        gpu: int,
    ) -> None:
        self.prepared(tmp_path, Tuning(device=asked), text, default)
        (job,) = jobs
        assert plan_job(job).gpu == gpu

    def test_is_for_one_kind_of_gpu_where_the_plan_then_runs(
        self, jobs: list[dict[str, Any]], tmp_path: Path
    ) -> None:
        made = self.prepared(tmp_path, UNTUNED)
        assert made.manifest.gpu == "Made-up 1"
        assert place(made.manifest, "m", UNTUNED, "auto").devices == (1,)
        unknown = plan_manifest(None, {}, "", "another")  # TensorRT will say what it thinks of it
        assert place(unknown, "m", UNTUNED, "cuda").devices == (0,)

    @pytest.mark.parametrize(("asked", "told"), [("cuda:7", "no cuda:7 here"), ("cpu", "only")])
    def test_is_not_begun_for_a_gpu_that_is_not_there(
        self, jobs: list[dict[str, Any]], tmp_path: Path, asked: str, told: str
    ) -> None:
        with pytest.raises(ModelLoadError, match=told):
            self.prepared(tmp_path, Tuning(device=asked))
        with pytest.raises(ModelLoadError, match=told):
            self.prepared(tmp_path, UNTUNED, default=asked)
        assert jobs == []

    def test_measurements_do_not_pile_up(self, jobs: list[dict[str, Any]], tmp_path: Path) -> None:
        timing = tmp_path / "state" / "timing"
        timing.mkdir(parents=True)
        for number in range(tensorrt_files.MOST_TIMINGS + 3):
            file = timing / f"{number}.cache"
            file.write_bytes(b"old")
            os.utime(file, ns=(number, number))
        self.prepared(tmp_path, UNTUNED)
        left = sorted(timing.iterdir())
        assert len(left) == tensorrt_files.MOST_TIMINGS
        assert Path(jobs[0]["timing_cache"]) in left
        assert not (timing / "0.cache").exists()

    @pytest.mark.parametrize(
        ("visible", "number", "left"),
        [
            (None, 1, "1"),
            ("3,5", 1, "5"),
            ("GPU-8932f937, MIG-5c0f", 1, "MIG-5c0f"),
            ("", 0, ""),
            ("4", 1, "4"),
        ],
    )
    def test_the_child_sees_one_gpu(
        self,
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
        visible: str | None,
        number: int,
        left: str,
    ) -> None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible or "")
        if visible is None:
            monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
        seen: list[str] = []

        def stop() -> None:
            seen.append(os.environ["CUDA_VISIBLE_DEVICES"])
            raise MissingDependencyError("no backend")

        monkeypatch.setattr(runtime, "require_tensorrt_backend", stop)
        job = {
            "source": "",
            "sha256": "",
            "wanted": {},
            "timing_cache": "",
            "out": "",
            "timeout_s": 1.0,
            "gpu": number,
        }
        with pytest.raises(MissingDependencyError):
            tensorrt_child._build(job, lambda text: None)
        assert seen == [left]


def test_a_backend_that_is_not_there_is_named_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(MissingDependencyError, match="slipstream build-backend tensorrt"):
        tensorrt_library.require_backend(tmp_path / "no folder")
    (tmp_path / tensorrt_library.LIBRARY).write_bytes(b"")
    tensorrt_library.require_backend(tmp_path / "no folder", tmp_path)


def test_the_runtime_is_found_in_a_wheel_the_full_one_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    for package, library in (
        ("tensorrt_lean_libs", "libnvinfer_lean.so.10"),
        ("tensorrt_libs", "libnvinfer.so.10"),
    ):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("raise RuntimeError('imported')\n")
        (tmp_path / package / library).write_bytes(b"")
        assert tensorrt_library.runtime_library() == tmp_path / package / library


def test_without_a_driver_nothing_of_tensorrt_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus_module, "survey", gpus)
    with pytest.raises(ModelLoadError, match=f"needs a GPU of NVIDIA's: {re.escape(NO_DRIVER)}"):
        require_gpu()
    monkeypatch.setattr(gpus_module, "survey", lambda: gpus(2))
    assert require_gpu() == "Made-up 2"


def test_headers_that_are_not_there_are_told_before_anything_is_compiled(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"NvInferVersion\.h"):
        build_tensorrt(tmp_path)


@pytest.mark.parametrize("has_crt", [False, True])
def test_the_compilers_part_of_cudas_headers_is_named_where_it_is_missing(
    tmp_path: Path, root: Path, has_crt: bool
) -> None:
    versions = ("MAJOR 10", "MINOR 16", "PATCH 0")
    texts = {
        "cuda.h": "#define CUDA_VERSION 13000\n",
        "cudaTypedefs.h": "",
        "NvInfer.h": "",
        "NvInferVersion.h": "".join(f"#define NV_TENSORRT_{one}\n" for one in versions),
    }
    if has_crt:
        texts["crt/host_defines.h"] = ""
    for name, text in texts.items():
        (tmp_path / "include" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "include" / name).write_text(text)
    folders = [f"-DSLIPSTREAM_{one}={tmp_path / 'include'}" for one in FOLDERS]
    run = subprocess.run(
        ["cmake", "-S", root, "-B", tmp_path / "build", "-DSLIPSTREAM_ONLY=tensorrt", *folders],
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (run.returncode == 0) == has_crt, run.stdout + run.stderr
    assert ("pip install nvidia-cuda-crt" in run.stdout) != has_crt


@pytest.mark.skipif(importlib.util.find_spec("tensorrt") is not None, reason="TensorRT is there")
def test_building_a_plan_without_tensorrt_says_what_to_install(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    helper = onnx.helper
    shape = [None, 2]
    x, y = (helper.make_tensor_value_info(name, 1, shape) for name in "xy")
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [x], [y])
    file = tmp_path / "relu.onnx"
    onnx.save(helper.make_model(graph), file)
    with pytest.raises(MissingDependencyError, match="TensorRT"):
        prepare(file, tmp_path / "cache", PrepareOptions(model_type="tensorrt"))
