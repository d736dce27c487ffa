"""When ``slipstream build-backend`` compiles, and when not; CMake looks, and nothing is compiled.

What it compiles is tested wherever torch models are.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from slipstream.cli import build_backend
from slipstream.cli.build_backend import build_tensorrt, build_torch
from slipstream.engine import tensorrt_library


@pytest.fixture
def compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was compiled, into folders of this test; CUDA's headers are those of `cuda`."""
    compiled: list[str] = []

    def compile_one(cmake: str, library: str, scratch: Path, jobs: int | None) -> Path:
        compiled.append(library)
        (scratch / library).write_bytes(b"a library")
        return scratch / library

    torch = tmp_path / "torch"
    (torch / "lib").mkdir(parents=True)
    (torch / "lib" / "libtorch_cpu.so").touch()
    monkeypatch.setattr(build_backend, "_compile", compile_one)
    monkeypatch.setattr(build_backend, "_make_example", lambda file: file.touch())
    monkeypatch.setattr(build_backend, "torch_folder", lambda: torch)
    for module in (build_backend, tensorrt_library):
        monkeypatch.setattr(module, "library_folders", lambda _: [tmp_path / "built"])
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "wheels"))
    return compiled


@pytest.fixture
def cuda(tmp_path: Path) -> Callable[[int], Path]:
    """Installs a wheel with CUDA's headers."""

    def install(version: int) -> Path:
        include = tmp_path / "wheels" / "nvidia" / "cu13" / "include"
        include.mkdir(parents=True, exist_ok=True)
        (include / "cudaTypedefs.h").touch()
        (include / "cuda.h").write_text(f"#define CUDA_VERSION {version}\n")
        return include

    return install


def test_torch_is_compiled_anew_when_headers_of_cuda_come(
    compiled: list[str], cuda: Callable[[int], Path], tmp_path: Path
) -> None:
    include = cuda(13000)
    made = build_torch()
    assert build_torch() == made == tmp_path / "built" / build_backend.LIBRARY
    assert len(compiled) == 1
    (tmp_path / "torch" / "lib" / "libc10_cuda.so").touch()  # a torch for CUDA of that version …
    (include / "crt").mkdir()
    (include / "crt" / "host_defines.h").touch()  # … and what its headers need
    assert build_torch() == made
    assert build_torch() == made
    assert len(compiled) == 2
    assert build_torch(force=True) == made
    assert len(compiled) == 3


def test_tensorrt_is_compiled_anew_for_other_headers(
    compiled: list[str], cuda: Callable[[int], Path], tmp_path: Path
) -> None:
    cuda(13000)
    include = tmp_path / "tensorrt"
    include.mkdir()
    (include / "NvInfer.h").touch()

    def headers_of(major: int) -> None:
        numbers = {"MAJOR": major, "MINOR": 1, "PATCH": 0}
        lines = [f"#define NV_TENSORRT_{name} {number}" for name, number in numbers.items()]
        (include / "NvInferVersion.h").write_text("\n".join(lines) + "\n")

    for major, times in ((10, 1), (10, 1), (11, 2), (11, 2)):
        headers_of(major)
        build_tensorrt(include)
        assert len(compiled) == times
    cuda(13010)
    build_tensorrt(include)
    assert len(compiled) == 3
