"""Ensemble files: answers are those of scikit-learn's definitions, whatever the members run on."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import slipstream
from ensemble_files import WEIGHTS, data, stacking, voting, write_file, write_member, write_members

CLASSIFIED = ["breast_cancer", "wine"]


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("state")


@pytest.fixture
def engine(state: Path) -> Iterator[slipstream.Engine]:
    with slipstream.Engine(state_dir=state) as engine:
        yield engine


def agree(model: slipstream.Model, original: Any, rows: Any) -> None:
    """Labels equal (numbers nearly), probabilities within 1e-6; many rows at once and one."""
    for some in (rows, rows[:1]):
        found, expected = model.predict(some), original.predict(some)
        assert found.shape == expected.shape and found.dtype == expected.dtype
        if expected.dtype.kind == "f":
            np.testing.assert_allclose(found, expected, rtol=1e-6)
        else:
            np.testing.assert_array_equal(found, expected)
        if getattr(original, "voting", "soft") == "soft" and hasattr(original, "predict_proba"):
            expected = original.predict_proba(some)
            np.testing.assert_allclose(model.predict_proba(some), expected, atol=1e-6)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", [*CLASSIFIED, "diabetes"])
def test_soft_votes_and_means_are_scikit_learns(
    engine: slipstream.Engine, tmp_path: Path, name: str, weighted: bool
) -> None:
    original = voting(name, "soft", weighted)
    files = write_members(tmp_path, name, original)
    entries = [
        {"model_path": file, **({"weight": weight} if weighted else {})}
        for file, weight in zip(files, WEIGHTS, strict=True)
    ]
    path = write_file(tmp_path, "all.json", entries, ensemble_method="voting")
    model = engine.load(path)
    assert (model.model_type, model.backend, model.compiled) == ("ensemble", "ensemble", True)
    assert [member.version.manifest.backend for member in model.members] == [
        "forest", "forest", "forest", "onnx",
    ]  # fmt: skip
    agree(model, original, data(name).rows)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", CLASSIFIED)
def test_hard_votes_are_scikit_learns(
    engine: slipstream.Engine, tmp_path: Path, name: str, weighted: bool
) -> None:
    original = voting(name, "hard", weighted)
    files = write_members(tmp_path, name, original)
    entries = [
        {"model_path": file, "weight": weight if weighted else 1}
        for file, weight in zip(files, WEIGHTS, strict=True)
    ]
    model = engine.load(write_file(tmp_path, "hard.json", entries, voting="hard"))
    agree(model, original, data(name).rows)
    with pytest.raises(slipstream.errors.InvalidInputError, match="no probabilities"):
        model.predict_proba(data(name).rows)


@pytest.mark.parametrize("passthrough", [False, True])
@pytest.mark.parametrize("name", [*CLASSIFIED, "diabetes"])
def test_stacking_is_scikit_learns(
    engine: slipstream.Engine, tmp_path: Path, name: str, passthrough: bool
) -> None:
    original = stacking(name, passthrough)
    files = write_members(tmp_path, name, original)
    write_member(tmp_path, "final.pkl", original.final_estimator_, None)
    path = write_file(
        tmp_path,
        "stack.json",
        list(files),
        ensemble_method="stacking",
        final_estimator={"model_path": "final.pkl"},
        passthrough=passthrough,
    )
    model = engine.load(path, ensemble_method="stacking")
    assert model.members[-1].name == "final" and len(model.members) == 5
    agree(model, original, data(name).rows)


def test_bagging_is_the_mean_of_its_members(engine: slipstream.Engine, tmp_path: Path) -> None:
    from sklearn.ensemble import BaggingRegressor
    from sklearn.tree import DecisionTreeRegressor

    of = data("diabetes")
    original = BaggingRegressor(DecisionTreeRegressor(max_depth=4), 5, random_state=0)
    original.fit(of.rows, of.target)
    files = [f"tree{place}.pkl" for place in range(5)]
    for file, tree in zip(files, original.estimators_, strict=True):
        write_member(tmp_path, file, tree, None)
    model = engine.load(write_file(tmp_path, "bag.json", files, ensemble_method="bagging"))
    agree(model, original, of.rows)
    assert engine.load(tmp_path / "tree0.pkl").predict(of.rows[:1]).shape == (1,)


def test_toml_says_the_same(engine: slipstream.Engine, tmp_path: Path) -> None:
    original = voting("wine", "soft", True)
    files = write_members(tmp_path, "wine", original)
    tables = [
        f'[[members]]\nmodel_path = "{file}"\nweight = {weight}\n'
        for file, weight in zip(files, WEIGHTS, strict=True)
    ]
    path = tmp_path / "renamed.bin"
    path.write_text('ensemble_method = "voting"\n' + "\n".join(tables))
    agree(engine.load(path, "ensemble"), original, data("wine").rows)


def test_text_labels_and_boosters_that_know_only_places(
    engine: slipstream.Engine, tmp_path: Path
) -> None:
    from sklearn.ensemble import RandomForestClassifier

    of = data("wine")
    names = ["barolo", "grignolino", "barbera"]  # not in the order of the alphabet
    ordered = sorted(names)
    labels = np.array(ordered)[of.target]
    forest = RandomForestClassifier(10, random_state=0).fit(of.rows, labels)
    boost = voting("wine").estimators_[1]
    write_member(tmp_path, "forest.pkl", forest, None)
    write_member(tmp_path, "boost.ubj", boost, None)
    entries = ["forest.pkl", {"model_path": "boost.ubj", "classes": ordered}]
    model = engine.load(write_file(tmp_path, "soft.json", entries))
    expected = (forest.predict_proba(of.rows) + boost.predict_proba(of.rows)) / 2
    np.testing.assert_allclose(model.predict_proba(of.rows), expected, atol=1e-6)
    np.testing.assert_array_equal(model.predict(of.rows), np.array(ordered)[expected.argmax(1)])
    hard = engine.load(write_file(tmp_path, "hard.json", entries, voting="hard"))
    own = np.searchsorted(ordered, forest.predict(of.rows))
    first = np.minimum(own, boost.predict(of.rows))  # of two: a tie goes to the first class
    np.testing.assert_array_equal(hard.predict(of.rows), np.array(ordered)[first])


def test_shared_members_stay_and_are_not_taken_away(
    engine: slipstream.Engine, tmp_path: Path
) -> None:
    original = voting("breast_cancer")
    files = write_members(tmp_path, "breast_cancer", original)
    forest = engine.load(tmp_path / files[0], model_id="forest")
    entries = [{"model_id": "forest"}, *files[1:]]
    path = write_file(tmp_path, "all.json", entries, ensemble_method="voting")
    model = engine.load(path, model_id="all")
    rows = data("breast_cancer").rows
    agree(model, original, rows)
    with pytest.raises(slipstream.errors.ModelInUseError, match="'all'") as refused:
        engine.unload("forest")
    assert refused.value.details["used_by"] == ["all"]
    engine.reload("forest")
    agree(model, original, rows)
    engine.reload("all")
    agree(model, original, rows)
    engine.unload("all")
    np.testing.assert_array_equal(forest.predict(rows), original.estimators_[0].predict(rows))
    engine.unload("forest")


def test_reloading_a_member_changes_its_ensembles(
    engine: slipstream.Engine, tmp_path: Path
) -> None:
    from sklearn.linear_model import Ridge

    of = data("diabetes")
    first, second = Ridge(alpha=0.1), Ridge(alpha=100)
    first.fit(of.rows, of.target)
    second.fit(of.rows, of.target)
    file = write_member(tmp_path, "line.pkl", first, None)
    write_member(tmp_path, "other.pkl", second, None)
    engine.load(file, model_id="line")
    entries: list[Any] = [{"model_id": "line"}, "other.pkl"]
    pair = write_file(tmp_path, "pair.json", entries)
    model = engine.load(pair, model_id="pair")
    before = (first.predict(of.rows) + second.predict(of.rows)) / 2
    np.testing.assert_allclose(model.predict(of.rows), before)
    file.write_bytes(pickle.dumps(second))
    whole = pair.read_bytes()
    pair.write_bytes(whole[:20])  # somebody is editing it: that is no business of its members
    engine.reload("line")
    with pytest.raises(slipstream.errors.ModelLoadError, match=r"pair\.json"):
        engine.reload("pair")
    pair.write_bytes(whole)
    np.testing.assert_allclose(model.predict(of.rows), second.predict(of.rows))
    # A version that does not fit the ensemble is refused, and nothing changes.
    file.write_bytes(pickle.dumps(Ridge().fit(of.rows[:, :3], of.target)))
    with pytest.raises(slipstream.errors.ModelLoadError, match="'pair' does not take it"):
        engine.reload("line")
    np.testing.assert_allclose(model.predict(of.rows), second.predict(of.rows))
    np.testing.assert_allclose(engine.get("line").predict(of.rows), second.predict(of.rows))


def test_members_of_its_own_end_with_the_ensemble(
    engine: slipstream.Engine, tmp_path: Path
) -> None:
    files = write_members(tmp_path, "wine", voting("wine"))
    model = engine.load(write_file(tmp_path, "all.json", list(files)), instances=1)
    assert model.version.core.instances == 4
    workers = {thread.name for thread in threading.enumerate()}
    assert workers, "this process has threads of Python's"
    core = model.members[0].version.core
    engine.unload(model.model_id)
    from slipstream.engine.inputs import inputs_from

    inputs = inputs_from(model.members[0].version.signature, data("wine").rows[:1])
    with pytest.raises(slipstream.errors.UnavailableError):
        core.run(inputs)


def refused(engine: slipstream.Engine, path: Path, says: str, **options: Any) -> None:
    with pytest.raises(slipstream.errors.ModelLoadError, match=says):
        engine.load(path, **options)
    assert engine.models() == []


def test_members_must_go_together(engine: slipstream.Engine, tmp_path: Path) -> None:
    wine, cancer = tmp_path / "wine", tmp_path / "cancer"
    wine.mkdir()
    cancer.mkdir()
    write_members(wine, "wine", voting("wine"))
    write_members(cancer, "breast_cancer", voting("breast_cancer"))
    pair = [
        {"model_path": "wine/forest.pkl", "name": "a"},
        {"model_path": "cancer/forest.pkl", "name": "b"},
    ]
    refused(engine, write_file(tmp_path, "w.json", pair), "'a' takes 13 columns and member 'b' 30")
    rows, target = data("wine").rows, data("wine").target
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import LinearSVC

    named = np.array(["x", "y", "z"])[target]
    line = LogisticRegression(max_iter=10_000).fit(rows, named)
    write_member(tmp_path, "named.pkl", line, None)
    odd = ["wine/forest.pkl", "named.pkl"]
    refused(engine, write_file(tmp_path, "c.json", odd), "'forest' and 'named' have different cla")
    write_member(tmp_path, "margin.pkl", LinearSVC().fit(rows, target), None)
    mixed = ["wine/forest.pkl", "margin.pkl"]
    refused(engine, write_file(tmp_path, "s.json", mixed, voting="soft"), "'margin' gives no prob")
    hard = engine.load(write_file(tmp_path, "h.json", mixed))
    assert hard.manifest.probabilities == ()
    engine.unload(hard.model_id)
    graph = ["wine/line.onnx"]
    refused(engine, write_file(tmp_path, "o.json", graph), "no member tells its classes")
    told = [{"model_path": "wine/line.onnx", "classes": [0, 1, 2]}]
    assert engine.load(write_file(tmp_path, "t.json", told)).classes == (0, 1, 2)


def test_mistakes_in_the_file_are_named(engine: slipstream.Engine, tmp_path: Path) -> None:
    write_members(tmp_path, "wine", voting("wine"))
    path = tmp_path / "bad.json"

    def says(text: str, message: str, **options: Any) -> None:
        path.write_text(text)
        refused(engine, path, message, **options)

    member = '{"model_path": "forest.pkl"}'
    says('{"members": []}', "1 to 64 members")
    says('{"members": [{}]}', "either a model_id or a model_path")
    says(f'{{"members": [{member}, {member}]}}', "two members are called 'forest'")
    says(f'{{"members": [{member}], "votes": 1}}', "unknown field `votes`")
    says(f'{{"members": [{member}', "cannot be parsed")
    says(f'{{"members": [{member}], "ensemble_method": "stacking"}}', "needs a final_estimator")
    says(f'{{"members": [{member}], "ensemble_method": "bagging", "voting": "hard"}}', "voting is")
    says('{"members": [{"model_path": "forest.pkl", "weight": -1}]}', "at least 0")
    says('{"members": [{"model_path": "forest.pkl", "weight": 0}]}', "all be zero")
    says('{"members": [{"model_path": "absent.pkl"}]}', "member 'absent': there is no model file")
    says('{"members": [{"model_id": "absent"}]}', "no model 'absent' is loaded")
    says('{"members": [{"model_path": "bad.json"}]}', "member 'bad': it is itself an ensemble")
    says(f'{{"members": [{member}]}}', "describes an ensemble, not 'onnx'", model_type="onnx")
    says(
        f'{{"members": [{member}], "ensemble_method": "voting"}}',
        "voting ensemble, not bagging",
        ensemble_method="bagging",
    )


def test_networks_answer_with_their_mean(engine: slipstream.Engine, tmp_path: Path) -> None:
    from onnx import TensorProto, save
    from onnx.helper import make_graph, make_model, make_node, make_opsetid, make_tensor_value_info

    for name, op in (("up", "Abs"), ("down", "Neg")):
        value = [make_tensor_value_info(n, TensorProto.FLOAT, ["n", 2, 3]) for n in ("x", "y")]
        graph = make_graph([make_node(op, ["x"], ["y"])], name, [value[0]], [value[1]])
        model = make_model(graph, opset_imports=[make_opsetid("", 17)], ir_version=8)
        save(model, tmp_path / f"{name}.onnx")
    entries = [{"model_path": "up.onnx", "weight": 3}, "down.onnx"]
    loaded = engine.load(write_file(tmp_path, "nets.json", entries))
    x = np.random.default_rng(0).normal(size=(4, 2, 3)).astype(np.float32)
    np.testing.assert_allclose(loaded.predict(x), (3 * np.abs(x) - x) / 4, rtol=1e-6)


def several(folder: Path, name: str, models: Any) -> Path:
    path = folder / name
    path.write_bytes(pickle.dumps(models))
    return path


def test_a_pickle_of_estimators_is_an_ensemble(engine: slipstream.Engine, tmp_path: Path) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import LinearSVC

    for name in ("wine", "diabetes"):
        original = voting(name)
        path = several(tmp_path, f"{name}.bin", list(original.estimators_))
        model = engine.load(path)
        assert model.model_type == "ensemble" and model.compiled
        agree(model, original, data(name).rows)
    rows = data("wine").rows
    labels = np.array(["x", "y", "z"])[data("wine").target]
    members = {
        "line": LogisticRegression(max_iter=10_000).fit(rows, labels),
        "margin": LinearSVC().fit(rows, labels),
        "margin2": LinearSVC(C=0.01).fit(rows, labels),
    }
    path = several(tmp_path, "hard.bin", members)
    hard = engine.load(path, "ensemble", ensemble_method="voting")
    votes = np.stack([member.predict(rows) for member in members.values()])
    expected = [max("xyz", key=lambda label: list(row).count(label)) for row in votes.T]
    np.testing.assert_array_equal(hard.predict(rows), expected)
    with pytest.raises(slipstream.errors.ModelLoadError, match="no final estimator"):
        engine.load(several(tmp_path, "s.bin", members), ensemble_method="stacking")
    with pytest.raises(slipstream.errors.ModelLoadError, match="number 2 is a int"):
        engine.load(several(tmp_path, "i.bin", [members["line"], 3]))


def test_what_members_share_of_columns(engine: slipstream.Engine, tmp_path: Path) -> None:
    import pandas as pd
    from sklearn.linear_model import Ridge

    of = data("diabetes")
    table = pd.DataFrame(of.rows[:, :3], columns=["age", "sex", "bmi"])
    write_member(tmp_path, "named.pkl", Ridge().fit(table, of.target), None)
    write_member(tmp_path, "bare.pkl", Ridge(2.0).fit(table.to_numpy(), of.target), None)
    write_member(tmp_path, "odd.pkl", Ridge().fit(table[["bmi", "sex", "age"]], of.target), None)
    model = engine.load(write_file(tmp_path, "both.json", ["named.pkl", "bare.pkl"]))
    assert [column.name for column in model.manifest.columns or ()] == ["age", "sex", "bmi"]
    engine.unload(model.model_id)
    path = write_file(tmp_path, "three.json", ["named.pkl", "odd.pkl"])
    refused(engine, path, "number 1 is 'age' for one, 'bmi' for the other")
