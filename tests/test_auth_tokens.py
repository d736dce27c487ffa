"""Tokens, keys and their files in process: what is refused, and what is remembered."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from slipstream.auth import credentials as credentials_module
from slipstream.auth.credentials import Credentials, UnknownCallerError
from slipstream.auth.sources import read_credentials
from slipstream.auth.tokens import TokenError, Verifier
from slipstream.auth.verifying_keys import MOST_KEYS, jwks_keys, pem_keys, secret_key
from slipstream.scopes import EVERYTHING, SCOPES, scopes_of, split_key
from slipstream.settings import Settings, SettingsError
from token_keys import (
    ED25519,
    OTHER_SECRET,
    P256,
    RSA,
    SECRET,
    handmade,
    jwk,
    jwks,
    part,
    private_pem,
    public_pem,
    token,
)

VERIFIER = Verifier(
    [
        secret_key(SECRET, "a secret"),
        *pem_keys((public_pem(RSA) + public_pem(P256)).decode(), "a file"),
    ]
)
TOKENS = [token(), token(RSA, "RS256"), token(P256, "ES256")]
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


class TestMutations:
    """Nothing but the token that was signed is taken, and nothing but `TokenError` comes out."""

    @given(st.sampled_from(TOKENS), st.data())
    def test_another_character(self, good: str, data: st.DataObject) -> None:
        at = data.draw(st.integers(0, len(good) - 1))
        other = data.draw(st.sampled_from(ALPHABET + ".=+/ \n\0é"))
        if good[at] != other:
            with pytest.raises(TokenError):
                VERIFIER.claims(good[:at] + other + good[at + 1 :])

    @given(st.sampled_from(TOKENS), st.data())
    def test_parts_of_others(self, good: str, data: st.DataObject) -> None:
        pieces = [piece for one in TOKENS for piece in one.split(".")]
        mixed = ".".join(data.draw(st.sampled_from(pieces)) for _ in range(3))
        if mixed not in TOKENS:
            with pytest.raises(TokenError):
                VERIFIER.claims(mixed)

    @given(st.sampled_from(TOKENS), st.integers(0, 400), st.integers(0, 400), st.text(max_size=20))
    def test_a_piece_is_replaced(self, good: str, start: int, end: int, text: str) -> None:
        mutated = good[:start] + text + good[end:]
        if mutated != good:
            with pytest.raises(TokenError):
                VERIFIER.claims(mutated)

    @pytest.mark.parametrize("good", TOKENS)
    @pytest.mark.parametrize("end", ["=", "==", "\n", " ", ".", ".x"])
    def test_one_token_has_one_text(self, good: str, end: str) -> None:
        with pytest.raises(TokenError):
            VERIFIER.claims(good + end)

    @given(JSON, st.binary(max_size=64))
    def test_any_header_over_any_bytes(self, header: Any, claims: bytes) -> None:
        made = f"{part(json.dumps(header).encode())}.{part(claims)}.{part(b'x' * 32)}"
        with pytest.raises(TokenError):
            VERIFIER.claims(made)

    @given(
        st.dictionaries(
            st.sampled_from(["exp", "nbf", "iat", "scope", "sub", "iss", "aud", "jti"]), JSON
        )
    )
    def test_any_claims_that_are_signed(self, said: dict[str, Any]) -> None:
        """Whoever has the secret may write nonsense: it is refused, or read as RFC 7519 has it."""
        made = handmade({"alg": "HS256"}, json.dumps(said).encode(), SECRET.encode())
        try:
            claims = VERIFIER.claims(made)
        except TokenError:
            return
        assert claims.scopes <= EVERYTHING
        assert isinstance(said.get("exp", 0), int | float)
        assert claims.expires_at > time.time() - VERIFIER.leeway_s - 1
        assert isinstance(said.get("scope", ""), str)

    @given(st.text(max_size=300))
    def test_any_text(self, text: str) -> None:
        with pytest.raises(TokenError):
            VERIFIER.claims(text)
        with pytest.raises(UnknownCallerError):
            Credentials({"key": EVERYTHING}, VERIFIER).of_key_or_token(text + ".")

    @pytest.mark.parametrize(
        "claims", [b'{"exp":1' + b"0" * 5000 + b"}", b'{"exp":1e999}', b'{"exp":-1e999}']
    )
    def test_times_beyond_all_numbers(self, claims: bytes) -> None:
        with pytest.raises(TokenError):
            VERIFIER.claims(handmade({"alg": "HS256"}, claims, SECRET.encode()))

    def test_a_time_beyond_a_double(self) -> None:
        claims = b'{"exp":1' + b"0" * 400 + b"}"
        made = VERIFIER.claims(handmade({"alg": "HS256"}, claims, SECRET.encode()))
        assert made.expires_at == 2**53


class TestRemembering:
    def test_a_signature_is_verified_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        asked = []
        verify = jwt.PyJWT.decode
        monkeypatch.setattr(
            jwt.PyJWT, "decode", lambda *given, **named: asked.append(1) or verify(*given, **named)
        )
        known = Credentials({}, VERIFIER)
        first = known.of_key_or_token(TOKENS[0])
        assert known.of_key_or_token(TOKENS[0]) is first
        assert len(asked) == 1
        other = Credentials({}, VERIFIER)  # a change makes another, which remembers nothing
        other.of_key_or_token(TOKENS[0])
        assert len(asked) == 2

    def test_it_is_bounded_and_the_oldest_goes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(credentials_module, "MOST_REMEMBERED", 2)
        known = Credentials({}, VERIFIER)
        one, two, three = (token(jti=str(number)) for number in range(3))
        first, second = known.of_key_or_token(one), known.of_key_or_token(two)
        assert known.of_key_or_token(one) is first
        known.of_key_or_token(three)
        assert known.of_key_or_token(one) is first
        assert known.of_key_or_token(two) is not second

    def test_what_is_wrong_is_not_remembered(self) -> None:
        known = Credentials({}, VERIFIER)
        for _ in range(3):
            with pytest.raises(UnknownCallerError):
                known.of_key_or_token(token(OTHER_SECRET))
        assert not known._remembered

    def test_callers_by_name(self) -> None:
        known = Credentials({"a": EVERYTHING, "b": EVERYTHING}, VERIFIER)
        names = [
            known.of_key("a").name,
            known.of_key("b").name,
            known.of_key_or_token(token(sub="x")).name,
            known.of_key_or_token(token(sub="y")).name,
            known.of_key_or_token(token(sub="x", iss="us")).name,
        ]
        assert len(set(names)) == 5
        assert known.of_key_or_token(token(sub="x", jti="again")).name == names[2]
        assert known.of_key_or_token(token(sub=None)).name == ""


class TestKeysOfTokens:
    @pytest.mark.parametrize(
        ("secret", "why"),
        [
            ("x" * 31, "at least 32 bytes, this one 31 (RFC 7518, 3.2); make one with: openssl"),
            (public_pem(RSA).decode(), "JWT_PUBLIC_KEY_FILE"),
        ],
    )
    def test_a_secret_that_is_none(self, secret: str, why: str) -> None:
        with pytest.raises(SettingsError, match=r"^JWT_SECRET: ") as caught:
            secret_key(secret, "JWT_SECRET")
        assert why in caught.value.message
        assert secret not in caught.value.message

    def test_bytes_count_and_not_letters(self) -> None:
        assert secret_key("é" * 16, "s").algorithms == ("HS256",)

    def test_the_type_decides_the_algorithm(self) -> None:
        p384 = ec.generate_private_key(ec.SECP384R1())
        text = b"".join(public_pem(key) for key in (RSA, P256, ED25519, p384)).decode()
        found = [key.algorithms for key in pem_keys(text, "f")]
        assert found == [("RS256", "PS256"), ("ES256",), ("EdDSA",), ("ES384",)]

    @pytest.mark.parametrize(
        ("content", "why"),
        [
            (private_pem(RSA), "it holds a private key"),
            (public_pem(P256) + private_pem(P256), "it holds a private key"),
            (public_pem(RSA)[:200], "no public key that can be read"),
            (
                public_pem(rsa.generate_private_key(65537, 1024)),
                "at least 2048 bits, this one 1024",
            ),
            (public_pem(ec.generate_private_key(ec.SECP256K1())), "something else"),
            (public_pem(dsa.generate_private_key(2048)), "something else"),
            (b"ssh-rsa AAAA", "no public key in PEM"),
            (b"", "no public key in PEM"),
            (public_pem(P256) * (MOST_KEYS + 1), f"{MOST_KEYS + 1} keys, {MOST_KEYS} at most"),
        ],
    )
    def test_a_file_of_keys_that_will_not_do(self, content: bytes, why: str) -> None:
        with pytest.raises(SettingsError, match=r"^the file: ") as caught:
            pem_keys(content.decode(), "the file")
        assert why in caught.value.message

    @pytest.mark.parametrize(
        ("content", "why"),
        [
            (b"", "no JSON Web Key Set"),
            (b"[]", "no JSON Web Key Set"),
            (b'{"keys": 7}', "no JSON Web Key Set"),
            (b'{"keys": [7]}', "no JSON Web Key Set"),
            (b'{"keys": ' + b"[" * 100_000, "no JSON Web Key Set"),
            (jwks(), "none of its keys"),
            (jwks({"kty": "unknown"}), "key 0 cannot be read"),
            (jwks({}), "key 0 cannot be read"),
            (jwks(jwk(RSA, "a", use="enc")), "none of its keys"),
            (jwks({"kty": "oct", "k": part(b"s" * 32)}), "key 0 is secret"),
            (jwks(jwk(RSA, "a"), {**jwk(RSA, "b"), "d": "AQAB"}), "key 1 is secret"),
            (jwks({"kty": "RSA", "n": "!", "e": "!"}), "key 0 cannot be read"),
            (jwks({"kty": "RSA"}), "key 0 cannot be read"),
            (jwks(jwk(RSA, "a", alg="HS256")), "key 0"),
            (jwks(jwk(RSA, "a", alg="none")), "key 0"),
            (jwks(jwk(P256, "a", alg="ES384")), "key 0"),
            (jwks(jwk(RSA, "a", alg="RS512")), "its 'alg' is none of RS256, PS256"),
            (jwks(*[jwk(P256, "a")] * (MOST_KEYS + 1)), f"{MOST_KEYS} at most"),
        ],
    )
    def test_a_set_that_will_not_do(self, content: bytes, why: str) -> None:
        with pytest.raises(SettingsError, match=r"^the set: ") as caught:
            jwks_keys(content.decode(), "the set")
        assert why in caught.value.message
        assert "AQAB" not in caught.value.message

    def test_what_is_not_known_in_a_set_is_left_out(self, caplog: pytest.LogCaptureFixture) -> None:
        """RFC 7517, 5: a service may have keys for others in it."""
        caplog.set_level("WARNING", "slipstream.auth")
        others = [{"kty": "new"}, jwk(RSA, "b", alg="RS512"), {"kty": "EC", "crv": "P-256"}]
        found = jwks_keys(jwks(*others, jwk(P256, "mine")).decode(), "the set")
        assert [key.kid for key in found] == ["mine"]
        assert [record.getMessage().partition(" cannot")[0] for record in caplog.records] == [
            "a key is left out: the set: key 0",
            "a key is left out: the set: key 1: its 'alg' is none of RS256, PS256",
            "a key is left out: the set: key 2",
        ]

    def test_alg_of_a_set_narrows(self) -> None:
        (key,) = jwks_keys(jwks(jwk(RSA, "a", alg="PS256")).decode(), "s")
        assert key.algorithms == ("PS256",)
        verifier = Verifier([key])
        assert verifier.claims(token(RSA, "PS256")).subject == "tests"
        with pytest.raises(TokenError):
            verifier.claims(token(RSA, "RS256"))


class TestSources:
    @pytest.mark.parametrize(
        ("name", "content", "why"),
        [
            ("api_keys_file", b"", "is empty"),
            ("api_keys_file", b"# nothing\n\n", "is empty"),
            ("api_keys_file", b"good\ntwo words\n", "line 2: expected one key"),
            ("api_keys_file", b"one,two\n", "line 1: expected one key"),
            ("api_keys_file", b"good\nhidden-key:predicts\n", "line 2: what follows the last ':'"),
            (
                "api_keys_file",
                b"hidden-key\nhidden-key:predict\n",
                "line 2: this key is there already",
            ),
            ("api_keys_file", b"\xff\xfe", "no text in UTF-8"),
            ("api_keys_file", b"k\n" * 600_000, "larger than 1048576 bytes"),
            ("jwt_secret_file", b"hidden-key\n", "line 1: a secret for HS256 has at least 32"),
            ("jwt_secret_file", b"", "is empty"),
            ("jwt_public_key_file", private_pem(RSA), "it holds a private key"),
            ("jwt_jwks_file", b"{}", "no JSON Web Key Set"),
        ],
    )
    def test_a_file_is_named_and_never_shown(
        self, tmp_path: Path, name: str, content: bytes, why: str
    ) -> None:
        file = tmp_path / "a-file"
        file.write_bytes(content)
        with pytest.raises(SettingsError) as caught:
            read_credentials(Settings(**{name: file}))
        assert caught.value.message.startswith(f"{name.upper()}: {file}")
        assert why in caught.value.message
        assert "hidden-key" not in caught.value.message

    @pytest.mark.parametrize("is_folder", [False, True])
    def test_a_file_that_is_none(self, tmp_path: Path, is_folder: bool) -> None:
        file = tmp_path if is_folder else tmp_path / "absent"
        with pytest.raises(SettingsError, match="cannot be read") as caught:
            read_credentials(Settings(jwt_secret_file=file))
        assert str(file) in caught.value.message

    def test_what_is_set_by_value(self) -> None:
        with pytest.raises(SettingsError, match="JWT_SECRET: a secret for HS256"):
            read_credentials(Settings(jwt_secret="hidden"))
        known = read_credentials(Settings(api_keys=("a", "b:predict"), jwt_secret=SECRET))
        assert known.of_key("a").scopes == EVERYTHING
        assert known.of_key("b").scopes == {"predict"}
        assert known.of_key_or_token(token()).has_token

    def test_too_many_keys_in_all(self, tmp_path: Path) -> None:
        file = tmp_path / "keys.pem"
        file.write_bytes(public_pem(P256) * MOST_KEYS)
        with pytest.raises(SettingsError, match="33 keys that check tokens, 32 at most"):
            read_credentials(Settings(jwt_secret=SECRET, jwt_public_key_file=file))


class TestScopes:
    def test_admin_is_everything(self) -> None:
        assert scopes_of(["admin"]) == set(SCOPES)
        assert scopes_of(["models", "x"]) == {"models"}
        assert scopes_of(["Predict", ""]) == frozenset()

    @pytest.mark.parametrize(
        ("text", "key", "scopes"),
        [
            ("key", "key", EVERYTHING),
            ("key:predict", "key", {"predict"}),
            ("key:predict+models", "key", {"predict", "models"}),
            ("key:models+admin", "key", EVERYTHING),
            ("a:b:admin", "a:b", EVERYTHING),
        ],
    )
    def test_of_keys(self, text: str, key: str, scopes: set[str]) -> None:
        assert split_key(text) == (key, scopes)

    @pytest.mark.parametrize(
        "text", ["a:b", "key:", ":predict", "key:predict+", "key:predict,models"]
    )
    def test_a_key_that_means_something_else(self, text: str) -> None:
        """A slip in a scope must not make a key that may do everything."""
        with pytest.raises(ValueError, match=r"scope|empty"):
            split_key(text)
