"""The documentation tells the truth: every example runs, every table is compared with the code."""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest

import docs_examples
from docs_examples import ROOT, Block, blocks, commands, examples, json_values, pages
from slipstream.cli.main import parser
from slipstream.http import errors, schemas
from slipstream.http.clock import Clock
from slipstream.http.failures import refusal
from slipstream.http.routes.table import all_routes
from slipstream.setting_options import OPTIONS
from slipstream.settings import Settings

PAGES = {page.relative_to(ROOT).as_posix(): page.read_text(encoding="utf-8") for page in pages()}
API = {name: text for name, text in PAGES.items() if name.startswith("docs/api/")}
README = PAGES["README.md"]

_LINK = re.compile(r"\]\(([^)\s]+)\)")
_CODE = re.compile(r"`([^`]+)`")
_TARGET = re.compile(r"^([a-z][a-z-]*):", re.MULTILINE)


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("docs") / "samples"
    docs_examples.make_samples(folder)
    return folder


@pytest.mark.parametrize("name", [name for name, text in PAGES.items() if examples(text)])
def test_every_example_is_true(name: str, samples: Path, tmp_path: Path) -> None:
    wrong = [
        f"{name}:{outcome.example.block.line}: {problem}"
        for outcome in docs_examples.run_page(PAGES[name], samples, tmp_path)
        for problem in outcome.wrong
    ]
    if wrong:
        pytest.fail("\n".join(wrong), pytrace=False)


class TestTheComparison:
    """What the comparison of examples sees, so that it cannot come to see nothing."""

    SHOWN: ClassVar = {
        "predictions": [1.5, 2],
        "request_id": "req_00000000000001",
        "load_time": 1.0,
    }

    @pytest.mark.parametrize(
        "got",
        [
            {"predictions": [1.5, 2], "load_time": 1.0, "request_id": "req_00000000000001"},
            {**SHOWN, "more": 1},
            {**SHOWN, "predictions": [1.50001, 2]},
            {**SHOWN, "predictions": [1.5, 2.0]},
            {**SHOWN, "predictions": [1.5, 2, 3]},
            {**SHOWN, "predictions": {"label": [1.5, 2]}},
            {**SHOWN, "request_id": "batch_00000000000001"},
            {**SHOWN, "load_time": None},
            {**SHOWN, "load_time": "1.0"},
        ],
    )
    def test_a_difference_is_seen(self, got: Any) -> None:
        assert list(docs_examples.differences(self.SHOWN, got))

    def test_what_always_differs_does_not_count(self) -> None:
        got = {**self.SHOWN, "request_id": "req_ffffffffff0a11", "load_time": 0.25}
        assert not list(docs_examples.differences(self.SHOWN, got))
        memory = {"memory_usage_mb": 1.5, "timestamp": "2026-01-15T10:30:00Z"}
        got = {"memory_usage_mb": None, "timestamp": "2027-02-03T00:00:01Z"}
        assert not list(docs_examples.differences(memory, got))

    def test_output_of_programs(self) -> None:
        assert docs_examples.same_output("a 0.25 …\nb", "a 0.2500000001 17 s\nb\n")
        assert not docs_examples.same_output("a 0.25", "a 0.2501")
        assert not docs_examples.same_output("a … b", "a\nb")
        assert not docs_examples.same_output("a", "a b")

    def test_a_wrong_answer_is_replaced(self) -> None:
        page = "```python\nprint(2)\n```\n\n```text\n1\n```\nend\n"
        (example,) = examples(page)
        right = docs_examples.Outcome(example, "1", [])
        wrong = docs_examples.Outcome(example, "2", ["shown 1"])
        assert docs_examples.rewritten(page, [right]) == page
        assert docs_examples.rewritten(page, [wrong]) == page.replace("\n1\n", "\n2\n")
        other = docs_examples.Outcome(example, "1.0", [])
        assert docs_examples.rewritten(page, [other], afresh=True) == page.replace(
            "\n1\n", "\n1.0\n"
        )

    def test_commands_of_a_shell(self) -> None:
        text = "# a\nmake serve  # b\ncurl -s \\\n  -d '{\n}' x\n"
        assert list(commands(text)) == [["make", "serve"], ["curl", "-s", "-d", "{\n}", "x"]]


def rows(text: str) -> Iterator[list[str]]:
    """The cells of every table row of a page."""
    for line in text.splitlines():
        if line.startswith("| ") and not line.startswith("|---"):
            yield [cell.strip() for cell in line.strip("|").split("|")]


