"""The autoscaler of a server, and what health tells of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from slipstream.http.routes.context import Context
from slipstream.http.routes.interfaces import Scaled, ScalerAction, ScalerState

if TYPE_CHECKING:
    from slipstream.autoscale.controller import Autoscaler


class ServerScaler:
    """Implements `slipstream.http.routes.interfaces.Autoscaler`."""

    def __init__(self, context: Context, scaler: Autoscaler) -> None:
        self._context = context
        self._scaler = scaler

    def close(self) -> None:
        """Scales no more; blocks for as long as a look takes."""
        self._scaler.close()

    def scaler_state(self) -> ScalerState:
        """As it is now."""
        from slipstream.autoscale.controller import limits_of  # here: as the engine is

        is_on = self._context.settings.autoscaler
        actions = self._scaler.actions()
        bounded = [(model, limits_of(model)) for model in self._context.engine.models()]
        status: Literal["healthy", "degraded", "disabled"] = "disabled"
        if is_on:
            status = "healthy" if self._scaler.failure is None else "degraded"
        state: Literal["running", "stopping", "disabled"] = "disabled"
        if is_on:
            state = "running" if self._context.accepting else "stopping"
        return ScalerState(
            state=state,
            is_healthy=status != "degraded",
            zero_scaler=status,
            last_activity=max(
                (round(one.at_s, 3) for one in actions if one.instances == 0), default=None
            ),
            models=tuple(
                Scaled(model.model_id, model.version.core.instances, limits.least, limits.most)
                for model, limits in bounded
                if limits is not None
            ),
            actions=tuple(ScalerAction(*one) for one in actions),
        )


def start_scaler(context: Context) -> ServerScaler:
    """The server's autoscaler, at work unless it is turned off; blocks for nothing."""
    from slipstream.autoscale.controller import Autoscaler  # here: as the engine is

    scaler = Autoscaler(context.engine)
    if context.settings.autoscaler:
        scaler.start()
    context.autoscaler = made = ServerScaler(context, scaler)
    return made
