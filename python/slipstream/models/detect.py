"""What kind of model a file holds, by its content, without opening it.

Only the standard library looks at the bytes here: pickles are not loaded, graphs not parsed by
their libraries, Python sources not run. So the server process may do it.
"""

from __future__ import annotations

import mmap
import pickletools
from pathlib import Path
from typing import Literal, cast

import msgspec

from slipstream.adapters.custom import has_entry
from slipstream.errors import ModelLoadError
from slipstream.models.compression import compression_of, unpacked_head
from slipstream.models.containers import container_of
from slipstream.models.ensembles import read_ensemble
from slipstream.models.onnx_files import fields
from slipstream.models.pickle_scan import modern_name

Kind = Literal[
    "pickle",
    "xgboost",
    "lightgbm",
    "onnx",
    "custom",
    "ensemble",
    "torchscript",
    "torch-export",
    "torch-package",
    "torch-save",
    "tensorrt",
    "keras",
    "keras-h5",
    "tflite",
    "saved-model",
]

_HEAD_BYTES = 1 << 16
_LARGEST_SOURCE_BYTES = 4 << 20
_LIBRARIES = {"sklearn": "sklearn", "xgboost": "xgboost", "lightgbm": "lightgbm"}
_MAKERS = {("copyreg", "_reconstructor"), ("copyreg", "__newobj__"), ("builtins", "object")}
_MODEL_PROTO_GRAPH, _MODEL_PROTO_IR, _MODEL_PROTO_OPSETS = 7, 1, 8
_LARGEST_MODEL_FIELD = 26


class Detected(msgspec.Struct, frozen=True, kw_only=True):
    """What `detect` found."""

    kind: Kind
    library: str | None
    """The documented type; None for a pickle that opens with another class (the converter child
    then decides)."""
    compression: str | None = None
    """How the file is compressed as a whole: gzip, zlib, bz2, xz, lz4."""
    what: str | None = None
    """Of a framework's file, for messages: "a TorchScript archive"."""


def detect(path: Path, wanted: str = "auto") -> Detected:
    """Recognise a model file.

    Args:
        path: The file.
        wanted: What it is said to be, for messages.

    Raises:
        ModelLoadError: It is none that slipstream serves; the message says what it looks like.
    """
    with path.open("rb") as stream:
        head = stream.read(_HEAD_BYTES)
    if not head:
        raise ModelLoadError(f"{path.name} is empty")
    if head.startswith(_OLD_TORCH_MAGIC):
        raise ModelLoadError(
            f"{path.name} is of the old format of torch.save: open it and save it again with torch "
            "1.6 or later"
        )
    if path.suffix == ".py":
        return _custom(path)
    if read_ensemble(path) is not None:
        return Detected(kind="ensemble", library="ensemble", what="an ensemble file")
    plain = _uncompressed(head, path)
    if plain is not None:
        return plain
    container = container_of(path, head)
    if container is not None:
        kind = cast(Kind, container.kind)
        return Detected(kind=kind, library=container.library, what=container.what)
    method = compression_of(head)
    if method is not None:
        inner = unpacked_head(path, method, _HEAD_BYTES)
        library = _pickle_library(inner)
        if library is not _NO_PICKLE:
            return Detected(kind="pickle", library=library, compression=method)
        if _is_to_be_plan(path, wanted):
            raise ModelLoadError(
                f"{path.name} is no TensorRT plan: it is {method}-compressed; unpack it"
            )
        raise ModelLoadError(f"{path.name} is {method}-compressed but holds no pickled model")
    raise ModelLoadError(_guess(path, head, wanted))


def _is_to_be_plan(path: Path, wanted: str) -> bool:
    return wanted == "tensorrt" or (wanted == "auto" and path.suffix.lower() in _PLANS)


