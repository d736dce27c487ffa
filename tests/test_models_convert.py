"""Every documented kind of model: what serves answers as the source library does."""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import model_zoo
from slipstream.convert.build import Job, build
from slipstream.convert.forest_session import ForestSession
from slipstream.models import runners
from slipstream.models.manifest import Manifest, encode
from slipstream.models.manifest import decode as decode_manifest


def built(file: Path, folder: Path, kind: str = "pickle", **options: Any) -> Manifest:
    """What the converter child does, in this process: its start alone takes seconds."""
    folder.mkdir(exist_ok=True)
    job = Job(
        source=str(file),
        kind=kind,
        sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
        model_type=options.pop("model_type", "auto"),
        compile_model=options.pop("compile_model", True),
        out=str(folder),
        timeout_s=300,
        **options,
    )
    manifest = build(job, lambda text: None)
    (folder / "manifest.json").write_bytes(encode(manifest))
    assert decode_manifest(encode(manifest)) == manifest
    return manifest


def tensors_of(manifest: Manifest, rows: Any) -> list[np.ndarray]:
    """What the engine would make of ``rows``."""
    if manifest.layout == "matrix":
        return [np.asarray(rows, dtype=manifest.inputs[0].dtype)]
    assert manifest.columns is not None
    return [
        rows[column.name].to_numpy(dtype=object if column.dtype == "string" else column.dtype)
        .reshape(-1, 1)
        for column in manifest.columns
    ]  # fmt: skip


def answers(manifest: Manifest, folder: Path, rows: Any) -> dict[str, np.ndarray]:
    """Run the artifact by its backend, by onnxruntime, or by the runner."""
    inputs = tensors_of(manifest, rows)
    names = [tensor.name for tensor in manifest.outputs]
    artifact = folder / manifest.artifact
    if manifest.backend == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(artifact, providers=["CPUExecutionProvider"])
        assert [value.name for value in session.get_inputs()] == ["input"]
        found = session.run(names, {"input": inputs[0]})
    elif manifest.backend == "forest":
        with ForestSession(artifact) as forest:
            given = forest.run([np.ascontiguousarray(values) for values in inputs])
        found = [given[name] for name in names]
    else:
        runner = runners.load(str(artifact), manifest.backend_options)
        for values in inputs:
            values.flags.writeable = False
        found = list(runner.run(inputs, -1))
        assert [spec.name for spec in runner.outputs] == names
    for tensor, values in zip(manifest.outputs, found, strict=True):
        assert values.ndim == len(tensor.shape)
        expected = "object" if tensor.dtype == "string" else tensor.dtype
        assert values.dtype.name == expected
    return dict(zip(names, found, strict=True))


def decoded(manifest: Manifest, values: np.ndarray) -> np.ndarray:
    if manifest.label_encoding == "index" and manifest.classes is not None:
        return np.array(manifest.classes, dtype=manifest.classes_dtype)[values]
    return values


@pytest.mark.parametrize("name", model_zoo.NAMES)
def test_answers_equal_the_source_library(name: str, tmp_path: Path) -> None:
    trained = model_zoo.zoo(name)
    manifest = built(trained.save(tmp_path), tmp_path / "out")
    if trained.compiled is not None:
        assert manifest.compiled is trained.compiled, manifest.reason
    if trained.forest is not None:
        assert (manifest.backend == "forest") is trained.forest, manifest.reason
    assert (manifest.reason is None) is manifest.compiled
    found = answers(manifest, tmp_path / "out", trained.rows)
    with warnings.catch_warnings(action="ignore"):
        expected = np.asarray(trained.model.predict(trained.rows))
        predictions = decoded(manifest, found["predictions"])
        if manifest.task in ("classification", "clustering", "outlier"):
            np.testing.assert_array_equal(predictions, expected)
        else:
            spread = float(np.ptp(expected))
            assert np.abs(predictions - expected).max() <= 1e-5 * spread
        if hasattr(trained.model, "predict_proba"):
            probabilities = trained.model.predict_proba(trained.rows)
            assert manifest.probabilities_dtype == probabilities.dtype.name
            np.testing.assert_allclose(found["probabilities"], probabilities, atol=1e-5)
    assert np.dtype(manifest.predictions_dtype) == expected.dtype
    if manifest.task == "classification":
        assert list(manifest.classes or ()) == trained.model.classes_.tolist()


