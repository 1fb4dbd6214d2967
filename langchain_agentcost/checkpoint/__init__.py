"""A checkpointer that knows what a thread has cost, and puts caches and summaries into a graph."""

from __future__ import annotations

from langchain_agentcost.checkpoint.before_node import BeforeNode
from langchain_agentcost.checkpoint.cached_nodes import CacheNode
from langchain_agentcost.checkpoint.checkpointer import CostCheckpointer, NotInstalledWarning
from langchain_agentcost.checkpoint.history import StepCost
from langchain_agentcost.checkpoint.stamp import Stamp

__all__ = ["BeforeNode", "CacheNode", "CostCheckpointer", "NotInstalledWarning", "Stamp", "StepCost"]
