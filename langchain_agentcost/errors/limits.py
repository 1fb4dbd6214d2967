"""What a limit raises. It is no fault: LangGraph must neither retry it nor hand it to the model as a tool's error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langgraph.errors import GraphBubbleUp

from langchain_agentcost.errors import AgentCostError


class LimitReached(AgentCostError, GraphBubbleUp):
    """A limit stopped a call before it was made.

    It is a `GraphBubbleUp`, the one kind of exception that LangGraph and the agent middleware never retry, never turn
    into a tool message, and that lets paid siblings finish and be kept.

    Args:
        message: What was reached, with limit and actual, and what to do.
        scope: What it holds for, such as "session=abc"; None where that does not apply.
        limit: The limit, in the unit: USD as `Decimal`, counts as `int`, seconds as `Decimal`.
        spent: What had been spent.
        reserved: What calls under way might still spend.
        needed: What the call might have spent.
        evidence: What else a person needs to decide, such as the number that made the call dear.
    """

    def __init__(
        self,
        message: str,
        *,
        scope: str | None = None,
        limit: Any = None,
        spent: Any = None,
        reserved: Any = None,
        needed: Any = None,
        evidence: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.scope = scope
        self.limit = limit
        self.spent = spent
        self.reserved = reserved
        self.needed = needed
        self.evidence: Mapping[str, Any] = evidence or {}


class BudgetExceeded(LimitReached):
    """A budget has no room for what a call may cost at worst."""


class BreakerTripped(LimitReached):
    """A circuit breaker saw a run that gets nowhere; `evidence` says what it saw."""


class LimitUnavailable(LimitReached):
    """A limit could not be checked, or not acted on as it was asked to, so the call was not made."""
