"""What things cost: models, tools and own hardware, at the time of the call.

`PriceBook` is the way in. It resolves a model's name into a `PriceCard`, and a card turns a `Usage` into a `Cost`.
"""

from __future__ import annotations

from langchain_agentcost.pricing.book import PriceBook
from langchain_agentcost.pricing.card import PriceCard, Rate
from langchain_agentcost.pricing.cost import Cost, PriceSource
from langchain_agentcost.pricing.overrides import PriceOverrides
from langchain_agentcost.pricing.rates import Currency, HostedRate, ToolRate

__all__ = [
    "Cost",
    "Currency",
    "HostedRate",
    "PriceBook",
    "PriceCard",
    "PriceOverrides",
    "PriceSource",
    "Rate",
    "ToolRate",
]
