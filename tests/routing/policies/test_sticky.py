"""Staying with a thread's tier."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_agentcost.errors import RoutingError
from langchain_agentcost.routing.policies.cascade import CascadePolicy
from langchain_agentcost.routing.policies.fixed import FixedPolicy
from langchain_agentcost.routing.policies.step import StepPolicy
from langchain_agentcost.routing.policies.sticky import Sticky
from langchain_agentcost.routing.policy import Offers, Policy
from langchain_agentcost.routing.request import RouteRequest
from tests.routing.policies.offered import NAMES, Inner, Passes, offers_of

EXTRACT = RouteRequest.of("x", node="extract", thread="t")
PLAN = RouteRequest.of("x", node="plan", thread="t")

COLD = {"small": 41_000, "frontier": 20_000}
"""Facts: a prefix of 40,000 tokens, cold at a third of the price, and warm at the whole."""

WARM = {"small": 6_800, "frontier": 20_000}


def on_the_strong_one(**changes: int) -> Offers:
    """A long thread that the strong tier holds."""
    return offers_of("small", "frontier", nano={**COLD, **changes}, warm=WARM, last="frontier")


def test_a_new_thread_goes_where_the_inner_policy_says() -> None:
    """There is nothing to stay with."""
    choice = Sticky(StepPolicy()).choose(EXTRACT, offers_of())
    assert (choice.tier, choice.policy) == ("small", "sticky>step")


@pytest.mark.parametrize("inner", [StepPolicy(), FixedPolicy("small")])
def test_it_leaves_only_where_enough_calls_pay_for_the_cache(inner: Policy) -> None:
    """41 + 6.8 * (n - 1) is below 20 n from the third call on."""
    tiers = [Sticky(inner, calls=calls).choose(EXTRACT, on_the_strong_one()).tier for calls in (1, 2, 3)]
    assert tiers == ["frontier", "frontier", "small"]


def test_it_stays_where_all_costs_the_same() -> None:
    """A move that saves nothing is not made."""
    offers = offers_of("small", "frontier", nano={"small": 500, "frontier": 500}, last="frontier")
    assert Sticky(FixedPolicy("small")).choose(EXTRACT, offers).tier == "frontier"


def test_it_says_why_it_stays() -> None:
    """The reason names the tier that it stays with and the one that is not worth it."""
    choice = Sticky(FixedPolicy("small"), calls=2).choose(EXTRACT, on_the_strong_one())
    assert choice.reasons[-1].startswith("it stays with frontier: 2 calls at small are not cheaper")


def test_a_tier_that_is_warm_still_is_gone_back_to() -> None:
    """Where the other tier holds the thread too, the cheaper one is taken at once."""
    assert Sticky(StepPolicy(), calls=1).choose(EXTRACT, on_the_strong_one(small=6_800)).tier == "small"


def test_it_moves_up_at_once_for_quality() -> None:
    """A hard step is not kept on a small tier because that is warm, whatever the move costs."""
    offers = offers_of("small", "frontier", nano={"small": 1, "frontier": 10**9}, last="small")
    for inner in (StepPolicy(), FixedPolicy("frontier"), Inner({"small": 0.5})):
        assert Sticky(inner).choose(PLAN, offers).tier == "frontier"


def test_a_cheaper_strong_tier_is_a_matter_of_price() -> None:
    """Where the last tier is good enough, a stronger one has to pay for the move as well."""
    offers = offers_of("small", "frontier", nano={"small": 100, "frontier": 90}, warm={"frontier": 150}, last="small")
    assert StepPolicy().choose(EXTRACT, offers).tier == "frontier"
    assert Sticky(StepPolicy(), calls=3).choose(EXTRACT, offers).tier == "small"


def test_without_prices_it_stays() -> None:
    """A saving that cannot be worked out is none."""
    offers = offers_of("small", "frontier", nano={"small": None}, last="frontier")
    assert Sticky(FixedPolicy("small")).choose(EXTRACT, offers).tier == "frontier"


def test_a_tier_that_cannot_take_the_call_is_left() -> None:
    """Where the last tier is not on offer the inner policy chooses."""
    assert Sticky(StepPolicy()).choose(EXTRACT, offers_of("small", "mid", last="frontier")).tier == "small"


def test_who_stays_needs_no_check_of_a_draft() -> None:
    """A cascade's check is of its draft, not of the tier that is stayed with."""
    inner = CascadePolicy(Passes(), inner=FixedPolicy("frontier"))
    choice = Sticky(inner, calls=1).choose(EXTRACT, on_the_strong_one(small=15_000))
    assert (choice.tier, choice.verifier, choice.escalate_to) == ("frontier", None, None)


def test_a_call_or_more() -> None:
    """No calls at all cannot be looked ahead to."""
    with pytest.raises(RoutingError, match="1 or more"):
        Sticky(StepPolicy(), calls=0)


MONEY = st.integers(0, 10**9)


@settings(deadline=None)
@given(
    costs=st.lists(MONEY, min_size=3, max_size=3),
    warm=st.lists(MONEY, min_size=3, max_size=3),
    losses=st.lists(st.floats(0, 0.2), min_size=2, max_size=2),
    last=st.sampled_from(NAMES),
    calls=st.integers(1, 50),
)
def test_it_never_moves_at_a_loss(
    costs: list[int], warm: list[int], losses: list[float], last: str, calls: int
) -> None:
    """It leaves a tier that is good enough only where its own sum is lower there; and having moved, it stays."""
    inner = Inner(dict(zip(NAMES, losses, strict=False)), threshold=0.1)
    sticky = Sticky(inner, calls=calls)
    offers = offers_of(nano=dict(zip(NAMES, costs, strict=True)), warm=dict(zip(NAMES, warm, strict=True)), last=last)
    choice = sticky.choose(EXTRACT, offers)
    sums = {offer.name: sticky.cost_nano(offer) or 0 for offer in offers}
    assert inner.given.get(choice.tier, 0.0) <= 0.1
    if choice.tier != last and inner.given.get(last, 0.0) <= 0.1:
        assert sums[choice.tier] < sums[last]
    moved = [replace(offer, last=offer.name == choice.tier) for offer in offers]
    assert sticky.choose(EXTRACT, moved).tier == choice.tier
