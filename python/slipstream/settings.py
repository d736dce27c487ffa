"""Every setting of slipstream: one frozen object, resolved once, checked where it enters.

Precedence, weakest first: defaults, ``slipstream.toml``, environment variables, settings persisted
by the server, command line. A value that does not fit is refused with the place it came from; an
unknown key in a file is refused with the nearest name. Nothing here reads a global at run time:
whoever needs a setting is handed the object.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from slipstream.errors import SlipstreamError
from slipstream.setting_options import OPTIONS, ModelLimit, Network, ProviderPlugin

CONFIG_FILE = "slipstream.toml"
STORED_FILE = "settings.json"
"""In the state folder: what ``PUT engine/config`` was told."""
_MIB = 1024 * 1024


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
    environment: str = "development"
    """What the operator calls this server, for whoever asks ``GET /``."""
    debug: bool = False
    """Log every request. Never puts a traceback into an answer."""
    log_format: str = "text"
    """``text`` for people, ``json`` for programs: an object a line."""
    log_dir: Path | None = None
    """Folder of the rotating log file; None logs to standard error only."""

    require_api_key: bool = False
    api_keys: tuple[str, ...] = ()
    """Each ``KEY``, which may do everything, or ``KEY:SCOPE+SCOPE``."""
    api_keys_file: Path | None = None
    """More of them, one a line; read again on SIGHUP, as the other files of this part."""
    jwt_secret: str | None = None
    """What tokens (JWT, HS256) are signed with."""
    jwt_secret_file: Path | None = None
    """The same, one a line; the first one signs new tokens."""
    jwt_public_key_file: Path | None = None
    """Public keys or certificates in PEM that tokens are checked with."""
    jwt_jwks_file: Path | None = None
    """The same as a JSON Web Key Set."""
    jwt_audience: tuple[str, ...] = ()
    """One of these has to be in a token's ``aud``; empty: it is not looked at."""
    jwt_issuer: tuple[str, ...] = ()
    """One of these has to be a token's ``iss``; empty: it is not looked at."""
    jwt_leeway_s: float = 10.0
    """How far the clocks of who makes tokens and of this machine may be apart."""
    metrics_require_key: bool = False
    """Whether GET /metrics needs a key, whatever the other routes do."""

    rate_limit_rps: float = 0.0
    """Requests a second of one client, an API key or an address; 0: no limit."""
    rate_limit_burst: int = 0
    """Requests that a client may make at once; 0: what it may make in a second."""
    rate_limit_concurrent: int = 0
    """Requests in progress of one client; 0: no limit."""
    model_rate_limits: tuple[ModelLimit, ...] = ()
    """The same by model, whoever asks it."""
    trusted_proxies: tuple[Network, ...] = ()
    """Whose ``X-Forwarded-For`` is believed."""

    model_dir: Path = Path("models")
    """The wall: over HTTP no file outside it is readable."""
    state_dir: Path | None = None
    """Artifacts of prepared models; None means `state_path`'s default inside `model_dir`."""
    allow_custom_code: bool = False
    """Whether model type ``custom`` (the operator's own Python) may be loaded."""
    enable_quantization: bool = True
    enable_compilation: bool = True
    example_model: bool = True
    """Whether ``slipstream serve`` has the model ``example``, to be tried with."""
    model_cache_size: int = 5
    """Most models in memory at once; 0: no limit. Pinned ones count, and are never evicted."""
    memory_limit_mb: int = 2048
    """Most resident memory (MiB) of the process and its workers, kept by evicting; 0: no limit."""

    download_allowed_hosts: tuple[str, ...] = ()
    """Hosts from which a file may be downloaded by its URL, over https; none: that is off."""
    download_private_hosts: tuple[str, ...] = ()
    """Which of these may be at private addresses."""
    download_max_mb: int = 10_240
    """Most (MiB) that one download may have."""
    download_max_running: int = 2
    """Downloads at once; more wait."""

    autoscaler: bool = True
    """Whether models get instances, and rest, by what is measured (`slipstream.autoscale`)."""
    idle_unload_s: float = 0.0
    """A model that is not pinned rests after so long without a request; 0: never."""
    prediction_cache_mb: float = 64.0
    """Memory (MiB) for answers of models that were loaded with ``cache_predictions``."""

    device: str = "auto"
    """Where models compute that name no device of their own (`slipstream.device_names`)."""
    gpu_provider_plugins: tuple[ProviderPlugin, ...] = ()
    """Libraries with execution providers of ONNX Runtime, which are loaded as code: the operator
    names them, and nobody else."""
    intra_op_threads: int = 1
    """Threads that one ONNX operator may use; 1 leaves parallelism to instances."""
    execute_timeout_ms: float = 60_000.0
    """A Python model that computes longer than this is hung: its process is killed."""
    max_workers: int = 4
    """Most instance threads over all models."""
    max_concurrent_loads: int = 4
    """Most models that are being loaded or reloaded at a time; the others wait for their turn."""
    max_batch_size: int = 64
    """Most rows in one execution."""
    batch_timeout_ms: float = 100.0
    """Most that a request may be made to wait for companions."""
    default_timeout_ms: float = 30_000.0
    """Deadline of a request that names none."""

    max_concurrent_requests: int = 100
    """Requests in progress at once; the next is refused with 503 and Retry-After."""
    max_connections: int = 4096
    answer_cache_s: float = 1.0
    """How long answers of ``GET /``, ``/info``, ``/config`` and about models are kept; 0: not."""
    max_body_bytes: int = 64 * _MIB
    max_inflight_body_bytes: int = 512 * _MIB
    """Bodies in memory at once, over all requests."""
    body_timeout_s: float = 30.0
    """How long a client may take to send a body."""
    drain_timeout_s: float = 10.0
    """How long SIGTERM waits for requests in progress."""
    worker_nice: int = 5
    """How far threads that execute models rank behind those that speak HTTP."""
    share_core: bool = True
    """Whether the threads that speak HTTP share one core while one is enough for them."""

    max_streams: int = 100
    """Streams open at once."""
    max_stream_bytes: int = 256 * _MIB
    """Held by all streams: data that waits, results not read, results kept to be read again."""
    stream_idle_timeout_s: float = 300.0
    """A stream that nobody sends to or reads from for that long is closed."""
    stream_heartbeat_s: float = 15.0
    """Between signs of life on a connection that waits for events of a stream."""
    async_max_backlog: int = 10_000
    """Async tasks that may wait or run at once; the next is refused with 429."""
    async_max_backlog_bytes: int = 256 * _MIB
    """Their rows, which are in memory and on disk."""
    async_max_running: int = 32
    """Async tasks that the engine has at once."""
    async_result_ttl_s: float = 3600.0
    """How long the end of an async task is kept."""
    async_max_results: int = 200_000
    async_max_result_bytes: int = 1024 * _MIB
    """Kept ends of async tasks; above either no more tasks are accepted (429)."""
    callback_allowed_hosts: tuple[str, ...] = ()
    """Hosts that may be called back though they are private, or by plain http."""
    callback_secret: tuple[str, ...] = ()
    """What callbacks are signed with (Standard Webhooks); several while one is replaced."""
    callback_timeout_s: float = 10.0
    """One attempt to call back, from looking the name up to the status of the answer."""
    callback_max_attempts: int = 8
    callback_retry_s: float = 5.0
    """Wait before the second attempt; each later one is three times as long, an hour at most."""

    tts_model: str | None = None
    """The voice of a synthesis that names none: an id, or a path inside `model_dir`."""
    asr_model: str | None = None
    """The model of a transcription that names none: a folder inside `model_dir`."""
    tts_max_text_chars: int = 5000
    tts_max_audio_s: float = 1200.0
    tts_max_concurrent: int = 4
    """Texts that are spoken at once; the next is refused with 503."""
    asr_max_audio_s: float = 1800.0
    asr_max_waiting: int = 16
    """Requests that may wait for one model in a process of speech; the next is refused with 503."""
    speech_max_processes: int = 2
    """Models of speech that run in processes of their own, at once."""
    speech_timeout_s: float = 300.0
    """How long one synthesis, or one transcription, may take."""

    def __repr__(self) -> str:
        """Every field but secrets, which logs and tracebacks must not show."""
        fields = (
            f"{name}=(secret)" if OPTIONS[name].secret and value else f"{name}={value!r}"
            for name, value in msgspec.structs.asdict(self).items()
        )
        return f"Settings({', '.join(fields)})"

    @property
    def state_path(self) -> Path:
        """Where state lives: ``state_dir``, else ``.slipstream`` inside ``model_dir``."""
        return self.state_dir if self.state_dir is not None else self.model_dir / ".slipstream"


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


