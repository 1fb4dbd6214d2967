"""Offers to choose from, for the tests of policies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from langchain_agentcost.routing.policy import Choice, Offer, Offers, cheapest_within
from langchain_agentcost.routing.tier import Tier
from langchain_agentcost.routing.verifiers.user_test import UserTest
from langchain_agentcost.testing import FakeMeteredChatModel

NAMES = ("small", "mid", "frontier")

MODEL = FakeMeteredChatModel()


def offers_of(
    *names: str,
    nano: Mapping[str, int | None] | None = None,
    warm: Mapping[str, int] | None = None,
    last: str | None = None,
    rent: Mapping[str, int] | None = None,
) -> tuple[Offer, ...]:
    """Offers of tiers by these names, weakest first: each costs ten times the one before, where nothing is said."""
    made = []
    for at, name in enumerate(names or NAMES):
        expected = (nano or {}).get(name, 1_000 * 10**at)
        warm_nano = (warm or {}).get(name, expected)
        rent_nano = (rent or {}).get(name, 0)
        tier = Tier(name, MODEL)
        made.append(
            Offer(tier=tier, expected_nano=expected, warm_nano=warm_nano, last=name == last, rent_nano=rent_nano)
        )
    return tuple(made)


def agent_messages(count: int, *, repeat: bool = False, status: Any = "success") -> list[BaseMessage]:
    """An agent's history that ends with a tool's result."""
    made: list[BaseMessage] = [HumanMessage("Where is my parcel?")]
    while len(made) < count:
        call = {"name": "lookup", "args": {"at": 0 if repeat else len(made)}, "id": f"call-{len(made)}"}
        made += [AIMessage("", tool_calls=[call]), ToolMessage("packed", tool_call_id=call["id"], status=status)]
    return made


class Inner:
    """A scored policy whose losses are given, and that counts how often it is asked for them."""

    name = "given"

    def __init__(self, losses: Mapping[str, float], threshold: float = 0.05) -> None:
        self.given = dict(losses)
        self.threshold = threshold
        self.asked = 0

    def losses(self, request: Any, tiers: Any) -> dict[str, float]:
        """Give them, against the last tier."""
        self.asked += 1
        return {tier: self.given.get(tier, 0.0) for tier in tiers}

    def choose(self, request: Any, offers: Offers) -> Choice:
        """Choose the cheapest within the threshold."""
        losses = self.losses(request, [offer.name for offer in offers])
        return cheapest_within(self.name, losses, offers, threshold=self.threshold + request.thrift)

    def with_threshold(self, threshold: float) -> Inner:
        """Give it with another threshold."""
        return Inner(self.given, threshold)


def passes() -> UserTest:
    """A check that every answer passes."""
    return UserTest(lambda request, answer: True, name="passes")
