"""Trying tiers out, within what is allowed."""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_agentcost.errors import RoutingError, RoutingWarning
from langchain_agentcost.routing.policies.bandit import Bandit, BanditState, Seen, chances_of
from langchain_agentcost.routing.policies.cascade import Acceptance, CascadePolicy
from langchain_agentcost.routing.policies.fixed import FixedPolicy
from langchain_agentcost.routing.policies.sticky import Sticky
from langchain_agentcost.routing.request import RouteRequest
from langchain_agentcost.routing.runnable import RouterRunnable
from langchain_agentcost.routing.tier import Tier
from langchain_agentcost.routing.verifiers.user_test import UserTest
from langchain_agentcost.testing import FakeMeteredChatModel
from tests.routing.policies.offered import MODEL, NAMES, Inner, offers_of

CALL = RouteRequest.of("x", node="agent")
STEP = CALL.signature.coarser()[2]


def bandit(small: float = 0.0, mid: float = 0.0, **facts: float) -> Bandit:
    """One whose inner policy expects these losses."""
    return Bandit(Inner({"small": small, "mid": mid}), state=BanditState(seed=7), **facts)


def rewarded(policy: Bandit, tier: str, quality: float, count: int) -> None:
    """Have a tier's answers be so good."""
    for number in range(count):
        policy.state.decided(f"{tier}-{number}", STEP, tier)
        policy.reward(f"{tier}-{number}", quality)


def test_only_tiers_that_may_be_lost_to_are_tried() -> None:
    """A tier that is expected to lose more than the threshold is never drawn."""
    policy = bandit(small=0.2, mid=0.05)
    tiers = Counter(policy.choose(CALL, offers_of()).tier for _ in range(300))
    assert set(tiers) == {"mid", "frontier"}


def test_slack_lets_it_try_more() -> None:
    """With slack the tier is tried, and what is proven of the threshold does not hold for it."""
    policy = bandit(small=0.2, slack=0.2)
    assert policy.choose(CALL, offers_of("small", "frontier")).propensity < 1
    assert not policy.keeps_threshold
    assert bandit().keeps_threshold


def test_a_tier_that_is_dearer_than_the_strongest_is_not_tried() -> None:
    """There is nothing to gain."""
    offers = offers_of(nano={"small": 2_000, "mid": 100, "frontier": 1_000})
    assert {bandit().choose(CALL, offers).tier for _ in range(300)} <= {"mid", "frontier"}


def test_what_turns_out_well_is_chosen_more() -> None:
    """A small tier that is as good as the strong one takes nearly all; one that is not takes hardly any."""
    good, bad = bandit(), bandit()
    for policy, quality in ((good, 1.0), (bad, 0.3)):
        rewarded(policy, "small", quality, 60)
        rewarded(policy, "frontier", 1.0, 60)
    offers = offers_of("small", "frontier")
    shares = [Counter(policy.choose(CALL, offers).tier for _ in range(400))["small"] / 400 for policy in (good, bad)]
    assert shares[0] > 0.8
    assert shares[1] < 0.1


def test_what_one_step_teaches_is_not_of_another() -> None:
    """Another node begins with what is assumed."""
    policy = bandit()
    before = policy.choose(RouteRequest.of("x", node="other"), offers_of("small", "frontier"))
    rewarded(policy, "small", 0.0, 60)
    after = [policy.choose(RouteRequest.of("x", node="other"), offers_of("small", "frontier")) for _ in range(20)]
    assert before.propensity in {choice.propensity for choice in after} | {1 - choice.propensity for choice in after}


def test_the_propensities_are_those_of_the_draws() -> None:
    """Drawn often, each tier comes as often as is told, and weighing by it gives back every tier's quality."""
    policy = bandit()
    rewarded(policy, "small", 0.6, 5)
    truth = {"small": 0.6, "mid": 0.8, "frontier": 0.9}
    choices = [policy.choose(CALL, offers_of()) for _ in range(4_000)]
    told = {choice.tier: choice.propensity for choice in choices}
    counts = Counter(choice.tier for choice in choices)
    assert sum(told.values()) == pytest.approx(1)
    for tier in NAMES:
        assert counts[tier] / 4_000 == pytest.approx(told[tier], abs=0.03)
        weighed = sum(truth[tier] / choice.propensity for choice in choices if choice.tier == tier) / 4_000
        assert weighed == pytest.approx(truth[tier], abs=0.15)


def test_chances_are_those_of_thompson_sampling() -> None:
    """They agree with draws from the beta distributions themselves, up to the grid."""
    beliefs, random = (Seen(4.0, 3.0), Seen(9.0, 2.0), Seen(20.0, 3.0)), Random(3)  # noqa: S311
    counts = Counter[int]()
    for _ in range(20_000):
        *cheap, strong = [random.betavariate(*belief) for belief in beliefs]
        counts[next((at for at, quality in enumerate(cheap) if quality >= strong - 0.05), 2)] += 1
    for at, chance in enumerate(chances_of(beliefs, 0.05)):
        assert chance == pytest.approx(counts[at] / 20_000, abs=0.025)


def test_a_reward_comes_once() -> None:
    """A second one and one of a decision that is not known teach nothing; one that is no quality is refused."""
    policy = bandit()
    choice = policy.choose(CALL, offers_of())
    policy.decided("d", CALL, choice)
    with pytest.raises(RoutingError, match="0 to 1"):
        policy.reward("d", 2)
    policy.reward("d", 0.5)
    assert policy.state.seen(STEP, choice.tier) == Seen(0.5, 0.5)
    for decision in ("d", "another"):
        assert not policy.state.reward(decision, 1)
    assert policy.state.seen(STEP, choice.tier) == Seen(0.5, 0.5)


