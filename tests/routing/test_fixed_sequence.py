from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_agentcost.errors import RoutingError
from langchain_agentcost.quality import QualityFloor
from langchain_agentcost.routing.fixed_sequence import (
    fixed_sequence,
    fixed_sequence_of,
    lower_bound,
    needed,
    thresholds,
)

UNIT = st.floats(0, 1)


def calls(count: int, *, seed: int) -> tuple[list[float], list[float], list[float]]:
    """Calls whose cheap answers are the worse the higher the expected loss: losses, cheap and strong qualities."""
    draw = Random(seed)  # noqa: S311  # calls that can be had again
    losses = [draw.random() for _ in range(count)]
    strong = [float(draw.random() < 0.9) for _ in losses]
    cheap = [float(draw.random() < 0.95 - 0.5 * loss) for loss in losses]
    return losses, cheap, strong


def true_quality(threshold: float | None) -> float:
    """What the router of `calls` gets in the long run: the integral over the losses."""
    share = threshold or 0.0
    return 0.95 * share - 0.25 * share**2 + 0.9 * (1 - share)


def last_passed(count: int, *, seed: int) -> float | None:
    """The threshold that a test of so many calls allows."""
    steps = fixed_sequence(*calls(count, seed=seed), floor=0.95, confidence=0.95)
    return next(step.threshold for step in reversed(steps) if step.passed)


def test_first_step_is_all_strong_and_last_the_only_failure() -> None:
    """The sequence starts with the strongest tier alone and stops at the first threshold that fails."""
    steps = fixed_sequence(*calls(400, seed=1), floor=0.95, confidence=0.95)
    assert steps[0].threshold is None
    assert (steps[0].strong_share, steps[0].passed) == (1.0, True)
    assert [step.passed for step in steps] == [True] * (len(steps) - 1) + [False]
    assert [step.strong_share for step in steps] == sorted((step.strong_share for step in steps), reverse=True)


def test_floor_is_missed_in_fewer_draws_than_the_confidence_allows() -> None:
    """Of 400 draws of 150 calls at most 5 % allow a threshold whose true quality is below the floor; some do."""
    missed = sum(true_quality(last_passed(150, seed=seed)) < 0.95 * 0.9 for seed in range(400))
    assert 0 < missed <= 20


def test_more_examples_allow_more() -> None:
    """With 4000 calls the router goes nearer to the true optimum, which is 0.53 of the calls, than with 150."""
    few, many = (sum((last_passed(count, seed=seed) or 0.0) for seed in range(20)) / 20 for count in (150, 4000))
    assert few < many - 0.05
    assert 0.45 < many < 0.55


def test_handful_of_perfect_answers_proves_nothing() -> None:
    """As many flawless examples are asked for as the exact test of a share asks."""
    exact = QualityFloor("right", min=0.95).needed()
    least = next(
        count
        for count in range(2, 200)
        if fixed_sequence([0.0] * count, [1.0] * count, [1.0] * count, floor=0.95, confidence=0.95)[-1].passed
    )
    assert least == exact


def test_equal_losses_are_one_step() -> None:
    """Examples with the same expected loss are sent to the same tier, so that they are tested together."""
    steps = fixed_sequence([0.1] * 300 + [0.2] * 300, [1.0] * 600, [1.0] * 600, floor=0.95, confidence=0.95)
    assert [(step.threshold, step.strong_share) for step in steps] == [(None, 1.0), (0.1, 0.5), (0.2, 0.0)]


def test_examples_of_one_conversation_are_one_draw() -> None:
    """Ten copies of 40 examples prove no more than the 40 do, where they are said to belong together."""
    losses, cheap, strong = calls(40, seed=3)
    once = fixed_sequence(losses, cheap, strong, floor=0.8, confidence=0.9)
    copies = fixed_sequence(
        losses * 10, cheap * 10, strong * 10, floor=0.8, confidence=0.9, groups=list(range(40)) * 10
    )
    naive = fixed_sequence(losses * 10, cheap * 10, strong * 10, floor=0.8, confidence=0.9)
    assert [step.bound for step in copies] == pytest.approx([step.bound for step in once])
    assert len(naive) > len(once)


