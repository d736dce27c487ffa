"""From an ensemble file to one model whose members run side by side in the core.

Voting and stacking are computed in ``csrc/core/compose``; here members are put in place, and it is
written down what each contributes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import msgspec
import numpy as np

from slipstream.api.member_agreement import Candidate, Inputs, shared_classes, shared_inputs
from slipstream.engine.runtime import CoreEngine, CoreEnsembleMember, CoreModel, core_ensemble
from slipstream.engine.signature import Spec
from slipstream.errors import InvalidInputError, ModelLoadError
from slipstream.models.ensembles import EnsembleFile, EnsembleMethod, Label
from slipstream.models.manifest import Manifest, Tensor

Rule = Literal["soft_vote", "hard_vote", "mean", "tensor_mean", "stack"]
_PREDICTIONS, _PROBABILITIES = "predictions", "probabilities"


class Composed(NamedTuple):
    """An ensemble that answers."""

    core: CoreModel
    manifest: Manifest


class _Shape(NamedTuple):
    """How the members' answers become the ensemble's."""

    rule: Rule
    readers: list[CoreEnsembleMember]
    manifest: Manifest
    outputs: list[Spec]


def compose(
    engine: CoreEngine,
    name: str,
    ensemble: EnsembleFile,
    sha256: str,
    members: Sequence[Candidate],
    final: Candidate | None,
) -> Composed:
    """Puts loaded members together.

    Args:
        engine: That all members were loaded by.
        name: Of the ensemble.
        ensemble: The file; its ``ensemble_method`` is set.
        sha256: Of the file.
        members: In the file's order.
        final: Of stacking: the model that takes their answers.

    Raises:
        ModelLoadError: members that do not go together; names them.
    """
    method = ensemble.ensemble_method or "voting"
    inputs = shared_inputs(members)
    blank = _blank(method, sha256, inputs, members)
    if method == "stacking":
        assert final is not None, "the file was checked"
        shape = _stack(members, final, blank)
    elif _classifies(members):
        shape = _vote(ensemble, members, blank)
    else:
        if ensemble.voting is not None:
            raise ModelLoadError(
                f"member {members[0].title!r} does not classify, so there is nothing to vote on: "
                "leave 'voting' out, and the mean of the members' answers is taken"
            )
        shape = _mean(members, blank)
    weights = [member.entry.weight for member in members]
    try:
        core = core_ensemble(
            engine,
            name=name,
            members=shape.readers,
            rule=shape.rule,
            inputs=inputs.specs,
            outputs=shape.outputs,
            weights=[] if len(set(weights)) == 1 else weights,
            final_member=None if final is None else _member(final, 0),
            is_passthrough=ensemble.passthrough,
        )
    except InvalidInputError as error:
        raise ModelLoadError(error.message) from error
    return Composed(core, shape.manifest)


def _blank(
    method: EnsembleMethod, sha256: str, inputs: Inputs, members: Sequence[Candidate]
) -> Manifest:
    """What a manifest says of every ensemble; its answers are still to be told."""
    frameworks = dict.fromkeys(member.version.manifest.framework for member in members)
    slow = [m.title for m in members if not m.version.manifest.compiled]
    return Manifest(
        model_type="ensemble",
        framework=", ".join(frameworks),
        estimator=method,
        backend="ensemble",
        artifact="",
        compiled=not slow,
        reason=f"members run as they are: {', '.join(slow)}" if slow else None,
        source_sha256=sha256,
        task="regression",
        layout=inputs.layout,
        inputs=tuple(_tensor(spec) for spec in inputs.specs),
        outputs=(),
        columns=inputs.columns,
        accepts_missing=inputs.accepts_missing,
    )


def _tensor(spec: Spec) -> Tensor:
    name, dtype, dims = spec
    return Tensor(name=name, dtype=dtype, shape=tuple(None if d < 0 else int(d) for d in dims))


def _filled(blank: Manifest, outputs: list[Spec], **answers: object) -> Manifest:
    return msgspec.structs.replace(
        blank, outputs=tuple(_tensor(spec) for spec in outputs), **answers
    )


def _classifies(members: Sequence[Candidate]) -> bool:
    return any(
        member.version.manifest.task == "classification"
        or member.entry.classes is not None
        or member.version.answers.probabilities_output is not None
        for member in members
    )


def _vote(ensemble: EnsembleFile, members: Sequence[Candidate], blank: Manifest) -> _Shape:
    classes = shared_classes(members)
    without = [m for m in members if _probabilities_of(m, classes) is None]
    voting = ensemble.voting or ("hard" if without else "soft")
    if voting == "soft" and without:
        raise ModelLoadError(
            f"member {without[0].title!r} gives no probabilities of the {len(classes)} classes, "
            "which soft voting takes the mean of: leave it out, or vote hard"
        )
    outputs: list[Spec] = [(_PREDICTIONS, "int64", (-1,))]
    dtype = next(
        (m.version.manifest.classes_dtype for m in members if m.entry.classes is None), None
    ) or str(
        np.array(classes).dtype.str if isinstance(classes[0], str) else np.array(classes).dtype
    )
    answers: dict[str, object] = {
        "task": "classification",
        "predictions": _PREDICTIONS,
        "label_encoding": "index",
        "classes": classes,
        "classes_dtype": dtype,
        "predictions_dtype": dtype,
    }
    if voting == "hard":
        readers = [_label_reader(member, classes) for member in members]
        return _Shape("hard_vote", readers, _filled(blank, outputs, **answers), outputs)
    outputs.append((_PROBABILITIES, "float64", (-1, len(classes))))
    answers |= {"probabilities": (_PROBABILITIES,), "probabilities_dtype": "float64"}
    readers = [
        _member(member, _probabilities_of(member, classes) or 0, width=len(classes))
        for member in members
    ]
    return _Shape("soft_vote", readers, _filled(blank, outputs, **answers), outputs)


def _mean(members: Sequence[Candidate], blank: Manifest) -> _Shape:
    widths = [_answer_width(member) for member in members]
    if any(width is None for width in widths):  # networks: tensors of any shape
        return _tensor_mean(members, blank)
    for member, width in zip(members, widths, strict=True):
        if width != widths[0]:
            raise ModelLoadError(
                f"member {members[0].title!r} answers {widths[0]} numbers a row and member "
                f"{member.title!r} {width}: an ensemble's members must answer alike"
            )
    width = widths[0] or 1
    tail = () if width == 1 else (width,)
    outputs: list[Spec] = [(_PREDICTIONS, "float64", (-1, *tail))]
    manifest = _filled(
        blank,
        outputs,
        predictions=_PREDICTIONS,
        predictions_dtype="float64",
        predictions_shape=tail,
    )
    readers = [_member(m, m.version.answers.prediction_output, width=width) for m in members]
    return _Shape("mean", readers, manifest, outputs)


def _tensor_mean(members: Sequence[Candidate], blank: Manifest) -> _Shape:
    several = [m for m in members if len(m.version.signature.outputs) != 1]
    if several:
        raise ModelLoadError(
            f"member {several[0].title!r} has {len(several[0].version.signature.outputs)} outputs: "
            "the mean is taken of models with one"
        )
    outputs = list(members[0].version.signature.outputs)
    manifest = _filled(blank, outputs, task="tensors")
    return _Shape("tensor_mean", [_member(m, 0) for m in members], manifest, outputs)


def _stack(members: Sequence[Candidate], final: Candidate, blank: Manifest) -> _Shape:
    """The final model answers; its manifest says how."""
    classes = shared_classes(members) if _classifies(members) else None
    readers = [
        _column_reader(member) if classes is None else _stacked_classifier(member, classes)
        for member in members
    ]
    own = final.version.manifest
    outputs = list(final.version.signature.outputs)
    manifest = _filled(
        blank,
        outputs,
        task=own.task,
        predictions=own.predictions,
        probabilities=own.probabilities,
        label_encoding=own.label_encoding,
        classes=final.entry.classes or own.classes,
        classes_dtype=None if final.entry.classes else own.classes_dtype,
        predictions_dtype=None if final.entry.classes else own.predictions_dtype,
        predictions_shape=own.predictions_shape,
        probabilities_dtype=own.probabilities_dtype,
    )
    return _Shape("stack", readers, manifest, outputs)


def _stacked_classifier(member: Candidate, classes: tuple[Label, ...]) -> CoreEnsembleMember:
    """Its probabilities, of two classes only the second's; without them, its label's place."""
    output = _probabilities_of(member, classes)
    if output is None:
        return _label_reader(member, classes)
    return _member(member, output, width=len(classes), skip=1 if len(classes) == 2 else 0)


def _column_reader(member: Candidate) -> CoreEnsembleMember:
    width = _answer_width(member)
    if width is None:
        raise ModelLoadError(
            f"member {member.title!r} does not answer a fixed number of numbers a row, which are "
            "the columns that stacking needs"
        )
    return _member(member, member.version.answers.prediction_output, width=width)


def _probabilities_of(member: Candidate, classes: tuple[Label, ...]) -> int | None:
    """The output with one probability a class; None if there is none.

    Of a network with a single output that is as wide as there are classes, that one.
    """
    outputs = member.version.signature.outputs
    place = member.version.answers.probabilities_output
    if place is None and len(outputs) == 1 and member.version.manifest.task == "tensors":
        place = 0
    if place is None:
        return None
    _, dtype, dims = outputs[place]
    fits = len(dims) == 2 and dims[1] in (-1, len(classes)) and dtype in ("float32", "float64")
    return place if fits else None


def _label_reader(member: Candidate, classes: tuple[Label, ...]) -> CoreEnsembleMember:
    """Its label, as a place in ``classes``."""
    version = member.version
    place = version.answers.prediction_output
    name, dtype, dims = version.signature.outputs[place]
    is_row = len(dims) == 1 or (len(dims) == 2 and dims[1] == 1)
    if not is_row or (dtype in ("float32", "float64") and version.manifest.task == "tensors"):
        raise ModelLoadError(
            f"member {member.title!r} gives no label a row (its output {name!r} is {dtype} of "
            f"shape {list(dims)}), which hard voting needs: vote soft, or leave it out"
        )
    if version.manifest.label_encoding == "index":
        return _member(member, place)
    if dtype == "string":
        if not all(isinstance(label, str) for label in classes):
            raise ModelLoadError(
                f"member {member.title!r} answers with text, and the classes are {classes[:4]!r}"
            )
        return _member(member, place, text_labels=[str(label) for label in classes])
    own = member.version.manifest.classes if member.entry.classes is None else None
    labels = own or _places_or(classes)
    if not all(isinstance(label, (bool, int)) or float(label).is_integer() for label in labels):
        raise ModelLoadError(
            f"member {member.title!r} answers with the labels {labels[:4]!r}, which are neither "
            "text nor whole numbers"
        )
    return _member(member, place, whole_labels=[int(label) for label in labels])


def _places_or(classes: tuple[Label, ...]) -> tuple[Label, ...]:
    """What a member that answers numbers can mean by them: text classes it knows by place."""
    return tuple(range(len(classes))) if isinstance(classes[0], str) else classes


def _answer_width(member: Candidate) -> int | None:
    """Numbers a row of its predictions; None where that is not known."""
    version = member.version
    if version.manifest.predictions is None and len(version.signature.outputs) > 1:
        return None
    if version.manifest.task in ("clustering", "outlier"):
        raise ModelLoadError(
            f"member {member.title!r} is a model of {version.manifest.task}: there is no mean of "
            "what it answers"
        )
    _, dtype, dims = version.signature.outputs[version.answers.prediction_output]
    if dtype == "string":
        raise ModelLoadError(f"member {member.title!r} answers with text: there is no mean of it")
    if len(dims) == 1:
        return 1
    return int(dims[1]) if len(dims) == 2 and dims[1] >= 0 else None


def _member(
    member: Candidate,
    output: int,
    *,
    width: int = 1,
    skip: int = 0,
    whole_labels: Sequence[int] = (),
    text_labels: Sequence[str] = (),
) -> CoreEnsembleMember:
    return CoreEnsembleMember(
        member.version.running,
        output=output,
        width=width,
        skip=skip,
        whole_labels=whole_labels,
        text_labels=text_labels,
        is_owned=member.entry.model_id is None,
    )
