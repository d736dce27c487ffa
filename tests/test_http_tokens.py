"""Tokens over HTTP: every way in which one can be wrong, on routes of both families."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest

from http_server import SMALL_APP, Server, core_error_of, error_of, eventually, running
from token_keys import (
    ANY_SIGNER,
    ED25519,
    OTHER_RSA,
    OTHER_SECRET,
    P256,
    RSA,
    SECRET,
    bearer,
    handmade,
    jwk,
    jwks,
    public_pem,
    token,
)

NOW = int(time.time())
LATER = NOW + 3600
HS256 = {"alg": "HS256", "typ": "JWT"}

WRONG: dict[str, str] = {
    "expired": token(exp=NOW - 60),
    "not yet": token(nbf=NOW + 3000),
    "made in the future": token(iat=NOW + 3000),
    "wrong secret": token(OTHER_SECRET),
    "wrong RSA key": token(OTHER_RSA, "RS256"),
    "wrong kid": token(RSA, "RS256", kid="ec"),
    "key of another kid": token(OTHER_RSA, "RS256", kid="rsa"),
    "HS512 with the secret": token(algorithm="HS512"),
    "RS384 with the key": token(RSA, "RS384"),
    "none": handmade({"alg": "none"}, {"exp": LATER, "scope": "admin"}),
    "None": handmade({"alg": "None"}, {"exp": LATER}),
    "none that is signed": handmade({"alg": "none"}, {"exp": LATER}, SECRET.encode()),
    "confusion, PEM": handmade(HS256, {"exp": LATER}, public_pem(RSA)),
    "confusion, stripped": handmade(HS256, {"exp": LATER}, public_pem(RSA).strip()),
    "confusion, key set": handmade({**HS256, "kid": "rsa"}, {"exp": LATER}, public_pem(RSA)),
    "its own key": handmade(
        {"alg": "RS256", "jwk": jwk(OTHER_RSA, "own")}, {"exp": LATER}, b"whatever"
    ),
    "no algorithm": handmade({"typ": "JWT"}, {"exp": LATER}, SECRET.encode()),
    "critical header": handmade(
        {**HS256, "crit": ["more"], "more": 1}, {"exp": LATER}, SECRET.encode()
    ),
    "no signature": token().rpartition(".")[0] + ".",
    "cut": token()[:-4],
    "two of three parts": token().rpartition(".")[0],
    "four parts": token() + ".x",
    "exp is text": token(exp="9999999999"),
    "exp is true": handmade(HS256, {"exp": True}, SECRET.encode()),
    "exp is infinite": handmade(HS256, b'{"exp": Infinity}', SECRET.encode()),
    "exp is null": handmade(HS256, b'{"exp": null}', SECRET.encode()),
    "nbf is no time": handmade(HS256, b'{"exp": 9999999999, "nbf": "now"}', SECRET.encode()),
    "scope is a list": token(scope=["predict"]),
    "claims are a list": handmade(HS256, b"[1]", SECRET.encode()),
    "claims are deep": handmade(HS256, b"[" * 3000 + b"]" * 3000, SECRET.encode()),
    "oversized": token(padding="x" * 10_000),
    "placeholder": "YOUR_JWT_TOKEN",
    "garbage": "a.b.c",
    "dots": "..",
    "spaces": "a b c",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokens")
    (folder / "public.pem").write_bytes(public_pem(P256) + public_pem(ED25519))
    (folder / "jwks.json").write_bytes(
        jwks(jwk(RSA, "rsa"), jwk(P256, "ec"), jwk(RSA, "encryption", use="enc"))
    )
    return folder


@pytest.fixture(scope="module")
def closed(folder: Path) -> Iterator[Server]:
    """Asks for a key or token everywhere, and knows every kind of both."""
    env = {
        "REQUIRE_API_KEY": "True",
        "API_KEYS": "everything,p:predict,m:models,pm:predict+models,a:admin",
        "JWT_SECRET": SECRET,
        "JWT_PUBLIC_KEY_FILE": str(folder / "public.pem"),
        "JWT_JWKS_FILE": str(folder / "jwks.json"),
    }
    with running([SMALL_APP], env) as server:
        yield server


@pytest.fixture(scope="module")
def ajar() -> Iterator[Server]:
    """Has a secret and requires nothing: a token opens ``/stats``, and nothing else is closed."""
    with running([SMALL_APP], {"JWT_SECRET": SECRET, "API_KEYS": "boss,p:predict"}) as server:
        yield server


@pytest.fixture(scope="module")
def client(closed: Server) -> Iterator[httpx.Client]:
    with closed.client() as client:
        yield client


class TestWrong:
    @pytest.mark.parametrize("name", WRONG)
    def test_it_is_401_in_both_formats(
        self, closed: Server, client: httpx.Client, name: str
    ) -> None:
        wrong = WRONG[name]
        for method, path in (
            ("GET", "/count"),
            ("GET", "/stats"),
            ("POST", "/told"),
            ("GET", "/no"),
        ):
            response = client.request(method, path, headers=bearer(wrong))
            assert response.status_code == 401, (name, path)
            told = error_of(response) if path == "/count" else core_error_of(response)
            assert (told.get("detail") or told["error"]) in (
                "Not authenticated",
                "AuthenticationError",
            )
            assert 'error="invalid_token"' in response.headers["www-authenticate"]
            assert wrong not in response.text
        body = client.post("/told", json={"token": wrong})
        assert body.status_code == 401
        assert core_error_of(body)["detail"] == "Not authenticated"
        assert wrong not in closed.log

    def test_why_is_told_only_to_owners_of_real_ones(self, client: httpx.Client) -> None:
        def message(text: str) -> str:
            return str(error_of(client.get("/count", headers=bearer(text)))["message"])

        assert message(WRONG["expired"]) == "The token has expired"
        assert "not valid yet" in message(WRONG["not yet"])
        assert message(token(OTHER_SECRET, exp=NOW - 60)) == "The token is not valid"


class TestRight:
    @pytest.mark.parametrize("algorithm", ANY_SIGNER)
    def test_every_kind_of_key(self, client: httpx.Client, algorithm: str) -> None:
        good = token(ANY_SIGNER[algorithm], algorithm)
        for path in ("/count", "/stats", "/no"):
            response = client.get(path, headers=bearer(good))
            assert response.status_code == (404 if path == "/no" else 200)
        assert client.post("/told", json={"token": good}).status_code == 200

    def test_the_key_that_kid_names(self, client: httpx.Client) -> None:
        for key, algorithm, kid in ((RSA, "RS256", "rsa"), (P256, "ES256", "ec")):
            good = token(key, algorithm, kid=kid)
            assert client.get("/count", headers=bearer(good)).status_code == 200

    def test_leeway(self, client: httpx.Client) -> None:
        now = int(time.time())
        for good in (token(exp=now - 2), token(nbf=now + 5), token(iat=now + 5)):
            assert client.get("/count", headers=bearer(good)).status_code == 200

    def test_a_token_without_an_end(self, client: httpx.Client) -> None:
        assert client.get("/count", headers=bearer(token(exp=None))).status_code == 200

    def test_a_token_ends_also_when_it_was_taken_before(self) -> None:
        with running([SMALL_APP], {"JWT_SECRET": SECRET, "JWT_LEEWAY_S": "0"}) as server:
            short = token(exp=int(time.time()) + 3)
            with server.client() as client:
                assert client.get("/stats", headers=bearer(short)).status_code == 200
                eventually(lambda: client.get("/stats", headers=bearer(short)).status_code == 401)

    def test_aud_and_iss_count_where_they_are_configured(self, client: httpx.Client) -> None:
        others = token(aud="others", iss="nobody")
        assert client.get("/count", headers=bearer(others)).status_code == 200
        env = {"JWT_SECRET": SECRET, "JWT_AUDIENCE": "mine, ours", "JWT_ISSUER": "us"}
        with running([SMALL_APP], env) as server, server.client() as strict:

            def asked(**claims: Any) -> tuple[int, str]:
                response = strict.get("/stats", headers=bearer(token(**claims)))
                return response.status_code, response.text

            for aud in ("mine", "ours", ["x", "mine"]):
                assert asked(aud=aud, iss="us")[0] == 200
            for claims, why in (
                ({"iss": "us"}, "aud"),
                ({"aud": "mine"}, "iss"),
                ({"aud": "others", "iss": "us"}, "(aud)"),
                ({"aud": ["x", "y"], "iss": "us"}, "(aud)"),
                ({"aud": "mine", "iss": "them"}, "(iss)"),
                ({"aud": 7, "iss": "us"}, "(aud)"),
            ):
                status, text = asked(**claims)
                assert status == 401
                assert why in text


class TestScopes:
    ALLOWED: ClassVar[dict[str | None, set[str]]] = {
        "predict": {"/told"},
        "models": {"/change"},
        "predict models": {"/told", "/change"},
        "admin": {"/told", "/change", "/rule"},
        None: {"/told"},
        "": set(),
        "openid profile": set(),
        "openid predict": {"/told"},
        "Admin predicts": set(),
    }
    KEYS: ClassVar = {
        "everything": {"/told", "/change", "/rule"},
        "p": {"/told"},
        "m": {"/change"},
        "pm": {"/told", "/change"},
        "a": {"/told", "/change", "/rule"},
    }
    NEEDS: ClassVar = {"/told": "predict", "/change": "models", "/rule": "admin"}

    @pytest.mark.parametrize("scope", ALLOWED)
    def test_of_tokens(self, client: httpx.Client, scope: str | None) -> None:
        self.held(client, bearer(token(scope=scope)), self.ALLOWED[scope])
        assert client.get("/stats", headers=bearer(token(scope=scope))).status_code == 200

    @pytest.mark.parametrize("key", KEYS)
    def test_of_keys(self, client: httpx.Client, key: str) -> None:
        for headers in ({"X-API-Key": key}, bearer(key)):
            self.held(client, headers, self.KEYS[key])
            status = client.get("/stats", headers=headers).status_code
            assert status == (200 if "/rule" in self.KEYS[key] else 403)

    def held(self, client: httpx.Client, headers: dict[str, str], allowed: set[str]) -> None:
        assert client.get("/count", headers=headers).status_code == 200
        for path, needed in self.NEEDS.items():
            response = client.post(path, headers=headers, json={})
            assert response.status_code == (200 if path in allowed else 403), path
            if path in allowed:
                continue
            told = core_error_of(response) if path == "/told" else error_of(response)
            assert f"needs scope '{needed}'" in (told.get("detail") or told["message"])
            assert told["details"]["needed_scope"] == needed
            challenge = response.headers["www-authenticate"]
            assert f'error="insufficient_scope", scope="{needed}"' in challenge

    def test_the_scope_of_a_key_is_part_of_no_key(self, client: httpx.Client) -> None:
        for wrong in ("p:predict", "p:", "everything:admin", ""):
            assert client.get("/count", headers={"X-API-Key": wrong}).status_code == 401


class TestWhereItStands:
    """Head or body, one or two of them."""

    GOOD = token()
    BAD = WRONG["expired"]

    def test_the_head_beats_the_body(self, client: httpx.Client) -> None:
        for head, body, status in (
            (self.GOOD, self.BAD, 200),
            (self.BAD, self.GOOD, 401),
            (None, self.GOOD, 200),
            (None, self.BAD, 401),
        ):
            headers = {} if head is None else bearer(head)
            assert client.post("/told", headers=headers, json={"token": body}).status_code == status
        wrong_key = client.post("/told", headers={"X-API-Key": "x"}, json={"token": self.GOOD})
        assert wrong_key.status_code == 401
        other_scheme = {"Authorization": "Basic eDp5"}
        assert (
            client.post("/told", headers=other_scheme, json={"token": self.GOOD}).status_code == 401
        )

    def test_a_key_and_a_token(self, client: httpx.Client) -> None:
        both = {"X-API-Key": "p", **bearer(token(scope="models"))}
        assert client.post("/told", headers=both).status_code == 200
        assert client.post("/change", headers=both).status_code == 200  # the token allows it
        assert client.post("/rule", headers=both).status_code == 403
        assert client.get("/stats", headers=both).status_code == 200
        assert (
            client.get("/count", headers={"X-API-Key": "x", **bearer(self.GOOD)}).status_code == 401
        )
        assert (
            client.post("/rule", headers={"X-API-Key": "p", **bearer(self.BAD)}).status_code == 401
        )

    def test_a_token_is_no_key(self, client: httpx.Client) -> None:
        assert client.get("/count", headers={"X-API-Key": self.GOOD}).status_code == 401

    def test_of_two_heads_the_first_counts(self, client: httpx.Client) -> None:
        for one, other, status in ((self.GOOD, self.BAD, 200), (self.BAD, self.GOOD, 401)):
            heads = [("Authorization", f"Bearer {text}") for text in (one, other)]
            assert client.get("/count", headers=heads).status_code == status

    @pytest.mark.parametrize(
        "body",
        [b"", b"{}", b"[]", b"{", b'{"token": null}', b'{"token": 7}', b'{"token": ""}', b"\xff"],
    )
    def test_a_body_without_one(self, client: httpx.Client, body: bytes) -> None:
        response = client.post("/told", content=body)
        assert response.status_code == 401
        assert "token" in core_error_of(response)["error"]

    def test_the_body_counts_only_where_the_route_says_so(self, client: httpx.Client) -> None:
        assert client.post("/count", json={"token": self.GOOD}).status_code == 401
        assert client.post("/change", json={"token": "everything"}).status_code == 401

    def test_scopes_of_a_token_in_the_body(self, client: httpx.Client) -> None:
        missing = client.post("/told", json={"token": token(scope="models")})
        assert missing.status_code == 403
        assert core_error_of(missing)["details"]["needed_scope"] == "predict"
        assert client.post("/told", json={"token": "p"}).status_code == 200

    def test_strangers_send_little(self, client: httpx.Client) -> None:
        """The body is read before it is known whose it is."""
        large = {"token": self.GOOD, "inputs": "x" * 70_000}
        refused = client.post("/told", json=large)
        assert refused.status_code == 413
        assert "Authorization" in core_error_of(refused)["detail"]
        assert client.post("/told", headers=bearer(self.GOOD), json=large).status_code == 200

    def test_strangers_hold_no_place(self, folder: Path) -> None:
        env = {"REQUIRE_API_KEY": "True", "API_KEYS": "k", "MAX_CONCURRENT_REQUESTS": "1"}
        head = b"POST /told HTTP/1.1\r\nHost: x\r\nContent-Length: 14\r\n\r\n"
        with running([SMALL_APP], env) as server, server.client() as client:
            with server.connect() as stranger:
                stranger.sendall(head + b'{"token')
                for _ in range(20):
                    assert client.get("/count", headers={"X-API-Key": "k"}).status_code == 200
                    assert client.post("/told", json={"token": "k"}).status_code == 200
                stranger.sendall(b'": "k"}')
                assert stranger.recv(12) == b"HTTP/1.1 200"
            assert client.post("/told", json={"token": "k"}).status_code == 200


class TestNothingIsRequired:
    @pytest.mark.parametrize("name", [None, *WRONG])
    def test_other_routes_ignore_what_is_wrong(self, ajar: Server, name: str | None) -> None:
        headers = {} if name is None else bearer(WRONG[name])
        with ajar.client() as client:
            for method, path in (("GET", "/count"), ("POST", "/told"), ("POST", "/rule")):
                assert client.request(method, path, headers=headers).status_code == 200
            assert (
                client.post("/told", json={"token": WRONG.get(name or "", "x")}).status_code == 200
            )
            assert client.get("/stats", headers=headers).status_code == 401

    def test_what_always_asks(self, ajar: Server) -> None:
        with ajar.client() as client:
            for headers, status in (
                (bearer(token()), 200),
                (bearer(token(scope="")), 200),
                ({"X-API-Key": "boss"}, 200),
                (bearer("boss"), 200),
                ({"X-API-Key": "p"}, 403),
                ({"X-API-Key": "p", **bearer(token())}, 200),
                ({"X-API-Key": "x"}, 401),
            ):
                response = client.get("/stats", headers=headers)
                assert response.status_code == status, headers
            told = core_error_of(client.get("/stats"))
            assert (told["detail"], told["status_code"]) == ("Not authenticated", 401)
            few = core_error_of(client.get("/stats", headers={"X-API-Key": "p"}))
            assert "any valid token" in few["detail"]

    def test_scopes_count_for_nothing_where_strangers_may(self, ajar: Server) -> None:
        with ajar.client() as client:
            few = bearer(token(scope="predict"))
            assert client.post("/rule", headers=few).status_code == 200


def test_clients_are_counted_by_who_they_proved_to_be() -> None:
    env = {"REQUIRE_API_KEY": "True", "JWT_SECRET": SECRET, "RATE_LIMIT_RPS": "0.001"}
    with running([SMALL_APP], env) as server, server.client() as client:
        for subject in ("one", "two"):
            first = client.get("/count", headers=bearer(token(sub=subject)))
            again = client.get("/count", headers=bearer(token(sub=subject, jti="another")))
            assert (first.status_code, again.status_code) == (200, 429)
            assert json.loads(again.content)["error"] == "RateLimitError"
