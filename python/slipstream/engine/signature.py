"""What a loaded model takes and gives: its manifest, completed by what the backend found."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from slipstream import _engine
from slipstream.models.manifest import Layout, Manifest

if TYPE_CHECKING:
    from slipstream.engine.recurrence import Recurrence

Spec = tuple[str, str, tuple[int, ...]]


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

    def decoder(self) -> _engine.InputDecoder:
        """A parser for the rows of this model, in every form that requests bring them."""
        return _engine.InputDecoder(
            self.layout,
            self.inputs,
            column_names=self.column_names,
            accepts_missing=self.accepts_missing,
            ignored=self.ignored,
        )


def signature_of(
    manifest: Manifest, core_model: _engine.Model, recurrence: Recurrence | None
) -> Signature:
    """The backend's specs are the truth about tensors, the manifest about columns."""
    return Signature(
        layout=manifest.layout,
        inputs=core_model.inputs if recurrence is None else recurrence.given,
        outputs=core_model.outputs,
        column_names=tuple(column.name for column in manifest.columns or ()),
        accepts_missing=manifest.accepts_missing or manifest.model_type == "onnx",
        ignored=tuple(at for at, column in enumerate(manifest.columns or ()) if column.ignored),
        kept_outputs=frozenset() if recurrence is None else recurrence.kept_outputs,
    )
