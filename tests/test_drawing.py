"""Drawing by weight: shares, keys that stay, keys that move."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from slipstream.drawing import drawn, drawn_by_name

WEIGHTS = st.lists(st.floats(0, 1e6), min_size=1, max_size=8).filter(lambda each: sum(each) > 0)


def chi_square(counts: list[int], weights: list[float]) -> float:
    total, whole = sum(counts), sum(weights)
    expected = [total * weight / whole for weight in weights]
    return sum((n - e) ** 2 / e for n, e in zip(counts, expected, strict=True) if e > 0)


class TestDrawing:
    WEIGHTS_OF_FOUR = [1.0, 2.0, 0.0, 5.0]  # noqa: RUF012
    LIMIT = 13.8
    """Chi-square of two degrees of freedom exceeds it once in a thousand seeds."""

    def test_chance_follows_the_weights(self) -> None:
        random.seed(20261129)
        found = Counter(drawn(self.WEIGHTS_OF_FOUR, None) for _ in range(20_000))
        counts = [found[place] for place in range(4)]
        assert counts[2] == 0
        assert chi_square(counts, self.WEIGHTS_OF_FOUR) < self.LIMIT

    def test_keys_follow_the_weights(self) -> None:
        names = ["a", "b", "c", "d"]
        found = Counter(
            drawn_by_name(names, self.WEIGHTS_OF_FOUR, f"user-{number}", "checkout")
            for number in range(20_000)
        )
        counts = [found[place] for place in range(4)]
        assert counts[2] == 0
        assert chi_square(counts, self.WEIGHTS_OF_FOUR) < self.LIMIT

    def test_experiments_draw_independently(self) -> None:
        both = Counter(
            (
                drawn_by_name(["a", "b"], [1, 1], f"user-{number}", "one"),
                drawn_by_name(["a", "b"], [1, 1], f"user-{number}", "two"),
            )
            for number in range(4_000)
        )
        assert chi_square(list(both.values()), [1.0] * 4) < 16.3, "three degrees of freedom"

    @given(WEIGHTS, st.text(max_size=20))
    def test_only_what_has_weight_is_drawn(self, weights: list[float], key: str) -> None:
        names = [f"m{place}" for place in range(len(weights))]
        assert weights[drawn_by_name(names, weights, key, "x")] > 0

    @given(WEIGHTS, st.text(max_size=20), st.randoms(use_true_random=False))
    def test_order_and_scale_mean_nothing(
        self, weights: list[float], key: str, shuffler: random.Random
    ) -> None:
        named = [(f"m{place}", weight) for place, weight in enumerate(weights)]
        before = named[drawn_by_name(*zip(*named, strict=True), key, "x")]  # type: ignore[arg-type]
        shuffler.shuffle(named)
        names, scaled = [name for name, _ in named], [weight * 4 for _, weight in named]
        assert names[drawn_by_name(names, scaled, key, "x")] == before[0]

    @given(WEIGHTS, st.integers(0, 7), st.floats(1, 100), st.text(max_size=20))
    def test_keys_move_only_to_who_gained(
        self, weights: list[float], place: int, factor: float, key: str
    ) -> None:
        place %= len(weights)
        names = [f"m{number}" for number in range(len(weights))]
        before = drawn_by_name(names, weights, key, "x")
        grown = [w * factor if at == place else w for at, w in enumerate(weights)]
        assert drawn_by_name(names, grown, key, "x") in (before, place)

    def test_few_keys_move(self) -> None:
        keys = [f"user-{number}" for number in range(5_000)]
        before = [drawn_by_name(["a", "b"], [9, 1], key, "x") for key in keys]
        after = [drawn_by_name(["a", "b"], [8, 2], key, "x") for key in keys]
        moved = sum(one != other for one, other in zip(before, after, strict=True))
        assert 400 < moved < 600, "a tenth, seven deviations either way"
