"""Quantizing in process: what is lost, on which rows, of which graphs, and in which process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

import slipstream
from network_models import digits, write_digits, write_two_inputs
from slipstream.api.quantize import keep_rows, quantize
from slipstream.engine.inputs import inputs_from
from slipstream.errors import (
    InvalidInputError,
    ModelBusyError,
    ModelLoadError,
    QuantizationError,
    UnavailableError,
)
from slipstream.models.converter import run_child
from slipstream.quantize import rows as row_sets
from slipstream.quantize.artifact import QUANTIZER
from slipstream.quantize.loss import accuracy_loss_percent
from slipstream.quantize.options import QuantizeOptions

FLOATS = arrays_of.arrays(np.float32, st.integers(1, 20), elements=st.floats(-1e6, 1e6, width=32))


class TestLoss:
    @given(FLOATS)
    def test_nothing_is_lost_by_the_same_answers(self, values: np.ndarray) -> None:
        assert accuracy_loss_percent({"y": values}, {"y": values.copy()}, None) == 0

    @given(FLOATS, st.integers(0, 2**32 - 1))
    def test_it_is_a_share(self, values: np.ndarray, seed: int) -> None:
        other = np.random.default_rng(seed).permutation(values) * 3
        assert 0 <= accuracy_loss_percent({"y": values}, {"y": other}, None) <= 100

    def test_numbers_by_the_spread_of_the_original(self) -> None:
        before = np.array([[0.0, 10.0], [5.0, 5.0]])
        after = before + np.array([0.1, -0.1])
        assert accuracy_loss_percent({"y": before}, {"y": after}, None) == pytest.approx(1.0)

    def test_labels_by_the_rows_that_changed(self) -> None:
        before, after = np.array(["a", "b", "a", "a"], object), np.array(["a"] * 4, object)
        assert accuracy_loss_percent({"y": before}, {"y": after}, "y") == 25.0
        # A bare graph with a label per row is a classifier: its scores do not count.
        scores = {"label": np.array([0, 1, 1, 1]), "scores": np.zeros((4, 2), np.float32)}
        worse = {"label": np.array([0, 1, 1, 0]), "scores": np.ones((4, 2), np.float32)}
        assert accuracy_loss_percent(scores, worse, None) == 25.0

    def test_the_worst_of_several_outputs(self) -> None:
        before = {"a": np.array([0.0, 1.0]), "b": np.array([0.0, 1.0])}
        after = {"a": np.array([0.0, 1.0]), "b": np.array([0.0, 1.5])}
        assert accuracy_loss_percent(before, after, None) == pytest.approx(100 * 0.5 / 2**0.5)

    @pytest.mark.parametrize(
        ("before", "after", "loss"),
        [
            ([1.0, np.nan], [1.0, np.nan], 0.0),
            ([1.0, np.nan], [1.0, 2.0], 100.0),
            ([np.inf, np.nan], [np.inf, np.nan], 0.0),
            ([2.0, 2.0], [2.0, 2.0], 0.0),
            ([2.0, 2.0], [3.0, 3.0], 50.0),
            ([0.0, 0.0], [1.0, 1.0], 100.0),
            ([0.0, 1.0], [1e9, 1e9], 100.0),
            ([], [], 0.0),
            ([1.0], [1.0, 2.0], 100.0),
        ],
    )
    def test_the_edges(self, before: list[float], after: list[float], loss: float) -> None:
        found = accuracy_loss_percent({"y": np.array(before)}, {"y": np.array(after)}, None)
        assert found == pytest.approx(loss)


class TestRows:
    def test_what_is_kept_comes_back(self, tmp_path: Path) -> None:
        arrays = [
            np.arange(6, dtype=np.float32).reshape(3, 2),
            np.array([["a"], ["bc"], [""]], dtype=object),
        ]
        digest = row_sets.keep(arrays, tmp_path)
        assert row_sets.keep(arrays, tmp_path) == digest
        assert [file.name for file in tmp_path.iterdir()] == [f"{digest}.npz"]
        for one, other in zip(arrays, row_sets.read(tmp_path / f"{digest}.npz"), strict=True):
            assert one.dtype == other.dtype
            assert one.tolist() == other.tolist()
        assert row_sets.keep([arrays[0] + 1, arrays[1]], tmp_path) != digest

    def test_what_nobody_uses_is_forgotten(self, tmp_path: Path) -> None:
        digests = [row_sets.keep([np.full((2, 2), number)], tmp_path) for number in range(5)]
        again = row_sets.keep([np.full((2, 2), 1)], tmp_path)
        assert again == digests[1]
        row_sets.forget(tmp_path, {digests[0]}, 2)
        left = {file.stem for file in tmp_path.iterdir()}
        assert left == {digests[0], digests[1], digests[4]}

    def test_generated_ones_are_the_same_every_time_and_of_the_shape(self) -> None:
        specs = [("x", "float32", [-1, 3]), ("ids", "int64", [-1, -1]), ("word", "string", [-1, 1])]
        sets = list(row_sets.candidates(specs, is_batchable=True))
        again = list(row_sets.candidates(specs, is_batchable=True))
        assert len(sets) > 3
        for arrays, others in zip(sets, again, strict=True):
            for one, other in zip(arrays, others, strict=True):
                assert one.tolist() == other.tolist()
            assert [array.dtype.kind for array in arrays] == ["f", "i", "O"]
            assert arrays[0].shape == (1000, 3)
            assert len(arrays[1]) == len(arrays[2]) == 1000
        largest = [int(arrays[1].max()) for arrays in sets]
        assert set(largest) & {1, 0} == {1, 0}
        assert 200 < max(largest) <= 255

    def test_large_rows_are_few(self) -> None:
        (rows,) = row_sets.candidates([("x", "float32", [-1, 3, 500, 500])], is_batchable=True)
        assert rows[0].shape == (8, 3, 500, 500)

    @given(st.integers(1, 40), st.integers(1, 50))
    def test_pieces_are_the_whole(self, count: int, size: int) -> None:
        rows = [np.arange(count), np.arange(count) * 2]
        pieces = list(row_sets.split(rows, size, is_batchable=True))
        assert all(len(piece[0]) <= size for piece in pieces)
        assert np.concatenate([piece[1] for piece in pieces]).tolist() == rows[1].tolist()


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("state")


@pytest.fixture
def engine(state: Path) -> Iterator[slipstream.Engine]:
    with slipstream.Engine(state_dir=state) as engine:
        yield engine


@pytest.fixture(scope="module")
def digits_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("files") / "digits.onnx"
    write_digits(file)
    return file


class TestInProcess:
    def test_rows_of_several_inputs(self, engine: slipstream.Engine, tmp_path: Path) -> None:
        write_two_inputs(tmp_path / "two.onnx")
        model = engine.load(tmp_path / "two.onnx")
        drawn = np.random.default_rng(1)
        x = {
            "left": drawn.standard_normal((50, 8)).astype(np.float32),
            "right": drawn.standard_normal((50, 4)).astype(np.float32),
        }
        before = model.predict(x)
        rows = keep_rows(engine, model, inputs_from(model.signature, x))
        options = QuantizeOptions(type="INT8", mode="STATIC", rows=rows)
        report = quantize(engine, model, options)
        assert report.applied
        assert (report.quantized.rows, report.quantized.weights) == (50, 1)
        after = model.predict(x)
        assert not np.array_equal(before, after)
        rmse = float(np.sqrt(np.mean((before - after) ** 2)))
        assert report.quantized.accuracy_loss_percent == pytest.approx(
            100 * rmse / np.ptp(before), rel=0.05
        )

    def test_quantizing_again_begins_at_the_original(
        self, engine: slipstream.Engine, digits_file: Path
    ) -> None:
        model = engine.load(digits_file)
        first = quantize(engine, model, QuantizeOptions(type="FP16"))
        second = quantize(
            engine, model, QuantizeOptions(type="INT8", max_accuracy_loss_percent=100)
        )
        assert first.size_before_bytes == second.size_before_bytes
        assert model.quantization == "INT8 DYNAMIC"
        assert model.metrics().inference_count == 0

    def test_artifacts_are_made_once(self, engine: slipstream.Engine, digits_file: Path) -> None:
        model = engine.load(digits_file)
        options = QuantizeOptions(type="FP16")
        quantize(engine, model, options)
        folder, made = model.version.folder, model.version.folder.stat().st_mtime_ns
        engine.reload(model.model_id)
        assert (model.version.folder, folder.stat().st_mtime_ns) == (folder, made)

    def test_a_reload_of_another_file_is_judged_again(
        self, engine: slipstream.Engine, digits_file: Path, tmp_path: Path
    ) -> None:
        file = tmp_path / "changing.onnx"
        file.write_bytes(digits_file.read_bytes())
        model = engine.load(file)
        x = digits()[0][:50]
        quantize(engine, model, QuantizeOptions(type="INT8", max_accuracy_loss_percent=100))
        strict = QuantizeOptions(type="INT4", max_accuracy_loss_percent=100)
        quantize(engine, model, strict)
        before = model.predict(x)
        write_two_inputs(file)  # another model altogether, whose weights are random
        engine.reload(model.model_id)
        assert model.quantization == "INT4"
        assert [spec[0] for spec in model.signature.inputs] == ["left", "right"]
        file.write_bytes(digits_file.read_bytes())
        engine.reload(model.model_id)
        assert np.array_equal(model.predict(x)["label"], before["label"])

    def test_a_reload_that_would_lose_too_much_is_refused(
        self, engine: slipstream.Engine, tmp_path: Path
    ) -> None:
        write_two_inputs(tmp_path / "two.onnx", scale=0.0)  # zeros are zeros in any type
        model = engine.load(tmp_path / "two.onnx")
        x = {"left": np.ones((1, 8), np.float32), "right": np.ones((1, 4), np.float32)}
        quantize(engine, model, QuantizeOptions(type="INT8", max_accuracy_loss_percent=0.0))
        before = model.predict(x)
        write_two_inputs(tmp_path / "two.onnx")
        with pytest.raises(QuantizationError, match="more than"):
            engine.reload(model.model_id)
        assert np.array_equal(model.predict(x), before)

    def test_one_change_at_a_time_wins(self, engine: slipstream.Engine, digits_file: Path) -> None:
        model = engine.load(digits_file)
        ended: list[Any] = []

        def change(kind: Any) -> None:
            try:
                ended.append(quantize(engine, model, QuantizeOptions(type=kind)).applied)
            except ModelBusyError as error:
                ended.append(error)

        threads = [threading.Thread(target=change, args=["FP16"]) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert True in ended
        assert all(one is True or isinstance(one, ModelBusyError) for one in ended)
        assert model.quantization == "FP16"
        assert model.predict(digits()[0][:3])["label"].shape == (3,)

    def test_too_many_rows(self, engine: slipstream.Engine, digits_file: Path) -> None:
        model = engine.load(digits_file)
        x = np.zeros((row_sets.MOST_ROWS + 1, 64), np.float32)
        with pytest.raises(InvalidInputError, match="at most"):
            keep_rows(engine, model, inputs_from(model.signature, x))


class TestTheChild:
    def job(self, folder: Path, **changes: Any) -> dict[str, Any]:
        return {
            "source": str(folder),
            "options": {"type": "INT8"},
            "rows": None,
            "out": str(folder),
            "timeout_s": 60.0,
            **changes,
        }

    def test_it_can_be_stopped(self, tmp_path: Path) -> None:
        with pytest.raises(UnavailableError, match="stopped"):
            run_child(self.job(tmp_path), tmp_path, 60.0, None, QUANTIZER, lambda: True)

    def test_it_has_little_time(self, tmp_path: Path) -> None:
        with pytest.raises(QuantizationError, match="took longer"):
            run_child(self.job(tmp_path), tmp_path, 0.01, None, QUANTIZER)

    def test_it_has_little_memory(
        self, engine: slipstream.Engine, digits_file: Path, tmp_path: Path
    ) -> None:
        folder = engine.load(digits_file).version.folder
        job = self.job(folder, out=str(tmp_path), memory_limit_mb=64)
        with pytest.raises((QuantizationError, ModelLoadError)):
            run_child(job, tmp_path, 60.0, None, QUANTIZER)
        assert not (tmp_path / "manifest.json").exists()