class TestReadme:
    def test_the_first_curl_block_is_ready_to_paste(self) -> None:
        first = next(block for block in blocks(README) if "curl" in block.text)
        assert first.language == "bash"
        asked = list(commands(first.text))
        assert asked
        for words in asked:
            assert words[0] == "curl"
            assert f"{docs_examples.ADDRESS}/api/inference/predict" in words

    def test_it_shows_what_the_server_prints_to_try(self) -> None:
        from slipstream.samples import SAMPLES, curl_line

        first = next(block for block in blocks(README) if "curl" in block.text)
        for sample, line in zip(SAMPLES, first.text.splitlines(), strict=True):
            assert line == curl_line(sample, "127.0.0.1:8000")


class TestCommands:
    @staticmethod
    def named() -> Iterator[tuple[str, list[str]]]:
        """The commands of all sh blocks, without settings in front of them."""
        for name, text in PAGES.items():
            for block in blocks(text):
                for words in commands(block.text) if block.language == "sh" else ():
                    first = next(i for i, word in enumerate(words) if "=" not in word)
                    yield f"{name}:{block.line}", words[first:]

    def test_make_has_the_targets(self) -> None:
        targets = set(_TARGET.findall((ROOT / "Makefile").read_text(encoding="utf-8")))
        asked = {words[1] for _, words in self.named() if words[0] == "make"}
        assert asked
        assert asked <= targets

    def test_slipstream_has_the_commands_and_options(self) -> None:
        asked = [words for _, words in self.named() if words[0] == "slipstream"]
        assert asked
        for words in asked:
            parser().parse_args(words[1:])  # exits on anything it does not know

    def test_the_readme_describes_every_command(self) -> None:
        first_cells = [cells[0] for cells in rows(README)]
        described = {
            words[1]
            for cell in first_cells
            if (words := cell.strip("`").split())[0] == "slipstream"
        }
        assert described == set(subparsers())

    def test_options_in_tables_exist(self) -> None:
        known = {option for one in subparsers().values() for option in one._option_string_actions}
        for name in ("README.md", "docs/settings.md"):
            for cells in rows(PAGES[name]):
                for code in _CODE.findall(" ".join(cells)):
                    for option in re.findall(r"(?<!\S)--[a-z-]+", code):
                        assert option in known, f"{name}: {option}"


def subparsers() -> dict[str, argparse.ArgumentParser]:
    """The parser of each command."""
    for action in parser()._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    raise AssertionError("the command line has no commands")


class TestSettings:
    @staticmethod
    def table() -> dict[str, list[str]]:
        return {
            cells[0].strip("`"): cells
            for cells in rows(PAGES["docs/settings.md"])
            if len(cells) == 6 and cells[0].startswith("`")
        }

    def test_every_setting_has_a_row_and_every_row_a_setting(self) -> None:
        assert set(self.table()) == set(OPTIONS)

    @pytest.mark.parametrize("name", OPTIONS)
    def test_the_row_is_right(self, name: str) -> None:
        _, variable, option, default, _, meaning = self.table()[name]
        assert variable == f"`{OPTIONS[name].env}`"
        assert default == shown(getattr(Settings(), name))
        flag = f"--{name.replace('_', '-')}"
        exists = flag in subparsers()["serve"]._option_string_actions
        assert option == (f"`{flag}`" if exists else "–")
        assert meaning

    def test_every_option_of_serve_is_described(self) -> None:
        for option in subparsers()["serve"]._option_string_actions:
            if option not in ("-h", "--help"):
                assert f"`{option}" in PAGES["docs/settings.md"], option

    def test_the_example_files_are_valid(self, tmp_path: Path) -> None:
        from slipstream.models.catalog import MODELS_FILE
        from slipstream.models.catalog_file import read_catalog
        from slipstream.settings import load_settings

        (toml,) = (one for one in blocks(PAGES["docs/settings.md"]) if one.language == "toml")
        (models,) = (one for one in blocks(PAGES["docs/settings.md"]) if one.language == "json")
        (tmp_path / "slipstream.toml").write_text(toml.text)
        assert load_settings(config=tmp_path / "slipstream.toml", environ={}).port == 9000
        (tmp_path / MODELS_FILE).write_text(models.text)
        assert [one.model_id for one in read_catalog(tmp_path).models] == ["digits", "churn"]


