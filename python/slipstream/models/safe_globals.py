"""Which classes and functions a model's pickle may name, and what it may do with each.

Nothing is admitted by a bare prefix: an entry is an exact name, or a class that a named module
defines *and* that descends from a named base. Three uses are told apart:

``CLASS``: may be instantiated without arguments and given a state (how estimators are restored);
``CALL``: may be called as the pickle says (the few helpers that NumPy and Cython pickles need);
``VALUE``: may only be referred to (a scoring function kept as a parameter), never called.
"""

from __future__ import annotations

import importlib
import inspect
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from slipstream.errors import MissingDependencyError, UnsafeModelError
from slipstream.models.saved_partial import SavedPartial


class Use(Enum):
    """What a pickle may do with a global."""

    CLASS = "class"
    CALL = "call"
    VALUE = "value"


@dataclass(frozen=True)
class Policy:
    """What else is admitted: modules that lie in ``custom_root``, where the operator allows it."""

    custom_root: Path | None = None


def _names(module: str, use: Use, names: str) -> dict[tuple[str, str], Use]:
    return {(module, name): use for name in names.split()}


_NUMPY_SCALARS = (
    "bool bool_ int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 "
    "longdouble str_ bytes_ object_ number integer floating intp longlong"
)
_SPARSE = "csr csc coo bsr dia dok lil"

EXACT: dict[tuple[str, str], Use] = {
    **_names("builtins", Use.CALL, "set frozenset bytearray bytes slice complex range"),
    **_names("builtins", Use.VALUE, "object int float bool str list tuple dict"),
    **_names("collections", Use.CALL, "OrderedDict defaultdict"),
    **_names("copyreg", Use.CALL, "_reconstructor"),
    **_names("_codecs", Use.CALL, "encode"),
    **_names("numpy", Use.CALL, "dtype"),
    **_names("numpy", Use.VALUE, "ndarray mean median nanmean nanmedian " + _NUMPY_SCALARS),
    **_names("numpy._core.multiarray", Use.CALL, "_reconstruct scalar"),
    **_names("numpy._core.numeric", Use.CALL, "_frombuffer"),
    **_names("numpy.ma", Use.CALL, "_mareconstruct"),
    **_names("numpy.ma.core", Use.CALL, "_mareconstruct"),
    **_names("numpy.ma", Use.VALUE, "MaskedArray"),
    **_names("numpy.ma.core", Use.VALUE, "MaskedArray"),
    **_names(
        "numpy.random._pickle",
        Use.CALL,
        "__bit_generator_ctor __generator_ctor __randomstate_ctor",
    ),
    **_names("numpy.random._mt19937", Use.VALUE, "MT19937"),
    **_names("numpy.random._pcg64", Use.VALUE, "PCG64 PCG64DXSM"),
    **_names("numpy.random._philox", Use.VALUE, "Philox"),
    **_names("numpy.random._sfc64", Use.VALUE, "SFC64"),
    **_names("numpy.random.bit_generator", Use.CALL, "__pyx_unpickle_SeedSequence"),
    **_names("numpy.random.bit_generator", Use.CLASS, "SeedSequence"),
    **{
        (f"scipy.sparse._{kind}", f"{kind}_{shape}"): Use.CLASS
        for kind in _SPARSE.split()
        for shape in ("matrix", "array")
    },
    **_names("scipy.interpolate._bsplines", Use.CLASS, "BSpline"),
    **_names("scipy._lib.array_api_compat.numpy._aliases", Use.VALUE, "asarray"),
    **_names("functools", Use.CALL, "partial"),  # see `_STAND_INS`
    **_names("sklearn.utils.validation", Use.VALUE, "check_array"),
    **_names("sklearn.utils._bunch", Use.CLASS, "Bunch"),
    **_names("sklearn.tree._tree", Use.CALL, "Tree"),
    **_names("sklearn.ensemble._hist_gradient_boosting.predictor", Use.CLASS, "TreePredictor"),
    **_names("sklearn._loss.link", Use.CLASS, "Interval"),
    **_names("sklearn._loss._loss", Use.CALL, "CyHalfMultinomialLoss"),
    **_names("sklearn.calibration", Use.CLASS, "_CalibratedClassifier _SigmoidCalibration"),
    **_names("sklearn.compose._column_transformer", Use.CLASS, "make_column_selector"),
    **_names("sklearn.cluster._birch", Use.CLASS, "_CFNode _CFSubcluster"),
    **_names("sklearn.cluster._bisect_k_means", Use.CLASS, "_BisectingTree"),
    **_names("sklearn.cluster._kmeans", Use.VALUE, "_kmeans_single_lloyd _kmeans_single_elkan"),
    **_names(
        "sklearn.feature_selection._univariate_selection",
        Use.VALUE,
        "f_classif f_regression chi2 r_regression f_oneway",
    ),
    **_names(
        "sklearn.feature_selection._mutual_info",
        Use.VALUE,
        "mutual_info_classif mutual_info_regression",
    ),
    **_names(
        "sklearn.neural_network._stochastic_optimizers", Use.CLASS, "AdamOptimizer SGDOptimizer"
    ),
    **_names("sklearn.metrics._scorer", Use.CLASS, "_Scorer _PassthroughScorer"),
    **_names("sklearn.metrics._dist_metrics", Use.CALL, "newObj"),
    **_names("sklearn.neighbors._kd_tree", Use.CALL, "newObj"),
    **_names("sklearn.neighbors._ball_tree", Use.CALL, "newObj"),
    **_names("sklearn.neighbors._kd_tree", Use.CLASS, "KDTree KDTree32 KDTree64"),
    **_names("sklearn.neighbors._ball_tree", Use.CLASS, "BallTree BallTree32 BallTree64"),
    **_names("xgboost.core", Use.CLASS, "Booster"),
    **_names(
        "xgboost.sklearn",
        Use.CLASS,
        "XGBModel XGBClassifier XGBRegressor XGBRanker XGBRFClassifier XGBRFRegressor",
    ),
    **_names("lightgbm.basic", Use.CLASS, "Booster"),
    **_names("lightgbm.sklearn", Use.CLASS, "LGBMModel LGBMClassifier LGBMRegressor LGBMRanker"),
}

