"""Voices like Kokoro: a graph of ids, a style vector and a speed, on our core.

The layout is that of Kokoro-82M's ONNX exports: ``input_ids`` or ``tokens`` (int64 ``(1, n)``),
``style`` (float32 ``(1, d)``), ``speed`` (float32 or int32 ``(1,)``) in, samples of 24 kHz out.
Beside ``NAME.onnx`` lie ``NAME.onnx.voices.npz`` (or ``voices.npz``, ``voices.bin``,
``voices-*.bin``: the same format), where each voice is an array ``(longest, 1, d)`` with a style
for every number of ids, and ``config.json`` with the ``vocab`` from phonemes to ids.
"""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from slipstream.api import Model
from slipstream.audio.phonemes import Phonemes
from slipstream.audio.voice import (
    Manner,
    Samples,
    checked_language,
    checked_voice,
    sound_of,
)
from slipstream.decoding import file_decoder
from slipstream.errors import InvalidInputError, ModelLoadError

SAMPLE_RATE = 24_000
_MOST_CONFIG_BYTES = 4 * 1024 * 1024
_MOST_VOICES = 1000
_PAD = 0
_LANGUAGES: Final = {
    "a": ("en", "en-us"),
    "b": ("en", "en-gb"),
    "e": ("es", "es"),
    "f": ("fr", "fr-fr"),
    "h": ("hi", "hi"),
    "i": ("it", "it"),
    "p": ("pt", "pt-br"),
}
"""First letter of a voice's name → its language, and espeak-ng's voice for it."""


class _Config(msgspec.Struct):
    vocab: dict[str, int]


_decode = file_decoder(_Config)


def voices_path(file: Path) -> Path | None:
    """The file of styles beside a graph; None where there is none."""
    folder = file.parent
    named = (f"{file.name}.voices.npz", "voices.npz", "voices.bin")
    found = [folder / name for name in named if (folder / name).is_file()]
    return next(iter([*found, *sorted(folder.glob("voices-*.bin"))]), None)


def read_vocabulary(file: Path) -> dict[str, int]:
    """Phoneme → id, of ``config.json`` beside a graph.

    Raises:
        ModelLoadError: it is not there, or not of that form.
    """
    path = file.with_name("config.json")
    try:
        with path.open("rb") as stream:
            return _decode(stream.read(_MOST_CONFIG_BYTES)).vocab
    except (OSError, msgspec.MsgspecError) as error:
        why = error.strerror if isinstance(error, OSError) else error  # else it has the path
        raise ModelLoadError(
            f"{file.name} has a file of voices, but its vocabulary cannot be read: {path.name} "
            f"beside it must hold 'vocab', from phonemes to ids: {why}"
        ) from error


def read_styles(path: Path) -> dict[str, npt.NDArray[np.float32]]:
    """Voice → styles of shape ``(longest, 1, d)``. Never unpickles.

    Raises:
        ModelLoadError: not such a file.
    """
    styles: dict[str, npt.NDArray[np.float32]] = {}
    try:
        with np.load(path, allow_pickle=False) as archive:
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise ValueError("it holds one array, not an array for each voice")
            for name in archive.files[:_MOST_VOICES]:
                array = archive[name]
                if array.ndim != 3 or array.shape[1] != 1 or array.dtype.kind != "f":
                    raise ValueError(f"voice {name!r} is an array of shape {array.shape}")
                styles[name] = array.astype(np.float32)
    except Exception as error:  # of zipfile, struct and others: whatever a damaged one raises
        raise ModelLoadError(f"{path.name} cannot be read as a file of voices: {error}") from error
    if not styles:
        raise ModelLoadError(f"{path.name} holds no voice")
    return styles


def ids_in(vocabulary: dict[str, int], phonemes: list[str]) -> list[int]:
    """Ids of phonemes; those that the voice was not trained on are left out.

    A vocabulary has some letters with their marks, and others apart from them: the whole is looked
    for first.
    """
    ids = []
    for char in unicodedata.normalize("NFC", "".join(phonemes)):
        parts = char if char in vocabulary else unicodedata.normalize("NFD", char)
        ids += [vocabulary[part] for part in parts if part in vocabulary]
    return ids