def test_groups_that_were_not_seen_may_be_larger() -> None:
    """The largest group that is possible is the worst draw, and as many more groups as it is larger are asked for."""
    seen = lower_bound([0.05] * 200, worst=-0.95, confidence=0.95, groups=range(200))
    assert seen == lower_bound([0.05] * 200, worst=-0.95, confidence=0.95)
    assert lower_bound([0.05] * 200, worst=-0.95, confidence=0.95, groups=range(200), largest=5) < 0 < seen
    alone, five = (needed([0.05], worst=-0.95, confidence=0.95, groups=[0], largest=most) for most in (1, 5))
    assert (alone, five) == (59, 287)


def test_any_number_of_tiers_is_tested_by_what_the_router_does() -> None:
    """With a function of the threshold three tiers are tested like two."""
    strong = [1.0] * 500

    def routed(threshold: float) -> tuple[list[float], list[bool]]:
        return ([1.0] * 500, [False] * 500) if threshold < 0.5 else ([0.5] * 500, [False] * 500)

    steps = fixed_sequence_of(routed, [0.1, 0.6, 0.7], strong, floor=0.95, confidence=0.95)
    assert [step.passed for step in steps] == [True, True, False]


@given(st.lists(st.tuples(st.floats(-1, 1), UNIT, UNIT), min_size=1, max_size=40), st.floats(0.1, 1.0))
def test_whatever_the_data_a_passed_step_keeps_the_floor_on_them(
    data: list[tuple[float, float, float]], floor: float
) -> None:
    """A threshold that passes holds the floor on the examples themselves, with something to spare."""
    losses, cheap, strong = (list(column) for column in zip(*data, strict=True))
    for step in fixed_sequence(losses, cheap, strong, floor=floor, confidence=0.95)[1:]:
        assert not step.passed or step.quality >= floor * step.strong_quality
        assert step.bound <= step.quality - floor * step.strong_quality + 1e-9


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=60), st.floats(0.55, 0.9))
def test_bound_falls_with_the_confidence(values: list[float], confidence: float) -> None:
    """Whoever wants to be surer gets a lower bound, and none is above the mean."""
    sure = lower_bound(values, worst=-1.0, confidence=0.99)
    assert sure <= lower_bound(values, worst=-1.0, confidence=confidence) <= sum(values) / len(values) + 1e-9


@given(st.lists(st.floats(-1, 1), max_size=80), st.integers(1, 30))
def test_thresholds_rise_and_end_with_the_largest_loss(losses: list[float], steps: int) -> None:
    """There are at most so many thresholds as asked for, and the last lets everything through."""
    grid = thresholds(losses, steps=steps)
    assert list(grid) == sorted(set(grid))
    assert len(grid) <= steps
    assert not losses or grid[-1] == max(losses)


@pytest.mark.parametrize(
    ("losses", "floor", "confidence"),
    [([], 0.95, 0.95), ([0.1], 0.0, 0.95), ([0.1], 1.1, 0.95), ([0.1], 0.95, 0.5), ([0.1], 0.95, 1.0)],
)
def test_what_cannot_be_tested_is_an_error(losses: list[float], floor: float, confidence: float) -> None:
    """No examples, or a floor or confidence that makes no sense, is a RoutingError."""
    ones = [1.0] * len(losses)
    with pytest.raises(RoutingError, match="floor above 0"):
        fixed_sequence(losses, ones, ones, floor=floor, confidence=confidence)


def test_lengths_that_differ_are_an_error() -> None:
    """Losses and qualities are of the same calls."""
    with pytest.raises(RoutingError, match="2 losses, 1 and 1"):
        fixed_sequence([0.1, 0.2], [1.0], [1.0], floor=0.9, confidence=0.9)


def test_needed_is_where_the_bound_reaches_zero() -> None:
    """As many values with the same mean and spread as are said to be needed prove it, and fewer do not."""
    values = [0.05] * 90 + [-0.3] * 10
    count = needed(values, worst=-0.95, confidence=0.95)
    assert count is not None
    assert 200 < count <= 300
    assert (
        lower_bound(values * 2, worst=-0.95, confidence=0.95)
        < 0
        <= lower_bound(values * 3, worst=-0.95, confidence=0.95)
    )


@pytest.mark.parametrize(
    ("values", "found"), [([-0.5] * 100, False), ([-0.01] * 1000, False), ([-0.2, 0.1, 0.1], True)]
)
def test_needed_is_none_where_more_of_the_same_would_not_do(values: list[float], found: bool) -> None:
    """Where what was seen rules it out there is no number; where it is merely too little to tell, there is one."""
    assert (needed(values, worst=-0.95, confidence=0.95) is not None) == found
