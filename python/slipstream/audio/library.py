"""The models of speech of one server: found by name, opened once, closed again when others come.

A graph is loaded into the engine, as any model, and is listed, evicted and unloaded as one. What
runs in a process of its own is kept here, at most so many, and the one idle longest goes first.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from slipstream.api import Engine, Model
from slipstream.audio.known import known, refuse_silent
from slipstream.audio.kokoro import KokoroVoice, read_styles, read_vocabulary, voices_path
from slipstream.audio.phonemes import Phonemes
from slipstream.audio.pipeline import PipelineVoice
from slipstream.audio.piper import PiperConfig, PiperVoice, read_config
from slipstream.audio.places import Place, find, sort_of_graph
from slipstream.audio.process import ChildOptions
from slipstream.audio.transcription import Transcriber
from slipstream.audio.voice import Voice
from slipstream.errors import (
    InvalidInputError,
    ModelAlreadyLoadedError,
    ModelInUseError,
    ModelNotFoundError,
    QueueFullError,
    SlipstreamError,
)
from slipstream.own_threads import call_thread

_OPEN_TIMEOUT_S = 180.0
_NICE = 5
_LOADS_AT_ONCE = 2
T = TypeVar("T")
GraphVoice = PiperVoice | KokoroVoice
InProcess = PipelineVoice | Transcriber


class Library:
    """All methods on the event loop's thread."""

    def __init__(self, engine: Engine) -> None:
        settings = engine.settings
        cores = len(os.sched_getaffinity(0))
        nice = max(_NICE, settings.worker_nice)
        self._engine = engine
        self._child = ChildOptions(nice, min(cores, settings.max_workers))
        self._most_waiting = settings.asr_max_waiting
        self._most_processes = settings.speech_max_processes
        self._phonemes = Phonemes(ChildOptions(nice, 1))
        self._loading = ThreadPoolExecutor(
            _LOADS_AT_ONCE, "slipstream-voices", call_thread, ("voices",)
        )
        self._graphs: dict[str, tuple[float, GraphVoice]] = {}
        self._processes: OrderedDict[Path, InProcess] = OrderedDict()
        self._opening: dict[Path, asyncio.Task[Any]] = {}
        self._room = asyncio.Lock()

    async def voice(self, name: str | None) -> Voice:
        """The voice of that name; None: TTS_MODEL, or the only one that is loaded.

        Raises:
            ModelNotFoundError: nothing of that name is there.
            InvalidInputError: it is there, and is no voice; or none was named.
            SlipstreamError: it cannot be loaded.
        """
        name = name or self._engine.settings.tts_model or self._only_voice()
        model = self._loaded(name)
        if model is not None:
            return await self._of_model(model)
        refuse_silent(name)
        place = await self._place(name)
        if place.sort in ("piper", "kokoro"):
            return await self._once(place.path, self._open_graph)
        if place.sort != "pipeline":
            raise InvalidInputError(
                f"'{name}' transcribes, and does not speak; it is for POST /transcribe",
                key="model_name",
            )
        meant = known(name)
        label = name if meant is None else meant.name
        return await self._once(place.path, partial(self._open_pipeline, label))

    async def transcriber(self, name: str | None) -> Transcriber:
        """The model of that name that transcribes; None: ASR_MODEL.

        Raises: as `voice`.
        """
        name = name or self._engine.settings.asr_model
        if name is None:
            raise InvalidInputError(
                "the request names no 'model_name', and the server has no default (ASR_MODEL); "
                "name the folder of a Whisper model in MODEL_DIR",
                key="model_name",
            )
        if self._loaded(name) is not None:
            raise InvalidInputError(
                f"'{name}' is a loaded model, and none that transcribes", key="model_name"
            )
        place = await self._place(name)
        if place.sort not in ("whisper", "faster_whisper"):
            raise InvalidInputError(
                f"'{name}' speaks, and does not transcribe; it is for POST /synthesize",
                key="model_name",
            )
        return await self._once(place.path, partial(self._open_transcriber, name, place))

    def voices(self) -> list[Voice]:
        """Those that are open now."""
        loaded = {model.model_id for model in self._engine.models()}
        graphs = [voice for name, (_, voice) in self._graphs.items() if name in loaded]
        return [*graphs, *self._pipelines()]

    def _pipelines(self) -> list[PipelineVoice]:
        processes = self._processes.values()
        return [one for one in processes if isinstance(one, PipelineVoice) and one.sample_rate]

    def transcribers(self) -> list[Transcriber]:
        """Those that are open now."""
        return [one for one in self._processes.values() if isinstance(one, Transcriber)]

    def _loaded(self, name: str) -> Model | None:
        try:
            found = self._engine.get(name)
        except ModelNotFoundError:
            return None
        if not isinstance(found, Model):
            raise InvalidInputError(f"'{name}' is an experiment, not a voice", key="model_name")
        return found

    def _only_voice(self) -> str:
        names = [
            model.model_id
            for model in self._engine.models()
            if sort_of_graph(model.file) is not None
        ]
        names += [one.model_name for one in self._pipelines()]
        if len(names) == 1:
            return names[0]
        raise InvalidInputError(
            "the request names no 'model_name', the server has no default (TTS_MODEL), and "
            f"{len(names)} voices are loaded" + (f": {', '.join(sorted(names))}" if names else ""),
            key="model_name",
        )

    async def _place(self, name: str) -> Place:
        return await self._on_thread(partial(find, name, self._engine.settings.model_dir))

    async def _on_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._loading, work)

    async def _once(self, path: Path, make: Callable[[Path], Coroutine[Any, Any, T]]) -> T:
        """What ``make`` makes of a path, once for all who want it meanwhile.

        Who stops waiting stops for himself.
        """
        opening: asyncio.Task[T] | None = self._opening.get(path)
        if opening is None:
            opening = self._opening[path] = asyncio.create_task(make(path))
            opening.add_done_callback(partial(self._opened, path))
        return await asyncio.shield(opening)

    def _opened(self, path: Path, opening: asyncio.Task[Any]) -> None:
        del self._opening[path]
        if not opening.cancelled():
            opening.exception()  # seen, also where everybody who waited has gone

    async def _open_graph(self, file: Path) -> GraphVoice:
        """The voice of a graph, which is loaded if it is not.

        What lies beside it is read first, and what turns out to be no voice does not stay: whoever
        asks for speech may open voices, and is to load nothing else by it.
        """
        model = self._of_file(file)
        if model is not None:
            return await self._of_model(model)
        await self._on_thread(partial(_read_beside, file))
        model, is_ours = await self._load(file)
        try:
            return await self._of_model(model)
        except SlipstreamError:
            if is_ours:
                with contextlib.suppress(SlipstreamError):  # somebody was quicker
                    await self._on_thread(partial(self._engine.unload, model.model_id))
            raise

    def _of_file(self, file: Path) -> Model | None:
        return next((model for model in self._engine.models() if model.file == file), None)

    async def _load(self, file: Path) -> tuple[Model, bool]:
        """The engine's model of a graph, and whether it was loaded for this."""
        load = partial(self._engine.load, file, "onnx", walled=True)
        try:
            return await self._on_thread(partial(load, model_id=_id_of(file))), True
        except (ModelAlreadyLoadedError, ModelInUseError):
            model = self._of_file(file)
            if model is not None:  # somebody else was quicker
                return model, False
            return await self._on_thread(load), True  # the name is another model's: any will do

    async def _of_model(self, model: Model) -> GraphVoice:
        kept = self._graphs.get(model.model_id)
        if kept is not None and kept[1].model is model and kept[0] == model.loaded_at:
            return kept[1]
        loaded_at = model.loaded_at
        voice = await self._on_thread(partial(self._read_voice, model))
        for name in set(self._graphs) - {one.model_id for one in self._engine.models()}:
            del self._graphs[name]
        self._graphs[model.model_id] = (loaded_at, voice)
        return voice

    def _read_voice(self, model: Model) -> GraphVoice:
        beside = _read_beside(model.file)
        if isinstance(beside, PiperConfig):
            return PiperVoice(model, beside, self._phonemes)
        return KokoroVoice(model, *beside, self._phonemes)

    async def _open_pipeline(self, name: str, folder: Path) -> PipelineVoice:
        found = self._processes.get(folder)
        if isinstance(found, PipelineVoice):
            self._processes.move_to_end(folder)
            return found
        voice = PipelineVoice(name, folder, self._child)
        await self._keep(folder, voice)
        try:
            await voice.open(_OPEN_TIMEOUT_S)
        except BaseException:
            del self._processes[folder]
            await voice.process.close()
            raise
        return voice

    async def _open_transcriber(self, name: str, place: Place, folder: Path) -> Transcriber:
        found = self._processes.get(folder)
        if isinstance(found, Transcriber):
            self._processes.move_to_end(folder)
            return found
        made = Transcriber(name, place.sort, folder, self._child, self._most_waiting)
        await self._keep(folder, made)
        return made

    async def _keep(self, path: Path, made: InProcess) -> None:
        """Enters one, and closes the one that was idle longest if there are as many as may be."""
        async with self._room:
            while len(self._processes) >= self._most_processes:
                idle = (one for one, kept in self._processes.items() if not kept.process.is_busy)
                oldest = next(idle, None)
                if oldest is None:
                    raise QueueFullError(
                        f"{len(self._processes)} models of speech are busy, as many as may run "
                        "(SPEECH_MAX_PROCESSES); try again later",
                        retry_after_s=5,
                    )
                await self._processes.pop(oldest).process.close()
            self._processes[path] = made

    async def close(self) -> None:
        """Ends every child."""
        self._loading.shutdown(wait=False, cancel_futures=True)
        for opening in list(self._opening.values()):
            opening.cancel()
        await self._phonemes.process.close()
        for one in self._processes.values():
            await one.process.close()


def _read_beside(
    file: Path,
) -> PiperConfig | tuple[dict[str, int], dict[str, npt.NDArray[np.float32]]]:
    """What lies beside the graph of a voice: its config, or its vocabulary and its styles.

    Raises:
        InvalidInputError: nothing of that lies there.
        ModelLoadError: it cannot be read.
    """
    sort = sort_of_graph(file)
    if sort == "piper":
        return read_config(file)
    styles = voices_path(file) if sort == "kokoro" else None
    if styles is None:
        raise InvalidInputError(
            f"{file.name} is no voice: beside a voice lies its config, {file.name}.json",
            key="model_name",
        )
    return read_vocabulary(file), read_styles(styles)


def _id_of(file: Path) -> str | None:
    """The model id of a graph that was named as a file: its stem, if that can be one."""
    from slipstream.ids import require_id

    try:
        require_id(file.stem, "model_id")
    except InvalidInputError:
        return None
    return file.stem
