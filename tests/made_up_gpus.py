"""GPUs, drivers and packages for them that are not there, for tests on machines without any."""

from __future__ import annotations

import functools
import importlib.util
import struct
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from slipstream.engine.devices import CudaDevice, Devices
from slipstream.gpu import gpus as gpus_module
from slipstream.gpu import nvml as management
from slipstream.models.manifest import Manifest
from slipstream.models.prepare import Prepared

FAKE = Path(__file__).resolve().parent.parent / "build" / "dev" / "tests" / "cpp" / "cuda" / "fake"
NO_DRIVER = "no NVIDIA driver: libcuda.so.1 is not found (as this test has it)"


def fake_driver() -> str:
    """The folder of a driver with one device; skips where it is not built."""
    if not (FAKE / "libcuda.so.1").is_file():
        pytest.skip("there is no fake driver: cmake --build --preset dev --target fake_cuda")
    return str(FAKE)


def gpus(*numbers: int) -> Devices:
    """What a driver would tell of these; none: that there is no driver."""
    return Devices(
        cuda_available=bool(numbers),
        reason=None if numbers else NO_DRIVER,
        driver_cuda_version="13.0" if numbers else None,
        cuda=tuple(
            CudaDevice(
                index=number,
                name=f"Made-up {number}",
                compute_capability="9.0",
                total_memory_bytes=1 << 36,
                multiprocessors=132,
                copy_engines=3,
                pci_bus_id=f"0000:{number:02X}:00.0",
            )
            for number in numbers
        ),
    )


def install_nvml(monkeypatch: pytest.MonkeyPatch, module: ModuleType | None) -> None:
    """Has ``pynvml`` be this module, or not be there, and forgets the one that was begun."""
    monkeypatch.setitem(sys.modules, "pynvml", module)
    begin = functools.cache(management.begun.__wrapped__)
    monkeypatch.setattr(management, "begun", begin)


def library(*needed: str) -> bytes:
    """A shared library that needs these and holds nothing: enough to be read, not to be loaded."""
    names, places = b"\0", []
    for name in needed:
        places.append(len(names))
        names += name.encode() + b"\0"
    header, segment, entry = 64, 56, 16
    strings = header + 2 * segment + entry * (len(needed) + 2)
    dynamic = b"".join(struct.pack("<qQ", 1, place) for place in places)
    dynamic += struct.pack("<qQ", 5, strings) + struct.pack("<qQ", 0, 0)
    begin = header + 2 * segment
    total = strings + len(names)
    file = b"\x7fELF\x02\x01\x01" + bytes(9)
    file += struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, header, 0, 0, header, segment, 2, 0, 0, 0)
    file += struct.pack("<IIQQQQQQ", 1, 4, 0, 0, 0, total, total, 4096)
    file += struct.pack("<IIQQQQQQ", 2, 4, begin, begin, begin, len(dynamic), len(dynamic), 8)
    return file + dynamic + names


def gpu_onnxruntime(folder: Path, needed: Sequence[str] = ()) -> str:
    """A folder for PYTHONPATH: this ONNX Runtime in a package that looks as one for GPUs."""
    found = importlib.util.find_spec("onnxruntime")
    assert found is not None and found.submodule_search_locations is not None
    real = next(Path(found.submodule_search_locations[0], "capi").glob("libonnxruntime.so*"))
    capi = folder / "onnxruntime" / "capi"
    capi.mkdir(parents=True)
    (folder / "onnxruntime" / "__init__.py").touch()
    (capi / real.name).symlink_to(real)
    (capi / "libonnxruntime_providers_cuda.so").write_bytes(library(*needed))
    return str(folder)


def write_double(file: Path) -> Path:
    """An ONNX graph: f32[n, 2] to twice that."""
    import onnx
    from onnx import TensorProto, helper

    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "double", [x], [y])
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), str(file))
    return file


def manifest(backend: Any = "onnx", **options: str) -> Manifest:
    return Manifest(
        model_type=backend,
        framework=backend,
        backend=backend,
        artifact="model.onnx",
        backend_options=options,
        compiled=True,
        source_sha256="0" * 64,
        task="tensors",
        layout="tensors",
        inputs=(),
        outputs=(),
    )


def prepared(folder: Path, backend: str = "onnx") -> Prepared:
    return Prepared(manifest=manifest(backend), folder=folder / "key", size_bytes=3 << 20)


def made_up_machine(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that says which GPUs there are, what is free on them, and what cannot be used."""

    def has(
        *numbers: int, free: dict[int, int] | None = None, why: dict[str, str] | None = None
    ) -> list[str]:
        asked: list[str] = []

        def survey() -> Any:
            asked.append("driver")
            return gpus(*numbers)

        monkeypatch.setattr(gpus_module, "survey", survey)
        monkeypatch.setattr(gpus_module, "free_bytes", lambda one: (free or {}).get(one.index))
        monkeypatch.setattr(
            gpus_module, "why_not", lambda backend, provider="cuda": (why or {}).get(backend)
        )
        return asked

    return has
