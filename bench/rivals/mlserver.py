"""MLServer's folder of settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench.lib import tools
from bench.lib.servers import free_port
from bench.rivals.launch import Launch

_MAX_BATCH, _WAIT_S = 32, 0.001


def command(launch: Launch) -> list[str | Path]:
    """Writes the settings and returns what starts MLServer with them."""
    way = "batched" if launch.batching else "plain"
    folder = tools.WORK / "http" / "mlserver" / f"{launch.model.name}-{way}"
    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "host": "127.0.0.1",
        "http_port": launch.port,
        "grpc_port": free_port(),
        "metrics_port": free_port(),
        "metrics_dir": str(folder),
        "parallel_workers": 0,  # one process: a second one is another hop, and no faster
        "debug": False,
    }
    model: dict[str, Any] = {
        "name": launch.model.name,
        "implementation": "mlserver_server.Network",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, launch.model.width]}],
    }
    if launch.batching:
        model |= {"max_batch_size": _MAX_BATCH, "max_batch_time": _WAIT_S}
    (folder / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    (folder / "model-settings.json").write_text(json.dumps(model), encoding="utf-8")
    return [launch.python.parent / "mlserver", "start", folder]
