"""What each checkpoint of a thread has cost."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Self

from langgraph.checkpoint.base import CheckpointTuple

from langchain_agentcost.checkpoint.stamp import Stamp, usd_of
from langchain_agentcost.checkpoint.thread_costs import At


@dataclass(frozen=True, slots=True)
class StepCost:
    """A checkpoint and what it has cost.

    Args:
        checkpoint_id: The checkpoint.
        parent_id: The one before it on its path; None for the first one.
        step: LangGraph's number of the superstep that it ends: -1 is the input, 0 the first one.
        source: What made it: "input", "loop", "update" or "fork".
        cost_usd: What was spent since its parent, tries that failed included: the known part of it; None where nothing
            is known of it. With durability "exit" there is one checkpoint a run, and this is the whole run.
        total_usd: What was spent on the path to it.
        llm_calls: Model calls since its parent.
        tool_calls: Tool calls since its parent.
        input_tokens: Tokens sent since its parent.
        output_tokens: Tokens received since its parent.
        unpriced_calls: Calls since its parent whose cost is not known.
        unmetered: Whether some of the path was run without a meter: amounts are lower bounds.
    """

    checkpoint_id: str
    parent_id: str | None
    step: int | None
    source: str | None
    cost_usd: Decimal | None
    total_usd: Decimal | None
    llm_calls: int | None
    tool_calls: int | None
    input_tokens: int | None
    output_tokens: int | None
    unpriced_calls: int | None
    unmetered: bool

    @classmethod
    def of(cls, saved: CheckpointTuple) -> Self:
        """Read it. Where a checkpoint has no stamp, all amounts are None."""
        stamp = Stamp.of(saved.metadata)
        spent = stamp.step if stamp is not None else None
        return cls(
            checkpoint_id=saved.checkpoint["id"],
            parent_id=At.of(saved.parent_config).checkpoint if saved.parent_config else None,
            step=saved.metadata.get("step"),
            source=saved.metadata.get("source"),
            cost_usd=usd_of(spent) if spent is not None else None,
            total_usd=usd_of(stamp.total) if stamp is not None else None,
            llm_calls=None if spent is None else spent.llm_calls,
            tool_calls=None if spent is None else spent.tool_calls,
            input_tokens=None if spent is None else spent.input_tokens,
            output_tokens=None if spent is None else spent.output_tokens,
            unpriced_calls=None if spent is None else spent.unpriced_calls,
            unmetered=stamp is None or stamp.unmetered,
        )
