"""What a loaded model takes and gives: its manifest, completed by what the backend found."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from slipstream import _engine
from slipstream.errors import ModelLoadError
from slipstream.models.manifest import Layout, Manifest

if TYPE_CHECKING:
    from slipstream.engine.recurrence import Recurrence

Spec = tuple[str, str, tuple[int, ...]]

_NETWORKS = frozenset({"onnx", "pytorch", "tensorflow", "tensorrt"})
"""Types of models that compute with NaN and infinity as with any number. Estimators refuse them, so
what was compiled of those must; to look for them costs more than a small network takes."""


class Signature(NamedTuple):
    """Immutable; made once per loaded version of a model."""

    layout: Layout
    inputs: list[Spec]
    """What a request brings: without states and constants."""
    outputs: list[Spec]
    """Of the backend, all of them."""
    column_names: tuple[str, ...]
    accepts_missing: bool
    ignored: tuple[int, ...] = ()
    """Columns that the model drops, by place."""
    kept_outputs: frozenset[str] = frozenset()
    """Outputs that come back as inputs, and that no answer shows."""
    takes_text: bool = False
    """Whether a string stands for a row of numbers: its UTF-8 bytes."""
    is_batchable: bool = True
    """Whether the first dimension of each input and output counts rows."""

    def decoder(self) -> _engine.InputDecoder:
        """A parser for the rows of this model, in every form that requests bring them."""
        return _engine.InputDecoder(
            self.layout,
            self.inputs,
            column_names=self.column_names,
            accepts_missing=self.accepts_missing,
            ignored=self.ignored,
            takes_text=self.takes_text,
        )


def signature_of(
    manifest: Manifest,
    core_model: _engine.Model,
    recurrence: Recurrence | None,
    *,
    takes_text: bool = False,
) -> Signature:
    """The backend's specs are the truth about tensors, the manifest about columns.

    Raises:
        ModelLoadError: it is said to take text as bytes, and has no input that could.
    """
    signature = Signature(
        layout=manifest.layout,
        inputs=core_model.inputs if recurrence is None else recurrence.given,
        outputs=core_model.outputs,
        column_names=tuple(column.name for column in manifest.columns or ()),
        accepts_missing=manifest.accepts_missing or manifest.model_type in _NETWORKS,
        ignored=tuple(at for at, column in enumerate(manifest.columns or ()) if column.ignored),
        kept_outputs=frozenset() if recurrence is None else recurrence.kept_outputs,
        takes_text=takes_text,
        is_batchable=core_model.batchable,
    )
    if takes_text and not any(_holds_text(spec) for spec in signature.inputs):
        raise ModelLoadError(
            "[text] of its sidecar says that texts are rows of bytes, but the model has no input "
            "of numbers whose last dimension is of any size"
        )
    return signature


def _holds_text(spec: Spec) -> bool:
    _, dtype, dims = spec
    return dtype not in ("bool", "int8", "string") and bool(dims) and dims[-1] < 0
