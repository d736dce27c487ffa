"""Models of speech that people ask for by name: what each is, and what it needs here."""

from __future__ import annotations

from typing import Final, NamedTuple

from slipstream.errors import InvalidInputError


class Known(NamedTuple):
    """One model."""

    name: str
    others: tuple[str, ...]
    """Other names that mean it."""
    speaks: bool
    """Whether it can be a voice here."""
    needs: str
    """What it takes to have it speak; of one that cannot, why."""


KNOWN: Final = (
    Known(
        "facebook/bart-large",
        ("bart-large",),
        False,
        "it is a language model that reads and writes text: there is no audio in it",
    ),
    Known(
        "microsoft/speecht5_tts",
        ("speecht5_tts", "speecht5"),
        True,
        "it also needs microsoft/speecht5_hifigan, which makes sound of its spectrograms, in its "
        "folder as vocoder/ or beside it, and an x-vector for each voice in speaker_embeddings/",
    ),
    Known(
        "suno/bark",
        ("bark", "bark_tts", "suno/bark-small", "bark-small"),
        True,
        "its voices are the presets in its speaker_embeddings/",
    ),
    Known(
        "tacotron2",
        ("nvidia/tacotron2", "speechbrain/tts-tacotron2-ljspeech"),
        False,
        "it has no engine here: transformers does not know it, and its checkpoints are pickles of "
        "a training program. A Piper voice (VITS) takes its place",
    ),
)


def known(name: str) -> Known | None:
    """The model that somebody means; None: no name of ours."""
    lower = name.lower()
    return next((one for one in KNOWN if lower == one.name or lower in one.others), None)


def refuse_silent(name: str) -> None:
    """Says of a model that cannot be a voice why not.

    Raises:
        InvalidInputError: it is one.
    """
    found = known(name)
    if found is not None and not found.speaks:
        raise InvalidInputError(
            f"'{name}' cannot synthesize speech: {found.needs}", key="model_name", model=found.name
        )
