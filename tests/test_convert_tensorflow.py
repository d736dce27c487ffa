"""TensorFlow networks as ONNX graphs: basic-pitch in three formats, Keras files, refusals.

They run where TensorFlow is installed (``make install-tensorflow``).
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import slipstream
from real_models import package_file
from slipstream.errors import MissingDependencyError, ModelLoadError, UnsafeModelError

HAS_TENSORFLOW = all(importlib.util.find_spec(name) for name in ("tensorflow", "tf2onnx"))
needs_tensorflow = pytest.mark.skipif(
    not HAS_TENSORFLOW, reason="TensorFlow is not installed: make install-tensorflow"
)
# A fresh interpreter takes half a minute to import TensorFlow on a busy machine.
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with slipstream.Engine(state_dir=tmp_path_factory.mktemp("state")) as engine:
        yield engine


@pytest.fixture(scope="module")
def keras(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A small network, and what it answers: (folder, rows, answers)."""
    import tensorflow as tf

    layers = tf.keras.layers
    model = tf.keras.Sequential(
        [layers.Input((4,)), layers.Dense(8, activation="relu"), layers.Dense(3, "softmax")]
    )
    folder = tmp_path_factory.mktemp("keras")
    model.save(folder / "net.keras")
    model.save(folder / "net.h5")
    model.save_weights(folder / "net.weights.h5")
    model.export(folder / "exported")
    lite = tf.lite.TFLiteConverter.from_keras_model(model).convert()
    (folder / "net.tflite").write_bytes(lite)
    rows = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    return folder, rows, model(rows).numpy()


@needs_tensorflow
@pytest.mark.parametrize("name", ["net.keras", "net.h5", "exported", "net.tflite"])
def test_a_network_answers_as_tensorflow_does(engine: Any, keras: Any, name: str) -> None:
    folder, rows, expected = keras
    model = engine.load(folder / name)
    assert (model.model_type, model.backend, model.compiled) == ("tensorflow", "onnx", True)
    assert model.version.core.batchable
    np.testing.assert_allclose(model.predict(rows), expected, atol=1e-5)
    np.testing.assert_allclose(model.predict(rows[:1]), expected[:1], atol=1e-5)


@needs_tensorflow
def test_basic_pitch_agrees_in_three_formats(engine: Any) -> None:
    folder = package_file("basic_pitch", "saved_models", "icassp_2022", "nmp.onnx").parent
    time_s = np.arange(43844) / 22050
    tone = (0.5 * np.sin(2 * np.pi * 440 * time_s)).astype(np.float32).reshape(1, -1, 1)
    saved = engine.load(folder / "nmp", "tensorflow").predict(tone)
    lite = engine.load(folder / "nmp.tflite").predict(tone)
    graph = engine.load(folder / "nmp.onnx").predict(tone)
    assert set(saved) == set(lite) == {"contour", "note", "onset"}
    by_shape = sorted(graph.values(), key=lambda answer: (answer.shape, float(answer.sum())))
    own = sorted(saved.values(), key=lambda answer: (answer.shape, float(answer.sum())))
    for name in saved:
        np.testing.assert_allclose(saved[name], lite[name], atol=1e-4)
    for ours, theirs in zip(own, by_shape, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)
    assert saved["note"][0].mean(axis=0).argmax() + 21 == 69  # the tone is an A


@needs_tensorflow
def test_what_would_run_code_or_touch_files_is_refused(engine: Any, tmp_path: Path) -> None:
    import tensorflow as tf

    layers = tf.keras.layers
    odd = tf.keras.Sequential([layers.Input((2,)), layers.Lambda(lambda x: x * 2)])
    for name in ("odd.keras", "odd.h5"):
        odd.save(tmp_path / name)
        with pytest.raises(UnsafeModelError, match="Lambda"):
            engine.load(tmp_path / name)

    class Writes(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32)])
        def __call__(self, x: Any) -> Any:
            tf.io.write_file(str(tmp_path / "written"), "x")
            return x + 1

    tf.saved_model.save(Writes(), str(tmp_path / "writes"))
    with pytest.raises(UnsafeModelError, match="WriteFile"):
        engine.load(tmp_path / "writes")
    assert not (tmp_path / "written").exists()


@needs_tensorflow
def test_what_is_no_network_is_refused(engine: Any, keras: Any, tmp_path: Path) -> None:
    folder, _, _ = keras
    with pytest.raises(ModelLoadError, match="weights"):
        engine.load(folder / "net.weights.h5")
    (tmp_path / "cut.tflite").write_bytes((folder / "net.tflite").read_bytes()[:200])
    with pytest.raises(ModelLoadError, match="TensorFlow cannot open it"):
        engine.load(tmp_path / "cut.tflite")


@pytest.mark.skipif(HAS_TENSORFLOW, reason="TensorFlow is installed")
def test_without_tensorflow_the_extra_is_named(engine: Any, tmp_path: Path) -> None:
    (tmp_path / "net.tflite").write_bytes(b"\x1c\0\0\0TFL3" + bytes(64))
    with pytest.raises(MissingDependencyError, match=r"slipstream\[tensorflow\]"):
        engine.load(tmp_path / "net.tflite")
