"""The examples of the documentation: found in a page, run on a real server, compared.

A fenced block's language says what it is:

* ``bash``: curl commands, in which ``YOUR_JWT_TOKEN`` stands for the token that the server printed
  when it started; an ``http`` block (``curl -i``) or a ``json`` block right below holds
  their answers, one after the other;
* ``python``: a program, run in a folder with ``models/`` in it; a ``text`` block right below holds
  what it prints, in which ``…`` stands for anything. If its first line is a comment that names a
  file, it is written there instead;
* ``sh``: commands of an operator, never run. Settings in front of ``make serve`` are those of the
  server that the page's examples talk to.

Run as a program, this replaces the answers that no longer hold: ``python tests/docs_examples.py``,
with pages to do only these. Write a new example with an empty block below it and let it be filled.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from docs_curl import ADDRESS, run_curl
from http_server import Server, clean_environment, slipstream_server
from hub_server import example_hub
from speech_models import real_folder

ROOT = Path(__file__).resolve().parent.parent
ANSWERED = {"bash": ("json", "http"), "python": ("text",)}
"""Language of an example → of the block that may hold its answer."""

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE_NAME = re.compile(r"# ([\w/]+\.py)\n")
_ASSIGNMENT = re.compile(r"[A-Z_]+=")
_FRACTION = re.compile(r"-?\d+\.\d+(?:e[+-]?\d+)?")
_TOKEN = re.compile(r"takes this token until the server ends: (\S+)")
_WIDTH = 110

_MEASURED = frozenset(
    "inference_time total_inference_time average_inference_time last_inference_time load_time "
    "throughput_per_second model_size_mb size_mb total_time total_mb used_mb free_mb free_gb "
    "requests_per_second mean p50 p95 p99 size_reduction_percent speed_improvement_percent "
    "accuracy_loss_percent "
    "size_before_mb size_after_mb latency_before_ms latency_after_ms compile_time "
    "optimize_time reached short_by_percent retry_after_s "
    "timestamp processing_time total_processing_time memory_percent memory_available_gb "
    "throughput_fps size_mb time_to_first_audio_ms synthesis_time_ms transcription_time_ms".split()
)
_MEASURED_OR_NULL = frozenset(
    "memory_usage_mb total_memory_usage_mb memory_freed_mb total_model_memory_mb cpu_usage "
    "gpu_usage usage_percent gpu_memory_mb estimated_completion "
    "avg_processing_time cache_hit_rate cpu_percent memory_allocated_mb gpu_utilization "
    "latency_p50 latency_p95 latency_p99 device_utilization".split()
)
_OF_THE_MACHINE = frozenset(
    "cores load_average gpu queued port processing_path concurrent_optimization gpu_available "
    "gpu_count".split()
)
_OF_THE_SEARCH = frozenset("applied before best candidates configuration".split())
"""What `optimize` finds differs from machine to machine, and so does how much it has time for."""
_VOLATILE_HEADERS = frozenset(("date", "content-length", "retry-after", "etag"))
_TASK_ID = re.compile(r"\b(?:task_[0-9a-f]{32}|download_[0-9a-f]{16})\b")
_VOLATILE_TEXT = (
    (_TASK_ID, "task_*"),
    (re.compile(r"\bhttp://127\.0\.0\.1:\d+\b"), "http://127.0.0.1:*"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "(digest)"),
    (re.compile(r"\b(req|batch)_[0-9a-f]{14}\b"), r"\1_*"),
    (re.compile(r"\bmodel_[0-9a-f]{10}\b"), "model_*"),
    (re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"), "(time)"),
    (re.compile(r"\b\d+h \d+m \d+s\b"), "(duration)"),
    (re.compile(r"\([\d.e+]+ % short of"), "(… % short of"),
    (re.compile(r"^(Model optimized success|Nothing was changed: no candidate).*"), "(outcome)"),
    (re.compile(r"possible in [\d.e+]+ s"), "possible in (duration)"),
)


class Block(NamedTuple):
    """One fenced block of a page."""

    language: str
    text: str
    line: int
    start: int
    """Offset of the text in the page."""


class Example(NamedTuple):
    """A block that runs, and the block below it with what comes out."""

    block: Block
    answer: Block | None


def pages() -> list[Path]:
    """Every page of the user documentation."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(text: str) -> list[Block]:
    return [
        Block(found[1], found[2], text.count("\n", 0, found.start()) + 1, found.start(2))
        for found in _FENCE.finditer(text)
    ]


