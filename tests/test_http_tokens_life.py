"""Tokens in the life of a server: the one it makes up, and keys that are replaced while it runs."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from http_server import SMALL_APP, eventually, running
from token_keys import (
    ED25519,
    OTHER_RSA,
    OTHER_SECRET,
    P256,
    RSA,
    SECRET,
    bearer,
    jwk,
    jwks,
    public_pem,
    token,
)


class TestStart:
    def test_with_nothing_configured_a_token_is_shown(self, tmp_path: Path) -> None:
        with running([SMALL_APP], {"LOG_DIR": str(tmp_path)}) as server, server.client() as client:
            (shown,) = [line for line in server.log.splitlines() if "takes this token" in line]
            made = shown.split()[-1]
            assert client.get("/stats").status_code == 401
            assert client.get("/stats", headers=bearer(made)).status_code == 200
            assert client.get("/stats", headers=bearer(token())).status_code == 401
            server.process.send_signal(signal.SIGHUP)
            eventually(lambda: client.get("/state").json()["hangups"] == 1)
            assert client.get("/stats", headers=bearer(made)).status_code == 200
            assert made not in (tmp_path / "server.log").read_text()
            with running([SMALL_APP]) as another, another.client() as stranger:
                assert stranger.get("/stats", headers=bearer(made)).status_code == 401

    @pytest.mark.parametrize("env", [{"JWT_SECRET": SECRET}, {"API_KEYS": "key"}])
    def test_with_something_configured_none_is(self, env: dict[str, str]) -> None:
        with running([SMALL_APP], env) as server:
            assert "takes this token" not in server.log


class TestRotation:
    def test_everything_that_comes_from_files(self, tmp_path: Path) -> None:
        files = {
            "API_KEYS_FILE": tmp_path / "keys",
            "JWT_SECRET_FILE": tmp_path / "secrets",
            "JWT_PUBLIC_KEY_FILE": tmp_path / "public.pem",
            "JWT_JWKS_FILE": tmp_path / "jwks.json",
        }
        old = {
            "API_KEYS_FILE": b"# ours\n\nold-key\nold-p:predict\n",
            "JWT_SECRET_FILE": SECRET.encode(),
            "JWT_PUBLIC_KEY_FILE": public_pem(P256),
            "JWT_JWKS_FILE": jwks(jwk(RSA, "one")),
        }
        for name, content in old.items():
            files[name].write_bytes(content)
        env = {name: str(path) for name, path in files.items()}
        env |= {"REQUIRE_API_KEY": "True", "API_KEYS": "fixed"}
        before = [
            {"X-API-Key": "old-key"},
            bearer(token()),
            bearer(token(P256, "ES256")),
            bearer(token(RSA, "RS256", kid="one")),
        ]
        after = [
            {"X-API-Key": "new-key"},
            bearer(token(OTHER_SECRET)),
            bearer(token(ED25519, "EdDSA")),
            bearer(token(OTHER_RSA, "RS256", kid="two")),
        ]
        with running([SMALL_APP], env) as server, server.client() as client:

            def statuses(heads: list[dict[str, str]]) -> list[int]:
                return [client.get("/count", headers=head).status_code for head in heads]

            def hang_up(count: int) -> None:
                server.process.send_signal(signal.SIGHUP)
                eventually(lambda: client.get("/state").json()["hangups"] == count)

            assert (statuses(before), statuses(after)) == ([200] * 4, [401] * 4)
            files["API_KEYS_FILE"].write_bytes(b"new-key\nold-p:predict+models\n")
            files["JWT_SECRET_FILE"].write_bytes(b"too short\n")
            hang_up(1)  # one file is wrong: nothing changes
            assert (statuses(before), statuses(after)) == ([200] * 4, [401] * 4)
            assert "what was in force stays: JWT_SECRET_FILE" in server.log
            assert "too short" not in server.log
            assert client.post("/change", headers={"X-API-Key": "old-p"}).status_code == 403
            files["JWT_SECRET_FILE"].write_text(OTHER_SECRET)
            files["JWT_PUBLIC_KEY_FILE"].write_bytes(public_pem(ED25519))
            files["JWT_JWKS_FILE"].write_bytes(jwks(jwk(OTHER_RSA, "two")))
            hang_up(2)
            assert (statuses(before), statuses(after)) == ([401] * 4, [200] * 4)
            assert client.post("/change", headers={"X-API-Key": "old-p"}).status_code == 200
            assert client.get("/count", headers={"X-API-Key": "fixed"}).status_code == 200
            assert "API keys: 3 now, 2 added, 2 removed" in server.log
            assert "keys that check tokens: 3 now, 3 added, 3 removed" in server.log
            assert "API_KEYS did not come from files" in server.log
            for secret in ("old-key", "new-key", "fixed", SECRET, OTHER_SECRET):
                assert secret not in server.log

    def test_two_secrets_while_one_is_replaced(self, tmp_path: Path) -> None:
        file = tmp_path / "secrets"
        file.write_text(f"{OTHER_SECRET}\n{SECRET}\n")
        env = {"JWT_SECRET_FILE": str(file)}
        with running([SMALL_APP], env) as server, server.client() as client:
            for secret in (SECRET, OTHER_SECRET):
                assert client.get("/stats", headers=bearer(token(secret))).status_code == 200