def test_compile_model_false_keeps_the_library(tmp_path: Path) -> None:
    trained = model_zoo.zoo("random_forest_breast_cancer")
    manifest = built(trained.save(tmp_path), tmp_path / "out", compile_model=False)
    assert (manifest.backend, manifest.compiled) == ("process", False)
    assert manifest.reason == "compile_model is false"
    found = answers(manifest, tmp_path / "out", trained.rows)
    np.testing.assert_array_equal(found["predictions"], trained.model.predict(trained.rows))
    assert isinstance(found["predictions"][0], str)


def test_runner_computes_only_what_is_wanted(tmp_path: Path) -> None:
    trained = model_zoo.zoo("random_forest_breast_cancer")
    manifest = built(trained.save(tmp_path), tmp_path / "out", compile_model=False)
    runner = runners.load(str(tmp_path / "out" / manifest.artifact), manifest.backend_options)
    assert runner.batchable and runner.inputs[0].dims == (-1, 30)
    labels, nothing = runner.run([trained.rows[:2]], 0b01)
    assert labels is not None and nothing is None
    nothing, probabilities = runner.run([trained.rows[:2]], 0b10)
    assert nothing is None and probabilities is not None and probabilities.shape == (2, 2)


@pytest.mark.parametrize("compile_model", [True, False])
def test_missing_values_in_a_table(compile_model: bool, tmp_path: Path) -> None:
    """NaN among text and numbers alike reaches the pipeline's imputers."""
    trained = model_zoo.zoo("text_columns_penguins")
    manifest = built(trained.save(tmp_path), tmp_path / "out", compile_model=compile_model)
    assert manifest.backend == ("forest" if compile_model else "process")
    assert manifest.accepts_missing
    kinds = {column.name: column.dtype for column in manifest.columns or ()}
    assert kinds["island"] == kinds["sex"] == "string" and kinds["year"] == "float64"
    holed = trained.rows[trained.rows.isna().any(axis=1)]
    assert len(holed) > 5
    found = answers(manifest, tmp_path / "out", holed)
    predictions = decoded(manifest, found["predictions"])
    np.testing.assert_array_equal(predictions, trained.model.predict(holed))


def test_a_pipeline_of_texts(tmp_path: Path) -> None:
    import pickle

    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    texts = ["good fine nice", "bad awful", "nice and good", "awful thing", "fine", "bad bad"]
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts, list("pnpnpn"))
    (tmp_path / "text.pkl").write_bytes(pickle.dumps(model))
    manifest = built(tmp_path / "text.pkl", tmp_path / "out")
    assert manifest.layout == "columns" and [c.dtype for c in manifest.columns or ()] == ["string"]
    runner = runners.load(str(tmp_path / "out" / manifest.artifact), manifest.backend_options)
    labels, probabilities = runner.run([np.array([[t] for t in texts], dtype=object)], -1)
    assert labels is not None and labels.tolist() == list(model.predict(texts))
    np.testing.assert_array_equal(probabilities, model.predict_proba(texts))


def test_several_targets(tmp_path: Path) -> None:
    import pickle

    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LinearRegression

    x, y = model_zoo.dataset("wine")
    two = np.column_stack([y, y > 0]).astype(int)
    model = RandomForestClassifier(5, random_state=0).fit(x, two)
    (tmp_path / "two.pkl").write_bytes(pickle.dumps(model))
    manifest = built(tmp_path / "two.pkl", tmp_path / "out")
    assert manifest.probabilities == ("probabilities_0", "probabilities_1")
    assert manifest.predictions_shape == (2,) and manifest.classes is None
    found = answers(manifest, tmp_path / "out", x)
    np.testing.assert_array_equal(found["predictions"], model.predict(x))
    assert manifest.backend == "forest"
    for number, part in enumerate(model.predict_proba(x)):
        np.testing.assert_array_equal(found[f"probabilities_{number}"], part)
    line = LinearRegression().fit(x, x[:, :2] * 2.0)
    (tmp_path / "line.pkl").write_bytes(pickle.dumps(line))
    manifest = built(tmp_path / "line.pkl", tmp_path / "line")
    assert manifest.compiled and manifest.predictions_shape == (2,)
    found = answers(manifest, tmp_path / "line", x)
    np.testing.assert_allclose(found["predictions"], line.predict(x), rtol=1e-9)


