"""The model `example`, which a server has unless it is told otherwise.

It is TorchScript where the torch backend is, else an ONNX graph of the same weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from slipstream.cli.startup import say
from slipstream.errors import ModelNotFoundError, SlipstreamError

if TYPE_CHECKING:
    from slipstream.api import Engine


def load_example(engine: Engine) -> None:
    """Loads it, behind everything else, if nothing else is called so. Blocks.

    One that does not load is said and missed by nobody: it is there to be tried, not to be used.
    """
    from slipstream.engine.runtime import has_torch_backend  # here: as the engine is
    from slipstream.example.place import EXAMPLE_ID, graph_file, script_file

    settings = engine.settings
    if not settings.example_model or _is_taken(engine, EXAMPLE_ID):
        return
    for make_file in (script_file, graph_file) if has_torch_backend() else (graph_file,):
        try:
            file = make_file(settings)
            model = engine.load(file, model_id=EXAMPLE_ID, instances=1, is_extra=True)
            model.model_path = model.file.name
            return
        except SlipstreamError as error:
            say(f"the model '{EXAMPLE_ID}' is not served as it should be: {error.message}")


def _is_taken(engine: Engine, name: str) -> bool:
    try:
        engine.get(name)  # an alias or an experiment as well
    except ModelNotFoundError:
        return False
    return True
