"""Which settings there are, by which environment variables, and what values each takes."""

from __future__ import annotations

import base64
import ipaddress
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeAlias

from slipstream.device_names import CPU, EXPECTED, PROVIDERS, is_provider_name, parse_device
from slipstream.scopes import split_key

_HOST = re.compile(r"[A-Za-z0-9._-]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\]:[0-9]{1,5}|[0-9A-Fa-f:.]+")
API_KEY = re.compile(r"[\x21-\x2b\x2d-\x7e]+")
"""A key, with its scopes or without: visible ASCII but the comma."""


Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


class ModelLimit(NamedTuple):
    """What one model may be asked; 0 is no limit (of ``burst``: what ``rps`` makes of it)."""

    model_id: str
    """``*`` stands for every model that no other limit names."""
    rps: float
    burst: int
    concurrent: int


class ProviderPlugin(NamedTuple):
    """A library that has an execution provider of ONNX Runtime."""

    name: str
    """As the library calls its provider."""
    library: str
    options: str
    """``KEY=VALUE`` separated by commas, in the provider's own words."""


class Kind(NamedTuple):
    """How one sort of value is read: ``parse`` raises ValueError when ``expected`` is not met."""

    expected: str
    parse: Callable[[object], object]


def _whole_number(low: int, high: int, what: str) -> Kind:
    def parse(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise ValueError
        number = int(value)
        if not low <= number <= high:
            raise ValueError
        return number

    return Kind(f"{what}, a whole number from {low} to {high}", parse)


def _number(low: float, high: float, what: str) -> Kind:
    def parse(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ValueError
        try:
            number = float(value)
        except OverflowError:
            raise ValueError from None
        if not (math.isfinite(number) and low <= number <= high):
            raise ValueError
        return number

    return Kind(f"{what} ≥ {low:.10g} and ≤ {high:.10g}", parse)


def _one_of(*words: str) -> Kind:
    def parse(value: object) -> str:
        word = str(value).strip().lower()
        if word not in words:
            raise ValueError
        return word

    return Kind(f"one of {', '.join(words)}", parse)


_TRUE, _FALSE = ("true", "1", "yes", "on"), ("false", "0", "no", "off")


def _parse_flag(value: object) -> bool:
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word not in _TRUE + _FALSE:
        raise ValueError
    return word in _TRUE


def _parse_text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError
    return value.strip()


def _parse_path(value: object) -> Path:
    if not isinstance(value, str | Path) or not str(value) or "\0" in str(value):
        raise ValueError
    return Path(value)


def _items_of(value: object) -> list[str]:
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, list | tuple) or not all(isinstance(item, str) for item in items):
        raise ValueError
    return [item.strip() for item in items if item.strip()]


def _parse_keys(value: object) -> tuple[str, ...]:
    keys = tuple(_items_of(value))
    if not all(API_KEY.fullmatch(key) for key in keys):
        raise ValueError
    return keys


def _parse_scoped_keys(value: object) -> tuple[str, ...]:
    keys = _parse_keys(value)
    for key in keys:
        split_key(key)
    return keys


def _parse_words(value: object) -> tuple[str, ...]:
    return tuple(_items_of(value))


def _parse_secret(value: object) -> str:
    if not isinstance(value, str) or not value or not value.isprintable():
        raise ValueError
    return value


def _parse_hosts(value: object) -> tuple[str, ...]:
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, list | tuple) or not all(isinstance(item, str) for item in items):
        raise ValueError
    hosts = tuple(item.strip() for item in items if item.strip())
    if not all(_HOST.fullmatch(host) for host in hosts):
        raise ValueError
    return hosts


def _parse_webhook_secrets(value: object) -> tuple[str, ...]:
    secrets = _parse_keys(value)
    for secret in secrets:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        if not (secret.startswith("whsec_") and 24 <= len(key) <= 64):
            raise ValueError
    return secrets


