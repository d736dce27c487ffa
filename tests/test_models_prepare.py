"""`prepare` for real: the converter child, the cache, detection, custom code, and every refusal."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest

import model_zoo
from slipstream.convert.forest_session import ForestSession
from slipstream.errors import InvalidInputError, ModelLoadError, UnsafeModelError
from slipstream.models import converter, runners
from slipstream.models.detect import detect
from slipstream.models.prepare import PrepareOptions, prepare


def onnx_file(folder: Path) -> Path:
    from slipstream.convert.onnx_graph import Graph

    graph = Graph(3)
    graph.output("y", graph.op("Abs", "input"), np.float64, (3,))
    file = folder / "graph.onnx"
    file.write_bytes(graph.to_bytes())
    return file


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("artifacts")


def test_a_pickle_becomes_a_forest_file_once(tmp_path: Path, cache: Path) -> None:
    trained = model_zoo.zoo("random_forest_breast_cancer")
    file = trained.save(tmp_path)
    said: list[str] = []
    first = prepare(file, cache, PrepareOptions(progress=said.append))
    assert first.manifest.compiled and first.manifest.reason is None
    assert first.manifest.model_type == "sklearn"
    assert first.manifest.estimator == "RandomForestClassifier"
    assert first.size_bytes == file.stat().st_size
    assert "opening the model" in said and said[-1] == "2000 probe rows agree"
    assert first.manifest.backend == "forest"
    with ForestSession(first.artifact_path) as session:
        found = session.run([trained.rows])
    labels = np.array(first.manifest.classes)[found["predictions"]]
    np.testing.assert_array_equal(labels, trained.model.predict(trained.rows))
    np.testing.assert_array_equal(found["probabilities"], trained.model.predict_proba(trained.rows))
    # The same bytes under another name: no child, same artifact.
    said.clear()
    copy = tmp_path / "copy.pkl"
    copy.write_bytes(file.read_bytes())
    again = prepare(copy, cache, PrepareOptions(progress=said.append))
    assert again.folder == first.folder and said == []
    # "ensemble" is echoed, and is a key of its own.
    other = prepare(file, cache, PrepareOptions(model_type="ensemble"))
    assert other.manifest.model_type == "ensemble" and other.folder != first.folder
    assert not [name for name in os.listdir(cache) if name.startswith(".")]


@pytest.mark.parametrize("compress", ["zlib", "gzip", "bz2", "xz"])
def test_compressed_joblib(compress: str, tmp_path: Path, cache: Path) -> None:
    trained = model_zoo.zoo("logistic_pipeline_wine")
    file = tmp_path / "model.joblib"
    joblib.dump(trained.model, file, compress=(compress, 3))
    assert detect(file).compression == compress
    if compress != "zlib":
        return  # what is inside is opened alike: once is enough
    prepared = prepare(file, cache, PrepareOptions(compile_model=False))
    runner = runners.load(str(prepared.artifact_path), prepared.manifest.backend_options)
    labels, _ = runner.run([trained.rows], 1)
    np.testing.assert_array_equal(labels, trained.model.predict(trained.rows))


def test_several_callers_make_one_artifact(tmp_path: Path) -> None:
    file = model_zoo.zoo("ridge_diabetes").save(tmp_path)
    said: list[str] = []
    found: list[Any] = []

    def call() -> None:
        found.append(prepare(file, tmp_path / "cache", PrepareOptions(progress=said.append)))

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4 and len({prepared.folder for prepared in found}) == 1
    assert said.count("opening the model") == 1


def test_onnx_needs_no_child(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_child(*_: Any) -> None:
        raise AssertionError("a child was started")

    monkeypatch.setattr(converter.subprocess, "Popen", no_child)
    file = onnx_file(tmp_path)
    prepared = prepare(file, cache, PrepareOptions())
    assert prepared.manifest.task == "tensors" and prepared.manifest.layout == "tensors"
    assert prepared.artifact_path.read_bytes() == file.read_bytes()
    file.write_bytes(b"changed")
    assert prepared.artifact_path.read_bytes() != b"changed"


def test_onnx_weights_beside_the_graph(tmp_path: Path, cache: Path) -> None:
    import onnx
    import onnxruntime

    from slipstream.convert.onnx_graph import Graph

    graph = Graph(64)
    weight = np.random.default_rng(0).random((64, 64))
    graph.output("y", graph.op("MatMul", "input", graph.constant(weight)), np.float64, (64,))
    model = onnx.load_from_string(graph.to_bytes())
    source = tmp_path / "big.onnx"
    onnx.save(model, source, save_as_external_data=True, location="big.data", size_threshold=0)
    first = prepare(source, cache, PrepareOptions())
    assert (first.folder / "big.data").is_file()
    assert first.size_bytes == source.stat().st_size + (tmp_path / "big.data").stat().st_size
    rows = np.ones((2, 64))
    session = onnxruntime.InferenceSession(first.artifact_path, providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(None, {"input": rows})[0], rows @ weight)
    changed = bytearray((tmp_path / "big.data").read_bytes())
    changed[0] ^= 1
    (tmp_path / "big.data").write_bytes(changed)
    assert prepare(source, cache, PrepareOptions()).folder != first.folder
    (tmp_path / "big.data").unlink()
    with pytest.raises(ModelLoadError, match=r"big\.data"):
        prepare(source, cache, PrepareOptions())
    source.write_bytes(source.read_bytes().replace(b"big.data", b"../a.dat"))
    with pytest.raises(UnsafeModelError, match="outside its own folder"):
        prepare(source, cache, PrepareOptions())


def test_kinds_by_content_not_by_name(tmp_path: Path) -> None:
    odd = tmp_path / "odd.bin"

    def found() -> tuple[str, str | None]:
        detected = detect(odd)
        return detected.kind, detected.library

    odd.write_bytes(onnx_file(tmp_path).read_bytes())
    assert found() == ("onnx", "onnx")
    booster = model_zoo.zoo("xgb_classifier_wine").model
    for suffix in ("ubj", "json"):
        booster.save_model(tmp_path / f"m.{suffix}")
        odd.write_bytes((tmp_path / f"m.{suffix}").read_bytes())
        assert found() == ("xgboost", "xgboost")
    model_zoo.zoo("lgbm_regressor_diabetes").model.booster_.save_model(tmp_path / "m.txt")
    odd.write_bytes((tmp_path / "m.txt").read_bytes())
    assert found() == ("lightgbm", "lightgbm")
    for name, library in [
        ("ridge_diabetes", "sklearn"),
        ("xgb_classifier_wine", "xgboost"),
        ("lgbm_regressor_diabetes", "lightgbm"),
    ]:
        for protocol in (0, 1, 2, 4, 5):
            odd.write_bytes(pickle.dumps(model_zoo.zoo(name).model, protocol=protocol))
            assert found() == ("pickle", library), (name, protocol)


def junk() -> dict[str, bytes]:
    rng = np.random.default_rng(0)
    return {
        "empty": b"",
        "noise": rng.integers(0, 256, 5000, dtype=np.uint8).tobytes(),
        "text": b"hello, I am no model\n" * 10,
        "json": b'{"a": [1, 2, 3]}',
        "csv": b"a,b,c\n1,2,3\n",
        "png": b"\x89PNG\r\n\x1a\n" + bytes(100),
        "zeros": bytes(4096),
        "gzip of text": __import__("gzip").compress(b"hello " * 100),
        "half a gzip": __import__("gzip").compress(b"hello " * 10000)[:30],
        "old xgboost": b"binf" + bytes(64),
        "hdf5": b"\x89HDF\r\n\x1a\n" + bytes(64),
        "lightgbm header only": b"tree\nversion=v4\nnum_class=1\n",
        "xgboost cut": b'{"learner":{"attributes":{}',
        "pickled list": pickle.dumps([1, 2, 3]),
        "pickled dict": pickle.dumps({"model": 1}),
        "cut pickle": pickle.dumps(list(range(1000)))[:100],
    }


@pytest.mark.parametrize("name", sorted(junk()))
def test_junk_is_refused(name: str, tmp_path: Path, cache: Path) -> None:
    file = tmp_path / "model.pkl"
    file.write_bytes(junk()[name])
    with pytest.raises(ModelLoadError) as caught:
        prepare(file, cache, PrepareOptions())
    assert "Traceback" not in caught.value.message and len(caught.value.message) < 800


def test_the_type_that_was_said_must_be_true(tmp_path: Path, cache: Path) -> None:
    forest = model_zoo.zoo("random_forest_wine").save(tmp_path)
    for wrong in ("xgboost", "lightgbm", "onnx"):
        with pytest.raises(ModelLoadError, match="sklearn"):
            prepare(forest, cache, PrepareOptions(model_type=wrong))
    with pytest.raises(ModelLoadError, match="onnx"):
        prepare(onnx_file(tmp_path), cache, PrepareOptions(model_type="sklearn"))
    with pytest.raises(InvalidInputError, match="unknown"):
        prepare(forest, cache, PrepareOptions(model_type="keras"))
    ridge = model_zoo.zoo("ridge_diabetes").save(tmp_path)
    with pytest.raises(ModelLoadError, match="ensemble"):
        prepare(ridge, cache, PrepareOptions(model_type="ensemble"))


def test_a_transformer_or_an_unfitted_model_is_no_model(tmp_path: Path, cache: Path) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    file = tmp_path / "m.pkl"
    file.write_bytes(pickle.dumps(StandardScaler().fit(np.eye(2))))
    with pytest.raises(ModelLoadError, match="no predict"):
        prepare(file, cache, PrepareOptions())
    file.write_bytes(pickle.dumps(LogisticRegression()))
    with pytest.raises(ModelLoadError, match="not fitted"):
        prepare(file, cache, PrepareOptions())


def test_a_child_that_takes_too_long_is_stopped(tmp_path: Path, cache: Path) -> None:
    file = model_zoo.zoo("gradient_boosting_wine").save(tmp_path)
    with pytest.raises(ModelLoadError, match="took longer than"):
        prepare(file, cache, PrepareOptions(timeout_s=0.2))
    assert not [name for name in os.listdir(cache) if name.startswith(".")]


def test_a_child_without_memory_says_so(tmp_path: Path, cache: Path) -> None:
    file = model_zoo.zoo("gradient_boosting_wine").save(tmp_path)
    with pytest.raises(ModelLoadError) as caught:
        prepare(file, cache, PrepareOptions(memory_limit_mb=64))
    assert "Traceback" not in caught.value.message


CUSTOM = """
import numpy as np