def _uncompressed(head: bytes, path: Path) -> Detected | None:
    if head.startswith(b"tree\n") and b"\nversion=" in head:
        return Detected(kind="lightgbm", library="lightgbm")
    start = head.lstrip()[:64].replace(b" ", b"").replace(b"\n", b"")
    if start.startswith(b'{"learner"') or (start.startswith(b"{L") and b"learner" in head[:32]):
        return Detected(kind="xgboost", library="xgboost")
    if start.startswith(b'{"') and b'"learner"' in head and b'"gradient_booster"' in head:
        return Detected(kind="xgboost", library="xgboost")
    library = _pickle_library(head)
    if library is not _NO_PICKLE:
        return Detected(kind="pickle", library=library)
    if _is_onnx(path):
        return Detected(kind="onnx", library="onnx")
    return None


_PLANS = (".plan", ".engine", ".trt")
"""How files of plans are called."""
_OLD_TORCH_MAGIC = bytes.fromhex("80028a0a6cfc9c46f9206aa85019")
"""A pickle of the number that such a file begins with."""
_NO_PICKLE = "(none)"


def _pickle_library(head: bytes) -> str | None:
    """The package of the first class that a pickle names; `_NO_PICKLE` if ``head`` is no pickle."""
    if not head or not (head[0] == 0x80 or head[:1] in b"c(]}i"):
        return _NO_PICKLE
    strings: list[str] = []
    protocol, known, operations = 0, False, 0
    try:
        for opcode, argument, _ in pickletools.genops(head):
            operations += 1
            known = operations > 1
            if opcode.name == "PROTO":
                protocol = int(argument or 0)
            elif "UNICODE" in opcode.name or opcode.name == "STRING":
                strings.append(str(argument))
            found = None
            if opcode.name in ("GLOBAL", "INST"):
                found = str(argument).partition(" ")[::2]
            elif opcode.name == "STACK_GLOBAL" and len(strings) >= 2:
                found = (strings[-2], strings[-1])
            if found is not None:
                module, name = modern_name(found[0], found[1], protocol)
                if (module, name) not in _MAKERS:
                    return _LIBRARIES.get(module.partition(".")[0])
    except Exception:  # genops raises ValueError and IndexError on anything odd, also on the cut
        pass_through = known and head[0] == 0x80
        return None if pass_through else _NO_PICKLE
    return None


def _is_onnx(path: Path) -> bool:
    """Whether the file is one protobuf message with the fields of ONNX's ModelProto."""
    seen = set()
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            for number, wire, _, _ in fields(data, 0, len(data)):
                if wire not in (0, 2) or not 1 <= number <= _LARGEST_MODEL_FIELD:
                    return False
                seen.add((number, wire))
        except ValueError:
            return False
    return {(_MODEL_PROTO_IR, 0), (_MODEL_PROTO_GRAPH, 2), (_MODEL_PROTO_OPSETS, 2)} <= seen


def _custom(path: Path) -> Detected:
    if path.stat().st_size > _LARGEST_SOURCE_BYTES or not has_entry(path.read_bytes()):
        raise ModelLoadError(
            f"{path.name} is Python source without a top-level assignment to ENTRY: "
            "end it with ENTRY = TheClass"
        )
    return Detected(kind="custom", library="custom")


def _guess(path: Path, head: bytes, wanted: str) -> str:
    """What to tell about a file that is no model of ours."""
    name = path.name
    if head.startswith(b"binf"):
        return f"{name} is in XGBoost's old binary format: save the model again as .ubj or .json"
    if _is_to_be_plan(path, wanted):
        other = ", and no ONNX graph to build one of" if wanted == "tensorrt" else ""
        return (
            f"{name} is no TensorRT plan{other}: it begins with {head[:8]!r}, and a plan with "
            "b'ftrt'. Build one with trtexec --saveEngine, or convert the ONNX model "
            "(model_type 'tensorrt')"
        )
    return (
        f"{name} is no model that slipstream recognises: it serves pickled or joblib-dumped "
        "estimators, XGBoost .ubj/.json, LightGBM .txt, ONNX, TorchScript, torch.export, "
        "TensorRT plans, TensorFlow, ensemble files, and .py files with ENTRY"
    )
