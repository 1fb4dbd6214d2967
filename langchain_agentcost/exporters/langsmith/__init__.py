"""LangSmith with costs: a tracer for new traces, and what works on those that are there already."""

from langchain_agentcost.exporters.langsmith.backfill import BackfillResult, backfill
from langchain_agentcost.exporters.langsmith.check import CheckResult, check
from langchain_agentcost.exporters.langsmith.feedback import import_feedback
from langchain_agentcost.exporters.langsmith.pseudonyms import pseudonym
from langchain_agentcost.exporters.langsmith.tracer import LangSmithCostTracer

__all__ = [
    "BackfillResult",
    "CheckResult",
    "LangSmithCostTracer",
    "backfill",
    "check",
    "import_feedback",
    "pseudonym",
]
