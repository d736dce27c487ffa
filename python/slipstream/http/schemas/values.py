"""Values that stay bytes on their way through Python, and what they are as JSON.

The core reads and writes them, so to msgspec they are `Raw`; their schemas, which the OpenAPI
document shows, are here. Use these names in place of ``Raw``.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

from msgspec import Meta, Raw

_REF = "#/components/schemas/"

Data: TypeAlias = Annotated[Raw, Meta(extra_json_schema={"$ref": _REF + "Data"})]
Predictions: TypeAlias = Annotated[Raw, Meta(extra_json_schema={"$ref": _REF + "Predictions"})]
Probabilities: TypeAlias = Annotated[Raw, Meta(extra_json_schema={"$ref": _REF + "Probabilities"})]
RawEntry: TypeAlias = Annotated[Raw, Meta(extra_json_schema={"$ref": _REF + "MultiBatchEntry"})]
"""Read one by one: each may be wrong by itself."""
RawResult: TypeAlias = Annotated[
    Raw, Meta(extra_json_schema={"anyOf": [{"$ref": _REF + "TaskResult"}, {"type": "null"}]})
]
RawError: TypeAlias = Annotated[
    Raw, Meta(extra_json_schema={"anyOf": [{"$ref": _REF + "EntryError"}, {"type": "null"}]})
]
MaybeData: TypeAlias = Annotated[
    Raw, Meta(extra_json_schema={"anyOf": [{"$ref": _REF + "Data"}, {"type": "null"}]})
]

RoutingKey: TypeAlias = Annotated[str, Meta(max_length=1024)]

# Checked by http/routes/options.py, whose messages say more than msgspec's would.
TimeoutMs: TypeAlias = Annotated[float, Meta(extra_json_schema={"exclusiveMinimum": 0})]
BatchSize: TypeAlias = Annotated[int, Meta(extra_json_schema={"minimum": 1})]
Priority: TypeAlias = Annotated[
    str, Meta(extra_json_schema={"enum": ["low", "normal", "high", "urgent"]})
]

ModelName: TypeAlias = Annotated[str, Meta(max_length=256)]
TimeoutS: TypeAlias = Annotated[float, Meta(extra_json_schema={"exclusiveMinimum": 0})]
Level: TypeAlias = Annotated[int, Meta(extra_json_schema={"minimum": 0, "maximum": 10})]
Inputs: TypeAlias = Annotated[Raw, Meta(extra_json_schema={"$ref": _REF + "Inputs"})]
PredictedResult: TypeAlias = Annotated[Raw, Meta(extra_json_schema={"$ref": _REF + "Result"})]

_CELL = {"type": ["number", "string", "null"]}
_OUTPUT = {
    "type": "array",
    "items": {"anyOf": [{"$ref": _REF + "Output"}, {"$ref": _REF + "Cell"}]},
}

VALUES: dict[str, dict[str, Any]] = {
    "Cell": {
        "type": ["number", "string", "null"],
        "description": "A number, a text where the model takes texts, or null: missing.",
    },
    "NamedRow": {
        "type": "object",
        "additionalProperties": {"$ref": _REF + "Cell"},
        "description": "A row by the names of its columns, for models trained on named columns.",
    },
    "Rows": {
        "type": "array",
        "items": {
            "anyOf": [
                {"$ref": _REF + "Rows"},
                {"$ref": _REF + "NamedRow"},
                {"$ref": _REF + "Cell"},
            ]
        },
        "description": "Rows, or the tensor that a model takes: lists in lists of its rank.",
    },
    "Data": {
        "anyOf": [
            {"$ref": _REF + "Rows"},
            {
                "type": "object",
                "additionalProperties": {"$ref": _REF + "Rows"},
                "description": "The rows of each input by its name, for models with several.",
            },
        ],
        "description": "What the model is asked about: 1 to 1,000,000 rows.",
        "examples": [[[5.1, 3.5, 1.4, 0.2], [6.2, None, 4.3, 1.3]], [{"age": 31, "city": "Ulm"}]],
    },
    "Inputs": {
        "anyOf": [
            {"$ref": _REF + "Data"},
            {"$ref": _REF + "NamedRow"},
            {"$ref": _REF + "Cell"},
        ],
        "description": "One input, or a batch: a list of them. Of models with several inputs an "
        "object of these by name. A value, or a string, may stand for a row.",
        "examples": [[1, 2, 3], [[1, 2, 3], [4, 5, 6]], "Hello world"],
    },
    "Result": {
        "anyOf": [{"$ref": _REF + "Predictions"}, {"$ref": _REF + "Cell"}],
        "description": "What the model answers: of one input a number, a label or a list; of a "
        "batch a list of these. An object by name of models with several outputs.",
        "examples": [0.75, [0.75, 0.25]],
    },
    "Output": {
        "type": "array",
        "items": {"anyOf": [{"$ref": _REF + "Output"}, {"$ref": _REF + "Cell"}]},
        "description": "One element a row, in the order of the rows; null: not finite.",
    },
    "Predictions": {
        "anyOf": [
            {"$ref": _REF + "Output"},
            {
                "type": "object",
                "additionalProperties": {"$ref": _REF + "Output"},
                "description": "Each output by its name, of models with several.",
            },
        ],
        "examples": [["benign", "malignant"], [172.44239402633482]],
    },
    "Probabilities": {
        "$ref": _REF + "Output",
        "description": "Per row, one probability a class, in the model's order of classes.",
        "examples": [[[0.09, 0.91]]],
    },
}
"""Components of the OpenAPI document that no Struct stands for."""


def one_of(*kinds: str) -> Any:
    """A value that is one of these Structs of ``http.schemas``, for answers only.

    msgspec has no schema of such unions where the Structs carry no tag.
    """
    return Annotated[Any, Meta(extra_json_schema={"anyOf": [{"$ref": _REF + k} for k in kinds]})]
