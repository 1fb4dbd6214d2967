"""A bill in the currency that it is paid in: each day's spending at that day's rate."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal

from langchain_agentcost.finops.amounts import Amount, cost_of
from langchain_agentcost.finops.selection import Key, Selection
from langchain_agentcost.finops.table import Column, Value
from langchain_agentcost.ledger.base import Total
from langchain_agentcost.money import to_nano
from langchain_agentcost.pricing import Currency


@dataclass(frozen=True, slots=True)
class Exchange:
    """The costs of a report's groups in another currency.

    Args:
        code: The currency, such as "EUR".
        costs: The known cost of each group by its key, not rounded.
    """

    code: str
    costs: Mapping[Key, Decimal] = field(default_factory=dict)

    def column(self) -> Column:
        """Make the column that shows them; what is not known in USD is not known here either."""

        def cost(row: Total, whole: Total) -> Value:
            known = cost_of(row).known
            if known in ("unknown", "no price"):
                return Amount(None, known)
            amounts = self.costs.values() if row is whole else (self.costs.get(row.key, Decimal()),)
            return Amount(to_nano(sum(amounts, Decimal())), known, sign="")

        return Column(f"cost_{self.code.lower()}", f"cost {self.code}", "money", cost)


def exchange(selection: Selection, names: Sequence[str], currency: Currency) -> Exchange:
    """Convert what each group spent, day by day.

    Args:
        selection: What was spent.
        names: The dimensions of the groups.
        currency: The currency, with its dated rates.

    Returns:
        The converted costs.

    Raises:
        PriceNotFound: If something was spent before the earliest rate.
    """
    costs: defaultdict[Key, Decimal] = defaultdict(Decimal)
    for total in selection.totals((*names, "day")):
        day = datetime.fromisoformat(str(total.key[-1])).replace(tzinfo=UTC)
        if total.cost.total_nano:
            costs[total.key[:-1]] += currency.convert(total.cost.usd, at=day)
    return Exchange(currency.code, dict(costs))