_STAND_INS = {("functools", "partial"): SavedPartial}
"""Classes of our own that take the place of what would be too powerful."""

_ESTIMATOR_PACKAGES = frozenset(
    {
        *("base", "calibration", "cluster", "compose", "covariance", "cross_decomposition"),
        *("decomposition", "discriminant_analysis", "dummy", "ensemble", "feature_extraction"),
        *("feature_selection", "frozen", "gaussian_process", "impute", "isotonic"),
        *("kernel_approximation", "kernel_ridge", "linear_model", "manifold", "mixture"),
        *("model_selection", "multiclass", "multioutput", "naive_bayes", "neighbors"),
        *("neural_network", "pipeline", "preprocessing", "random_projection"),
        *("semi_supervised", "svm", "tree"),
    }
)
"""The sklearn packages whose estimators are admitted; tests, datasets and helpers are not."""


@dataclass(frozen=True)
class _Family:
    """Classes of one module (or package, with a trailing dot) that descend from one base."""

    where: str
    base_module: str
    base: str
    use: Use


_FAMILIES = (
    _Family("sklearn.", "sklearn.base", "BaseEstimator", Use.CLASS),
    _Family("sklearn.gaussian_process.kernels", "", "Kernel", Use.CLASS),
    _Family("sklearn._loss.loss", "", "BaseLoss", Use.CLASS),
    _Family("sklearn._loss.link", "", "BaseLink", Use.CLASS),
    _Family("sklearn._loss._loss", "", "CyLossFunction", Use.CALL),
    _Family("sklearn.linear_model._sgd_fast", "sklearn._loss._loss", "CyLossFunction", Use.CALL),
    _Family("sklearn.metrics._dist_metrics", "", "DistanceMetric", Use.CLASS),
    _Family("sklearn.model_selection._split", "", "BaseCrossValidator", Use.CLASS),
)

EXTRAS = {"sklearn": "sklearn", "xgboost": "xgboost", "lightgbm": "lightgbm", "scipy": "sklearn"}
"""Which extra of slipstream installs a package that a pickle may need."""


