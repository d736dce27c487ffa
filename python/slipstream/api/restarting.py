"""The part of an engine that builds its core anew, under the models that are in memory."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor

from slipstream.api.residency import MAX_IN_FLIGHT, Residency
from slipstream.engine.runtime import start_core
from slipstream.errors import EngineRestartingError, UnavailableError

_log = logging.getLogger("slipstream.engine")


class Restarting(Residency):
    """Has every model in memory rest, and brings it back on another core."""

    def restart(self) -> None:
        """Builds the core anew under the models that are in memory; blocks until they are back.

        They rest meanwhile: what they accepted is answered first, what comes waits for them. Ids,
        options, counters and models that rest stay as they are; loads and reloads wait. A model
        that does not come back rests, and is tried again by its next request.

        Raises:
            EngineRestartingError: a restart is in progress; or loads are, and do not end soon.
            UnavailableError: the engine is closed.
        """
        with self._changed:
            if self._closed:
                raise UnavailableError("the engine is closed")
            if self._is_restarting:
                raise EngineRestartingError("the engine is being restarted already; wait for it")
            self._is_restarting = True
        try:
            with self._changed:
                wait_s = self.settings.drain_timeout_s
                if not self._changed.wait_for(lambda: not self._promises, wait_s):
                    raise EngineRestartingError(
                        f"{len(self._promises)} models are being loaded; restart when they are"
                    )
            self._rebuild()
        finally:
            with self._changed:
                self._is_restarting = False
                self._changed.notify_all()

    def _rebuild(self) -> None:
        present = [model for model in self.models() if not model.is_resting]
        present.sort(key=lambda model: bool(model.members))  # ensembles end first, and begin last
        with ThreadPoolExecutor(max(1, len(present)), "slipstream-restart") as pool:
            for are_ensembles in (True, False):  # each side by side: they drain as long as one
                list(
                    pool.map(
                        self._set_aside,
                        [model for model in present if bool(model.members) is are_ensembles],
                    )
                )
            self._core = start_core(MAX_IN_FLIGHT)
        for model in present:
            try:
                self._bring_back(model, is_restart=True)
            except Exception as error:  # the others must come back all the same
                _log.error("model '%s' is not back", model.model_id, exc_info=error)
                model.not_back(error)