def examples(text: str) -> list[Example]:
    """The blocks that run, in their order."""
    found = blocks(text)
    return [
        Example(block, after if after and after.language in ANSWERED[block.language] else None)
        for block, after in zip_longest(found, found[1:])
        if block.language in ANSWERED
    ]


def commands(text: str) -> Iterator[list[str]]:
    """The words of each command of a shell block."""
    pending = ""
    for line in text.splitlines():
        pending += line
        if pending.endswith("\\"):
            pending = pending[:-1]
            continue
        try:
            words = shlex.split(pending, comments=True)
        except ValueError:  # a quotation goes on in the next line
            pending += "\n"
            continue
        pending = ""
        if words:
            yield words
    assert not pending, f"unfinished command: {pending}"


def server_settings(text: str) -> dict[str, str]:
    """Environment variables that the page sets in front of its first ``make serve``."""
    for block in blocks(text):
        for words in commands(block.text) if block.language == "sh" else ():
            settings = [word for word in words if _ASSIGNMENT.match(word)]
            if words[len(settings) :] == ["make", "serve"]:
                return dict(setting.split("=", 1) for setting in settings)
    return {}


def as_printed(response: httpx.Response) -> str:
    """What ``curl -i`` prints of a response, the body laid out for reading."""
    lines = [f"{response.http_version} {response.status_code} {response.reason_phrase}"]
    lines += [f"{name}: {value}" for name, value in response.headers.items()]
    return "\n".join([*lines, "", layout(response.json())])


def layout(value: Any, indent: int = 0) -> str:
    """JSON on one line where it fits, else one member a line."""
    flat = json.dumps(value, ensure_ascii=False)
    if indent + len(flat) <= _WIDTH or not isinstance(value, dict | list) or not value:
        return flat
    pad = " " * (indent + 2)
    if isinstance(value, list):
        if not any(isinstance(item, dict | list) for item in value):
            return flat
        body = [pad + layout(item, indent + 2) for item in value]
        return "[\n" + ",\n".join(body) + "\n" + " " * indent + "]"
    body = [f"{pad}{json.dumps(key)}: {layout(item, indent + 2)}" for key, item in value.items()]
    return "{\n" + ",\n".join(body) + "\n" + " " * indent + "}"


def json_values(text: str) -> list[Any]:
    """The JSON values that a text consists of."""
    decoder, position, values = json.JSONDecoder(), 0, []
    while text[position:].strip():
        position += len(text[position:]) - len(text[position:].lstrip())
        value, position = decoder.raw_decode(text, position)
        values.append(value)
    return values


def differences(shown: Any, got: Any, where: str = "$") -> Iterator[str]:
    """How the answer obtained differs from the one shown, but for what differs every time."""
    key = where.rpartition(".")[2]
    if key in _MEASURED_OR_NULL and (shown is None or got is None):
        return
    if type(shown) is not type(got):
        yield f"{where}: shown {json.dumps(shown)}, obtained {json.dumps(got)}"
    elif key in _OF_THE_MACHINE | _OF_THE_SEARCH:
        return
    elif isinstance(shown, dict):
        if list(shown) != list(got):
            yield f"{where}: shown keys {', '.join(shown)}; obtained {', '.join(got)}"
        for name in shown.keys() & got.keys():
            yield from differences(shown[name], got[name], f"{where}.{name}")
    elif isinstance(shown, list):
        if key == "models":  # loaded side by side at the start: any of them may be ready first
            shown, got = (sorted(one, key=lambda row: row["model_id"]) for one in (shown, got))
        if len(shown) != len(got):
            yield f"{where}: shown {len(shown)} elements, obtained {len(got)}"
        for index, (one, other) in enumerate(zip(shown, got, strict=False)):
            yield from differences(one, other, f"{where}[{index}]")
    elif isinstance(shown, float):
        if key not in _MEASURED | _MEASURED_OR_NULL and not _close(shown, got):
            yield f"{where}: shown {shown!r}, obtained {got!r}"
    elif key == "text" and _words(shown) == _words(got):
        return  # speech that was understood: the same words; commas depend on the processor
    elif key != "version" and _steady(shown) != _steady(got):
        yield f"{where}: shown {json.dumps(shown)}, obtained {json.dumps(got)}"


