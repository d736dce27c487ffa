"""Every setting of slipstream: one frozen object, resolved once, checked where it enters.

Precedence, weakest first: defaults, ``slipstream.toml``, environment variables, settings persisted
by the server, command line. A value that does not fit is refused with the place it came from; an
unknown key in a file is refused with the nearest name. Nothing here reads a global at run time:
whoever needs a setting is handed the object.
"""

from __future__ import annotations

import difflib
import math
import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from slipstream.errors import SlipstreamError

CONFIG_FILE = "slipstream.toml"
MIB = 1024 * 1024
_API_KEY = re.compile(r"[\x21-\x2b\x2d-\x7e]+")


class SettingsError(SlipstreamError, ValueError):
    """A setting is unknown, does not fit, or contradicts another; the message names its source."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator decided. Construct it directly in Python, or with `load_settings`."""

    host: str = "127.0.0.1"
    """Address to listen on: a name, an IPv4 or an IPv6 address."""
    port: int = 8000
    """TCP port; 0 takes a free one (the ready line tells which)."""
    uds: Path | None = None
    """Unix socket to listen on instead of host and port."""
    ssl_certificate: Path | None = None
    ssl_keyfile: Path | None = None
    debug: bool = False
    """Log every request. Never puts a traceback into an answer."""
    log_dir: Path | None = None
    """Folder of the rotating log file; None logs to standard error only."""

    require_api_key: bool = False
    api_keys: tuple[str, ...] = ()

    model_dir: Path = Path("models")
    """The wall: over HTTP no file outside it is readable."""
    state_dir: Path | None = None
    """Artifacts of prepared models; None means `state_path`'s default inside `model_dir`."""
    allow_custom_code: bool = False
    """Whether model type ``custom`` (the operator's own Python) may be loaded."""
    enable_quantization: bool = True
    enable_compilation: bool = True
    model_cache_size: int = 5
    """Documented; without effect until models are evicted."""
    memory_limit_mb: int = 2048
    """Above this resident size (MiB) health says ``degraded``."""

    intra_op_threads: int = 1
    """Threads that one ONNX operator may use; 1 leaves parallelism to instances."""
    execute_timeout_ms: float = 60_000.0
    """A Python model that computes longer than this is hung: its process is killed."""
    max_workers: int = 4
    """Most instance threads over all models."""
    max_batch_size: int = 64
    """Most rows in one execution."""
    batch_timeout_ms: float = 100.0
    """Most that a request may be made to wait for companions."""
    default_timeout_ms: float = 30_000.0
    """Deadline of a request that names none."""

    max_concurrent_requests: int = 100
    """Requests in progress at once; the next is refused with 503 and Retry-After."""
    max_connections: int = 4096
    max_body_bytes: int = 64 * MIB
    max_inflight_body_bytes: int = 512 * MIB
    """Bodies in memory at once, over all requests."""
    body_timeout_s: float = 30.0
    """How long a client may take to send a body."""
    drain_timeout_s: float = 10.0
    """How long SIGTERM waits for requests in progress."""
    worker_nice: int = 5
    """How far threads that execute models rank behind those that speak HTTP."""
    share_core: bool = True
    """Whether the threads that speak HTTP share one core while one is enough for them."""

    def __repr__(self) -> str:
        """Every field but the keys, which logs and tracebacks must not show."""
        fields = (
            f"{name}=({len(self.api_keys)} keys)" if name == "api_keys" else f"{name}={value!r}"
            for name, value in msgspec.structs.asdict(self).items()
        )
        return f"Settings({', '.join(fields)})"

    @property
    def state_path(self) -> Path:
        """Where state lives: ``state_dir``, else ``.slipstream`` inside ``model_dir``."""
        return self.state_dir if self.state_dir is not None else self.model_dir / ".slipstream"


class _Kind(NamedTuple):
    """How one sort of value is read: ``parse`` raises ValueError when ``expected`` is not met."""

    expected: str
    parse: Callable[[object], object]


