"""The part of a ledger that a question is about."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from langchain_agentcost.errors import QueryError
from langchain_agentcost.ledger.base import Ledger, Total, Where
from langchain_agentcost.ledger.entry import KINDS, STATUSES, Entry
from langchain_agentcost.pricing.cost import Cost

_NOTHING = Cost()

_LISTS: dict[str, tuple[str, ...]] = {"kind": KINDS, "status": STATUSES}

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

    Raises:
        QueryError: If a condition names a kind or status that there is not.
    """

    ledger: Ledger
    where: Where | None = None
    since: datetime | None = None
    until: datetime | None = None

    def __post_init__(self) -> None:
        for column, wanted in (self.where or {}).items():
            for value in _listed(wanted):
                check_value(column, value)

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
        return self.narrowed("kind", kind)

    def narrowed(self, column: str, value: str) -> Selection | None:
        """Narrow the selection to one value of a column; None where its conditions exclude it."""
        wanted = _listed((self.where or {}).get(column, value))
        return replace(self, where={**(self.where or {}), column: value}) if value in wanted else None


def check_value(column: str, value: str | int | None) -> None:
    """Refuse a value that no entry can have, which would give an empty report.

    Raises:
        QueryError: If the column has a list of values and this is none of them; every entry states one.

    Example:
        >>> check_value("status", "ok"), check_value("user", "anybody")
        (None, None)
    """
    if value not in _LISTS.get(column, (value,)):
        raise QueryError(f"{column} is one of {', '.join(_LISTS[column])}; got {str(value or '')[:60]!r}.")


def _listed(wanted: str | int | Sequence[str | int | None] | None) -> Sequence[str | int | None]:
    return (wanted,) if isinstance(wanted, str | int) or wanted is None else wanted


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
