"""Voices of Piper: VITS as an ONNX graph on our core, phonemes from espeak-ng.

The graph (Kim et al., "Conditional Variational Autoencoder with Adversarial Learning for End-to-End
Text-to-Speech", 2021, as exported by Piper) takes ``input`` (ids, int64 ``(1, n)``),
``input_lengths`` (int64 ``(1,)``), ``scales`` (float32 ``(3,)``: noise, length, noise of durations)
and, with several speakers, ``sid`` (int64 ``(1,)``). It returns the samples. A padded batch would
return no lengths, so a sentence is a request, and they run side by side on the model's instances.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from slipstream.api import Model
from slipstream.audio.phonemes import Phonemes
from slipstream.audio.voice import (
    Manner,
    Samples,
    checked_language,
    checked_voice,
    levelled,
    primary,
    sound_of,
)
from slipstream.decoding import file_decoder
from slipstream.errors import InvalidInputError, ModelLoadError

_BEGIN, _END, _PAD = "^", "$", "_"
_MOST_CONFIG_BYTES = 4 * 1024 * 1024


class _Audio(msgspec.Struct):
    sample_rate: int


class _Espeak(msgspec.Struct):
    voice: str = "en-us"


class _Language(msgspec.Struct):
    code: str | None = None
    family: str | None = None


class _Inference(msgspec.Struct):
    noise_scale: float = 0.667
    length_scale: float = 1.0
    noise_w: float = 0.8


class PiperConfig(msgspec.Struct):
    """The file beside a voice, ``VOICE.onnx.json``, as Piper's training writes it."""

    audio: _Audio
    phoneme_id_map: dict[str, list[int]]
    espeak: _Espeak = msgspec.field(default_factory=_Espeak)
    phoneme_type: str = "espeak"
    inference: _Inference = msgspec.field(default_factory=_Inference)
    language: _Language = msgspec.field(default_factory=_Language)
    num_speakers: int = 1
    speaker_id_map: dict[str, int] = msgspec.field(default_factory=dict)
    default_speaker_id: int = 0
    vowel_clusters: list[list[str]] = msgspec.field(default_factory=list)

    @property
    def spoken(self) -> str:
        """ISO 639-1."""
        return primary(self.language.family or self.language.code or self.espeak.voice)


_decode = file_decoder(PiperConfig)


def config_path(file: Path) -> Path:
    """Where the config of a voice is."""
    return file.with_name(f"{file.name}.json")


def read_config(file: Path) -> PiperConfig:
    """The config beside a voice's graph.

    Raises:
        ModelLoadError: it cannot be read, or is not of that form; names the file.
    """
    path = config_path(file)
    try:
        with path.open("rb") as stream:
            data = stream.read(_MOST_CONFIG_BYTES + 1)
        if len(data) > _MOST_CONFIG_BYTES:
            raise ModelLoadError(f"{path.name} is larger than {_MOST_CONFIG_BYTES} bytes")
        config = _decode(data)
    except OSError as error:  # its own text has the path
        raise ModelLoadError(f"{path.name} cannot be read: {error.strerror}") from error
    except msgspec.MsgspecError as error:
        raise ModelLoadError(
            f"{path.name} cannot be read as the config of a Piper voice: {error}"
        ) from error
    if not 1000 <= config.audio.sample_rate <= 192_000:
        raise ModelLoadError(f"{path.name}: a sample rate of {config.audio.sample_rate} Hz")
    missing = [mark for mark in (_BEGIN, _PAD, _END) if mark not in config.phoneme_id_map]
    if missing or config.phoneme_type not in ("espeak", "text"):
        raise ModelLoadError(
            f"{path.name}: phoneme_id_map lacks {missing[0]!r}"
            if missing
            else f"{path.name}: phonemes of type {config.phoneme_type!r} are not supported; voices "
            "of type espeak and text are"
        )
    return config


def ids_of(phonemes: list[str], id_map: dict[str, list[int]]) -> list[int]:
    """Ids of one sentence: begin, every phoneme with padding behind it, end.

    Phonemes that the voice was not trained on are left out, as Piper does.
    """
    pad = id_map[_PAD]
    ids = [*id_map[_BEGIN], *pad]
    for phoneme in phonemes:
        if phoneme in id_map:
            ids += id_map[phoneme]
            ids += pad
    return ids + id_map[_END]


def _plain(tag: str) -> str:
    return tag.replace("_", "-").lower()


class PiperVoice:
    """One loaded Piper model. See `slipstream.audio.voice.Voice`."""

    def __init__(self, model: Model, config: PiperConfig, phonemes: Phonemes) -> None:
        """Checks that the graph has that signature.

        Raises:
            ModelLoadError: it has not.
        """
        inputs = {name for name, _, _ in model.signature.inputs}
        wanted = {"input", "input_lengths", "scales"} | ({"sid"} & inputs)
        if inputs != wanted or (config.num_speakers > 1 and "sid" not in inputs):
            raise ModelLoadError(
                f"{model.file.name} takes {', '.join(sorted(inputs))}; a voice of Piper takes "
                "input, input_lengths, scales and, with several speakers, sid"
            )
        self.model = model
        self.model_name = model.model_id
        self.sample_rate = config.audio.sample_rate
        self.languages: tuple[str, ...] = (config.spoken,)
        self._config = config
        self._phonemes = phonemes
        self._speakers = config.speaker_id_map or {
            str(number): number for number in range(config.num_speakers)
        }
        first = config.default_speaker_id
        names = sorted(self._speakers, key=lambda name: (self._speakers[name] != first, name))
        self.voices = tuple(names) if config.num_speakers > 1 else ("default",)

    def check(self, manner: Manner) -> str:
        """See `Voice`."""
        checked_voice(manner, self.model_name, self.voices)
        language = checked_language(manner, self.model_name, self.languages)
        region = self._config.language.code
        wanted = manner.language
        if wanted and region and len(wanted) > 3 and _plain(wanted) != _plain(region):
            raise InvalidInputError(
                f"'{self.model_name}' speaks {region}, not {wanted!r}; language {language!r} takes "
                "any region",
                key="language",
                supported_languages=[*self.languages, region],
            )
        return language

    async def prepare(self, sentences: list[str], manner: Manner) -> list[Any]:
        """See `Voice`: the ids of each sentence, int64 ``(1, n)``."""
        spoken = await self._phonemes.of(
            *(sentences, self._config.phoneme_type, self._config.espeak.voice),
            clusters=self._config.vowel_clusters,
        )
        id_map = self._config.phoneme_id_map
        return [np.array([ids_of(one, id_map)], dtype=np.int64) for one in spoken]

    async def say(self, prepared: Any, manner: Manner, timeout_s: float) -> Samples:
        """See `Voice`."""
        inference = self._config.inference
        scales = (
            inference.noise_scale * manner.variation,
            inference.length_scale / manner.speed,
            inference.noise_w * manner.variation,
        )
        given: dict[str, Any] = {
            "input": prepared,
            "input_lengths": np.array([prepared.shape[1]], dtype=np.int64),
            "scales": np.array(scales, dtype=np.float32),
        }
        if self._config.num_speakers > 1:
            name = checked_voice(manner, self.model_name, self.voices)
            given["sid"] = np.array([self._speakers[name or self.voices[0]]], dtype=np.int64)
        answer = await self.model.predict_async(given, timeout_ms=timeout_s * 1e3)
        return levelled(sound_of(answer, self.model_name))
