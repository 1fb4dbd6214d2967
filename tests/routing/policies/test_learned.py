"""What examples teach, and how far."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_agentcost.errors import RoutingError
from langchain_agentcost.routing.example import Example
from langchain_agentcost.routing.policies.learned import LearnedLosses
from langchain_agentcost.routing.request import RouteRequest
from langchain_agentcost.routing.signature import Signature

TIERS = ("small", "frontier")


def examples_of(node: str | None, small: float, count: int, *, tokens: int = 10) -> list[Example]:
    """Calls of one node that the strong tier answers right and the small one thus."""
    request = RouteRequest.of("Total?", node=node, prompt_tokens=tokens)
    return [Example(request=request, quality={"small": small, "frontier": 1.0})] * count


def loss_of(learned: LearnedLosses, signature: Signature, prior: float) -> float:
    """What the small tier is expected to lose."""
    return learned.losses(signature, {"small": prior})["small"]


def test_nothing_learnt_is_the_prior() -> None:
    """Where there is no example the prior stands."""
    assert loss_of(LearnedLosses(), RouteRequest.of("x").signature, 0.2) == 0.2


def test_few_examples_are_drawn_towards_the_prior() -> None:
    """Ten examples weigh as much as the prior: the loss is half-way."""
    learned = LearnedLosses.of(examples_of("extract", 0.0, 10), TIERS)
    signature = RouteRequest.of("x", node="extract", prompt_tokens=10).signature
    assert loss_of(learned, signature, 0.0) == pytest.approx(0.5)


def test_the_same_examples_count_once() -> None:
    """A coarser signature that is known from the very same examples says nothing new."""
    one = LearnedLosses.of(examples_of("extract", 0.0, 1), TIERS)
    signature = RouteRequest.of("x", node="extract", prompt_tokens=10).signature
    assert loss_of(one, signature, 0.0) == pytest.approx(1 / 11)


def test_another_length_borrows_from_the_same_node() -> None:
    """A length that was never seen is expected to do as the node does otherwise."""
    learned = LearnedLosses.of(examples_of("extract", 0.0, 90), TIERS)
    other = RouteRequest.of("x", node="extract", prompt_tokens=50_000).signature
    assert loss_of(learned, other, 0.0) == pytest.approx(0.9)
    assert learned.seen(other) == 90


def test_the_closest_signature_has_the_last_word() -> None:
    """Long prompts of a node that small models fail are told from short ones that they pass."""
    examples = examples_of("extract", 1.0, 500) + examples_of("extract", 0.0, 500, tokens=50_000)
    learned = LearnedLosses.of(examples, TIERS)
    short, long = (RouteRequest.of("x", node="extract", prompt_tokens=n).signature for n in (10, 50_000))
    assert loss_of(learned, short, 0.1) < 0.02
    assert loss_of(learned, long, 0.1) > 0.95


def test_an_example_without_the_reference_teaches_nothing() -> None:
    """A loss is against the strongest tier's answer to the same call."""
    example = Example(request=RouteRequest.of("x", node="extract"), quality={"small": 0.0})
    assert LearnedLosses.of([example], TIERS).examples == 0


def test_an_unknown_signature_keeps_the_prior() -> None:
    """What one node teaches says nothing of another."""
    learned = LearnedLosses.of(examples_of("extract", 0.0, 100), TIERS)
    assert loss_of(learned, RouteRequest.of("x", node="plan").signature, 0.25) == 0.25


def test_a_kind_is_known_from_one_case_of_it() -> None:
    """An example of a node is one of each of its cases; of another node, and of none, nothing is known."""
    learned = LearnedLosses.of(examples_of("extract", 0.0, 1), TIERS)
    assert learned.knows(RouteRequest.of("x", node="extract", tools=("lookup",), prompt_tokens=50_000).signature)
    assert not learned.knows(RouteRequest.of("x", node="plan").signature)
    assert not learned.knows(RouteRequest.of("x").signature)


def test_it_is_read_back_as_it_was() -> None:
    """The table goes through JSON unchanged."""
    learned = LearnedLosses.of(examples_of("extract", 1 / 3, 7) + examples_of(None, 0.0, 2), TIERS)
    assert LearnedLosses.from_dict(json.loads(json.dumps(learned.as_dict()))) == learned


@pytest.mark.parametrize(
    "data", [{}, {"signatures": 3, "reference": None, "examples": 0}, {"signatures": {"a": {"b": {}}}}]
)
def test_another_table_is_refused(data: dict[str, object]) -> None:
    """What is no such table is told as a RoutingError."""
    with pytest.raises(RoutingError, match="no table of losses"):
        LearnedLosses.from_dict(data)


@settings(deadline=None)
@given(
    qualities=st.lists(st.floats(0, 1), min_size=1, max_size=40),
    nodes=st.lists(st.sampled_from([None, "a", "b"]), min_size=40, max_size=40),
    prior=st.floats(-1, 1),
)
def test_a_loss_is_between_the_prior_and_what_was_seen(
    qualities: list[float], nodes: list[str | None], prior: float
) -> None:
    """Shrinkage stays within the prior and the extremes of the examples."""
    pairs = list(zip(qualities, nodes, strict=False))
    examples = [Example(request=RouteRequest.of("x", node=n), quality={"small": q, "frontier": 1}) for q, n in pairs]
    learned = LearnedLosses.of(examples, TIERS)
    seen = [1 - quality for quality in qualities]
    for node in (None, "a", "b"):
        loss = loss_of(learned, RouteRequest.of("x", node=node).signature, prior)
        assert min([prior, *seen]) - 1e-6 <= loss <= max([prior, *seen]) + 1e-6
