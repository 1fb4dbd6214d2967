"""Everything on: what a user of this package would put around the same desk."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import cast

from langchain_core.language_models import BaseChatModel

from langchain_agentcost.caching.cached_runnable import CachedRunnable
from langchain_agentcost.caching.semantic import SemanticCache
from langchain_agentcost.caching.tool_cache import ToolCache
from langchain_agentcost.caching.tools import ToolCachePolicy
from langchain_agentcost.caching.wrapped_tool import cached_tool
from langchain_agentcost.demo.compare_models import Pair
from langchain_agentcost.demo.models import TOOL_PRICES
from langchain_agentcost.demo.shop import ShopTools
from langchain_agentcost.limits.budget import Budget
from langchain_agentcost.meter import CostMeter
from langchain_agentcost.routing.runnable import RouterRunnable
from langchain_agentcost.routing.tier import Tier

_OWN_SHOP = ("configurable.tenant",)

POLICIES: Mapping[str, ToolCachePolicy] = {
    "look_up_order": ToolCachePolicy("read", scope="tenant", tags=("orders:{number}",), vary_on=_OWN_SHOP),
    "track_parcel": ToolCachePolicy(
        "read",
        scope="tenant",
        ttl_s=600,  # the carrier moves parcels without telling us; no refund does
        price=Decimal(TOOL_PRICES["track_parcel"]),
        vary_on=_OWN_SHOP,
    ),
    "search_products": ToolCachePolicy("read", scope="tenant", tags=("products",), vary_on=_OWN_SHOP),
    "refund_order": ToolCachePolicy("write", tags=("orders:{number}",)),
}
"""A refund is never cached, and ends what was read of its order. Each result is of one shop, and stays there."""


def routed(pair: Pair, meter: CostMeter) -> BaseChatModel:
    """Put a router in the model's place, and before each tier a cache of equal prompts.

    The router is the default one: what a node is called says which tier it needs.

    Args:
        pair: The models.
        meter: What counts.

    Raises:
        PriceNotFound: If one of them has no price.
    """
    answers = SemanticCache(embeddings=False, scope="tenant")
    cards = pair.cards
    tiers = [Tier(name, CachedRunnable(model, answers), price=cards[name]) for name, model in pair.tiers.items()]
    # A router stands wherever a chat model does, without being one.
    return cast("BaseChatModel", RouterRunnable(tiers, meter=meter))


def with_cache(tools: ShopTools) -> ShopTools:
    """Give the desk's tools behind one cache, the tool that writes included: it has to see what ends a read."""
    cache = ToolCache(POLICIES)
    return ShopTools(
        look_up_order=cached_tool(tools.look_up_order, cache=cache),
        track_parcel=cached_tool(tools.track_parcel, cache=cache),
        refund_order=cached_tool(tools.refund_order, cache=cache),
        search_products=cached_tool(tools.search_products, cache=cache),
    )


def guard(usd: str) -> Budget:
    """Give the budget of a ticket.

    Args:
        usd: What it may cost at most.
    """
    return Budget(usd=usd, per="run", name="ticket", on_limit="raise")
