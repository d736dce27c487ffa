"""What changes beside the traffic: models come, go and are reloaded, experiments are redrawn."""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any

from bench.soak.served import EXPERIMENT, FOREST, GUESTS, PERMANENT, SMALL_ONE, TWIN, Served
from bench.soak.ways import WrongAnswerError, questions_of, require
from bench.soak.wire import Connection, request

_BASE = "/api/inference"
_QUESTIONS = 3
WIDE_ROWS = 2048


class Churn:
    """Changes the server of a port. One thread at a time."""

    def __init__(self, port: int, seed: int = 0) -> None:
        self.port = port
        self.done: Counter[str] = Counter()
        """How often what was done."""
        self._random = Random(seed)

    def begin(self) -> None:
        """Makes the experiment that `bench.soak.ways` asks.

        Then all that stays is reloaded side by side, and the forest computes rows enough for every
        core: each thread that only starts when there is work for it has been started before
        anybody counts threads.
        """
        with Connection(self.port) as connection:
            self._define(connection, {SMALL_ONE: 1, TWIN: 1}, TWIN)
            for question in questions_of(FOREST, _QUESTIONS, rows=WIDE_ROWS):
                require("wide", question, connection)
        with ThreadPoolExecutor() as pool:
            for _ in pool.map(self._reload, [*PERMANENT] * 2):
                self.done["reloads"] += 1

    def _reload(self, model: Served) -> None:
        with Connection(self.port) as connection:
            self._call(connection, "POST", f"models/{model.model_id}/reload")

    def end(self) -> None:
        """Takes it away."""
        with Connection(self.port) as connection:
            self._call(connection, "DELETE", f"experiments/{EXPERIMENT}")

    def turn(self) -> None:
        """One of each: every guest comes, answers, and goes; who stays is reloaded.

        Raises:
            WrongAnswerError: a change was refused, or a guest answered wrongly.
        """
        with Connection(self.port) as connection:
            for guest in GUESTS:
                self._entertain(connection, guest)
        self._reload(self._random.choice(PERMANENT))
        self.done["reloads"] += 1

    def _entertain(self, connection: Connection, guest: Served) -> None:
        self._call(
            connection, "POST", "models/load",
            {
                "model_path": guest.file.name,
                "model_id": guest.model_id,
                "compile_model": guest.compiled,
            },
        )  # fmt: skip
        self.done["loads"] += 1
        seed = self._random.randrange(1 << 16)
        for question in questions_of(guest, _QUESTIONS, rows=2, seed=seed):
            require(f"guest {guest.model_id}", question, connection)
        if guest is GUESTS[0]:
            weight = self._random.uniform(0.5, 3.0)
            self._define(connection, {SMALL_ONE: 1, guest: weight}, TWIN)
            self._call(connection, "POST", f"models/{guest.model_id}/reload")
            self.done["reloads"] += 1
            self._define(connection, {SMALL_ONE: 2, TWIN: weight}, guest)
            self._define(connection, {SMALL_ONE: 1, TWIN: 1}, TWIN)
        self._call(connection, "DELETE", f"models/{guest.model_id}")
        self.done["unloads"] += 1

    def _define(
        self, connection: Connection, variants: dict[Served, float], shadow: Served
    ) -> None:
        self._call(
            connection, "PUT", f"experiments/{EXPERIMENT}",
            {
                "variants": [
                    {"model_id": one.model_id, "weight": weight}
                    for one, weight in variants.items()
                ],
                "shadows": [{"model_id": shadow.model_id, "share": 0.5}],
            },
        )  # fmt: skip
        self.done["definitions"] += 1

    @staticmethod
    def _call(
        connection: Connection, method: str, path: str, body: dict[str, Any] | None = None
    ) -> None:
        text = b"" if body is None else json.dumps(body).encode()
        reply = connection.ask(request(method, f"{_BASE}/{path}", text))
        if reply.status not in (200, 201):
            raise WrongAnswerError(f"{method} {path}: {reply.status} {reply.body[:300]!r}")
