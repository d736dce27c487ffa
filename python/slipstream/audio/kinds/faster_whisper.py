"""Transcription by faster-whisper, from a folder of CTranslate2, with 8-bit weights on CPUs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from slipstream.audio.child import Job
from slipstream.audio.kinds.samples import SAMPLE_RATE, read_samples
from slipstream.errors import InvalidInputError, MissingDependencyError, ModelLoadError


class FasterWhisperWorker:
    """Asked ``{"language", "most_s"}`` and a file; emits a head and segments as they are found."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def run(self, job: Job) -> tuple[dict[str, Any], bytes]:
        """See `slipstream.audio.transcription`."""
        language = job.body["language"]
        _require_language(language, self._model)
        samples = read_samples(job.payload, job.body["most_s"])
        # Without voice activity detection Whisper invents words where nobody speaks.
        segments, info = self._model.transcribe(samples, language=language, vad_filter=True)
        duration_s = len(samples) / SAMPLE_RATE
        head = {
            "language": info.language,
            "language_probability": round(float(info.language_probability), 6),
            "duration_s": round(duration_s, 6),
        }
        job.emit({"head": head})
        for segment in segments:
            end_s = min(segment.end, duration_s)
            said = {
                "start": round(min(segment.start, end_s), 3),
                "end": round(end_s, 3),
                "text": segment.text.strip(),
            }
            job.emit({"segment": said})
        return {}, b""


def _require_language(language: str | None, model: Any) -> None:
    known = model.supported_languages
    if language is not None and language not in known:
        raise InvalidInputError(
            f"this model transcribes {', '.join(known[:12])}{' …' if len(known) > 12 else ''}, not "
            f"{language!r}",
            key="language",
            supported_languages=list(known),
        )


def open_worker(options: dict[str, Any]) -> FasterWhisperWorker:
    """Opens the folder.

    Raises:
        ModelLoadError: it is no Whisper model of CTranslate2.
        MissingDependencyError: faster-whisper is not installed.
    """
    try:
        from faster_whisper import WhisperModel
    except ImportError as error:
        raise MissingDependencyError(
            "Transcription needs faster-whisper, which is not installed: "
            "pip install 'slipstream[audio]'"
        ) from error
    folder = Path(options["folder"])
    try:
        model = WhisperModel(
            str(folder),
            device="cpu",
            compute_type="int8",
            cpu_threads=options["threads"],
            local_files_only=True,
        )
    except (RuntimeError, ValueError, OSError, KeyError) as error:
        raise ModelLoadError(
            f"{folder.name} cannot be opened as a Whisper model of CTranslate2: {error}"
        ) from error
    return FasterWhisperWorker(model)
