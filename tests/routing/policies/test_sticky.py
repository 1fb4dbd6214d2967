"""Staying with a thread's tier."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from langchain_agentcost.errors import RoutingError
from langchain_agentcost.pricing import PriceBook
from langchain_agentcost.routing.policies.cascade import CascadePolicy
from langchain_agentcost.routing.policies.fixed import FixedPolicy
from langchain_agentcost.routing.policies.step import StepPolicy
from langchain_agentcost.routing.policies.sticky import Sticky
from langchain_agentcost.routing.policy import Choice, Offers, Policy
from langchain_agentcost.routing.request import RouteRequest
from langchain_agentcost.routing.router import Router
from langchain_agentcost.routing.tier import Tier
from langchain_agentcost.testing import FakeMeteredChatModel
from langchain_agentcost.usage import Usage
from tests.routing.policies.offered import NAMES, Inner, offers_of, passes

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


def test_it_leaves_once_to_stay_has_cost_as_much_as_to_move() -> None:
    """To move costs 41 - 6.8 more than warm, and this call 20 - 6.8 more: before, staying must have cost 21."""
    for rent, tier in ((0, "frontier"), (21_000, "frontier"), (21_001, "small")):
        offers = offers_of("small", "frontier", nano=COLD, warm=WARM, last="frontier", rent={"small": rent})
        choice = Sticky(StepPolicy()).choose(EXTRACT, offers)
        assert (choice.tier, choice.preferred) == (tier, None if tier == "small" else "small")


def test_what_staying_has_cost_says_nothing_of_a_call_that_is_cheaper_here() -> None:
    """However high the rent, no call is moved that would cost less where it is, even with a warm cache there."""
    offers = offers_of(
        "small",
        "frontier",
        nano={"small": 90, "frontier": 50},
        warm={"small": 60},
        last="frontier",
        rent={"small": 10**9},
    )
    assert Sticky(FixedPolicy("small")).choose(EXTRACT, offers).tier == "frontier"


def test_a_forced_move_goes_where_this_call_is_cheapest() -> None:
    """Of two tiers that are good enough the one is taken whose cache holds the thread."""
    inner = Inner({"small": 0.5})
    offers = offers_of(nano={"small": 1, "mid": 500, "frontier": 100}, warm={"mid": 50, "frontier": 100}, last="small")
    assert Sticky(inner).choose(PLAN, offers).tier == "frontier"


def test_it_stays_where_all_costs_the_same() -> None:
    """A move that saves nothing is not made."""
    offers = offers_of("small", "frontier", nano={"small": 500, "frontier": 500}, last="frontier")
    assert Sticky(FixedPolicy("small")).choose(EXTRACT, offers).tier == "frontier"


def test_it_says_why_it_stays() -> None:
    """The reason names the tier that it stays with and the one that is not worth it."""
    choice = Sticky(FixedPolicy("small"), calls=2).choose(EXTRACT, on_the_strong_one())
    assert choice.reasons[-1].startswith("it stays with frontier: 2 calls at small are not cheaper")
    choice = Sticky(FixedPolicy("small")).choose(EXTRACT, on_the_strong_one())
    assert choice.reasons[-1] == "it stays with frontier: that has not cost so much yet as to move to small"


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
    inner = CascadePolicy(passes(), inner=FixedPolicy("frontier"))
    choice = Sticky(inner, calls=1).choose(EXTRACT, on_the_strong_one(small=15_000))
    assert (choice.tier, choice.verifier, choice.escalate_to) == ("frontier", None, None)


def test_a_call_or_more() -> None:
    """No calls at all cannot be looked ahead to."""
    with pytest.raises(RoutingError, match="1 or more"):
        Sticky(StepPolicy(), calls=0)


def tiers_priced_as(*models: str) -> list[Tier]:
    """Two tiers of fake models with the prices of real ones."""
    named = zip(("small", "frontier"), models, strict=True)
    return [Tier(name, FakeMeteredChatModel(model=model), price=PriceBook().card(model)) for name, model in named]


def begun_on_the_strong_one(router: Router, prefix: int, steps: Sequence[int]) -> Iterator[tuple[str, int]]:
    """A thread of an agent that plans first, and whose calls are all easy then: who takes each, for what."""
    mark = {"cache_control": {"type": "ephemeral"}}
    history: list[BaseMessage] = [SystemMessage([{"type": "text", "text": "w " * prefix, **mark}])]
    for at, step in enumerate(steps):
        asked = HumanMessage([{"type": "text", "text": "go " * step, **mark}])
        request, prompt = router.opened(
            RouteRequest.of([*history, asked], node="extract" if at else "plan", thread="t", max_output_tokens=100)
        )
        decision = router.decide(request, prompt)
        offer = next(offer for offer in decision.offers if offer.name == decision.tier)
        router.answered(request, prompt, decision.tier, Usage(prompt.total_tokens, 100))
        router.checked(request, decision, None)
        assert offer.expected_nano is not None
        yield decision.tier, offer.expected_nano
        history += [asked, AIMessage("so " * 100)]


class _MovesAt:
    """A schedule that is fixed beforehand: the strong tier for so many calls, and then the small one."""

    name = "schedule"

    def __init__(self, moves_at: int) -> None:
        self._left = moves_at

    def choose(self, request: RouteRequest, offers: Offers) -> Choice:
        """Choose by the count."""
        self._left -= 1
        return Choice(tier=offers[-1 if self._left >= 0 else 0].name, policy=self.name)


PAIRS = (
    ("claude-haiku-4-5", "claude-sonnet-4-5"),
    ("claude-sonnet-4-5", "claude-opus-4-5"),
    ("claude-haiku-4-5", "claude-opus-4-5"),
    ("gpt-5-nano", "gpt-5"),
)


@settings(deadline=None, max_examples=40)
@given(
    models=st.sampled_from(PAIRS),
    prefix=st.integers(10, 60_000),
    steps=st.lists(st.integers(1, 500), min_size=1, max_size=16),
)
def test_it_costs_at_most_twice_the_best_in_hindsight(models: tuple[str, str], prefix: int, steps: list[int]) -> None:
    """Of all schedules that leave the strong tier at some call or never, none costs less than half; it moves once."""

    def made_by(policy: Policy) -> list[tuple[str, int]]:
        return list(begun_on_the_strong_one(Router(tiers, policy=policy), prefix, steps))

    tiers, (_, *calls) = tiers_priced_as(*models), steps  # the first call is the strong tier's in any case
    best = min(sum(cost for _, cost in made_by(_MovesAt(at + 1))[1:]) for at in range(len(calls) + 1))
    made = made_by(Sticky(StepPolicy()))
    assert sum(cost for _, cost in made[1:]) <= 2 * best
    assert sum(one != other for (one, _), (other, _) in pairwise(made)) <= 1


def test_a_long_thread_is_not_stuck_on_the_dear_tier() -> None:
    """Thirty easy calls behind 50,000 tokens cost little more than with the small tier at once."""
    router = Router(tiers_priced_as("claude-haiku-4-5", "claude-sonnet-4-5"), policy=Sticky(StepPolicy()))
    tiers = [tier for tier, _ in begun_on_the_strong_one(router, 50_000, [300] * 30)]
    assert tiers[0] == "frontier"
    assert tiers[10:] == ["small"] * 20


def test_the_rent_begins_anew_with_each_move_and_counts_calls_that_were_made() -> None:
    """To ask why, or to be told of another thread, adds nothing; a move forgets what was owed."""
    router = Router(tiers_priced_as("claude-haiku-4-5", "claude-sonnet-4-5"), policy=Sticky(StepPolicy()))
    mark: list[Any] = [{"type": "text", "text": "w " * 50_000, "cache_control": {"type": "ephemeral"}}]
    request, prompt = router.opened(RouteRequest.of([SystemMessage(mark)], node="extract", thread="t"))
    router.answered(request, prompt, "frontier", None)
    for _ in range(2):
        decision = router.decide(request, prompt)
        assert decision.offers[0].rent_nano == 0
    router.checked(request, decision, None)
    rent = router.decide(request, prompt).offers[0].rent_nano
    assert rent == (decision.offers[1].expected_nano or 0) - (decision.offers[0].warm_nano or 0) > 0
    router.checked(request, decision, None)
    assert router.decide(request, prompt).offers[0].rent_nano == 2 * rent
    elsewhere = replace(request, thread="u")
    assert router.decide(*router.opened(elsewhere)).offers[0].rent_nano == 0
    router.answered(request, prompt, "small", None)
    assert router.decide(request, prompt).offers[0].rent_nano == 0


MONEY = st.integers(0, 10**9)


@settings(deadline=None)
@given(
    costs=st.lists(MONEY, min_size=3, max_size=3),
    warm=st.lists(MONEY, min_size=3, max_size=3),
    losses=st.lists(st.floats(0, 0.2), min_size=2, max_size=2),
    last=st.sampled_from(NAMES),
    calls=st.integers(1, 50) | st.none(),
)
def test_it_never_moves_at_a_loss(
    costs: list[int], warm: list[int], losses: list[float], last: str, calls: int | None
) -> None:
    """It leaves a tier that is good enough only where its own sum is lower there; and having moved, it stays."""
    inner = Inner(dict(zip(NAMES, losses, strict=False)), threshold=0.1)
    sticky = Sticky(inner, calls=calls)
    offers = offers_of(nano=dict(zip(NAMES, costs, strict=True)), warm=dict(zip(NAMES, warm, strict=True)), last=last)
    choice = sticky.choose(EXTRACT, offers)
    sums = {offer.name: sticky.cost_nano(offer) or 0 for offer in offers}
    if calls is None:  # nothing is owed yet: only what this very call saves is worth a move
        sums = dict(zip(NAMES, costs, strict=True))
    assert inner.given.get(choice.tier, 0.0) <= 0.1
    if choice.tier != last and inner.given.get(last, 0.0) <= 0.1:
        assert sums[choice.tier] < sums[last]
    moved = [replace(offer, last=offer.name == choice.tier) for offer in offers]
    assert sticky.choose(EXTRACT, moved).tier == choice.tier
