"""The facade that users import and the HTTP layer stands on: `Engine` and `Model`."""

from slipstream.api.engine import Engine
from slipstream.api.model import Answer, Model
from slipstream.api.version import ModelMetrics

__all__ = ["Answer", "Engine", "Model", "ModelMetrics"]
