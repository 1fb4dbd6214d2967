"""The default policy."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import BaseMessage

from langchain_agentcost.errors import RoutingError
from langchain_agentcost.routing.example import Example
from langchain_agentcost.routing.policies.step import StepPolicy
from langchain_agentcost.routing.policy import Learning, Offer
from langchain_agentcost.routing.request import RouteRequest
from langchain_agentcost.routing.tier import Tier
from tests.routing.policies.offered import MODEL, NAMES, Inner, agent_messages, offers_of
from tests.routing.policies.test_learned import examples_of


def chosen(policy: StepPolicy, request: RouteRequest, *names: str) -> str:
    """The tier that the policy takes."""
    return policy.choose(request, offers_of(*names)).tier


@pytest.mark.parametrize(("node", "tier"), [("extract", "small"), ("verify", "mid"), ("plan", "frontier")])
def test_a_node_goes_where_its_name_says(node: str, tier: str) -> None:
    """The built-in map decides where nothing else was said."""
    assert chosen(StepPolicy(), RouteRequest.of("x", node=node)) == tier


def test_two_tiers_are_small_and_frontier() -> None:
    """What asks for mid goes to the stronger of two."""
    assert chosen(StepPolicy(), RouteRequest.of("x", node="verify"), "haiku", "opus") == "opus"
    assert chosen(StepPolicy(), RouteRequest.of("x", node="format"), "haiku", "opus") == "haiku"


def test_the_user_has_the_last_word() -> None:
    """`steps` goes before the map, either way."""
    policy = StepPolicy(steps={"plan": "small", "agent": "mid"})
    assert chosen(policy, RouteRequest.of("x", node="plan")) == "small"
    assert chosen(policy, RouteRequest.of("x", node="agent")) == "mid"


@pytest.mark.parametrize("messages", [agent_messages(9, status="error"), agent_messages(9, repeat=True)])
def test_a_step_in_trouble_goes_one_level_up(messages: list[BaseMessage]) -> None:
    """After a tool's error, or the same call again, a stronger tier looks at it, and the reason says so."""
    choice = StepPolicy().choose(RouteRequest.of(messages, node="extract"), offers_of())
    assert choice.tier == "mid"
    assert "after" in choice.reasons[0]


def test_a_result_that_came_changes_nothing() -> None:
    """A tool that worked is no reason for a stronger tier."""
    assert chosen(StepPolicy(), RouteRequest.of(agent_messages(9), node="extract")) == "small"


def test_a_step_that_says_nothing_goes_to_the_strongest() -> None:
    """An agent's loop is not guessed at."""
    assert chosen(StepPolicy(), RouteRequest.of(agent_messages(9), node="agent", tools=("lookup",))) == "frontier"
    assert chosen(StepPolicy(), RouteRequest.of("Hi")) == "frontier"


def test_a_schema_without_tools_is_extraction() -> None:
    """A schema to fill is small work, unless its name says otherwise or tools are to be used."""
    assert chosen(StepPolicy(), RouteRequest.of("x", schema="Invoice")) == "small"
    assert chosen(StepPolicy(), RouteRequest.of("x", schema="TravelPlan")) == "frontier"
    assert chosen(StepPolicy(), RouteRequest.of("x", schema="Invoice", tools=("lookup",))) == "frontier"


def test_a_longer_text_is_expected_to_be_harder() -> None:
    """Where nothing else says so, a small tier loses more the longer the text is."""
    losses = [StepPolicy().losses(RouteRequest.of("x" * n), NAMES)["small"] for n in (1, 100, 10_000, 100_000)]
    assert losses == sorted(losses)
    assert losses[0] < losses[1] < losses[2]


def test_levels_of_tiers_are_taken_at_their_word() -> None:
    """A tier that says how strong it is is taken by that, in a choice and in losses alike."""
    tiers = [Tier("a", MODEL, level="mid"), Tier("b", MODEL)]
    offers = [Offer(tier=tier, expected_nano=cost) for tier, cost in zip(tiers, (1, 10), strict=True)]
    assert StepPolicy().choose(RouteRequest.of("x", node="verify"), offers).tier == "a"
    losses = StepPolicy().levelled(tiers).losses(RouteRequest.of("x", node="verify"), ["a", "b"])
    assert losses["a"] == 0
    told = StepPolicy(levels={"a": "small"}).choose(RouteRequest.of("x", node="verify"), offers)
    assert told.tier == "b"


def test_a_level_that_is_none_is_refused() -> None:
    """A typo is told at once."""
    with pytest.raises(RoutingError, match="small, mid, frontier, not smal"):
        StepPolicy(steps={"plan": "smal"})  # type: ignore[dict-item]


def test_examples_correct_the_map() -> None:
    """A step that the map thinks is easy and that small models fail goes up; one they pass goes down."""
    learnt = StepPolicy().fit(examples_of("extract", 0.0, 60) + examples_of("plan", 1.0, 200), ["small", "frontier"])
    assert chosen(learnt, RouteRequest.of("x", node="extract"), "small", "frontier") == "frontier"
    assert chosen(learnt, RouteRequest.of("x", node="plan"), "small", "frontier") == "small"
    assert chosen(StepPolicy(), RouteRequest.of("x", node="extract"), "small", "frontier") == "small"


