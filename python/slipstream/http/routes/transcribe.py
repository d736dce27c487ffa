"""POST /transcribe: audio as text, when it is all there, or as events while it is found."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING

from slipstream.http import sse
from slipstream.http.codec import encode_json, json_response, refuse_compressed
from slipstream.http.coroutine_call import CoroutineCall
from slipstream.http.failures import error_response
from slipstream.http.multipart_form import is_form, read_form
from slipstream.http.pieces import ClosingPieces
from slipstream.http.queries import Query
from slipstream.http.routes.context import Context
from slipstream.http.schemas.speech import (
    TranscribeAnswer,
    TranscribedSegment,
    TranscribeQuery,
    TranscriptionHead,
)
from slipstream.http.types import Pending, Request, Response, Streaming

if TYPE_CHECKING:
    from slipstream.audio.transcription import Head, Segment, Transcription

_query = Query(TranscribeQuery)


def transcribe(context: Context, request: Request) -> Pending:
    """POST /transcribe: a file of audio, as text. The body is a form, or the file itself.

    With `Accept: text/event-stream` segments are sent as they are found.
    """
    refuse_compressed(request)
    asked = _query(request)
    return CoroutineCall(_answer(context, request, asked), request, context.clock)


async def _answer(context: Context, request: Request, asked: TranscribeQuery) -> Response:
    speech = context.speech.service
    data = request.body
    if is_form(request):
        form = await speech.on_thread(partial(read_form, request))
        data = form.file
        asked = TranscribeQuery(
            form.fields.get("model_name") or asked.model_name,
            form.fields.get("language") or asked.language,
        )
    request.body = b""
    transcription = await speech.transcription(data, asked.model_name, asked.language)
    try:
        with context.limits.accepting(transcription.model_name):
            parts = transcription.parts()
    except BaseException:
        transcription.end()
        raise
    if sse.is_wanted(request):
        try:
            await anext(parts)  # until then, a failure has a status of its own
        except BaseException:
            await parts.aclose()
            raise
        events = _events(context, request, transcription, parts)
        pieces = ClosingPieces(events, parts.aclose)
        return Streaming(200, b"", sse.HEADERS, sse.CONTENT_TYPE, pieces=pieces)
    async with aclosing(parts):
        async for _ in parts:
            continue
    return json_response(_whole(transcription))


def _whole(transcription: Transcription) -> TranscribeAnswer:
    head = transcription.head
    assert head is not None, "a transcription that has ended well has a head"
    return TranscribeAnswer(
        text=transcription.text,
        language=head.language,
        language_probability=head.language_probability,
        duration_s=head.duration_s,
        segments=[TranscribedSegment(*segment) for segment in transcription.segments],
        model_name=transcription.model_name,
        transcription_time_ms=round(transcription.took_s * 1e3, 3),
    )


async def _events(
    context: Context,
    request: Request,
    transcription: Transcription,
    parts: AsyncGenerator[Head | Segment],
) -> AsyncGenerator[bytes]:
    """``head``, then ``segment`` events, then ``done`` with the whole, or ``error``."""
    head = transcription.head
    assert head is not None, "the head came first"
    heartbeat_s = context.settings.stream_heartbeat_s
    found: asyncio.Future[Head | Segment | None] | None = None
    try:
        yield sse.event(
            encode_json(TranscriptionHead(*head, transcription.model_name)), name="head"
        )
        found = asyncio.ensure_future(anext(parts, None))
        while True:
            done, _ = await asyncio.wait({found}, timeout=heartbeat_s)
            if not done:
                yield sse.HEARTBEAT
                continue
            if found.result() is None:
                break
            segment = TranscribedSegment(*transcription.segments[-1])
            yield sse.event(encode_json(segment), name="segment")
            found = asyncio.ensure_future(anext(parts, None))
        yield sse.event(encode_json(_whole(transcription)), name="done")
    except Exception as error:
        yield sse.event(error_response(error, request, context.clock).body, name="error")
    finally:
        if found is not None and not found.done():
            found.cancel()
            await asyncio.wait({found})
