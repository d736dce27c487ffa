"""Who is compared: how each rival is made from a trained model, and how it is loaded."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from bench.forest import environments, train
from bench.forest.cases import Case
from bench.forest.environments import RECIPES, SetupError, call, environment, shared_library

OURS = "slipstream"
PYTHON_RIVAL = "scikit-learn (Py)"
_MAKE_TIMEOUT_S = 1800.0
_MOST_COMPILED_TREES = 2000
_TOO_MANY = f"models of over {_MOST_COMPILED_TREES:,} trees are not compiled here"
Command = Sequence[str | Path]


class Ready(NamedTuple):
    """A rival that can be loaded: the kind the driver knows it by, and its options."""

    kind: str
    options: dict[str, str]
    note: str = ""
    """What a reader of the table must know."""
    in_python: bool = False


class Rival(NamedTuple):
    """One way to predict."""

    name: str
    libraries: tuple[str, ...]
    """Whose models it can run."""
    make: Callable[[Case, Path], Ready]
    """Makes what it loads, in the case's folder, unless it is there. Raises SetupError."""
    float32_answers: bool = False
    """Whether its sums or answers are float32 where the library's may be float64."""


def probabilities(case: Case) -> int:
    """Values per row that a booster's own C API answers with."""
    return 1 if case.classes == 2 else case.classes


def _native(case: Case, folder: Path) -> Path:
    return folder / train.NATIVE.get(case.library, train.MODEL)


def _once(artifact: Path, command: Command) -> Path:
    """Makes ``artifact`` by a command that takes its name last, unless it is there.

    A failure is remembered beside it and told again: some take half an hour to fail.
    """
    failed = artifact.with_name(artifact.name + ".failed")
    if failed.is_file():
        raise SetupError(failed.read_text(encoding="utf-8"))
    if not artifact.is_file():
        part = artifact.with_name("part-" + artifact.name)
        try:
            call([*command, part], _MAKE_TIMEOUT_S)
        except SetupError as error:
            failed.write_text(str(error), encoding="utf-8")
            raise
        os.replace(part, artifact)
    return artifact


def _lightgbm(case: Case, folder: Path) -> Ready:
    library = shared_library("lightgbm", "lightgbm/lib/lib_lightgbm.so")
    artifact = str(_native(case, folder))
    return Ready("lightgbm", {"artifact": artifact, "library": str(library)})


def _xgboost(case: Case, folder: Path) -> Ready:
    library = shared_library("xgboost", "xgboost/lib/libxgboost.so")
    return Ready("xgboost", {"artifact": str(_native(case, folder)), "library": str(library)})


def _onnxruntime(case: Case, folder: Path) -> Ready:
    command: Command = [environment("onnx"), RECIPES / "convert_onnx.py", case.library]
    artifact = _once(folder / "model.onnx", [*command, folder / train.MODEL])
    library = shared_library("onnxruntime", "onnxruntime/capi/libonnxruntime.so*")
    options = {"artifact": str(artifact), "library": str(library), "outputs": str(case.classes)}
    return Ready("onnxruntime", {**options, "input": "x", "output": "probabilities"})


def _lleaves(case: Case, folder: Path) -> Ready:
    if case.trees > _MOST_COMPILED_TREES:
        raise SetupError(_TOO_MANY)
    script = RECIPES / "compile_lleaves.py"
    artifact = _once(folder / "lleaves.so", [environment("lleaves"), script, _native(case, folder)])
    return Ready("lleaves", {"artifact": str(artifact), "outputs": str(probabilities(case))})


def _treelite(kind: str, case: Case, folder: Path, name: str) -> Path:
    script = RECIPES / "compile_treelite.py"
    command: Command = [environment("treelite"), script, kind, case.library, _native(case, folder)]
    return _once(folder / name, command)


def _gtil(case: Case, folder: Path) -> Ready:
    artifact = _treelite("gtil", case, folder, "gtil.bin")
    library = shared_library("treelite", "treelite/lib/libtreelite.so")
    return Ready("gtil", {"artifact": str(artifact), "library": str(library)})


def _tl2cgen(case: Case, folder: Path) -> Ready:
    if case.trees > _MOST_COMPILED_TREES:
        raise SetupError(_TOO_MANY)
    return Ready("tl2cgen", {"artifact": str(_treelite("tl2cgen", case, folder, "tl2cgen.so"))})


