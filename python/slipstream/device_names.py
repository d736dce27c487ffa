"""How devices are written: ``auto``, ``cpu``, ``cuda``, ``cuda:N``, ``cuda:0,cuda:1``.

And what else is said of the GPUs that a model computes on, within which bounds.
"""

from __future__ import annotations

import re

AUTO = "auto"
CPU = "cpu"
CUDA = "cuda"
TWICE = "names a GPU twice"
EXPECTED = "auto, cpu, cuda, cuda:N, or several GPUs separated by commas, as in cuda:0,cuda:1"
_CUDA = "[Cc][Uu][Dd][Aa]"
_GPU = f" *{_CUDA}:[0-9]{{1,3}} *"
PATTERN = rf"^( *([Aa][Uu][Tt][Oo]|[Cc][Pp][Uu]|{_CUDA}) *|{_GPU}(,{_GPU}){{0,63}})$"
"""In any case, with spaces around names."""
_FORM = re.compile(PATTERN)

VISIBLE = "CUDA_VISIBLE_DEVICES"
"""The variable by which the driver hides and orders GPUs."""

PROVIDERS = ("cuda", "tensorrt")
"""What computes ONNX graphs on GPUs and comes with ONNX Runtime."""
PROVIDER_PATTERN = r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$"
PROVIDER_EXPECTED = "cuda, tensorrt, or a name of GPU_PROVIDER_PLUGINS"
MOST_MEMORY_MB = 1 << 20
MOST_BATCHES_IN_FLIGHT = 8
MOST_GRAPH_ROWS = 4096
"""Bounds of `gpu_memory_limit_mb`, `gpu_batches_in_flight`, `gpu_graph_rows`."""
_PROVIDER = re.compile(PROVIDER_PATTERN)


def parse_device(value: object) -> str:
    """A device as it is written here: in lower case, without spaces or leading zeros.

    Raises:
        ValueError: it is not of these forms, or names a GPU twice.
    """
    if not isinstance(value, str) or not _FORM.fullmatch(value):
        raise ValueError
    text = value.replace(" ", "").lower()
    if ":" not in text:
        return text
    numbers = numbers_of(text)
    if len(set(numbers)) < len(numbers):
        raise ValueError(TWICE)
    return name_of(numbers)


def narrowed(visible: str | None, number: int) -> str:
    """`VISIBLE` for a process that is to see one GPU alone, which is its first.

    Args:
        visible: What the variable says now; None: nothing, which shows every GPU.
        number: Of the GPU, among those that are shown now.
    """
    if visible is None:
        return str(number)
    shown = [one.strip() for one in visible.split(",")]
    return shown[number] if number < len(shown) else visible


def is_provider_name(text: str) -> bool:
    """Whether an execution provider may be called so."""
    return _PROVIDER.fullmatch(text) is not None


def numbers_of(device: str) -> tuple[int, ...]:
    """The GPUs that are named by their numbers; none in ``auto``, ``cpu`` and ``cuda``."""
    return tuple(int(one.partition(":")[2]) for one in device.split(",") if ":" in one)


def name_of(numbers: tuple[int, ...]) -> str:
    """The name of these GPUs; that of the processor, where there are none."""
    return ",".join(f"{CUDA}:{number}" for number in numbers) or CPU
