"""The part of `slipstream._engine` that composes models; at run time it is all one module."""

from collections.abc import Sequence

from slipstream._engine import Engine, Model, Spec

class EnsembleMember:
    """What an ensemble reads of one member's answer.

    Args:
        model: No ensemble itself.
        output: Index of the output that is read.
        width: Numbers a row that it must have.
        skip: Of these, left out in front.
        whole_labels: Labels in class order, where the output holds labels that are integers.
        text_labels: The same, where it holds text. Neither: its numbers are read as they are.
        is_owned: Nobody else uses the model: it is closed with the ensemble.
    """

    def __init__(
        self,
        model: Model,
        *,
        output: int,
        width: int = 1,
        skip: int = 0,
        whole_labels: Sequence[int] = (),
        text_labels: Sequence[str] = (),
        is_owned: bool = False,
    ) -> None: ...

def ensemble(
    engine: Engine,
    *,
    name: str,
    members: Sequence[EnsembleMember],
    rule: str,
    inputs: Sequence[Spec],
    outputs: Sequence[Spec],
    weights: Sequence[float] = (),
    final_member: EnsembleMember | None = None,
    is_passthrough: bool = False,
) -> Model:
    """Several models as one: they run side by side, without Python in between.

    ``rule`` is ``soft_vote`` (outputs: class places and mean probabilities), ``hard_vote`` (class
    places), ``mean`` (of columns), ``tensor_mean`` (of tensors of any shape) or ``stack`` (what
    ``final_member`` answers to the members' columns, followed by the rows themselves if
    ``is_passthrough``). Members that take float32 where ``inputs`` says float64 get the numbers
    rounded.

    Raises:
        InvalidInputError: members or weights that do not go together; says which.
    """
