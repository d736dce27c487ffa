"""slipstream: an inference server for people who count microseconds.

    import slipstream

    with slipstream.Engine() as engine:
        model = engine.load("iris.pkl")
        model.predict([[5.1, 3.5, 1.4, 0.2]])

Importing this imports no framework and no compiled code, and asks no driver; the first use of
`Engine`, or of `devices`, does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from slipstream._version import __version__

if TYPE_CHECKING:
    from slipstream.api import Engine, Experiment, Model
    from slipstream.engine.devices import devices

__all__ = ["Engine", "Experiment", "Model", "__version__", "devices"]


def __getattr__(name: str) -> object:
    # Lazy (PEP 562): a worker child or a converter child needs neither the core nor the facade.
    if name in ("Engine", "Experiment", "Model"):
        from slipstream import api

        return getattr(api, name)
    if name == "devices":
        from slipstream.engine.devices import devices

        return devices
    raise AttributeError(f"module 'slipstream' has no attribute {name!r}")
