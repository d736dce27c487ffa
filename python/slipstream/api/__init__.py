"""The facade that users import and the HTTP layer stands on: `Engine` and `Model`."""

from slipstream.api.bodies import Body, BodyKind, EncodedAnswer
from slipstream.api.engine import Engine
from slipstream.api.experiment import Experiment, Predictor
from slipstream.api.model import Model
from slipstream.api.version import ModelMetrics
from slipstream.engine.answers import RawTensor
from slipstream.engine.recurrence import Memory

__all__ = [
    "Body",
    "BodyKind",
    "EncodedAnswer",
    "Engine",
    "Experiment",
    "Memory",
    "Model",
    "ModelMetrics",
    "Predictor",
    "RawTensor",
]
