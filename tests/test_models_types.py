"""Files are what their content says, whatever they are called and whatever was asked for."""

from __future__ import annotations

import pickle
import shutil
import zipfile
from pathlib import Path

import pytest
import torch

import model_zoo
import slipstream
from ensemble_files import data, voting, write_file, write_members
from slipstream.convert.torch_proof import require_torch_backend
from slipstream.engine import torch_library
from slipstream.errors import InvalidInputError, MissingDependencyError, ModelLoadError
from slipstream.models.detect import detect
from slipstream.models.prepare import MODEL_TYPES, PrepareOptions, prepare

CUSTOM = "class Model:\n    def predict(self, rows):\n        return rows[:, 0]\n\nENTRY = Model\n"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One file of each type, by type, none with the ending that is usual."""
    folder = tmp_path_factory.mktemp("types")
    made = write_members(folder, "wine", voting("wine"))
    ensemble = write_file(folder, "ensemble.json", made, voting="soft")
    network = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU())
    with pytest.warns(DeprecationWarning):
        torch.jit.script(network).save(str(folder / "script.pt"))
    torch.save(network.state_dict(), folder / "weights.pt")
    program = torch.export.export(network, (torch.zeros(1, 2),))
    torch.export.save(program, folder / "program.pt2")
    (folder / "engine.plan").write_bytes(b"ftrt" + bytes(200))
    sources = {
        "sklearn": folder / "forest.pkl",
        "xgboost": folder / "boost.ubj",
        "lightgbm": folder / "light.txt",
        "onnx": folder / "line.onnx",
        "ensemble": ensemble,
        "pytorch": folder / "script.pt",
        "pytorch weights": folder / "weights.pt",
        "pytorch program": folder / "program.pt2",
        "tensorrt": folder / "engine.plan",
    }
    for name, source in sources.items():
        target = folder / f"{name.replace(' ', '-')}.weird"
        shutil.copyfile(source, target)
        sources[name] = target
    return sources


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("artifacts")


def test_every_type_is_recognised_under_any_name(files: dict[str, Path]) -> None:
    for name, file in files.items():
        assert detect(file).library == name.partition(" ")[0], name


def test_custom_code_is_known_by_its_ending_and_its_entry(tmp_path: Path) -> None:
    file = tmp_path / "model.py"
    file.write_text(CUSTOM)
    assert detect(file).library == "custom"


@pytest.mark.parametrize("asked", [t for t in MODEL_TYPES if t not in ("auto", "custom")])
def test_a_type_that_contradicts_the_content_is_told_what_the_file_is(
    files: dict[str, Path], cache: Path, asked: str
) -> None:
    for name, file in files.items():
        found = name.partition(" ")[0]
        if asked == found or (asked, found) in (("ensemble", "sklearn"), ("tensorrt", "onnx")):
            continue
        with pytest.raises(ModelLoadError, match="holds") as caught:
            prepare(file, cache, PrepareOptions(model_type=asked))
        told = caught.value
        assert told.details.get("found") == found and found in told.message, told.message


@pytest.mark.parametrize("asked", ["auto", "tensorrt"])
def test_a_tensorrt_engine_is_its_own_artifact(
    files: dict[str, Path], cache: Path, asked: str
) -> None:
    made = prepare(files["tensorrt"], cache, PrepareOptions(model_type=asked))
    assert made.manifest.backend == "tensorrt" and made.manifest.model_type == "tensorrt"
    assert made.artifact_path.read_bytes() == files["tensorrt"].read_bytes()


def test_a_torch_backend_that_was_not_compiled_is_named_with_a_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    require_torch_backend()
    monkeypatch.setattr(torch_library, "__version__", "0.0.0")  # for which none was compiled
    with pytest.raises(MissingDependencyError, match="slipstream build-backend torch"):
        require_torch_backend()


def test_the_kinds_of_torch_files(files: dict[str, Path]) -> None:
    kinds = {name: detect(file).kind for name, file in files.items() if "pytorch" in name}
    assert kinds == {
        "pytorch": "torchscript",
        "pytorch weights": "torch-save",
        "pytorch program": "torch-export",
    }


def test_torch_is_another_name_of_pytorch(files: dict[str, Path], cache: Path) -> None:
    prepared = prepare(files["pytorch"], cache, PrepareOptions(model_type="torch"))
    assert prepared.manifest.model_type == "pytorch"
    with pytest.raises(InvalidInputError, match="pytorch"):
        prepare(files["pytorch"], cache, PrepareOptions(model_type="caffe"))


def test_the_marks_of_tensorflow(tmp_path: Path) -> None:
    lite = tmp_path / "a.bin"
    lite.write_bytes(b"\x1c\0\0\0TFL3" + bytes(64))
    assert detect(lite).what == "a TFLite model"
    with zipfile.ZipFile(tmp_path / "b.bin", "w") as archive:
        for entry in ("config.json", "metadata.json", "model.weights.h5"):
            archive.writestr(entry, "{}")
    assert detect(tmp_path / "b.bin").what == "a Keras model"
    saved = tmp_path / "c.bin"
    saved.write_bytes(b"\x08\x01\x12\x04\x0a\x02\x22\x00")
    assert detect(saved).what == "a TensorFlow SavedModel"
    weights = tmp_path / "d.bin"
    weights.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(64))
    with pytest.raises(ModelLoadError, match="without a Keras model"):
        detect(weights)
    with zipfile.ZipFile(tmp_path / "e.zip", "w") as archive:
        archive.writestr("net/saved_model.pb", "")
    with pytest.raises(ModelLoadError, match="unpack it"):
        detect(tmp_path / "e.zip")


def test_what_looks_like_an_ensemble_file_and_is_none(tmp_path: Path) -> None:
    for text in ('{"rows": [["members"]]}', '{"members"', "members\n", "[members]\na = 1\n"):
        file = tmp_path / "some.txt"
        file.write_text(text)
        with pytest.raises(ModelLoadError):
            detect(file)


def test_scikit_learns_own_ensembles_are_sklearn_and_ensemble(tmp_path: Path) -> None:
    of = data("wine")
    file = tmp_path / "voting.pkl"
    file.write_bytes(pickle.dumps(voting("wine")))
    with slipstream.Engine(state_dir=tmp_path / "state") as engine:
        model = engine.load(file, "ensemble", ensemble_method="voting")
        assert (model.model_type, model.backend) == ("ensemble", "forest")
        assert (model.predict(of.rows) == voting("wine").predict(of.rows)).all()
        engine.unload(model.model_id)
        assert engine.load(file).model_type == "sklearn"
        with pytest.raises(ModelLoadError, match="holds"):
            engine.load(model_zoo.zoo("ridge_diabetes").save(tmp_path), "ensemble")
