"""Why it cost that much: the bill by what drove it, cut so that the parts sum to the total."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from operator import add
from typing import Any, ClassVar

from langchain_agentcost.attribution import label
from langchain_agentcost.finops import table
from langchain_agentcost.finops.base import Note, Report
from langchain_agentcost.finops.notes import standing_notes
from langchain_agentcost.finops.pieces import ABANDONED, CORRECTIONS, DRIVERS, TOKENS, Marks, Piece, nano_of, pieces
from langchain_agentcost.finops.requests import Requests
from langchain_agentcost.finops.selection import Key, Selection, dimensions
from langchain_agentcost.finops.single_turn import Multiple, Runs
from langchain_agentcost.finops.sums import made_cost
from langchain_agentcost.finops.table import Column
from langchain_agentcost.ledger.base import Ledger, Total, Where
from langchain_agentcost.ledger.entry import PAID_KINDS, Entry
from langchain_agentcost.ledger.query import ask, column_of
from langchain_agentcost.money import from_nano, to_nano
from langchain_agentcost.pricing.cost import PARTS, Cost
from langchain_agentcost.usage import Usage


@dataclass(frozen=True, slots=True, repr=False)
class Drivers(Report):
    """A report by cost driver. The rows are disjoint and their costs sum to the total, to the nano-USD.

    Args:
        requests: Model calls per workflow run.
        multiple: What a run cost as a multiple of a single model call.
    """

    requests: Requests = field(default_factory=Requests)
    multiple: Multiple = field(default_factory=Multiple)

    MEASURES: ClassVar[tuple[Column, ...]] = (
        table.CALLS,
        table.INPUT,
        table.CACHED,
        table.OUTPUT,
        table.COST,
        table.SHARE,
        Column(
            "meaning",
            "what it is",
            "label",
            lambda row, _: DRIVERS.get(str(row.key[-1]), "") if row.key else "",
            drop=9,
        ),
        *(column for column in table.DETAILS if column.name in ("cost_known", "unpriced_calls")),
        *(column for column in table.DETAILS if column.name.startswith("cost_") and column.kind == "money"),
    )

    @property
    def parts(self) -> Mapping[str, Decimal]:
        """The known cost of each driver in USD, over all groups."""
        sums: dict[str, int] = {}
        for row in self.rows:
            sums[str(row.key[-1])] = sums.get(str(row.key[-1]), 0) + row.cost.total_nano
        return {driver: from_nano(nano) for driver, nano in sums.items()}


def drivers(
    ledger: Ledger,
    *,
    by: str | Sequence[str] = (),
    where: Where | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    baseline: Decimal | None = None,
) -> Drivers:
    """Split the bill by what drove it.

    `pieces` says which driver a call goes to and `prompt_bill.divide` how its input is divided. A re-pricing counts
    with the call that it corrects. The entries are read once, after the marks and corrections; what is kept in memory
    is a few numbers a workflow run and the open corrections.

    Args:
        ledger: The ledger.
        by: Dimensions to group by before the driver.
        where: Conditions that must all hold. Branches are abandoned by their marks wherever those are booked.
        since: Only entries that started at or after this instant.
        until: Only entries that started before it.
        baseline: What one model call that answers a request would cost, in USD. None takes it from each run: the new
            input of its first model call and the output of its last one, as billed (both of the agent's own work).

    Returns:
        The report, the dearest group and driver first.

    Raises:
        QueryError: If a column does not exist or an instant has no time zone.

    Example:
        >>> from datetime import UTC, datetime
        >>> from langchain_agentcost.ledger import Entry, open_ledger
        >>> ledger = open_ledger("memory://")
        >>> ledger.append(
        ...     Entry("1", "llm", datetime.now(UTC), cost=Cost(5, output_nano=5), usage=Usage(output_tokens=1))
        ... )
        >>> drivers(ledger).parts
        {'output': Decimal('5E-9')}
    """
    selection = Selection(ledger, where, since, until)
    names = ask(dimensions(by)).by
    runs = Runs(None if baseline is None else to_nano(baseline))
    slices = _slices(selection, names, runs)
    rows = _sorted([part.total(key) for key, part in slices.items()])
    total = replace(selection.total(), cost=sum((row.cost for row in rows), Cost()))
    requests, multiple = runs.requests(), runs.multiple()
    return Drivers(
        title=f"Cost drivers by {', '.join(map(label, names))}" if names else "Cost drivers",
        by=(*names, "driver"),
        rows=tuple(rows),
        total=total,
        notes=(
            Note("Multiple", str(multiple)),
            Note("Input split", _MODEL),
            *standing_notes(selection, total, requests),
        ),
        requests=requests,
        multiple=multiple,
    )


class _Slice:
    """The sum of one driver's pieces."""

    __slots__ = ("calls", "nano", "tokens", "unpriced")

    def __init__(self) -> None:
        self.calls = self.unpriced = 0
        self.nano, self.tokens = [0] * len(PARTS), [0] * len(TOKENS)

    def add(self, piece: Piece, *, calls: int = 1, unpriced: bool = False) -> None:
        self.calls += calls
        self.unpriced += unpriced
        self.nano[:] = map(add, self.nano, piece.nano)
        self.tokens[:] = map(add, self.tokens, piece.tokens)

    def total(self, key: Key) -> Total:
        tokens: dict[str, Any] = dict(zip(TOKENS, self.tokens, strict=True))
        return Total(
            key, calls=self.calls, usage=Usage(**tokens), cost=made_cost(self.nano), unpriced_calls=self.unpriced
        )


def _slices(selection: Selection, names: tuple[str, ...], runs: Runs) -> dict[Key, _Slice]:
    """Read the selection once and sum its pieces up by key and driver."""
    # A branch can be given up after `until`, and the mark need not be booked to the tenant that is asked about.
    marks = Marks(selection.ledger.entries({"kind": "outcome", "name": ABANDONED}))
    corrections = _Corrections(selection, names)
    slices: defaultdict[Key, _Slice] = defaultdict(_Slice)
    for entry in selection.entries():
        if entry.kind == "correction":
            continue
        cost = corrections.applied(entry)
        cut = pieces(entry, cost, marks)
        runs.add(entry, cost, cut)
        unpriced = cost is None and entry.kind in PAID_KINDS
        key = _key(entry, names)
        for piece in cut:
            slices[*key, piece.driver].add(piece, unpriced=unpriced)
    for key, cost in corrections.open():
        slices[*key, CORRECTIONS].add(Piece(CORRECTIONS, nano_of(cost)), calls=0)
    return slices


def _key(entry: Entry, names: tuple[str, ...]) -> Key:
    return tuple([column_of(entry, name) for name in names])


class _Corrections:
    """The re-pricings of a selection, each to be counted with the call that it corrects."""

    def __init__(self, selection: Selection, names: tuple[str, ...]) -> None:
        self._open: dict[str, tuple[Key, Cost]] = {}
        narrowed = selection.of_kind("correction")
        for entry in narrowed.entries() if narrowed else ():
            if entry.cost is not None:
                call = entry.parent_id or entry.id
                key, cost = self._open.get(call, (_key(entry, names), Cost()))
                self._open[call] = (key, cost + entry.cost)

    def applied(self, entry: Entry) -> Cost | None:
        """Give a call's cost with its corrections; None where it is still not known."""
        found = self._open.pop(entry.id, None)
        if found is None:
            return entry.cost
        return found[1] if entry.cost is None else entry.cost + found[1]

    def open(self) -> Iterator[tuple[Key, Cost]]:
        """Give the key and cost of the corrections whose calls the selection does not contain."""
        yield from self._open.values()


def _sorted(rows: Sequence[Total]) -> list[Total]:
    """Put the dearest group first, and within it the dearest driver."""
    groups: dict[Key, int] = {}
    for row in rows:
        groups[row.key[:-1]] = groups.get(row.key[:-1], 0) + row.cost.total_nano
    order = list(DRIVERS)
    return sorted(
        rows,
        key=lambda row: (
            -groups[row.key[:-1]],
            tuple(str(part) for part in row.key[:-1]),
            -row.cost.total_nano,
            order.index(str(row.key[-1])),
        ),
    )


_MODEL = (
    "a prompt is read as tool schemas, re-sent context, then new context and tool results; the prompt cache serves it "
    "from the front; parts are cut by tokens"
)
