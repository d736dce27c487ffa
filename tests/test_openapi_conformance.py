"""Requests that schemathesis makes up from the served document, good ones and bad ones.

Every answer must be a documented one: its status, its headers, its body; and none is a 500.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from http_models import json_rows, model_folder, rows_of
from http_server import Server, slipstream_server

EXAMPLES = 25
"""Of each operation and sort: enough to meet every key, few enough for everyday runs."""
CHECKS = [
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
]
NOT_TRIED = frozenset(("put_engine_config", "post_engine_restart", "post_models_model_id_optimize"))
"""Operation ids that would take the server from under the other tests, or a minute each."""

pytestmark = pytest.mark.filterwarnings("ignore")  # schemathesis has its own opinions of documents


@schemathesis.serializer("application/msgpack")
def as_msgpack(context: schemathesis.SerializationContext, value: Any) -> dict[str, bytes]:
    try:
        return {"data": msgspec.msgpack.encode(value)}
    except OverflowError:  # MessagePack has no such number
        return {"data": msgspec.msgpack.encode(str(value))}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = model_folder(tmp_path_factory)
    with slipstream_server("--model-dir", str(folder), "--load", "wine.pkl=wine") as server:
        yield server


@pytest.fixture(scope="module")
def operations(server: Server) -> list[schemathesis.APIOperation]:
    schema = schemathesis.openapi.from_url(f"{server.address}/openapi.json")
    found = [result.ok() for result in schema.get_all_operations()]
    return [one for one in found if one.definition.raw["operationId"] not in NOT_TRIED]


def sensible(case: Case, how: str) -> Case:
    """Names the model that there is, sometimes: strangers' ids are all refused alike."""
    if how == "as drawn":
        return case
    rows = json_rows(rows_of("wine", 3))
    if "model_id" in (case.path_parameters or {}) and case.method != "DELETE":
        case.path_parameters["model_id"] = "wine"
    if isinstance(case.body, dict):
        if how == "right rows" and case.media_type == "application/json":
            case.query, case.body = {}, {"model_id": "wine", "data": rows}
        elif how != "right model":
            case.body |= {"model_id": "wine", "data": rows}
        else:
            case.body["model_id"] = "wine"
    return case


HOW = st.sampled_from(("as drawn", "right model", "right rows beside others", "right rows"))


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_answers_are_documented_ones(
    operations: list[schemathesis.APIOperation], mode: GenerationMode
) -> None:
    statuses: dict[str, set[int]] = {}
    for operation in operations:
        try:
            cases = operation.as_strategy(generation_mode=mode)
            ask(operation.label, cases, statuses.setdefault(operation.label, set()))
        except schemathesis.errors.SchemathesisError as error:
            # Of an operation that takes nothing nothing can be wrong.
            assert mode is GenerationMode.NEGATIVE, error
    expected = 200 if mode is GenerationMode.POSITIVE else 422
    assert expected in statuses["POST /api/inference/predict"]
    assert statuses["GET /api/inference/models/list"] <= {200, 304}


def ask(label: str, cases: st.SearchStrategy[Case], seen: set[int]) -> None:
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],  # shrinking these documents takes minutes
        suppress_health_check=list(HealthCheck),
    )
    @given(HOW, cases)
    def one(how: str, case: Case) -> None:
        response = sensible(case, how).call()
        seen.add(response.status_code)
        assert response.status_code != 500, case.as_curl_command()
        case.validate_response(response, checks=CHECKS)

    one()
