from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_agentcost.errors import RoutingError
from langchain_agentcost.routing.cascade_cost import (
    Attempt,
    Cascade,
    assess,
    break_even,
    dominated,
    expected_nano,
)
from langchain_agentcost.routing.tier import Record

NANO = st.integers(0, 10**12)
SHARE = st.fractions(0, 1, max_denominator=1000)
ATTEMPTS = st.builds(Attempt, st.sampled_from("abcdef"), st.integers(0, 50), st.fractions(0, 1, max_denominator=8))


@given(cheap=NANO, strong=NANO, accepted=SHARE, check=NANO)
def test_only_a_cascade_that_costs_less_than_the_strong_tier_is_let_through(
    cheap: int, strong: int, accepted: Fraction, check: int
) -> None:
    """The verdict is the published inequality, to the last nano-USD."""
    refused = assess(cheap_nano=cheap, strong_nano=strong, accepted=accepted, check_nano=check)
    assert (refused is None) == (cheap + check + (1 - accepted) * strong < strong)


@given(cheap=NANO, strong=st.integers(1, 10**12), check=NANO)
def test_at_the_break_even_point_a_cascade_costs_what_the_strong_tier_costs(
    cheap: int, strong: int, check: int
) -> None:
    """One that needs more accepted than there are has no such point."""
    accepted = break_even(cheap_nano=cheap, strong_nano=strong, check_nano=check)
    if accepted is None:
        assert cheap + check >= strong
    else:
        assert accepted < 1
        assert expected_nano(cheap_nano=cheap, strong_nano=strong, accepted=accepted, check_nano=check) == strong


def test_a_draft_that_costs_what_the_strong_tier_costs_never_pays() -> None:
    """Not even where every draft is accepted."""
    assert break_even(cheap_nano=5, strong_nano=5) is None
    assert assess(cheap_nano=5, strong_nano=5, accepted=1) is not None


def test_shares_are_taken_as_fractions_decimals_and_floats() -> None:
    """A quarter is a quarter, whichever way it is written."""
    for quarter in (Fraction(1, 4), Decimal("0.25"), 0.25):
        assert expected_nano(cheap_nano=10, strong_nano=1000, accepted=quarter) == 760


@given(quality=SHARE, right=SHARE, wrong=SHARE, cheap=NANO, strong=st.integers(1, 10**12))
def test_a_cascade_costs_what_its_share_of_accepted_answers_says(
    quality: Fraction, right: Fraction, wrong: Fraction, cheap: int, strong: int
) -> None:
    """Where the strong tier costs the same on every task, the two formulas are one."""
    cascade = Cascade(
        cheap=Attempt("small", cheap, quality),
        strong=Attempt("large", strong, 1),
        accepts_right=right,
        accepts_wrong=wrong,
    )
    assert cascade.accepted == quality * right + (1 - quality) * wrong
    assert cascade.expected_nano == expected_nano(cheap_nano=cheap, strong_nano=strong, accepted=cascade.accepted)
    assert cascade.share_of_strong == (cheap + (1 - cascade.accepted) * strong) / strong


def test_cost_and_quality_are_the_mean_over_simulated_tasks() -> None:
    """On tasks of which the hard ones are dear for the strong tier, the formula gives what running them gives."""
    dice = Random(7)  # noqa: S311  # a simulation, not a secret
    tasks = [(dice.random() < 0.6, dice.random(), dice.random()) for _ in range(40_000)]
    cost, solved = 0, 0
    for right, coin, luck in tasks:
        accepted = coin < (0.9 if right else 0.25)
        cost += 30 + (0 if accepted else 500 if right else 1100)
        solved += right if accepted else luck < (0.95 if right else 0.5)
    cascade = Cascade(
        cheap=Attempt("small", 30, 0.6),
        strong=Attempt("large", 740, 0.77),
        accepts_right=0.9,
        accepts_wrong=0.25,
        after_right=Attempt("large", 500, 0.95),
        after_wrong=Attempt("large", 1100, 0.5),
    )
    assert cascade.expected_nano == pytest.approx(cost / len(tasks), rel=0.02)
    assert float(cascade.quality or 0) == pytest.approx(solved / len(tasks), abs=0.01)


def test_a_perfect_check_solves_what_either_tier_solves() -> None:
    """Two tiers that fail apart are better together than the strong one alone."""
    cascade = Cascade(
        cheap=Attempt("small", 1, 0.5),
        strong=Attempt("large", 10, 0.75),
        accepts_right=1,
        accepts_wrong=0,
        after_wrong=Attempt("large", 10, 0.6),
    )
    assert cascade.quality == Fraction(0.5) + Fraction(0.5) * Fraction(0.6)


