"""The gate for scikit-learn's tree models, by the backend that serves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from exactness import gate, sklearn_models
from exactness.counts import Count, Table
from exactness.sklearn_cases import behind_case, boosted_case, forest_case

_LINK_ULPS = 16
"""NumPy's exp and its order of summing in a softmax depend on processor and batch."""


def counted(case: gate.Case, counts: Table, folder: Path) -> Count:
    total = Count()
    for kind, count in gate.run(case, folder).items():
        counts[case.library, case.name, kind] = count
        total += count
    assert total.wrong_leaves == 0, f"{total.wrong_leaves} of {total.leaves} decisions differ"
    assert total.other_bits == 0, f"{total.other_bits} of {total.scores} sums differ"
    assert total.wrong_labels == 0, f"{total.wrong_labels} of {total.labels} labels differ"
    return total


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", sklearn_models.FORESTS)
def test_forests(name: str, counts: Table, tmp_path: Path) -> None:
    total = counted(forest_case(name), counts, tmp_path)
    assert total.leaves > 0 and total.scores > 0
    boosted = name.startswith("AdaBoost")
    assert total.answer_ulps <= (_LINK_ULPS if boosted else 0)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", sklearn_models.BOOSTED)
def test_boosting(name: str, counts: Table, tmp_path: Path) -> None:
    total = counted(boosted_case(name), counts, tmp_path)
    assert total.scores > 0
    assert total.answer_ulps <= _LINK_ULPS


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", sklearn_models.BEHIND_OTHERS)
def test_behind_others(name: str, counts: Table, tmp_path: Path) -> None:
    """The ensemble is not all of the model: its answers are compared."""
    make: Callable[[str], gate.Case] = behind_case
    total = counted(make(name), counts, tmp_path)
    assert total.answer_ulps <= (64 if "shares" in name else _LINK_ULPS)