def _close(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-6, abs_tol=1e-6)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def _steady(value: Any) -> Any:
    """The value without what is different in every answer."""
    if isinstance(value, str):
        for pattern, mask in _VOLATILE_TEXT:
            value = pattern.sub(mask, value)
    return value


def same_output(shown: str, got: str) -> bool:
    """Whether a program printed what is shown, fractions to six digits."""
    shown, got = (_FRACTION.sub(_six_digits, text.strip()) for text in (shown, got))
    return bool(re.fullmatch(".*".join(map(re.escape, shown.split("…"))), got))


def _six_digits(number: re.Match[str]) -> str:
    return f"{float(number[0]):.6g}"


class Outcome(NamedTuple):
    """What became of one example."""

    example: Example
    obtained: str
    """What its answer block should hold."""
    wrong: list[str]
    """How the page differs from it; empty when the page is right."""


def run_curl_block(example: Example, address: str, folder: Path, tasks: dict[str, str]) -> Outcome:
    """``tasks``: id of an async task as the page shows it → as this server calls it."""
    text = _TASK_ID.sub(lambda found: tasks.get(found[0], found[0]), example.block.text)
    outcome = _curl_outcome(example, [run_curl(words, address, folder) for words in commands(text)])
    if example.answer is not None:
        ids = (_TASK_ID.findall(one) for one in (example.answer.text, outcome.obtained))
        tasks.update(zip(*ids, strict=False))
    shown = {real: one for one, real in tasks.items()}
    obtained = _TASK_ID.sub(lambda found: shown.get(found[0], found[0]), outcome.obtained)
    return outcome._replace(obtained=obtained)


def _curl_outcome(example: Example, responses: list[httpx.Response]) -> Outcome:
    answer = example.answer
    if answer is None:
        return Outcome(example, "", ["no block with the answer below it"])
    if answer.language == "http":
        obtained = "\n".join(map(as_printed, responses))
        return Outcome(example, obtained, _http_differences(answer.text, responses))
    obtained = "\n".join(layout(response.json()) for response in responses)
    wrong = [
        f"status {response.status_code}, so show it with -i"
        for response in responses
        if response.status_code != 200
    ]
    shown = json_values(answer.text)
    if len(shown) != len(responses):
        wrong.append(f"{len(shown)} answers shown for {len(responses)} requests")
    for number, (one, response) in enumerate(zip(shown, responses, strict=False), 1):
        wrong += differences(one, response.json(), f"answer {number}: $")
    return Outcome(example, obtained, wrong)


def _http_differences(shown: str, responses: list[httpx.Response]) -> list[str]:
    if len(responses) != 1:
        return ["an http block shows one answer"]
    head, _, body = shown.partition("\n\n")
    got_head, _, got_body = as_printed(responses[0]).partition("\n\n")
    lines, got_lines = head.splitlines(), got_head.splitlines()
    wrong = []
    names = [line.partition(":")[0] for line in lines]
    if names != [line.partition(":")[0] for line in got_lines]:
        wrong.append(f"shown head:\n{head}\nobtained:\n{got_head}")
    wrong += [
        f"shown {line}, obtained {other}"
        for name, line, other in zip(names, lines, got_lines, strict=False)
        if name not in _VOLATILE_HEADERS and _steady(line) != _steady(other)
    ]
    return wrong + list(differences(json_values(body), json_values(got_body)))


