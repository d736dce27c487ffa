"""Where experiments are written down: one JSON file, replaced as a whole."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from slipstream.api.definition import Definition, require_experiment_id, require_valid
from slipstream.api.state_file import write_whole
from slipstream.decoding import json_decoder
from slipstream.errors import SlipstreamError

EXPERIMENTS_FILE = "experiments.json"
logger = logging.getLogger(__name__)


class Kept(msgspec.Struct, frozen=True):
    """What is kept of one experiment; moments are seconds since the epoch."""

    definition: Definition
    created_at: float
    changed_at: float


class _File(msgspec.Struct):
    experiments: dict[str, Kept]


_decode = json_decoder(_File)


def read_experiments(file: Path) -> tuple[dict[str, Kept], str | None]:
    """What the file holds, nothing if it is not there; and why it could not be read.

    One that is damaged is renamed, so that it can be looked at and does not end the next start too.
    """
    try:
        kept = _decode(file.read_bytes()).experiments
        for experiment_id, one in kept.items():
            require_experiment_id(experiment_id)
            require_valid(one.definition)
    except FileNotFoundError:
        return {}, None
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, SlipstreamError) as error:
        aside = file.with_name(file.name + ".damaged")
        logger.error("%s: no experiments are taken up: %s; it is kept as %s", file, error, aside)
        try:
            os.replace(file, aside)
        except OSError as failure:
            logger.error("%s cannot be renamed: %s", file, failure)
        return {}, str(error)
    return kept, None


def write_experiments(file: Path, experiments: Mapping[str, Kept]) -> None:
    """Replaces the file; whoever reads it finds the old content or the new one.

    Raises:
        UnavailableError: it cannot be written; the old content stays.
    """
    write_whole(file, msgspec.json.encode(_File(dict(experiments))))