def test_a_loss_is_against_the_strongest_that_is_left() -> None:
    """Where the reference of the examples cannot take the call, the next one is what others are compared with."""
    request = RouteRequest.of("x", node="agent")
    example = Example(request=request, quality={"small": 0.2, "mid": 0.7, "frontier": 1.0})
    learnt = StepPolicy().fit([example] * 10_000, NAMES)
    assert learnt.losses(request, ["small", "mid"])["small"] == pytest.approx(0.5, abs=0.01)
    assert learnt.losses(request, ["small", "mid"])["mid"] == 0


def test_otherwise_is_asked_only_where_the_signature_does_not_decide() -> None:
    """A name that says it, or examples that nearly all say the same, need no second opinion."""
    inner = Inner({"small": -0.2, "frontier": 0.0})
    examples = [
        *examples_of("never", 1.0, 300),
        *examples_of("always", 0.2, 300),
        *examples_of("at times", 0.8, 300),
        *examples_of("rarely seen", 0.8, 3),
        *examples_of("extract orders", 0.8, 300),
    ]
    policy = StepPolicy(otherwise=inner).fit(examples, ["small", "frontier"])
    for node in ("extract", "plan", "never", "always"):
        assert policy.losses(RouteRequest.of("x", node=node), ["small", "frontier"])["small"] != -0.2
    assert inner.asked == 0
    for node in ("at times", "rarely seen", "extract orders"):
        assert policy.losses(RouteRequest.of("x", node=node), ["small", "frontier"])["small"] == -0.2
    assert inner.asked == 3
    assert StepPolicy(otherwise=inner).losses(RouteRequest.of("x", node="model"), NAMES)["small"] == -0.2


@pytest.mark.parametrize("node", ["extract_parts", "agent", None])
def test_a_kind_of_step_without_an_example_goes_to_the_strongest(node: str | None) -> None:
    """Once something was learnt, a name is no proof, nor is what a text says: only the strongest tier is safe."""
    policy = StepPolicy(steps={"agent": "small"}, otherwise=Inner({"small": -0.2, "frontier": 0.0}), threshold=0.9)
    learnt = policy.fit(examples_of("format", 1.0, 100), ["small", "frontier"])
    request = RouteRequest.of("x", node=node)
    assert chosen(policy, request, "small", "frontier") == "small"
    choice = learnt.choose(request, offers_of("small", "frontier"))
    assert (choice.tier, choice.score) == ("frontier", 1.0)
    assert choice.reasons[0] == "no example of this kind of step is known"
    assert chosen(learnt, RouteRequest.of("x", node="format"), "small", "frontier") == "small"


def test_otherwise_that_knows_nothing_of_a_tier_leaves_it_to_the_signature() -> None:
    """What the other policy does not say stays what the kind of step says."""
    request = RouteRequest.of("x", node="agent")

    class Knows(Inner):
        def losses(self, request: object, tiers: object) -> dict[str, float]:
            return {"mid": 0.01, "frontier": 0.0}

    losses = StepPolicy(otherwise=Knows({})).losses(request, NAMES)
    assert losses == {**StepPolicy().losses(request, NAMES), "mid": 0.01}


def test_what_it_learnt_is_read_back() -> None:
    """Losses are the same after a way through JSON, with a policy in it too."""
    inner = StepPolicy(otherwise=StepPolicy())
    learnt = inner.fit(examples_of("agent", 0.5, 20), ["small", "frontier"])
    again = inner.with_learned(json.loads(json.dumps(learnt.as_dict())))
    request = RouteRequest.of("x", node="agent")
    assert again == learnt
    assert again.losses(request, ["small", "frontier"]) == learnt.losses(request, ["small", "frontier"])


def test_what_another_policy_learnt_is_refused() -> None:
    """A calibration of another policy does not fit."""
    with pytest.raises(RoutingError, match="another policy"):
        StepPolicy().with_learned({"policy": "embedding"})
    with pytest.raises(RoutingError, match="another policy"):
        StepPolicy(otherwise=StepPolicy()).with_learned(StepPolicy().as_dict())


def test_it_is_a_learning_policy() -> None:
    """The router can calibrate it."""
    assert isinstance(StepPolicy(), Learning)
    assert StepPolicy().with_threshold(0.3).threshold == 0.3


NODES = st.sampled_from([None, "agent", "extract", "verify", "plan", "x"])
REQUESTS = st.builds(
    RouteRequest.of,
    st.one_of(st.text(max_size=50), st.sampled_from([agent_messages(5), agent_messages(5, status="error")])),
    node=NODES,
    schema=st.sampled_from([None, "Invoice", "Plan"]),
    tools=st.sampled_from([(), ("lookup",)]),
    prompt_tokens=st.integers(0, 100_000),
)
COSTS = st.lists(st.integers(1, 10**9), min_size=3, max_size=3)


@settings(deadline=None)
@given(request=REQUESTS, costs=COSTS, threshold=st.floats(-0.5, 0.5), more=st.floats(0, 1))
def test_thrift_never_makes_a_choice_dearer(
    request: RouteRequest, costs: list[int], threshold: float, more: float
) -> None:
    """The choice is one of the offers, the same each time, and with more thrift costs no more."""
    offers = offers_of(nano=dict(zip(NAMES, costs, strict=True)))
    by_name = {offer.name: offer.expected_nano or 0 for offer in offers}
    policy = StepPolicy(threshold=threshold)
    plain = policy.choose(request, offers)
    assert plain == policy.choose(request, offers)
    thrifty = policy.choose(replace(request, thrift=more), offers)
    assert by_name[thrifty.tier] <= by_name[plain.tier]
