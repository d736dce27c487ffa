"""Settings: precedence of the sources, and messages that say where a wrong value stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from slipstream.setting_options import OPTIONS
from slipstream.settings import Settings, SettingsError, forget_secrets, load_settings


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def refused(**sources: object) -> str:
    sources.setdefault("environ", {})
    with pytest.raises(SettingsError) as caught:
        load_settings(**sources)  # type: ignore[arg-type]
    return caught.value.message


def test_defaults_are_the_documented_ones() -> None:
    settings = load_settings(environ={})
    assert (settings.host, settings.port) == ("127.0.0.1", 8000)
    assert (settings.max_workers, settings.max_batch_size) == (4, 64)
    assert (settings.batch_timeout_ms, settings.max_concurrent_requests) == (100.0, 100)
    assert (settings.model_cache_size, settings.memory_limit_mb) == (5, 2048)
    assert settings.enable_quantization
    assert settings.enable_compilation
    assert not settings.require_api_key
    assert not settings.allow_custom_code
    assert not settings.debug
    assert settings.model_dir == Path("models")
    assert settings.state_path == Path("models/.slipstream")
    assert settings.max_body_bytes == 64 * 1024 * 1024


def test_every_documented_environment_variable_works() -> None:
    settings = load_settings(
        environ={
            "INFERENCE_API_HOST": "0.0.0.0",
            "INFERENCE_API_PORT": "8003",
            "INFERENCE_API_DEBUG": "True",
            "REQUIRE_API_KEY": "True",
            "API_KEYS": "key1,key2,key3",
            "MAX_WORKERS": "7",
            "MODEL_DIR": "./elsewhere",
            "ENABLE_QUANTIZATION": "False",
            "ENABLE_COMPILATION": "False",
            "BATCH_TIMEOUT_MS": "12.5",
            "MAX_BATCH_SIZE": "16",
            "ALLOW_CUSTOM_CODE": "True",
            "STATE_DIR": "state",
            "MAX_BODY_BYTES": "1000",
        }
    )
    assert (settings.host, settings.port, settings.debug) == ("0.0.0.0", 8003, True)
    assert settings.require_api_key
    assert settings.api_keys == ("key1", "key2", "key3")
    assert (settings.max_workers, settings.max_batch_size) == (7, 16)
    assert settings.model_dir == Path("elsewhere")
    assert not settings.enable_quantization
    assert not settings.enable_compilation
    assert settings.batch_timeout_ms == 12.5
    assert settings.allow_custom_code
    assert settings.state_path == Path("state")
    assert settings.max_body_bytes == 1000


def test_later_sources_win(tmp_path: Path) -> None:
    config = tmp_path / "my.toml"
    config.write_text("port = 1\nmax_workers = 1\nmax_batch_size = 1\nmemory_limit_mb = 1\n")
    settings = load_settings(
        config=config,
        environ={"INFERENCE_API_PORT": "2", "MAX_WORKERS": "2", "MAX_BATCH_SIZE": "2"},
        persisted={"max_workers": 3, "max_batch_size": 3},
        command_line={"max_batch_size": "4", "host": None},
    )
    assert settings.memory_limit_mb == 1
    assert settings.port == 2
    assert settings.max_workers == 3
    assert settings.max_batch_size == 4
    assert settings.host == "127.0.0.1"


def test_the_file_in_the_working_directory_is_read(tmp_path: Path) -> None:
    (tmp_path / "slipstream.toml").write_text('api_keys = ["a", "b"]\nrequire_api_key = true\n')
    settings = load_settings(environ={})
    assert settings.require_api_key
    assert settings.api_keys == ("a", "b")


def test_an_empty_variable_is_not_set() -> None:
    settings = load_settings(environ={"MAX_WORKERS": "", "API_KEYS": " ", "MODEL_DIR": ""})
    assert settings == Settings()


@pytest.mark.parametrize(
    ("variable", "text", "expected"),
    [
        ("BATCH_TIMEOUT_MS", "x", "a number of milliseconds ≥ 0"),
        ("BATCH_TIMEOUT_MS", "-1", "a number of milliseconds ≥ 0"),
        ("BATCH_TIMEOUT_MS", "nan", "a number of milliseconds ≥ 0"),
        ("MAX_WORKERS", "0", "a whole number from 1"),
        ("MAX_WORKERS", "2.5", "a whole number from 1"),
        ("INFERENCE_API_PORT", "65536", "from 0 to 65535"),
        ("INFERENCE_API_DEBUG", "maybe", "True or False"),
        ("MAX_BODY_BYTES", "0", "a number of bytes"),
        ("DRAIN_TIMEOUT_S", "inf", "a number of seconds"),
    ],
)
def test_a_wrong_value_names_its_variable(variable: str, text: str, expected: str) -> None:
    message = refused(environ={variable: text})
    assert f"environment variable {variable}='{text}'" in message
    assert expected in message


def test_a_wrong_value_names_its_option_and_its_file(tmp_path: Path) -> None:
    assert "option --max-workers='0'" in refused(command_line={"max_workers": "0"})
    config = tmp_path / "my.toml"
    config.write_text("port = true\n")
    assert f"{config}: port='True'" in refused(config=config)


def test_an_unknown_key_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    config = tmp_path / "my.toml"
    config.write_text("max_worker = 3\n")
    message = refused(config=config)
    assert f"{config}: max_worker" in message
    assert "did you mean 'max_workers'?" in message


def test_a_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    assert "no such configuration file" in refused(config=tmp_path / "absent.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("port = \n")
    assert str(broken) in refused(config=broken)


def test_required_keys_without_keys_do_not_start() -> None:
    message = refused(environ={"REQUIRE_API_KEY": "True"})
    assert message.startswith("environment variable REQUIRE_API_KEY")
    assert "API_KEYS=" in message


def test_keys_are_never_shown() -> None:
    assert "s e c r e t" not in refused(environ={"API_KEYS": "s e c r e t"})
    assert "hunter\t2" not in refused(environ={"JWT_SECRET": "hunter\t2"})
    secrets = {"API_KEYS": "hunter2", "JWT_SECRET": "hunter2" * 5}
    assert "hunter2" not in repr(load_settings(environ=secrets))


def test_children_inherit_no_secret() -> None:
    environ = {option.env: "x" for option in OPTIONS.values()} | {"PATH": "/bin"}
    forget_secrets(environ)
    assert {"API_KEYS", "JWT_SECRET", "CALLBACK_SECRET"}.isdisjoint(environ)
    assert {"PATH", "MODEL_DIR", "JWT_SECRET_FILE"} <= environ.keys()


@pytest.mark.parametrize(
    "credentials",
    [
        {"API_KEYS": "key"},
        {"API_KEYS_FILE": "keys"},
        {"JWT_SECRET": "x" * 32},
        {"JWT_SECRET_FILE": "secrets"},
        {"JWT_PUBLIC_KEY_FILE": "public.pem"},
        {"JWT_JWKS_FILE": "jwks.json"},
    ],
)
def test_any_credentials_do_where_some_are_required(credentials: dict[str, str]) -> None:
    for name in ("REQUIRE_API_KEY", "METRICS_REQUIRE_KEY"):
        assert load_settings(environ={**credentials, name: "True"})


def test_scopes_of_keys_are_read_where_they_enter() -> None:
    keys = load_settings(environ={"API_KEYS": "a,b:predict, c:predict+models,d:e:admin"}).api_keys
    assert keys == ("a", "b:predict", "c:predict+models", "d:e:admin")
    for wrong in ("a:all", "a:", "a:predict+", ":admin"):
        assert "KEY:SCOPE+SCOPE" in refused(environ={"API_KEYS": wrong})


def test_tls_needs_both_files(tmp_path: Path) -> None:
    assert "ssl_keyfile" in refused(environ={"SSL_CERTIFICATE": "a.pem"})
    message = refused(command_line={"ssl_certificate": "a.pem", "ssl_keyfile": "b.pem"})
    assert "there is no file a.pem" in message


def test_limits_that_contradict_each_other_are_refused() -> None:
    assert "max_body_bytes" in refused(environ={"MAX_INFLIGHT_BODY_BYTES": "10"})


def test_every_setting_has_an_option() -> None:
    assert set(OPTIONS) == set(Settings.__struct_fields__)
