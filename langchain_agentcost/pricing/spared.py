"""What a cache hit saved: the calls that it took the place of, at the prices of its instant."""

from __future__ import annotations

from datetime import datetime

from langchain_agentcost.pricing.book import PriceBook
from langchain_agentcost.pricing.cost import Cost
from langchain_agentcost.saving import CacheHit, SparedCall

TOOL_WITHOUT_A_PRICE = "a tool without a price is not in it"
"""The flag of a saving that is smaller than what was spared."""


def saved_by(hit: CacheHit, prices: PriceBook, *, at: datetime) -> Cost | None:
    """Price a hit.

    What the hit states itself is taken as it is. A tool that nobody stated a price for costs nothing that a bill would
    show, so it saves nothing that one would show either; a flag says that it was there.

    Args:
        hit: The hit.
        prices: What calls cost.
        at: When it happened.

    Returns:
        What was saved; None where the price of a model call among the spared ones is not known.

    Example:
        >>> hit = CacheHit(id="1", cache="tool", spared=(SparedCall(tool="search"),))
        >>> at = datetime.fromisoformat("2026-03-01T12:00+00:00")
        >>> saved_by(hit, PriceBook({"tools": {"search": "0.004"}}), at=at).usd
        Decimal('0.004000000')
        >>> saved_by(hit, PriceBook(), at=at).flags
        ('a tool without a price is not in it',)
    """
    if hit.saved_nano is not None:
        return Cost(hit.saved_nano, tool_nano=hit.saved_nano)
    known: list[Cost] = []
    for call in hit.spared:
        cost = _tool(call.tool, prices) if call.tool is not None else _model(call, prices, at)
        if cost is None:
            return None
        known.append(cost)
    return sum(known[1:], known[0]) if known else Cost()


def _tool(tool: str, prices: PriceBook) -> Cost:
    """How long the call would have taken is not known, so a price by the second is none."""
    return prices.tool_cost(tool) or Cost(flags=(TOOL_WITHOUT_A_PRICE,))


def _model(call: SparedCall, prices: PriceBook, at: datetime) -> Cost | None:
    if call.usage is None:
        return None
    return prices.cost(call.usage, call.model or "unknown", provider=call.provider, at=at)
