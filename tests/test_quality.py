from __future__ import annotations

from math import comb, isclose

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_agentcost.quality import QualityFloor

FLOOR = QualityFloor("answers right", min=0.9)


@pytest.mark.parametrize(
    ("good", "trials", "bound"),
    [
        (9, 10, 0.60584),  # the 0.05 quantile of Beta(9, 2)
        (10, 10, 0.74113),  # 0.05 ** (1 / 10)
        (1, 10, 0.00512),  # 1 - 0.95 ** (1 / 10)
        (95, 100, 0.89775),
        (0, 10, 0.0),
        (0, 0, 0.0),
    ],
)
def test_the_bound_is_that_of_clopper_and_pearson(good: int, trials: int, bound: float) -> None:
    """The one-sided bounds at 95 % are those in the tables."""
    assert isclose(FLOOR.lower_bound(good, trials), bound, abs_tol=1e-5)


@settings(deadline=None)
@given(trials=st.integers(1, 80), share=st.floats(0, 1), confidence=st.sampled_from([0.8, 0.95, 0.999]))
def test_at_the_bound_so_many_good_trials_come_out_with_the_probability_that_is_left(
    trials: int, share: float, confidence: float
) -> None:
    """At the bound, the chance of so many good trials or more is what the confidence leaves, by the exact sum."""
    good = max(1, round(share * trials))
    bound = QualityFloor("kept", min=0.5, confidence=confidence).lower_bound(good, trials)
    chance = sum(comb(trials, k) * bound**k * (1 - bound) ** (trials - k) for k in range(good, trials + 1))
    assert isclose(chance, 1 - confidence, rel_tol=1e-6)


@settings(deadline=None)
@given(trials=st.integers(1, 3000), good=st.integers(0, 3000))
def test_the_bound_lies_below_what_was_seen_and_rises_with_it(trials: int, good: int) -> None:
    """More good trials never prove less, and nothing is proven above the share that was seen."""
    good = min(good, trials)
    bound = FLOOR.lower_bound(good, trials)
    assert 0 <= bound <= good / trials
    assert bound <= FLOOR.lower_bound(good, good) if good else bound == 0


def test_very_many_trials_are_no_trouble() -> None:
    """With a million trials the bound is close to the share, and neither underflows nor takes long."""
    assert isclose(FLOOR.lower_bound(500_000, 1_000_000), 0.5 - 1.645 * 0.0005, abs_tol=1e-6)


def test_a_floor_is_proven_by_trials_and_not_by_looks() -> None:
    """Nine of ten look like 90 %, and prove nothing of the kind."""
    assert not FLOOR.proven(9, 10)
    assert not FLOOR.proven(28, 28)
    assert FLOOR.proven(29, 29)


@pytest.mark.parametrize(("least", "needed"), [(0.5, 5), (0.9, 29), (0.95, 59), (0.99, 299), (1e-6, 1)])
def test_how_many_good_trials_it_takes(least: float, needed: int) -> None:
    """The smallest number of trials, all good, that proves a floor: the rule of three, made exact."""
    floor = QualityFloor("kept", min=least)
    assert floor.needed() == needed
    assert floor.proven(needed, needed)
    assert needed == 1 or not floor.proven(needed - 1, needed - 1)


def test_perfection_cannot_be_proven() -> None:
    """A floor of 1 says that no number of trials will do, and what to change."""
    with pytest.raises(ValueError, match="set min below 1"):
        QualityFloor("kept", min=1).needed()


@pytest.mark.parametrize("least", [0, -0.1, 1.01, float("nan")])
def test_a_floor_is_a_share(least: float) -> None:
    """A floor that is no share above 0 is refused with what it must be."""
    with pytest.raises(ValueError, match="min is a share above 0 and at most 1"):
        QualityFloor("kept", min=least)


@pytest.mark.parametrize("confidence", [0.5, 1, 95, float("nan")])
def test_a_confidence_is_between_a_coin_and_certainty(confidence: float) -> None:
    """A confidence of 95 instead of 0.95 is refused with what it must be."""
    with pytest.raises(ValueError, match=r"confidence is above 0\.5 and below 1"):
        QualityFloor("kept", min=0.9, confidence=confidence)


@pytest.mark.parametrize(("good", "trials"), [(-1, 3), (4, 3), (0, -1)])
def test_more_good_trials_than_trials_are_refused(good: int, trials: int) -> None:
    """Counts that cannot be are refused instead of being made into a bound."""
    with pytest.raises(ValueError, match="cannot be good"):
        FLOOR.lower_bound(good, trials)
