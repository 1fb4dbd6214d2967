"""Draws a tier: the control that a router has to beat."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

from langchain_agentcost.errors import RoutingError
from langchain_agentcost.routing.policies.draw import drawn
from langchain_agentcost.routing.policy import Choice, Offers
from langchain_agentcost.routing.request import RouteRequest


@dataclass(frozen=True, slots=True)
class RandomPolicy:
    """Sends a share of calls to the strongest tier and the others to the weakest, whatever they are.

    A router that is no better than this at the same share has learnt nothing. A call is drawn the same each time
    (`draw`), so that it is pure; its propensity is told, so that outcomes can be weighed by it.

    Args:
        strong: The share of calls that the strongest tier gets, from 0 to 1.
        seed: What names the experiment; another one draws otherwise.

    Raises:
        RoutingError: If the share is not from 0 to 1.

    Example:
        >>> RandomPolicy(strong=0.3).name
        'random'
    """

    strong: float = 0.5
    _: KW_ONLY
    seed: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.strong <= 1:
            raise RoutingError(f"strong is a share from 0 to 1, not {self.strong!r}.")

    @property
    def name(self) -> str:
        """What it is called in decisions and reports."""
        return "random"

    def choose(self, request: RouteRequest, offers: Offers) -> Choice:
        """Draw one of the two."""
        if len(offers) == 1:
            return Choice(tier=offers[0].name, policy=self.name, reasons=("only one tier can take the call",))
        strong = drawn(request, self.seed) < self.strong
        offer, probable = (offers[-1], self.strong) if strong else (offers[0], 1 - self.strong)
        return Choice(
            tier=offer.name,
            policy=self.name,
            reasons=(f"drawn, with {self.strong:.0%} for {offers[-1].name}",),
            propensity=probable,
        )
