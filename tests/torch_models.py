"""Small torch modules of every signature, for tests that load them from files."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import NamedTuple

import torch

Tensor = torch.Tensor


def mlp() -> torch.nn.Module:
    """16 -> 64 -> 3, the same weights every time."""
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Linear(16, 64), torch.nn.ReLU(), torch.nn.Linear(64, 3), torch.nn.Softmax(1)
    ).eval()


def cnn() -> torch.nn.Module:
    """Images of any size, with a normalization that freezing folds away."""
    torch.manual_seed(1)
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3),
        torch.nn.BatchNorm2d(8),
        torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(8, 4),
    ).eval()


class Ids(torch.nn.Module):
    """Texts as numbers of words: a table, a recurrent layer, and its last state beside."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.table = torch.nn.Embedding(100, 8)
        self.recurrent = torch.nn.GRU(8, 16, batch_first=True)
        self.out = torch.nn.Linear(16, 2)

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        steps, last = self.recurrent(self.table(ids))
        return self.out(steps[:, -1]), last


class Many(torch.nn.Module):
    """A tuple, a dict, numbers, a text, and what may be left out."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.layer = torch.nn.Linear(4, 2)

    def forward(
        self,
        pair: tuple[Tensor, Tensor],
        more: dict[str, Tensor],
        times: int,
        scale: float = 2.0,
        name: str = "nobody",
        mask: Tensor | None = None,
    ) -> dict[str, Tensor]:
        joined = pair[0] + pair[1] + more["bias"]
        if mask is not None:
            joined = joined * mask
        return {"sum": self.layer(joined) * scale * times, "times": torch.tensor([times])}


MANY_TOML = '[inputs."pair.0"]\nshape = ["rows", 4]\n[inputs."more.bias"]\nshape = ["rows", 4]\n'


class Answer(NamedTuple):
    """What `Fields` returns."""

    logits: Tensor
    best: Tensor


class Fields(torch.nn.Module):
    """A named tuple."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.layer = torch.nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Answer:
        logits = self.layer(x)
        return Answer(logits, logits.argmax(1))


class Counter(torch.nn.Module):
    """Remembers in place, and by setting an attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("total", torch.zeros(1))
        self.calls = 0

    def forward(self, x: Tensor) -> tuple[Tensor, int]:
        self.total.add_(x.sum())
        self.calls += 1
        return self.total * 1.0, self.calls


class Recurrent(torch.nn.Module):
    """Takes its state, and gives it back."""

    def forward(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        state = torch.tanh(x + state)
        return state.sum(1), state


class Doubled(torch.nn.Module):
    """Writes to what it is given."""

    def forward(self, x: Tensor) -> Tensor:
        x.mul_(2)
        return x


class Shares(torch.nn.Module):
    """Rows that depend on each other."""

    def forward(self, x: Tensor) -> Tensor:
        return x / x.sum(0, keepdim=True)


class Noise(torch.nn.Module):
    """Never the same answer twice."""

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.rand(x.shape)


class Upper(torch.nn.Module):
    """Texts; letters beyond ASCII stay as they are."""

    def forward(self, texts: list[str]) -> list[str]:
        return [text.upper() for text in texts]


class Picky(torch.nn.Module):
    """Takes what nobody would guess, and says so."""

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() != 2 or x.shape[1] != 12345 or x.dtype != torch.float64:
            raise ValueError("not what I take")
        return x.sum(1)


PICKY_TOML = '[inputs.x]\ndtype = "float64"\nshape = ["rows", 12345]\n'


class Reader(torch.nn.Module):
    """Reads a file of the machine that runs it."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.from_file("/etc/hostname", False, 4, dtype=torch.uint8) + x


class HiddenReader(torch.nn.Module):
    """The same while it is being opened."""

    def __init__(self) -> None:
        super().__init__()
        self.kept = torch.zeros(1)

    @torch.jit.export
    def __getstate__(self) -> Tensor:
        return self.kept

    @torch.jit.export
    def __setstate__(self, state: Tensor) -> None:
        self.kept = torch.from_file("/etc/hostname", False, 4, dtype=torch.uint8)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.kept


