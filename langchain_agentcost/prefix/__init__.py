"""Prefix stability: what makes prompts change where they were sent before, and what that costs.

`PrefixStabilityMonitor` is pure: it looks at prompts, live ones (`CostMeter(prefix_monitor=True)`) or recorded ones.
"""

from __future__ import annotations

from langchain_agentcost.prefix.change import PrefixChange, PrefixFinding, PrefixTotals
from langchain_agentcost.prefix.monitor import PrefixStabilityMonitor

__all__ = ["PrefixChange", "PrefixFinding", "PrefixStabilityMonitor", "PrefixTotals"]