def resolve(module: str, name: str, policy: Policy) -> tuple[Any, Use]:
    """The object that a pickle's global stands for, and what it may do with it.

    Raises:
        UnsafeModelError: The name is not admitted.
        MissingDependencyError: It is, but its package is not installed.
    """
    if "." not in name and name.isidentifier():
        module = _current_name(module)
        use = EXACT.get((module, name))
        if use is not None:
            return _STAND_INS.get((module, name)) or _get(module, name), use
        found = _in_family(module, name) or _by_nature(module, name)
        if found is None and policy.custom_root is not None:
            found = _custom(module, name, policy.custom_root)
        if found is not None:
            return found
    raise UnsafeModelError(
        f"the file refers to {module}.{name}, which is no model class that slipstream knows; "
        "nothing in it was executed. Save the fitted estimator itself or export it to ONNX; a "
        "class of your own needs ALLOW_CUSTOM_CODE=True and its module in the model directory",
        refused=f"{module}.{name}",
    )


def _current_name(module: str) -> str:
    """NumPy moved ``numpy.core`` to ``numpy._core``; pickles of both are read."""
    if module.startswith("numpy.core."):
        return module.replace("numpy.core.", "numpy._core.", 1)
    return module


def _get(module: str, name: str) -> Any:
    try:
        return getattr(importlib.import_module(module), name)
    except ImportError as error:
        package = module.partition(".")[0]
        if package == "numpy" and module.startswith("numpy._core"):
            return _get(module.replace("numpy._core", "numpy.core", 1), name)
        extra = EXTRAS.get(package)
        if extra is None:
            raise UnsafeModelError(f"{module}.{name} does not exist in this version") from error
        raise MissingDependencyError(
            f"this model needs {package}, which cannot be imported ({error}): "
            f"pip install 'slipstream[{extra}]'"
        ) from error
    except AttributeError as error:
        raise UnsafeModelError(
            f"{module} of the installed version has no {name}: the model was saved with another "
            "version of the library; install that one or save the model again"
        ) from error


def _in_family(module: str, name: str) -> tuple[Any, Use] | None:
    for family in _FAMILIES:
        if family.where == "sklearn.":
            parts = module.split(".")
            if parts[0] != "sklearn" or len(parts) < 2 or parts[1] not in _ESTIMATOR_PACKAGES:
                continue
            if "tests" in parts or not all(part.isidentifier() for part in parts):
                continue
        elif module != family.where:
            continue
        obj = _get(module, name)
        if inspect.isfunction(obj) or not isinstance(obj, type):
            continue
        base = _get(family.base_module or family.where, family.base)
        if issubclass(obj, base) and obj.__module__.partition(".")[0] == "sklearn":
            return obj, family.use
    return None


def _by_nature(module: str, name: str) -> tuple[Any, Use] | None:
    """NumPy ufuncs, public metrics, and Cython's own restorers of loss classes."""
    if module in ("numpy", "numpy._core._multiarray_umath"):
        import numpy as np

        obj = getattr(np, name, None)
        return (obj, Use.VALUE) if isinstance(obj, np.ufunc) else None
    if module.startswith("sklearn.metrics._"):
        import sklearn.metrics

        obj = getattr(sklearn.metrics, name, None) if name in sklearn.metrics.__all__ else None
        if inspect.isfunction(obj) and obj.__module__ == module:
            return obj, Use.VALUE
        return None
    if module == "sklearn._loss._loss" and name.startswith("__pyx_unpickle_Cy"):
        return _get(module, name), Use.CALL
    return None


def _custom(module: str, name: str, root: Path) -> tuple[Any, Use] | None:
    """A name from a module that lies in the operator's own folder, which he has allowed to run."""
    if custom_module_file(module, root) is None:
        return None
    from slipstream.adapters.custom import import_from

    return getattr(import_from(module, root), name), Use.CALL


def custom_module_file(module: str, root: Path) -> Path | None:
    """The file of ``module`` inside ``root``; None if it is not there (or leads out of it)."""
    parts = module.split(".")
    if not all(part.isidentifier() for part in parts):
        return None
    file = root.joinpath(*parts).with_suffix(".py")
    if not file.is_file() or not file.resolve().is_relative_to(root.resolve()):
        return None
    return file
