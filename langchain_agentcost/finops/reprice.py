"""Pricing a ledger again: late prices, corrected prices, or what it would have cost at another date's prices."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import groupby
from operator import attrgetter
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from langchain_agentcost.ledger.base import Ledger
from langchain_agentcost.ledger.entry import PAID_KINDS, PRICED, Entry
from langchain_agentcost.pricing import Cost, PriceBook
from langchain_agentcost.pricing.cost import PARTS
from langchain_agentcost.recent import Recent

REPRICED = "repriced"
"""The name of a correction that changes a price."""

LOOK_BACK = timedelta(days=7)
"""How long before `since` the calls are read that tell in which runs a fee per task is paid already."""

MAX_RUNS = 100_000
"""How many runs are remembered for that, the latest ones."""

_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class RepriceResult:
    """What a re-pricing did.

    Args:
        calls: The model and embedding calls that it looked at.
        corrected: How many of them got a correction.
        newly_priced: How many of those had no price before.
        unpriced: Calls that have no price still.
        kept: Calls whose model the new prices do not know: what was booked stands.
        before: What the calls cost before.
        after: What they cost now.
        version: The price book's version.
    """

    calls: int = 0
    corrected: int = 0
    newly_priced: int = 0
    unpriced: int = 0
    kept: int = 0
    before: Cost = field(default_factory=Cost)
    after: Cost = field(default_factory=Cost)
    version: str = ""

    @property
    def difference(self) -> Cost:
        """What the bill grew by; negative where it shrank."""
        return self.after + -self.before


def reprice(
    ledger: Ledger,
    prices: PriceBook,
    *,
    as_of: datetime | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    dry_run: bool = False,
) -> RepriceResult:
    """Price the model and embedding calls of a ledger again, and append what that changes as corrections.

    Nothing is edited: a correction is an entry whose cost is the new price less what stands (the original cost and
    every earlier correction). Its id is made of the call's id and the number of corrections before it. So running
    twice changes nothing the second time, an interrupted run can be started again, and of two runs at the same time
    only one corrects a call. The entries are streamed.

    A fee per task goes with the earliest call of each workflow run, by the time at which it started, that was billed:
    a model call with usage and a price. A call that names no run has none. For `since`, a run's calls in the week
    before it are looked at; one that was at rest for longer pays its fee again.

    Args:
        ledger: The ledger.
        prices: The prices that shall hold.
        as_of: Price every call as if it were made at this instant; None prices each at its own.
        since: Only calls that started at or after this instant.
        until: Only calls that started before it.
        dry_run: Work the result out, and append nothing.

    Returns:
        How many calls changed, and by how much.

    Raises:
        StoreUnavailable: If the ledger cannot be read or written.
        QueryError: If an instant has no time zone.

    Example:
        >>> from datetime import UTC
        >>> from langchain_agentcost.attribution import Attribution
        >>> from langchain_agentcost.ledger import open_ledger
        >>> from langchain_agentcost.usage import Usage
        >>> ledger = open_ledger("memory://")
        >>> call = Entry("r1", "llm", datetime.now(UTC), Attribution(model="our-model"), usage=Usage(input_tokens=1000))
        >>> ledger.append(call)
        >>> reprice(ledger, PriceBook({"models": [{"model": "our-model", "input": 2}]})).difference.usd
        Decimal('0.002000000')
    """
    tally, tasks = _Tally(), _Tasks()
    waiting: list[Entry] = []
    for call, corrections in _calls(ledger, _first_needed(since, prices), until):
        standing = _standing(call, corrections)
        cost = _priced_again(call, prices, as_of, tasks=tasks.begun_by(call))
        if call.kind == "llm" and call.usage is not None and (standing is not None or cost is not None):
            tasks.paid(call)
        if since is not None and call.at < since:
            continue
        correction = _correction(call, len(corrections), standing, cost) if cost else None
        tally.add(standing, cost, correction)
        if correction and not dry_run:
            waiting.append(correction)
        if len(waiting) >= _AT_ONCE:
            _flush(ledger, waiting)
    _flush(ledger, waiting)
    return tally.result(prices.version)


def _calls(ledger: Ledger, since: datetime | None, until: datetime | None) -> Iterator[tuple[Entry, list[Entry]]]:
    """Each paid call with its corrections. They have its instant, so that one instant at a time is held."""
    entries = ledger.entries({"kind": (*PAID_KINDS, "correction")}, since, until)
    for _, group in groupby(entries, key=attrgetter("at")):
        moment = list(group)
        corrections: dict[str | None, list[Entry]] = {}
        for entry in moment:
            if entry.kind == "correction":
                corrections.setdefault(entry.parent_id, []).append(entry)
        for entry in moment:
            if entry.kind in PAID_KINDS:
                yield entry, corrections.get(entry.id, [])


def _first_needed(since: datetime | None, prices: PriceBook) -> datetime | None:
    """From when on the entries are read: where a task has a fee, what was before the window matters too."""
    if since is None or since.tzinfo is None or not any(line.task for line in prices.overrides.models):
        return since
    return max(since, _EARLIEST + LOOK_BACK) - LOOK_BACK


def _standing(call: Entry, corrections: list[Entry]) -> Cost | None:
    costs = [entry.cost for entry in (call, *corrections) if entry.cost is not None]
    return sum(costs[1:], costs[0]) if costs else None


def _priced_again(call: Entry, prices: PriceBook, as_of: datetime | None, *, tasks: int) -> Cost | None:
    """The new price, at the tier that the call was billed at; the answer does not always say which one that is."""
    who, usage = call.attribution, call.usage
    if usage is None or not who.model:
        return None
    if usage.service_tier is None and call.cost is not None and call.cost.service_tier:
        usage = replace(usage, service_tier=call.cost.service_tier)
    return prices.cost(usage, who.model, provider=who.provider, at=as_of or call.at, tasks=tasks, asked=call.name)


def _correction(call: Entry, number: int, standing: Cost | None, cost: Cost) -> Entry | None:
    """The entry that turns what stands into the new price; None where they are the same money."""
    if standing is not None and _parts(standing) == _parts(cost):
        return None
    change = cost if standing is None else cost + -standing
    return Entry(
        str(uuid5(NAMESPACE_OID, f"correction:{call.id}:{number}")),
        "correction",
        call.at,
        call.attribution,
        cost=replace(change, price=cost.price, service_tier=cost.service_tier, flags=cost.flags),
        status=call.status,
        parent_id=call.id,
        name=PRICED if standing is None else REPRICED,
        decision=call.decision,
    )


class _Tasks:
    """Which workflow runs have had a billed call. The oldest are forgotten."""

    def __init__(self) -> None:
        self._paid: Recent[str, str] = Recent(most=MAX_RUNS)

    def begun_by(self, call: Entry) -> int:
        """Give 1 for a call that is the first one of its run, where it is billed, and 0 for every other."""
        run = call.attribution.run
        return int(call.kind == "llm" and run is not None and self._paid.get(run) is None)

    def paid(self, call: Entry) -> None:
        """Remember that a run has had a billed call."""
        run = call.attribution.run
        if run is not None:
            self._paid.pop(run)
            self._paid.put(run, run)


@dataclass(slots=True)
class _Tally:
    """The result while it is being counted."""

    counts: list[int] = field(default_factory=lambda: [0] * 5)
    before: list[int] = field(default_factory=lambda: [0] * len(PARTS))
    after: list[int] = field(default_factory=lambda: [0] * len(PARTS))

    def add(self, standing: Cost | None, cost: Cost | None, correction: Entry | None) -> None:
        """Count one call."""
        now = cost or standing
        corrected = correction is not None
        seen = (True, corrected, corrected and standing is None, now is None, cost is None and standing is not None)
        self.counts = [a + b for a, b in zip(self.counts, seen, strict=True)]
        if standing is not None:
            self.before = [a + b for a, b in zip(self.before, _parts(standing), strict=True)]
        if now is not None:
            self.after = [a + b for a, b in zip(self.after, _parts(now), strict=True)]

    def result(self, version: str) -> RepriceResult:
        """Give the result."""
        calls, corrected, newly_priced, unpriced, kept = self.counts
        before, after = _cost(self.before), _cost(self.after)
        return RepriceResult(calls, corrected, newly_priced, unpriced, kept, before, after, version)


_EARLIEST = datetime.min.replace(tzinfo=UTC)

_parts = attrgetter(*PARTS)


def _cost(sums: list[int]) -> Cost:
    parts: dict[str, Any] = dict(zip(PARTS, sums, strict=True))
    return Cost(**parts)


def _flush(ledger: Ledger, corrections: list[Entry]) -> None:
    for correction in corrections:
        ledger.append(correction)
    corrections.clear()
