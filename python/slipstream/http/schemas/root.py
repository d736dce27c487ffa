"""GET /: what this server is."""

from __future__ import annotations

import msgspec


class TtsSupport(msgspec.Struct):
    """What this server can say aloud."""

    enabled: bool
    """Whether there is a synthesizer that could run."""
    supported_models: list[str]
    """Known by name, and able to speak."""
    features: list[str]


class InferenceEndpoints(msgspec.Struct):
    """Of predictions."""

    predict: str | None


class AudioEndpoints(msgspec.Struct):
    """Of speech."""

    synthesize: str | None
    transcribe: str | None


class ModelEndpoints(msgspec.Struct):
    """Of models."""

    list: str | None
    download: str | None


class Endpoints(msgspec.Struct):
    """Paths by area; null for what this server does not have."""

    inference: InferenceEndpoints
    audio: AudioEndpoints
    models: ModelEndpoints


class RootAnswer(msgspec.Struct):
    """GET /."""

    message: str
    version: str
    status: str
    """``running``, ``restarting`` or ``stopping``."""
    timestamp: str
    environment: str
    """What the operator calls it: `ENVIRONMENT`."""
    tts_support: TtsSupport
    endpoints: Endpoints
