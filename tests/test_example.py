"""The model ``example``: one network, written three ways, and how a server comes by it."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest

from http_models import fresh_folder
from http_server import slipstream_server
from slipstream import Engine
from slipstream.engine.runtime import has_torch_backend
from slipstream.errors import ModelLoadError
from slipstream.example import place
from slipstream.example.graph import onnx_bytes
from slipstream.example.network import scores
from slipstream.settings import Settings

ON = {"EXAMPLE_MODEL": "True"}


def rows(count: int, width: int) -> npt.NDArray[np.float32]:
    """Numbers of every size that a client may try."""
    made = np.random.default_rng(count * width).uniform(-300, 300, (count, width))
    return made.astype(np.float32)


SHAPES = [(1, 1), (1, 5), (3, 3), (64, 11), (2, 4000)]


class TestTheNetwork:
    def test_the_graph_is_valid(self) -> None:
        model = onnx.load_from_string(onnx_bytes())
        onnx.checker.check_model(model, full_check=True)
        assert len(onnx_bytes()) < 1000

    @pytest.mark.parametrize("shape", SHAPES)
    def test_the_graph_computes_it(self, tmp_path: Path, shape: tuple[int, int]) -> None:
        (tmp_path / "example.onnx").write_bytes(onnx_bytes())
        with Engine() as engine:
            model = engine.load(tmp_path / "example.onnx")
            answer = model.predict(rows(*shape))
        np.testing.assert_allclose(answer, scores(rows(*shape)), rtol=0, atol=1e-6)

    def test_the_script_computes_it(self, tmp_path: Path) -> None:
        """Made by the child, as a server would have it made, and held against the graph."""
        torch = pytest.importorskip("torch")
        settings = Settings(model_dir=tmp_path)
        file = place.script_file(settings)
        assert place.script_file(settings) == file, "made once"
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=r".*torch\.jit\.(load|script|save)")
            module = torch.jit.load(str(file))
        with Engine() as engine:
            model = engine.load(place.graph_file(settings))
            for shape in SHAPES:
                with torch.inference_mode():
                    scripted = module(torch.from_numpy(rows(*shape))).numpy()
                assert scripted.shape == (shape[0],)
                np.testing.assert_allclose(scripted, model.predict(rows(*shape)), rtol=0, atol=1e-6)

    def test_no_torch(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(place, "torch_backend_folder", lambda: None)
        (tmp_path / "torch.py").write_text("raise ImportError('there is none')")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        with pytest.raises(ModelLoadError, match="there is none"):
            place.script_file(Settings(model_dir=tmp_path))
        assert not list((tmp_path / ".slipstream" / "example").glob("*.pt"))


class TestItsPlace:
    def test_what_is_damaged_is_made_again(self, tmp_path: Path) -> None:
        settings = Settings(model_dir=tmp_path)
        file = place.graph_file(settings)
        made = file.stat().st_mtime_ns
        assert place.graph_file(settings).stat().st_mtime_ns == made
        file.write_bytes(b"something else")
        assert place.graph_file(settings).read_bytes() == onnx_bytes()

    def test_it_takes_nothing_from_others(self, tmp_path: Path) -> None:
        settings = Settings(model_dir=tmp_path, model_cache_size=1, max_workers=2)
        with Engine(settings) as engine:
            extra = engine.load(
                place.graph_file(settings), model_id="example", instances=1, is_extra=True
            )
            (tmp_path / "other.onnx").write_bytes(onnx_bytes())
            other = engine.load(tmp_path / "other.onnx", model_id="other", instances=2)
            assert other.version.core.instances == 2, "it does not count for max_workers"
            assert not extra.is_resting, "nor for model_cache_size"
            assert engine.get() is other, "and who names no model does not mean it"


def listed(client: Any) -> list[str]:
    models = client.get("/api/inference/models/list").json()["models"]
    return sorted(model["model_id"] for model in models)


class TestServing:
    def test_by_default(self, tmp_path: Path) -> None:
        with (
            slipstream_server("--model-dir", str(tmp_path), env=ON) as server,
            server.client() as client,
        ):
            assert listed(client) == ["example"]
            assert client.delete("/api/inference/models/example").status_code == 200
            assert listed(client) == []
        kept = tmp_path / ".slipstream" / "example"
        assert (kept / ("example.pt" if has_torch_backend() else "example.onnx")).is_file()

    def test_turned_off(self, tmp_path: Path) -> None:
        with (
            slipstream_server("--model-dir", str(tmp_path), env={"EXAMPLE_MODEL": "False"}) as one,
            one.client() as client,
        ):
            assert listed(client) == []

    def test_a_model_of_that_name_comes_first(
        self, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        folder = fresh_folder(tmp_path_factory, "named-example", "pair.onnx")
        entry = {"model_path": "pair.onnx", "model_id": "example"}
        (folder / "models.json").write_text(json.dumps({"models": [entry]}))
        with (
            slipstream_server("--model-dir", str(folder), env=ON) as server,
            server.client() as client,
        ):
            body = {"model_name": "example", "inputs": {"left": [1, 2, 3], "right": [1]}}
            assert client.post("/predict", json=body).json()["result"]["largest"] == 3

    def test_an_experiment_of_that_name_comes_first(
        self, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        folder = fresh_folder(tmp_path_factory, "example-experiment", "pair.onnx")
        arguments = ("--model-dir", str(folder), "--load", "pair.onnx=pair")
        with slipstream_server(*arguments) as server, server.client() as client:
            variants = {"variants": [{"model_id": "pair", "weight": 1}]}
            made = client.put("/api/inference/experiments/example", json=variants)
            assert made.status_code == 201, made.text
        with slipstream_server(*arguments, env=ON) as server, server.client() as client:
            assert listed(client) == ["pair"]

    def test_a_state_folder_that_cannot_be_written(self, tmp_path: Path) -> None:
        """The server serves what it can."""
        (tmp_path / ".slipstream").mkdir()
        (tmp_path / ".slipstream" / "example").write_text("in the way")
        with (
            slipstream_server("--model-dir", str(tmp_path), env=ON) as server,
            server.client() as client,
        ):
            assert listed(client) == []
            assert client.get("/health").json()["healthy"]
            assert "the model 'example' is not served" in server.log

    def test_it_is_torchscript_where_that_can_be_served(self, tmp_path: Path) -> None:
        if not has_torch_backend():
            pytest.skip("the torch backend was not built")
        with (
            slipstream_server("--model-dir", str(tmp_path), env=ON) as server,
            server.client() as client,
        ):
            info = client.get("/api/inference/models/example/info").json()
            assert (info["model_type"], info["backend"]) == ("pytorch", "torch")
            given = rows(3, 4)
            body = {"model_name": "example", "inputs": given.tolist()}
            result = client.post("/predict", json=body).json()["result"]
            np.testing.assert_allclose(result, scores(given), rtol=0, atol=1e-6)
            text = client.post("/predict", json={"model_name": "example", "inputs": "Hello world"})
            known = np.frombuffer(b"Hello world", np.uint8).astype(np.float32)[None]
            np.testing.assert_allclose(text.json()["result"], scores(known)[0], rtol=0, atol=1e-6)

    def test_no_framework_is_imported(self, tmp_path: Path) -> None:
        """The Python of torch, or a library of another, would show among the mapped files."""
        with (
            slipstream_server("--model-dir", str(tmp_path), env=ON) as server,
            server.client() as client,
        ):
            body = {"model_name": "example", "inputs": "Hello world"}
            assert client.post("/predict", json=body).status_code == 200
            mapped = Path(f"/proc/{server.process.pid}/maps").read_text()
            for name in ("libtorch_python", "/torch/_C", "/sklearn/", "/transformers/", "/onnx/"):
                assert name not in mapped
