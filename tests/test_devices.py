"""Which devices there are: without a driver, and on the fake one of the C++ tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import made_up_gpus
import slipstream
import slipstream.errors
from cli_runs import run_code
from cli_runs import slipstream as command

KEYS = ["cuda_available", "reason", "driver_cuda_version", "cuda"]


def found(state: Path, **settings: str) -> dict[str, Any]:
    ended = command("devices", "--json", state=state, **settings)
    assert (ended.returncode, ended.stderr) == (0, "")
    body: dict[str, Any] = json.loads(ended.stdout)
    assert list(body) == KEYS
    return body


@pytest.fixture
def fake_driver() -> str:
    """The folder of a driver with one device."""
    return made_up_gpus.fake_driver()


@pytest.fixture
def broken_driver(tmp_path: Path) -> str:
    """The folder of a driver that cannot be loaded, found before any that this machine has."""
    (tmp_path / "libcuda.so.1").write_text("no library")
    return str(tmp_path)


def test_here() -> None:
    devices = slipstream.devices()
    assert devices.cuda_available == bool(devices.cuda) == (devices.reason is None)
    assert (devices.driver_cuda_version is None) == (not devices.cuda_available)
    assert slipstream.devices() == devices
    with pytest.raises(AttributeError):
        devices.reason = "none"  # type: ignore[misc]


def test_without_a_driver(broken_driver: str, tmp_path: Path) -> None:
    body = found(tmp_path, LD_LIBRARY_PATH=broken_driver)
    assert (body["cuda_available"], body["driver_cuda_version"], body["cuda"]) == (False, None, [])
    if body["reason"].startswith("this build was made without CUDA's headers"):
        pytest.skip(body["reason"])
    assert body["reason"].startswith("no NVIDIA driver: libcuda.so.1 cannot be loaded (")
    ended = command("devices", state=tmp_path, LD_LIBRARY_PATH=broken_driver)
    assert (ended.returncode, ended.stdout) == (0, f"cuda: unavailable ({body['reason']})\n")


def test_with_a_driver(fake_driver: str, tmp_path: Path) -> None:
    body = found(tmp_path, LD_LIBRARY_PATH=fake_driver)
    assert body == {
        "cuda_available": True,
        "reason": None,
        "driver_cuda_version": "13.0",
        "cuda": [
            {
                "index": 0,
                "name": "Fake H100",
                "compute_capability": "9.0",
                "total_memory_bytes": 2**30,
                "multiprocessors": 114,
                "copy_engines": 3,
                "pci_bus_id": "0000:3B:00.0",
            }
        ],
    }
    ended = command("devices", state=tmp_path, LD_LIBRARY_PATH=fake_driver)
    assert ended.stdout == "cuda:0: Fake H100, compute capability 9.0, 1.0 GiB, PCI 0000:3B:00.0\n"


def test_pinned_memory_without_a_driver() -> None:
    if slipstream.devices().cuda_available:
        pytest.skip("there is a device here")
    with pytest.raises(slipstream.errors.SlipstreamError, match=r"CUDA|NVIDIA driver"):
        slipstream.pinned_empty(4)


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        *((bad, "it takes an integer, or a tuple") for bad in (None, 1.5, "abc", (2, 1.5), ("2",))),
        ((-1, 2), r"\(-1, 2\) has a negative extent"),
        *(
            (bad, "is more than any memory has")
            for bad in (1 << 70, (1 << 40, 1 << 40), (1 << 61,))
        ),
        ((0, 1 << 70), "is more than any memory has"),
    ],
)
def test_what_is_no_shape_of_pinned_memory(shape: Any, said: str) -> None:
    with pytest.raises(slipstream.errors.InvalidInputError, match=f"'shape' is not .*{said}"):
        slipstream.pinned_empty(shape)


@pytest.mark.parametrize("device", [None, 1.5, "gpu", "cpu", "cuda", "cuda:0,cuda:1", -1, 1 << 70])
def test_what_is_no_device_of_pinned_memory(device: Any) -> None:
    with pytest.raises(
        slipstream.errors.InvalidInputError, match=r"'device' is not valid: .*cuda:N"
    ):
        slipstream.pinned_empty(4, device=device)


def test_pinned_memory(fake_driver: str) -> None:
    """Arrays of it are like any other, also as a model's input; views of them are pinned, too."""
    code = """
import numpy as np, slipstream, slipstream.errors
array = slipstream.pinned_empty((8, 3), "float64")
assert (array.shape, array.dtype, array.flags.c_contiguous) == ((8, 3), np.float64, True)
assert slipstream.pinned_empty(0).size == 0
assert slipstream.pinned_empty(()).shape == ()
assert slipstream.pinned_empty(np.int64(3), device=np.int8(0)).shape == (3,)
assert slipstream.pinned_empty(np.array([2, 3]), device="cuda:0").shape == (2, 3)
array[:] = np.arange(24).reshape(8, 3)
view = array[2:4]
del array
assert view.tolist() == [[6, 7, 8], [9, 10, 11]]
for bad in ((lambda: slipstream.pinned_empty(4, object), ValueError),
            (lambda: slipstream.pinned_empty((-1, 2)), slipstream.errors.InvalidInputError),
            (lambda: slipstream.pinned_empty(1 << 40), slipstream.errors.SlipstreamError),
            (lambda: slipstream.pinned_empty(4, device=7), slipstream.errors.SlipstreamError)):
    try:
        bad[0]()
    except bad[1] as error:
        print(error)
    else:
        raise AssertionError(bad)
"""
    assert len(run_code(code, LD_LIBRARY_PATH=fake_driver).splitlines()) == 4


def test_importing_asks_no_driver(fake_driver: str) -> None:
    code = (
        "import slipstream, slipstream.engine.runtime\n"
        "is_open = lambda: 'libcuda.so' in open('/proc/self/maps').read()\n"
        "before = is_open(); slipstream.devices(); print(before, is_open())"
    )
    assert run_code(code, LD_LIBRARY_PATH=fake_driver) == "False True\n"
