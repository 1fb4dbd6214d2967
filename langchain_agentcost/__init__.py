"""The economics of LLM agents: meter, price, attribute and report every call of a LangChain or LangGraph app.

Pass `CostMeter().callbacks` to the outermost call, and read `meter.report(by="node")`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_agentcost.attribution import Attribution, AttributionMap
    from langchain_agentcost.errors import (
        AgentCostError,
        AgentCostWarning,
        MeteringWarning,
        PriceNotFoundWarning,
        UsageMissingWarning,
    )
    from langchain_agentcost.exporters.langsmith import LangSmithCostTracer
    from langchain_agentcost.finops import Report, report
    from langchain_agentcost.ledger import Entry, Ledger, Total, open_ledger
    from langchain_agentcost.meter import CostMeter, install_global, meter_costs, metered_embeddings, uninstall_global
    from langchain_agentcost.pricing import Cost, PriceBook, PriceCard, PriceOverrides
    from langchain_agentcost.usage import Usage

__version__ = "0.1.0"

__all__ = [
    "AgentCostError",
    "AgentCostWarning",
    "Attribution",
    "AttributionMap",
    "Cost",
    "CostMeter",
    "Entry",
    "LangSmithCostTracer",
    "Ledger",
    "MeteringWarning",
    "PriceBook",
    "PriceCard",
    "PriceNotFoundWarning",
    "PriceOverrides",
    "Report",
    "Total",
    "Usage",
    "UsageMissingWarning",
    "__version__",
    "install_global",
    "meter_costs",
    "metered_embeddings",
    "open_ledger",
    "report",
    "uninstall_global",
]

_ROOMS = {
    "attribution": ("Attribution", "AttributionMap"),
    "errors": (
        "AgentCostError",
        "AgentCostWarning",
        "MeteringWarning",
        "PriceNotFoundWarning",
        "UsageMissingWarning",
    ),
    "exporters.langsmith": ("LangSmithCostTracer",),
    "finops": ("Report", "report"),
    "ledger": ("Entry", "Ledger", "Total", "open_ledger"),
    "meter": ("CostMeter", "install_global", "meter_costs", "metered_embeddings", "uninstall_global"),
    "pricing": ("Cost", "PriceBook", "PriceCard", "PriceOverrides"),
    "usage": ("Usage",),
}
_HOMES = {name: room for room, names in _ROOMS.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import a name from its room when it is first used: a process that only meters never loads reports."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """List the public names, imported or not."""
    return __all__
