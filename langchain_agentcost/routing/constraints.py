"""What a tier has to be able to do for a call: hard constraints, before any policy is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Protocol

from langchain_agentcost.errors import RoutingError
from langchain_agentcost.money import from_nano, to_nano
from langchain_agentcost.routing.policy import Offer
from langchain_agentcost.routing.request import RouteRequest
from langchain_agentcost.routing.tier import Tier

PINNED_TIER = "router_tier"
"""The key of `configurable` that names the only tier that may be asked."""

MAX_COST = "router_max_cost"
"""The key of `configurable` with the most that a call may be expected to cost, in USD."""


class Gate(Protocol):
    """What keeps weak tiers away from calls that can do harm."""

    def dropped(self, request: RouteRequest, tier: str, strongest: str) -> str | None:
        """Say why a tier may not take a call; None where it may."""
        ...


def unfit(request: RouteRequest, tiers: Sequence[Tier], gate: Gate | None = None) -> dict[str, str]:
    """Say which tiers cannot take a call, and why.

    Args:
        request: The call.
        tiers: The tiers, weakest first.
        gate: What keeps weak tiers away.

    Returns:
        Reasons by tier's name; a tier that can is not there.

    Raises:
        RoutingError: If a tier is pinned that does not exist.

    Example:
        >>> from langchain_agentcost.testing import FakeMeteredChatModel
        >>> small = Tier("small", FakeMeteredChatModel(), max_input_tokens=1_000)
        >>> unfit(RouteRequest.of("…", prompt_tokens=1_200), [small])
        {'small': 'the prompt has about 1,200 tokens, and it takes 1,000'}
    """
    pinned = request.configurable.get(PINNED_TIER)
    if pinned is not None and pinned not in [tier.name for tier in tiers]:
        names = ", ".join(tier.name for tier in tiers)
        raise RoutingError(f"configurable[{PINNED_TIER!r}] is {pinned!r}, and the tiers are {names}.")
    said = {tier.name: _unfit(request, tier, pinned) for tier in tiers}
    if gate is not None and pinned is None:
        said = {name: why or gate.dropped(request, name, tiers[-1].name) for name, why in said.items()}
    return {name: why for name, why in said.items() if why is not None}


def too_dear(request: RouteRequest, offers: Sequence[Offer]) -> dict[str, str]:
    """Say which offers cost more than one call may, and why.

    Raises:
        RoutingError: If `configurable["router_max_cost"]` is no amount of USD.
    """
    most = _amount(request.configurable.get(MAX_COST))
    if most is None:
        return {}
    return {offer.name: why for offer in offers if (why := _over(offer, most, "a call may cost")) is not None}


def beyond_budget(request: RouteRequest, offers: Sequence[Offer]) -> dict[str, str]:
    """Say which offers cost more than a budget has left, and why. Where that is all of them, none is said.

    The meter stops such a call by the budget's own action: a router has no better answer.
    """
    left = request.left_nano
    if left is None:
        return {}
    over = {offer.name: why for offer in offers if (why := _over(offer, left, "the budget has left")) is not None}
    return over if len(over) < len(offers) else {}


def refusal(dropped: Mapping[str, str]) -> RoutingError:
    """Make the error that says why no tier can take a call."""
    reasons = "; ".join(f"{name}: {why}" for name, why in dropped.items())
    return RoutingError(f"No tier can take this call. {reasons}. Add a tier that can, or lift what keeps it out.")


def _unfit(request: RouteRequest, tier: Tier, pinned: Any) -> str | None:
    if pinned is not None and tier.name != pinned:
        return f"{pinned} is pinned"
    if tier.max_input_tokens is not None and request.prompt_tokens > tier.max_input_tokens:
        return f"the prompt has about {request.prompt_tokens:,} tokens, and it takes {tier.max_input_tokens:,}"
    if request.tools and not tier.can("tools"):
        return "it does not call tools"
    if request.schema is not None and not (tier.can("structured_output") or tier.can("tools")):
        return "it does not give structured output"
    if request.images and not tier.can("images"):
        return "it does not see images"
    return None


def _amount(given: Any) -> int | None:
    if given is None:
        return None
    try:
        usd = Decimal(str(given))
        if usd.is_finite() and usd >= 0:
            return to_nano(usd)
    except InvalidOperation:
        pass
    raise RoutingError(f"configurable[{MAX_COST!r}] is an amount of USD such as '0.01', not {given!r}.")


def _over(offer: Offer, most_nano: int, what: str) -> str | None:
    if offer.expected_nano is None:
        return f"its price is not known, and {what} ${from_nano(most_nano).normalize():f}"
    if offer.expected_nano <= most_nano:
        return None
    return (
        f"it is expected to cost ${from_nano(offer.expected_nano).normalize():f}, and {what} "
        f"${from_nano(most_nano).normalize():f}"
    )
