"""From a torch module to an artifact of the torch backend, proven: in the converter child only.

A TorchScript archive is asked what it takes (`torch_signature`), frozen where that changes no
answer, and run by the backend that will serve it on the rows that it has answered before.
"""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from slipstream.adapters.base import quiet
from slipstream.adapters.torch_script import (
    changed_attributes,
    load_script,
    open_script,
    tensor_versions,
)
from slipstream.convert import torch_signature
from slipstream.convert.torch_places import Argument, argument_of, flatten
from slipstream.convert.torch_proof import prove, require_torch_backend
from slipstream.convert.torch_session import backend_options
from slipstream.convert.torch_signature import Named, Signature, Weights, same
from slipstream.convert.torch_told import Told
from slipstream.errors import ModelLoadError
from slipstream.models.manifest import Constant, Manifest, State, Tensor

ARTIFACT = "model.pt"
STATE = "state"
"""Name of the input and the output that carry what a module remembers."""
_TOLERANCE = 1e-5
"""Of an output's largest number: between the module as it was and as it is served."""


class _Opened(NamedTuple):
    """A module with what was read of it."""

    module: Any
    arguments: list[Argument]
    states: list[str]


def build_script(
    source: Path, sha256: str, told: Told, out: Path, say: Callable[[str], None]
) -> Manifest:
    """The artifact of a TorchScript archive, and its manifest.

    Raises:
        MissingDependencyError: no torch, or no torch backend.
        UnsafeModelError: it names an operator that reaches files.
        ModelLoadError: it does not open, what it takes cannot be found out, or the backend answers
            otherwise than the module.
    """
    require_torch_backend()
    with quiet():
        return _build(open_script(source), source, sha256, told, out, say)


def _build(
    module: Any, source: Path, sha256: str, told: Told, out: Path, say: Callable[[str], None]
) -> Manifest:

    say("asking the model what it takes")
    opened = _Opened(module, _arguments(module, told), changed_attributes(module))
    found = _ask(opened, told)
    in_place = _changed_in_place(opened, found)
    states = sorted({*opened.states, *in_place})
    if in_place:  # what it answered until now may depend on what it was asked before
        opened = _Opened(load_script(source), opened.arguments, states)
        found = _ask(opened, told)
    if states and STATE in {tensor.name for tensor in (*found.inputs, *found.outputs)}:
        raise ModelLoadError(
            f"the module changes {states[0]!r}, which is kept under the name {STATE!r}, and has a "
            "tensor of that name already: rename that"
        )
    copy_inputs = _writes_to_inputs(opened, found)
    artifact = out / ARTIFACT
    shutil.copyfile(source, artifact)
    options = backend_options(
        found.inputs,
        found.outputs,
        states=states,
        batchable=found.batchable,
        copy_inputs=copy_inputs,
    )
    if not states:
        _freeze(opened, found, artifact, say)
    say("comparing with the model as it was")
    fresh = _Opened(load_script(artifact), *opened[1:])
    _prove(fresh, found, artifact, options, has_state=bool(states))
    return manifest_of(
        found,
        sha256,
        estimator=str(getattr(module, "original_name", "") or "") or None,
        artifact=ARTIFACT,
        options=options,
        constants=told.constants,
        has_state=bool(states),
    )


def _ask(opened: _Opened, told: Told) -> Signature:
    leaves = [leaf for argument in opened.arguments for leaf in argument.leaves]
    return torch_signature.find(
        leaves,
        told.shapes,
        told.constants,
        _call(opened),
        _weights(opened.module),
        may_batch=not opened.states,
    )


def manifest_of(
    found: Signature,
    sha256: str,
    *,
    estimator: str | None,
    artifact: str,
    options: dict[str, str],
    constants: dict[str, Constant],
    has_state: bool = False,
) -> Manifest:
    """The manifest of an artifact of the torch backend."""
    import torch

    kept = Tensor(name=STATE, dtype="uint8", shape=(None,))
    return Manifest(
        model_type="pytorch",
        framework=f"torch {torch.__version__}",
        estimator=estimator,
        backend="torch",
        artifact=artifact,
        backend_options=options,
        compiled=True,
        source_sha256=sha256,
        task="tensors",
        layout="tensors",
        inputs=(*found.inputs, kept) if has_state else found.inputs,
        outputs=(*found.outputs, kept) if has_state else found.outputs,
        states=(State(input=STATE, output=STATE, shape=(0,)),) if has_state else (),
        constants=constants,
        example_shapes={
            tensor.name: tuple(np.shape(value))
            for tensor, value in zip(found.inputs, found.examples[0], strict=True)
        },
    )


