"""Where the server's log goes, and what a line looks like.

It goes to standard error, and to a rotating file where the operator wants one. A line is text for
people, or a JSON object for programs (``log_format``). Both carry the same fields beside the
message, which code gives as ``extra``.
"""

from __future__ import annotations

import logging
import logging.handlers
import re
import threading
import time

import msgspec

from slipstream.settings import Settings, SettingsError

LOG_FILE = "server.log"
PROGRESS = "slipstream.cli"
"""Logger of what an operator watches: in text, its lines are the message alone."""
FIELDS = (
    *("request_id", "model_id", "method", "path", "status", "error"),
    *("duration_ms", "not_logged"),
)
"""What a record may carry beside its message, in the order of a line."""
PRIVATE = {"is_private": True}
"""``extra`` of a line for whoever watches alone: no file keeps it."""
_MAX_BYTES = 10 * 1024 * 1024
_KEPT_FILES = 5
_FAILURES = "slipstream.http.failures"
_LINES_A_SECOND = 10
_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")


def configure_logging(settings: Settings) -> None:
    """Sets up the logger ``slipstream``: what happens, or with ``debug`` also every request.

    Raises:
        SettingsError: ``log_dir`` cannot be written.
    """
    handlers: list[logging.Handler] = [logging.StreamHandler()]
    if settings.log_dir is not None:
        try:
            settings.log_dir.mkdir(parents=True, exist_ok=True)
            handlers.append(
                logging.handlers.RotatingFileHandler(
                    settings.log_dir / LOG_FILE,
                    maxBytes=_MAX_BYTES,
                    backupCount=_KEPT_FILES,
                    encoding="utf-8",
                )
            )
        except OSError as error:
            raise SettingsError(f"log_dir={str(settings.log_dir)!r}: {error.strerror}") from error
    logger = logging.getLogger("slipstream")
    logger.setLevel(logging.DEBUG if settings.debug else logging.INFO)
    logger.propagate = False
    formatter = JsonFormatter() if settings.log_format == "json" else TextFormatter()
    for handler in handlers:
        if isinstance(handler, logging.FileHandler):
            handler.addFilter(lambda record: not getattr(record, "is_private", False))
        handler.setFormatter(formatter)
        logger.addHandler(handler)
    logging.getLogger(_FAILURES).addFilter(Throttle(_LINES_A_SECOND))


def _fields_of(record: logging.LogRecord) -> dict[str, object]:
    found = {name: getattr(record, name, None) for name in FIELDS}
    return {name: value for name, value in found.items() if value is not None}


class TextFormatter(logging.Formatter):
    """``2025-01-15 10:30:00,123 WARNING slipstream.http: message request_id=… status=503``."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802, as logging has it
        """One line whatever is in it: a path may hold line breaks, and must not make lines up."""
        if record.name == PROGRESS:
            return _one_line(record.message)
        fields = " ".join(f"{name}={value}" for name, value in _fields_of(record).items())
        return _one_line(f"{super().formatMessage(record)} {fields}".rstrip())


def _one_line(text: str) -> str:
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


class JsonFormatter(logging.Formatter):
    """An object a line: ``time`` (UTC), ``level``, ``logger``, fields, ``message``."""

    def format(self, record: logging.LogRecord) -> str:
        """The line; a traceback is the text ``exception``."""
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, object] = {
            "time": f"{seconds}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            **_fields_of(record),
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line, enc_hook=str).decode()


class Throttle(logging.Filter):
    """Lets some lines of each kind of error through a second, and counts the others.

    An overloaded server fails thousands of requests a second, and a line costs more than an answer.
    The next line that goes through says in ``not_logged`` how many did not.
    """

    def __init__(self, lines_a_second: int) -> None:
        super().__init__()
        self._most = lines_a_second
        self._lock = threading.Lock()
        self._kinds: dict[str, tuple[int, int, int]] = {}  # second, lines in it, not logged

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is written."""
        kind, now = str(getattr(record, "error", "")), int(record.created)
        with self._lock:
            second, lines, not_logged = self._kinds.get(kind, (now, 0, 0))
            if second != now:
                second, lines = now, 0
            if lines >= self._most:
                self._kinds[kind] = (second, lines, not_logged + 1)
                return False
            self._kinds[kind] = (second, lines + 1, 0)
        told = getattr(record, "not_logged", None) or 0  # by whoever has throttled already
        record.not_logged = told + not_logged or None
        return True
