"""Voices of ``transformers`` from a local folder: SpeechT5, Bark, VITS. Never downloads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, cast

from slipstream.audio.child import Job
from slipstream.audio.kinds.weights import require_plain_weights, require_transformers
from slipstream.decoding import foreign_json
from slipstream.errors import InvalidInputError, ModelLoadError

_TWO_LETTERS: Final = {
    **{"eng": "en", "deu": "de", "spa": "es", "fra": "fr", "ita": "it", "por": "pt", "nld": "nl"},
    **{"rus": "ru", "pol": "pl", "tur": "tr", "hin": "hi", "ara": "ar", "kor": "ko", "vie": "vi"},
}
_BARK_LANGUAGES: Final = tuple("en de es fr hi it ja ko pl pt ru tr zh".split())
_VOCODERS: Final = ("speecht5_hifigan", "microsoft--speecht5_hifigan")


class PipelineWorker:
    """Asked ``{"text", "voice", "speed", "variation"}``; answers float32 samples, little-endian."""

    def __init__(
        self, speak: Callable[[dict[str, Any]], Any], about: dict[str, Any], torch: Any
    ) -> None:
        self._speak = speak
        self._about = about
        self._torch = torch

    def run(self, job: Job) -> tuple[dict[str, Any], bytes]:
        """One sentence, or what was opened."""
        if job.body.get("about"):
            return self._about, b""
        if job.body["variation"] == 0:
            self._torch.manual_seed(0)
        with self._torch.inference_mode():
            samples = self._speak(job.body)
        return {}, samples.reshape(-1).float().cpu().numpy().astype("<f4").tobytes()


def open_worker(options: dict[str, Any]) -> PipelineWorker:
    """Opens the folder.

    Raises:
        ModelLoadError: it is no voice of these kinds, or lacks something; says what.
        MissingDependencyError: a library is not installed.
    """
    transformers = require_transformers()
    import torch

    torch.set_num_threads(options["threads"])
    folder = Path(options["folder"])
    kind = _model_type(folder)
    opener = _OPENERS.get(str(kind))
    if opener is None:
        raise ModelLoadError(
            f"{folder.name} is a model of type {kind!r}, which is no voice; voices are "
            f"{', '.join(_OPENERS)}"
        )
    require_plain_weights(folder)
    try:
        speak, about = opener(transformers, torch, folder)
    except (OSError, ValueError, KeyError) as error:  # of files that are missing, or damaged
        raise ModelLoadError(f"{folder.name} cannot be opened as {kind}: {error}") from error
    return PipelineWorker(speak, about, torch)


def _model_type(folder: Path) -> object:
    try:
        config = foreign_json((folder / "config.json").read_bytes())
    except (OSError, ValueError) as error:
        raise ModelLoadError(f"{folder.name}/config.json cannot be read: {error}") from error
    return cast(dict[str, Any], config).get("model_type") if isinstance(config, dict) else None


_Opened = tuple[Callable[[dict[str, Any]], Any], dict[str, Any]]


def _local(kind: Any, folder: Path) -> Any:
    return kind.from_pretrained(folder, local_files_only=True, trust_remote_code=False)


def _model(kind: Any, folder: Path) -> Any:
    return kind.from_pretrained(folder, local_files_only=True).eval()


def _speecht5(transformers: Any, torch: Any, folder: Path) -> _Opened:
    """Ao et al., "SpeechT5", 2022: text and a speaker's x-vector → mel → HiFi-GAN."""
    vocoders = [folder / "vocoder", *(folder.parent / name for name in _VOCODERS)]
    vocoders += sorted(folder.parent.glob(f"{_VOCODERS[1]}@*"))  # downloaded ones
    vocoder_folder = next((one for one in vocoders if (one / "config.json").is_file()), None)
    if vocoder_folder is None:
        raise ModelLoadError(
            f"{folder.name} makes spectrograms, and needs a vocoder to make sound of them: put "
            f"microsoft/speecht5_hifigan into {folder.name}/vocoder or beside it"
        )
    require_plain_weights(vocoder_folder)
    speakers = _x_vectors(folder, torch)
    tokenizer = _local(transformers.SpeechT5Tokenizer, folder)
    model = _model(transformers.SpeechT5ForTextToSpeech, folder)
    vocoder = _model(transformers.SpeechT5HifiGan, vocoder_folder)
    longest = model.config.max_text_positions

    def speak(body: dict[str, Any]) -> Any:
        ids = tokenizer(body["text"], return_tensors="pt")["input_ids"]
        if ids.shape[1] > longest:
            raise InvalidInputError(
                f"a sentence has {ids.shape[1]} characters, more than the {longest} that this "
                "voice takes; put a full stop into it",
                key="text",
            )
        return model.generate_speech(ids, speakers[body["voice"]], vocoder=vocoder)

    about = {
        "sample_rate": vocoder.config.sampling_rate,
        "voices": sorted(speakers),
        "languages": ["en"],
        "has_speed": False,
    }
    return speak, about


