"""The controls, and finding policies and offers by name."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import HumanMessage

from langchain_agentcost.errors import RoutingError
from langchain_agentcost.routing.policies.draw import drawn
from langchain_agentcost.routing.policies.fixed import FixedPolicy
from langchain_agentcost.routing.policies.named import POLICIES, policy_named
from langchain_agentcost.routing.policies.offer import offer_named
from langchain_agentcost.routing.policies.random import RandomPolicy
from langchain_agentcost.routing.policy import Offer, Policy
from langchain_agentcost.routing.request import RouteRequest
from langchain_agentcost.routing.tier import Tier
from tests.routing.policies.offered import MODEL, offers_of

CALLS = [RouteRequest.of(f"Question {number}") for number in range(2_000)]


def test_one_tier_takes_all() -> None:
    """Every call goes to the tier that is named."""
    assert FixedPolicy("mid").choose(CALLS[0], offers_of()).tier == "mid"


def test_a_tier_that_cannot_take_a_call_is_the_strongest_that_can() -> None:
    """A fixed tier that fell out is not silently a weaker one, and the reason says so."""
    choice = FixedPolicy("gpt").choose(CALLS[0], offers_of("small", "mid"))
    assert (choice.tier, choice.reasons) == ("mid", ("gpt cannot take the call",))


def test_a_level_is_the_weakest_offer_that_is_at_least_so_strong() -> None:
    """Levels are found by what tiers say, else by their place; where none is so strong, it is the strongest."""
    assert [offer_named(offers_of("haiku", "opus"), level) for level in ("small", "mid", "frontier")] == [
        offers_of("haiku", "opus")[0],
        *offers_of("haiku", "opus")[1:] * 2,
    ]
    weak = [Offer(tier=Tier(name, MODEL, level="small")) for name in ("a", "b")]
    found = offer_named(weak, "frontier")
    assert found is not None
    assert found.name == "b"
    assert offer_named(weak, "gpt") is None


def test_a_share_is_drawn() -> None:
    """About as many calls as asked for go to the strongest tier, and each says how probable it was."""
    policy = RandomPolicy(0.3)
    choices = [policy.choose(call, offers_of()) for call in CALLS]
    strong = [choice for choice in choices if choice.tier == "frontier"]
    assert 0.25 < len(strong) / len(CALLS) < 0.35
    assert {(choice.tier, choice.propensity) for choice in choices} == {("frontier", 0.3), ("small", 0.7)}


def test_a_call_is_drawn_the_same_each_time() -> None:
    """It is pure: an experiment can be repeated; another seed is another experiment."""
    one, other = RandomPolicy(), RandomPolicy(seed="second")
    tiers = [one.choose(call, offers_of()).tier for call in CALLS[:100]]
    assert tiers == [one.choose(call, offers_of()).tier for call in CALLS[:100]]
    assert tiers != [other.choose(call, offers_of()).tier for call in CALLS[:100]]


def test_calls_of_other_threads_and_nodes_are_drawn_anew() -> None:
    """The same words elsewhere are another call."""
    calls = [
        RouteRequest.of("Hi"),
        RouteRequest.of("Hi", thread="t"),
        RouteRequest.of("Hi", node="n"),
        RouteRequest.of([HumanMessage("Hello"), HumanMessage("Hi")]),
    ]
    assert len({drawn(call, "") for call in calls}) == len(calls)


def test_the_only_offer_is_no_draw() -> None:
    """Where one tier can take a call, its propensity is 1."""
    assert RandomPolicy(0.5).choose(CALLS[0], offers_of("mid")).propensity == 1.0


@settings(deadline=None)
@given(strong=st.sampled_from([0.0, 1.0]), text=st.text())
def test_all_or_none_is_certain(strong: float, text: str) -> None:
    """A share of 1 is every call, a share of 0 none."""
    choice = RandomPolicy(strong).choose(RouteRequest.of(text), offers_of())
    assert choice.tier == ("frontier" if strong else "small")
    assert choice.propensity == 1.0


@pytest.mark.parametrize("name", POLICIES)
def test_every_name_gives_a_policy(name: str) -> None:
    """A policy by its name chooses one of the offers."""
    policy = policy_named(name)
    assert isinstance(policy, Policy)
    assert policy.choose(CALLS[0], offers_of()).tier in {"small", "mid", "frontier"}


def test_a_name_may_carry_an_argument() -> None:
    """What follows the colon is the tier, or the share."""
    assert policy_named("fixed:opus") == FixedPolicy("opus")
    assert policy_named("random:0.25") == RandomPolicy(0.25)


@pytest.mark.parametrize(
    ("text", "why"), [("gpt", "there are step"), ("random:x", "no policy"), ("random:3", "0 to 1")]
)
def test_a_name_of_no_policy_is_told(text: str, why: str) -> None:
    """The error says what there is."""
    with pytest.raises(RoutingError, match=why):
        policy_named(text)
