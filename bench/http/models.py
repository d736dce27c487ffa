"""The models that are served, made once into ``build/bench/http``, and what they answer.

Three of them are so small or so quick that what surrounds them decides: a network of one hidden
layer (16→64→3), a wide one (512→1024→1024→10), and a boosted forest (XGBoost, 100 rounds, 3
classes, depth 6, 30 features). A deep one (64→1024, 512 residual layers) is so slow that an
overload is the model's, and not that of HTTP. slipstream serves the forest from XGBoost's own file;
the rivals run the same forest in ONNX Runtime, converted by onnxmltools, as their users do.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime

from bench.http import networks
from bench.lib import tools

_MADE_FROM = tools.digest(Path(__file__).read_bytes(), Path(networks.__file__).read_bytes())[:12]
FOLDER = tools.WORK / "http" / f"models-{_MADE_FROM}"
FOREST_RECIPES = tools.ROOT / "bench" / "forest" / "recipes"
BODIES = 64
"""Different bodies that every measurement rotates."""
_RELATIVE, _ABSOLUTE = 2e-4, 2e-6
_TRAINING_ROWS = 6_000

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Model:
    """One model.

    Attributes:
        name: Also its id in every server.
        served: The file that slipstream serves.
        onnx: The file that the rivals serve.
        width: Columns of a row.
        output: Name of the ONNX output that is answered.
        probabilities: Whether the answer is probabilities beside labels.
    """

    name: str
    served: Path
    onnx: Path
    width: int
    output: str
    probabilities: bool

    def expected(self, rows: Array) -> Array:
        """What is right: by ONNX Runtime for networks, by XGBoost itself for the forest."""
        return _reference(self)(rows)

    def rows(self, count: int, seed: int) -> Array:
        """Rows that nothing was trained on, with four decimals as people send them."""
        values = np.random.default_rng(seed).normal(size=(count, self.width))
        return np.round(values, 4).astype(np.float32)


SMALL_WIDTHS = (16, 64, 3)
WIDE_WIDTHS = (512, 1024, 1024, 10)
DEEP_INPUTS, DEEP_WIDTH, DEEP_LAYERS, DEEP_CLASSES = 64, 1024, 512, 10


def _network(name: str, width: int) -> Model:
    file = FOLDER / f"{name}.onnx"
    return Model(name, served=file, onnx=file, width=width, output="y", probabilities=False)


SMALL = _network("small", SMALL_WIDTHS[0])
WIDE = _network("wide", WIDE_WIDTHS[0])
DEEP = _network("deep", DEEP_INPUTS)
GBDT = Model(
    name="gbdt",
    served=FOLDER / "gbdt.ubj",
    onnx=FOLDER / "gbdt.onnx",
    width=30,
    output="probabilities",
    probabilities=True,
)
MODELS = {model.name: model for model in (SMALL, WIDE, DEEP, GBDT)}


def make_all() -> None:
    """Makes what slipstream serves, where it is not there yet."""
    for model in MODELS.values():
        make(model)


def make(model: Model) -> None:
    """Makes what slipstream serves of one model, where it is not there yet."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    if model.served.is_file():
        return
    if model is GBDT:
        _train(model.served)
    elif model is DEEP:
        deep = networks.residual(DEEP_INPUTS, DEEP_WIDTH, DEEP_LAYERS, DEEP_CLASSES, seed=5)
        onnx.save(deep, model.served)
    else:
        widths = SMALL_WIDTHS if model is SMALL else WIDE_WIDTHS
        onnx.save(networks.dense(widths, seed=len(widths)), model.served)


def make_for_rivals(model: Model) -> None:
    """Makes the file that rivals serve: the forest has to be converted for them.

    Raises:
        SetupError: the converter could not be installed, or failed.
    """
    if model is GBDT and not GBDT.onnx.is_file():
        python = tools.environment(FOREST_RECIPES / "onnx.txt", "onnx")
        wrapper = GBDT.served.with_suffix(".joblib")
        tools.call([python, FOREST_RECIPES / "convert_onnx.py", "xgboost", wrapper, GBDT.onnx])


def _train(file: Path) -> None:
    """Trains the forest on rows of three overlapping classes; always the same."""
    import xgboost

    rng = np.random.default_rng(7)
    x = rng.normal(size=(_TRAINING_ROWS, GBDT.width)).astype(np.float32)
    scores = x[:, :6] @ rng.normal(size=(6, 3)) + np.sin(2 * x[:, 6:9]) + rng.gumbel(size=(1, 3))
    y = np.argmax(scores + rng.gumbel(0, 0.5, scores.shape), axis=1)
    model = xgboost.XGBClassifier(n_estimators=100, max_depth=6, n_jobs=1, random_state=7)
    model.fit(x, y)
    joblib.dump(model, file.with_suffix(".joblib"))
    model.save_model(file)


@cache
def _reference(model: Model) -> Callable[[Array], Array]:
    if model.probabilities:
        wrapper: Any = joblib.load(model.served.with_suffix(".joblib"))
        return lambda rows: wrapper.predict_proba(rows).astype(np.float32)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        str(model.onnx), options, providers=["CPUExecutionProvider"]
    )
    return lambda rows: session.run([model.output], {"x": rows})[0]


def differs(answer: bytes, right: Array) -> str | None:
    """None where the JSON of an answer is ``right`` as numbers; else what is wrong."""
    try:
        got = np.asarray(json.loads(answer), dtype=np.float64)
    except ValueError as error:
        return f"{answer[:120]!r} is no array: {error}"
    if got.size != right.size:
        return f"{got.size} numbers where {right.size} are right"
    got = got.reshape(right.shape)
    if np.allclose(got, right, rtol=_RELATIVE, atol=_ABSOLUTE):
        return None
    row = int(np.argmax(np.abs(got - right).max(axis=1)))
    return f"row {row}: {got[row].tolist()} where {right[row].tolist()} is right"
