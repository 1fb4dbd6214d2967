"""Why it cost that much: the bill by what drove it, cut so that the parts sum to the total."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from operator import add, itemgetter
from typing import Any, ClassVar

from langchain_agentcost.attribution import label
from langchain_agentcost.finops import table
from langchain_agentcost.finops.amounts import written_count
from langchain_agentcost.finops.base import Note, Report
from langchain_agentcost.finops.notes import standing_notes
from langchain_agentcost.finops.part import Part
from langchain_agentcost.finops.pieces import ABANDONED, CORRECTIONS, DRIVERS, TOKENS, Marks, Piece, nano_of, pieces
from langchain_agentcost.finops.requests import Requests
from langchain_agentcost.finops.selection import Key, Selection, dimensions
from langchain_agentcost.finops.single_turn import Multiple, Runs
from langchain_agentcost.finops.sums import made_cost
from langchain_agentcost.finops.table import Column
from langchain_agentcost.ledger.base import Ledger, Total, Where
from langchain_agentcost.ledger.entry import CALL_KINDS, PAID_KINDS, Entry
from langchain_agentcost.ledger.fold import unpriced
from langchain_agentcost.ledger.query import ask, column_of
from langchain_agentcost.money import from_nano, to_nano
from langchain_agentcost.pricing.cost import PARTS, Cost
from langchain_agentcost.usage import Usage


@dataclass(frozen=True, slots=True, repr=False)
class Drivers(Report):
    """A report by cost driver. The rows are disjoint and sum to the total: costs to the nano-USD, tokens, and calls.

    The rows are `Part`s. A call that is cut into pieces touches several of them; in `calls` it is counted once, in the
    row that most of its cost went to (most of its input, where the cost is not known).

    Args:
        requests: Model calls per workflow run.
        multiple: What a run cost as a multiple of a single model call.
    """

    requests: Requests = field(default_factory=Requests)
    multiple: Multiple = field(default_factory=Multiple)

    MEASURES: ClassVar[tuple[Column, ...]] = (
        Column("calls_touched", "in calls", "count", lambda row, whole: None if row is whole else row.touched),
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
        replace(table.CALLS, people=False),
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
            Note("Calls", f"{written_count(total.calls)} in all; one is in every row that it has a part in"),
            *standing_notes(selection, total, requests),
        ),
        requests=requests,
        multiple=multiple,
    )


class _Slice:
    """The sum of one driver's pieces, and of the calls that are counted with it."""

    __slots__ = ("_amounts", "_kinds", "_touched", "_unpriced", "_unpriced_parts")

    def __init__(self) -> None:
        self._amounts = [0] * len(PARTS + TOKENS)
        self._kinds: Counter[str] = Counter()
        self._touched = self._unpriced = self._unpriced_parts = 0

    def add(self, piece: Piece, *, unpriced: bool = False) -> None:
        self._touched += 1
        self._unpriced_parts += unpriced
        self._amounts = [*map(add, self._amounts, piece.nano + piece.tokens)]

    def count(self, kind: str, unpriced: int) -> None:
        self._kinds[kind] += 1
        self._unpriced += unpriced

    def total(self, key: Key) -> Part:
        tokens: dict[str, Any] = dict(zip(TOKENS, self._amounts[len(PARTS) :], strict=True))
        return Part(
            key,
            calls=sum(self._kinds[kind] for kind in CALL_KINDS),
            llm_calls=self._kinds["llm"],
            cache_hits=self._kinds["cache_hit"],
            usage=Usage(**tokens),
            cost=made_cost(self._amounts[: len(PARTS)]),
            unpriced_calls=self._unpriced,
            touched=self._touched,
            unpriced_parts=self._unpriced_parts,
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
        cost, without = corrections.applied(entry)
        cut = pieces(entry, cost, marks)
        runs.add(entry, cost, cut, unpriced=without > 0)
        key = _key(entry, names)
        for piece in cut:
            slices[*key, piece.driver].add(piece, unpriced=without > 0)
        if cut:
            most = cut[0] if len(cut) == 1 else max(cut, key=_AMOUNTS)
            slices[*key, most.driver].count(entry.kind, without)
    for key, cost, without in corrections.open():
        part = slices[*key, CORRECTIONS]
        part.add(Piece(CORRECTIONS, nano_of(cost)))
        part.count("correction", without)
    return slices


_AMOUNTS = itemgetter(1, 2)
"""A piece's money, its total first, then its tokens: what says which one is the largest."""


def _key(entry: Entry, names: tuple[str, ...]) -> Key:
    return tuple([column_of(entry, name) for name in names])


class _Corrections:
    """The re-pricings of a selection, each to be counted with the call that it corrects."""

    def __init__(self, selection: Selection, names: tuple[str, ...]) -> None:
        self._open: dict[str, tuple[Key, Cost, int]] = {}
        narrowed = selection.of_kind("correction")
        for entry in narrowed.entries() if narrowed else ():
            call = entry.parent_id or entry.id
            key, cost, without = self._open.get(call, (_key(entry, names), Cost(), 0))
            self._open[call] = (key, cost + (entry.cost or Cost()), without + unpriced(entry))

    def applied(self, entry: Entry) -> tuple[Cost | None, int]:
        """Give a call's cost with its corrections, and what the call adds to the unpriced ones."""
        without = int(entry.cost is None and entry.kind in PAID_KINDS)
        found = self._open.pop(entry.id, None) if entry.kind in CALL_KINDS else None
        if found is None:
            return entry.cost, without
        return found[1] if entry.cost is None else entry.cost + found[1], without + found[2]

    def open(self) -> Iterator[tuple[Key, Cost, int]]:
        """Give key, cost and unpriced calls of the corrections that correct no call of the selection."""
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