class KokoroVoice:
    """One loaded model with all its voices. See `slipstream.audio.voice.Voice`."""

    def __init__(
        self,
        model: Model,
        vocabulary: dict[str, int],
        styles: dict[str, npt.NDArray[np.float32]],
        phonemes: Phonemes,
    ) -> None:
        """Checks that the graph has that signature.

        Raises:
            ModelLoadError: it has not.
        """
        self.model = model
        self.model_name = model.model_id
        self.sample_rate = SAMPLE_RATE
        self._vocabulary = vocabulary
        self._styles = styles
        self._phonemes = phonemes
        inputs = {name: dtype for name, dtype, _ in model.signature.inputs}
        ids = [name for name in ("input_ids", "tokens") if name in inputs]
        if not ids or set(inputs) != {ids[0], "style", "speed"}:
            raise ModelLoadError(
                f"{model.file.name} takes {', '.join(inputs)}; a voice of this kind takes "
                "input_ids or tokens, style, and speed"
            )
        self._ids, self._speed_dtype = ids[0], inputs["speed"]
        spoken = sorted(name for name in styles if name[:1] in _LANGUAGES)
        if not spoken:
            raise ModelLoadError(
                f"{model.file.name}: none of its voices is of a language that espeak-ng serves "
                f"here; their names begin with one of {', '.join(_LANGUAGES)}"
            )
        self.voices = tuple(spoken)
        self.languages = tuple(dict.fromkeys(_LANGUAGES[name[0]][0] for name in spoken))

    def check(self, manner: Manner) -> str:
        """See `Voice`: the language is the voice's."""
        if self._speed_dtype.startswith("int") and manner.speed != int(manner.speed):
            raise InvalidInputError(
                f"'{self.model_name}' takes whole numbers as 'speed', not {manner.speed:g}",
                key="speed",
            )
        wanted = checked_language(manner, self.model_name, self.languages)
        language = _LANGUAGES[self._voice(manner)[0]][0]
        if manner.language is not None and wanted != language:
            raise InvalidInputError(
                f"voice {manner.voice!r} speaks {language}, not {manner.language!r}",
                key="language",
                supported_languages=[language],
            )
        return language

    def _voice(self, manner: Manner) -> str:
        """The voice that is asked for; where only a language is, the first that speaks it."""
        if manner.voice is None and manner.language is not None:
            wanted = checked_language(manner, self.model_name, self.languages)
            return next(name for name in self.voices if _LANGUAGES[name[0]][0] == wanted)
        return checked_voice(manner, self.model_name, self.voices) or self.voices[0]

    async def prepare(self, sentences: list[str], manner: Manner) -> list[Any]:
        """See `Voice`: ids of each sentence, int64 ``(1, n)``, with padding at both ends."""
        voice = self._voice(manner)
        longest = len(self._styles[voice]) - 1
        spoken = await self._phonemes.of(sentences, "espeak", _LANGUAGES[voice[0]][1])
        prepared = []
        for phonemes, sentence in zip(spoken, sentences, strict=True):
            ids = ids_in(self._vocabulary, phonemes)
            if len(ids) > longest:
                raise InvalidInputError(
                    f"a sentence of {len(ids)} phonemes is longer than the {longest} that "
                    f"'{self.model_name}' takes: {sentence[:60]!r} …; put a full stop into it",
                    key="text",
                )
            prepared.append(np.array([[_PAD, *ids, _PAD]], dtype=np.int64))
        return prepared

    async def say(self, prepared: Any, manner: Manner, timeout_s: float) -> Samples:
        """See `Voice`."""
        styles = self._styles[self._voice(manner)]
        given = {
            self._ids: prepared,
            "style": styles[prepared.shape[1] - 2],  # padding does not count
            "speed": np.array([manner.speed]).astype(self._speed_dtype),
        }
        answer = await self.model.predict_async(given, timeout_ms=timeout_s * 1e3)
        return np.clip(sound_of(answer, self.model_name), -1.0, 1.0)