def run_python_block(example: Example, address: str, folder: Path) -> Outcome:
    named = _FILE_NAME.match(example.block.text)
    if named:
        (folder / named[1]).write_text(example.block.text, encoding="utf-8")
        return Outcome(example, "", [])
    environment = {**clean_environment(), "XDG_CACHE_HOME": str(folder / "cache")}
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", example.block.text.replace(ADDRESS, address)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    shown = example.answer.text if example.answer else ""
    wrong = []
    if ended.returncode != 0:
        wrong.append(f"ended with {ended.returncode}:\n{ended.stderr}")
    if not same_output(shown, ended.stdout):
        wrong.append(f"shown:\n{shown}\nobtained:\n{ended.stdout}")
    return Outcome(example, ended.stdout.strip(), wrong)


def make_samples(folder: Path) -> None:
    """Trains the sample models into ``folder`` and prepares them, so that servers start quickly."""
    import slipstream
    from slipstream.cli.example import load_example
    from slipstream.samples import ensure_samples

    files = ensure_samples(folder)
    state = folder / ".slipstream"
    with (
        slipstream.Engine(model_dir=folder, state_dir=state) as engine,
        ThreadPoolExecutor() as pool,
    ):
        list(pool.map(engine.load, files))
        load_example(engine)


@contextlib.contextmanager
def serving(text: str, samples: Path, folder: Path) -> Iterator[Server]:
    """A fresh server for the examples of one page, in a folder of its own: ``make serve``."""
    from slipstream.samples import SAMPLES

    shutil.copytree(samples, folder / "models")
    environment = {"EXAMPLE_MODEL": "True", **server_settings(text)}
    if "TTS_MODEL" in environment:
        real_folder(folder / "models")
    loads = [
        word
        for sample in SAMPLES
        for word in ("--load", f"{sample.model_id}{sample.suffix}={sample.model_id}")
    ]
    with contextlib.ExitStack() as stack:
        if "HF_ENDPOINT" in environment:  # a hub of one's own: ours
            environment["HF_ENDPOINT"] = stack.enter_context(example_hub()).url
        serve = slipstream_server("--model-dir", "./models", *loads, env=environment, cwd=folder)
        yield stack.enter_context(serve)


def run_page(text: str, samples: Path, folder: Path) -> list[Outcome]:
    """Runs the examples of a page in their order on a fresh server."""
    found = examples(text)
    if not found:
        return []
    tasks: dict[str, str] = {}
    with serving(text, samples, folder) as server:
        printed = _TOKEN.search(server.log)
        if printed is not None:
            found = [_with_token(example, printed[1]) for example in found]
        return [
            run_curl_block(example, server.address, folder, tasks)
            if example.block.language == "bash"
            else run_python_block(example, server.address, folder)
            for example in found
        ]


def _with_token(example: Example, token: str) -> Example:
    asked = example.block.text.replace("YOUR_JWT_TOKEN", token)
    return example._replace(block=example.block._replace(text=asked))


def rewritten(text: str, outcomes: list[Outcome], afresh: bool = False) -> str:
    """The page with those answers obtained that the shown ones are wrong about, or with all."""
    for outcome in reversed(outcomes):
        answer = outcome.example.answer
        if answer is not None and (outcome.wrong or (afresh and "…" not in answer.text)):
            end = answer.start + len(answer.text)
            text = text[: answer.start] + outcome.obtained.strip() + "\n" + text[end:]
    return text


def main(arguments: list[str] | None = None) -> int:
    """Brings the answers of the pages named (default: all) up to date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pages", nargs="*", type=Path)
    parser.add_argument("--all", action="store_true", help="also replace answers that are right")
    parsed = parser.parse_args(arguments)
    named = [page.resolve() for page in parsed.pages]
    with tempfile.TemporaryDirectory() as scratch:
        samples = Path(scratch) / "samples"
        make_samples(samples)
        for number, page in enumerate(named or pages()):
            text = page.read_text(encoding="utf-8")
            folder = Path(scratch) / str(number)
            folder.mkdir()
            outcomes = run_page(text, samples, folder)
            page.write_text(rewritten(text, outcomes, parsed.all), encoding="utf-8")
            for outcome in outcomes:
                line = outcome.example.block.line
                for wrong in outcome.wrong:
                    sys.stdout.write(f"{page.relative_to(ROOT)}:{line}: was wrong: {wrong}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