def _arguments(module: Any, told: Told) -> list[Argument]:
    """Of forward(): those that have no default, and those that the operator names."""
    arguments = []
    known: set[str] = set()
    for argument in module._c._get_method("forward").schema.arguments[1:]:
        mentioned = any(
            name == argument.name or name.startswith(f"{argument.name}.") for name in told.names
        )
        is_optional = argument.has_default_value() or argument.type.kind() == "OptionalType"
        if is_optional and not mentioned:
            continue
        arguments.append(argument_of(argument.type, argument.name, told.names))
        known |= {leaf.name for leaf in arguments[-1].leaves}
    unknown = [name for name in told.names if name not in known]
    if unknown:
        raise ModelLoadError(
            f"the file beside the model says something of {unknown[0]!r}, which forward() does not "
            f"take; it takes {', '.join(sorted(known)) or 'nothing'}"
        )
    if not known:
        raise ModelLoadError("forward() takes no inputs, so there is nothing to ask")
    return arguments


def _call(opened: _Opened) -> torch_signature.Call:
    """Asks the module as it would be asked for a first request: it remembers nothing."""
    import torch

    def call(values: Sequence[Any]) -> Named:
        module = copy.deepcopy(opened.module) if opened.states else opened.module
        with torch.inference_mode():
            return flatten(module(**_built(opened, map(_copied, values))))

    return call


def _built(opened: _Opened, values: Iterable[Any]) -> dict[str, Any]:
    """The arguments of forward() that these values of the leaves make up."""
    leaves = [leaf.name for argument in opened.arguments for leaf in argument.leaves]
    named = dict(zip(leaves, values, strict=True))
    return {one.name: one.build(named) for one in opened.arguments}


def _copied(value: Any) -> Any:
    import torch

    return value.clone() if isinstance(value, torch.Tensor) else value


def _changed_in_place(opened: _Opened, found: Signature) -> list[str]:
    """Parameters and buffers that a call writes to."""
    import torch

    module = copy.deepcopy(opened.module)
    before = tensor_versions(module)
    with torch.inference_mode():
        for values in found.examples:
            module(**_built(opened, map(_copied, values)))
    return [name for name, count in tensor_versions(module).items() if count != before[name]]


def _weights(module: Any) -> Weights:
    tensors = (*module.named_parameters(), *module.named_buffers())
    return Weights(tuple((name, tuple(one.shape)) for name, one in tensors))


def _writes_to_inputs(opened: _Opened, found: Signature) -> bool:
    import torch

    module = copy.deepcopy(opened.module) if opened.states else opened.module
    for values in found.examples:
        given = [_copied(value) for value in values]
        with torch.inference_mode():
            module(**_built(opened, given))
        if not all(map(partial(same, tolerance=0.0), values, given)):
            return True
    return False


def _freeze(opened: _Opened, found: Signature, artifact: Path, say: Callable[[str], None]) -> None:
    """Puts the frozen module in the artifact's place if it answers the same."""
    import torch

    unfinished = artifact.with_name("frozen.pt")
    try:
        torch.jit.save(torch.jit.freeze(opened.module), str(unfinished))
        frozen = load_script(unfinished)
        ask_it, ask = _call(opened._replace(module=frozen)), _call(opened)
        agrees = all(_agree(ask(values), ask_it(values), _TOLERANCE) for values in found.examples)
    except Exception as error:  # freezing is an optimisation that may not apply, in many ways
        say(f"not frozen ({type(error).__name__})")
        agrees = False
    if agrees:
        unfinished.replace(artifact)
    else:
        unfinished.unlink(missing_ok=True)


def _agree(left: Named, right: Named, tolerance: float) -> bool:
    return len(left) == len(right) and all(
        one[0] == other[0] and same(one[1], other[1], tolerance)
        for one, other in zip(left, right, strict=True)
    )


def _prove(
    opened: _Opened, found: Signature, artifact: Path, options: dict[str, str], *, has_state: bool
) -> None:
    call = _call(opened)
    answers = [call(values) for values in found.examples]
    again = [call(values) for values in found.examples]
    is_certain = all(map(partial(_agree, tolerance=0.0), answers, again))
    prove(
        artifact,
        options,
        found,
        answers,
        state=[np.zeros(0, np.uint8)] if has_state else [],
        tolerance=_TOLERANCE if is_certain else None,
    )
