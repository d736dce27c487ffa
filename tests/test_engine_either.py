"""One input or several, by the rank of a model's inputs: `slipstream.api.either`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from http_models import model_folder
from slipstream import Engine
from slipstream.api import Body, EncodedAnswer, Model
from slipstream.api.either import Form, lifted, unwrapped
from slipstream.errors import InvalidInputError
from slipstream.example.graph import onnx_bytes
from slipstream.models.beside import file_beside

SPACE = st.text(" \t\r\n", max_size=3)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Model]]:
    folder = model_folder(tmp_path_factory)
    example = tmp_path_factory.mktemp("either") / "example.onnx"
    example.write_bytes(onnx_bytes())
    file_beside(example).write_text('[text]\nrows = "utf-8"\n')
    with Engine() as engine:
        files = [folder / f"{name}.onnx" for name in ("pair", "whole", "words")]
        files += [folder / "penguins.pkl", example]
        yield {file.stem: engine.load(file, model_id=file.stem) for file in files}


@pytest.mark.parametrize(
    ("name", "given", "taken", "is_single"),
    [
        ("example", "[1]", "[[1]]", True),
        ("example", "[[1]]", "[[1]]", False),
        ("example", "1.5", "[[1.5]]", True),
        ("example", '"ab"', '["ab"]', True),
        ("example", '["ab"]', '["ab"]', False),
        ("example", '[["ab"]]', '[["ab"]]', False),
        ("example", '{"inputs": [1]}', '{"inputs":[[1]]}', True),
        ("example", "[[[1]]]", "[[[1]]]", False),
        ("words", '"one"', '[["one"]]', True),
        ("words", '["one"]', '[["one"]]', True),
        ("words", '[["one"]]', '[["one"]]', False),
        ("whole", "[[1,2,3],[4,5,6]]", "[[1,2,3],[4,5,6]]", True),
        ("pair", '{"left": [1], "right": [2]}', '{"left":[[1]],"right":[[2]]}', True),
        ("pair", '{"left": [[1]], "right": [[2]]}', '{"left": [[1]], "right": [[2]]}', False),
        ("pair", '{"left": [1], "right": [[2]]}', '{"left": [1], "right": [[2]]}', False),
        ("pair", '{"left": [1]}', '{"left": [1]}', False),
        ("penguins", '{"island": "x"}', '[{"island": "x"}]', True),
        ("penguins", '[{"island": "x"}]', '[{"island": "x"}]', False),
        ("penguins", '["x", 1]', '[["x", 1]]', True),
    ],
)
def test_lifted(
    models: dict[str, Model], name: str, given: str, taken: str, is_single: bool
) -> None:
    found, form = lifted(models[name].version, given.encode())
    assert bytes(found).decode() == taken
    assert form.is_single is is_single


@pytest.mark.parametrize("nothing", ["[]", "[[]]", '""', "null", '{"inputs": []}', " [ ] "])
def test_nothing(models: dict[str, Model], nothing: str) -> None:
    with pytest.raises(InvalidInputError, match="'inputs' has"):
        lifted(models["example"].version, nothing.encode())


@given(
    rows=st.lists(st.lists(st.integers(-9, 9), min_size=1, max_size=3), min_size=1, max_size=3),
    space=SPACE,
    is_single=st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_any_row_is_a_batch_of_one(
    models: dict[str, Model], rows: list[list[int]], space: str, is_single: bool
) -> None:
    given = rows[0] if is_single else rows
    text = json.dumps(given).replace("[", f"{space}[{space}")
    taken, form = lifted(models["example"].version, memoryview(text.encode()))
    assert json.loads(bytes(taken)) == ([given] if is_single else given)
    assert form.is_single is form.is_wrapped is is_single


ROW, BATCH = Form(True, True, True), Form(False, False, True)


@pytest.mark.parametrize(
    ("predictions", "form", "result"),
    [
        ("[0.5]", ROW, "0.5"),
        ("[[0.5]]", ROW, "0.5"),
        ("[[0.5],[null]]", BATCH, "[0.5,null]"),
        ("[0.5,1]", BATCH, "[0.5,1]"),
        ("[[1,2]]", Form(True, True, False), "[1,2]"),
        ('["a"]', Form(True, True, False), '"a"'),
        ('["a"]', Form(False, False, False), '["a"]'),
        ('["[a]"]', Form(True, True, False), '"[a]"'),
        ('{"x":[[1]],"y":["b"]}', Form(True, True, False), '{"x":[1],"y":"b"}'),
        ('{"x":[[1]]}', Form(False, False, False), '{"x":[[1]]}'),
        ("[1,2]", Form(True, True, False), "[1,2]"),
        ("[[1,4],[2,5]]", Form(True, False, False), "[[1,4],[2,5]]"),
    ],
)
def test_unwrapped(predictions: str, form: Form, result: str) -> None:
    assert unwrapped(predictions.encode(), form).decode() == result


def test_an_answer_is_remembered_while_its_model_rests(tmp_path: Path) -> None:
    """Nobody has to be brought back for it."""
    (tmp_path / "example.onnx").write_bytes(onnx_bytes())

    async def ask(model: Model, data: bytes) -> EncodedAnswer:
        ended: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        model.start(
            Body("json", data, either=True),
            answer="json",
            probabilities=False,
            priority=0,
            timeout_ms=30_000.0,
            batch_size=None,
            on_done=ended.set_result,
        )
        answer = await ended
        assert isinstance(answer, EncodedAnswer), answer
        return answer

    with Engine() as engine:
        model = engine.load(tmp_path / "example.onnx", cache_predictions=True)
        first = asyncio.run(ask(model, b"[1, 2]"))
        assert first.way != "remembered"
        assert engine.evict(model)
        again = asyncio.run(ask(model, b"[[1, 2]]"))
        assert model.is_resting
    assert again.way == "remembered"
    assert again.asked is not None and not again.asked.form.is_single
    assert again.predictions == first.predictions
