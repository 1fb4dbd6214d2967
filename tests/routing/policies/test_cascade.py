"""A cheaper tier first, where that pays."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.exceptions import OutputParserException
from langchain_core.outputs import ChatResult

from langchain_agentcost.errors import RoutingError
from langchain_agentcost.routing.cascade_cost import expected_nano
from langchain_agentcost.routing.policies.cascade import Acceptance, CascadePolicy
from langchain_agentcost.routing.policies.fixed import FixedPolicy
from langchain_agentcost.routing.policies.step import StepPolicy
from langchain_agentcost.routing.request import RouteRequest
from langchain_agentcost.routing.runnable import RouterRunnable
from langchain_agentcost.routing.verifiers.all_of import AllOf
from langchain_agentcost.routing.verifiers.judge import Judge
from langchain_agentcost.testing import FakeMeteredChatModel
from tests.routing.policies.offered import NAMES, offers_of, passes

CALL = RouteRequest.of("x", node="agent")


def cascade(accepted: float = 0.5, *, check_nano: int = 0) -> CascadePolicy:
    """A cascade to the strongest tier, with a check that so many answers pass."""
    return CascadePolicy(passes(), acceptance=Acceptance(prior=accepted), check_nano=check_nano)


def test_the_cheap_tier_is_asked_first() -> None:
    """The draft's tier, the check, who answers otherwise, and how many are expected to pass are in the choice."""
    choice = cascade(0.5).choose(CALL, offers_of("small", "frontier"))
    assert (choice.tier, choice.escalate_to, choice.accepted) == ("small", "frontier", 0.5)
    assert choice.verifier is not None
    assert choice.reasons[-1] == "small first, as 50% of its answers are expected to pass passes"


def test_a_cascade_that_loses_money_is_refused() -> None:
    """Half of the price, passed by a third, is dearer than the strong tier alone: it says so and asks that one."""
    offers = offers_of("small", "frontier", nano={"small": 500, "frontier": 1_000})
    choice = cascade(0.3).choose(CALL, offers)
    assert (choice.tier, choice.verifier) == ("frontier", None)
    assert choice.reasons[-1] == "no cascade from small, it loses money with 30% accepted"


def test_the_check_costs_too() -> None:
    """A judge that is as dear as what is saved makes the cascade pointless."""
    offers = offers_of("small", "frontier", nano={"small": 100, "frontier": 1_000})
    assert cascade(0.5, check_nano=300).choose(CALL, offers).tier == "small"
    assert cascade(0.5, check_nano=400).choose(CALL, offers).tier == "frontier"


def test_a_check_that_asks_a_model_has_a_stated_cost() -> None:
    """A judge's price is not known to the policy: without it a cascade would be dearer than it says."""
    judge = Judge(FakeMeteredChatModel(), criteria="It is right.")
    for verifier in (judge, AllOf(passes(), judge)):
        with pytest.raises(RoutingError, match="check_nano=, the nano-USD of one check"):
            CascadePolicy(verifier)
    offers = offers_of("small", "frontier", nano={"small": 100, "frontier": 1_000})
    assert CascadePolicy(judge, check_nano=300).choose(CALL, offers).tier == "small"
    assert CascadePolicy(judge, check_nano=1_100).choose(CALL, offers).tier == "frontier"
    with pytest.raises(RoutingError, match="0 or more"):
        CascadePolicy(passes(), check_nano=-1)


def test_without_prices_there_is_no_cascade() -> None:
    """What a cascade costs has to be known."""
    for unpriced in ({"frontier": None}, {"small": None, "mid": None}):
        choice = cascade(0.9).choose(CALL, offers_of(nano=unpriced))
        assert (choice.tier, choice.verifier) == ("frontier", None)
        assert choice.reasons[-1] == "no cascade: what it would cost is not known"


