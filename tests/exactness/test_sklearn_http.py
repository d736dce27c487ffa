"""Real tables with text and holes, from training to the answer of an HTTP request."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from exactness.counts import ulps
from http_server import Server, error_of, slipstream_server

PREDICT = "/api/inference/predict"
MODELS = "/api/inference/models"


def penguins() -> tuple[Any, Any]:
    """344 penguins, text and numbers missing."""
    from palmerpenguins import load_penguins

    table = load_penguins()
    return table.drop(columns="species"), table["species"]


def cars() -> tuple[Any, Any]:
    """406 cars; half of the numbers of each third row are missing."""
    from vega_datasets import local_data

    table = local_data.cars().dropna(subset=["Miles_per_Gallon"])
    columns = ["Origin", "Cylinders", "Displacement", "Horsepower", "Weight_in_lbs", "Acceleration"]
    x = table[columns].astype({"Cylinders": float, "Weight_in_lbs": float}).reset_index(drop=True)
    holes = np.random.default_rng(0).random((len(x), 4)) < 0.5
    holes[np.arange(len(x)) % 3 != 0] = False
    x[columns[2:]] = x[columns[2:]].mask(holes)
    return x, table["Miles_per_Gallon"].to_numpy()


def _text_first(encoder: Any, numbers: Any) -> Any:
    from sklearn.compose import make_column_selector, make_column_transformer

    return make_column_transformer(
        (encoder, make_column_selector(dtype_exclude=np.number)),
        (numbers, make_column_selector(dtype_include=np.number)),
    )


def _penguin_forest() -> Any:
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    text = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder())
    numbers = make_pipeline(SimpleImputer(add_indicator=True), StandardScaler())
    forest = RandomForestClassifier(40, random_state=0)
    return make_pipeline(_text_first(text, numbers), forest).fit(*penguins())


def _penguin_categories() -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    x, y = penguins()
    x = x.astype({"island": "category", "sex": "category"})
    return HistGradientBoostingClassifier(max_iter=30, random_state=0).fit(x, y)


def _car_targets() -> Any:
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import TargetEncoder

    columns = _text_first(TargetEncoder(), "passthrough")
    return make_pipeline(columns, HistGradientBoostingRegressor(max_iter=40)).fit(*cars())


def _car_booster() -> Any:
    from lightgbm import LGBMRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OrdinalEncoder

    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    booster = LGBMRegressor(n_estimators=40, n_jobs=1, verbose=-1)
    return make_pipeline(_text_first(encoder, "passthrough"), booster).fit(*cars())


TABLES: dict[str, tuple[Callable[[], Any], Callable[[], tuple[Any, Any]]]] = {
    "penguin-forest": (_penguin_forest, penguins),
    "penguin-categories": (_penguin_categories, penguins),
    "car-targets": (_car_targets, cars),
    "car-booster": (_car_booster, cars),
}


@pytest.fixture(scope="module")
def models() -> dict[str, Any]:
    return {name: make() for name, (make, _) in TABLES.items()}


@pytest.fixture(scope="module")
def server(models: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder: Path = tmp_path_factory.mktemp("tables")
    loads = []
    for name, model in models.items():
        (folder / f"{name}.pkl").write_bytes(pickle.dumps(model))
        loads += ["--load", f"{name}.pkl={name}"]
    with slipstream_server("--model-dir", str(folder), *loads) as one:
        yield one


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with server.client() as one:
        yield one


def records(x: Any) -> list[dict[str, Any]]:
    """Rows as a client writes them: what is missing is null."""
    rows: list[dict[str, Any]] = x.astype(object).where(x.notna(), None).to_dict("records")
    return rows


def asked(client: httpx.Client, name: str, rows: Any) -> dict[str, Any]:
    is_classifier = name.startswith("penguin")
    body = {"model_id": name, "data": rows, "return_probabilities": is_classifier}
    response = client.post(PREDICT, json=body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


@pytest.mark.parametrize("name", TABLES)
def test_a_table_over_http(name: str, client: httpx.Client, models: dict[str, Any]) -> None:
    info = client.get(f"{MODELS}/{name}/info").json()
    assert (info["backend"], info["compiled"]) == ("forest", True)
    x, _ = TABLES[name][1]()
    assert x.isna().to_numpy().sum() > 10
    answer = asked(client, name, records(x))
    model = models[name]
    expected = np.asarray(model.predict(x))
    if name.startswith("penguin"):
        assert answer["predictions"] == expected.tolist()
        shares = model.predict_proba(x)
        assert int(ulps(np.array(answer["probabilities"]), shares).max()) <= 4
    else:
        assert int(ulps(np.array(answer["predictions"]), expected).max()) <= 1
    alone = [asked(client, name, [row])["predictions"][0] for row in records(x.iloc[:20])]
    assert alone == answer["predictions"][:20]


def test_values_that_training_never_saw(client: httpx.Client, models: dict[str, Any]) -> None:
    x, _ = penguins()
    row = {**records(x.iloc[:1])[0], "island": "Skye"}
    known = models["penguin-categories"].predict(x.iloc[:1].assign(island="Skye"))
    assert asked(client, "penguin-categories", [row])["predictions"] == known.tolist()
    refused = client.post(PREDICT, json={"model_id": "penguin-forest", "data": [row]})
    assert refused.status_code == 422
    assert "'island' holds a category" in error_of(refused)["message"]
    assert asked(client, "penguin-forest", records(x.iloc[:1]))["predictions"] == ["Adelie"]