def bandit_in_a_cascade(answers: list[str], *, first: str) -> tuple[RouterRunnable, BanditState, dict[str, Any]]:
    """A router whose bandit drew the strong tier, with a cheap draft before it; and what its answer says."""
    state = BanditState(seed=1)
    check = UserTest(lambda request, answer: answer.text == "good")
    policy = CascadePolicy(check, inner=Bandit(Inner({"small": 0.9}), state=state), acceptance=Acceptance(prior=0.9))
    small = Tier("small", FakeMeteredChatModel(model="gpt-4.1-mini", answers=answers))
    router = RouterRunnable([small, Tier("frontier", FakeMeteredChatModel(model="gpt-4.1"))], policy=policy)
    said = router.invoke("x").response_metadata["router"]
    assert (said["tier"], said["answered_by"]) == ("small", first)
    assert said["propensity"] == pytest.approx(1)
    return router, state, said


def test_a_draft_in_the_place_of_what_was_drawn_teaches_nothing() -> None:
    """The bandit drew the strong tier, and the small one's draft passed: of neither it is known how good it is."""
    router, state, said = bandit_in_a_cascade(["good"], first="small")
    router.reward(said["id"], 1.0)
    assert state.as_dict()["seen"] == []


def test_what_was_drawn_and_used_is_learnt() -> None:
    """The draft did not pass, and the strong tier that was drawn answered."""
    router, state, said = bandit_in_a_cascade(["bad"], first="frontier")
    router.reward(said["id"], 1.0)
    assert [(row["tier"], row["good"]) for row in state.as_dict()["seen"]] == [("frontier", 1.0)]


def test_a_reward_of_what_no_bandit_decided_is_no_error() -> None:
    """Pinned, kept up by a floor, or never known: whoever rewards all answers need not tell them apart."""
    state = BanditState(seed=1)
    floored = RouterRunnable([MODEL, MODEL], policy=Bandit(Inner({}), state=state), floor=0.95)
    with pytest.warns(RoutingWarning):
        floored.reward(floored.invoke("x").response_metadata["router"]["id"], 1.0)
    router = RouterRunnable([MODEL, MODEL], policy=Bandit(Inner({}), state=state))
    pinned = router.invoke("x", {"configurable": {"router_tier": "small"}})
    for decision in (pinned.response_metadata["router"]["id"], "nobody's"):
        router.reward(decision, 1.0)
    assert state.as_dict()["seen"] == []
    with pytest.raises(RoutingError, match="0 to 1"):
        router.reward("nobody's", 2)


def test_threads_learn_together() -> None:
    """Choices and rewards of many threads at once: none is lost, and each decision is rewarded for its own tier."""
    policy = bandit()

    def call(number: int) -> str:
        choice = policy.choose(CALL, offers_of())
        policy.decided(str(number), CALL, choice)
        policy.reward(str(number), 1.0)
        return choice.tier

    with ThreadPoolExecutor(8) as pool:
        tiers = Counter(pool.map(call, range(800)))
    assert {tier: policy.state.seen(STEP, tier).good for tier in tiers} == dict(tiers)


def test_the_state_is_read_back() -> None:
    """It goes through JSON unchanged; what is something else is refused."""
    policy = bandit()
    rewarded(policy, "small", 0.25, 3)
    again = BanditState.from_dict(json.loads(json.dumps(policy.state.as_dict())))
    assert again.as_dict() == policy.state.as_dict()
    with pytest.raises(RoutingError, match="no state"):
        BanditState.from_dict({"seen": [{}]})


def test_it_needs_a_scored_policy() -> None:
    """Without expectations there is nothing to say what may be tried; a policy around a scored one will do."""
    with pytest.raises(RoutingError, match="scored"):
        Bandit(FixedPolicy("small"))
    with pytest.raises(RoutingError, match="share"):
        bandit(least=0.5)
    assert Bandit(Sticky(Inner({}))).choose(CALL, offers_of()).tier in NAMES


BELIEFS = st.lists(st.builds(Seen, st.floats(0.2, 300), st.floats(0.2, 300)), min_size=1, max_size=4)


@settings(deadline=None)
@given(beliefs=BELIEFS, tolerance=st.floats(0, 1))
def test_chances_add_up(beliefs: list[Seen], tolerance: float) -> None:
    """Whatever is believed, the chances are shares of 1."""
    chances = chances_of(tuple(beliefs), tolerance)
    assert sum(chances) == pytest.approx(1)
    assert all(-1e-9 <= chance <= 1 + 1e-9 for chance in chances)


@settings(deadline=None)
@given(
    losses=st.lists(st.floats(-1, 1), min_size=2, max_size=2),
    costs=st.lists(st.one_of(st.none(), st.integers(1, 10**6)), min_size=3, max_size=3),
    slack=st.floats(0, 1),
)
def test_what_is_tried_is_always_allowed(losses: list[float], costs: list[int | None], slack: float) -> None:
    """The choice is an offer within threshold and slack, or the strongest; its propensity is at least the least."""
    policy = bandit(*losses, slack=slack)
    choice = policy.choose(CALL, offers_of(nano=dict(zip(NAMES, costs, strict=True))))
    allowed = {name for name, loss in zip(NAMES, losses, strict=False) if loss <= 0.05 + slack}
    assert choice.tier in allowed | {"frontier"}
    assert policy.least <= choice.propensity <= 1 + 1e-9