def test_of_several_drafts_the_cheapest_way_is_taken() -> None:
    """A dearer draft that passes more often may be the cheaper way."""
    policy = cascade(0.5)
    for _ in range(90):
        policy.acceptance.checked("small", node="agent", accepted=False)
        policy.acceptance.checked("mid", node="agent", accepted=True)
    assert policy.choose(CALL, offers_of()).tier == "mid"


def test_the_inner_policy_says_who_would_answer_alone() -> None:
    """A step that goes to the weakest tier anyway has nothing cheaper before it; one for mid has small."""
    policy = CascadePolicy(passes(), inner=StepPolicy())
    extract = policy.choose(RouteRequest.of("x", node="extract"), offers_of())
    assert (extract.tier, extract.verifier, extract.policy) == ("small", None, "cascade>step")
    verify = policy.choose(RouteRequest.of("x", node="verify"), offers_of())
    assert (verify.tier, verify.escalate_to) == ("small", "mid")


def test_there_is_one_escalation_at_most() -> None:
    """A cascade in a cascade leaves the draft that is there."""
    outer = CascadePolicy(passes(), inner=CascadePolicy(passes(), inner=FixedPolicy("frontier")))
    choice = outer.choose(CALL, offers_of())
    assert (choice.tier, choice.escalate_to, choice.policy) == ("small", "frontier", "cascade>cascade>fixed:frontier")
    failing = Acceptance(prior=0.5)
    for _ in range(90):
        failing.checked("small", node="agent", accepted=False)
    inner = CascadePolicy(passes(), inner=FixedPolicy("frontier"), acceptance=failing)
    assert CascadePolicy(passes(), inner=inner).choose(CALL, offers_of()).tier == "mid"


def test_it_learns_by_node_what_passes() -> None:
    """Where drafts fail, the cascade ends; another node goes on as it was."""
    policy = cascade(0.5)
    offers = offers_of("small", "frontier", nano={"small": 300, "frontier": 1_000})
    choice = policy.choose(CALL, offers)
    for _ in range(20):
        policy.checked(CALL, choice, accepted=False)
    assert policy.choose(CALL, offers).tier == "frontier"
    assert policy.choose(RouteRequest.of("x", node="other"), offers).tier == "small"


def test_a_check_of_something_else_teaches_nothing() -> None:
    """An answer that is no draft of its own says nothing of its check."""
    policy = CascadePolicy(passes(), inner=StepPolicy())
    request = RouteRequest.of("x", node="extract")
    policy.checked(request, policy.choose(request, offers_of()), accepted=False)
    assert policy.acceptance.as_dict()["counts"] == []


def test_threads_count_together() -> None:
    """No check is lost where many threads count."""
    acceptance = Acceptance()
    with ThreadPoolExecutor(8) as pool:
        for number in range(160):
            pool.submit(acceptance.checked, "small", node=None, accepted=number % 4 == 0)
    assert acceptance.as_dict()["counts"] == [{"tier": "small", "node": "", "passed": 40, "of": 160}]


def test_the_oldest_checks_fade() -> None:
    """What failed a thousand times and is mended is seen to be so after some hundred answers."""
    acceptance = Acceptance()
    for _ in range(1_000):
        acceptance.checked("small", node=None, accepted=False)
    assert acceptance.share("small", node=None) < 0.03
    for _ in range(400):
        acceptance.checked("small", node=None, accepted=True)
    assert acceptance.share("small", node=None) > 0.8


def ended(retry: float = 0.02) -> CascadePolicy:
    """A cascade whose drafts were seen to fail."""
    policy = CascadePolicy(passes(), acceptance=Acceptance(prior=0.5), retry=retry)
    for _ in range(50):
        policy.acceptance.checked("small", node="agent", accepted=False)
    return policy


