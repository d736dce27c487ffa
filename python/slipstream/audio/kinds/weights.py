"""Weights of a ``transformers`` folder: which are opened, and which are refused.

Files of safetensors are data. A ``pytorch_model.bin`` is a pickle: what it names is found out
without running it, and anything but tensors and dicts is refused, before torch reads it with
``weights_only``, which has been broken before.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any, Final

from slipstream.errors import MissingDependencyError, ModelLoadError, UnsafeModelError
from slipstream.models.pickle_scan import scan

_MOST_PICKLE_BYTES = 256 * 1024 * 1024
_PLAIN: Final = frozenset(
    [
        ("collections", "OrderedDict"),
        ("torch._utils", "_rebuild_tensor_v2"),
        ("torch._utils", "_rebuild_parameter"),
        ("torch", "Size"),
        *(
            ("torch", f"{kind}Storage")
            for kind in "Float Half BFloat16 Double Long Int Short Char Byte Bool".split()
        ),
        ("torch.storage", "UntypedStorage"),
    ]
)


def require_plain_weights(folder: Path) -> None:
    """Looks at all weights below a folder that are pickles.

    Raises:
        UnsafeModelError: one would run code.
        ModelLoadError: one cannot be read, or there are no weights.
    """
    has_weights = any(folder.glob("*.safetensors"))
    for path in sorted((*folder.glob("*.bin"), *folder.glob("*.pt"), *folder.glob("*.pth"))):
        if not (has_weights and path.name.startswith("pytorch_model")):  # else it is not opened
            _require_plain(path)
            has_weights = True
    if not has_weights:
        raise ModelLoadError(
            f"{folder.name} holds no weights: model.safetensors or pytorch_model.bin is missing"
        )


def _require_plain(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            inside = next(one for one in archive.infolist() if one.filename.endswith("/data.pkl"))
            if inside.file_size > _MOST_PICKLE_BYTES:
                raise ModelLoadError(f"{path.name}: its pickle is larger than any of weights")
            data = archive.read(inside)
    except (OSError, zipfile.BadZipFile, StopIteration) as error:
        raise ModelLoadError(
            f"{path.name} is no file of weights that is read here; save the model as safetensors"
        ) from error
    found = scan(io.BytesIO(data), len(data), persistent_ids=True)
    for module, name in found.globals:
        if (module, name) not in _PLAIN:
            raise UnsafeModelError(
                f"{path.name} names {module}.{name}, which weights do not need, and would run it "
                "when opened; save the model as safetensors"
            )


def require_transformers() -> Any:
    """The library.

    Raises:
        MissingDependencyError: it, or torch, is not installed.
    """
    try:
        import torch  # noqa: F401, transformers imports without it
        import transformers
    except ImportError as error:
        raise MissingDependencyError(
            "This model needs transformers and torch, which are not installed: "
            "pip install 'slipstream[transformers]'"
        ) from error
    library: Any = transformers
    library.logging.set_verbosity_error()
    library.logging.disable_progress_bar()
    return library
