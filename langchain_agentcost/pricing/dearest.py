"""The dearest of several prices: what is assumed of a model whose own price nobody knows."""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal

from langchain_agentcost.pricing.card import RATES, PriceCard, Rate
from langchain_agentcost.pricing.cost import PriceSource


def dearest_of(cards: Collection[PriceCard], provider: str | None, price: PriceSource) -> PriceCard | None:
    """Make a card of the dearest of each rate and fee.

    Args:
        cards: The cards to choose from.
        provider: Whose they are; None is everybody's.
        price: What the card names as its source.

    Returns:
        The card, with flat rates: each is that of its dearest step. None where no card has a rate for input or output.
    """
    rates: dict[str, Decimal] = {}
    tools: dict[str, Decimal] = {}
    for card in cards:
        for name, rate in card.rates.items():
            rates[name] = max(rates.get(name, Decimal(0)), rate.usd, *(usd for _, usd in rate.above))
        for name, usd in card.tools.items():
            tools[name] = max(tools.get(name, Decimal(0)), usd)
    if not rates.keys() >= {"input", "output"}:
        return None
    whose = f"the dearest of {provider or 'all providers'}"
    return PriceCard(
        whose,
        provider=provider,
        rates={name: Rate(rates[name]) for name in RATES if name in rates},
        price=price,
        request=max(card.request for card in cards),
        task=max(card.task for card in cards),
        tools=tools,
        flags=(f"no price is known: {whose} is assumed",),
    )