def test_a_cascade_is_refused_by_name_with_the_figures() -> None:
    """One that loses money says what it costs; one with a useless tier says which is better."""
    weak, large = Attempt("weak", 400, 0.25), Attempt("large", 1000, 0.75)
    (lost,) = Cascade(cheap=weak, strong=large, accepts_right=1, accepts_wrong=0).refusals()
    assert (lost.name, lost.why) == ("loses money", "it costs $0.00000115, large alone $0.000001")
    mini = Attempt("mini", 100, 0.5)
    both = Cascade(cheap=weak, strong=large, accepts_right=1, accepts_wrong=0).refusals([mini])
    assert [refusal.name for refusal in both] == ["dominated", "loses money"]
    assert "weak is dominated by mini" in both[0].why


def test_a_cascade_up_to_a_tier_that_is_worse_and_dearer_is_refused() -> None:
    """The strong tier is held to the same rule as the cheap one."""
    cascade = Cascade(
        cheap=Attempt("good", 10, 0.7), strong=Attempt("worse", 40, 0.5), accepts_right=1, accepts_wrong=0
    )
    assert [(refusal.name, refusal.why.split()[0]) for refusal in cascade.refusals()] == [("dominated", "worse")]


def test_the_check_is_paid_as_well() -> None:
    """A judge that costs what the cascade saves makes it lose money."""
    small, large = Attempt("small", 10, 0.5), Attempt("large", 100, 0.9)
    for check, names in ((30, ()), (40, ("loses money",))):
        cascade = Cascade(cheap=small, strong=large, accepts_right=1, accepts_wrong=0, check_nano=check)
        assert tuple(refusal.name for refusal in cascade.refusals()) == names


@given(st.lists(ATTEMPTS, unique_by=lambda attempt: attempt.tier, max_size=6))
def test_what_beats_a_tier_is_itself_unbeaten_and_no_dearer(tiers: list[Attempt]) -> None:
    """Every useless tier is named with one that is worth having, and the best tier is never useless."""
    found, by_name = dominated(tiers), {tier.tier: tier for tier in tiers}
    for worse, better in found.items():
        assert better not in found
        assert by_name[better].nano <= by_name[worse].nano
        assert Fraction(by_name[better].quality or 0) >= Fraction(by_name[worse].quality or 0)
    kept = [tier for tier in tiers if tier.tier not in found]
    assert max((tier.quality or 0 for tier in kept), default=0) == max((tier.quality or 0 for tier in tiers), default=0)


def test_a_tier_of_unknown_quality_is_never_called_useless() -> None:
    """What was not measured is unknown and not bad."""
    assert dominated([Attempt("new", 900), Attempt("large", 100, 0.9)]) == {}
    assert Attempt("new", 900).nano_per_solved is None


def test_a_tier_is_ranked_by_what_a_solved_task_costs() -> None:
    """A tier with small prices that fails often is the dearer one."""
    dear = Attempt.of("dear", Record(runs=10, solved=9, nano=9_000))
    tag = Attempt.of("cheap by its tag", Record(runs=10, solved=2, nano=4_000))
    assert dear is not None
    assert tag is not None
    assert (dear.nano_per_solved, tag.nano_per_solved) == (1000, 2000)
    assert Attempt.of("untried", Record(runs=0, solved=0, nano=0)) is None
    assert Attempt.of("unpriced", Record(runs=3, solved=1, nano=None)) is None


def test_a_free_strong_tier_has_no_share() -> None:
    """Nothing is saved on a model that costs nothing."""
    cascade = Cascade(cheap=Attempt("a", 0, 0.5), strong=Attempt("b", 0, 0.9), accepts_right=1, accepts_wrong=0)
    assert cascade.share_of_strong is None
    assert [refusal.name for refusal in cascade.refusals()] == ["dominated", "loses money"]


def test_the_quality_is_unknown_where_the_strong_tiers_is() -> None:
    """The cost can still be told."""
    cascade = Cascade(cheap=Attempt("a", 1, 0.5), strong=Attempt("b", 10), accepts_right=1, accepts_wrong=0)
    assert (cascade.quality, cascade.expected_nano) == (None, 6)


def test_impossible_facts_are_refused() -> None:
    """A share above one, a negative cost and a cheap tier of unknown quality are errors that say so."""
    with pytest.raises(RoutingError, match=r"accepted is from 0 to 1, not 1\.5"):
        assess(cheap_nano=1, strong_nano=2, accepted=1.5)
    with pytest.raises(RoutingError, match="at least 0 nano-USD, not -1"):
        Attempt("a", -1)
    with pytest.raises(RoutingError, match="quality of 'a' is from 0 to 1"):
        Attempt("a", 1, 2)
    with pytest.raises(RoutingError, match="accepts_wrong is from 0 to 1"):
        Cascade(cheap=Attempt("a", 1, 0.5), strong=Attempt("b", 2), accepts_right=1, accepts_wrong=-0.5)
    with pytest.raises(RoutingError, match="has to be known"):
        Cascade(cheap=Attempt("a", 1), strong=Attempt("b", 2), accepts_right=1, accepts_wrong=0)
