"""Makes the TorchScript archives of the conformance suite, and torch's own answers to examples."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from make_models import line_of


class Many(torch.nn.Module):
    """Tensors of two types in a dict and by themselves; a tuple, a dict and a number back."""

    def forward(
        self, batch: dict[str, torch.Tensor], factor: torch.Tensor
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        joined = torch.cat([batch["features"], batch["counts"].float()], 1) * factor
        return joined, {"doubled": batch["counts"] * 2, "total": joined.sum(1)}


class Texts(torch.nn.Module):
    """A list of texts, joined with a word, and how many there were."""

    def forward(self, texts: list[str], word: str) -> tuple[list[str], int]:
        return [text + word for text in texts], len(texts)


class Sum(torch.nn.Module):
    """Remembers: what it has seen so far, in place, and how often, as a number."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("total", torch.zeros(2))
        self.calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.total.add_(x.sum(0))
        self.calls += 1
        return self.total * self.calls


class Aliases(torch.nn.Module):
    """The input itself, a view of it that does not lie row by row, and a weight."""

    def __init__(self) -> None:
        super().__init__()
        self.table = torch.nn.Parameter(torch.arange(4.0).reshape(2, 2))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        return x, x.t(), self.table


def write(folder: Path, name: str, module: Any, cases: list[dict[str, Any]], answers: Any) -> None:
    """One archive, and the reference: ``answers(module, case)`` gives the outputs by name."""
    script = torch.jit.script(module.eval())
    script.save(str(folder / f"{name}.pt"))
    text = ""
    for case in cases:
        text += "case\n"
        text += "".join(line_of("input", key, np.asarray(value)) for key, value in case.items())
        with torch.inference_mode():
            given = answers(script, case)
        text += "".join(line_of("output", key, np.asarray(value)) for key, value in given.items())
    (folder / f"{name}.reference").write_text(text)


def mlp_answers(module: Any, case: dict[str, Any]) -> dict[str, Any]:
    return {"output": module(torch.from_numpy(case["input"])).detach()}


def many_answers(module: Any, case: dict[str, Any]) -> dict[str, Any]:
    tensors = {key: torch.from_numpy(value) for key, value in case.items()}
    batch = {key: tensors[f"batch.{key}"] for key in ("features", "counts")}
    joined, rest = module(batch, tensors["factor"])
    return {
        "output_0": joined,
        "output_1.doubled": rest["doubled"],
        "output_1.total": rest["total"],
    }


def texts_answers(module: Any, case: dict[str, Any]) -> dict[str, Any]:
    texts, count = module(list(case["texts"]), str(case["word"]))
    return {"output_0": np.array(texts, dtype=object), "output_1": np.array(count)}


def aliases_answers(module: Any, case: dict[str, Any]) -> dict[str, Any]:
    same, turned, table = module(torch.from_numpy(case["x"]))
    return {"output_0": same, "output_1": turned.contiguous(), "output_2": table.detach()}


def main(folder: Path) -> None:
    """Write everything into ``folder``, which is made if need be."""
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    warnings.filterwarnings("ignore", category=FutureWarning)
    torch.manual_seed(0)
    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(7)
    rows = [rng.normal(size=(count, 16)).astype(np.float32) for count in (1, 4, 9)]
    network = torch.nn.Sequential(
        torch.nn.Linear(16, 64), torch.nn.ReLU(), torch.nn.Linear(64, 3), torch.nn.Softmax(1)
    )
    write(folder, "mlp", network, [{"input": some} for some in rows], mlp_answers)
    cases = [
        {
            "batch.features": rng.normal(size=(count, 4)).astype(np.float32),
            "batch.counts": rng.integers(0, 10, size=(count, 2)),
            "factor": rng.normal(size=(count, 1)).astype(np.float32),
        }
        for count in (1, 4, 9)
    ]
    write(folder, "many", Many(), cases, many_answers)
    texts = [
        {"texts": np.array(some, dtype=object), "word": np.array("!", dtype=object)}
        for some in (["a"], ["cafe\u0301", "", "with space"])
    ]
    write(folder, "texts", Texts(), texts, texts_answers)
    write(folder, "aliases", Aliases(), [{"x": some} for some in rows], aliases_answers)
    torch.jit.script(Sum().eval()).save(str(folder / "sum.pt"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