def _parse_model_limits(value: object) -> tuple[ModelLimit, ...]:
    if isinstance(value, list | tuple) and all(isinstance(one, ModelLimit) for one in value):
        return tuple(value)
    found = []
    for item in _items_of(value):
        model_id, _, text = item.partition("=")
        rps, burst, concurrent = [*text.split(":"), "", ""][:3]
        numbers = (float(rps or 0), int(burst or 0), int(concurrent or 0))
        is_limit = text.count(":") <= 2 and (numbers[0] > 0 or numbers[2] > 0)
        if not (model_id and is_limit and min(numbers) >= 0 and math.isfinite(numbers[0])):
            raise ValueError
        found.append(ModelLimit(model_id, *numbers))
    return tuple(found)


def _parse_plugins(value: object) -> tuple[ProviderPlugin, ...]:
    if isinstance(value, list | tuple) and all(isinstance(one, ProviderPlugin) for one in value):
        return tuple(value)
    found = {}
    for item in _items_of(value):
        name, _, text = item.partition("=")
        library, *options = [part.strip() for part in text.split(";")]
        is_plugin = is_provider_name(name) and name not in (*PROVIDERS, CPU) and name not in found
        is_told = all(one.partition("=")[0] and "=" in one and "," not in one for one in options)
        if not (is_plugin and library and is_told) or "\0" in item:
            raise ValueError
        found[name] = ProviderPlugin(name, library, ",".join(options))
    return tuple(found.values())


def _parse_networks(value: object) -> tuple[Network, ...]:
    if isinstance(value, list | tuple) and all(isinstance(one, Network) for one in value):
        return tuple(value)
    return tuple(ipaddress.ip_network(item) for item in _items_of(value))


_FLAG = Kind("True or False", _parse_flag)
_PATH = Kind("a path", _parse_path)
_TEXT = Kind("a text that is not empty", _parse_text)
_KEYS = Kind(
    "keys separated by commas, of visible ASCII characters, each KEY or KEY:SCOPE+SCOPE with the "
    "scopes predict, models, admin (a ':' that belongs to a key: write KEY:admin)",
    _parse_scoped_keys,
)
_WORDS = Kind("texts separated by commas", _parse_words)
_SECRET = Kind("a text of visible characters", _parse_secret)
_HOSTS = Kind(
    "names or addresses of hosts separated by commas, each host or host:port", _parse_hosts
)
_WEBHOOK_SECRETS = Kind(
    "secrets separated by commas, each 'whsec_' and base64 of 24 to 64 bytes",
    _parse_webhook_secrets,
)
_MODEL_LIMITS = Kind(
    "limits separated by commas, each MODEL_ID=RPS or MODEL_ID=RPS:BURST:CONCURRENT, as in "
    "wine=100,cancer=5:10:2",
    _parse_model_limits,
)
_NETWORKS = Kind("addresses or networks separated by commas, as in 10.0.0.0/8", _parse_networks)
_PLUGINS = Kind(
    "providers separated by commas, each NAME=LIBRARY or NAME=LIBRARY;KEY=VALUE;KEY=VALUE, with "
    "the name that the library gives its provider",
    _parse_plugins,
)
_DEVICE = Kind(EXPECTED, parse_device)
_MILLISECONDS = _number(0, 86_400_000, "a number of milliseconds")
_SECONDS = _number(0, 3600, "a number of seconds")
_COUNT_MAX = 2**31 - 1


class Option(NamedTuple):
    """One row of `OPTIONS`: the environment variable of a setting, and what values it takes."""

    env: str
    kind: Kind
    secret: bool = False


