"""Where a model is to compute: names, the choice among made-up GPUs, refusals, ways out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from made_up_gpus import NO_DRIVER, made_up_machine, manifest, prepared
from slipstream.api.placement import (
    ON_CPU,
    Placement,
    checked_tuning,
    most_free,
    place,
    together,
)
from slipstream.api.placing import start_placed
from slipstream.api.tuning import GPU_WORDS, UNTUNED, Tuning
from slipstream.device_names import name_of, numbers_of, parse_device
from slipstream.errors import (
    InvalidInputError,
    LoadCancelledError,
    MissingDependencyError,
    ModelLoadError,
    QueueFullError,
)
from slipstream.settings import Settings, SettingsError, load_settings


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Any:
    return made_up_machine(monkeypatch)


class TestNames:
    @pytest.mark.parametrize(
        ("text", "device"),
        [
            ("auto", "auto"),
            ("CPU", "cpu"),
            (" cuda ", "cuda"),
            ("cuda:3", "cuda:3"),
            ("cuda:00", "cuda:0"),
            ("cuda:1, CUDA:0", "cuda:1,cuda:0"),
        ],
    )
    def test_good_ones(self, text: str, device: str) -> None:
        assert parse_device(text) == device
        assert load_settings(environ={"DEVICE": text}).device == device

    @pytest.mark.parametrize(
        "text",
        [
            *("gpu", "cuda:", "cuda:-1", "cuda:0,", "cuda:0,cuda:0", "cuda:0,cpu", "cuda,cuda:1"),
            *("C P U", "cuda: 0", "cpu\n", "cuda:1000", "cuda:0\0", "auto,cpu", "cuda:٣", "rocm:0"),
        ],
    )
    def test_bad_ones(self, text: str) -> None:
        with pytest.raises(InvalidInputError, match=r"'device' is not valid: .*; it takes auto"):
            checked_tuning(UNTUNED, text)
        with pytest.raises(SettingsError, match=r"DEVICE=.*: expected auto, cpu, cuda, cuda:N"):
            load_settings(environ={"DEVICE": text})

    def test_numbers(self) -> None:
        assert numbers_of("cuda:1,cuda:0") == (1, 0)
        assert numbers_of("auto") == numbers_of("cpu") == numbers_of("cuda") == ()
        assert (name_of(()), name_of((2,)), name_of((1, 0))) == ("cpu", "cuda:2", "cuda:1,cuda:0")

    def test_the_default_is_auto(self) -> None:
        assert Settings().device == load_settings(environ={}).device == "auto"

    @pytest.mark.parametrize(
        ("key", "number"),
        [
            *(("gpu_memory_limit_mb", number) for number in (0, -1, (1 << 20) + 1)),
            *(("gpu_batches_in_flight", number) for number in (0, 9)),
            *(("gpu_graph_rows", number) for number in (-1, 4097)),
        ],
    )
    def test_numbers_that_are_out_of_range(self, key: str, number: int) -> None:
        with pytest.raises(InvalidInputError, match=f"'{key}' is not valid: '{number}'; it takes"):
            checked_tuning(Tuning(**{key: number}))

    def test_a_provider_that_is_none(self) -> None:
        with pytest.raises(InvalidInputError, match="'gpu_provider' is not valid: 'dml'"):
            checked_tuning(Tuning(gpu_provider="dml"), plugins=())

    def test_what_is_given_replaces_what_was_chosen(self) -> None:
        tuning = Tuning(device="CUDA:0", instances=2)
        assert checked_tuning(UNTUNED) is UNTUNED
        assert checked_tuning(tuning) == Tuning(device="cuda:0", instances=2)
        assert checked_tuning(tuning, "cpu") == Tuning(device="cpu", instances=2)
        with pytest.raises(InvalidInputError, match="'device' is not valid: ''"):
            checked_tuning(tuning, "")


class TestAuto:
    def test_the_gpu_with_most_free_memory(self, machine: Any) -> None:
        machine(0, 1, 2, free={0: 5, 1: 9, 2: 7})
        assert place(manifest(), "m", UNTUNED, "auto") == Placement((1,), is_chosen=True)

    def test_the_first_where_nothing_tells(self, machine: Any) -> None:
        machine(3, 4)
        assert place(manifest(), "m", UNTUNED, "auto").devices == (3,)

    @pytest.mark.parametrize(
        ("found", "best"),
        [
            ([(0, None), (1, None)], 0),
            ([(0, 5), (1, 5)], 0),
            ([(0, None), (1, 1)], 1),
            ([(7, 0), (8, None)], 7),
            ([(2, 4), (5, 6), (1, 6)], 1),
        ],
    )
    def test_most_free(self, found: Any, best: int) -> None:
        assert most_free(found) == best

    @pytest.mark.parametrize("backend", ["forest", "process", "ensemble"])
    def test_backends_of_the_processor_ask_nobody(self, machine: Any, backend: str) -> None:
        asked = machine(0)
        assert place(manifest(backend), "m", UNTUNED, "auto") == ON_CPU
        assert place(manifest(backend), "m", Tuning(device="cpu"), "cuda:0") == ON_CPU
        assert place(manifest(backend), "m", UNTUNED, "cuda:0") == ON_CPU
        assert asked == []

    def test_no_driver_is_looked_for_that_could_not_be_used(self, machine: Any) -> None:
        asked = machine(0, why={"onnx": "it is the package for the processor"})
        assert place(manifest(), "m", UNTUNED, "auto") == ON_CPU
        assert asked == []

    def test_no_gpu(self, machine: Any) -> None:
        machine()
        assert place(manifest(), "m", UNTUNED, "auto") == ON_CPU

    def test_words_of_gpus_that_have_no_effect_are_told(self, machine: Any) -> None:
        words = Tuning(gpu_provider="tensorrt", gpu_batches_in_flight=2)
        machine(0, why={"onnx": "no libonnxruntime_providers_tensorrt.so"})
        why = "gpu_provider, gpu_batches_in_flight: no libonnxruntime_providers_tensorrt.so"
        assert place(manifest(), "m", words, "auto") == Placement(reason=why)
        machine()
        told = place(manifest(), "m", Tuning(gpu_memory_limit_mb=9), "auto")
        assert told == Placement(reason=f"gpu_memory_limit_mb: {NO_DRIVER}")
        assert place(manifest(), "m", words, "cpu") == ON_CPU, "which was asked for"

    def test_code_that_was_compiled_for_the_processor(self, machine: Any) -> None:
        machine(0)
        assert place(manifest("torch", kind="package"), "m", UNTUNED, "auto") == ON_CPU
        assert place(manifest("torch", kind="script"), "m", UNTUNED, "auto").devices == (0,)

    def test_an_artifact_with_a_device_of_its_own(self, machine: Any) -> None:
        machine(0, 1)
        own = manifest("tensorrt", device="cuda:1")
        assert place(own, "m", UNTUNED, "auto") == Placement((1,))
        assert place(own, "m", Tuning(device="auto"), "cpu") == Placement((1,))
        assert place(own, "m", Tuning(device="cuda:0"), "auto") == Placement((0,))
        assert place(manifest("tensorrt"), "m", UNTUNED, "auto") == Placement((0,))

    def test_an_engine_of_tensorrt_has_no_processor_to_fall_back_to(self, machine: Any) -> None:
        machine()
        why = f"cannot compute on cuda: engines of TensorRT need a GPU: {NO_DRIVER}"
        with pytest.raises(ModelLoadError, match=re.escape(why)):
            place(manifest("tensorrt"), "m", UNTUNED, "auto")
        with pytest.raises(ModelLoadError, match="computes on GPUs only"):
            place(manifest("tensorrt", device="cuda:0"), "m", Tuning(device="cpu"), "auto")


class TestAskedFor:
    def test_it_is_where_it_was_asked_for(self, machine: Any) -> None:
        machine(0, 1, free={1: 2})
        asked = {"cuda:1": (1,), "cuda:1,cuda:0": (1, 0), "cuda": (1,), "cpu": ()}
        for device, numbers in asked.items():
            assert place(manifest(), "m", Tuning(device=device), "auto") == Placement(numbers)
            assert place(manifest(), "m", UNTUNED, device) == Placement(numbers)
        assert place(manifest(), "m", Tuning(device="cpu"), "cuda:0") == ON_CPU

    def test_a_package_is_missing(self, machine: Any) -> None:
        asked = machine(0, why={"onnx": "install onnxruntime-gpu"})
        with pytest.raises(MissingDependencyError, match="x cannot compute on cuda:0: install on"):
            place(manifest(), "x", Tuning(device="cuda:0"), "auto")
        assert asked == []

    def test_no_driver(self, machine: Any) -> None:
        machine()
        with pytest.raises(ModelLoadError) as raised:
            place(manifest(), "x", UNTUNED, "cuda")
        assert raised.value.message == (
            f"x cannot compute on cuda: {NO_DRIVER}; or load it with device=cpu"
        )
        assert raised.value.details == {"key": "device", "device": "cuda"}

    def test_no_such_gpu(self, machine: Any) -> None:
        machine(0, 1)
        with pytest.raises(ModelLoadError, match="there is no cuda:2 here, there is cuda:0,cuda:1"):
            place(manifest(), "x", Tuning(device="cuda:1,cuda:2"), "auto")

    @pytest.mark.parametrize("backend", ["forest", "process"])
    def test_a_model_of_the_processor(self, machine: Any, backend: str) -> None:
        machine(0)
        with pytest.raises(ModelLoadError, match=f"'{backend}' backend, which computes on the pro"):
            place(manifest(backend), "x", Tuning(device="cuda:0"), "auto")

    @pytest.mark.parametrize(
        ("backend", "key"),
        [
            *((name, key) for name in ("torch", "tensorrt") for key in GPU_WORDS[:2]),
            *((name, key) for name in ("forest", "process") for key in GPU_WORDS),
        ],
    )
    def test_words_for_others(self, machine: Any, backend: str, key: str) -> None:
        machine(0)
        tuning = Tuning(**{key: "tensorrt" if key == "gpu_provider" else 1})
        with pytest.raises(ModelLoadError, match=f"x takes no '{key}': .*; leave it out") as raised:
            place(manifest(backend), "x", tuning, "auto")
        assert raised.value.details == {"key": key}

    def test_torch_says_why_it_cannot_limit(self, machine: Any) -> None:
        machine(0)
        with pytest.raises(ModelLoadError, match="one pool of GPU memory for all models"):
            place(manifest("torch"), "x", Tuning(gpu_memory_limit_mb=1), "auto")


class Started:
    """Stands in for starting a version; it is the error handling around it that is tested."""

    def __init__(self, *failures: Exception | None) -> None:
        self.failures = list(failures)
        self.places: list[str] = []

    def __call__(self, there: Placement) -> Placement:
        self.places.append(there.device)
        failure = self.failures.pop(0) if self.failures else None
        if failure is not None:
            raise failure
        return there


class TestStarting:
    def start(
        self, placement: Placement, started: Started, tmp_path: Path, room: int = 0
    ) -> Placement:
        rooms = [True] * room
        return start_placed(
            *(placement, prepared(tmp_path), "x.onnx"),
            start=started,
            make_room=lambda there: bool(rooms) and rooms.pop(),
        )

    def test_where_it_was_placed(self, tmp_path: Path) -> None:
        for placement in (ON_CPU, Placement((1,)), Placement((0, 1), is_chosen=True)):
            assert self.start(placement, Started(), tmp_path) == placement

    def test_a_gpu_that_was_only_chosen(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        path = prepared(tmp_path).artifact_path
        started = Started(ModelLoadError(f"{path} holds text, which no GPU takes"))
        found = self.start(Placement((1,), is_chosen=True), started, tmp_path)
        reason = "cuda:1 was chosen, and did not take it: x.onnx holds text, which no GPU takes"
        assert found == Placement(reason=reason)
        assert started.places == ["cuda:1", "cpu"]
        assert f"x.onnx computes on the cpu: {reason}" in caplog.text

    def test_a_gpu_that_was_asked_for(self, tmp_path: Path) -> None:
        started = Started(ModelLoadError("it holds text"))
        with pytest.raises(ModelLoadError, match="it holds text"):
            self.start(Placement((1,)), started, tmp_path)
        assert started.places == ["cuda:1"]

    def test_what_no_device_takes_fails_as_the_processor_has_it(self, tmp_path: Path) -> None:
        started = Started(ModelLoadError("no GPU takes it"), ModelLoadError("it is no model"))
        with pytest.raises(ModelLoadError, match="it is no model"):
            self.start(Placement((1,), is_chosen=True), started, tmp_path)

    def test_a_cancelled_load_is_not_tried_elsewhere(self, tmp_path: Path) -> None:
        started = Started(LoadCancelledError("nobody wants it"))
        with pytest.raises(LoadCancelledError):
            self.start(Placement((1,), is_chosen=True), started, tmp_path)
        assert started.places == ["cuda:1"]

    def test_room_is_made_as_often_as_it_takes(self, tmp_path: Path) -> None:
        full = QueueFullError("out of memory")
        started = Started(full, full, full)
        assert self.start(Placement((1,)), started, tmp_path, room=3) == Placement((1,))
        assert started.places == ["cuda:1"] * 4

    def test_a_full_gpu(self, machine: Any, tmp_path: Path) -> None:
        machine(0, 1, free={1: 7 << 20})
        full = QueueFullError("Failed to allocate memory for requested buffer of size 9000000")
        with pytest.raises(QueueFullError) as raised:
            self.start(Placement((1,)), Started(full, full), tmp_path, room=1)
        assert raised.value.message.startswith(
            "x.onnx (3 MiB, and what it computes with) does not fit on cuda:1, where 7 MiB is free "
            "and no idle model could leave: Failed to allocate memory for requested buffer of size "
            "9000000; unload a model there"
        )
        assert raised.value.details == {"device": "cuda:1", "model_size_mb": 3.0, "free_mb": 7}

    def test_a_full_gpu_that_tells_nothing(self, machine: Any, tmp_path: Path) -> None:
        machine(0)
        with pytest.raises(QueueFullError, match=r"where an unknown amount .* is free"):
            self.start(Placement((0,)), Started(QueueFullError("full")), tmp_path)

    def test_a_full_gpu_that_was_only_chosen(self, machine: Any, tmp_path: Path) -> None:
        machine(0)
        started = Started(*[QueueFullError("full")] * 2)
        found = self.start(Placement((0,), is_chosen=True), started, tmp_path, room=1)
        assert started.places == ["cuda:0", "cuda:0", "cpu"]
        assert found.reason is not None and "does not fit on cuda:0" in found.reason

    def test_a_full_host_is_nothing_of_this(self, tmp_path: Path) -> None:
        started = Started(QueueFullError("out of memory"))
        with pytest.raises(QueueFullError, match=r"^out of memory$"):
            self.start(ON_CPU, started, tmp_path, room=1)


def test_an_ensemble_is_where_its_members_are() -> None:
    parts = [Placement((1,)), ON_CPU, Placement((0, 1)), Placement(reason="too large")]
    assert together(parts) == Placement((1, 0), reason="too large")
    assert together([ON_CPU, ON_CPU]) == ON_CPU
    assert (Placement((1, 0)).device, Placement((1, 0)).first_device) == ("cuda:1,cuda:0", "cuda:1")
    assert ON_CPU.device == ON_CPU.first_device == "cpu"
