"""JSON, MessagePack and tensors as bytes: one request gives one answer, however it is written.

What MessagePack means is asked of msgspec, what bytes mean of NumPy.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import slipstream
from http_models import fresh_folder, json_rows, rows_of, trained
from slipstream import _engine
from slipstream.api import Body, BodyKind, EncodedAnswer
from slipstream.errors import InvalidInputError, MalformedInputError, SlipstreamError

INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
FLOATS = ("float16", "float32", "float64")
NUMBERS = (*INTEGERS, *FLOATS)
DTYPES = ("bool", *NUMBERS, "bfloat16", "string")

Outcome = tuple[str, Any]


def outcome(decode: Any, *arguments: Any) -> Outcome:
    """The arrays, by dtype and bits; or the error, by class and words without numbers."""
    try:
        inputs = decode(*arguments)
    except SlipstreamError as error:
        return type(error).__name__, re.sub(r"-?\d[-+.\deE]*…?", "#", str(error))
    arrays = []
    for array in inputs.arrays():
        same_nan = array if array.dtype.kind != "f" else np.where(np.isnan(array), np.nan, array)
        values = same_nan.tolist() if array.dtype == object else same_nan.tobytes()
        arrays.append((str(array.dtype), array.shape, values))
    return "ok", arrays


cells = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.integers(-3, 300),
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(width=16, allow_nan=False, allow_infinity=False),
    st.text(max_size=5),
    st.lists(st.integers(0, 3), max_size=2),
)


@st.composite
def tables(draw: st.DrawFn) -> tuple[dict[str, Any], Any]:
    """The arguments of a decoder and rows that mostly fit it."""
    columns = draw(st.integers(1, 4))
    names = [f"c{place}" for place in range(columns)]
    matrix = draw(st.booleans())
    dtypes = [draw(st.sampled_from(DTYPES)) for _ in names]
    specs = (
        [("x", dtypes[0], (-1, columns))]
        if matrix
        else [(name, dtype, (-1, 1)) for name, dtype in zip(names, dtypes, strict=True)]
    )
    droppable = [i for i in range(columns) if dtypes[0 if matrix else i] != "string"]
    arguments = {
        "layout": "matrix" if matrix else "columns",
        "inputs": specs,
        "column_names": names,
        "accepts_missing": draw(st.booleans()),
        "ignored": draw(st.lists(st.sampled_from(droppable), max_size=2)) if droppable else [],
    }
    simple = draw(st.sampled_from([st.integers(0, 1), st.floats(0, 1), st.text(max_size=3), cells]))
    width = st.just(columns) if draw(st.integers(0, 9)) else st.integers(0, columns + 1)
    rows = [[draw(simple) for _ in range(draw(width))] for _ in range(draw(st.integers(0, 3)))]
    if draw(st.booleans()):
        return arguments, [dict(zip(names, row, strict=False)) for row in rows]
    return arguments, rows


@given(tables())
def test_tables_are_the_same_in_json_and_messagepack(table: tuple[dict[str, Any], Any]) -> None:
    arguments, rows = table
    decoder = _engine.InputDecoder(**arguments)
    from_json = outcome(decoder.decode, msgspec.json.encode(rows))
    assert outcome(decoder.decode_msgpack, msgspec.msgpack.encode(rows)) == from_json


@given(
    st.dictionaries(st.sampled_from(["a", "b", "c"]), st.recursive(cells, st.lists, max_leaves=6)),
    st.sampled_from(DTYPES),
    st.sampled_from(DTYPES),
)
def test_named_tensors_are_the_same_in_json_and_messagepack(
    data: dict[str, Any], first: str, second: str
) -> None:
    decoder = _engine.InputDecoder("tensors", [("a", first, (-1, -1)), ("b", second, ())])
    from_json = outcome(decoder.decode, msgspec.json.encode(data))
    assert outcome(decoder.decode_msgpack, msgspec.msgpack.encode(data)) == from_json


elements = st.one_of(
    st.integers(-2, 2), st.integers(-(2**63), 2**64 - 1), st.floats(allow_nan=False), st.just(0.5)
)


@given(
    st.lists(elements, min_size=1, max_size=4),
    st.sampled_from(NUMBERS),
    st.sampled_from([dtype for dtype in DTYPES if dtype != "string"]),
)
def test_a_tensor_is_the_numbers_in_it(values: list[float], given_dtype: str, dtype: str) -> None:
    """As bytes, as bytes in MessagePack, and as a list of the same numbers: one outcome."""
    with np.errstate(all="ignore"):
        array = np.array(values, dtype=object).astype("float64").astype(given_dtype)
    body, shape = array.tobytes(), list(array.shape)
    decoder = _engine.InputDecoder("tensors", [("x", dtype, (-1,))])
    as_list = outcome(decoder.decode_msgpack, msgspec.msgpack.encode(array.tolist()))
    assert outcome(decoder.decode_tensor, body, given_dtype, shape) == as_list
    packed = msgspec.msgpack.encode({"dtype": given_dtype, "shape": shape, "data": body})
    assert outcome(decoder.decode_msgpack, packed) == as_list
    named = msgspec.msgpack.encode({"x": {"data": body, "shape": shape, "dtype": given_dtype}})
    assert outcome(decoder.decode_msgpack, named) == as_list
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        return  # JSON has no such numbers
    assert outcome(decoder.decode, msgspec.json.encode(array.tolist())) == as_list


@given(st.binary(max_size=40))
def test_any_bytes_are_an_answer_or_an_error(data: bytes) -> None:
    """What msgspec can read is never called malformed, and the other way round."""
    decoder = _engine.InputDecoder("matrix", [("x", "float64", (-1, 1))])
    kind, _ = outcome(decoder.decode_msgpack, data)
    try:
        value = msgspec.msgpack.decode(data, strict=True)
    except (msgspec.DecodeError, UnicodeDecodeError, TypeError, ValueError, OverflowError):
        return  # msgspec refuses some extensions (a bad timestamp) and unhashable keys
    if isinstance(value, list | int | float | str | bool | None):
        text = repr(value)
        assert kind in ("ok", "InvalidInputError") or "{" in text, text


class TestMemory:
    def decoder(self) -> _engine.InputDecoder:
        return _engine.InputDecoder("matrix", [("x", "float32", (-1, 2))])

    def test_aligned_bytes_are_not_copied_and_stay(self) -> None:
        body = np.arange(6, dtype="float32").tobytes()
        view = np.frombuffer(body, "float32")
        (array,) = self.decoder().decode_tensor(body, "float32", (3, 2)).arrays()
        assert np.shares_memory(array, view)
        del body, view
        assert array.tolist() == [[0, 1], [2, 3], [4, 5]]

    def test_a_view_of_a_bytearray_pins_it(self) -> None:
        body = bytearray(np.arange(4, dtype="float32").tobytes())
        inputs = self.decoder().decode_tensor(memoryview(body), "float32", (2, 2))
        with pytest.raises(BufferError):
            body.extend(b"more")
        assert inputs.arrays()[0].tolist() == [[0, 1], [2, 3]]

    def test_what_is_not_aligned_is_copied(self) -> None:
        body = b"?" + np.arange(4, dtype="float32").tobytes()
        (array,) = self.decoder().decode_tensor(memoryview(body)[1:], "float32", (2, 2)).arrays()
        assert array.tolist() == [[0, 1], [2, 3]]
        assert not np.shares_memory(array, np.frombuffer(body, "uint8"))

    def test_only_bytes_in_a_row_are_bytes(self) -> None:
        for data in (memoryview(b"abcdef")[::2], np.zeros(3)):
            with pytest.raises(ValueError, match="must be bytes"):
                self.decoder().decode_tensor(data, "float32", (1, 2))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, slipstream.Model]]:
    names = ("wine.pkl", "cancer.pkl", "pair.onnx", "diabetes.pkl", "penguins.pkl")
    folder: Path = fresh_folder(tmp_path_factory, "binary", *names)
    with slipstream.Engine(state_dir=folder / ".slipstream") as engine:
        yield {name: engine.load(folder / name) for name in names}


def ask(
    model: slipstream.Model, body: Body, answer: BodyKind, probabilities: bool = False
) -> EncodedAnswer:
    async def start() -> Any:
        ended: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        model.start(
            body,
            answer=answer,
            probabilities=probabilities,
            priority=0,
            timeout_ms=60_000,
            batch_size=None,
            on_done=ended.set_result,
        )
        return await ended

    ended = asyncio.run(start())
    assert isinstance(ended, EncodedAnswer), ended
    return ended


class TestAnswers:
    @pytest.mark.parametrize("name", ["wine", "cancer", "diabetes", "penguins"])
    def test_forms_of_rows_and_answers_agree(
        self, models: dict[str, slipstream.Model], name: str
    ) -> None:
        model, rows = models[f"{name}.pkl"], json_rows(rows_of(name))
        bodies = [
            Body("json", json.dumps(rows).encode()),
            Body("msgpack", msgspec.msgpack.encode(rows)),
        ]
        if name != "penguins":
            array = np.array(rows)
            bodies.append(Body("tensor", array.tobytes(), "float64", array.shape))
        probabilities = name != "diabetes"
        answers = [
            (
                msgspec.json.decode(ask(model, body, "json", probabilities).predictions),  # type: ignore[arg-type]
                msgspec.msgpack.decode(ask(model, body, "msgpack", probabilities).predictions),  # type: ignore[arg-type]
                ask(model, body, "msgpack", probabilities).probabilities,
            )
            for body in bodies
        ]
        assert all(answer == answers[0] for answer in answers)
        predictions, packed, tables = answers[0]
        assert predictions == packed == trained(name).predict(rows_of(name)).tolist()
        if probabilities:
            assert isinstance(tables, bytes)
            assert msgspec.msgpack.decode(tables) == model.predict_proba(rows_of(name)).tolist()

    def test_a_tensor_for_an_answer(self, models: dict[str, slipstream.Model]) -> None:
        rows = rows_of("wine")
        body = Body("tensor", rows.tobytes(), "float64", rows.shape)
        answer = ask(models["wine.pkl"], body, "tensor", probabilities=True)
        for raw, expected in (
            (answer.predictions, models["wine.pkl"].predict(rows)),
            (answer.probabilities, models["wine.pkl"].predict_proba(rows)),
        ):
            assert raw is not None and not isinstance(raw, bytes)
            array = np.frombuffer(raw.data, raw.dtype).reshape(raw.shape)
            assert array.tolist() == expected.tolist()

    def test_labels_of_text_have_no_binary_form(self, models: dict[str, slipstream.Model]) -> None:
        with pytest.raises(InvalidInputError, match="labels are text"):
            ask(models["cancer.pkl"], Body("json", b"[]"), "tensor")

    def test_several_outputs_by_name(self, models: dict[str, slipstream.Model]) -> None:
        model = models["pair.onnx"]
        left, right = np.arange(6, dtype="float32").reshape(2, 3), np.full((2, 1), 2, "float32")
        raw = {"dtype": "float32", "shape": [2, 3], "data": left.tobytes()}
        for data in ({"left": left.tolist(), "right": right.tolist()},
                     {"right": right.tolist(), "left": raw}):  # fmt: skip
            answer = ask(model, Body("msgpack", msgspec.msgpack.encode(data)), "msgpack")
            assert isinstance(answer.predictions, bytes)
            assert msgspec.msgpack.decode(answer.predictions) == {
                "scaled": (left * 2).tolist(),
                "largest": [4, 10],
            }
        with pytest.raises(InvalidInputError, match="2 outputs and a binary answer holds one"):
            ask(model, Body("json", b"{}"), "tensor")

    def test_what_is_no_messagepack(self, models: dict[str, slipstream.Model]) -> None:
        with pytest.raises(MalformedInputError, match="MessagePack"):
            ask(models["wine.pkl"], Body("msgpack", b"\xc1"), "json")


def test_numbers_are_what_msgspec_and_numpy_make_of_them(root: Path) -> None:
    """The fuzzer, for a second: always the same tables, on a machine of one speed."""
    command = [sys.executable, str(root / "tests" / "fuzz_wire.py"), "1"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "no finding" in ended.stdout
