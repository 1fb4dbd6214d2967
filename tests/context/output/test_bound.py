"""A length that a share of all answers stays within."""

from __future__ import annotations

from collections import Counter
from math import ceil, log
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_agentcost.context.output.bound import WHOLE, upper_bound
from langchain_agentcost.quality import QualityFloor

NINE_TENTHS = QualityFloor("answers whole", min=0.9)

_lengths = st.lists(st.integers(1, 500), max_size=120).map(Counter)


@pytest.mark.parametrize(("share", "confidence"), [(0.99, 0.95), (0.9, 0.95), (0.95, 0.9), (0.999, 0.99)])
def test_it_takes_as_many_answers_as_the_formula_says(share: float, confidence: float) -> None:
    """One answer less than log(1 - confidence) / log(share) gives no bound, so many give the longest."""
    floor = QualityFloor("answers whole", min=share, confidence=confidence)
    needed = ceil(log(1 - confidence) / log(share))
    assert upper_bound({5: needed - 1}, floor) is None
    assert upper_bound({5: needed - 1, 90: 1}, floor) == 90


def test_with_more_answers_the_longest_is_let_go() -> None:
    """A single runaway among many answers does not make the bound."""
    assert upper_bound({100: 999, 50_000: 1}) == 100


def test_no_answers_give_no_bound() -> None:
    """Nothing seen is nothing known."""
    assert upper_bound({}) is None


def test_it_holds_as_often_as_it_says() -> None:
    """Over many draws the bound covers the share at least as often as the confidence says, less what chance allows."""
    random = Random(7)  # noqa: S311  # a test of statistics
    held = 0
    for _ in range(400):
        drawn = Counter(ceil(random.lognormvariate(5, 1)) for _ in range(60))
        bound = upper_bound(drawn, NINE_TENTHS)
        assert bound is not None
        held += bound >= 534  # the ninth decile of that distribution: exp(5 + 1.2816)
    assert held >= 0.92 * 400


@settings(deadline=None)
@given(_lengths, st.integers(0, 5))
def test_cut_answers_never_tighten_it(lengths: Counter[int], cut: int) -> None:
    """With some answers more that were cut, the bound is the same, higher or gone, once there was one."""
    before = upper_bound(lengths, NINE_TENTHS)
    after = upper_bound(lengths, NINE_TENTHS, cut=cut)
    if before is not None and after is not None:
        assert after >= before


@settings(deadline=None)
@given(_lengths)
def test_it_covers_the_share_of_what_was_seen(lengths: Counter[int]) -> None:
    """Of the answers seen at least the share is within the bound, which is the length of one of them."""
    bound = upper_bound(lengths, NINE_TENTHS)
    if bound is not None:
        assert bound in lengths
        within = sum(number for length, number in lengths.items() if length <= bound)
        assert within >= 0.9 * lengths.total()


def test_a_bound_among_cut_answers_is_none() -> None:
    """Where too many were cut, nobody knows how long the share would have been."""
    assert upper_bound({10: 95}, NINE_TENTHS, cut=0) == 10
    assert upper_bound({10: 95}, NINE_TENTHS, cut=40) is None


def test_the_usual_floor_takes_299_calls() -> None:
    """What the documentation says of the default is so."""
    assert WHOLE.needed() == 299
