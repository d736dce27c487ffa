"""The runner of the ``process`` backend: a model served by its own library, in a child process.

``load`` is what manifests name (``slipstream.models.runners:load``). It opens the artifact as
guardedly as the converter did and answers in the tensors of the manifest beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from slipstream.adapters.base import Served, quiet
from slipstream.adapters.open import open_source
from slipstream.errors import ModelLoadError
from slipstream.models.manifest import Manifest, Tensor, decode
from slipstream.worker.runner import TensorSpec

Array = npt.NDArray[Any]


class ModelRunner:
    """A `slipstream.worker.runner.Runner` around an opened model.

    Attributes:
        inputs, outputs: As the manifest lists them.
        batchable: False only for custom classes that did not say otherwise.
    """

    def __init__(self, served: Served, manifest: Manifest) -> None:
        self._served = served
        self.inputs = [_spec(tensor) for tensor in manifest.inputs]
        self.outputs = [_spec(tensor) for tensor in manifest.outputs]
        self.batchable = served.batchable
        self._places: dict[Any, int] | None = None
        if manifest.label_encoding == "index":
            labels = served.classes[0].tolist()
            self._places = {label: place for place, label in enumerate(labels)}

    def run(self, inputs: list[Array], wanted: int) -> Sequence[Array | None]:
        """Predictions, and probabilities where somebody wants them.

        Raises:
            ValueError, TypeError: The estimator's own refusal of these rows.
        """
        rows = self._served.rows([_owned(values) for values in inputs])
        answers: list[Array | None] = [None] * len(self.outputs)
        with quiet():
            if wanted & 1:
                answers[0] = self._predictions(rows)
            probabilities = self._served.predict_proba
            if wanted >> 1 and probabilities is not None:
                for place, part in enumerate(probabilities(rows), start=1):
                    answers[place] = np.ascontiguousarray(part)
        return answers

    def _predictions(self, rows: Any) -> Array:
        answer = self._served.predict(rows)
        if self._places is not None:
            flat = [self._places[label] for label in answer.reshape(-1).tolist()]
            return np.array(flat, dtype=np.int64).reshape(answer.shape)
        if answer.dtype.kind == "U":
            return answer.astype(object)
        if answer.dtype.kind == "S":
            return np.char.decode(answer, "utf-8", "replace").astype(object)
        return np.ascontiguousarray(answer)


def load(artifact_path: str, options: dict[str, str]) -> ModelRunner:
    """Open the artifact of a manifest whose backend is ``process``.

    Args:
        artifact_path: The artifact; ``manifest.json`` lies beside it.
        options: ``runner.kind`` (see `slipstream.adapters.open`), and for custom models
            ``runner.custom_root``, the folder of the operator's modules, and for pickles of several
            estimators ``runner.ensemble_method``.

    Raises:
        ModelLoadError: The artifact or its manifest is missing or damaged.
    """
    path = Path(artifact_path)
    given = {key.removeprefix("runner."): value for key, value in options.items()}
    root = given.get("custom_root")
    try:
        manifest = decode((path.parent / "manifest.json").read_bytes())
        kind = given["kind"]
    except OSError as error:
        raise ModelLoadError(f"the manifest beside {path.name} cannot be read: {error}") from error
    except KeyError as error:
        raise ModelLoadError("the runner needs the option runner.kind from the manifest") from error
    root_folder = Path(root) if root is not None else None
    served = open_source(path, kind, root_folder, given.get("ensemble_method"))
    return ModelRunner(served, manifest)


def _spec(tensor: Tensor) -> TensorSpec:
    dims = tuple(-1 if extent is None else extent for extent in tensor.shape)
    return TensorSpec(name=tensor.name, dtype=tensor.dtype, dims=dims)


def _owned(values: Array) -> Array:
    """A writable copy: the views that come in are gone after the call, and are read-only."""
    return np.array(values, copy=True)
