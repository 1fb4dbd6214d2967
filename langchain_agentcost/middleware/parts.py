"""What `agentcost_middleware` takes for each of its parts, made middleware."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_agentcost.caching.tool_cache import ToolCache
from langchain_agentcost.caching.tool_middleware import ToolCacheMiddleware
from langchain_agentcost.caching.tools import ToolCachePolicy
from langchain_agentcost.context.context_middleware import ContextMiddleware
from langchain_agentcost.context.projector import ContextProjector
from langchain_agentcost.meter import CostMeter
from langchain_agentcost.routing.middleware import RouterMiddleware
from langchain_agentcost.routing.runnable import RouterRunnable, TierLike

RouterLike = RouterRunnable | RouterMiddleware | Sequence[TierLike]
"""A router, or its tiers, weakest first."""

ToolCacheLike = ToolCacheMiddleware | ToolCache | Mapping[str, ToolCachePolicy]
"""A tool cache, or policies by the tools' names for one in memory."""

ContextLike = ContextMiddleware | ContextProjector | bool
"""A projector; True is one with the defaults, and False is none."""


def parts_of(
    meter: CostMeter, router: RouterLike | None, tool_cache: ToolCacheLike | None, context: ContextLike | None
) -> list[Any]:
    """Make the middleware of what was given.

    Args:
        meter: What a router without a meter gets.
        router: The router.
        tool_cache: The tool cache.
        context: The projector.
    """
    made: list[Any] = []
    if context is not None and context is not False:
        made.append(_context(context))
    if tool_cache is not None:
        made.append(tool_cache if isinstance(tool_cache, ToolCacheMiddleware) else ToolCacheMiddleware(tool_cache))
    if router is not None:
        made.append(_router(router, meter))
    return made


def _context(given: ContextLike) -> ContextMiddleware:
    if isinstance(given, ContextMiddleware):
        return given
    return ContextMiddleware(given if isinstance(given, ContextProjector) else None)


def _router(given: RouterLike, meter: CostMeter) -> RouterMiddleware:
    made = given if isinstance(given, RouterMiddleware) else RouterMiddleware(given)
    return made if made.router.meter is not None else made.with_meter(meter)
