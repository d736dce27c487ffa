"""Models with states and constant inputs, in process: what the file beside them says is done."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest

import slipstream
from real_models import SILERO, package_file
from slipstream.api import Body, EncodedAnswer, Model
from slipstream.engine.recurrence import Memory
from slipstream.errors import InvalidInputError, ModelLoadError, UnsafeModelError

SUM = '[states.before]\noutput = "after"\n'


def silero_files() -> Path:
    """The folder of models that the silero-vad package brings."""
    return package_file("silero_vad", "data", "silero_vad.onnx").parent


def write_sum(file: Path, beside: str | None = SUM, dims: Any = (1, 3)) -> Path:
    """``total = before * decay + x``; ``before`` is ``after`` of the request before."""
    from onnx import TensorProto, save
    from onnx.helper import make_graph, make_model, make_node, make_opsetid
    from onnx.helper import make_tensor_value_info as info

    floats = TensorProto.FLOAT
    graph = make_graph(
        [
            make_node("Add", ["before", "x"], ["after"]),
            make_node("Identity", ["after"], ["total"]),
            make_node("ReduceMax", ["after"], ["largest"], keepdims=0),
        ],
        "sum",
        [info("before", floats, dims), info("x", floats, dims)],
        [info("total", floats, dims), info("after", floats, dims), info("largest", floats, [])],
    )
    save(make_model(graph, opset_imports=[make_opsetid("", 17)], ir_version=8), file)
    if beside is not None:
        file.with_name(file.name + ".toml").write_text(beside)
    return file


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[slipstream.Engine]:
    with slipstream.Engine(state_dir=tmp_path / "state") as engine:
        yield engine


def run(model: Model, rows: list[Any], memory: Memory | None) -> list[Any]:
    """What `Model.start` answers to each of these, one after the other."""

    async def ask(data: Any) -> EncodedAnswer | Exception:
        ended: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        model.start(
            Body("json", json.dumps(data).encode(), memory=memory),
            answer="json",
            probabilities=False,
            priority=0,
            timeout_ms=None,
            batch_size=None,
            on_done=ended.set_result,
        )
        return await ended

    async def ask_all() -> list[Any]:
        return [await ask(data) for data in rows]

    answers = asyncio.run(ask_all())
    return [
        one if isinstance(one, Exception) else json.loads(one.predictions)  # type: ignore[arg-type]
        for one in answers
    ]


class TestASmallGraph:
    def test_a_request_that_stands_alone_starts_from_the_initial_state(
        self, engine: slipstream.Engine, tmp_path: Path
    ) -> None:
        model = engine.load(write_sum(tmp_path / "sum.onnx"))
        assert model.is_stateful
        assert [spec[0] for spec in model.signature.inputs] == ["x"]
        for _ in range(2):
            answer = model.predict(np.array([[1, 2, 3]], np.float32))
            assert set(answer) == {"total", "largest"}
            assert answer["total"].tolist() == [[1, 2, 3]]

    def test_a_stream_remembers_and_two_do_not_share(
        self, engine: slipstream.Engine, tmp_path: Path
    ) -> None:
        model = engine.load(write_sum(tmp_path / "sum.onnx"))
        one, other = Memory(), Memory()
        ones = [[[1, 2, 3]]] * 3
        assert [got["total"] for got in run(model, ones, one)] == [
            [[1, 2, 3]],
            [[2, 4, 6]],
            [[3, 6, 9]],
        ]
        assert run(model, [[[10, 0, 0]]], other)[0]["largest"] == 10
        assert run(model, [[[0, 0, 0]]], one)[0]["total"] == [[3, 6, 9]]
        assert run(model, [[[0, 0, 0]]], None)[0]["total"] == [[0, 0, 0]]

    def test_what_fails_leaves_the_state_alone(
        self, engine: slipstream.Engine, tmp_path: Path
    ) -> None:
        model = engine.load(write_sum(tmp_path / "sum.onnx"))
        memory = Memory()
        run(model, [[[1, 1, 1]]], memory)
        with pytest.raises(InvalidInputError):
            run(model, [[[1, 1]]], memory)
        assert run(model, [[[1, 1, 1]]], memory)[0]["total"] == [[2, 2, 2]]

    def test_a_reload_begins_anew_if_the_model_has_changed(
        self, engine: slipstream.Engine, tmp_path: Path
    ) -> None:
        model = engine.load(write_sum(tmp_path / "sum.onnx"), model_id="sum")
        memory = Memory()
        run(model, [[[1, 0, 0]]], memory)
        engine.reload("sum")
        assert run(model, [[[5, 0, 0]]], memory)[0]["total"] == [[6, 0, 0]]
        (tmp_path / "sum.onnx.toml").write_text(SUM + "value = 100\n")
        engine.reload("sum")
        assert run(model, [[[5, 0, 0]]], memory)[0]["total"] == [[105, 100, 100]]

    def test_other_tables_of_the_file_are_left_alone(
        self, engine: slipstream.Engine, tmp_path: Path
    ) -> None:
        rows = "{before = [[1, 2, 3]], x = [[4, 5, 6]]}"
        beside = f"[cache]\npredictions = false\n[warmup]\nrows = {rows}\n"
        file = write_sum(tmp_path / "sum.onnx", beside)
        assert not engine.load(file, model_id="plain").is_stateful

    def test_the_file_is_part_of_what_is_cached(
        self, engine: slipstream.Engine, tmp_path: Path
    ) -> None:
        model = engine.load(write_sum(tmp_path / "sum.onnx"), model_id="sum")
        (tmp_path / "sum.onnx.toml").write_text(SUM + "value = 2.5\n")
        engine.reload("sum")
        assert model.predict([[1, 2, 3]])["total"].tolist() == [[3.5, 4.5, 5.5]]
        (tmp_path / "sum.onnx.toml").unlink()
        engine.reload("sum")
        assert not model.is_stateful
        with pytest.raises(InvalidInputError, match="several inputs"):
            model.predict([[1, 2, 3]])

    def test_a_constant_is_left_out(self, engine: slipstream.Engine, tmp_path: Path) -> None:
        file = write_sum(tmp_path / "sum.onnx", "[constants]\nbefore = [[1, 2, 3]]\n")
        model = engine.load(file)
        assert not model.is_stateful
        assert model.predict([[1, 1, 1]])["after"].tolist() == [[2, 3, 4]]

    def test_rows_that_batch(self, engine: slipstream.Engine, tmp_path: Path) -> None:
        beside = SUM + 'shape = ["rows", 3]\n'
        model = engine.load(write_sum(tmp_path / "sum.onnx", beside, ["n", 3]))
        memory = Memory()
        rows = [[[1, 0, 0], [2, 0, 0]]] * 2
        assert run(model, rows, memory)[1]["total"] == [[2, 0, 0], [4, 0, 0]]
        with pytest.raises(InvalidInputError, match="2 rows in each request, and this one has 1"):
            run(model, [[[1, 0, 0]]], memory)
        assert run(model, rows[:1], memory)[0]["total"] == [[3, 0, 0], [6, 0, 0]]

    @pytest.mark.parametrize(
        ("beside", "problem"),
        [
            ('[states.x]\noutput = "nowhere"\n', "no output 'nowhere'"),
            ('[states.nothing]\noutput = "after"\n', "no input 'nothing'"),
            ("[constants]\nnothing = 1\n", "no input 'nothing'"),
            ("[constants]\nx = 1\n", "constant 'x' has the shape"),
            ('[constants]\nx = "text"\n', "constant 'x' is no float32"),
            (SUM + "shape = [2, 3]\n", "has the shape"),
            (SUM + "shape = [1]\n", "has the shape"),
            (SUM + "shape = [1, -3]\n", "takes sizes"),
            (SUM + 'shape = [1, "row"]\n', "takes sizes"),
            (SUM + "[constants]\nbefore = [[0, 0, 0]]\n", "it can be one"),
            (SUM + '[states.x]\noutput = "total"\n', "no input is left"),
            ("[states.before]\n", "output"),
            ("[steps]\n", "steps"),
            ("[constants\n", "not valid"),
            ("#" * 1_100_000, "longer than"),
        ],
    )
    def test_a_file_that_does_not_fit_is_refused(
        self, engine: slipstream.Engine, tmp_path: Path, beside: str, problem: str
    ) -> None:
        file = write_sum(tmp_path / "sum.onnx", beside)
        with pytest.raises(ModelLoadError, match=problem):
            engine.load(file)
        assert engine.models() == []

    def test_a_shape_that_varies_must_be_said(
        self, engine: slipstream.Engine, tmp_path: Path
    ) -> None:
        with pytest.raises(ModelLoadError, match="a shape that varies"):
            engine.load(write_sum(tmp_path / "sum.onnx", SUM, ["n", 3]))

    def test_a_link_out_of_the_folder_is_refused(
        self, engine: slipstream.Engine, tmp_path: Path
    ) -> None:
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "elsewhere" / "secret").write_text(SUM)
        (tmp_path / "models").mkdir()
        file = write_sum(tmp_path / "models" / "sum.onnx", None)
        file.with_name("sum.onnx.toml").symlink_to(tmp_path / "elsewhere" / "secret")
        with pytest.raises(UnsafeModelError, match="leads outside"):
            engine.load(file)


def windows(count: int) -> npt.NDArray[np.float32]:
    """Noise whose loudness swells, as ``(count, 576)``."""
    noise = np.random.default_rng(5).normal(size=(count, 576))
    return (noise * np.linspace(0, 0.5, count)[:, None]).astype(np.float32)


def test_silero_by_itself(engine: slipstream.Engine, tmp_path: Path) -> None:
    """Voice activity as its makers ship it: a state, and a constant that says the sampling rate."""
    file = Path(shutil.copy(silero_files() / "silero_vad.onnx", tmp_path))
    file.with_name("silero_vad.onnx.toml").write_text(SILERO)
    model = engine.load(file)
    audio = windows(20)
    session = onnxruntime.InferenceSession(str(file))
    state: Any = np.zeros((2, 1, 128), np.float32)
    expected = []
    for row in audio:
        inputs = {"input": row[None], "state": state, "sr": np.array(16000)}
        output, state = session.run(None, inputs)
        expected.append(output.tolist())
    got = run(model, [[row.tolist()] for row in audio], Memory())
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-6)
    fresh = {"input": audio, "state": np.zeros((2, 20, 128), np.float32), "sr": np.array(16000)}
    alone = session.run(["output"], fresh)[0]
    np.testing.assert_allclose(model.predict(audio), alone, rtol=0, atol=1e-6)
    assert np.abs(np.array(got)[:, 0] - alone).max() > 1e-3, "the state should make a difference"
