"""FastAPI under uvicorn: two worker processes, each with the model; no batching."""

from __future__ import annotations

from fastapi import FastAPI
from predictor import Predictor
from pydantic import BaseModel

app = FastAPI()
predictor = Predictor()


class Rows(BaseModel):
    """What is asked."""

    data: list[list[float]]


@app.post("/predict")
async def predict(rows: Rows) -> dict[str, list[list[float]]]:
    """Runs the model on the loop: for models this quick, a thread costs more."""
    return {"predictions": predictor.one(rows.data).tolist()}