_CREDENTIALS = (
    *("api_keys", "api_keys_file", "jwt_secret", "jwt_secret_file"),
    *("jwt_public_key_file", "jwt_jwks_file"),
)


def _check_together(settings: Settings, sources: Mapping[str, str]) -> None:
    """Refuses combinations that would start a server other than the operator meant."""
    has_credentials = any(getattr(settings, name) for name in _CREDENTIALS)
    if settings.require_api_key and not has_credentials:
        raise SettingsError(
            f"{sources.get('require_api_key', 'require_api_key')}: keys are required but none is "
            "set, so nobody could call the server; set API_KEYS=key1,key2, or JWT_SECRET for tokens"
        )
    if settings.metrics_require_key and not has_credentials:
        raise SettingsError(
            f"{sources.get('metrics_require_key', 'metrics_require_key')}: /metrics needs a key "
            "but none is set, so nobody could scrape; set API_KEYS=key1,key2"
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


def stored_settings(folder: Path) -> dict[str, object]:
    """What ``PUT engine/config`` has left in a state folder, for `load_settings`.

    Raises:
        SettingsError: the file is damaged; names it.
    """
    file = folder / STORED_FILE
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, object])
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"{file}: cannot be read as stored settings: {error}; remove it to start without them"
        ) from error


def forget_secrets(environ: MutableMapping[str, str]) -> None:
    """Takes secrets out of an environment: child processes run other people's code, and get it."""
    for option in OPTIONS.values():
        if option.secret:
            environ.pop(option.env, None)


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
        _from_mapping(
            persisted or {}, f"{STORED_FILE} (stored by PUT engine/config)", dashes=False
        ),
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
