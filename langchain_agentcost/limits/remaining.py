"""What is left of a limit, for an agent or a person to read."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from langchain_agentcost.limits.refusal import amount_of


@dataclass(frozen=True, slots=True)
class Remaining:
    """What is left of one limit for one subject.

    Args:
        budget: The budget's title.
        unit: "usd", "input_tokens", "output_tokens", "total_tokens", "steps", "llm_calls", "tool_calls" or "wall_time".
        scope: The account.
        limit: The limit, with what a person added: USD and seconds as `Decimal`, counts as `int`.
        spent: What is spent.
        reserved: What calls under way may still take.
        remaining: What is left, never below 0.
    """

    budget: str
    unit: str
    scope: str
    limit: Decimal | int
    spent: Decimal | int
    reserved: Decimal | int
    remaining: Decimal | int

    def __str__(self) -> str:
        """Say it in a line that a person or a model can read."""
        left = amount_of(self.unit, self.remaining).split(" ")[0]
        return f"{left} of {amount_of(self.unit, self.limit)} left ({self.budget})"