def _whole_number(low: int, high: int, what: str) -> _Kind:
    def parse(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise ValueError
        number = int(value)
        if not low <= number <= high:
            raise ValueError
        return number

    return _Kind(f"{what}, a whole number from {low} to {high}", parse)


def _number(low: float, high: float, what: str) -> _Kind:
    def parse(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ValueError
        number = float(value)
        if not (math.isfinite(number) and low <= number <= high):
            raise ValueError
        return number

    return _Kind(f"{what} ≥ {low:.10g} and ≤ {high:.10g}", parse)


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


def _parse_keys(value: object) -> tuple[str, ...]:
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, list | tuple) or not all(isinstance(item, str) for item in items):
        raise ValueError
    keys = tuple(item.strip() for item in items if item.strip())
    if not all(_API_KEY.fullmatch(key) for key in keys):
        raise ValueError
    return keys


_FLAG = _Kind("True or False", _parse_flag)
_PATH = _Kind("a path", _parse_path)
_TEXT = _Kind("a text that is not empty", _parse_text)
_KEYS = _Kind("keys separated by commas, of visible ASCII characters", _parse_keys)
_MILLISECONDS = _number(0, 86_400_000, "a number of milliseconds")
_SECONDS = _number(0, 3600, "a number of seconds")
_COUNT_MAX = 2**31 - 1


class Option(NamedTuple):
    """One row of `OPTIONS`: the environment variable of a setting, and what values it takes."""

    env: str
    kind: _Kind
    secret: bool = False


OPTIONS: dict[str, Option] = {
    "host": Option("INFERENCE_API_HOST", _TEXT),
    "port": Option("INFERENCE_API_PORT", _whole_number(0, 65535, "a port")),
    "uds": Option("INFERENCE_API_UDS", _PATH),
    "ssl_certificate": Option("SSL_CERTIFICATE", _PATH),
    "ssl_keyfile": Option("SSL_KEYFILE", _PATH),
    "debug": Option("INFERENCE_API_DEBUG", _FLAG),
    "log_dir": Option("LOG_DIR", _PATH),
    "require_api_key": Option("REQUIRE_API_KEY", _FLAG),
    "api_keys": Option("API_KEYS", _KEYS, secret=True),
    "model_dir": Option("MODEL_DIR", _PATH),
    "state_dir": Option("STATE_DIR", _PATH),
    "allow_custom_code": Option("ALLOW_CUSTOM_CODE", _FLAG),
    "enable_quantization": Option("ENABLE_QUANTIZATION", _FLAG),
    "enable_compilation": Option("ENABLE_COMPILATION", _FLAG),
    "model_cache_size": Option("MODEL_CACHE_SIZE", _whole_number(0, 10_000, "a number of models")),
    "memory_limit_mb": Option("MEMORY_LIMIT_MB", _whole_number(1, _COUNT_MAX, "mebibytes")),
    "intra_op_threads": Option("INTRA_OP_THREADS", _whole_number(1, 256, "a number of threads")),
    "execute_timeout_ms": Option(
        "EXECUTE_TIMEOUT_MS", _number(1, 86_400_000, "a number of milliseconds")
    ),
    "max_workers": Option("MAX_WORKERS", _whole_number(1, 1024, "a number of threads")),
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
    "max_body_bytes": Option("MAX_BODY_BYTES", _whole_number(1, 2**40, "a number of bytes")),
    "max_inflight_body_bytes": Option(
        "MAX_INFLIGHT_BODY_BYTES", _whole_number(1, 2**40, "a number of bytes")
    ),
    "body_timeout_s": Option("BODY_TIMEOUT_S", _number(0.1, 3600, "a number of seconds")),
    "drain_timeout_s": Option("DRAIN_TIMEOUT_S", _SECONDS),
    "worker_nice": Option("WORKER_NICE", _whole_number(0, 19, "a nice value")),
    "share_core": Option("SHARE_CORE", _FLAG),
}
"""Setting name → its environment variable and values. Keys of ``slipstream.toml`` are the names."""


class _Entry(NamedTuple):
    """One value on its way in, with where it stands for messages."""

    name: str
    source: str
    value: object


def _from_file(path: Path, *, required: bool) -> Iterator[_Entry]:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if required:
            raise SettingsError(f"{path}: there is no such configuration file") from None
        return
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read as TOML: {error}") from error
    for name, value in table.items():
        yield _Entry(name, f"{path}: {name}", value)


def _from_environment(environ: Mapping[str, str]) -> Iterator[_Entry]:
    for name, option in OPTIONS.items():
        text = environ.get(option.env)
        if text is not None and text.strip():
            yield _Entry(name, f"environment variable {option.env}", text)


def _from_mapping(values: Mapping[str, object], where: str, dashes: bool) -> Iterator[_Entry]:
    for name, value in values.items():
        if value is not None:
            shown = f"--{name.replace('_', '-')}" if dashes else name
            yield _Entry(name, f"{where} {shown}", value)


def _checked(entry: _Entry) -> object:
    option = OPTIONS.get(entry.name)
    if option is None:
        near = difflib.get_close_matches(entry.name, OPTIONS, n=1)
        remedy = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(sorted(OPTIONS))}"
        raise SettingsError(f"{entry.source}: unknown setting; {remedy}")
    try:
        return option.kind.parse(entry.value)
    except ValueError:
        shown = "" if option.secret else f"={str(entry.value)!r}"
        raise SettingsError(f"{entry.source}{shown}: expected {option.kind.expected}") from None


