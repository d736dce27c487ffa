"""Execution providers from libraries that the operator names: who may name them, and what then.

No such library is here, so none is run: ONNX Runtime itself refuses what is none.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from made_up_gpus import write_double
from slipstream import Engine
from slipstream.api.gpu_options import gpu_options
from slipstream.api.placement import ON_CPU, checked_tuning, place
from slipstream.api.tuning import GPU_WORDS, Tuning
from slipstream.errors import InvalidInputError, ModelLoadError
from slipstream.http.routes.core_config import shown_settings
from slipstream.models.catalog_file import CatalogError, parse_catalog
from slipstream.models.prepare import Prepared, PrepareOptions, prepare
from slipstream.setting_options import ProviderPlugin
from slipstream.settings import Settings, SettingsError, load_settings

PLUGIN = Tuning(gpu_provider="Sample")
SAMPLE = ProviderPlugin("Sample", "lib/sample.so", "level=2,cache=/tmp/a")


@pytest.fixture
def prepared(tmp_path: Path) -> Prepared:
    return prepare(write_double(tmp_path / "m.onnx"), tmp_path / "cache", PrepareOptions())


class TestSettings:
    def test_names_libraries_and_options(self, tmp_path: Path) -> None:
        text = "Sample=lib/sample.so; level=2;cache=/tmp/a, Other=lib/other.so"
        found = load_settings(environ={"GPU_PROVIDER_PLUGINS": text}).gpu_provider_plugins
        assert found == (SAMPLE, ProviderPlugin("Other", "lib/other.so", ""))
        file = tmp_path / "slipstream.toml"
        file.write_text('gpu_provider_plugins = ["Sample=lib/sample.so;level=2;cache=/tmp/a"]')
        assert load_settings(config=file, environ={}).gpu_provider_plugins == (SAMPLE,)
        shown = shown_settings(Settings(gpu_provider_plugins=(SAMPLE,)))
        assert shown["gpu_provider_plugins"] == [SAMPLE._asdict()]

    @pytest.mark.parametrize(
        "text",
        [
            *("Sample", "Sample=", "=/x.so", "a b=/x.so", "cuda=/x.so", "tensorrt=/x", "cpu=/x"),
            *("A=/x.so,A=/y.so", "A=/x.so;level", "A=/x.so;=2", "A=/x.so;", "A=/x\0.so"),
        ],
    )
    def test_what_is_no_plugin(self, text: str) -> None:
        with pytest.raises(SettingsError, match="expected providers separated by commas, each NAM"):
            load_settings(environ={"GPU_PROVIDER_PLUGINS": text})

    def test_an_option_cannot_bring_another_along(self, tmp_path: Path) -> None:
        with pytest.raises(SettingsError, match="gpu_provider_plugins"):
            Engine(state_dir=tmp_path, gpu_provider_plugins=["A=/x.so;level=2,other=3"])


class TestChoice:
    def test_only_names_that_the_operator_gave(self) -> None:
        assert checked_tuning(PLUGIN, plugins=[SAMPLE]) is PLUGIN
        with pytest.raises(InvalidInputError) as raised:
            checked_tuning(Tuning(gpu_provider="/tmp/x.so"), plugins=[SAMPLE])
        assert raised.value.message == (
            "'gpu_provider' is not valid: '/tmp/x.so'; it takes cuda, tensorrt, or a name of "
            "GPU_PROVIDER_PLUGINS (cuda, tensorrt, Sample)"
        )
        with pytest.raises(InvalidInputError, match="'gpu_provider' is not valid: ''"):
            checked_tuning(Tuning(gpu_provider=""))

    def test_rows_stay_in_the_hosts_memory(self, prepared: Prepared) -> None:
        for device in (None, "auto", "cpu"):
            tuning = Tuning(gpu_provider="Sample", device=device)
            assert place(prepared.manifest, "m", tuning, "cuda:0") == ON_CPU
        tuning = Tuning(gpu_provider="Sample", device="cuda:0")
        with pytest.raises(ModelLoadError, match="Sample takes rows from the host's memory"):
            place(prepared.manifest, "m", tuning, "auto")

    @pytest.mark.parametrize("key", [key for key in GPU_WORDS if key != "gpu_provider"])
    def test_other_words_are_not_the_plugins(self, prepared: Prepared, key: str) -> None:
        tuning = Tuning(gpu_provider="Sample", **{key: 1})  # type: ignore[arg-type]
        with pytest.raises(ModelLoadError, match=f"takes no '{key}': the provider Sample has opti"):
            place(prepared.manifest, "m", tuning, "auto")

    def test_the_backend_is_told_what_the_settings_say(self, prepared: Prepared) -> None:
        settings = Settings(gpu_provider_plugins=(SAMPLE,))
        assert gpu_options(prepared, PLUGIN, ON_CPU, settings) == {
            "device": "cpu",
            "providers": "Sample",
            "provider_library": "lib/sample.so",
            "provider_options": "level=2,cache=/tmp/a",
        }
        with pytest.raises(InvalidInputError, match="'gpu_provider' is not valid: 'Sample'"):
            gpu_options(prepared, PLUGIN, ON_CPU, Settings())

    def test_the_list_of_models_may_name_one(self) -> None:
        text = '{"models": [{"model_path": "m.onnx", "gpu_provider": "%s"}]}'
        (entry,) = parse_catalog((text % "Sample").encode(), Path("models.json")).models
        assert entry.gpu_provider == "Sample"
        with pytest.raises(CatalogError, match=r"'/tmp/x\.so' is not valid: it takes cuda, tenso"):
            parse_catalog((text % "/tmp/x.so").encode(), Path("models.json"))


class TestLoading:
    @pytest.fixture
    def engine(self, tmp_path: Path) -> Iterator[Engine]:
        no_provider = tmp_path / "text.so"
        no_provider.write_text("no library")
        plugins = [f"Absent={tmp_path}/absent.so", f"Text={no_provider}"]
        with Engine(state_dir=tmp_path / "state", gpu_provider_plugins=plugins) as engine:
            yield engine

    @pytest.mark.parametrize(
        ("name", "error", "said"),
        [
            ("Absent", ModelLoadError, r"no provider_library at '.*absent\.so'"),
            ("Text", ModelLoadError, r"text\.so has no providers to be used"),
            ("Unknown", InvalidInputError, r"it takes .* \(cuda, tensorrt, Absent, Text\)"),
        ],
    )
    def test_a_library_that_is_none_says_so(
        self, engine: Engine, tmp_path: Path, name: str, error: Any, said: str
    ) -> None:
        file = write_double(tmp_path / "m.onnx")
        with pytest.raises(error, match=said):
            engine.load(file, tuning=Tuning(gpu_provider=name))
        assert engine.models() == []
        assert engine.load(file).backend == "onnx"