def _x_vectors(folder: Path, torch: Any) -> dict[str, Any]:
    """Name → speaker embedding, of ``speakers.npz`` or ``speaker_embeddings/*.npy``."""
    import numpy as np

    found: dict[str, Any] = {}
    if (folder / "speakers.npz").is_file():
        with np.load(folder / "speakers.npz", allow_pickle=False) as archive:
            found = {name: archive[name] for name in archive.files}
    for path in sorted((folder / "speaker_embeddings").glob("*.npy")):
        found[path.stem] = np.load(path, allow_pickle=False)
    if not found:
        raise ModelLoadError(
            f"{folder.name} speaks with the voice of an x-vector, and none is there: put 512 "
            "float32 numbers into speaker_embeddings/NAME.npy, one file a voice (the data set "
            "Matthijs/cmu-arctic-xvectors has some)"
        )
    return {
        name: torch.from_numpy(array.astype("float32").reshape(1, -1))
        for name, array in found.items()
    }


def _bark(transformers: Any, torch: Any, folder: Path) -> _Opened:
    """Bark (Suno, 2023): text → semantic → coarse → fine tokens → EnCodec."""
    processor = _local(transformers.BarkProcessor, folder)
    model = _model(transformers.BarkModel, folder)
    presets = sorted(processor.available_voice_presets)

    def speak(body: dict[str, Any]) -> Any:
        voice = body["voice"] if body["voice"] in presets else None
        given = processor(body["text"], voice_preset=voice)
        return model.generate(**given)

    named = {name.removeprefix("v2/")[:2] for name in presets}
    about = {
        "sample_rate": getattr(model.generation_config, "sample_rate", 24_000),
        "voices": presets or ["default"],
        "languages": [one for one in _BARK_LANGUAGES if not named or one in named],
        "has_speed": False,
    }
    return speak, about


def _vits(transformers: Any, torch: Any, folder: Path) -> _Opened:
    """Kim et al., "VITS", 2021, and MMS-TTS (Pratap et al., 2023), which has one a language."""
    tokenizer = _local(transformers.AutoTokenizer, folder)
    model = _model(transformers.VitsModel, folder)
    noises = (model.noise_scale, model.noise_scale_duration)
    rate, count = model.speaking_rate, model.config.num_speakers

    def speak(body: dict[str, Any]) -> Any:
        given = tokenizer(body["text"], return_tensors="pt")
        if given["input_ids"].shape[1] == 0:
            raise InvalidInputError(
                f"this voice has no letter of {body['text'][:60]!r}", key="text"
            )
        model.noise_scale, model.noise_scale_duration = (
            noise * body["variation"] for noise in noises
        )
        model.speaking_rate = rate * body["speed"]
        speaker = int(body["voice"]) if count > 1 else None
        return model(**given, speaker_id=speaker).waveform

    language = str(tokenizer.language or "eng")
    about = {
        "sample_rate": model.config.sampling_rate,
        "voices": [str(one) for one in range(count)] if count > 1 else ["default"],
        "languages": [_TWO_LETTERS.get(language, language)],
        "has_speed": True,
    }
    return speak, about


_OPENERS: Final[dict[str, Callable[[Any, Any, Path], _Opened]]] = {
    "speecht5": _speecht5,
    "bark": _bark,
    "vits": _vits,
}
