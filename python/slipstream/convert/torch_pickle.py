"""From a module that was saved whole (``torch.save(module)``) to TorchScript, and on from there.

Scripting reads the module's own sources, so branches stay branches; where the language has no word
for something, or another meaning, a trace is taken instead, which knows one way through the code
only. Either must answer as the module itself does, for all numbers of rows that are tried.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from slipstream.adapters.base import quiet
from slipstream.adapters.torch_pickle import open_saved
from slipstream.adapters.torch_script import load_script
from slipstream.convert import torch_signature
from slipstream.convert.torch_places import Leaf, flatten
from slipstream.convert.torch_proof import require_torch_backend
from slipstream.convert.torch_script import AnswersOtherwiseError, build_script
from slipstream.convert.torch_signature import Named, Weights, same
from slipstream.convert.torch_told import Told
from slipstream.convert.torch_words import first_line
from slipstream.errors import ModelLoadError
from slipstream.models.manifest import Manifest

_TOLERANCE = 1e-5


def build_pickle(
    source: Path, sha256: str, told: Told, out: Path, say: Callable[[str], None]
) -> Manifest:
    """The artifact of a pickled module, and its manifest.

    Raises:
        MissingDependencyError: no torch, or no torch backend.
        UnsafeModelError: the pickle names something that is not admitted.
        ModelLoadError: it holds no module (weights alone, say), cannot be converted, or answers
            otherwise when it is.
    """
    require_torch_backend()
    with quiet():
        root = None if told.custom_root is None else Path(told.custom_root)

        def original() -> Any:
            return _module_in(open_saved(source, root))

        script = source.with_name("scripted.pt")
        reason = _script(original(), script, say)
        if not reason:
            try:
                return build_script(script, sha256, told, out, say, original)
            except AnswersOtherwiseError as error:
                reason = str(error)
        _trace(original, told, script, reason, say)
        return build_script(script, sha256, told, out, say, original)


def _module_in(saved: Any) -> Any:
    import torch

    if isinstance(saved, torch.nn.Module):
        return saved.eval()
    values = saved.values() if isinstance(saved, dict) else ()
    tensors = sum(isinstance(value, torch.Tensor) for value in values)
    if tensors:
        raise ModelLoadError(
            f"the file holds the weights of a model ({tensors} tensors) and not its code: load the "
            "weights into the model, and save it whole: torch.jit.script(model).save(…), "
            "torch.export.save(…), or torch.onnx.export(…)"
        )
    raise ModelLoadError(f"the file holds a {type(saved).__name__}, no torch module")


def _script(module: Any, script: Path, say: Callable[[str], None]) -> str:
    """Saves a scripted module; the reason why it cannot be scripted, or nothing."""
    import torch

    say("converting to TorchScript")
    try:
        scripted: Any = torch.jit.script(module)
        if not scripted._c._has_method("forward"):  # that of nn.LSTM has several meanings
            return "TorchScript knows no forward() of it"
        scripted.save(str(script))
    except Exception as error:  # the compiler of TorchScript raises what it likes
        return first_line(error)
    return ""


def _trace(
    original: Callable[[], Any], told: Told, script: Path, reason: str, say: Callable[[str], None]
) -> None:
    """Saves a trace, if it answers as modules that were just opened do, for all examples."""
    import torch

    say("tracing")
    module = original()
    call, leaves = _caller(module)
    weights = Weights(tuple((name, tuple(one.shape)) for name, one in module.named_parameters()))
    found = torch_signature.find(
        leaves, told.shapes, told.constants, call, weights, may_batch=False
    )
    with torch.no_grad():
        trace: Any = torch.jit.trace
        trace(original(), tuple(found.examples[0]), check_trace=False).save(str(script))
        for seed, values in enumerate(found.examples):
            torch.manual_seed(seed)
            expected = _caller(original())[0](values)
            torch.manual_seed(seed)
            try:
                got = flatten(load_script(script)(*values))
            except Exception as error:  # what was one number of rows may be a constant of it
                raise _no_trace(reason) from error
            if [name for name, _ in expected] != [name for name, _ in got] or not all(
                same(left[1], right[1], _TOLERANCE)
                for left, right in zip(expected, got, strict=True)
            ):
                raise _no_trace(reason)


def _no_trace(reason: str) -> ModelLoadError:
    return ModelLoadError(
        f"the module cannot be scripted ({reason}), and a trace of it answers "
        "otherwise for another number of rows: export it with torch.export"
    )


def _caller(module: Any) -> tuple[torch_signature.Call, list[Leaf]]:
    """A way to ask an eager module, and its arguments that have no default."""
    import torch

    parameters = inspect.signature(module.forward).parameters.values()
    names = [one.name for one in parameters if one.default is one.empty and one.kind in (0, 1)]
    if not names:
        raise ModelLoadError("forward() takes no inputs, so there is nothing to ask")

    def call(values: Sequence[Any]) -> Named:
        with torch.no_grad():
            return flatten(module(*values))

    return call, [Leaf(name, None, None) for name in names]
