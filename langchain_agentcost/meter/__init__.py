"""The meter: callbacks that turn every model, tool and retriever event into a priced, attributed ledger entry."""

from __future__ import annotations

from langchain_agentcost.meter.ambient import (
    active_meters,
    budget,
    install_global,
    meter_costs,
    uninstall_global,
)
from langchain_agentcost.meter.block import BudgetBlock
from langchain_agentcost.meter.embeddings import metered_embeddings
from langchain_agentcost.meter.handler import CostMeter
from langchain_agentcost.meter.permit import Permit

__all__ = [
    "BudgetBlock",
    "CostMeter",
    "Permit",
    "active_meters",
    "budget",
    "install_global",
    "meter_costs",
    "metered_embeddings",
    "uninstall_global",
]
