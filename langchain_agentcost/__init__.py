"""The economics of LLM agents: meter, price, attribute and report every call of a LangChain or LangGraph app.

Pass `CostMeter().callbacks` to the outermost call, and read `meter.report(by="node")`.
"""

from __future__ import annotations

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
