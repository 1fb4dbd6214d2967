"""Bootstrap intervals, under the name that replay knows them by."""

from __future__ import annotations

from langchain_agentcost.interval import DRAWS, bootstrap, percent_saved

__all__ = ["DRAWS", "bootstrap", "percent_saved"]
