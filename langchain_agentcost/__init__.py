"""The economics of LLM agents: meter, price, attribute, limit and report every call of a LangChain or LangGraph app.

Pass `CostMeter().callbacks` to the outermost call, and read `meter.report(by="node")`. With
`CostMeter(budgets=[Budget(usd=5, per="session")])` a call that does not fit is stopped before it is made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_agentcost.lazy import lazy

if TYPE_CHECKING:
    from langchain_agentcost.attribution import Attribution, AttributionMap
    from langchain_agentcost.checkpoint import CostCheckpointer
    from langchain_agentcost.errors import (
        AgentCostError,
        AgentCostWarning,
        BreakerTripped,
        BudgetExceeded,
        LimitReached,
        MeteringWarning,
        PrefixUnstableWarning,
        PriceNotFoundWarning,
        RoutingError,
        RoutingWarning,
        UnenforcedBudgetWarning,
        UsageMissingWarning,
    )
    from langchain_agentcost.exporters.langsmith import LangSmithCostTracer
    from langchain_agentcost.finops import Report, report
    from langchain_agentcost.ledger import Entry, Ledger, Total, open_ledger
    from langchain_agentcost.limits import Budget, CircuitBreaker
    from langchain_agentcost.meter import (
        CostMeter,
        budget,
        install_global,
        meter_costs,
        metered_embeddings,
        uninstall_global,
    )
    from langchain_agentcost.middleware import agentcost_middleware
    from langchain_agentcost.prefix import PrefixStabilityMonitor
    from langchain_agentcost.pricing import Cost, PriceBook, PriceCard, PriceOverrides
    from langchain_agentcost.routing import RouterRunnable, Tier
    from langchain_agentcost.usage import Usage

__version__ = "0.1.0"

__all__ = [
    "AgentCostError",
    "AgentCostWarning",
    "Attribution",
    "AttributionMap",
    "BreakerTripped",
    "Budget",
    "BudgetExceeded",
    "CircuitBreaker",
    "Cost",
    "CostCheckpointer",
    "CostMeter",
    "Entry",
    "LangSmithCostTracer",
    "Ledger",
    "LimitReached",
    "MeteringWarning",
    "PrefixStabilityMonitor",
    "PrefixUnstableWarning",
    "PriceBook",
    "PriceCard",
    "PriceNotFoundWarning",
    "PriceOverrides",
    "Report",
    "RouterRunnable",
    "RoutingError",
    "RoutingWarning",
    "Tier",
    "Total",
    "UnenforcedBudgetWarning",
    "Usage",
    "UsageMissingWarning",
    "__version__",
    "agentcost_middleware",
    "budget",
    "install_global",
    "meter_costs",
    "metered_embeddings",
    "open_ledger",
    "report",
    "uninstall_global",
]

_ROOMS = {
    "attribution": ("Attribution", "AttributionMap"),
    "checkpoint": ("CostCheckpointer",),
    "errors": (
        "AgentCostError",
        "AgentCostWarning",
        "BreakerTripped",
        "BudgetExceeded",
        "LimitReached",
        "MeteringWarning",
        "PrefixUnstableWarning",
        "PriceNotFoundWarning",
        "RoutingError",
        "RoutingWarning",
        "UnenforcedBudgetWarning",
        "UsageMissingWarning",
    ),
    "exporters.langsmith": ("LangSmithCostTracer",),
    "finops": ("Report", "report"),
    "ledger": ("Entry", "Ledger", "Total", "open_ledger"),
    "limits": ("Budget", "CircuitBreaker"),
    "meter": ("CostMeter", "budget", "install_global", "meter_costs", "metered_embeddings", "uninstall_global"),
    "middleware": ("agentcost_middleware",),
    "prefix": ("PrefixStabilityMonitor",),
    "pricing": ("Cost", "PriceBook", "PriceCard", "PriceOverrides"),
    "routing": ("RouterRunnable", "Tier"),
    "usage": ("Usage",),
}
_HOMES = {name: room for room, names in _ROOMS.items() for name in names}


__getattr__, __dir__ = lazy(__name__, _HOMES)
