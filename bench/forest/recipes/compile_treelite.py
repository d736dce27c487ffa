"""Reads a model with Treelite and writes what GTIL loads, or compiles it with TL2cgen.

Runs in Treelite's environment. Usage: compile_treelite.py gtil|tl2cgen LIBRARY MODEL OUT
where LIBRARY is lightgbm, xgboost, hist or forest, as in `bench.forest.cases`.
"""

from __future__ import annotations

import os
import sys
import warnings
from typing import Any

import tl2cgen
import treelite


def read(library: str, model: str) -> Any:
    if library == "lightgbm":
        return treelite.frontend.load_lightgbm_model(model)
    if library == "xgboost":
        return treelite.frontend.load_xgboost_model(model)
    import joblib

    return treelite.sklearn.import_model(joblib.load(model))


def main(kind: str, library: str, model: str, out: str) -> None:
    warnings.simplefilter("ignore")
    forest = read(library, model)
    if kind == "gtil":
        forest.serialize(out)
        return
    cores = len(os.sched_getaffinity(0))
    params = {"parallel_comp": 4 * cores}  # several C files, compiled one a core
    tl2cgen.export_lib(forest, toolchain="gcc", libpath=out, params=params, nthread=cores)


if __name__ == "__main__":
    main(*sys.argv[1:])
