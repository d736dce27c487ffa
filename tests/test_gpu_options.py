"""What a backend is told of the GPUs that were chosen for a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from made_up_gpus import made_up_machine, manifest, prepared
from slipstream.api import gpu_options as options_module
from slipstream.api.gpu_options import gpu_options, precision_of
from slipstream.api.placement import ON_CPU, Placement, checked_tuning, place
from slipstream.api.tuning import UNTUNED, Tuning
from slipstream.errors import ModelLoadError
from slipstream.gpu import gpus as gpus_module
from slipstream.models.manifest import Quantized
from slipstream.settings import Settings


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Any:
    return made_up_machine(monkeypatch)


class TestOptions:
    @pytest.fixture(autouse=True)
    def loaded(self, machine: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        machine(0, 1)
        loaded: list[str] = []
        monkeypatch.setattr(gpus_module, "provider_library", Path)
        monkeypatch.setattr(options_module, "preload", lambda path: loaded.append(str(path)))
        return loaded

    def test_on_the_processor_nothing_is_told_or_loaded(
        self, tmp_path: Path, loaded: list[str]
    ) -> None:
        tuning = Tuning(gpu_memory_limit_mb=9, gpu_provider="tensorrt")
        assert gpu_options(prepared(tmp_path), tuning, ON_CPU, Settings()) == {}
        assert loaded == []

    def test_cuda(self, tmp_path: Path, loaded: list[str]) -> None:
        options = gpu_options(
            prepared(tmp_path), Tuning(gpu_memory_limit_mb=512), Placement((0, 1)), Settings()
        )
        assert options == {
            "device": "cuda:0,cuda:1",
            "providers": "cuda",
            "memory_limit_mb": "512",
        }
        assert loaded == ["cuda"]

    @pytest.mark.parametrize("backend", ["torch", "tensorrt"])
    def test_others(self, tmp_path: Path, loaded: list[str], backend: str) -> None:
        found = gpu_options(prepared(tmp_path, backend), UNTUNED, Placement((1,)), Settings())
        assert (found, loaded) == ({"device": "cuda:1"}, [])

    @pytest.mark.parametrize("device", [None, "cpu", "cuda:0"])
    def test_onnx_graphs_are_not_recorded(self, device: str | None) -> None:
        tuning = Tuning(device=device, gpu_graph_rows=1)
        with pytest.raises(ModelLoadError, match="'gpu_graph_rows': what ONNX Runtime launches"):
            place(manifest(), "m", tuning, "auto")

    @pytest.mark.parametrize("backend", ["onnx", "torch", "tensorrt"])
    def test_batches_in_flight_and_graphs(self, tmp_path: Path, backend: str) -> None:
        tuning = checked_tuning(Tuning(gpu_batches_in_flight=2, gpu_graph_rows=0))
        assert place(manifest(backend), "m", tuning, "auto").devices != ()
        options = gpu_options(prepared(tmp_path, backend), tuning, Placement((1,)), Settings())
        assert (options["slots"], options["graph_rows"]) == ("2", "0")

    def test_tensorrt(self, tmp_path: Path, loaded: list[str]) -> None:
        settings = Settings(state_dir=tmp_path / "state", max_batch_size=48)
        tuning = Tuning(gpu_provider="tensorrt")
        options = gpu_options(prepared(tmp_path), tuning, Placement((0,)), settings)
        folder = Path(options.pop("cache_folder"))
        assert options == {
            "device": "cuda:0",
            "providers": "tensorrt,cuda",
            "precision": "as_is",
            "max_rows": "48",
        }
        assert folder.is_dir() and folder.parent == (tmp_path / "state" / "tensorrt").resolve()
        assert loaded == ["cuda", "tensorrt"]
        again = gpu_options(prepared(tmp_path), tuning, Placement((0,)), settings)
        other = gpu_options(prepared(tmp_path), tuning, Placement((1,)), settings)
        assert again["cache_folder"] == str(folder) != other["cache_folder"]

    @pytest.mark.parametrize(
        ("type_", "mode", "precision"),
        [
            ("FP16", None, "float16"),
            ("INT8", "STATIC", "int8"),
            ("INT8", "DYNAMIC", "as_is"),
            ("UINT8", "STATIC", "as_is"),
            ("INT4", None, "as_is"),
        ],
    )
    def test_precision(self, type_: str, mode: str | None, precision: str) -> None:
        quantized = Quantized(
            type=type_,
            mode=mode,
            weights=1,
            accuracy_loss_percent=0.0,
            rows=1,
            rows_source="generated",
        )
        assert precision_of(quantized) == precision
        assert precision_of(None) == "as_is"
