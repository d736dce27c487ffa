"""The scripts that take slipstream to a machine with a GPU, run without one and offline."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PIECE_BYTES = 64


def piped(folder: Path) -> Path:
    """A Python whose pip downloads empty archives of the names that it is asked for."""
    python = folder / "python"
    python.write_text(
        f"#!{sys.executable}\n"
        "import pathlib, sys, zipfile\n"
        "to, name = pathlib.Path(sys.argv[sys.argv.index('-d') + 1]), sys.argv[-1]\n"
        "file = to / (name.replace('-', '_').replace('==', '-') + '-py3-none-any.whl')\n"
        "with zipfile.ZipFile(file, 'w') as archive:\n"
        "    archive.writestr('x/METADATA', 'Requires-Dist: pydantic-core==1.2')\n"
    )
    python.chmod(0o755)
    return python


def collect(folder: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / "scripts" / "device_wheels.sh", folder / "wheels", *flags],
        env={**os.environ, "PYTHON": str(piped(folder))},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


class TestCollecting:
    def test_without_a_flag(self, tmp_path: Path) -> None:
        run = collect(tmp_path)
        assert run.returncode == 0, run.stderr
        found = {file.name.partition("-")[0] for file in (tmp_path / "wheels").iterdir()}
        assert found >= {"msgspec", "pytest", "pytest_timeout", "pytest_benchmark", "hypothesis"}
        assert (tmp_path / "wheels" / "pydantic_core-1.2-py3-none-any.whl").is_file()

    def test_onnxruntime_is_the_one_that_is_tested(self, tmp_path: Path) -> None:
        run = collect(tmp_path, "--onnxruntime-gpu")
        assert run.returncode == 0, run.stderr
        pin = re.search(r"^onnxruntime-gpu==(.*)$", (ROOT / "constraints.txt").read_text(), re.M)
        assert pin is not None
        [piece] = (tmp_path / "wheels-1").iterdir()
        assert piece.name == f"onnxruntime_gpu-{pin[1]}-py3-none-any.whl.part-00"

    def test_a_wrong_flag(self, tmp_path: Path) -> None:
        run = collect(tmp_path, "--onnxruntime")
        assert (run.returncode, run.stderr.startswith("usage: ")) == (2, True)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """One with nothing but the script, which works in a folder of its checkout."""
    script = tmp_path / "checkout" / "scripts" / "device_check.sh"
    script.parent.mkdir(parents=True)
    script.write_bytes((ROOT / "scripts" / "device_check.sh").read_bytes())
    script.chmod(0o755)
    return script.parent.parent


def check(checkout: Path, *step: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Called from beside the checkout."""
    return subprocess.run(
        [checkout / "scripts" / "device_check.sh", *step],
        env={**os.environ, "PYTHON": sys.executable, "OUT": "found", **environment},
        cwd=checkout.parent, capture_output=True, text=True, check=False,
    )  # fmt: skip


class TestChecking:
    def test_nothing_of_an_earlier_run_is_left(self, checkout: Path) -> None:
        found = checkout.parent / "found"
        found.mkdir()
        old = [found / name for name in ("bench.md", "bench.json", "tests.xml", "versions.txt")]
        for file in [*old, found / "summary.txt", found / "of_mine.txt"]:
            file.write_text("of an earlier run")
        run = check(checkout, BUDGET_S="0", PATIENCE="1.5")
        assert run.returncode == 1  # no step was begun
        assert "of an earlier run" not in run.stdout
        assert not [file for file in old if file.exists()]
        assert "bench: not begun" in (found / "summary.txt").read_text()
        assert (found / "of_mine.txt").is_file()
        assert not (checkout / "found").exists()

    @pytest.mark.parametrize(
        ("environment", "said"),
        [
            ({"PATIENCE": "much"}, "PATIENCE=much is no number, as 1.5 is"),
            ({"BUDGET_S": "1e3"}, "BUDGET_S=1e3 is no whole number of seconds"),
            ({"WHEELS": "nowhere"}, "there is no folder nowhere, which WHEELS names"),
            ({"PYTHON": "./nobody"}, "there is no PYTHON=./nobody"),
        ],
    )
    def test_what_is_called_wrongly(
        self, checkout: Path, environment: dict[str, str], said: str
    ) -> None:
        run = check(checkout, **environment)
        assert (run.returncode, run.stderr) == (2, f"device_check.sh: {said}\n")

    def pieces(self, folder: Path) -> list[Path]:
        """Of one wheel, each in a folder of its own."""
        wheel = folder / "large-1-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr("large.py", "x = 1\n" * 20)
        data, made = wheel.read_bytes(), []
        wheel.unlink()
        for number, begin in enumerate(range(0, len(data), PIECE_BYTES)):
            made.append(folder / f"w-{number}" / f"{wheel.name}.part-{number:02}")
            made[-1].parent.mkdir()
            made[-1].write_bytes(data[begin : begin + PIECE_BYTES])
        assert len(made) > 3
        return made

    def test_pieces_are_joined(self, checkout: Path) -> None:
        made = self.pieces(checkout.parent)
        folders = [piece.parent.name for piece in made]
        run = check(checkout, "--step", "wheels", WHEELS=":".join(folders[::-1]))
        assert run.returncode == 0, run.stdout
        [wheel] = (checkout / "build" / "device-check" / "wheels").iterdir()
        assert zipfile.ZipFile(wheel).namelist() == ["large.py"]

    @pytest.mark.parametrize("which", [0, 1, -1])
    def test_a_missing_piece_is_told(self, checkout: Path, which: int) -> None:
        made = self.pieces(checkout.parent)
        made[which].unlink()
        folders = ":".join(piece.parent.name for piece in made)
        run = check(checkout, "--step", "wheels", WHEELS=folders)
        assert run.returncode == 1
        assert "large-1-py3-none-any.whl: a piece (of large-1-py3-none" in run.stdout
        assert not list((checkout / "build" / "device-check" / "wheels").iterdir())
