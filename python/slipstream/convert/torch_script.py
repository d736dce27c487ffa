"""From a torch module to an artifact of the torch backend, proven: in the converter child only.

The code of a TorchScript archive is read for what it remembers (`torch_memory`); it is asked what
it takes (`torch_signature`), frozen where that changes no answer, and run by the backend that will
serve it on the rows that it has answered before. An object that was asked may have changed: what
is frozen, and what answers are compared with, is loaded anew.
"""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from slipstream.adapters.base import quiet
from slipstream.adapters.torch_script import load_script, open_script
from slipstream.convert import torch_signature
from slipstream.convert.torch_memory import memory_of, seen_changing
from slipstream.convert.torch_options import backend_options
from slipstream.convert.torch_places import Argument, argument_of, flatten
from slipstream.convert.torch_proof import prove, prove_stream, require_torch_backend
from slipstream.convert.torch_signature import Named, Signature, Weights, same
from slipstream.convert.torch_told import Told
from slipstream.errors import ModelLoadError
from slipstream.models.manifest import Constant, Manifest, State, Tensor

ARTIFACT = "model.pt"
STATE = "state"
"""Name of the input and the output that carry what a module remembers."""
_TOLERANCE = 1e-5
"""Of an output's largest number: between the module as it was and as it is served."""
_STEPS = 3
"""Requests of the stream that is compared."""


class _Opened(NamedTuple):
    """A module with what was read of it."""

    module: Any
    arguments: list[Argument]
    states: tuple[str, ...]


class AnswersOtherwiseError(ModelLoadError):
    """The archive opens and runs, and does not answer as the module that it was made of."""


def build_script(
    source: Path,
    sha256: str,
    told: Told,
    out: Path,
    say: Callable[[str], None],
    original: Callable[[], Any] | None = None,
) -> Manifest:
    """The artifact of a TorchScript archive, and its manifest.

    ``original`` gives the eager module that the archive was made of, each time a new one.

    Raises:
        MissingDependencyError: no torch, or no torch backend.
        UnsafeModelError: it names an operator that reaches files.
        AnswersOtherwiseError: the original answers otherwise.
        ModelLoadError: it does not open, what it takes cannot be found out, it remembers what
            cannot be kept, or the backend answers otherwise than the module.
    """
    require_torch_backend()
    with quiet():
        module = open_script(source)
        opened, found, copy_inputs = _look(module, source, told, say, original)
        if original is not None:
            say("comparing with the module that it was made of")
            _require_same(original, opened, found)
        return _build(opened, found, copy_inputs, source, sha256, told, out, say)


def _look(
    module: Any,
    source: Path,
    told: Told,
    say: Callable[[str], None],
    original: Callable[[], Any] | None,
) -> tuple[_Opened, Signature, bool]:
    """What a module remembers, takes and gives, and whether it needs copies of its inputs."""
    say("reading its code")
    memory = memory_of(module)
    say("asking the model what it takes")
    opened = _Opened(module, _arguments(module, told), memory.states)
    found = _ask(opened, told, original)
    seen = seen_changing(load_script(source), memory, partial(_call_all, opened, found))
    if seen:  # what it answered until now may depend on what it was asked before
        fresh = load_script(source)
        memory = memory_of(fresh, seen)
        opened = opened._replace(module=fresh, states=memory.states)
        found = _ask(opened, told, original)
    if memory.states and STATE in {tensor.name for tensor in (*found.inputs, *found.outputs)}:
        raise ModelLoadError(
            f"the module changes {memory.states[0]!r}, which is kept under the name {STATE!r}, and "
            "has a tensor of that name already: rename that"
        )
    opened = opened._replace(module=load_script(source))  # nobody has called this one
    return opened, found, memory.writes_inputs or _writes_to_inputs(opened, found)


def _call_all(opened: _Opened, found: Signature, module: Any) -> None:
    import torch

    with torch.inference_mode():
        for values in found.examples:
            module(**_built(opened, map(_copied, values)))


