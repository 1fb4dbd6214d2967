"""What the money achieved: cost per outcome, per success, and in work that failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import ClassVar, NamedTuple

from langchain_agentcost.attribution import label
from langchain_agentcost.finops import table
from langchain_agentcost.finops.amounts import Amount, cost_of, written_count
from langchain_agentcost.finops.base import Note, Report
from langchain_agentcost.finops.notes import standing_notes
from langchain_agentcost.finops.pieces import ABANDONED
from langchain_agentcost.finops.requests import Requests
from langchain_agentcost.finops.selection import Key, Selection, dimensions
from langchain_agentcost.finops.sums import Sum
from langchain_agentcost.finops.table import Column
from langchain_agentcost.finops.values import sensible, summed
from langchain_agentcost.ledger.base import Ledger, Total, Where
from langchain_agentcost.ledger.entry import Entry


@dataclass(frozen=True, slots=True)
class Outcome(Total):
    """What the requests with outcomes of one name cost; its `Total` is about the requests that have one.

    A request is a workflow run, or a session where the outcome was recorded for the whole session.

    Args:
        requests: Requests that have this outcome.
        succeeded: Those of them that succeeded.
        failed: Those that did not; the rest did not say.
        failed_spend: What the requests that failed cost.
        without: Requests that have no such outcome.
        without_spend: What those cost.
        value: The sum of the stated values; None where none was stated, or one is beyond all sense.
    """

    requests: int = 0
    succeeded: int = 0
    failed: int = 0
    failed_spend: Total = field(default_factory=Total)
    without: int = 0
    without_spend: Total = field(default_factory=Total)
    value: Decimal | None = None

    @property
    def per_outcome(self) -> Amount | None:
        """The cost of the requests with this outcome, over their number."""
        return _over(self, self.requests)

    @property
    def per_success(self) -> Amount | None:
        """The cost of the requests with this outcome, failed ones included, over the number that succeeded."""
        return _over(self, self.succeeded)


def _over(spent: Total, count: int) -> Amount | None:
    """Divide a cost, half to even to the nano-USD; None for a count of 0."""
    if not count:
        return None
    cost = cost_of(spent)
    return cost if cost.nano is None else Amount(round(Fraction(cost.nano, count)), cost.known)


def _own(name: str, heading: str, kind: table.Kind, value: Callable[[Outcome], table.Value], drop: int = 0) -> Column:
    """Make a column that the total leaves empty: a request can have several outcomes, so these do not add up."""
    return Column(name, heading, kind, lambda row, whole: None if row is whole else value(row), drop=drop)


@dataclass(frozen=True, slots=True, repr=False)
class Outcomes(Report):
    """A report by outcome. Its rows are `Outcome`s; a request with two outcomes is in two of them."""

    MEASURES: ClassVar[tuple[Column, ...]] = (
        _own("requests", "requests", "count", lambda row: row.requests),
        _own("succeeded", "ok", "count", lambda row: row.succeeded),
        _own("failed", "failed", "count", lambda row: row.failed, drop=1),
        table.COST,
        replace(table.SHARE, drop=3),
        _own("per_outcome_usd", "per outcome", "money", lambda row: row.per_outcome, drop=5),
        _own("per_success_usd", "per success", "money", lambda row: row.per_success),
        _own("failed_spend_usd", "in failed", "money", lambda row: cost_of(row.failed_spend)),
        _own("without_outcome", "no outcome", "count", lambda row: row.without, drop=2),
        _own("without_outcome_usd", "their cost", "money", lambda row: cost_of(row.without_spend), drop=4),
        _own("value", "value", "number", lambda row: row.value, drop=6),
        *table.DETAILS,
    )


def outcomes(
    ledger: Ledger,
    name: str | None = None,
    *,
    by: str | Sequence[str] = (),
    where: Where | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Outcomes:
    """Say what the recorded outcomes cost.

    The latest record of a run or session under a name counts. An outcome of a session is about all its runs that have
    none of their own under that name. Runs that have neither are shown as such, with what they cost.

    Args:
        ledger: The ledger.
        name: Only outcomes of this name; None takes all but "abandoned".
        by: Dimensions to group by beside the outcome. A request counts in every group that it spent something in.
        where: Which spending counts: conditions that must all hold.
        since: Only spending that started at or after this instant. Outcomes count whenever they were recorded.
        until: Only spending that started before it.

    Returns:
        The report, by outcome and then the dearest group first.

    Raises:
        QueryError: If a column does not exist or an instant has no time zone.

    Example:
        >>> from datetime import UTC, datetime
        >>> from langchain_agentcost.attribution import Attribution
        >>> from langchain_agentcost.ledger import open_ledger
        >>> from langchain_agentcost.pricing.cost import Cost
        >>> ledger, now, run = open_ledger("memory://"), datetime.now(UTC), Attribution(run="r1")
        >>> ledger.append(Entry("1", "llm", now, run, cost=Cost(8, output_nano=8)))
        >>> ledger.append(Entry("2", "outcome", now, run, name="resolved", success=True))
        >>> outcomes(ledger).rows[0].per_success.exact
        Decimal('8E-9')
    """
    selection = Selection(ledger, where, since, until)
    records = records_of(selection.ledger, name)
    names = dimensions(by)
    spent = selection.totals(("run", "session", *names))
    rows = []
    for outcome, of_units in records.items():
        found: dict[Key, _Group] = {}
        for group in spent:
            found.setdefault(group.key[2:], _Group()).add(group, of_units)
        rows += sorted((part.outcome((outcome, *key)) for key, part in found.items()), key=_dearest)
    whole = selection.total()
    return Outcomes(
        title=f"Cost per outcome by {', '.join(map(label, names))}" if names else "Cost per outcome",
        by=("outcome", *names),
        rows=tuple(rows),
        total=Outcome(**{f.name: getattr(whole, f.name) for f in fields(Total)}),
        notes=(*_notes(records, spent), *standing_notes(selection, whole, _requests(spent))),
    )


class Unit(NamedTuple):
    """A run or a session: what an outcome is about."""

    kind: str
    id: object


class _Group:
    """The requests of one group, for one name of an outcome."""

    def __init__(self) -> None:
        self._records: dict[Unit, Entry] = {}
        self._without: set[Unit] = set()
        self._spent, self._failed, self._unreported = Sum(), Sum(), Sum()

    def add(self, spent: Total, records: Mapping[Unit, Entry]) -> None:
        """Take what a run spent in this group."""
        units = units_of(*spent.key[:2])
        unit = next((unit for unit in units if unit in records), None)
        if unit is None:
            self._unreported.add(spent)
            self._without.update(units[:1])
            return
        self._records[unit] = records[unit]
        self._spent.add(spent)
        if records[unit].success is False:
            self._failed.add(spent)

    def outcome(self, key: Key) -> Outcome:
        spent = self._spent.total(key)
        return Outcome(
            **{f.name: getattr(spent, f.name) for f in fields(Total)},
            requests=len(self._records),
            succeeded=sum(record.success is True for record in self._records.values()),
            failed=sum(record.success is False for record in self._records.values()),
            failed_spend=self._failed.total(),
            without=len(self._without),
            without_spend=self._unreported.total(),
            value=summed(record.value for record in self._records.values() if record.value is not None),
        )


def units_of(run: object, session: object) -> list[Unit]:
    """What an outcome of this run may have been recorded for, the run itself first."""
    return [Unit(kind, id_) for kind, id_ in (("run", run), ("session", session)) if id_ is not None]


def records_of(ledger: Ledger, name: str | None) -> dict[str | None, dict[Unit, Entry]]:
    """Give the latest record of each run or session, by the name of the outcome."""
    found: dict[str | None, dict[Unit, Entry]] = {}
    for entry in ledger.entries({"kind": "outcome"} if name is None else {"kind": "outcome", "name": name}):
        units = units_of(entry.attribution.run, entry.attribution.session)
        if units and (name is not None or entry.name != ABANDONED):
            found.setdefault(entry.name, {})[units[0]] = entry
    return found


def _requests(spent: Iterable[Total]) -> Requests:
    calls: Counter[object] = Counter()
    for group in spent:
        if group.key[0] is not None:
            calls[group.key[0]] += group.llm_calls
    return Requests.of([count for count in calls.values() if count])


def _notes(records: Mapping[str | None, Mapping[Unit, Entry]], spent: Iterable[Total]) -> tuple[Note, ...]:
    if not records:
        return (Note("Outcomes", "none recorded: record_outcome(...) says what a run achieved", warning=True),)
    seen = {unit for group in spent for unit in units_of(*group.key[:2])}
    unseen = sum(unit not in seen for units in records.values() for unit in units)
    cover = "per success is the cost of all requests with the outcome, failed ones included, over those that succeeded"
    outside = f"; {written_count(unseen)} outcomes are about runs that spent nothing here" if unseen else ""
    return (Note("Outcomes", cover + outside), *_odd_values(records))


def _odd_values(records: Mapping[str | None, Mapping[Unit, Entry]]) -> Iterator[Note]:
    values = [record.value for units in records.values() for record in units.values() if record.value is not None]
    odd = sum(not sensible(value) for value in values)
    if odd:
        text = (
            f"{written_count(odd)} of {written_count(len(values))} are beyond all sense; sums with them are not known"
        )
        yield Note("Values", text, warning=True)


def _dearest(row: Outcome) -> tuple[int, tuple[str, ...]]:
    return -row.cost.total_nano, tuple(map(str, row.key))
