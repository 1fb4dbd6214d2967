"""More thrift as a budget is used."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_agentcost.errors import RoutingError
from langchain_agentcost.routing.policies.budget_aware import BudgetAware
from langchain_agentcost.routing.policies.step import StepPolicy
from langchain_agentcost.routing.request import RouteRequest
from tests.routing.policies.offered import NAMES, Inner, offers_of
from tests.routing.policies.test_step import COSTS, NODES


def test_a_tight_budget_sends_steps_lower() -> None:
    """A verifying step goes to a small tier once nearly all is spent, and the reason says so."""
    policy = BudgetAware(StepPolicy(), most=0.2)
    early = policy.choose(RouteRequest.of("x", node="verify", used=0.4), offers_of())
    late = policy.choose(RouteRequest.of("x", node="verify", used=0.95), offers_of())
    assert (early.tier, late.tier) == ("mid", "small")
    assert late.reasons[-1] == "95% of the budget is used, so 0.180 more may be lost"
    assert late.policy == "budget>step"


@pytest.mark.parametrize(
    ("tiers", "node", "chars", "moves"),
    [
        (("small", "frontier"), "verify", 1, {625: "small"}),
        (("small", "frontier"), "plan", 1, {1000: "small"}),
        (("small", "frontier"), "agent", 2, {723: "small"}),
        (("small", "frontier"), "agent", 20_000, {1000: "small"}),
        (NAMES, "verify", 1, {625: "small"}),
        (NAMES, "plan", 1, {625: "mid", 1000: "small"}),
        (NAMES, "agent", 2, {515: "mid", 723: "small"}),
        (NAMES, "agent", 20_000, {625: "mid", 1000: "small"}),
    ],
)
def test_where_uncalibrated_steps_yield(tiers: Sequence[str], node: str, chars: int, moves: dict[int, str]) -> None:
    """What the docstring says of two and three tiers, by thousandths of the budget."""
    policy, offers = BudgetAware(StepPolicy()), offers_of(*tiers)
    chosen = [
        policy.choose(RouteRequest.of("x" * chars, node=node, used=used / 1000), offers).tier for used in range(1001)
    ]
    assert {at: chosen[at] for at in range(1, 1001) if chosen[at] != chosen[at - 1]} == moves


def test_without_a_budget_nothing_changes() -> None:
    """Where no budget is known the inner policy chooses as it would alone."""
    request = RouteRequest.of("x", node="verify")
    alone = StepPolicy().choose(request, offers_of())
    choice = BudgetAware(StepPolicy()).choose(request, offers_of())
    assert (choice.tier, choice.reasons, choice.threshold) == (alone.tier, alone.reasons, alone.threshold)


def test_an_overspent_budget_is_a_used_one() -> None:
    """There is no more thrift than the most."""
    assert BudgetAware(StepPolicy(), most=0.2).thrift(1.5) == 0.2


def test_thrift_of_two_adds_up() -> None:
    """One in another gives the inner policy the thrift of both."""
    inner = Inner({"small": 0.3, "mid": 0.2})
    both = BudgetAware(BudgetAware(inner, most=0.1), most=0.1)
    choice = both.choose(RouteRequest.of("x", used=1.0), offers_of())
    assert choice.threshold == pytest.approx(0.25)
    assert choice.tier == "mid"


@pytest.mark.parametrize(("most", "since"), [(-0.1, 0.5), (1.1, 0.5), (0.2, 1.0), (0.2, -0.1)])
def test_a_curve_that_cannot_be_is_refused(most: float, since: float) -> None:
    """Shares are shares."""
    with pytest.raises(RoutingError, match="share"):
        BudgetAware(StepPolicy(), most=most, since=since)


@settings(deadline=None)
@given(node=NODES, costs=COSTS, used=st.lists(st.floats(0, 1), min_size=2, max_size=2), most=st.floats(0, 1))
def test_the_more_is_used_the_less_a_call_costs(
    node: str | None, costs: list[int], used: list[float], most: float
) -> None:
    """A call is never dearer than it was with more of the budget left, and thrift stays from 0 to `most`."""
    policy = BudgetAware(StepPolicy(), most=most)
    offers = offers_of(nano=dict(zip(NAMES, costs, strict=True)))
    price = {offer.name: offer.expected_nano or 0 for offer in offers}
    low, high = sorted(used)
    tiers = [policy.choose(RouteRequest.of("x", node=node, used=share), offers).tier for share in (low, high)]
    assert price[tiers[1]] <= price[tiers[0]]
    assert 0 <= policy.thrift(low) <= policy.thrift(high) <= most * (1 + 1e-9)
