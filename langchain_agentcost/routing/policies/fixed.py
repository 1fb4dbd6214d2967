"""One tier for all calls: a control to compare with, and a way to pin."""

from __future__ import annotations

from dataclasses import dataclass

from langchain_agentcost.routing.policies.offer import offer_named
from langchain_agentcost.routing.policy import Choice, Offers
from langchain_agentcost.routing.request import RouteRequest


@dataclass(frozen=True, slots=True)
class FixedPolicy:
    """Sends every call to one tier; where that cannot take a call, to the strongest that can.

    Args:
        tier: The tier's name, or a level.
    """

    tier: str

    @property
    def name(self) -> str:
        """What it is called in decisions and reports."""
        return f"fixed:{self.tier}"

    def choose(self, request: RouteRequest, offers: Offers) -> Choice:
        """Choose the tier."""
        offer = offer_named(offers, self.tier)
        if offer is None:
            return Choice(tier=offers[-1].name, policy=self.name, reasons=(f"{self.tier} cannot take the call",))
        return Choice(tier=offer.name, policy=self.name, reasons=(f"all calls go to {self.tier}",))
