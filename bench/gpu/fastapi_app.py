"""What many write: FastAPI, and torch on a GPU. ``BENCH_MODEL`` is TorchScript.

One process, because a second one has the weights a second time and shares nothing; no batching.
"""

from __future__ import annotations

import os
from typing import Any

import torch
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()
_DEVICE = os.environ["BENCH_DEVICE"]
_load: Any = torch.jit.load
_module = _load(os.environ["BENCH_MODEL"], map_location=_DEVICE).eval()
_dtype = getattr(torch, os.environ["BENCH_DTYPE"])


class Rows(BaseModel):
    """What is asked."""

    data: list[list[float]]


@app.post("/predict")
async def predict(rows: Rows) -> dict[str, list[list[float]]]:
    """Computes on the loop, as most such servers do."""
    with torch.inference_mode():
        answer = _module(torch.tensor(rows.data, dtype=_dtype, device=_DEVICE))
        return {"predictions": answer.cpu().tolist()}
