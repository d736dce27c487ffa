"""Aliases and declarations of an engine, without a server: the short way finds them too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

import slipstream
from http_models import fresh_folder
from slipstream.errors import (
    DeadlineExceededError,
    ModelAlreadyLoadedError,
    ModelLoadError,
    ModelNotFoundError,
    QueueFullError,
)
from slipstream.models.declared import Declared

ROWS = b'{"model_id": "%s", "data": %s}'


@pytest.fixture
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[slipstream.Engine]:
    folder = fresh_folder(tmp_path_factory, "names", "wine.pkl", "cancer.pkl", "words.onnx")
    with slipstream.Engine(model_dir=folder, state_dir=folder / ".slipstream") as engine:
        yield engine


def loaded(engine: slipstream.Engine, name: str) -> slipstream.Model:
    return engine.load(engine.settings.model_dir / f"{name}.pkl", model_id=name)


def short_way(engine: slipstream.Engine, name: str) -> str | None:
    """What the short way says the model is called that answered; None: it declined."""
    rows = msgspec.json.encode([[1.0] * (30 if "cancer" in name else 13)])
    route = engine.predict_route(is_batch=False)
    answer = None
    for _ in range(50):  # until it is quick enough to run here and now
        answer = route.answer(ROWS % (name.encode(), rows), "req_1", "now", None)
        if answer is None or isinstance(answer, bytes):
            break
        route.cancel(answer)
    if answer is None:
        return None
    assert isinstance(answer, bytes)
    found: str = msgspec.json.decode(answer)["model_id"]
    return found


def test_the_short_way_finds_aliases(engine: slipstream.Engine) -> None:
    loaded(engine, "wine")
    assert engine.set_aliases({"prod": "wine", "later": "absent"}) == {}
    assert engine.aliases_of("wine") == ["prod"]
    assert short_way(engine, "prod") == short_way(engine, "wine") == "wine"
    assert engine.get("prod") is engine.model("prod") is engine.get("wine")
    engine.reload("prod")
    assert short_way(engine, "prod") == "wine", "the version that came, too"
    engine.set_aliases({"cellar": "wine"})
    assert short_way(engine, "prod") is None
    assert short_way(engine, "cellar") == "wine"
    with pytest.raises(ModelNotFoundError):
        engine.get("prod")
    engine.unload("cellar")
    assert short_way(engine, "cellar") is None


def test_names_do_not_clash(engine: slipstream.Engine) -> None:
    loaded(engine, "wine")
    engine.experiments.set("ab", {"wine": 1})
    refused = engine.set_aliases({"wine": "wine", "ab": "wine", "prod": "wine"})
    assert sorted(refused) == ["ab", "wine"]
    assert engine.get("ab") is engine.experiments.find("ab")
    with pytest.raises(ModelAlreadyLoadedError, match="alias of model 'wine'"):
        engine.load(engine.settings.model_dir / "cancer.pkl", model_id="prod")
    with pytest.raises(ModelAlreadyLoadedError):
        engine.experiments.set("prod", {"wine": 1})


def test_an_alias_of_a_model_that_comes_later(engine: slipstream.Engine) -> None:
    engine.set_aliases({"prod": "wine"})
    loaded(engine, "wine")
    assert short_way(engine, "prod") == "wine"
    engine.evict(engine.model("wine"))
    assert short_way(engine, "prod") is None, "the general way has it brought back"


def test_a_deadline_of_its_own(engine: slipstream.Engine) -> None:
    """The short way applies it to requests that name none, from the moment it is declared."""
    model = loaded(engine, "wine")
    rows = msgspec.json.encode([[1.0] * 13])
    route = engine.predict_route(is_batch=False)
    given = {"tuning": model.tuning, "pinned": False, "cache_predictions": False}
    engine.adjust("wine", Declared(timeout_ms=1e-6), **given)
    with pytest.raises((DeadlineExceededError, QueueFullError)):
        route.answer(ROWS % (b"wine", rows), "req_1", "now", None)
    engine.reload("wine")
    with pytest.raises((DeadlineExceededError, QueueFullError)):
        route.answer(ROWS % (b"wine", rows), "req_1", "now", None)
    engine.adjust("wine", Declared(), **given)
    assert short_way(engine, "wine") == "wine"


def test_another_file_under_the_same_id(engine: slipstream.Engine) -> None:
    model = loaded(engine, "wine")
    loaded(engine, "cancer")
    words = str(engine.settings.model_dir / "words.onnx")
    given = {"tuning": model.tuning, "pinned": True, "cache_predictions": False}
    for path, error in (("cancer.pkl", ModelAlreadyLoadedError), ("absent", ModelNotFoundError)):
        with pytest.raises(error):
            engine.redefine(
                "wine", str(engine.settings.model_dir / path), model.load_options, **given
            )
    pinned = model.load_options._replace(declared=Declared(sha256="0" * 64))
    with pytest.raises(ModelLoadError, match="0" * 64):
        engine.redefine("wine", words, pinned, **given)
    assert (model.model_type, model.pinned) == ("sklearn", False), "nothing has changed"
    assert engine.redefine("wine", words, model.load_options, **given) is model
    assert (model.model_type, model.file, model.pinned) == ("onnx", Path(words).resolve(), True)
    engine.reload("wine")
    assert model.model_type == "onnx"
