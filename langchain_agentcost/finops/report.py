"""Who spent what: a ledger's entries added up by any of their dimensions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from langchain_agentcost.attribution import label
from langchain_agentcost.errors import QueryError
from langchain_agentcost.finops.base import Report
from langchain_agentcost.finops.caches import cache_savings
from langchain_agentcost.finops.drivers import drivers
from langchain_agentcost.finops.exchange import exchange
from langchain_agentcost.finops.notes import standing_notes
from langchain_agentcost.finops.outcomes import outcomes
from langchain_agentcost.finops.requests import requests_of
from langchain_agentcost.finops.selection import Selection, dimensions
from langchain_agentcost.ledger.base import Ledger, Where
from langchain_agentcost.pricing import Currency

_QUESTIONS: dict[str, Callable[..., Report]] = {"driver": drivers, "outcome": outcomes, "cache": cache_savings}
"""What is not a dimension of an entry but a report of its own; the other names in `by` group it."""


def report(
    ledger: Ledger,
    *,
    by: str | Sequence[str] = ("node",),
    where: Where | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    currency: Currency | None = None,
) -> Report:
    """Add a ledger up.

    Args:
        ledger: The ledger.
        by: What to group by: any dimension of `Attribution`, `kind`, `status`, `day`, `hour`, `tag:NAME`, or several,
            as a sequence or with commas between them. `driver` gives a `Drivers` report (why it cost that much),
            `outcome` an `Outcomes` report (what it achieved) and `cache` a `CacheSavings` report (what caches saved),
            each by the other names. Nothing gives the total.
        where: Conditions that must all hold, such as `{"tenant": "acme", "agent": ["triage", "draft"]}`.
        since: Only entries that started at or after this instant; it must have a time zone.
        until: Only entries that started before it.
        currency: Show the cost in this currency too, each day's at that day's rate. Not for drivers, outcomes and
            caches.

    Returns:
        The report, the dearest group first.

    Raises:
        QueryError: If a column does not exist, an instant has no time zone, or the question cannot be asked so.
        PriceNotFound: If something was spent before the currency's earliest rate.

    Example:
        >>> from langchain_agentcost.ledger import open_ledger
        >>> print(report(open_ledger("memory://"), by="agent").total.calls)
        0
    """
    names = dimensions(by)
    questions = [name for name in names if name in _QUESTIONS]
    if len(questions) > 1:
        raise QueryError(f"A report can be by {' or by '.join(questions)}, not by both.")
    if questions and currency:
        raise QueryError(f"A report by {questions[0]} is in USD; leave the currency out.")
    if questions:
        rest = tuple(name for name in names if name not in questions)
        return _QUESTIONS[questions[0]](ledger, by=rest, where=where, since=since, until=until)
    selection = Selection(ledger, where, since, until)
    total = selection.total()
    return Report(
        title=f"Cost by {', '.join(label(name) for name in names)}" if names else "Cost",
        by=names,
        rows=selection.totals(names) if names else (),
        total=total,
        notes=standing_notes(selection, total, requests_of(selection, total)),
        exchange=exchange(selection, names, currency) if currency else None,
    )
