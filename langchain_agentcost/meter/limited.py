"""A call as limits see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from langchain_agentcost.limits.demand import Demand
from langchain_agentcost.meter.graph import Graph
from langchain_agentcost.meter.runs import WorkflowRun


@dataclass(frozen=True, slots=True)
class Call:
    """A call that is about to be made.

    Args:
        run: Its workflow run.
        labels: Its attribution, as keyword arguments of `Attribution`.
        demand: What it may take at worst.
        call_id: The call itself.
        place: Where it stands in its graph: the same when LangGraph runs the task again. The call's id outside.
        graph: The graph that it is in; None outside.
    """

    run: WorkflowRun
    labels: Mapping[str, Any]
    demand: Demand
    call_id: str
    place: str
    graph: Graph | None

    @property
    def thread(self) -> str | None:
        """The thread that it is in."""
        return self.graph.thread if self.graph is not None else None
