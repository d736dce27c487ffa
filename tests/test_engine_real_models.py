"""Real ONNX models answer through slipstream exactly as through onnxruntime's own API."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

import slipstream
from real_models import package_file


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[slipstream.Engine]:
    with slipstream.Engine(state_dir=tmp_path_factory.mktemp("state")) as engine:
        yield engine


def reference(file: Path) -> onnxruntime.InferenceSession:
    """Set up as the backend sets up its own: one thread an operator."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def assert_same_answers(model: slipstream.Model, session: Any, x: np.ndarray) -> None:
    expected = session.run(None, {session.get_inputs()[0].name: x})
    got = model.predict(x)
    if len(expected) > 1:
        names = [output.name for output in session.get_outputs()]
        assert list(got) == names
        got = [got[name] for name in names]
    else:
        got = [got]
    for ours, theirs in zip(got, expected, strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)


def test_magika_tells_file_types(engine: slipstream.Engine) -> None:
    file = package_file("magika", "models", "standard_v3_3", "model.onnx")
    model, session = engine.load(file), reference(file)
    rng = np.random.default_rng(0)
    for rows in (1, 2, 7):
        assert_same_answers(model, session, rng.integers(0, 257, (rows, 2048), dtype=np.int32))


RAPIDOCR = [
    ("ch_ppocr_mobile_v2.0_cls_infer.onnx", [(1, 3, 48, 192), (4, 3, 48, 192)]),
    ("ch_PP-OCRv4_rec_infer.onnx", [(1, 3, 48, 320), (2, 3, 48, 160)]),
    ("ch_PP-OCRv4_det_infer.onnx", [(1, 3, 96, 160), (1, 3, 64, 64)]),
]


@pytest.mark.parametrize(("name", "shapes"), RAPIDOCR, ids=[name for name, _ in RAPIDOCR])
def test_rapidocr_reads_images_of_any_size(
    engine: slipstream.Engine, name: str, shapes: list[tuple[int, ...]]
) -> None:
    file = package_file("rapidocr_onnxruntime", "models", name)
    model, session = engine.load(file), reference(file)
    rng = np.random.default_rng(1)
    for shape in shapes:
        assert_same_answers(model, session, rng.random(shape, dtype=np.float32))


def test_a_batch_of_waiting_requests_answers_like_single_ones(engine: slipstream.Engine) -> None:
    file = package_file("magika", "models", "standard_v3_3", "model.onnx")
    model = engine.load(file) if not engine.models() else engine.models()[0]
    rng = np.random.default_rng(2)
    rows = rng.integers(0, 257, (24, 1, 2048), dtype=np.int32)
    alone = [model.predict(row) for row in rows]
    together = [future.result(30) for future in [model.submit(row) for row in rows]]
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)
