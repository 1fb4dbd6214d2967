"""Totals added up further, in whole numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from langchain_agentcost.ledger.base import Total
from langchain_agentcost.pricing.cost import PARTS, Cost
from langchain_agentcost.usage import Usage

_COSTS = ("cost", "saved", "failed_cost")
_COUNTS = tuple(f.name for f in fields(Total) if f.default == 0)
_TOKENS = tuple(f.name for f in fields(Usage) if f.name.endswith("_tokens"))


class Sum:
    """A running sum of totals. Latencies cannot be added up and are left out."""

    __slots__ = ("_costs", "_counts", "_tokens")

    def __init__(self) -> None:
        self._counts = [0] * len(_COUNTS)
        self._tokens = [0] * len(_TOKENS)
        self._costs = [[0] * len(PARTS) for _ in _COSTS]

    def add(self, total: Total) -> None:
        """Add a total."""
        for at, name in enumerate(_COUNTS):
            self._counts[at] += getattr(total, name)
        for at, name in enumerate(_TOKENS):
            self._tokens[at] += getattr(total.usage, name)
        for sums, name in zip(self._costs, _COSTS, strict=True):
            cost: Cost = getattr(total, name)
            # Most groups saved nothing and failed in nothing.
            if cost.total_nano:
                for at, part in enumerate(PARTS):
                    sums[at] += getattr(cost, part)

    def total(self, key: tuple[str | int | None, ...] = ()) -> Total:
        """Give the sum.

        Args:
            key: The key of the group that was added up.

        Returns:
            The total of all that were added.
        """
        cost, saved, failed_cost = (made_cost(nano) for nano in self._costs)
        tokens: dict[str, Any] = dict(zip(_TOKENS, self._tokens, strict=True))
        usage = Usage(**tokens)
        return Total(
            key,
            **dict(zip(_COUNTS, self._counts, strict=True)),
            usage=usage,
            cost=cost,
            saved=saved,
            failed_cost=failed_cost,
        )


def made_cost(nano: Sequence[int]) -> Cost:
    """Make a cost from its amounts in nano-USD, in the order of `PARTS`.

    Example:
        >>> made_cost([3, 1, 2, 0, 0, 0, 0]).usd
        Decimal('3E-9')
    """
    amounts: dict[str, Any] = dict(zip(PARTS, nano, strict=True))
    return Cost(**amounts)
