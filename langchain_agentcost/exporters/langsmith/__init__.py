"""LangSmith with costs: the tracer, and what works on traces that are there already."""

from langchain_agentcost.exporters.langsmith.pseudonyms import pseudonym
from langchain_agentcost.exporters.langsmith.tracer import LangSmithCostTracer

__all__ = ["LangSmithCostTracer", "pseudonym"]
