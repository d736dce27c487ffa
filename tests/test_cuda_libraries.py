"""CUDA's libraries are loaded from wheels before ONNX Runtime looks for them: made-up folders."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

from made_up_gpus import library
from slipstream.engine import torch_library
from slipstream.errors import MissingDependencyError
from slipstream.gpu import gpus
from slipstream.gpu.cuda_libraries import preload, wheel_folders, wheel_of
from slipstream.gpu.elf import needed


class Opened:
    """Stands in for the dynamic linker: writes down what it was asked for."""

    def __init__(self, *on_the_system: str) -> None:
        self.names: list[str] = []
        self._system = on_the_system

    def __call__(self, name: str) -> object:
        if not Path(name).is_file() and name not in self._system:
            raise OSError(f"{name}: cannot open shared object file: No such file or directory")
        self.names.append(Path(name).name)
        return object()


@pytest.fixture
def provider(tmp_path: Path) -> Path:
    file = tmp_path / "libonnxruntime_providers_cuda.so"
    file.write_bytes(
        library("libcublas.so.13", "libcublasLt.so.13", "libcudnn.so.9", "libcudart.so.13")
        + library("libm.so.6")
    )
    return file


@pytest.fixture
def wheels(tmp_path: Path) -> list[Path]:
    """As CUDA 13's wheels lie: one folder for all of it, and one for cuDNN."""
    cuda, cudnn = tmp_path / "cu13" / "lib", tmp_path / "cudnn" / "lib"
    cuda.mkdir(parents=True)
    cudnn.mkdir(parents=True)
    (cuda / "libcublas.so.13").write_bytes(library("libcublasLt.so.13", "libc.so.6"))
    (cuda / "libcublasLt.so.13").write_bytes(library("libc.so.6"))
    (cuda / "libcudart.so.13").write_bytes(library("libc.so.6"))
    (cuda / "libnvrtc.so.13").write_bytes(library("libc.so.6"))
    (cuda / "libcufft.so.12").write_bytes(library("libc.so.6"))
    (cudnn / "libcudnn.so.9").write_bytes(library("libcudart.so.13"))
    (cudnn / "libcudnn_ops.so.9").write_bytes(library("libcudnn.so.9"))
    return [cuda, cudnn]


def test_what_a_library_needs_comes_before_it(provider: Path, wheels: list[Path]) -> None:
    opened = Opened()
    loaded = preload(provider, wheels, opened)
    assert loaded == opened.names
    assert loaded == [
        *("libcublasLt.so.13", "libcublas.so.13", "libcudart.so.13", "libcudnn.so.9"),
        "libnvrtc.so.13",  # cuDNN opens it by its name, later
    ]


def test_the_second_time_there_is_nothing_to_do(provider: Path, wheels: list[Path]) -> None:
    preload(provider, wheels, Opened())
    again = Opened()
    assert preload(provider, wheels, again) == again.names == []


def test_what_is_on_the_system_is_left_there(provider: Path, wheels: list[Path]) -> None:
    (wheels[1] / "libcudnn.so.9").unlink()
    opened = Opened("libcudnn.so.9")
    assert "libcudnn.so.9" not in preload(provider, wheels, opened)
    assert "libcudnn.so.9" in opened.names


def test_a_missing_wheel_is_named_and_looked_for_again(provider: Path, wheels: list[Path]) -> None:
    missing = wheels[1] / "libcudnn.so.9"
    content = missing.read_bytes()
    missing.unlink()
    with pytest.raises(MissingDependencyError) as raised:
        preload(provider, wheels, Opened())
    assert raised.value.message.startswith(
        "libonnxruntime_providers_cuda.so needs libcudnn.so.9, which is neither in an installed "
        "package nor on this system"
    )
    assert "pip install nvidia-cudnn-cu13" in raised.value.message
    assert raised.value.details == {"package": "nvidia-cudnn-cu13"}
    missing.write_bytes(content)  # it is installed meanwhile
    assert "libcudnn.so.9" in preload(provider, wheels, Opened())


def test_one_that_another_needs_is_missing(provider: Path, wheels: list[Path]) -> None:
    (wheels[0] / "libcublasLt.so.13").unlink()
    with pytest.raises(MissingDependencyError, match=r"needs libcublasLt\.so\.13, which is"):
        preload(provider, wheels, Opened())


@pytest.mark.parametrize(
    ("name", "cuda", "wheel"),
    [
        ("libcublasLt.so.12", 12, "nvidia-cublas-cu12"),
        ("libcublasLt.so.13", 13, "nvidia-cublas"),
        ("libcufft.so.11", 12, "nvidia-cufft-cu12"),
        ("libcudart.so.13", 13, "nvidia-cuda-runtime"),
        ("libcurand.so.10", 13, "nvidia-curand"),
        ("libnvrtc.so.12", 12, "nvidia-cuda-nvrtc-cu12"),
        ("libcudnn.so.9", 12, "nvidia-cudnn-cu12"),
        ("libcudnn_ops.so.9", 13, "nvidia-cudnn-cu13"),
        ("libnvinfer.so.10", 13, "tensorrt-cu13"),
        ("libnvonnxparser.so.10", 13, "tensorrt-cu13"),
        ("libcuda.so.1", 13, None),
        ("libstdc++.so.6", 13, None),
        ("libonnxruntime_providers_shared.so", 13, None),
    ],
)
def test_wheels(name: str, cuda: int, wheel: str | None) -> None:
    assert wheel_of(name, cuda) == wheel


class TestNeeded:
    def test_a_real_library(self) -> None:
        found = importlib.util.find_spec("onnxruntime")
        assert found is not None and found.submodule_search_locations is not None
        folder = Path(found.submodule_search_locations[0], "capi")
        assert "libc.so.6" in needed(next(folder.glob("libonnxruntime.so*")))

    @pytest.mark.parametrize("content", [b"", b"no library", library("liba.so.1")[:200]])
    def test_what_is_none_needs_nothing(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "file").write_bytes(content)
        assert needed(tmp_path / "file") == []
        assert needed(tmp_path / "absent") == []

    def test_every_cut_and_every_flipped_byte_is_survived(self, tmp_path: Path) -> None:
        whole, file = library("liba.so.1", "libb.so.2"), tmp_path / "file"
        for place in range(len(whole)):
            file.write_bytes(whole[:place])
            assert isinstance(needed(file), list)
            file.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
            assert isinstance(needed(file), list)


def test_a_real_wheel_is_found_and_loaded(tmp_path: Path) -> None:
    folders = wheel_folders()
    if not any((folder / "libcudart.so.13").is_file() for folder in folders):
        pytest.skip("nvidia-cuda-runtime for CUDA 13 is not installed")
    provider = tmp_path / "libonnxruntime_providers_cuda.so"
    provider.write_bytes(library("libcudart.so.13"))
    assert "libcudart.so.13" in preload(provider)
    assert "libcudart.so.13" in Path("/proc/self/maps").read_text()


def test_a_torch_backend_is_for_gpus_if_it_needs_torchs_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpus, "torch_backend_folder", lambda: tmp_path)
    file = tmp_path / torch_library.LIBRARY
    file.write_bytes(library("libc10.so") + b"libc10_cuda.so")
    assert "without CUDA" in (gpus.why_not("torch") or "")
    file.write_bytes(library("libc10.so", "libc10_cuda.so"))  # compiled anew
    os.utime(file, ns=(1, 1))
    assert gpus.why_not("torch") is None
