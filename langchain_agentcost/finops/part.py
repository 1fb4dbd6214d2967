"""A group of parts of calls: what is known of its cost is not what it counts."""

from __future__ import annotations

from dataclasses import dataclass

from langchain_agentcost.ledger.base import Total


@dataclass(frozen=True, slots=True)
class Part(Total):
    """The sum of parts of calls. Each call is counted in one group only, so that the counts of all groups add up.

    Args:
        touched: Calls that have a part in this group, whichever group counts them.
        unpriced_parts: Those of them that have no price.
    """

    touched: int = 0
    unpriced_parts: int = 0


def unpriced_in(total: Total) -> int:
    """Say how many amounts are missing from the cost of a group.

    Example:
        >>> unpriced_in(Total(unpriced_calls=2)), unpriced_in(Part(unpriced_calls=2, unpriced_parts=3))
        (2, 3)
    """
    return total.unpriced_parts if isinstance(total, Part) else total.unpriced_calls
