"""POST /synthesize: text as audio, while it is being made, or whole, or inside JSON."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import quote

from slipstream.errors import MalformedInputError
from slipstream.http.codec import JsonBody, json_response
from slipstream.http.coroutine_call import CoroutineCall
from slipstream.http.pieces import ClosingPieces
from slipstream.http.routes.context import Context
from slipstream.http.schemas.speech import SpokenSentence, SynthesizeAnswer, SynthesizeRequest
from slipstream.http.types import Header, Pending, Request, Response, Streaming

if TYPE_CHECKING:
    from slipstream.audio.encode import Encoder
    from slipstream.audio.service import Speech
    from slipstream.audio.synthesis import Spoken, Synthesis

_body = JsonBody(SynthesizeRequest)
_IN_HEADERS = "/@:+,;=!'() "
"""Of a model's name; other characters are percent-encoded, as folders may be called anything."""


def synthesize(context: Context, request: Request) -> Pending:
    """POST /synthesize: a text, spoken. The answer is audio, in pieces as it is made.

    With `Accept: application/json` it is JSON with the audio as base64, and the sentences with
    their times.
    """
    asked = _body(request)
    return CoroutineCall(_answer(context, request, asked), request, context.clock)


def wants_json(request: Request) -> bool:
    """Whether the client takes JSON, and did not say that it would rather have audio."""
    accepted = (request.headers.get("accept") or "").lower().split(",")
    kinds = [part.partition(";")[0].strip() for part in accepted]
    return "application/json" in kinds and not any(kind.startswith("audio/") for kind in kinds)


async def _answer(context: Context, request: Request, asked: SynthesizeRequest) -> Response:
    from slipstream.audio.voice import Manner

    try:
        asked.text.encode()
    except UnicodeEncodeError as error:  # JSON can name half of a surrogate pair
        raise MalformedInputError("'text' is not Unicode: it holds a lone surrogate") from error
    speech = context.speech.service
    manner = Manner(asked.voice, asked.speed, asked.language, asked.variation)
    synthesis = await speech.synthesis(asked.text, asked.model_name, manner)
    spoken = synthesis.spoken()
    answer = _in_json if wants_json(request) else _streamed if asked.stream else _whole
    try:
        with context.limits.accepting(synthesis.voice.model_name):
            return await answer(speech, synthesis, spoken, asked)
    except BaseException:
        await spoken.aclose()
        synthesis.end()  # it may not have begun
        raise


async def _collected(
    speech: Speech,
    synthesis: Synthesis,
    spoken: AsyncGenerator[Spoken],
    asked: SynthesizeRequest,
) -> tuple[bytes, list[SpokenSentence]]:
    """The whole file, and its sentences."""
    from slipstream.audio.encode import Stored

    file = await speech.on_thread(partial(Stored, asked.format, synthesis.voice.sample_rate))
    sentences = []
    async for one in spoken:
        await speech.on_thread(partial(file.write, one.samples))
        sentences.append(SpokenSentence(one.text, round(one.start_s, 6), round(one.end_s, 6)))
    return await speech.on_thread(file.finish), sentences


async def _in_json(
    speech: Speech,
    synthesis: Synthesis,
    spoken: AsyncGenerator[Spoken],
    asked: SynthesizeRequest,
) -> Response:
    data, sentences = await _collected(speech, synthesis, spoken, asked)
    answer = SynthesizeAnswer(
        model_name=synthesis.voice.model_name,
        voice=synthesis.voice_name,
        language=synthesis.language,
        format=asked.format,
        sample_rate=synthesis.voice.sample_rate,
        duration_s=round(synthesis.audio_s, 6),
        time_to_first_audio_ms=_ms(synthesis.first_audio_s),
        synthesis_time_ms=_ms(synthesis.took_s),
        sentences=sentences,
        audio=data,
    )
    return await speech.on_thread(partial(json_response, answer))


async def _whole(
    speech: Speech,
    synthesis: Synthesis,
    spoken: AsyncGenerator[Spoken],
    asked: SynthesizeRequest,
) -> Response:
    data, _ = await _collected(speech, synthesis, spoken, asked)
    return Response(200, data, _headers(synthesis), _content_type(asked))


async def _streamed(
    speech: Speech,
    synthesis: Synthesis,
    spoken: AsyncGenerator[Spoken],
    asked: SynthesizeRequest,
) -> Response:
    """Answers when the first sentence is there: until then a failure has its own status."""
    from slipstream.audio.encode import encoder

    made = await speech.on_thread(partial(encoder, asked.format, synthesis.voice.sample_rate))
    first = await anext(spoken)
    begin = await speech.on_thread(partial(made.write, first.samples))
    pieces = ClosingPieces(_pieces(speech, spoken, made, begin), spoken.aclose)
    return Streaming(200, b"", _headers(synthesis), _content_type(asked), pieces=pieces)


async def _pieces(
    speech: Speech, spoken: AsyncGenerator[Spoken], made: Encoder, begin: bytes
) -> AsyncGenerator[bytes]:
    if begin:
        yield begin
    async for sentence in spoken:
        piece = await speech.on_thread(partial(made.write, sentence.samples))
        if piece:
            yield piece
    end = await speech.on_thread(made.finish)
    if end:
        yield end


def _headers(synthesis: Synthesis) -> tuple[Header, ...]:
    return (
        ("cache-control", "no-store"),
        ("x-model-name", quote(synthesis.voice.model_name, safe=_IN_HEADERS)),
        ("x-sample-rate", str(synthesis.voice.sample_rate)),
        ("x-sentences", str(len(synthesis.sentences))),
        ("x-time-to-first-audio-ms", f"{_ms(synthesis.first_audio_s):g}"),
    )


def _content_type(asked: SynthesizeRequest) -> str:
    from slipstream.audio.formats import CONTENT_TYPES

    return CONTENT_TYPES[asked.format]


def _ms(seconds: float | None) -> float:
    return round((seconds or 0.0) * 1e3, 3)
