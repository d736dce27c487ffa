"""What the processes that this server starts get of its environment: a list of names, no more.

Children open files of strangers and run code that is not ours. The environment of a server also has
secrets that are no settings of slipstream (``HF_TOKEN``, ``AWS_SECRET_ACCESS_KEY``), and nobody
could list them all; so what children need is listed instead, here for every kind of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Final

CHILDREN_KEEP: Final = (
    # Names, and beginnings of names with a star; a star only where no secret begins like that:
    # NVIDIA_API_KEY and TF_TOKEN_app_terraform_io are two.
    *("PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "TZ", "LANG", "LANGUAGE", "LC_*"),
    *("VIRTUAL_ENV", "PYTHONHOME", "PYTHONPATH", "PYTHONHASHSEED", "PYTHONUNBUFFERED"),
    *("PYTHONDONTWRITEBYTECODE", "PYTHONFAULTHANDLER", "PYTHONMALLOC", "PYTHONWARNINGS"),
    *("LD_LIBRARY_PATH", "LD_PRELOAD", "MALLOC_ARENA_MAX"),
    *("ASAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS", "UBSAN_OPTIONS"),
    *("OMP_*", "GOMP_*", "KMP_*", "MKL_*", "OPENBLAS_*", "BLIS_*", "NUMEXPR_*", "NUMBA_*"),
    *("CUDA_*", "NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES", "TF_CPP_MIN_LOG_LEVEL"),
    *("SLIPSTREAM_BACKEND_DIR", "SLIPSTREAM_LOG_LEVEL"),
    "SLIPSTREAM_MODEL_*",  # for custom models: what their operator names so is meant for them
)
"""Of every child's environment; a kind that needs more says so itself."""


def child_environment(
    more: Iterable[str] = (), environ: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The environment of a child.

    Args:
        more: Names, or beginnings with a star, that this kind of child gets besides.
        environ: Of the parent; None means this process's.
    """
    names = (*CHILDREN_KEEP, *more)
    exact = {name for name in names if not name.endswith("*")}
    beginnings = tuple(name[:-1] for name in names if name.endswith("*"))
    return {
        name: value
        for name, value in (os.environ if environ is None else environ).items()
        if name in exact or name.startswith(beginnings)
    }
