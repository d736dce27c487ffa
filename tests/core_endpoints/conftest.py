"""The server that the sections share: as it starts by default, with a few models."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from core_endpoints.contract import OWNER
from http_models import fresh_folder
from http_server import Server, slipstream_server
from network_models import write_two_inputs

HELD = """
import time
from pathlib import Path

import numpy as np

HERE = Path({folder!r})

class Held:
    batchable = True

    def predict(self, rows):
        with open(HERE / "journal", "a") as journal:
            journal.write(f"{{rows[0, 0]:g}}\\n")
        while rows[0, 0] == 0 and (HERE / "held").exists():
            time.sleep(0.005)
        return np.full(len(rows), len(rows))

ENTRY = Held
"""
"""Answers each row with the number of rows that its execution had. An execution whose first row
begins with 0 waits as long as there is a file ``held``. Writes down the first value of each."""

LOADED = ("wine.pkl", "penguins.pkl", "pair.onnx", "whole.onnx", "words.onnx", "two.onnx")


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model directory, and a folder for logs in it."""
    files = [file for file in LOADED if file != "two.onnx"]
    folder = fresh_folder(tmp_path_factory, "core-endpoints", *files)
    write_two_inputs(folder / "two.onnx")
    shutil.copyfile(folder / "pair.onnx", folder / "cached.onnx")
    (folder / "sizes.py").write_text(HELD.format(folder=str(folder)))
    return folder


@pytest.fixture(scope="session")
def server(folder: Path) -> Iterator[Server]:
    """A server with the example, those models, and a custom one that tells sizes of batches."""
    environment = {
        "EXAMPLE_MODEL": "True",
        "ALLOW_CUSTOM_CODE": "True",
        "MODEL_CACHE_SIZE": "20",
        "MAX_WORKERS": "8",
        "ENVIRONMENT": "testing",
        "LOG_DIR": str(folder / "logs"),
        "API_KEYS": f"{OWNER['X-API-Key']},second-secret",
    }
    loads = [word for file in LOADED for word in ("--load", f"{file}={Path(file).stem}")]
    with slipstream_server(
        *("--model-dir", str(folder), *loads, "--load", "sizes.py=sizes"), env=environment
    ) as server:
        yield server


@pytest.fixture(scope="session")
def client(server: Server) -> Iterator[httpx.Client]:
    with server.client(headers=OWNER) as client:
        yield client
