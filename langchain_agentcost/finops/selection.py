"""The part of a ledger that a question is about."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from langchain_agentcost.ledger.base import Ledger, Total, Where
from langchain_agentcost.ledger.entry import Entry
from langchain_agentcost.pricing.cost import Cost

_NOTHING = Cost()

Key = tuple[str | int | None, ...]
"""The values of the dimensions that a group is of."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Some entries of a ledger.

    Args:
        ledger: The ledger.
        where: Conditions that must all hold.
        since: Only entries that started at or after this instant.
        until: Only entries that started before it.
    """

    ledger: Ledger
    where: Where | None = None
    since: datetime | None = None
    until: datetime | None = None

    def totals(self, by: Sequence[str] = ()) -> tuple[Total, ...]:
        """Add the entries up by group, the dearest first; a group of recorded outcomes alone is none."""
        totals = self.ledger.totals(tuple(by), self.where, self.since, self.until)
        return tuple(total for total in totals if _says_something(total))

    def total(self) -> Total:
        """Add all entries up."""
        return next(iter(self.ledger.totals((), self.where, self.since, self.until)), Total())

    def entries(self) -> Iterator[Entry]:
        """Go through the entries in the order of `at`."""
        return self.ledger.entries(self.where, self.since, self.until)

    def of_kind(self, kind: str) -> Selection | None:
        """Narrow the selection to one kind; None where its conditions exclude it."""
        asked = (self.where or {}).get("kind", kind)
        kinds = (asked,) if isinstance(asked, str | int) or asked is None else asked
        return replace(self, where={**(self.where or {}), "kind": kind}) if kind in kinds else None


def _says_something(total: Total) -> bool:
    counted = total.calls or total.unpriced_calls or total.unpriced_savings
    return bool(counted) or total.cost != _NOTHING or total.saved != _NOTHING


def dimensions(by: str | Sequence[str]) -> tuple[str, ...]:
    """Read what to group by: names, or one text with commas between them.

    Example:
        >>> dimensions("agent, model"), dimensions(["agent", "agent"]), dimensions("")
        (('agent', 'model'), ('agent',), ())
    """
    names = [name.strip() for name in by.split(",")] if isinstance(by, str) else by
    return tuple(dict.fromkeys(name for name in names if name))