def test_what_was_ended_by_what_was_learnt_is_tried_again() -> None:
    """A small share of calls goes on drafting, the same ones each time, so that a bad day does not last for ever."""
    policy, offers = ended(), offers_of("small", "frontier", nano={"small": 300, "frontier": 1_000})
    calls = [RouteRequest.of("x", node="agent", thread=str(number)) for number in range(2_000)]
    choices = [policy.choose(call, offers) for call in calls]
    again = [choice for choice in choices if choice.verifier is not None]
    assert 15 <= len(again) <= 80
    assert again[0].reasons[-1].startswith("small first, on 2% of calls, to see whether it is still so: no cascade")
    assert choices == [policy.choose(call, offers) for call in calls]
    never = ended(retry=0)
    assert all(never.choose(call, offers).verifier is None for call in calls)
    with pytest.raises(RoutingError, match="retry is a share"):
        ended(retry=2)


def test_it_comes_back() -> None:
    """Drafts that pass again, after a time in which none did, are made for all calls again."""
    policy, offers = ended(), offers_of("small", "frontier", nano={"small": 300, "frontier": 1_000})
    for number in range(4_000):
        call = RouteRequest.of("x", node="agent", thread=str(number))
        choice = policy.choose(call, offers)
        if choice.verifier is not None:
            policy.checked(call, choice, accepted=True)
    assert policy.choose(CALL, offers).tier == "small"
    assert policy.acceptance.share("small", node="agent") > 0.8


def test_what_is_assumed_to_lose_money_is_never_tried() -> None:
    """Half of the price and half accepted is refused by what is assumed, and no draw changes that."""
    policy, offers = cascade(0.5), offers_of("small", "frontier", nano={"small": 500, "frontier": 1_000})
    calls = (RouteRequest.of("x", node="agent", thread=str(number)) for number in range(500))
    assert {policy.choose(call, offers).tier for call in calls} == {"frontier"}


def test_a_provider_that_is_down_says_nothing_of_a_tier() -> None:
    """Errors are not counted; an answer that does not parse did not pass."""

    class Failing(FakeMeteredChatModel):
        def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
            raise raised.pop()

    policy = CascadePolicy(passes())
    router = RouterRunnable([Failing(model="gpt-4.1-mini"), FakeMeteredChatModel(model="gpt-4.1")], policy=policy)
    raised: list[Exception] = [ConnectionError("down") for _ in range(20)]
    for _ in range(20):
        assert router.invoke("x").response_metadata["router"]["escalated"]
    assert policy.acceptance.as_dict()["counts"] == []
    raised.append(OutputParserException("no JSON"))
    router.invoke("x")
    assert policy.acceptance.as_dict()["counts"] == [{"tier": "small", "node": "", "passed": 0, "of": 1}]


def test_what_was_counted_is_read_back() -> None:
    """It goes through JSON unchanged; what is something else is refused."""
    acceptance = Acceptance(prior=0.7)
    acceptance.checked("small", node="agent", accepted=True)
    again = Acceptance.from_dict(json.loads(json.dumps(acceptance.as_dict())))
    assert again.as_dict() == acceptance.as_dict()
    assert again.share("small", node="agent") == acceptance.share("small", node="agent")
    with pytest.raises(RoutingError, match="no count"):
        Acceptance.from_dict({"prior": 0.5})
    with pytest.raises(RoutingError, match="0 to 1"):
        Acceptance(prior=2)


@settings(deadline=None)
@given(
    costs=st.lists(st.integers(1, 10**9), min_size=3, max_size=3), accepted=st.floats(0, 1), check=st.integers(0, 10**9)
)
def test_it_is_never_expected_to_cost_more_than_the_strong_tier(costs: list[int], accepted: float, check: int) -> None:
    """What is chosen costs at most what the tier alone would, discarded drafts included."""
    offers = offers_of(nano=dict(zip(NAMES, costs, strict=True)))
    choice = cascade(accepted, check_nano=check).choose(CALL, offers)
    by_name = {offer.name: offer.expected_nano or 0 for offer in offers}
    if choice.verifier is None:
        assert choice.tier == "frontier"
    else:
        share = choice.accepted or 0.0
        cost = expected_nano(
            cheap_nano=by_name[choice.tier], strong_nano=by_name["frontier"], accepted=share, check_nano=check
        )
        assert cost <= by_name["frontier"]