def _lignum(case: Case, folder: Path) -> Ready:
    environment("lignum")
    options = {
        "artifact": str(_native(case, folder)),
        "library": str(environments.lignum_library()),
    }
    return Ready("lignum", options)


def _lignum_compiled(case: Case, folder: Path) -> Ready:
    if case.trees > _MOST_COMPILED_TREES:
        raise SetupError(_TOO_MANY)
    code = "import lignum, sys; lignum.load(sys.argv[1]).compile(library=sys.argv[2])"
    command: Command = [environment("lignum"), "-c", code, _native(case, folder)]
    artifact = _once(folder / "lignum.so", command)
    ready = _lignum(case, folder)
    return ready._replace(options={**ready.options, "compiled": str(artifact)})


def _sklearn(case: Case, folder: Path) -> Ready:
    options = {"artifact": str(folder / train.MODEL), "dtype": case.dtype}
    return Ready("scikit-learn", options, note="called from Python", in_python=True)


def _slipstream(case: Case, folder: Path) -> Ready:
    from slipstream.engine.runtime import backend_options
    from slipstream.models.prepare import PrepareOptions, prepare
    from slipstream.settings import Settings

    # Artifacts are cached by version; while the converter is worked on, its sources count too.
    cache = folder / f"slipstream-{_sources_digest()}"
    try:
        prepared = prepare(folder / train.MODEL, cache, PrepareOptions(timeout_s=1800.0))
    except Exception as error:
        raise SetupError(f"slipstream cannot prepare it: {error}") from error
    manifest = prepared.manifest
    if manifest.backend == "process":
        raise SetupError(f"slipstream does not compile it: {manifest.reason}")
    options = {
        **backend_options(manifest.backend, Settings(intra_op_threads=1)),
        **manifest.backend_options,
        "artifact": str(prepared.artifact_path),
        "backend": manifest.backend,
        "backends": os.pathsep.join(_backend_folders()),
        "output": manifest.probabilities[0],
    }
    return Ready("slipstream", options, note=f"backend: {manifest.backend}")


def _backend_folders() -> list[str]:
    """Where `slipstream.Engine` looks for backends, in that order."""
    from slipstream import _engine
    from slipstream.engine.runtime import BACKEND_DIRECTORY_VARIABLE

    extra = os.environ.get(BACKEND_DIRECTORY_VARIABLE)
    installed = Path(_engine.__file__).resolve().parent / "backends"
    return [*([extra] if extra else []), str(installed)]


def _sources_digest() -> str:
    package = environments.ROOT / "python" / "slipstream"
    digest = hashlib.sha256()
    for folder in ("adapters", "convert", "models"):
        for file in sorted((package / folder).rglob("*.py")):
            digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


BOOSTERS = ("lightgbm", "xgboost")
ALL = (*BOOSTERS, "hist", "forest")

RIVALS = (
    Rival(OURS, ALL, _slipstream),
    Rival("LightGBM", ("lightgbm",), _lightgbm),
    Rival("XGBoost", ("xgboost",), _xgboost),
    Rival(PYTHON_RIVAL, ("hist", "forest"), _sklearn),
    Rival("ONNX Runtime", ALL, _onnxruntime, float32_answers=True),
    Rival("lleaves", ("lightgbm",), _lleaves),
    Rival("TL2cgen", ("lightgbm", "xgboost", "hist"), _tl2cgen),
    Rival("GTIL", ALL, _gtil),
    Rival("lignum", BOOSTERS, _lignum),
    Rival("lignum compiled", BOOSTERS, _lignum_compiled),
)
"""In the order of the tables; ours first."""


def make_ready(case: Case, folder: Path, names: set[str] | None = None) -> dict[str, Ready | str]:
    """Every rival of a case by name: ready, or why it is not."""
    found: dict[str, Ready | str] = {}
    for rival in RIVALS:
        if case.library not in rival.libraries or (names is not None and rival.name not in names):
            continue
        try:
            found[rival.name] = rival.make(case, folder)
        except SetupError as error:
            found[rival.name] = str(error)
    return found


def versions() -> dict[str, str]:
    """The versions that the rivals' requirements pin."""
    pins: dict[str, str] = {}
    for name in environments.ENVIRONMENTS:
        pins |= environments.packages(name)
    return dict(sorted(pins.items()))
