"""A checkpointer that knows what a thread has cost, and puts caches and summaries into a graph."""

from __future__ import annotations

from langchain_agentcost.checkpoint.history import StepCost
from langchain_agentcost.checkpoint.saver import StampingSaver as CostCheckpointer
from langchain_agentcost.checkpoint.stamp import Stamp

__all__ = ["CostCheckpointer", "Stamp", "StepCost"]