class Plain(torch.nn.Module):
    """Remembers in a tensor that is registered nowhere."""

    def __init__(self) -> None:
        super().__init__()
        self.kept = torch.zeros(2)

    def forward(self, x: Tensor) -> Tensor:
        self.kept.add_(x.sum(0))
        return x * 0 + self.kept


class Seldom(torch.nn.Module):
    """Remembers, in a branch that hardly any rows take, through a view."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kept", torch.zeros(1, 2))

    def forward(self, x: Tensor) -> Tensor:
        if bool((x > 10.0).any()):
            self.kept[0].copy_(x[0])
        return x * 0 + self.kept


class Appends(torch.nn.Module):
    """Remembers in a list."""

    def __init__(self) -> None:
        super().__init__()
        self.kept = [torch.zeros(1)]

    def forward(self, x: Tensor) -> Tensor:
        self.kept.append(x.sum().reshape(1))
        return x * 0 + float(len(self.kept))


class InDict(torch.nn.Module):
    """Remembers in a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.kept = {"sum": torch.zeros(1)}

    def forward(self, x: Tensor) -> Tensor:
        self.kept["sum"] = self.kept["sum"] + x.sum()
        return x * 0 + self.kept["sum"]


class InElement(torch.nn.Module):
    """Remembers in a tensor in a list."""

    def __init__(self) -> None:
        super().__init__()
        self.kept = [torch.zeros(1)]

    def forward(self, x: Tensor) -> Tensor:
        for one in self.kept:
            one.add_(x.sum())
        return x * 0 + self.kept[0]


class Box:
    """What `InObject` remembers in."""

    def __init__(self) -> None:
        self.sum = torch.zeros(2)

    def add(self, x: Tensor) -> Tensor:
        self.sum.add_(x.sum(0))
        return self.sum


class InObject(torch.nn.Module):
    """Remembers in an object of a class of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.kept = Box()

    def forward(self, x: Tensor) -> Tensor:
        return x * 0 + self.kept.add(x)


class Views(torch.nn.Module):
    """Changes a buffer, and answers from a view of it."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kept", torch.zeros(4))
        self.register_buffer("part", self.kept[:2])

    def forward(self, x: Tensor) -> Tensor:
        self.kept.add_(1.0)
        return x * 0 + self.part


class Resets(torch.nn.Module):
    """Sets one attribute to another, and changes it."""

    def __init__(self) -> None:
        super().__init__()
        self.first = torch.zeros(2)
        self.kept = torch.ones(2)

    def forward(self, x: Tensor) -> Tensor:
        self.kept = self.first
        self.kept.add_(x.sum(0))
        return x * 0 + self.kept


class InFork(torch.nn.Module):
    """Remembers in code that runs beside the rest, in a submodule that is normalized."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Plain()
        self.norm = torch.nn.BatchNorm1d(2)

    def forward(self, x: Tensor) -> Tensor:
        later = torch.jit.fork(self.inner, x)
        normal = torch.jit.fork(self.norm, x)
        return torch.jit.wait(later) + torch.jit.wait(normal)


class SeldomDoubled(torch.nn.Module):
    """Writes to what it is given, now and then."""

    def forward(self, x: Tensor) -> Tensor:
        if bool((x > 10.0).any()):
            x.mul_(2)
        return x + 0


class Complex(torch.nn.Module):
    """Gives what no answer has."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.fft.fft(x)


class Halves(torch.nn.Module):
    """Gives bfloat16."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.layer = torch.nn.Linear(16, 4, dtype=torch.bfloat16)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x.to(torch.bfloat16))


def save_script(module: torch.nn.Module, file: Path, beside: str | None = None) -> Path:
    """Scripts and saves a module, with the file beside it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.script(module.eval()).save(str(file))
    if beside is not None:
        file.with_name(f"{file.name}.toml").write_text(beside)
    return file