@pytest.mark.parametrize("suffix", ["ubj", "json"])
def test_xgboost_file_answers_as_its_wrapper(suffix: str, tmp_path: Path) -> None:
    trained = model_zoo.zoo("xgb_classifier_wine")
    file = tmp_path / f"model.{suffix}"
    trained.model.save_model(file)
    manifest = built(file, tmp_path / "out", kind="xgboost")
    assert manifest.compiled and manifest.model_type == "xgboost"
    found = answers(manifest, tmp_path / "out", trained.rows)
    np.testing.assert_array_equal(
        decoded(manifest, found["predictions"]), trained.model.predict(trained.rows)
    )
    np.testing.assert_allclose(
        found["probabilities"], trained.model.predict_proba(trained.rows), atol=1e-5
    )


def test_xgboost_stops_at_the_best_iteration(tmp_path: Path) -> None:
    import xgboost

    x, y = model_zoo.dataset("wine")
    model = xgboost.XGBClassifier(
        n_estimators=60, early_stopping_rounds=3, learning_rate=0.9, random_state=0
    )
    model.fit(x[::2], y[::2], eval_set=[(x[1::2], y[1::2])], verbose=False)
    assert model.best_iteration + 1 < model.get_booster().num_boosted_rounds()
    model.save_model(tmp_path / "model.ubj")
    manifest = built(tmp_path / "model.ubj", tmp_path / "out", kind="xgboost")
    assert manifest.compiled, manifest.reason
    found = answers(manifest, tmp_path / "out", x)
    np.testing.assert_allclose(found["probabilities"], model.predict_proba(x), atol=1e-5)


@pytest.mark.parametrize("name", ["lgbm_classifier_breast_cancer", "lgbm_classifier_wine"])
def test_lightgbm_file_answers_with_class_indices(name: str, tmp_path: Path) -> None:
    trained = model_zoo.zoo(name)
    file = tmp_path / "model.txt"
    trained.model.booster_.save_model(file)
    for compile_model in (True, False):
        folder = tmp_path / f"out{compile_model}"
        manifest = built(file, folder, kind="lightgbm", compile_model=compile_model)
        assert manifest.compiled is compile_model, manifest.reason
        found = answers(manifest, folder, trained.rows)
        expected = np.searchsorted(trained.model.classes_, trained.model.predict(trained.rows))
        np.testing.assert_array_equal(decoded(manifest, found["predictions"]), expected)
        np.testing.assert_allclose(
            found["probabilities"], trained.model.predict_proba(trained.rows), atol=1e-5
        )


def test_lightgbm_regression_file(tmp_path: Path) -> None:
    trained = model_zoo.zoo("lgbm_regressor_diabetes")
    trained.model.booster_.save_model(tmp_path / "model.txt")
    manifest = built(tmp_path / "model.txt", tmp_path / "out", kind="lightgbm")
    assert manifest.compiled and manifest.task == "regression" and manifest.classes is None
    found = answers(manifest, tmp_path / "out", trained.rows)
    np.testing.assert_allclose(found["predictions"], trained.model.predict(trained.rows))


def test_a_wrong_conversion_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The proof is what decides: with one threshold moved by one ulp the model must not compile."""
    import dataclasses

    from slipstream.adapters.trees import UnconvertibleError
    from slipstream.convert import forest_predictors, onnx_skl2onnx, onnx_sklearn

    trees_of = forest_predictors.sklearn_trees.sums_of

    def moved(estimator: Any) -> Any:
        trees = trees_of(estimator)
        threshold = trees.threshold.copy()
        root = trees.roots[0]
        threshold[root] = np.nextafter(np.float32(threshold[root]), np.float32(np.inf))
        return dataclasses.replace(trees, threshold=threshold)

    def refuses(*_: Any) -> bytes:
        raise UnconvertibleError("switched off")

    trained = model_zoo.zoo("decision_tree_breast_cancer")
    file = trained.save(tmp_path)
    monkeypatch.setattr(onnx_skl2onnx, "convert", refuses)
    monkeypatch.setattr(onnx_sklearn, "emit", refuses)
    assert built(file, tmp_path / "right").backend == "forest"
    monkeypatch.setattr(forest_predictors.sklearn_trees, "sums_of", moved)
    manifest = built(file, tmp_path / "wrong")
    assert not manifest.compiled
    assert manifest.reason is not None and "of 2000 probe rows changed label" in manifest.reason
    assert not (tmp_path / "wrong" / "model.forest").exists()
