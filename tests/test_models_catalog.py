"""``models.json``: what is taken, how what is wrong is told, and what a change of it means."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipstream.device_names import EXPECTED
from slipstream.models.catalog import EMPTY, RELOADING, Catalog, ModelEntry
from slipstream.models.catalog_changes import changes
from slipstream.models.catalog_file import CatalogError, parse_catalog, read_catalog
from slipstream.models.catalog_schema import catalog_schema
from slipstream.models.positions import PlacedError, read_placed

FILE = Path("models.json")
DIGEST = "ab" * 32
EVERYTHING: dict[str, Any] = {
    "model_id": "digits",
    "model_path": "digits.onnx",
    "model_type": "onnx",
    "compile_model": True,
    "ensemble_method": None,
    "enabled": True,
    "description": "handwritten digits",
    "aliases": ["mnist", "digits-prod"],
    "sha256": DIGEST,
    "pinned": True,
    "cache_predictions": True,
    "instances": 2,
    "min_instances": 1,
    "max_instances": 4,
    "idle_unload_s": 600,
    "device": "cuda:0,cuda:1",
    "gpu_memory_limit_mb": 512,
    "gpu_provider": "tensorrt",
    "gpu_batches_in_flight": 2,
    "gpu_graph_rows": 16,
    "batching": True,
    "max_batch_size": 32,
    "batch_timeout_ms": 0,
    "timeout_ms": 250.5,
    "warmup_rows": [[0.0, None]],
    "states": {"h": {"output": "hn", "shape": [2, "rows", 64], "value": 0}},
    "constants": {"sr": 16000},
}
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def problems_of(text: str | bytes) -> list[tuple[int, str, str]]:
    """Line, key and message of all that is wrong."""
    data = text if isinstance(text, bytes) else text.encode()
    with pytest.raises(CatalogError) as raised:
        parse_catalog(data, FILE)
    return [(one.place.line, one.key, one.message) for one in raised.value.problems]


def listing(*entries: dict[str, Any]) -> Catalog:
    return parse_catalog(json.dumps({"models": entries}, indent=1).encode(), FILE)


class TestPlaces:
    @given(values, st.sampled_from([None, 0, 3]))
    def test_values_are_those_of_the_standard_library(self, value: Any, indent: int | None) -> None:
        for ascii_only in (True, False):
            try:
                text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
                text.encode()
            except UnicodeEncodeError:  # half a surrogate pair, which is refused
                continue
            try:
                found, twice = read_placed(text)
            except PlacedError as error:
                assert "surrogate" in error.message
                continue
            assert found.value == json.loads(text)
            assert not twice

    @given(st.text(alphabet='{}[]",:0123eE+-.\\ntrufalsn \t\n', max_size=40))
    def test_what_is_no_json_is_refused(self, text: str) -> None:
        try:
            expected = json.loads(text)
        except ValueError:
            with pytest.raises(PlacedError):
                read_placed(text)
        else:
            if "N" in text or "I" in text:
                return
            try:
                assert read_placed(text)[0].value == expected
            except PlacedError as error:
                assert "beyond the range" in error.message

    def test_each_value_has_its_place(self) -> None:
        found, _ = read_placed('{\n  "a": [1,\n     {"b": "x"}]\n}')
        assert found.at(".a[0]").place == (2, 9)
        assert found.at(".a[1].b").place == (3, 12)
        assert found.at(".a[7].c").place == (2, 8), "the nearest that is there"

    @pytest.mark.parametrize(
        ("text", "line", "says"),
        [
            ("", 1, "ends before"),
            ('{"a": 1,\n}', 2, "key in quotation marks"),
            ('{"a" 1}', 1, "':' was expected"),
            ("[1 2]", 1, "',' or ']'"),
            ("[1] 2", 1, "behind the end"),
            ("[01]", 1, "',' or ']'"),
            ("[" * 50, 1, "deeper than"),
            ("[" + "9" * 5000 + "]", 1, "64 characters"),
            ("[1e999]", 1, "beyond the range"),
            ('["a\nb"]', 1, "control character"),
            ('["\\ud800"]', 1, "surrogate"),
            ("{// why\n}", 1, "key in quotation marks"),
        ],
    )
    def test_flaws_are_told_with_their_line(self, text: str, line: int, says: str) -> None:
        with pytest.raises(PlacedError) as raised:
            read_placed(text)
        assert raised.value.place.line == line
        assert says in raised.value.message.lower()


class TestReading:
    def test_everything(self) -> None:
        (entry,) = listing(EVERYTHING).models
        assert entry.aliases == ("mnist", "digits-prod")
        assert entry.timeout_ms == 250.5
        declared = entry.declared()
        assert declared.states is not None
        assert declared.states.constants == {"sr": 16000}
        assert declared.sha256 == DIGEST
        assert set(EVERYTHING) == set(ModelEntry.__struct_fields__)

    @pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:0,cpu", "C P U", ""])
    def test_devices_that_are_none(self, device: str) -> None:
        problems = problems_of(
            json.dumps({"models": [{"model_path": "x.onnx"} | {"device": device}]})
        )
        assert [(key, message) for _, key, message in problems] == [
            ("models[0].device", f"{device!r} is not valid: it takes {EXPECTED}")
        ]

    @pytest.mark.parametrize("device", ["CPU", " cuda:0, CUDA:1 "])
    def test_devices_are_spelled_as_everywhere(self, device: str) -> None:
        text = json.dumps({"models": [{"model_path": "x.onnx", "device": device}]})
        assert parse_catalog(text.encode(), Path("models.json")).models[0].device == device

    def test_a_gpu_that_is_named_twice(self) -> None:
        text = json.dumps({"models": [{"model_path": "x.onnx"} | {"device": "cuda:1,cuda:01"}]})
        assert [message for _, _, message in problems_of(text)] == [
            "'cuda:1,cuda:01' names a GPU twice"
        ]

    def test_no_file_is_an_empty_list(self, tmp_path: Path) -> None:
        assert read_catalog(tmp_path) == EMPTY

    def test_a_byte_order_mark_and_a_schema_are_taken(self) -> None:
        text = b'\xef\xbb\xbf{"$schema": "./models.schema.json", "models": []}'
        assert parse_catalog(text, FILE).models == ()

    def test_a_file_that_cannot_be_read(self, tmp_path: Path) -> None:
        (tmp_path / "models.json").mkdir()
        with pytest.raises(CatalogError, match="cannot be read"):
            read_catalog(tmp_path)

    def test_all_problems_are_told_at_once_by_line(self) -> None:
        found = problems_of(
            """{
              "modles": [],
              "models": [
                {"model_path": "a.onnx", "model_id": "a", "sha256": "12",
                 "instances": 0,
                 "instances": 1},
                {"model_pth": "b.onnx",
                 "aliases": ["fine",
                             "not fine"],
                 "model_type": "skleran"},
                "c.onnx"
              ]
            }"""
        )
        assert [(line, key) for line, key, _ in found] == [
            (2, "modles"),
            (4, "models[0].sha256"),
            (6, ""),
            (7, "models[1]"),
            (7, "models[1].model_pth"),
            (9, "models[1].aliases[1]"),
            (10, "models[1].model_type"),
            (11, "models[2]"),
        ]
        said = [message for *_, message in found]
        assert "did you mean 'models'?" in said[0]
        assert "64 lower-case digits" in said[1]
        assert "'instances' is there twice" in said[2]
        assert "'model_path' is missing" in said[3]
        assert "did you mean 'model_path'?" in said[4]
        assert "did you mean 'sklearn'?" in said[6]

    @pytest.mark.parametrize(
        ("changed", "key"),
        [
            ({"model_path": ""}, "model_path"),
            ({"model_path": "a\nb"}, "model_path"),
            ({"model_id": "-x"}, "model_id"),
            ({"model_id": "a/b"}, "model_id"),
            ({"instances": 0}, "instances"),
            ({"instances": 9}, "instances"),
            ({"min_instances": 5}, "min_instances"),
            ({"idle_unload_s": 0}, "idle_unload_s"),
            ({"timeout_ms": 0}, "timeout_ms"),
            ({"timeout_ms": "5"}, "timeout_ms"),
            ({"timeout_ms": True}, "timeout_ms"),
            ({"max_batch_size": 1.5}, "max_batch_size"),
            ({"batching": False}, "max_batch_size"),
            ({"sha256": DIGEST.upper()}, "sha256"),
            ({"aliases": "one"}, "aliases"),
            ({"aliases": ["digits"]}, "aliases[0]"),
            ({"aliases": ["a", "a"]}, "aliases[1]"),
            ({"warmup_rows": 5}, "warmup_rows"),
            ({"states": {"h": {}}}, "states[...]"),
            ({"states": {"h": {"output": "o", "shape": ["n"]}}}, "states"),
            ({"constants": {"h": 1}}, "states"),
            ({"ensemble_method": "boosting"}, "ensemble_method"),
            ({"enabled": "yes"}, "enabled"),
        ],
    )
    def test_a_value_that_does_not_fit(self, changed: dict[str, Any], key: str) -> None:
        text = json.dumps({"models": [EVERYTHING | changed]}, indent=1)
        assert [one for _, one, _ in problems_of(text)] == [f"models[0].{key}"]

    def test_names_are_given_once(self) -> None:
        first = {"model_path": "a.onnx", "model_id": "a", "aliases": ["prod"]}
        text = (
            '{"models": ['
            + ",\n".join(
                json.dumps(one)
                for one in (
                    first,
                    {"model_path": "b.onnx", "model_id": "a"},
                    {"model_path": "c.onnx", "model_id": "prod"},
                    {"model_path": "d.onnx", "aliases": ["a"]},
                    {"model_path": "a.onnx", "model_id": "e"},
                )
            )
            + "]}"
        )
        found = problems_of(text)
        assert [(line, key) for line, key, _ in found] == [
            (2, "models[1].model_id"),
            (3, "models[2].model_id"),
            (4, "models[3].aliases[0]"),
            (5, "models[4].model_path"),
        ]
        assert all("in line 1" in message for *_, message in found)

    def test_many_problems_are_counted(self) -> None:
        with pytest.raises(CatalogError) as raised:
            parse_catalog(json.dumps({"models": [{}] * 1000}).encode(), FILE)
        assert "and 980 more" in raised.value.message
        assert raised.value.message.count("\n") == 20

    def test_what_is_not_utf8(self) -> None:
        assert problems_of(b'{"models":\n ["\xff"]}') == [(2, "", "it is not UTF-8")]

    def test_the_schema_takes_what_is_taken_and_refuses_what_is_refused(self) -> None:
        schema = catalog_schema()
        jsonschema.Draft202012Validator.check_schema(schema)
        validator = jsonschema.Draft202012Validator(schema)
        assert not list(validator.iter_errors({"models": [EVERYTHING]}))
        for wrong in ({"instances": 0}, {"sha256": "x"}, {"mode_id": "x"}, {"model_type": "junk"}):
            assert list(validator.iter_errors({"models": [EVERYTHING | wrong]})), wrong
        described = schema["$defs"]["ModelEntry"]["properties"]
        assert all(one.get("description") for one in described.values())


OLD = {"model_path": "a.onnx", "model_id": "a"}
OTHER_VALUES: dict[str, Any] = EVERYTHING | {
    "compile_model": False,
    "ensemble_method": "voting",
    "batching": False,
}


class TestChanges:
    def test_nothing(self) -> None:
        catalog = listing(OLD, {"model_path": "b.onnx"})
        assert not changes(catalog, catalog)
        assert not changes(EMPTY, EMPTY)

    def test_new_gone_and_disabled(self) -> None:
        old = listing(OLD, {"model_path": "b.onnx"}, {"model_path": "c.onnx", "model_id": "c"})
        new = listing({"model_path": "d.onnx"}, OLD | {"enabled": False}, {"model_path": "b.onnx"})
        found = changes(old, new)
        assert [one.name for one in found.load] == ["model_path d.onnx"]
        assert [one.name for one in found.unload] == ["a", "c"]
        assert not (found.reload or found.adjust or found.unload_first)

    @pytest.mark.parametrize("key", sorted(set(EVERYTHING) - {"model_id", "enabled"}))
    def test_each_key_reloads_or_adjusts(self, key: str) -> None:
        found = changes(listing(OLD), listing(OLD | {key: OTHER_VALUES[key]}))
        assert bool(found.reload) == (key in RELOADING)
        assert bool(found.adjust) == (key not in RELOADING)
        assert not (found.load or found.unload or found.unload_first)

    def test_what_is_in_the_way_goes_first(self) -> None:
        """A file is a model once, and a name names one thing."""
        renamed = changes(listing(OLD), listing(OLD | {"model_id": "b"}))
        assert [one.name for one in renamed.unload_first] == ["a"]
        assert [one.name for one in renamed.load] == ["b"]
        new = {"model_path": "b.onnx", "model_id": "b", "aliases": ["a"]}
        became_alias = changes(listing(OLD), listing(new))
        assert [one.name for one in became_alias.unload_first] == ["a"]

    @given(st.data())
    def test_it_leads_from_one_to_the_other(self, data: st.DataObject) -> None:
        """Whatever the catalogs: doing what it says makes the old one the new one."""
        old, new = (
            Catalog(
                models=tuple(
                    data.draw(st.lists(entries(), max_size=5, unique_by=lambda one: one.name))
                )
            )
            for _ in range(2)
        )
        found = changes(old, new)
        present = {one.name: one for one in old.enabled}
        for gone in (*found.unload_first, *found.unload):
            del present[gone.name]
        for came in found.load:
            assert came.name not in present
            present[came.name] = came
        for was, now in (*found.reload, *found.adjust):
            assert present[was.name] == was != now
            present[now.name] = now
        assert present == {one.name: one for one in new.enabled}


@st.composite
def entries(draw: Any) -> ModelEntry:
    return ModelEntry(
        model_path=draw(st.sampled_from("ab")),
        model_id=draw(st.sampled_from(["x", "y", None])),
        enabled=draw(st.booleans()),
        pinned=draw(st.booleans()),
        batching=draw(st.booleans()),
    )
