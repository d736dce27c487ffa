"""TorchScript archives in process: any signature is found out, and answers are the module's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

import slipstream
from slipstream.api import Model
from slipstream.errors import InferenceError, InvalidInputError, ModelLoadError, UnsafeModelError
from torch_models import (
    MANY_TOML,
    PICKY_TOML,
    Appends,
    Complex,
    Counter,
    Doubled,
    Fields,
    Halves,
    HiddenReader,
    Ids,
    InDict,
    InElement,
    InFork,
    InObject,
    Many,
    Noise,
    Picky,
    Plain,
    Reader,
    Recurrent,
    Resets,
    Seldom,
    SeldomDoubled,
    Shares,
    Upper,
    Views,
    cnn,
    mlp,
    save_script,
)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[slipstream.Engine]:
    with slipstream.Engine(state_dir=tmp_path_factory.mktemp("state")) as engine:
        yield engine


def tensors_of(model: Model) -> tuple[dict[str, Any], dict[str, Any]]:
    manifest = model.version.manifest
    sides = [
        {tensor.name: (tensor.dtype, *tensor.shape) for tensor in side}
        for side in (manifest.inputs, manifest.outputs)
    ]
    return sides[0], sides[1]


def is_batched(model: Model) -> bool:
    return model.version.manifest.backend_options.get("batchable") == "true"


def test_rows_of_a_network_are_batched_and_exact(engine, tmp_path):
    network = mlp()
    model = engine.load(save_script(network, tmp_path / "mlp.pt"))
    assert (model.model_type, model.backend, model.compiled) == ("pytorch", "torch", True)
    assert tensors_of(model) == (
        {"input": ("float32", None, 16)},
        {"output": ("float32", None, 3)},
    )
    assert is_batched(model)
    for rows in (1, 2, 7, 64):
        given = np.random.default_rng(rows).normal(size=(rows, 16)).astype(np.float32)
        with torch.no_grad():
            expected = network(torch.from_numpy(given)).numpy()
        np.testing.assert_allclose(model.predict(given), expected, rtol=0, atol=1e-6)


def test_images_of_any_size(engine, tmp_path):
    network = cnn()
    model = engine.load(save_script(network, tmp_path / "cnn.pt"))
    assert tensors_of(model)[0] == {"input": ("float32", None, 3, None, None)}
    assert is_batched(model)
    for rows, height, width in ((1, 8, 8), (3, 17, 40)):
        given = np.random.default_rng(1).normal(size=(rows, 3, height, width)).astype(np.float32)
        with torch.no_grad():
            expected = network(torch.from_numpy(given)).numpy()
        np.testing.assert_allclose(model.predict(given), expected, rtol=0, atol=1e-5)


def test_whole_numbers_are_known_from_a_table(engine, tmp_path):
    network = Ids().eval()
    model = engine.load(save_script(network, tmp_path / "ids.pt"))
    inputs, outputs = tensors_of(model)
    assert inputs == {"ids": ("int64", None, None)}
    assert outputs == {"output_0": ("float32", None, 2), "output_1": ("float32", 1, None, 16)}
    assert not is_batched(model)  # the rows of its second output are not in front
    given = np.array([[1, 2, 3, 4], [99, 0, 0, 7]])
    with torch.no_grad():
        first, second = network(torch.from_numpy(given))
    answer = model.predict(given)
    np.testing.assert_allclose(answer["output_0"], first.numpy(), rtol=0, atol=1e-6)
    np.testing.assert_allclose(answer["output_1"], second.numpy(), rtol=0, atol=1e-6)


def test_tuples_dicts_numbers_and_defaults(engine, tmp_path):
    network = Many().eval()
    model = engine.load(save_script(network, tmp_path / "many.pt", MANY_TOML))
    inputs, outputs = tensors_of(model)
    assert set(inputs) == {"pair.0", "pair.1", "more.bias", "times"}
    assert inputs["times"] == ("int64",) and outputs["sum"] == ("float32", None, 2)
    rng = np.random.default_rng(5)
    rows = {name: rng.normal(size=(3, 4)).astype(np.float32) for name in inputs if "." in name}
    answer = model.predict({**rows, "times": np.array(3)})
    a, b, bias = (torch.from_numpy(rows[name]) for name in ("pair.0", "pair.1", "more.bias"))
    with torch.no_grad():
        expected = network((a, b), {"bias": bias}, 3)
    np.testing.assert_allclose(answer["sum"], expected["sum"].numpy(), rtol=0, atol=1e-6)
    assert answer["times"].tolist() == [3]


def test_an_input_that_may_be_left_out_is_one_when_it_is_told(engine, tmp_path):
    beside = MANY_TOML + '[inputs.mask]\nshape = ["rows", 4]\n[constants]\nscale = 5.0\n'
    model = engine.load(save_script(Many(), tmp_path / "masked.pt", beside))
    assert "mask" in tensors_of(model)[0]
    ones = np.ones((2, 4), np.float32)
    rows = {"pair.0": ones, "pair.1": ones, "more.bias": ones, "mask": ones * 0}
    answer = model.predict({**rows, "times": np.array(1)})["sum"]
    bias = Many().layer.bias.detach().numpy()
    np.testing.assert_allclose(answer, np.tile(bias * 5.0, (2, 1)), rtol=0, atol=1e-6)


def test_fields_of_a_named_tuple_are_its_outputs(engine, tmp_path):
    model = engine.load(save_script(Fields(), tmp_path / "fields.pt"))
    assert tensors_of(model)[1] == {"logits": ("float32", None, 2), "best": ("int64", None)}
    answer = model.predict(np.eye(5, dtype=np.float32))
    assert (answer["best"] == answer["logits"].argmax(1)).all() and is_batched(model)


def test_texts(engine, tmp_path):
    model = engine.load(save_script(Upper(), tmp_path / "upper.pt"))
    assert tensors_of(model)[0] == {"texts": ("string", None)}
    assert model.predict(np.array(["abc", "äé"], dtype=object)).tolist() == ["ABC", "äé"]


def test_what_a_module_writes_to_is_a_copy(engine, tmp_path):
    model = engine.load(save_script(Doubled(), tmp_path / "doubled.pt"))
    given = np.ones((2, 5), np.float32)
    assert (model.predict(given) == 2).all()
    assert (given == 1).all()


def test_what_a_module_writes_to_seldom_is_a_copy(engine, tmp_path):
    model = engine.load(save_script(SeldomDoubled(), tmp_path / "seldom.pt"))
    given = np.full((2, 5), 11, np.float32)
    assert (model.predict(given) == 22).all()
    assert (given == 11).all()


def test_rows_that_depend_on_each_other_are_never_batched(engine, tmp_path):
    model = engine.load(save_script(Shares(), tmp_path / "shares.pt"))
    assert not is_batched(model)
    given = np.array([[1.0], [3.0]], np.float32)
    assert model.predict(given).tolist() == [[0.25], [0.75]]


def test_answers_that_differ_by_chance_are_served(engine, tmp_path):
    model = engine.load(save_script(Noise(), tmp_path / "noise.pt"))
    zeros = np.zeros((1, 5), np.float32)
    first, second = np.array(model.predict(zeros)), np.array(model.predict(zeros))
    assert not (first == second).all() and (first < 1).all()


def test_a_module_that_remembers_begins_anew_with_each_request(engine, tmp_path):
    model = engine.load(save_script(Counter(), tmp_path / "counter.pt"))
    for _ in range(3):
        answer = model.predict(np.ones((1, 5), np.float32))
        assert answer["output_0"].tolist() == [5.0] and int(answer["output_1"]) == 1


@pytest.mark.parametrize(
    ("module", "states"),
    [
        (Plain, ["kept"]),
        (Seldom, ["kept"]),
        (InFork, ["inner.kept"]),
    ],
)
def test_requests_of_two_clients_share_nothing(engine, tmp_path, module, states):
    model = engine.load(save_script(module(), tmp_path / "kept.pt"))
    assert model.version.manifest.backend_options["states"].split("\n") == states
    mine, others = np.full((1, 2), 20, np.float32), np.ones((1, 2), np.float32)
    fresh = []
    for given in (mine, others):
        with torch.no_grad():
            fresh.append(module().eval()(torch.from_numpy(given)).numpy())
    for _ in range(2):
        np.testing.assert_allclose(model.predict(mine), fresh[0], rtol=0, atol=1e-4)
        np.testing.assert_allclose(model.predict(others), fresh[1], rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("module", "says"),
    [
        (Appends, r"'kept', a list.*register_buffer"),
        (InDict, r"'kept', a dict.*register_buffer"),
        (InElement, r"'kept', a list.*register_buffer"),
        (InObject, r"'kept', an object.*register_buffer"),
        (Views, r"'kept' or 'part'.*one memory.*clone"),
        (Resets, r"'kept' or 'first'.*one memory.*clone"),
    ],
)
def test_what_cannot_be_kept_apart_is_refused(engine, tmp_path, module, says):
    with pytest.raises(ModelLoadError, match=says):
        engine.load(save_script(module(), tmp_path / "kept.pt"))


def test_a_constant_of_a_trace_that_changes_is_refused(engine, tmp_path):
    total = torch.zeros(2)

    def add(x: torch.Tensor) -> torch.Tensor:
        return x * 0 + total.add_(x.sum(0))

    torch.jit.trace(add, (torch.ones(3, 2),), check_trace=False).save(str(tmp_path / "total.pt"))
    with pytest.raises(ModelLoadError, match=r"constant of its code.*register_buffer"):
        engine.load(tmp_path / "total.pt")


def test_infinity_and_nan_are_numbers_like_others(engine, tmp_path):
    module = mlp()
    rows = np.full((2, 16), np.nan, dtype=np.float32)
    rows[1] = np.inf
    model = engine.load(save_script(module, tmp_path / "m.pt"))
    want = module(torch.from_numpy(rows)).detach().numpy()
    np.testing.assert_array_equal(model.predict(rows), want)


def test_numbers_of_bfloat16_are_compared(engine, tmp_path):
    network = Halves().eval()
    model = engine.load(save_script(network, tmp_path / "halves.pt"))
    given = np.random.default_rng(3).normal(size=(4, 16)).astype(np.float32)
    with torch.no_grad():
        expected = network(torch.from_numpy(given)).float().numpy()
    np.testing.assert_allclose(model.predict(given), expected, rtol=0, atol=0.02)


def test_outputs_that_no_answer_has_are_named(engine, tmp_path):
    with pytest.raises(ModelLoadError, match=r"outputs of dtype complex64.*cannot be served"):
        engine.load(save_script(Complex(), tmp_path / "complex.pt"))


def test_a_state_that_is_given_is_an_input_like_any_other(engine, tmp_path):
    beside = '[inputs.x]\nshape = ["rows", 4]\n[inputs.state]\nshape = ["rows", 4]\n'
    model = engine.load(save_script(Recurrent(), tmp_path / "recurrent.pt", beside))
    assert set(tensors_of(model)[0]) == {"x", "state"} and is_batched(model)
    ones = np.ones((2, 4), np.float32)
    answer = model.predict({"x": ones, "state": ones * 0})
    np.testing.assert_allclose(answer["output_1"], np.tanh(ones), rtol=0, atol=1e-6)


def test_what_cannot_be_found_out_must_be_told(engine, tmp_path):
    with pytest.raises(ModelLoadError, match=r"Tell in the file .*inputs\.x"):
        engine.load(save_script(Picky(), tmp_path / "picky.pt"))
    model = engine.load(save_script(Picky(), tmp_path / "told.pt", PICKY_TOML))
    assert model.predict(np.ones((2, 12345))).tolist() == [12345.0, 12345.0]
    assert is_batched(model)


@pytest.mark.parametrize(
    ("beside", "says"),
    [
        ('[inputs.y]\nshape = ["rows", 16]\n', "'y'"),
        ('[inputs.input]\ndtype = "float33"\n', "float33"),
        ('[inputs.input]\nshape = [4, "rows"]\n', "'rows'"),
        ('[inputs.input]\nshape = ["rows", 7]\n', "could not be found out"),
        ("[inputs.input]\nsize = 3\n", "size"),
        ("[constants]\nother = 3\n", "'other'"),
    ],
)
def test_what_is_told_wrongly_is_named(engine, tmp_path, beside, says):
    with pytest.raises(ModelLoadError, match=says):
        engine.load(save_script(mlp(), tmp_path / "mlp.pt", beside))


@pytest.mark.parametrize("module", [Reader, HiddenReader])
def test_code_that_reaches_files_is_never_run(engine, tmp_path, module):
    with pytest.raises(UnsafeModelError, match="from_file"):
        engine.load(save_script(module(), tmp_path / "reader.pt"))


def test_rows_that_do_not_fit_are_refused_by_name(engine, tmp_path):
    model = engine.load(save_script(mlp(), tmp_path / "mlp.pt"))
    with pytest.raises(InvalidInputError, match="16"):
        model.predict(np.zeros((2, 15), np.float32))
    picky = engine.load(save_script(Ids(), tmp_path / "ids.pt"))
    with pytest.raises(InferenceError, match="index out of range"):
        picky.predict(np.array([[1000]]))
    assert picky.predict(np.array([[1]]))["output_0"].shape == (1, 2)


def test_damaged_archives_are_refused(engine, tmp_path):
    whole = save_script(mlp(), tmp_path / "mlp.pt").read_bytes()
    for number, length in enumerate((100, len(whole) // 2, len(whole) - 30, len(whole) - 1)):
        file = tmp_path / f"cut{number}.pt"
        file.write_bytes(whole[:length])
        with pytest.raises(ModelLoadError):
            engine.load(file)