def _build(
    opened: _Opened,
    found: Signature,
    copy_inputs: bool,
    source: Path,
    sha256: str,
    told: Told,
    out: Path,
    say: Callable[[str], None],
) -> Manifest:
    has_state = bool(opened.states)
    artifact = out / ARTIFACT
    shutil.copyfile(source, artifact)
    options = backend_options(
        found.inputs,
        found.outputs,
        states=opened.states,
        batchable=found.batchable,
        copy_inputs=copy_inputs,
    )
    if not has_state:
        _freeze(opened._replace(module=load_script(source)), found, artifact, say)
    say("comparing with the model as it was")
    _prove(opened, found, source, artifact, options)
    return manifest_of(
        found,
        sha256,
        estimator=str(getattr(opened.module, "original_name", "") or "") or None,
        artifact=ARTIFACT,
        options=options,
        constants=told.constants,
        has_state=has_state,
    )


def _require_same(original: Callable[[], Any], opened: _Opened, found: Signature) -> None:
    """Refuses an archive that answers otherwise than the eager module that it was made of.

    Raises:
        AnswersOtherwiseError: to the same values, under the same seed.
    """
    import torch

    ask = _call(opened)
    for seed, values in enumerate(found.examples):
        module = original()
        torch.manual_seed(seed)
        expected = _ask_eager(module, opened, values)
        torch.manual_seed(seed)
        if not _agree(expected, ask(values), _TOLERANCE):
            raise AnswersOtherwiseError(
                "the module answers otherwise when TorchScript runs it than by itself, as with "
                "torch.jit.is_scripting(), or a __call__ of its own: export it with torch.export"
            )


def _ask_eager(module: Any, opened: _Opened, values: Sequence[Any]) -> Named:
    """What a module of Python says to values for the leaves of ``opened``."""
    import torch

    names = [one.name for one in opened.module._c._get_method("forward").schema.arguments[1:]]
    named = _built(opened, map(_copied, values))
    given = [named.pop(name) for name in takewhile(named.__contains__, names)]
    with torch.no_grad():
        return flatten(module(*given, **named))


def _ask(opened: _Opened, told: Told, original: Callable[[], Any] | None) -> Signature:
    """What the module takes; where it was made of an eager one, what both answer.

    Code of TorchScript checks less: a trace of nn.LSTM answers rows of any width.
    """
    call = _call(opened)
    eager = None if original is None else original()

    def both(values: Sequence[Any]) -> Named:
        _ask_eager(copy.deepcopy(eager) if opened.states else eager, opened, values)
        return call(values)

    leaves = [leaf for argument in opened.arguments for leaf in argument.leaves]
    return torch_signature.find(
        leaves,
        told.shapes,
        told.constants,
        call if eager is None else both,
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
    opened: _Opened, found: Signature, source: Path, artifact: Path, options: dict[str, str]
) -> None:
    """Compares what the backend answers with the module as it was saved, freshly loaded.

    Raises:
        ModelLoadError: they differ; or the module answers otherwise when it is asked again, and
            that is not by chance.
    """
    one, other = (_call(opened._replace(module=load_script(source))) for _ in range(2))
    answers = _seeded(one, found.examples)
    is_certain = _all_agree(answers, _seeded(other, found.examples))
    if is_certain and not _all_agree(answers, _seeded(one, found.examples)):
        raise ModelLoadError(
            "the module answers otherwise when it is asked again, and not by chance: it remembers "
            "something that was not found in its code. Keep it in buffers that forward() changes"
        )
    tolerance = _TOLERANCE if is_certain else None
    state = [np.zeros(0, np.uint8)] if opened.states else []
    prove(artifact, options, found, answers, state=state, tolerance=tolerance)
    if opened.states and is_certain:
        values = found.examples[0]
        call = _call(opened._replace(module=load_script(source), states=()))  # so it goes on
        prove_stream(artifact, options, values, _seeded(call, [values] * _STEPS), _TOLERANCE * 10)


def _seeded(call: torch_signature.Call, examples: Sequence[Sequence[Any]]) -> list[Named]:
    """Answers, each under a seed of its own: `prove` asks under the same."""
    import torch

    answers = []
    for seed, values in enumerate(examples):
        torch.manual_seed(seed)
        answers.append(call(values))
    return answers


def _all_agree(left: Sequence[Named], right: Sequence[Named]) -> bool:
    return all(map(partial(_agree, tolerance=_TOLERANCE), left, right))
