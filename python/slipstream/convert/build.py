"""From an opened model to artifact and manifest: convert, prove, or serve it as it is."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from slipstream.adapters.base import Served, quiet
from slipstream.adapters.open import open_source
from slipstream.adapters.trees import UnconvertibleError
from slipstream.convert import forest_sklearn, onnx_skl2onnx, onnx_sklearn, proof, tensorflow, torch
from slipstream.convert.describe import GRAPH, Compiled, Facts, describe, learn, of_graph, of_specs
from slipstream.convert.forest_session import ForestSession
from slipstream.convert.forest_sklearn import contains_trees
from slipstream.convert.onnx_graph import INPUT, PREDICTIONS, PROBABILITIES, Graph
from slipstream.convert.torch_told import Told
from slipstream.errors import MissingDependencyError, ModelLoadError
from slipstream.models.manifest import Manifest

RUNNER = "slipstream.models.runners:load"
FOREST = "model.forest"
_MOST_WEIGHTS = 1 << 14


class Job(msgspec.Struct, kw_only=True):
    """What the converter child is told. Paths are absolute."""

    source: str
    """An uncompressed copy of the model file; becomes the artifact if the model cannot convert."""
    kind: str
    """"pickle", "xgboost", "lightgbm", "custom", or one of `tensorflow.KINDS`, `torch.KINDS`."""
    sha256: str
    model_type: str
    """As documented; "auto" lets the content decide."""
    compile_model: bool
    custom_root: str | None = None
    ensemble_method: str | None = None
    """What a pickle of several estimators is to be."""
    told: Told = Told()
    """What the file beside a torch model says."""
    out: str
    """An existing folder that receives artifact and manifest."""
    timeout_s: float
    memory_limit_mb: int | None = None


def build(job: Job, say: Callable[[str], None]) -> Manifest:
    """Open, convert and prove; writes the artifact into ``job.out`` and returns the manifest.

    Raises:
        UnsafeModelError, ModelLoadError, MissingDependencyError: See `open_source`.
    """
    say("opening the model")
    if job.kind in tensorflow.KINDS:
        return tensorflow.build_network(Path(job.source), job.kind, job.sha256, Path(job.out), say)
    if job.kind in torch.KINDS:
        build = torch.KINDS[job.kind]
        told = msgspec.structs.replace(job.told, custom_root=job.custom_root)
        return build(Path(job.source), job.sha256, told, Path(job.out), say)
    root = Path(job.custom_root) if job.custom_root is not None else None
    served = open_source(Path(job.source), job.kind, root, job.ensemble_method)
    model_type = check_type(job.model_type, served)
    facts = learn(served)
    if not job.compile_model:
        reason: str | None = "compile_model is false"
    elif (reason := _why_not(served)) is None:
        with _at_most(job.timeout_s / 2) as expired:
            compiled = _compile(served, facts, job, say)
        if expired[0]:
            reason = f"converting took longer than {job.timeout_s / 2:.0f} s"
        elif isinstance(compiled, str):
            reason = compiled
        else:
            return describe(served, facts, model_type, job.sha256, compiled)
    say(f"serving it as it is: {reason}")
    artifact = "model.py" if job.kind == "custom" else "model.bin"
    shutil.copyfile(job.source, Path(job.out) / artifact)
    options = {"runner": RUNNER, "runner.kind": job.kind}
    if job.custom_root is not None:
        options["runner.custom_root"] = job.custom_root
    if job.ensemble_method is not None:
        options["runner.ensemble_method"] = job.ensemble_method
    return msgspec.structs.replace(
        describe(served, facts, model_type, job.sha256, None),
        artifact=artifact,
        backend_options=options,
        reason=reason,
    )


def check_type(wanted: str, served: Served) -> str:
    """The documented type of what was opened.

    Raises:
        ModelLoadError: The caller said another type.
    """
    if wanted in ("auto", served.library):
        return served.library
    module = type(served.estimator).__module__
    if wanted == "ensemble" and served.library == "sklearn":
        combined = hasattr(served.estimator, "estimators_") or hasattr(served.estimator, "steps")
        if module.startswith("sklearn.ensemble.") or combined:
            return "ensemble"
    raise ModelLoadError(
        f"the file holds a {served.library} model ({served.estimator_name}), not {wanted!r}: "
        f"give model_type {served.library!r} or 'auto'",
        model_type=wanted,
        found=served.library,
    )


def _why_not(served: Served) -> str | None:
    """Why conversion is not even tried; None if it is."""
    if served.reason is not None:
        return served.reason
    if served.is_text:
        return "models of texts run in the source library"
    if served.task not in ("classification", "regression", "ranking", "outlier"):
        return f"there is no converter for {served.task} models"
    if served.width is None:
        return "the model does not say how many columns it takes"
    return None


@dataclass(frozen=True)
class _Attempt:
    """One way to convert: ``run`` writes the artifact if it is proven, and says how it went."""

    name: str
    run: Callable[[Served, proof.Original, Path], tuple[Compiled, proof.Verdict]]


def _compile(served: Served, facts: Facts, job: Job, say: Callable[[str], None]) -> Compiled | str:
    """A proven conversion (its file written), or the reason why there is none."""
    say("asking the original on probe rows")
    try:
        original = proof.ask_original(served)
    except Exception as error:  # any library may raise anything on rows that it does not like
        return f"the model refuses probe rows ({type(error).__name__}: {str(error)[:160]})"
    facts.warmup_rows = proof.first_rows(original)
    reasons: list[str] = []
    for attempt in _attempts(served):
        say(f"converting ({attempt.name})")
        try:
            with quiet():
                compiled, verdict = attempt.run(served, original, Path(job.out))
            if verdict.agrees:
                say(verdict.text)
                return compiled
            reasons.append(f"{attempt.name}: {verdict.text}")
        except (UnconvertibleError, MissingDependencyError) as error:
            reasons.append(str(error))
        except Exception as error:  # a converter's or the runtime's own failure is not the model's
            reasons.append(f"{attempt.name} failed ({type(error).__name__}: {str(error)[:160]})")
        for name in (FOREST, GRAPH):
            (Path(job.out) / name).unlink(missing_ok=True)
    return "; ".join(dict.fromkeys(reasons))[:600]


def _attempts(served: Served) -> list[_Attempt]:
    """Forest files first, unless the model is a product of large matrices: graphs do those well."""
    graphs = [_Attempt("slipstream's graph", _own_graph)]
    if served.library == "sklearn":
        graphs.append(_Attempt("skl2onnx in double", _foreign_graph("float64")))
        graphs.append(_Attempt("skl2onnx in float32", _foreign_graph("float32")))
    if served.layout != "matrix" or len(served.classes) > 1 or served.task == "outlier":
        graphs = []
    forest = [_Attempt("forest file", _forest_file)]
    if _weights_of(served.estimator) > _MOST_WEIGHTS and not contains_trees(served.estimator):
        return graphs + forest
    return forest + graphs


def _weights_of(estimator: Any) -> int:
    """Entries of the coefficients of a linear model at the end of a pipeline."""
    while hasattr(estimator, "steps"):
        estimator = estimator.steps[-1][1]
    return int(np.size(getattr(estimator, "coef_", ())))


def _forest_file(
    served: Served, original: proof.Original, out: Path
) -> tuple[Compiled, proof.Verdict]:
    model = forest_sklearn.convert(served, original.refused)
    path = out / FOREST
    path.write_bytes(model.data)
    tolerance = proof.SAME_SUMS if model.summed_alike else proof.SAME_TERMS
    with ForestSession(path) as session:
        verdict = proof.prove(session, original, tolerance)
        compiled = of_specs(
            FOREST,
            session.inputs,
            session.outputs,
            indexed=model.indexed,
            accepts_missing=original.refused.takes_missing,
        )
    return compiled, verdict


def _foreign_graph(precision: Literal["float64", "float32"]) -> Any:
    def run(served: Served, original: proof.Original, out: Path) -> Any:
        return _graph(onnx_skl2onnx.convert(served, precision), original, out)

    return run


def _own_graph(
    served: Served, original: proof.Original, out: Path
) -> tuple[Compiled, proof.Verdict]:
    return _graph(_own(served), original, out)


def _graph(data: bytes, original: proof.Original, out: Path) -> tuple[Compiled, proof.Verdict]:
    converted = proof.OnnxSession(data)
    verdict = proof.prove(converted, original, proof.APPROXIMATE)
    compiled = of_graph(converted.session)
    (out / compiled.artifact).write_bytes(data)
    return compiled, verdict


def _own(served: Served) -> bytes:
    graph = Graph(served.width or 0)
    answer = onnx_sklearn.emit(graph, INPUT, served.estimator)
    if served.task == "classification":
        graph.output(PREDICTIONS, answer.predictions, np.int64, ())
        if served.predict_proba is not None:
            if answer.probabilities is None:
                raise UnconvertibleError("its probabilities have no rule of our own")
            graph.output(
                PROBABILITIES, answer.probabilities, answer.dtype, (len(served.classes[0]),)
            )
    else:
        graph.output(PREDICTIONS, answer.predictions, answer.dtype, _tail(served))
    return graph.to_bytes()


def _tail(served: Served) -> tuple[int, ...]:
    with quiet():
        shape = served.predict(served.rows([np.zeros((1, served.width or 0))])).shape
    return tuple(int(extent) for extent in shape[1:])


class _TookTooLong(BaseException):
    """No Exception, so that no library's own handling swallows it."""


@contextmanager
def _at_most(seconds: float) -> Iterator[list[bool]]:
    """Leave the block after ``seconds``; the list then holds True. Main thread only."""
    expired = [False]

    def ring(*_: Any) -> None:
        raise _TookTooLong

    previous = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield expired
    except _TookTooLong:
        expired[0] = True
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