class Doubler:
    classes_ = np.array(["small", "large"])
    n_features_in_ = 2
    batchable = {batchable}

    def predict(self, rows):
        return self.classes_[(rows.sum(axis=1) > 1).astype(int)]

    def predict_proba(self, rows):
        p = 1 / (1 + np.exp(-rows.sum(axis=1)))
        return np.column_stack([1 - p, p])

open({canary!r}, "w").close()
ENTRY = Doubler
"""


def test_custom_needs_the_operators_word(tmp_path: Path, cache: Path) -> None:
    canary = tmp_path / "canary"
    file = tmp_path / "mine.py"
    file.write_text(CUSTOM.format(canary=str(canary), batchable=False))
    for model_type in ("auto", "custom"):
        with pytest.raises(UnsafeModelError, match="ALLOW_CUSTOM_CODE"):
            prepare(file, cache, PrepareOptions(model_type=model_type))
    assert not canary.exists()
    file.write_text("import os\nprint('no entry')\n")
    with pytest.raises(ModelLoadError, match="ENTRY"):
        prepare(file, cache, PrepareOptions(allow_custom_code=True))


@pytest.mark.parametrize("batchable", [False, True])
def test_custom_class_in_a_file(batchable: bool, tmp_path: Path, cache: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(CUSTOM.format(canary=str(tmp_path / "ran"), batchable=batchable))
    prepared = prepare(file, cache, PrepareOptions(allow_custom_code=True, model_dir=tmp_path))
    manifest = prepared.manifest
    assert (manifest.model_type, manifest.backend) == ("custom", "process")
    assert not manifest.compiled and manifest.classes == ("small", "large")
    runner = runners.load(str(prepared.artifact_path), manifest.backend_options)
    assert runner.batchable is batchable
    labels, probabilities = runner.run([np.array([[0.0, 0.1], [2.0, 0.0]])], -1)
    assert labels is not None and labels.tolist() == ["small", "large"]
    assert probabilities is not None and probabilities.shape == (2, 2)


def test_custom_pickle_of_a_class_in_the_model_directory(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "my_models_for_test.py").write_text(
        "class Sum:\n    def __init__(self, by):\n        self.by = by\n"
        "    def predict(self, rows):\n        return rows.sum(axis=1) * self.by\n"
    )
    script = (
        "import my_models_for_test as m, pickle, sys; pickle.dump(m.Sum(3.0), open('m.pkl','wb'))"
    )
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)
    with pytest.raises(UnsafeModelError, match=r"my_models_for_test\.Sum"):
        prepare(tmp_path / "m.pkl", cache, PrepareOptions(model_dir=tmp_path))
    prepared = prepare(
        tmp_path / "m.pkl", cache, PrepareOptions(model_dir=tmp_path, allow_custom_code=True)
    )
    assert prepared.manifest.model_type == "custom"
    assert prepared.manifest.inputs[0].shape == (None, None)
    script = (
        "import sys, json, numpy as np; from slipstream.models import runners;"
        "r = runners.load(sys.argv[1], json.loads(sys.argv[2]));"
        "print(r.run([np.array([[1.0, 2.0, 3.0]])], 1)[0].tolist())"
    )
    given = [str(prepared.artifact_path), json.dumps(prepared.manifest.backend_options)]
    answer = subprocess.run(
        [sys.executable, "-c", script, *given], check=True, capture_output=True, text=True
    )
    assert answer.stdout.strip() == "[18.0]"


def test_slipstream_models_import_no_framework() -> None:
    script = (
        "import sys; import slipstream.models.prepare, slipstream.models.paths, "
        "slipstream.models.runners, slipstream.convert.build, slipstream.adapters.open; "
        "heavy = {'sklearn', 'xgboost', 'lightgbm', 'onnx', 'onnxruntime', 'skl2onnx', 'pandas', "
        "'joblib', 'scipy', 'torch'} & set(sys.modules); print(sorted(heavy))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    assert answer.stdout.strip() == "[]"


def test_secrets_do_not_reach_the_child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEYS", "secret")
    monkeypatch.setenv("JWT_SECRET", "secret")
    assert "secret" not in converter._environment(()).values()