class TestModelsJson:
    PAGE = PAGES["docs/api/models-json.md"]

    def test_the_example_is_valid(self, tmp_path: Path) -> None:
        from slipstream.models.catalog_file import parse_catalog

        (example,) = (one for one in blocks(self.PAGE) if one.language == "json")
        catalog = parse_catalog(example.text.encode(), tmp_path / "models.json")
        assert [one.enabled for one in catalog.models] == [True, False]

    def test_every_key_is_described(self) -> None:
        from slipstream.models.catalog import RELOADING, ModelEntry

        described = {key for cells in rows(self.PAGE) for key in _CODE.findall(cells[0])}
        assert described == set(ModelEntry.__struct_fields__)
        item = next(line for line in self.PAGE.split("\n- ") if line.startswith("A changed"))
        assert set(_CODE.findall(item.partition("takes a new version")[0])) == RELOADING


def shown(default: Any) -> str:
    """A default as the table writes it."""
    if default is None or default == ():
        return "–"
    if isinstance(default, float):
        return f"`{default:g}`"
    return f"`{default}`"


class TestApi:
    def test_every_endpoint_is_described(self) -> None:
        from slipstream.api import Engine
        from slipstream.http.routes.context import Context

        with Engine() as engine:
            routes = all_routes(Context(engine, Settings(), Clock()))
        described = set(_CODE.findall("\n".join(API.values())))
        index = {cells[0].strip("`") for cells in rows(API["docs/api/README.md"])} - {"call"}
        assert index == {f"{route.method} {route.path}" for route in routes}
        assert index <= described

    @pytest.mark.parametrize(
        "struct",
        [
            kind
            for area in pkgutil.iter_modules(schemas.__path__)
            for kind in vars(importlib.import_module(f"{schemas.__name__}.{area.name}")).values()
            if isinstance(kind, type) and issubclass(kind, msgspec.Struct)
        ],
    )
    def test_every_key_is_described(self, struct: type[msgspec.Struct]) -> None:
        # Rows of tables; keys of a row of `models` are told in the meaning of that key.
        described = {
            code
            for text in API.values()
            for cells in rows(text)
            for code in _CODE.findall(cells[0] + cells[2] if cells[0] == "`models`" else cells[0])
        }
        assert set(struct.__struct_fields__) <= described

    def test_the_table_of_errors_is_the_one_of_the_code(self) -> None:
        described = {
            (int(cells[0]), cells[1].strip("`"))
            for cells in rows(API["docs/api/errors.md"])
            if cells[0].isdigit()
        }
        existing = {(status, kind.__name__) for kind, status in errors.STATUS}
        existing |= {(kind.status, kind.__name__) for kind in errors.HttpError.__subclasses__()}
        existing |= {(500, "InternalServerError")}
        existing |= {(422, "UnsafeModelError"), (422, "MissingDependencyError")}
        assert described == existing

    def test_every_status_has_an_example(self) -> None:
        shown_statuses = re.findall(r"^HTTP/1\.1 (\d+)", "".join(API.values()), re.MULTILINE)
        table = rows(API["docs/api/errors.md"])
        described = {int(cells[0]) for cells in table if cells[0].isdigit()}
        # 500 is shown below it, and the example of 503 is a program.
        assert described - {500, 503} == {int(one) for one in shown_statuses if int(one) >= 400}

    def test_the_body_of_a_500_is_the_one_shown(self) -> None:
        text = API["docs/api/errors.md"]
        answers = {example.answer for example in examples(text)}
        (block,) = (one for one in blocks(text) if one.language == "json" and one not in answers)
        got = refusal(RuntimeError(), "req_00000000000001", Clock(), "inference")
        assert got.status == 500
        (body,) = json_values(block.text)
        assert not list(docs_examples.differences(body, msgspec.json.decode(got.body)))


class TestPages:
    @pytest.mark.parametrize("name", PAGES)
    def test_links_lead_somewhere(self, name: str) -> None:
        prose = without_blocks(PAGES[name])
        for link in _LINK.findall(prose):
            if "://" in link:
                continue
            path, _, anchor = link.partition("#")
            target = (ROOT / name).parent / path if path else ROOT / name
            assert target.exists(), f"{name}: {link}"
            if anchor:
                assert anchor in anchors(target), f"{name}: {link}"

    @pytest.mark.parametrize("name", PAGES)
    def test_blocks_say_their_language(self, name: str) -> None:
        known = {"bash", "http", "json", "python", "sh", "text", "toml", ""}
        assert {block.language for block in blocks(PAGES[name])} <= known
        assert not [block for block in blocks(PAGES[name]) if not block.text.strip()]


def without_blocks(text: str) -> str:
    found: list[Block] = blocks(text)
    for block in reversed(found):
        text = text[: block.start] + text[block.start + len(block.text) :]
    return text


def anchors(page: Path) -> set[str]:
    """What GitHub calls the headings of a page."""
    prose = without_blocks(page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.*)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in headings}