OPTIONS: dict[str, Option] = {
    "host": Option("INFERENCE_API_HOST", _TEXT),
    "port": Option("INFERENCE_API_PORT", _whole_number(0, 65535, "a port")),
    "uds": Option("INFERENCE_API_UDS", _PATH),
    "ssl_certificate": Option("SSL_CERTIFICATE", _PATH),
    "ssl_keyfile": Option("SSL_KEYFILE", _PATH),
    "environment": Option("ENVIRONMENT", _TEXT),
    "debug": Option("INFERENCE_API_DEBUG", _FLAG),
    "log_format": Option("LOG_FORMAT", _one_of("text", "json")),
    "log_dir": Option("LOG_DIR", _PATH),
    "require_api_key": Option("REQUIRE_API_KEY", _FLAG),
    "api_keys": Option("API_KEYS", _KEYS, secret=True),
    "api_keys_file": Option("API_KEYS_FILE", _PATH),
    "jwt_secret": Option("JWT_SECRET", _SECRET, secret=True),
    "jwt_secret_file": Option("JWT_SECRET_FILE", _PATH),
    "jwt_public_key_file": Option("JWT_PUBLIC_KEY_FILE", _PATH),
    "jwt_jwks_file": Option("JWT_JWKS_FILE", _PATH),
    "jwt_audience": Option("JWT_AUDIENCE", _WORDS),
    "jwt_issuer": Option("JWT_ISSUER", _WORDS),
    "jwt_leeway_s": Option("JWT_LEEWAY_S", _number(0, 3600, "a number of seconds")),
    "metrics_require_key": Option("METRICS_REQUIRE_KEY", _FLAG),
    "rate_limit_rps": Option("RATE_LIMIT_RPS", _number(0, 1e9, "requests a second")),
    "rate_limit_burst": Option("RATE_LIMIT_BURST", _whole_number(0, 10**9, "requests")),
    "rate_limit_concurrent": Option("RATE_LIMIT_CONCURRENT", _whole_number(0, 10**6, "requests")),
    "model_rate_limits": Option("MODEL_RATE_LIMITS", _MODEL_LIMITS),
    "trusted_proxies": Option("TRUSTED_PROXIES", _NETWORKS),
    "model_dir": Option("MODEL_DIR", _PATH),
    "state_dir": Option("STATE_DIR", _PATH),
    "allow_custom_code": Option("ALLOW_CUSTOM_CODE", _FLAG),
    "enable_quantization": Option("ENABLE_QUANTIZATION", _FLAG),
    "enable_compilation": Option("ENABLE_COMPILATION", _FLAG),
    "example_model": Option("EXAMPLE_MODEL", _FLAG),
    "model_cache_size": Option("MODEL_CACHE_SIZE", _whole_number(0, 10_000, "a number of models")),
    "memory_limit_mb": Option("MEMORY_LIMIT_MB", _whole_number(0, _COUNT_MAX, "mebibytes")),
    "download_allowed_hosts": Option("DOWNLOAD_ALLOWED_HOSTS", _HOSTS),
    "download_private_hosts": Option("DOWNLOAD_PRIVATE_HOSTS", _HOSTS),
    "download_max_mb": Option("DOWNLOAD_MAX_MB", _whole_number(1, _COUNT_MAX, "mebibytes")),
    "download_max_running": Option(
        "DOWNLOAD_MAX_RUNNING", _whole_number(1, 16, "a number of downloads")
    ),
    "autoscaler": Option("AUTOSCALER", _FLAG),
    "idle_unload_s": Option("IDLE_UNLOAD_S", _number(0, 31_536_000, "a number of seconds")),
    "prediction_cache_mb": Option("PREDICTION_CACHE_MB", _number(0, _COUNT_MAX, "mebibytes")),
    "device": Option("DEVICE", _DEVICE),
    "gpu_provider_plugins": Option("GPU_PROVIDER_PLUGINS", _PLUGINS),
    "intra_op_threads": Option("INTRA_OP_THREADS", _whole_number(1, 256, "a number of threads")),
    "execute_timeout_ms": Option(
        "EXECUTE_TIMEOUT_MS", _number(1, 86_400_000, "a number of milliseconds")
    ),
    "max_workers": Option("MAX_WORKERS", _whole_number(1, 1024, "a number of threads")),
    "max_concurrent_loads": Option(
        "MAX_CONCURRENT_LOADS", _whole_number(1, 64, "a number of models")
    ),
    "max_batch_size": Option("MAX_BATCH_SIZE", _whole_number(1, 1_000_000, "a number of rows")),
    "batch_timeout_ms": Option("BATCH_TIMEOUT_MS", _MILLISECONDS),
    "default_timeout_ms": Option(
        "DEFAULT_TIMEOUT_MS", _number(0.001, 86_400_000, "a number of milliseconds")
    ),
    "max_concurrent_requests": Option(
        "MAX_CONCURRENT_REQUESTS", _whole_number(1, 1_000_000, "a number of requests")
    ),
    "max_connections": Option(
        "MAX_CONNECTIONS", _whole_number(1, 1_000_000, "a number of connections")
    ),
    "answer_cache_s": Option("ANSWER_CACHE_S", _SECONDS),
    "max_body_bytes": Option("MAX_BODY_BYTES", _whole_number(1, 2**40, "a number of bytes")),
    "max_inflight_body_bytes": Option(
        "MAX_INFLIGHT_BODY_BYTES", _whole_number(1, 2**40, "a number of bytes")
    ),
    "body_timeout_s": Option("BODY_TIMEOUT_S", _number(0.1, 3600, "a number of seconds")),
    "drain_timeout_s": Option("DRAIN_TIMEOUT_S", _SECONDS),
    "worker_nice": Option("WORKER_NICE", _whole_number(0, 19, "a nice value")),
    "share_core": Option("SHARE_CORE", _FLAG),
    "max_streams": Option("MAX_STREAMS", _whole_number(0, 1_000_000, "a number of streams")),
    "max_stream_bytes": Option("MAX_STREAM_BYTES", _whole_number(1, 2**40, "a number of bytes")),
    "stream_idle_timeout_s": Option(
        "STREAM_IDLE_TIMEOUT_S", _number(0.1, 86_400, "a number of seconds")
    ),
    "stream_heartbeat_s": Option("STREAM_HEARTBEAT_S", _number(0.05, 3600, "a number of seconds")),
    "async_max_backlog": Option(
        "ASYNC_MAX_BACKLOG", _whole_number(1, 1_000_000, "a number of tasks")
    ),
    "async_max_backlog_bytes": Option(
        "ASYNC_MAX_BACKLOG_BYTES", _whole_number(1, 2**40, "a number of bytes")
    ),
    "async_max_running": Option("ASYNC_MAX_RUNNING", _whole_number(1, 4096, "a number of tasks")),
    "async_result_ttl_s": Option(
        "ASYNC_RESULT_TTL_S", _number(0.1, 31_536_000, "a number of seconds")
    ),
    "async_max_results": Option(
        "ASYNC_MAX_RESULTS", _whole_number(1, 100_000_000, "a number of tasks")
    ),
    "async_max_result_bytes": Option(
        "ASYNC_MAX_RESULT_BYTES", _whole_number(1, 2**40, "a number of bytes")
    ),
    "callback_allowed_hosts": Option("CALLBACK_ALLOWED_HOSTS", _HOSTS),
    "callback_secret": Option("CALLBACK_SECRET", _WEBHOOK_SECRETS, secret=True),
    "callback_timeout_s": Option("CALLBACK_TIMEOUT_S", _number(0.1, 300, "a number of seconds")),
    "callback_max_attempts": Option(
        "CALLBACK_MAX_ATTEMPTS", _whole_number(1, 100, "a number of attempts")
    ),
    "callback_retry_s": Option("CALLBACK_RETRY_S", _number(0.01, 3600, "a number of seconds")),
    "tts_model": Option("TTS_MODEL", _TEXT),
    "asr_model": Option("ASR_MODEL", _TEXT),
    "tts_max_text_chars": Option(
        "TTS_MAX_TEXT_CHARS", _whole_number(1, 1_000_000, "a number of characters")
    ),
    "tts_max_audio_s": Option("TTS_MAX_AUDIO_S", _number(1, 86_400, "a number of seconds")),
    "tts_max_concurrent": Option("TTS_MAX_CONCURRENT", _whole_number(1, 1000, "a number of texts")),
    "asr_max_audio_s": Option("ASR_MAX_AUDIO_S", _number(1, 86_400, "a number of seconds")),
    "asr_max_waiting": Option("ASR_MAX_WAITING", _whole_number(1, 1000, "a number of requests")),
    "speech_max_processes": Option(
        "SPEECH_MAX_PROCESSES", _whole_number(1, 64, "a number of processes")
    ),
    "speech_timeout_s": Option("SPEECH_TIMEOUT_S", _number(0.1, 86_400, "a number of seconds")),
}
"""Setting name → its environment variable and values. Keys of ``slipstream.toml`` are the names."""
