"""What it cost, why, and what it achieved: reports from the ledger alone."""

from __future__ import annotations

from langchain_agentcost.finops.base import Note, Report
from langchain_agentcost.finops.caches import CacheHits, CacheSavings, cache_savings
from langchain_agentcost.finops.drivers import Drivers, drivers
from langchain_agentcost.finops.outcomes import Outcome, Outcomes, outcomes
from langchain_agentcost.finops.report import report
from langchain_agentcost.finops.reprice import RepriceResult, reprice
from langchain_agentcost.finops.requests import Requests
from langchain_agentcost.finops.routing import RouterReport, routing_report

__all__ = [
    "CacheHits",
    "CacheSavings",
    "Drivers",
    "Note",
    "Outcome",
    "Outcomes",
    "Report",
    "RepriceResult",
    "Requests",
    "RouterReport",
    "cache_savings",
    "drivers",
    "outcomes",
    "report",
    "reprice",
    "routing_report",
]
