"""Plans of a real TensorRT, built and served: only where there is a GPU, TensorRT and the backend.

``pytest tests/gpu/test_plans.py -rs`` says what is missing where they are skipped.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from plan_graphs import write_two_layers
from slipstream import Engine
from slipstream.convert.tensorrt import require_gpu
from slipstream.engine.runtime import require_tensorrt_backend
from slipstream.errors import InvalidInputError, ModelLoadError
from slipstream.settings import Settings

pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

RNG = np.random.default_rng(11)
ROWS = RNG.standard_normal((16, 8)).astype(np.float32)
MOST_APART = {"fp32": 1e-4, "fp16": 0.02, "int8": 0.2}


def what_is_missing() -> str | None:
    """Why none of this can run here; None where it can."""
    if importlib.util.find_spec("tensorrt") is None:
        return "TensorRT is not installed: pip install 'slipstream[tensorrt]'"
    try:
        require_gpu()
        require_tensorrt_backend()
    except ModelLoadError as error:
        return error.message
    return None


MISSING = what_is_missing()
pytestmark = [pytest.mark.gpu, pytest.mark.skipif(MISSING is not None, reason=str(MISSING))]


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    """A network of two layers, with calibration rows beside it."""
    file = write_two_layers(tmp_path / "net.onnx", RNG)
    np.savez(tmp_path / "rows.npz", x=RNG.standard_normal((256, 8)).astype(np.float32))
    return file


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with Engine(Settings(model_dir=tmp_path, state_dir=tmp_path / "state")) as made:
        yield made


def say(graph: Path, text: str) -> None:
    graph.with_name("net.onnx.toml").write_text(f"[tensorrt]\nmax_rows = 16\n{text}")


@pytest.mark.parametrize("precision", sorted(MOST_APART))
@pytest.mark.parametrize("graph_rows", [0, 16])
def test_a_plan_answers_as_its_graph(
    graph: Path, engine: Engine, precision: str, graph_rows: int
) -> None:
    rows = 'calibration = "rows.npz"\n' if precision == "int8" else ""
    say(graph, f'precision = "{precision}"\ngraph_rows = {graph_rows}\n{rows}')
    model = engine.load(graph, "tensorrt")
    assert model.backend == "tensorrt" and model.device == "cuda:0"
    session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    for count in (1, 3, 16, 3, 16):  # the second time by a graph
        right = session.run(None, {"x": ROWS[:count]})[0]
        have = model.predict({"x": ROWS[:count]})
        apart = np.abs(have - right).max() / np.abs(right).max()
        assert apart <= MOST_APART[precision], f"{count} rows"


def test_a_plan_that_was_built_is_served_as_it_is(graph: Path, engine: Engine) -> None:
    say(graph, "")
    built = engine.load(graph, "tensorrt")
    (plan,) = (graph.parent / "state" / "artifacts").glob("*/model.plan")
    copy = graph.with_name("copy.plan")
    copy.write_bytes(plan.read_bytes())
    served = engine.load(copy)
    assert np.array_equal(served.predict({"x": ROWS}), built.predict({"x": ROWS}))
    assert list((graph.parent / "state" / "timing").glob("*.cache"))


def test_sizes_out_of_the_profile_are_refused(graph: Path, engine: Engine) -> None:
    say(graph, 'min_rows = 4\nbatchable = "false"\n')
    model = engine.load(graph, "tensorrt")
    with pytest.raises(InvalidInputError, match="takes"):
        model.predict({"x": ROWS[:2]})
    assert model.predict({"x": ROWS[:4]}).shape == (4, 4)


def test_a_plan_cut_short_is_refused(graph: Path, engine: Engine) -> None:
    say(graph, "")
    engine.load(graph, "tensorrt")
    (plan,) = (graph.parent / "state" / "artifacts").glob("*/model.plan")
    half = graph.with_name("half.plan")
    half.write_bytes(plan.read_bytes()[: plan.stat().st_size // 2])
    with pytest.raises(ModelLoadError, match=r"half\.plan"):
        engine.load(half)
