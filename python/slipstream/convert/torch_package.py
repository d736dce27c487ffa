"""From an AOTInductor package, as it is, to an artifact: in the converter child only.

A package is machine code: it is opened where the operator allows code, and it does not check what
it is given. So its inputs must be told, in order, in the file beside it; its outputs are found out
by asking.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from slipstream.adapters.base import missing_package, quiet
from slipstream.convert import torch_signature
from slipstream.convert.torch_options import backend_options
from slipstream.convert.torch_places import Leaf, flatten
from slipstream.convert.torch_proof import prove, require_torch_backend
from slipstream.convert.torch_script import manifest_of
from slipstream.convert.torch_signature import Named, Weights
from slipstream.convert.torch_told import Told
from slipstream.convert.torch_words import first_line
from slipstream.errors import ModelLoadError
from slipstream.models.manifest import Manifest

ARTIFACT = "model.pt2"


def build_package(
    source: Path, sha256: str, told: Told, out: Path, say: Callable[[str], None]
) -> Manifest:
    """The artifact of a package, and its manifest.

    Raises:
        MissingDependencyError: no torch, or no torch backend.
        ModelLoadError: its inputs are not told, or it fails on such inputs.
    """
    require_torch_backend()
    with quiet():
        say("opening the package")
        count, call = _open(source)
        if len(told.inputs) != count:
            raise ModelLoadError(
                f"the package takes {count} tensors and does not say which: tell all of them, in "
                f"their order, in {told.file}: [inputs.NAME] dtype, shape"
            )
        leaves = [Leaf(one.name, None, None) for one in told.inputs]
        found = torch_signature.find(leaves, told.shapes, {}, call, Weights(()), may_batch=True)
        artifact = out / ARTIFACT
        shutil.copyfile(source, artifact)
        options = backend_options(
            found.inputs, found.outputs, kind="package", batchable=found.batchable
        )
        prove(artifact, options, found, [call(values) for values in found.examples])
        return manifest_of(
            found,
            sha256,
            estimator="AOTInductor package",
            artifact=ARTIFACT,
            options=options,
            constants={},
        )


def _open(source: Path) -> tuple[int, torch_signature.Call]:
    """How many tensors a package takes, and a way to ask it."""
    try:
        import torch
        from torch.utils import _pytree as pytree
    except ImportError as error:
        raise missing_package("torch", "torch", error) from error
    try:
        loader = torch._C._aoti.AOTIModelPackageLoader(str(source), "model", False, 1, -1)
        taken, given = map(pytree.treespec_loads, loader.get_call_spec())
    except Exception as error:  # the loader raises what it likes
        raise ModelLoadError(
            f"torch {torch.__version__} cannot open the package: {first_line(error)}"
        ) from error

    def call(values: Sequence[Any]) -> Named:
        with torch.no_grad():
            results = loader.run([value.clone() for value in values])
        return flatten(pytree.tree_unflatten(results, given))

    return taken.num_leaves, call
