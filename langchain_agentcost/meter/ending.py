"""How a call ended, as the books write it down and the limits hear of it."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple, TypedDict

from langchain_agentcost.ledger.entry import Kind, Status
from langchain_agentcost.limits.demand import Taken
from langchain_agentcost.pricing import Cost
from langchain_agentcost.uncounted import LEFT
from langchain_agentcost.usage import Usage


class Ending(NamedTuple):
    """How a call ended."""

    usage: Usage | None = None
    cost: Cost | None = None
    saved: Cost | None = None
    status: Status = "ok"
    error_type: str | None = None

    def taken(self, kind: Kind) -> Taken:
        """What it means for limits."""
        if kind == "cache_hit":
            return Taken(provider_called=False)
        tokens = (self.usage.input_tokens, self.usage.output_tokens) if self.usage is not None else (0, 0)
        return Taken(self.cost.total_nano if self.cost is not None else None, *tokens)


class Failure(TypedDict):
    """The part of an ending that an error gives."""

    status: Status
    error_type: str


def failure(error: BaseException) -> Failure:
    """Say how a call ended that raised."""
    return {"status": "aborted" if isinstance(error, LEFT) else "error", "error_type": type(error).__name__}


def grown(reported: Usage, estimate: Usage) -> Usage:
    """The usage of a stream that broke off: some providers report the input first and the output at the end.

    A report that holds half of the output that we count, or more, was made at the end and is believed.
    """
    if 2 * reported.output_tokens >= estimate.output_tokens:
        return reported
    return replace(reported, output_tokens=estimate.output_tokens, estimated=True)
