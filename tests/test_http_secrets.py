"""No secret is ever shown: every answer, every log and every child process is searched."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from http_models import fresh_folder, json_rows, rows_of
from http_server import Server, eventually, slipstream_server
from token_keys import RSA, SECRET, handmade, private_pem, token

KEY, FILE_KEY = "a-key-in-the-environment", "a-key-in-a-file"
FILE_SECRET = "a-secret-in-a-file-of-more-than-32-bytes"
CALLBACK = "whsec_" + "c2VjcmV0IG9mIHRoZSB0ZXN0cyBvZiBjYWxsYmFja3M="
WRONG_KEY, WRONG_TOKEN = "a-key-that-is-wrong", token("x" * 40)
GOOD_TOKEN = token(scope="admin")
OTHERS = {
    "HF_TOKEN": "hf_ofTheHub",
    "AWS_SECRET_ACCESS_KEY": "a-key-of-a-cloud",
    "NVIDIA_API_KEY": "nvapi-of-another",
}
"""Secrets that are no settings of slipstream."""
SECRETS = (
    *(SECRET, FILE_SECRET, KEY, FILE_KEY, CALLBACK, WRONG_KEY, WRONG_TOKEN, GOOD_TOKEN),
    *OTHERS.values(),
)

ENVIRONMENT = """
import os
import numpy as np

class Environment:
    def predict(self, rows):
        with open(os.environ["SLIPSTREAM_MODEL_FOLDER"] + "/environment", "w") as file:
            file.write(repr(dict(os.environ)))
        return np.zeros(len(rows))

ENTRY = Environment
"""
"""A custom model that writes down what its process was told."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = fresh_folder(tmp_path_factory, "http-secrets", "wine.pkl")
    (folder / "environment.py").write_text(ENVIRONMENT)
    (folder / "broken.pkl").write_bytes(b"no model")
    (folder / "keys").write_text(FILE_KEY)
    (folder / "secrets").write_text(FILE_SECRET)
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    env = {
        "REQUIRE_API_KEY": "True",
        "API_KEYS": f"{KEY}:predict+models",
        "API_KEYS_FILE": str(folder / "keys"),
        "JWT_SECRET": SECRET,
        "JWT_SECRET_FILE": str(folder / "secrets"),
        "CALLBACK_SECRET": CALLBACK,
        "MODEL_DIR": str(folder),
        "LOG_DIR": str(folder / "logs"),
        "LOG_FORMAT": "json",
        "ALLOW_CUSTOM_CODE": "True",
        "INFERENCE_API_DEBUG": "True",
        "SLIPSTREAM_MODEL_FOLDER": str(folder),
        "OMP_WAIT_POLICY": "passive",
        **OTHERS,
    }
    with slipstream_server("--load", "wine.pkl=wine", env=env) as server:
        yield server


def heads() -> Iterator[dict[str, str]]:
    yield {}
    for key in (KEY, FILE_KEY, WRONG_KEY):
        yield {"X-API-Key": key}
        yield {"Authorization": f"Bearer {key}"}
    for text in (GOOD_TOKEN, WRONG_TOKEN, f"{GOOD_TOKEN}x", handmade({"alg": "none"}, {})):
        yield {"Authorization": f"Bearer {text}"}
    yield {"X-API-Key": WRONG_KEY, "Authorization": f"Bearer {GOOD_TOKEN}"}
    yield {"Authorization": GOOD_TOKEN}


def bodies() -> Iterator[Any]:
    yield {"model_id": "wine", "data": json_rows(rows_of("wine", 1)), "token": GOOD_TOKEN}
    yield {"model_name": "wine", "inputs": json_rows(rows_of("wine", 1)), "token": WRONG_TOKEN}
    yield {"model_path": "broken.pkl", "token": GOOD_TOKEN}
    yield {"token": [GOOD_TOKEN]}
    yield [GOOD_TOKEN]


def shown(text: str) -> list[str]:
    return [secret for secret in SECRETS if secret in text]


def test_answers_and_logs(server: Server, folder: Path) -> None:
    with server.client() as client:
        document = client.get("/openapi.json").json()
        assert not shown(json.dumps(document))
        calls = [
            (method.upper(), re.sub("{.*?}", "wine", path))
            for path, methods in document["paths"].items()
            for method in methods
            if not path.endswith(("/restart", "/optimize"))
            and (method, path[-11:]) != ("delete", "/{model_id}")
        ]
        assert len(calls) > 25
        for method, path in [*calls, ("GET", "/no"), ("PATCH", "/docs"), ("GET", "/docs")]:
            for headers in heads():
                answered(client, method, path, headers)
        for method, path in calls:
            if method in ("POST", "PUT"):
                for body in bodies():
                    answered(client, method, path, {"X-API-Key": FILE_KEY}, json=body)
                    answered(client, method, path, {}, json=body)
        rotations(server, folder)
    assert not shown(server.log)
    assert not shown((folder / "logs" / "server.log").read_text())


def answered(
    client: httpx.Client, method: str, path: str, headers: dict[str, str], **more: Any
) -> None:
    """Sends it, without waiting for a stream's events, and searches the answer."""
    with client.stream(method, path, headers=headers, **more) as response:
        response.read()
    told = response.text + repr(response.headers)
    assert not shown(told), (method, path)


def rotations(server: Server, folder: Path) -> None:
    """Good and bad files, read again: their messages are in the log then."""
    for count, (keys, secrets) in enumerate(
        (
            (FILE_KEY, f"{FILE_SECRET}\n{SECRET}"),
            (f"{FILE_KEY}:{KEY}", FILE_SECRET),
            (FILE_KEY, FILE_SECRET[:20] + "\n" + KEY),
            (f"{FILE_KEY}\n{FILE_KEY}:predict", FILE_SECRET),
            (f"{FILE_KEY} {KEY}", FILE_SECRET),
            (FILE_KEY, private_pem(RSA).decode()),
            (FILE_KEY, FILE_SECRET),
        ),
        start=1,
    ):
        (folder / "keys").write_text(keys)
        (folder / "secrets").write_text(secrets)
        server.process.send_signal(signal.SIGHUP)
        eventually(lambda count=count: endings(server) == count)  # type: ignore[misc]
    assert FILE_SECRET[:20] not in server.log


def endings(server: Server) -> int:
    return server.log.count("keys that check tokens: ") + server.log.count("in force stays")


def test_child_processes(server: Server, folder: Path) -> None:
    """Their code is not ours: a model's own Python may print its environment."""
    with server.client(headers={"X-API-Key": FILE_KEY}) as client:
        load = {"model_path": "environment.py", "model_type": "custom", "model_id": "environment"}
        assert client.post("/api/inference/models/load", json=load).status_code == 200
        body = {"model_id": "environment", "data": [[1.0]]}
        assert client.post("/api/inference/predict", json=body).status_code == 200
    told = (folder / "environment").read_text()
    assert "'SLIPSTREAM_MODEL_FOLDER'" in told, "what is meant for models reaches them"
    assert "'OMP_WAIT_POLICY'" in told
    assert "'MODEL_DIR'" not in told
    assert not shown(told)
    assert not re.search("API_KEYS'|JWT_SECRET'|CALLBACK_SECRET", told)
    for name in OTHERS:
        assert name not in told