def _check_together(settings: Settings, sources: Mapping[str, str]) -> None:
    """Refuses combinations that would start a server other than the operator meant."""
    if settings.require_api_key and not settings.api_keys:
        raise SettingsError(
            f"{sources.get('require_api_key', 'require_api_key')}: keys are required but none is "
            "set, so nobody could call the server; set API_KEYS=key1,key2"
        )
    for name, other in (
        ("ssl_certificate", "ssl_keyfile"),
        ("ssl_keyfile", "ssl_certificate"),
    ):
        path = getattr(settings, name)
        if path is None:
            continue
        if getattr(settings, other) is None:
            raise SettingsError(f"{sources.get(name, name)}: TLS also needs {other}")
        if not path.is_file():
            raise SettingsError(f"{sources.get(name, name)}: there is no file {path}")
    if settings.max_inflight_body_bytes < settings.max_body_bytes:
        raise SettingsError(
            f"{sources.get('max_inflight_body_bytes', 'max_inflight_body_bytes')}: "
            f"{settings.max_inflight_body_bytes} is below max_body_bytes "
            f"({settings.max_body_bytes}), so a body of the allowed size could never be read"
        )


def with_changes(settings: Settings, changes: Mapping[str, object]) -> Settings:
    """``settings`` with some replaced by name, as `slipstream.Engine` takes them.

    Raises:
        SettingsError: an unknown name, or a value that does not fit.
    """
    entries = [_Entry(name, f"setting {name}", value) for name, value in changes.items()]
    values = {entry.name: None if entry.value is None else _checked(entry) for entry in entries}
    changed = msgspec.structs.replace(settings, **values)
    _check_together(changed, {entry.name: entry.source for entry in entries})
    return changed


def load_settings(
    *,
    config: str | Path | None = None,
    environ: Mapping[str, str] | None = None,
    persisted: Mapping[str, object] | None = None,
    command_line: Mapping[str, object] | None = None,
) -> Settings:
    """Resolves all sources into one `Settings`.

    Args:
        config: TOML file; None reads ``slipstream.toml`` of the working directory if it is there.
        environ: environment; None means this process's. An empty value counts as not set.
        persisted: settings that the server stored (``PUT engine/config``).
        command_line: options by setting name; None values were not given.

    Raises:
        SettingsError: naming the source, the value and what was expected.
    """
    layers = (
        _from_file(Path(config or CONFIG_FILE), required=config is not None),
        _from_environment(os.environ if environ is None else environ),
        _from_mapping(persisted or {}, "stored setting", dashes=False),
        _from_mapping(command_line or {}, "option", dashes=True),
    )
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for layer in layers:
        for entry in layer:
            values[entry.name] = _checked(entry)
            sources[entry.name] = entry.source
    settings = Settings(**values)
    _check_together(settings, sources)
    return settings
