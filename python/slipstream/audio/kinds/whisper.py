"""Transcription by the Whisper of ``transformers``, from a local folder.

Long audio is read window by window: each begins where the last whole segment ended, as section 3.8
of Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision", 2022, has it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from slipstream.audio.child import Job
from slipstream.audio.kinds.samples import SAMPLE_RATE, read_samples
from slipstream.audio.kinds.weights import require_plain_weights, require_transformers
from slipstream.errors import InvalidInputError, ModelLoadError

_WINDOW_S = 30.0
_SHORTEST_STEP_S = 1.0


class WhisperWorker:
    """Asked ``{"language", "most_s"}`` and a file; emits a head and segments as they are found."""

    def __init__(self, model: Any, processor: Any, torch: Any) -> None:
        self._model = model
        self._processor = processor
        self._torch = torch
        ids = getattr(model.generation_config, "lang_to_id", None) or {}
        self._languages = {token.strip("<|>"): number for token, number in ids.items()}

    def run(self, job: Job) -> tuple[dict[str, Any], bytes]:
        """See `slipstream.audio.transcription`."""
        known = self._languages or {"en": 0}
        wanted = job.body["language"]
        if wanted is not None and wanted not in known:
            raise InvalidInputError(
                f"this model transcribes {len(known)} languages, {wanted!r} is none of them",
                key="language",
                supported_languages=sorted(known),
            )
        samples = read_samples(job.payload, job.body["most_s"])
        with self._torch.inference_mode():
            language = wanted or self._heard(samples)
            duration_s = round(len(samples) / SAMPLE_RATE, 6)
            head = {"language": language, "language_probability": None, "duration_s": duration_s}
            job.emit({"head": head})
            for start_s, end_s, text in self._segments(samples, language):
                said = {"start": round(start_s, 3), "end": round(end_s, 3), "text": text}
                job.emit({"segment": said})
        return {}, b""

    def _features(self, samples: Any) -> Any:
        given = self._processor(samples, sampling_rate=SAMPLE_RATE, return_tensors="pt")
        return given["input_features"]

    def _heard(self, samples: Any) -> str:
        """The language of the first window."""
        if not self._languages:
            return "en"
        first = self._features(samples[: int(_WINDOW_S * SAMPLE_RATE)])
        found = int(self._model.detect_language(input_features=first)[0])
        return str(next(name for name, number in self._languages.items() if number == found))

    def _segments(self, samples: Any, language: str) -> Iterator[tuple[float, float, str]]:
        """``(start_s, end_s, text)`` of all windows."""
        at_s, duration_s = 0.0, len(samples) / SAMPLE_RATE
        asked = {"language": language, "task": "transcribe"} if self._languages else {}
        while duration_s - at_s > 0.05:
            begin = int(at_s * SAMPLE_RATE)
            window = samples[begin : begin + int(_WINDOW_S * SAMPLE_RATE)]
            ids = self._model.generate(self._features(window), return_timestamps=True, **asked)
            found = self._processor.tokenizer.decode(
                ids[0], skip_special_tokens=True, output_offsets=True
            )
            length_s, reached_s = len(window) / SAMPLE_RATE, 0.0
            for one in found["offsets"]:
                start_s, end_s = (length_s if when is None else when for when in one["timestamp"])
                end_s = min(end_s, length_s)
                reached_s = max(reached_s, end_s)
                if one["text"].strip():
                    yield at_s + min(start_s, end_s), at_s + end_s, one["text"].strip()
            is_last = at_s + length_s >= duration_s
            at_s += length_s if is_last or reached_s < _SHORTEST_STEP_S else reached_s


def open_worker(options: dict[str, Any]) -> WhisperWorker:
    """Opens the folder.

    Raises:
        ModelLoadError: it is no Whisper model.
        MissingDependencyError: a library is not installed.
    """
    transformers = require_transformers()
    import torch

    torch.set_num_threads(options["threads"])
    folder = Path(options["folder"])
    require_plain_weights(folder)
    try:
        processor = transformers.WhisperProcessor.from_pretrained(folder, local_files_only=True)
        model = transformers.WhisperForConditionalGeneration.from_pretrained(
            folder, local_files_only=True
        ).eval()
    except (OSError, ValueError, KeyError) as error:
        raise ModelLoadError(f"{folder.name} cannot be opened as Whisper: {error}") from error
    return WhisperWorker(model, processor, torch)
