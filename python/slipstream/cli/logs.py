"""Where the server's log goes: standard error, and a rotating file where the operator wants one."""

from __future__ import annotations

import logging
import logging.handlers

from slipstream.settings import Settings, SettingsError

LOG_FILE = "server.log"
_MAX_BYTES = 10 * 1024 * 1024
_KEPT_FILES = 5


def configure_logging(settings: Settings) -> None:
    """Sets up the logger ``slipstream``: warnings, or everything with ``debug``.

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
    logger.setLevel(logging.DEBUG if settings.debug else logging.WARNING)
    logger.propagate = False
    for handler in handlers:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        logger.addHandler(handler)
