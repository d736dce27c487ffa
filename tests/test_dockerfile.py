"""Dockerfile.cuda: nothing here can build it, so its commands run where they can, as they stand."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from http_server import slipstream_server

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "Dockerfile.cuda").read_text()
LINES = re.sub(r"\\\n\s*", "", TEXT).splitlines()
BUILD, RUNTIME = re.split(r"^FROM .*$", TEXT, flags=re.MULTILINE)[1:]


def instruction(name: str) -> list[str]:
    """What follows each instruction of that name, continued lines joined."""
    return [line.removeprefix(name).strip() for line in LINES if line.startswith(name + " ")]


@pytest.mark.parametrize(
    "command",
    [
        found[0].strip()
        for run in instruction("RUN")
        for found in [re.search(r"python scripts/requirements\.py [^>&]*", run)]
        if found
    ],
)
def test_requirements_are_listed(command: str) -> None:
    run = subprocess.run(
        [sys.executable, *shlex.split(command)[1:]],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    names = [Requirement(line).name for line in run.stdout.splitlines()]
    assert names
    assert "onnxruntime" not in names


def test_what_tells_of_gpus_is_in_the_image() -> None:
    [install] = [run for run in instruction("RUN") if "onnxruntime-gpu" in run]
    assert {"onnxruntime-gpu", "nvidia-ml-py"} <= set(shlex.split(install))


def test_what_is_copied_is_there() -> None:
    for copy in instruction("COPY"):
        if copy.startswith("--from"):
            continue
        for source in shlex.split(copy)[:-1]:
            assert (ROOT / source).exists(), source


@pytest.mark.parametrize("has_tls", [False, True])
def test_the_health_check_tells_a_healthy_server(tmp_path: Path, has_tls: bool) -> None:
    environment = {}
    if has_tls:
        certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
        command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=elsewhere "
        command += f"-out {certificate} -keyout {key}"
        subprocess.run(shlex.split(command), capture_output=True, check=True)
        environment = {"SSL_CERTIFICATE": str(certificate), "SSL_KEYFILE": str(key)}
    [check] = [line for line in instruction("HEALTHCHECK") if "CMD" in line]
    command = json.loads(check.partition("CMD")[2])
    assert command[0] == "python"

    def asked(port: int) -> int:
        return subprocess.run(
            [sys.executable, *command[1:]],
            env={**os.environ, **environment, "INFERENCE_API_PORT": str(port)},
            capture_output=True,
            check=False,
        ).returncode

    with slipstream_server("--model-dir", str(tmp_path), env=environment) as server:
        assert asked(server.port) == 0
    assert asked(server.port) != 0


def test_what_the_container_starts_is_a_command() -> None:
    [command] = [json.loads(line) for line in instruction("CMD")]
    run = subprocess.run(
        [sys.executable, "-m", "slipstream.cli.main", *command[1:], "--help"],
        capture_output=True, check=False,
    )  # fmt: skip
    assert command[0] == "slipstream"
    assert run.returncode == 0


def test_the_image_that_runs_has_no_compiler_and_no_root() -> None:
    assert "g++" in BUILD
    assert not re.search(r"\b(g\+\+|gcc|cmake|ninja|make|python3-dev)\b", RUNTIME)
    assert re.search(r"^USER \d+$", RUNTIME, flags=re.MULTILINE)
    assert json.loads(re.findall(r"^VOLUME (.*)$", RUNTIME, flags=re.MULTILINE)[0]) == ["/models"]
