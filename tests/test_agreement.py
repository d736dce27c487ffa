"""How answers of two models are compared."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from slipstream.api.agreement import MOST_NUMBERS, Agreement, agreement, first_rows

ANSWERS = arrays.arrays(
    st.sampled_from([np.float64, np.float32, np.int64, np.bool_]),
    arrays.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=5),
) | st.lists(st.text(max_size=3), max_size=5).map(lambda words: np.array(words, dtype=object))


@given(ANSWERS)
def test_what_is_the_same_agrees(answer: Any) -> None:
    found = agreement(answer, answer.copy())
    assert found.rows == found.agreeing == len(answer)
    assert found.most_difference == found.difference_sum == 0


@given(ANSWERS, ANSWERS)
def test_any_two_can_be_compared(one: Any, other: Any) -> None:
    found = agreement(one, other)
    assert 0 <= found.agreeing <= found.rows <= max(len(one), len(other))
    assert found._replace(rows=0) == agreement(other, one)._replace(rows=0)


def test_labels() -> None:
    assert agreement(np.array(["a", "b"]), np.array(["a", "c"], dtype=object)).agreeing == 1
    assert agreement(np.array([0, 1, 2]), np.array([0, 1, 1], dtype=np.int32)).agreeing == 2
    assert agreement(np.array(["1"]), np.array([1])).agreeing == 0
    assert agreement(np.array([True, False]), np.array([1, 1])).agreeing == 1


def test_numbers() -> None:
    found = agreement(np.array([1.0, 2.0, np.nan, np.inf]), np.array([1.0 + 1e-9, 3, np.nan, 1]))
    assert (found.rows, found.agreeing, found.numbers) == (4, 2, 2)
    assert found.max_difference == 1
    assert found.mean_difference == pytest.approx(0.5)
    assert Agreement().mean_difference is Agreement().max_difference is None


def test_rows_agree_as_a_whole() -> None:
    one, other = np.zeros((3, 2)), np.zeros((3, 2))
    other[1, 1] = 5
    assert agreement(one, other)[:3] == (3, 2, 6)


def test_several_outputs() -> None:
    one = {"label": np.array([1, 2]), "score": np.array([0.5, 0.5])}
    other = {"label": np.array([1, 3]), "score": np.array([0.75, 0.5])}
    assert agreement(one, other) == Agreement(2, 0, 2, 0.25, 0.25)
    assert agreement(one, {"label": np.array([1, 2])}).agreeing == 0
    assert agreement(one, np.array([1, 2])).rows == 2
    assert agreement([np.ones(2)] * 2, [np.ones(2)] * 2).agreeing == 2
    assert agreement([np.ones(2)], [np.ones(2)] * 2).agreeing == 0


def test_only_the_first_rows() -> None:
    one, other = np.zeros(10), np.arange(10.0)
    assert agreement(one, other, most_rows=3) == Agreement(3, 1, 3, 3.0, 2.0)
    assert agreement(one, np.zeros(11), most_rows=3)[:2] == (3, 0), "different numbers of rows"


def test_first_rows_are_copies() -> None:
    whole = {"x": np.arange(5), "y": [np.ones((5, 2))]}
    part = first_rows(whole, 2)
    whole["x"][:] = 9
    assert part["x"].tolist() == [0, 1]
    assert part["y"][0].shape == (2, 2)
    assert first_rows(np.float64(3.0)).tolist() == [3.0]


def test_wide_rows_are_cut() -> None:
    one = np.zeros((100, MOST_NUMBERS // 4))
    other = one.copy()
    other[3, -1] = other[4, 0] = 1
    assert agreement(one, other) == Agreement(4, 3, MOST_NUMBERS, 1.0, 1.0)
    assert first_rows(one).shape == (4, MOST_NUMBERS // 4)
    giant = np.zeros((2, 3, MOST_NUMBERS))
    assert agreement(giant, giant)[:3] == (1, 1, MOST_NUMBERS)
    narrow = np.zeros(100)
    found = agreement({"wide": one, "narrow": narrow}, {"wide": one, "narrow": narrow})
    assert (found.rows, found.agreeing) == (4, 4), "as many rows of every output"
