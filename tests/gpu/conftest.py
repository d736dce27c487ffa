"""A GPU, or the reason why there is none; engines; and models of every kind on the GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

import slipstream
from gpu.networks import Network, write_onnx, write_package, write_script
from slipstream.api.tuning import UNTUNED
from slipstream.errors import MissingDependencyError

GPU = "cuda:0"
KINDS = ("torchscript", "onnx cuda", "onnx tensorrt", "tensorrt plan")
Load = Callable[..., slipstream.Model]


def missing() -> str | None:
    """Why nothing here can run on a GPU; None where it can."""
    reason = slipstream.devices().reason
    return None if reason is None else f"no GPU: {reason}"


@pytest.fixture(autouse=True, scope="session")
def gpu() -> str:
    """Its name; skips where there is none."""
    why = missing()
    if why is not None:
        pytest.skip(why)
    return GPU


@pytest.fixture(scope="module")
def engine(gpu: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[slipstream.Engine]:
    state = tmp_path_factory.mktemp("state")
    options: dict[str, Any] = {"max_batch_size": 128, "allow_custom_code": True}
    with slipstream.Engine(state_dir=state, **options) as engine:
        yield engine


@pytest.fixture
def load(engine: slipstream.Engine, tmp_path: Path) -> Iterator[Load]:
    """Loads a network as a file of that kind; skips where the backend is not installed."""
    loaded: list[slipstream.Model] = []

    def one(kind: str, network: Network, **options: Any) -> slipstream.Model:
        options.setdefault("device", GPU)
        options.setdefault("model_id", f"{network.name}-{len(loaded)}")
        if kind == "onnx tensorrt":  # ONNX Runtime's provider, in front of its CUDA one
            tuning = options.get("tuning", UNTUNED)
            options["tuning"] = msgspec.structs.replace(tuning, gpu_provider="tensorrt")
        if kind == "tensorrt plan":
            pytest.importorskip("tensorrt", reason="TensorRT is not installed")
            options.setdefault("model_type", "tensorrt")
        folder = tmp_path / str(len(loaded))
        folder.mkdir()
        file = write(kind, network, folder)
        try:
            model = engine.load(file, **options)
        except MissingDependencyError as error:
            pytest.skip(error.message)
        loaded.append(model)
        assert model.device == options["device"]
        return model

    yield one
    there = {model.model_id for model in engine.models()}
    for model in loaded:
        if model.model_id in there:
            engine.unload(model.model_id)


def write(kind: str, network: Network, folder: Path) -> Path:
    """The network as a file of that kind."""
    if kind == "torchscript":
        return write_script(network, folder)
    if kind == "aotinductor":
        return write_package(network, folder, "cuda")
    file = write_onnx(network, folder)
    if kind == "tensorrt plan":
        text = "[tensorrt]\nmax_rows = 64\n"
        if network.sizes:
            least = [1, *map(min, zip(*network.shapes, strict=True))]
            most = [64, *map(max, zip(*network.shapes, strict=True))]
            opt = [8, *network.shapes[0]]
            text += f"[tensorrt.shapes.x]\nmin = {least}\nopt = {opt}\nmax = {most}\n"
        file.with_name(f"{file.name}.toml").write_text(text)
    return file
