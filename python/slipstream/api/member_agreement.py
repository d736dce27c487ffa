"""Whether the members of an ensemble go together: what all take, and the classes they share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from slipstream.api.version import Version
from slipstream.engine.signature import Spec
from slipstream.errors import ModelLoadError
from slipstream.models.ensembles import Label, MemberEntry
from slipstream.models.manifest import Column, Layout

_FLOATS = ("float32", "float64")


class Candidate(NamedTuple):
    """A loaded member, before it is composed."""

    entry: MemberEntry
    version: Version

    @property
    def title(self) -> str:
        """What errors call it."""
        return self.entry.title


class Inputs(NamedTuple):
    """What an ensemble takes."""

    layout: Layout
    specs: list[Spec]
    columns: tuple[Column, ...] | None
    accepts_missing: bool


def shared_inputs(members: Sequence[Candidate]) -> Inputs:
    """What every member can be given.

    Tables of numbers may differ in precision: the ensemble then takes float64, and rounds for the
    members that take float32.

    Raises:
        ModelLoadError: two members take different inputs; names them.
    """
    accepts_missing = all(member.version.signature.accepts_missing for member in members)
    if all(_is_table(member.version) for member in members):
        spec = _shared_table(members)
        return Inputs("matrix", [spec], _shared_columns(members), accepts_missing)
    first = members[0]
    layout = first.version.signature.layout
    for other in members[1:]:
        if _shape_of(other) != _shape_of(first):
            raise ModelLoadError(
                f"members {first.title!r} and {other.title!r} take different inputs "
                f"({_told(first)}; {_told(other)}): an ensemble's members must take the same"
            )
    columns = first.version.manifest.columns
    return Inputs(layout, list(first.version.signature.inputs), columns, accepts_missing)


def _is_table(version: Version) -> bool:
    """Whether it takes one table of numbers."""
    inputs = version.signature.inputs
    return (
        version.signature.layout != "columns"
        and len(inputs) == 1
        and inputs[0][1] in _FLOATS
        and len(inputs[0][2]) == 2
    )


def _shape_of(member: Candidate) -> tuple[object, ...]:
    signature = member.version.signature
    return (signature.layout, *(tuple(spec) for spec in signature.inputs))


def _told(member: Candidate) -> str:
    specs = member.version.signature.inputs
    return ", ".join(f"{name}: {dtype}{list(dims)}" for name, dtype, dims in specs[:4])


def _shared_table(members: Sequence[Candidate]) -> Spec:
    known = [m for m in members if m.version.signature.inputs[0][2][1] >= 0]
    width = known[0].version.signature.inputs[0][2][1] if known else -1
    for other in known:
        own = other.version.signature.inputs[0][2][1]
        if own != width:
            raise ModelLoadError(
                f"member {known[0].title!r} takes {width} columns and member {other.title!r} "
                f"{own}: an ensemble's members must take the same"
            )
    dtypes = {member.version.signature.inputs[0][1] for member in members}
    dtype = "float64" if "float64" in dtypes else "float32"
    return (members[0].version.signature.inputs[0][0], dtype, (-1, width))


def _shared_columns(members: Sequence[Candidate]) -> tuple[Column, ...] | None:
    """The names of the columns; members that were trained without names take any."""
    named = [m for m in members if m.version.manifest.columns is not None]
    if not named:
        return None
    tables = [member.version.manifest.columns or () for member in named]
    names = [column.name for column in tables[0]]
    for member, table in zip(named, tables, strict=True):
        own = [column.name for column in table]
        if own != names:
            place = next(at for at in range(len(names)) if own[at] != names[at])
            raise ModelLoadError(
                f"members {named[0].title!r} and {member.title!r} were trained on different "
                f"columns: number {place + 1} is {names[place]!r} for one, {own[place]!r} for the "
                "other"
            )
    everybody = len(named) == len(members)
    return tuple(
        Column(
            name=name,
            dtype="float64",
            ignored=everybody and all(table[at].ignored for table in tables),
        )
        for at, name in enumerate(names)
    )


def shared_classes(members: Sequence[Candidate]) -> tuple[Label, ...]:
    """The labels that every member answers, in the order of its probabilities.

    Raises:
        ModelLoadError: two members have different ones, or none tells them; says what to write.
    """
    known = [(member, classes_of(member)) for member in members]
    told = [(member, classes) for member, classes in known if classes is not None]
    if not told:
        raise ModelLoadError(
            f"no member tells its classes: give {members[0].title!r} a list of 'classes' in the "
            "ensemble file"
        )
    first, classes = told[0]
    for other, own in told[1:]:
        if list(own) != list(classes):
            raise ModelLoadError(
                f"members {first.title!r} and {other.title!r} have different classes "
                f"({_listed(classes)}; {_listed(own)}): an ensemble's members must have the same, "
                "in the same order",
                classes={first.title: list(classes)[:20], other.title: list(own)[:20]},
            )
    return classes


def classes_of(member: Candidate) -> tuple[Label, ...] | None:
    """Of one member; None where it does not know and the file does not say.

    Raises:
        ModelLoadError: the file says other classes than the model has.
    """
    said, own = member.entry.classes, member.version.manifest.classes
    if said is None or own is None:
        return said or own
    if len(said) != len(own):
        raise ModelLoadError(
            f"member {member.title!r} has {len(own)} classes ({_listed(own)}), and the ensemble "
            f"file lists {len(said)}"
        )
    if list(own) != list(range(len(own))) and list(own) != list(said):
        raise ModelLoadError(
            f"member {member.title!r} has the classes {_listed(own)}; 'classes' in the ensemble "
            "file is for models that do not know theirs"
        )
    return said


def _listed(classes: Sequence[Label]) -> str:
    shown = ", ".join(repr(label) for label in classes[:8])
    return f"{shown}, …" if len(classes) > 8 else shown
