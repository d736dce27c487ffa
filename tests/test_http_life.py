"""The life of a server: who may enter, how it starts, how it ends."""

from __future__ import annotations

import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from http_server import SMALL_APP, Server, error_of, eventually, running


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running([SMALL_APP]) as server:
        yield server


@pytest.fixture(scope="module")
def locked() -> Iterator[Server]:
    with running([SMALL_APP], {"REQUIRE_API_KEY": "True", "API_KEYS": "first, second"}) as server:
        yield server


class TestKeys:
    @pytest.mark.parametrize(
        "headers",
        [
            {"X-API-Key": "first"},
            {"X-API-Key": "second"},
            {"Authorization": "Bearer second"},
            {"Authorization": "bearer first"},
        ],
    )
    def test_a_known_key_opens(self, locked: Server, headers: dict[str, str]) -> None:
        with locked.client() as client:
            assert client.get("/count", headers=headers).status_code == 200

    @pytest.mark.parametrize(
        "headers",
        [
            {},
            {"X-API-Key": ""},
            {"X-API-Key": "firs"},
            {"X-API-Key": "first,second"},
            {"X-API-Key": b"\xe9"},
            {"X-API-Key": "wrong", "Authorization": "Bearer first"},
            {"Authorization": "Basic first"},
            {"Authorization": "Bearer"},
        ],
    )
    def test_anything_else_is_401(self, locked: Server, headers: dict[str, Any]) -> None:
        with locked.client() as client:
            for method, path in (("GET", "/count"), ("GET", "/api/inference/nothing")):
                response = client.request(method, path, headers=headers)
                assert response.status_code == 401
                assert error_of(response)["error"] == "AuthenticationError"
                assert "www-authenticate" in response.headers

    def test_open_routes_need_none(self, locked: Server) -> None:
        with locked.client() as client:
            assert client.get("/state").status_code == 200
            assert client.get("/nothing", headers={"X-API-Key": "first"}).status_code == 404


class TestLife:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_a_signal_drains(self, number: int) -> None:
        with running([SMALL_APP]) as server, ThreadPoolExecutor(2) as pool:
            with server.client() as client, server.client() as other:
                waiting = pool.submit(client.post, "/later", json={"seconds": 1})
                slow = pool.submit(other.post, "/slow", json={"seconds": 1})
                time.sleep(0.3)
                assert server.stop(number) == 0
                assert waiting.result().json() == "later"
                assert slow.result().json() == "slow"
            with pytest.raises(OSError, match="refused"):
                server.connect()

    def test_idle_connections_do_not_hold_it_up(self) -> None:
        with running([SMALL_APP]) as server, server.client() as client, server.connect():
            assert client.get("/count").status_code == 200
            assert server.stop() == 0  # 3 where the drain timeout passed

    def test_the_drain_ends_with_answers(self) -> None:
        with (
            running([SMALL_APP], {"DRAIN_TIMEOUT_S": "0.2"}) as server,
            server.client() as client,
            ThreadPoolExecutor(1) as pool,
        ):
            waiting = pool.submit(client.post, "/later", json={"seconds": 60})
            time.sleep(0.3)
            assert server.stop() == 0
            assert (waiting.result().status_code, waiting.result().json()) == (503, "withdrawn")

    def test_a_port_in_use_is_said_clearly(self, server: Server) -> None:
        ended = subprocess.run(
            [sys.executable, "-m", "slipstream.cli.main", "serve", "--port", str(server.port)],
            env={"PYTHONPATH": str(Path(SMALL_APP).parent.parent / "python")},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ended.returncode == 1
        assert f"Cannot listen on 127.0.0.1:{server.port}: it is in use" in ended.stderr
        assert "Traceback" not in ended.stderr

    def test_debug_logs_requests(self) -> None:
        with running([SMALL_APP], {"INFERENCE_API_DEBUG": "True"}) as server:
            with server.client() as client:
                made = client.get("/count").headers["x-request-id"]
            eventually(lambda: made in server.log)
            assert "GET /count 200" in server.log

    def test_the_log_file(self, tmp_path: Path) -> None:
        with running([SMALL_APP], {"LOG_DIR": str(tmp_path / "logs")}) as server:
            with server.client() as client:
                client.get("/fault")
            eventually(lambda: "ZeroDivision" in (tmp_path / "logs" / "server.log").read_text())

    def test_a_unix_socket(self, tmp_path: Path) -> None:
        path = tmp_path / "s.sock"
        for _ in range(2):
            with running([SMALL_APP], {"INFERENCE_API_UDS": str(path)}) as server:
                assert server.address == f"unix:{path}"
                transport = httpx.HTTPTransport(uds=str(path))
                with httpx.Client(transport=transport, base_url="http://x") as client:
                    assert client.get("/count").status_code == 200
                    server.process.kill()  # leaves the socket file behind for the second round
                    server.process.wait()

    def test_tls(self, tmp_path: Path) -> None:
        certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
        made = subprocess.run(
            f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost "
            f"-addext subjectAltName=IP:127.0.0.1 -keyout {key} -out {certificate}".split(),
            capture_output=True,
            check=False,
        )
        if made.returncode != 0:
            pytest.skip("openssl is needed to make a certificate")
        env = {"SSL_CERTIFICATE": str(certificate), "SSL_KEYFILE": str(key)}
        with running([SMALL_APP], env) as server:
            assert server.address.startswith("https://127.0.0.1:")
            trust = ssl.create_default_context(cafile=str(certificate))
            with server.client(verify=trust) as client:
                assert client.get("/count").status_code == 200
