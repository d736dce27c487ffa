"""The worker's loop: receive an execute record, run the model, send a result or an error."""

from __future__ import annotations

import logging
import os

from slipstream.worker.failures import describe_run_failure, encode_text
from slipstream.worker.protocol import (
    KIND_ERROR,
    KIND_EXECUTE,
    KIND_RESULT,
    RECORD_BYTES,
    ProtocolError,
    Record,
)
from slipstream.worker.runner import Runner
from slipstream.worker.segment import RequestSegment, ResponseSegment
from slipstream.worker.tensors import TensorCodec

logger = logging.getLogger("slipstream.worker")


def serve(
    socket_fd: int, request: RequestSegment, response: ResponseSegment, runner: Runner
) -> None:
    """Answer execute records one after the other until the server closes the socket.

    Raises:
        ProtocolError: The server does not speak this protocol.
        OSError: The socket failed.
    """
    codec = TensorCodec(runner.inputs, runner.outputs)
    while True:
        packet = os.read(socket_fd, RECORD_BYTES)
        if not packet:
            return
        record = Record.unpack(packet)
        if record.kind != KIND_EXECUTE:
            raise ProtocolError(f"expected an execute record, got kind {record.kind}")
        try:
            os.write(socket_fd, _answer(codec, runner, request, response, record).pack())
        except BrokenPipeError:
            return  # The server has gone while we computed: nobody waits for this answer.


def _answer(
    codec: TensorCodec,
    runner: Runner,
    request: RequestSegment,
    response: ResponseSegment,
    record: Record,
) -> Record:
    try:
        inputs = codec.read(request, record)
        try:
            outputs = runner.run(inputs, record.outputs_wanted)
        finally:
            inputs.clear()  # The views end with the call, even where a traceback holds the list.
        size, count = codec.write(response, outputs, record.outputs_wanted)
    except ProtocolError:
        raise
    except Exception as error:
        logger.debug("request %d failed", record.sequence, exc_info=True)
        status, text = describe_run_failure(error)
        return _text_record(KIND_ERROR, response, record.sequence, status, text)
    return Record(
        KIND_RESULT,
        sequence=record.sequence,
        body_bytes=size,
        segment_bytes=len(response.view),
        tensor_count=count,
    )


def _text_record(
    kind: int, response: ResponseSegment, sequence: int, status: int, text: str
) -> Record:
    data = encode_text(text)
    response.view[: len(data)] = data
    return Record(
        kind,
        sequence=sequence,
        body_bytes=len(data),
        segment_bytes=len(response.view),
        status=status,
    )
