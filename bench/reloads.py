"""What reloading one model costs another: steady traffic alone, then beside 20 reloads.

Two models are served. The small network has steady Poisson traffic; a forest is reloaded 20 times
beside it, either from its file as it was, which is prepared already, or from files that are new to
the server, which converts them first. The forest has traffic of its own: each of its answers must
be that of a version that was in the file, and none may fail.
"""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import httpx
import numpy as np

from bench.http import bodies, generator, models, servers
from bench.http.bodies import OWN, with_body
from bench.http.generator import LoadError, Traffic
from bench.http.models import GBDT, SMALL
from bench.http.servers import OURS
from bench.lib.servers import Server
from bench.lib.suite import Say, Size, WrongError, command
from bench.lib.taken import Figures, Taken

RELOADS = 20
STEADY_PER_S, RELOADED_PER_S = 1_000.0, 100.0
SAME, NEW = "reloads of the same file", "reloads of new files"
_SECONDS = {SAME: 4.0, NEW: 40.0}
"""Of a window: a conversion starts a process and imports a library."""
_TURN_MS = 0.1
"""Of the generator: when it is late itself, that is no latency of the server's."""
_FOREST = replace(GBDT, name="forest", served=models.FOLDER / "reloaded.ubj")


def measure(size: Size, say: Say) -> Mapping[str, Sequence[Taken]]:
    """Microseconds of the steady traffic, alone and beside reloads.

    Raises:
        WrongError: an answer was wrong, or a request or a reload failed.
    """
    generator.program()
    models.make_all()
    cases = (SAME,) if size.name == "smoke" else (SAME, NEW)
    reloads = 3 if size.name == "smoke" else RELOADS
    found: dict[str, Sequence[Taken]] = {}
    for case in cases:
        taken = Taken(OURS)
        for number in range(1, min(3, size.rounds) + 1):
            try:
                taken.rounds.append(_round(case, reloads, _SECONDS[case] * reloads / RELOADS))
            except (LoadError, httpx.HTTPError) as error:
                raise WrongError(f"{case}: {error}") from error
            said = "  ".join(f"{name} {value:,.2f}" for name, value in taken.rounds[-1].items())
            say(f"  round {number}  {case}: {said}")
        found[case] = [taken]
    return found


def _round(case: str, reloads: int, seconds: float) -> Figures:
    files = _versions()
    shutil.copyfile(files[0], _FOREST.served)
    state = servers.state_folder("reloads")
    if case == NEW:
        shutil.rmtree(state, ignore_errors=True)  # so that every file is new to the server
    steady = bodies.traffic(OWN, SMALL, 1, "steady", connections=64, rate=STEADY_PER_S)
    with _server() as server:
        classes = [steady, _forest_traffic()]
        before = generator.run(server.address, classes, seconds, turn_ms=_TURN_MS)
        replacing = _Reloads(server, files if case == NEW else files[:1], reloads, seconds)
        replacing.start()
        beside = generator.run(server.address, classes, seconds, turn_ms=_TURN_MS)
        replacing.finish()
        after = generator.run(server.address, classes, seconds, turn_ms=_TURN_MS)
    alone_us = [_p99_us(run["steady"]) for run in (before, after)]
    p99_us = _p99_us(beside["steady"])
    return {
        "alone_p99_us": alone_us[0],
        "p99_us": p99_us,
        "alone_again_p99_us": alone_us[1],
        "p99_over_alone": p99_us / alone_us[0],
        "failed": float(sum(one.failed for run in (before, beside, after) for one in run.values())),
        "reload_ms": float(np.median(replacing.took_s)) * 1e3,
    }


def _p99_us(measured: generator.Measured) -> float:
    tail = measured.latency.percentile_us(99)
    if tail is None:
        raise WrongError("too few requests for a p99")
    return tail


def _server() -> Server:
    return servers.slipstream([SMALL, _FOREST], name="reloads")


class _Reloads(threading.Thread):
    """Puts files in the model's place one after the other, and has each loaded, evenly spread."""

    def __init__(self, server: Server, files: Sequence[Path], count: int, seconds: float) -> None:
        super().__init__(name="reloads")
        self._url = f"http://127.0.0.1:{server.port}/api/inference/models/{_FOREST.name}/reload"
        self._files = files
        self._count = count
        self._seconds = seconds
        self._failure: Exception | None = None
        self.took_s: list[float] = []

    def run(self) -> None:
        """All reloads; a failure waits for `finish`."""
        try:
            self._run()
        except Exception as error:
            self._failure = error

    def _run(self) -> None:
        began = time.monotonic()
        with httpx.Client(timeout=60) as client:
            for number in range(self._count):
                time.sleep(
                    max(0.0, began + number * self._seconds / self._count - time.monotonic())
                )
                coming = _FOREST.served.with_suffix(".coming")
                shutil.copyfile(self._files[number % len(self._files)], coming)
                coming.replace(_FOREST.served)
                asked = time.monotonic()
                client.post(self._url).raise_for_status()
                self.took_s.append(time.monotonic() - asked)

    def finish(self) -> None:
        """Waits for the last reload.

        Raises:
            HTTPError: one failed.
        """
        self.join()
        if self._failure is not None:
            raise self._failure


@cache
def _versions() -> tuple[Path, ...]:
    """Files of forests of one shape that were trained differently."""
    import xgboost

    files = tuple(models.FOLDER / f"version-{number}.ubj" for number in range(RELOADS))
    rows = np.random.default_rng(11).normal(size=(500, GBDT.width)).astype(np.float32)
    for number, file in enumerate(files):
        if not file.is_file():
            labels = np.argmax(rows[:, number : number + 3], axis=1)
            model = xgboost.XGBClassifier(n_estimators=10, max_depth=4, n_jobs=1)
            model.fit(rows, labels)
            model.save_model(file)
    return files


@cache
def _forest_traffic() -> Traffic:
    """Requests to the forest; an answer is right if one of the versions gives it."""
    import xgboost

    rows = GBDT.rows(models.BODIES, seed=3)
    right = []
    for file in _versions():
        model = xgboost.XGBClassifier()
        model.load_model(file)
        right.append(model.predict(rows))

    def check(body: int, answer: bytes) -> str | None:
        said = json.loads(answer)
        if any(said == [int(labels[body])] for labels in right):
            return None
        return f"{answer!r} is the answer of no version"

    requests = [
        with_body(
            "/api/inference/predict",
            json.dumps({"model_id": _FOREST.name, "data": [row.tolist()]}).encode(),
        )
        for row in rows
    ]
    return Traffic("forest", requests, check, connections=8, rate=RELOADED_PER_S, seed=3)


main = command("reloads", "What reloading a model costs the others.", measure)
