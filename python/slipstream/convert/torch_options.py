"""What the torch backend is told of an artifact."""

from __future__ import annotations

from collections.abc import Sequence

from slipstream.models.manifest import Tensor


def backend_options(
    inputs: Sequence[Tensor], outputs: Sequence[Tensor], **options: bool | str | Sequence[str]
) -> dict[str, str]:
    """Options of the torch backend (``csrc/backends/torch/options.h``).

    Those that would say what is the default are left out.
    """
    given = {"inputs": _lines(inputs), "outputs": _lines(outputs)}
    for name, value in options.items():
        if isinstance(value, str):
            given[name] = value
        elif isinstance(value, bool):
            given |= {name: "true"} if value else {}
        elif value:
            given[name] = "\n".join(value)
    return given


def _lines(tensors: Sequence[Tensor]) -> str:
    lines = []
    for tensor in tensors:
        dims = ",".join("-1" if size is None else str(size) for size in tensor.shape) or "-"
        lines.append(f"{tensor.dtype} {dims} {tensor.name}")
    return "\n".join(lines)
