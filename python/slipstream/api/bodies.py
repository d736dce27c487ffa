"""The forms in which rows come and answers go: JSON, MessagePack, tensors as bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

from slipstream.api.call import Call
from slipstream.api.either import Form, lifted
from slipstream.api.version import Version
from slipstream.engine.answers import Answers, RawTensor
from slipstream.engine.recurrence import Memory
from slipstream.engine.runtime import CoreInputs, CoreResult
from slipstream.errors import QueueFullError, SlipstreamError

BodyKind = Literal["json", "msgpack", "tensor"]


class Body(NamedTuple):
    """The rows of one request."""

    kind: BodyKind
    data: bytes | memoryview
    """``json``, ``msgpack``: one value. ``tensor``: little-endian, row-major elements; those of the
    model's dtype are used where they lie if they are aligned, and must not change then."""
    dtype: str = ""
    """Of a ``tensor``: NumPy's name, or ``"bfloat16"``."""
    shape: tuple[int, ...] = ()
    """Of a ``tensor``."""
    memory: Memory | None = None
    """What a stream keeps of requests to a model with states; None: it stands alone."""
    either: bool = False
    """Of ``json``: one input or several, as the rank of the model's inputs says."""


Way = Literal["inline", "queued", "batched", "remembered"]
"""On its caller's thread; by a worker of the model, alone; by a worker, in an execution that held
rows of other requests, too; not at all: the answer to the same rows was remembered."""


class Asked(NamedTuple):
    """How a body that was ``either`` was taken, and by what."""

    form: Form
    device: str
    """Where the model computes; the first of several: which one it was is not known."""
    is_batching: bool
    """Whether the model's executions may hold rows of several requests."""
    instances: int
    """Executions that may run side by side."""


class EncodedAnswer(NamedTuple):
    """What the HTTP layer sends: bytes of JSON or MessagePack, or a tensor."""

    predictions: bytes | RawTensor
    probabilities: bytes | RawTensor | None
    rows: int
    inference_time_s: float
    """From admission to completion."""
    variant: str | None = None
    """The model that answered for an experiment; None where a model was asked itself."""
    way: Way = "inline"
    """How it was computed."""
    asked: Asked | None = None
    """Of a body that was ``either``."""


def decode_body(version: Version, body: Body) -> CoreInputs:
    """The tensors of one request, whatever form its rows have."""
    if body.kind == "msgpack":
        given = version.decoder.decode_msgpack(body.data)
    elif body.kind == "tensor":
        given = version.decoder.decode_tensor(body.data, body.dtype, body.shape)
    elif body.either:
        given = version.decoder.decode(lifted(version, body.data)[0])
    else:
        given = version.decoder.decode(body.data)
    return version.completed(given, body.memory)


Encode = Callable[[Call, CoreResult], "EncodedAnswer | Exception"]


def remembering(memory: Memory, encode: Encode) -> Encode:
    """``encode`` that first lets ``memory`` keep what the result leaves."""

    def keep_and_encode(call: Call, result: CoreResult) -> EncodedAnswer | Exception:
        if call.version.recurrence is not None:
            memory.keep(call.version.recurrence, result)
        return encode(call, result)

    return keep_and_encode


def asked_of(version: Version, body: Body) -> Asked:
    """How this version takes a body that is ``either``; it may rest."""
    return Asked(
        lifted(version, body.data)[1],
        version.placement.first_device,
        version.core.is_batching,
        version.core.instances,
    )


def describing(body: Body, encode: Encode) -> Encode:
    """``encode`` that tells how the body was taken."""

    def encode_and_describe(call: Call, result: CoreResult) -> EncodedAnswer | Exception:
        answer = encode(call, result)
        if isinstance(answer, Exception):
            return answer
        return answer._replace(asked=asked_of(call.version, body))

    return encode_and_describe


def encoder(kind: BodyKind) -> Encode:
    """What `Model.start` answers in that form. It raises nothing: who waits must hear of it."""

    def encode(call: Call, result: CoreResult) -> EncodedAnswer | Exception:
        error = result.error()
        if error is not None:
            assert isinstance(error, SlipstreamError), "the bindings raise no others"
            return error
        read_predictions, read_probabilities = _readers(call.version.answers, kind)
        try:
            return EncodedAnswer(
                read_predictions(result),
                read_probabilities(result) if call.probabilities else None,
                call.rows,
                result.total_ns / 1e9,
                way="inline" if result.is_inline else "batched" if result.is_shared else "queued",
            )
        except MemoryError:
            return QueueFullError("Out of memory while writing the answer; ask for fewer rows")
        except Exception as fault:  # an output too large for the form; or a bug, to be told as one
            return fault

    return encode


_Reader = Callable[[CoreResult], bytes | RawTensor]


def _readers(answers: Answers, kind: BodyKind) -> tuple[_Reader, _Reader]:
    """Of predictions and of probabilities."""
    if kind == "msgpack":
        return answers.predictions_msgpack, answers.probabilities_msgpack
    if kind == "tensor":
        return answers.predictions_raw, answers.probabilities_raw
    return answers.predictions_json, answers.probabilities_json
