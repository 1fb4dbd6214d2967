"""Policies in one another."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_agentcost.routing.policies.bandit import Bandit
from langchain_agentcost.routing.policies.budget_aware import BudgetAware
from langchain_agentcost.routing.policies.cascade import CascadePolicy
from langchain_agentcost.routing.policies.fixed import FixedPolicy
from langchain_agentcost.routing.policies.random import RandomPolicy
from langchain_agentcost.routing.policies.rule import Rule, RulePolicy
from langchain_agentcost.routing.policies.step import StepPolicy
from langchain_agentcost.routing.policies.sticky import Sticky
from langchain_agentcost.routing.policies.within import (
    LearnsChecks,
    LearnsRewards,
    keeps_threshold,
    levelled,
    parts_of,
    scored_in,
    with_scored,
)
from langchain_agentcost.routing.policy import Policy, Scored
from langchain_agentcost.routing.request import RouteRequest
from langchain_agentcost.routing.tier import Tier
from tests.routing.policies.offered import MODEL, NAMES, offers_of, passes
from tests.routing.policies.test_step import REQUESTS

TOWER = Sticky(RulePolicy([Rule("mid", "refund")], inner=BudgetAware(StepPolicy())))


def test_several_stand_in_one_another() -> None:
    """A budget, rules, a sticky tier and a cascade work on one choice, and its name tells which."""
    policy = CascadePolicy(passes(), inner=TOWER)
    planned = policy.choose(RouteRequest.of("x", node="plan", used=0.2), offers_of())
    assert (planned.tier, planned.escalate_to) == ("small", "frontier")
    assert planned.policy == "cascade>sticky>rule>budget>step"
    ruled = policy.choose(RouteRequest.of("a refund", node="plan"), offers_of())
    assert (ruled.escalate_to, ruled.policy) == ("mid", "cascade>sticky>rule")


def test_the_scored_one_is_found_and_replaced() -> None:
    """Calibration reaches the policy whose threshold it sets, however deep it is; all else stays."""
    assert scored_in(TOWER) == StepPolicy()
    changed = with_scored(TOWER, StepPolicy(threshold=0.3))
    assert scored_in(changed) == StepPolicy(threshold=0.3)
    assert with_scored(changed, StepPolicy()) == TOWER
    assert with_scored(StepPolicy(), StepPolicy(threshold=0.3)) == StepPolicy(threshold=0.3)
    assert scored_in(Sticky(FixedPolicy("mid"))) is None
    assert scored_in(None) is None


@pytest.mark.parametrize(
    ("policy", "keeps"),
    [
        (StepPolicy(), True),
        (Sticky(StepPolicy()), True),
        (Bandit(Sticky(StepPolicy())), True),
        (Bandit(StepPolicy(), slack=0.1), False),
        (BudgetAware(StepPolicy()), False),
        (Sticky(BudgetAware(StepPolicy())), False),
        (CascadePolicy(passes(), inner=StepPolicy()), False),
        (CascadePolicy(passes()), False),
        (RulePolicy([], inner=StepPolicy()), False),
        (Sticky(FixedPolicy("small")), False),
        (FixedPolicy("small"), False),
    ],
)
def test_what_goes_beyond_a_threshold_says_so(policy: Policy, keeps: bool) -> None:
    """What is proven of a threshold is not claimed for a policy that goes beyond it."""
    assert keeps_threshold(policy) is keeps


def test_levels_reach_the_policy_that_goes_by_them() -> None:
    """What a router's tiers say of themselves is known inside, so that a calibration sees what a choice sees."""
    tiers = [Tier("a", MODEL, level="mid"), Tier("b", MODEL, level="frontier")]
    assert scored_in(levelled(TOWER, tiers)) == StepPolicy(levels={"a": "mid", "b": "frontier"})
    assert levelled(FixedPolicy("a"), tiers) == FixedPolicy("a")
    assert levelled(Sticky(FixedPolicy("a")), tiers) == Sticky(FixedPolicy("a"))


def test_who_learns_from_what_came_of_it_is_found() -> None:
    """A router tells each part that counts something."""
    policy = Sticky(CascadePolicy(passes(), inner=Bandit(StepPolicy())))
    parts = list(parts_of(policy))
    assert [part.name for part in parts] == ["sticky", "cascade", "bandit", "step"]
    assert [part.name for part in parts if isinstance(part, LearnsChecks)] == ["cascade"]
    assert [part.name for part in parts if isinstance(part, LearnsRewards)] == ["bandit"]


def test_a_scored_policy_is_told_from_others() -> None:
    """Only a policy with expectations is calibrated."""
    assert isinstance(StepPolicy(), Scored)
    assert not isinstance(Sticky(StepPolicy()), Scored)


def around(inner: st.SearchStrategy[Policy]) -> st.SearchStrategy[Policy]:
    """Policies around other ones."""
    return st.one_of(
        st.builds(Sticky, inner=inner, calls=st.integers(1, 9)),
        st.builds(BudgetAware, inner=inner, most=st.floats(0, 1)),
        st.builds(CascadePolicy, verifier=st.just(passes()), inner=inner),
        st.builds(RulePolicy, rules=st.just((Rule("mid", "a"), Rule("gpt", "b"))), inner=inner),
    )


TOWERS = st.recursive(
    st.sampled_from([StepPolicy(), StepPolicy(otherwise=StepPolicy()), FixedPolicy("mid"), RandomPolicy(0.5)]),
    around,
    max_leaves=4,
)


@settings(deadline=None)
@given(
    policy=TOWERS,
    request=REQUESTS,
    used=st.one_of(st.none(), st.floats(0, 1)),
    names=st.sampled_from([NAMES, ("small", "frontier"), ("haiku", "sonnet", "opus"), ("only",)]),
    costs=st.lists(st.one_of(st.none(), st.integers(0, 10**9)), min_size=3, max_size=3),
    last=st.sampled_from(["mid", "frontier", None]),
)
def test_whatever_stands_in_what_a_choice_is_an_offer(
    policy: Policy,
    request: RouteRequest,
    used: float | None,
    names: tuple[str, ...],
    costs: list[int | None],
    last: str | None,
) -> None:
    """Any tower gives one of the offers, the same each time; a draft has a check and a stronger offer behind it."""
    call = replace(request, used=used)
    offers = offers_of(*names, nano=dict(zip(names, costs, strict=False)), last=last)
    choice = policy.choose(call, offers)
    assert choice.tier in names
    assert choice == policy.choose(call, offers)
    assert (choice.verifier is None) == (choice.escalate_to is None)
    assert choice.escalate_to is None or names.index(choice.escalate_to) > names.index(choice.tier)
    assert 0 < choice.propensity <= 1
    assert choice.reasons
