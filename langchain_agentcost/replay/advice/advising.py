"""Advice: what to change, ranked by what it saves, with its evidence and the lines of code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from langchain_agentcost.ledger import Ledger
from langchain_agentcost.quality import QualityFloor
from langchain_agentcost.replay.advice.bills import Bill
from langchain_agentcost.replay.advice.data import as_data
from langchain_agentcost.replay.advice.detector import Detector, Unjudged
from langchain_agentcost.replay.advice.finding import Finding
from langchain_agentcost.replay.advice.findings import COMPARISONS, DETECTORS
from langchain_agentcost.replay.advice.from_episodes import EpisodeReader, Grouping
from langchain_agentcost.replay.advice.from_ledger import LedgerReader
from langchain_agentcost.replay.advice.seen import SeenRun, Unit
from langchain_agentcost.replay.advice.text import plain
from langchain_agentcost.replay.advice.traffic import Traffic
from langchain_agentcost.replay.episode import Episode
from langchain_agentcost.replay.tariff import Tariffs
from langchain_agentcost.replay.traces.lines import Faults

FLOOR = QualityFloor("successes kept", min=0.95)
"""The quality that a saving may not go below, where nothing else is said."""


@dataclass(frozen=True, slots=True)
class Advice:
    """What was found.

    Args:
        findings: The findings: dollars first, the largest saving first, then those that are in tokens.
        bills: The bill of each traffic, the dearest first.
        floor: The quality floor.
        prices: What the dollars rest on.
        faults: What could not be read.
        complete: Whether all runs were looked at: False where somebody stopped it.
        unjudged: What could not be looked at, in how many runs, and why.
    """

    findings: tuple[Finding, ...]
    bills: tuple[Bill, ...]
    floor: QualityFloor = FLOOR
    prices: str = ""
    faults: Faults = field(default_factory=Faults)
    complete: bool = True
    unjudged: tuple[Unjudged, ...] = ()

    def __str__(self) -> str:
        """Write it as text."""
        return plain(self)

    def to_dict(self) -> dict[str, Any]:
        """Give everything as JSON has it; dollars are text, of full precision."""
        return as_data(self)


class Adviser:
    """Takes runs one by one and keeps sums of them.

    Args:
        floor: The quality that a saving may not go below.
    """

    def __init__(self, floor: QualityFloor = FLOOR) -> None:
        self._floor = floor
        self._bills: dict[tuple[Traffic, Unit], Bill] = {}
        self._detectors: dict[tuple[Traffic, Unit], list[Detector]] = {}
        self._comparisons = [kind(floor) for kind in COMPARISONS]

    def see(self, run: SeenRun) -> None:
        """Take a run."""
        key = (run.traffic, run.unit)
        bill = self._bills.get(key)
        if bill is None:
            bill = self._bills[key] = Bill(run.traffic, run.unit)
            self._detectors[key] = [kind(bill, self._floor) for kind in DETECTORS]
        bill.add(run)
        for detector in self._detectors[key]:
            detector.see(run)
        for comparison in self._comparisons:
            comparison.see(run)

    def advice(self, *, prices: str, faults: Faults, complete: bool = True) -> Advice:
        """Give what was found.

        Args:
            prices: What the dollars rest on.
            faults: What could not be read.
            complete: Whether all runs were seen.
        """
        bills = sorted(self._bills.values(), key=lambda bill: (bill.unit is not Unit.USD, -bill.amount))
        found = sorted(self._found(), key=lambda one: (one.saving.unit is not Unit.USD, -one.saving.amount))
        return Advice(tuple(found), tuple(bills), self._floor, prices, faults, complete, tuple(self._unjudged()))

    def _found(self) -> Iterator[Finding]:
        for detectors in self._detectors.values():
            for detector in detectors:
                found = detector.finding()
                if found is not None:
                    yield found
        for comparison in self._comparisons:
            yield from comparison.findings()

    def _unjudged(self) -> Iterator[Unjudged]:
        """What could not be looked at, the runs of all traffics with the same reason together."""
        counts: Counter[tuple[str, str]] = Counter()
        for key, detectors in self._detectors.items():
            for detector in detectors:
                why = detector.unjudged()
                if why is not None:
                    counts[detector.kind, why] += self._bills[key].runs
        for comparison in self._comparisons:
            why = comparison.unjudged()
            if why is not None and self._bills:
                counts[comparison.kind, why] += sum(bill.runs for bill in self._bills.values())
        yield from (Unjudged(kind, why, runs) for (kind, why), runs in sorted(counts.items()))


def advise(
    episodes: Iterable[Episode],
    *,
    tariffs: Tariffs | None = None,
    floor: QualityFloor = FLOOR,
    by: Grouping = "source",
    faults: Faults | None = None,
    seen: Callable[[], None] = lambda: None,
) -> Advice:
    """Say what to change in the agents that were recorded, and what it would save.

    The runs are read one by one and forgotten: what is kept are sums by task. What a call cost is its recorded cost,
    else its recorded usage at list price, else simulated without prompt caching; what a change saves is replayed with
    prompt caching on, from a cold start, at the prices that were paid. A KeyboardInterrupt ends it, and what is done is
    kept.

    Args:
        episodes: The runs.
        tariffs: The prices; None has each run's own model at list price. `paid.StandIn` has another model's where there
            are none; without prices amounts are in tokens. Those of one model for all make every bill one of that
            model, whatever was recorded.
        floor: The quality that a saving may not go below.
        by: What findings are about: the runs of a source, or of a benchmark, each by model.
        faults: Where faults of the traces are noted.
        seen: Called after each run.

    Returns:
        The findings, the largest saving first.

    Example:
        >>> advise([]).findings
        ()
    """
    prices, noted = tariffs or Tariffs(), faults if faults is not None else Faults()
    needs = (strategy for kind in DETECTORS for strategy in kind.needs)
    runs = EpisodeReader(needs, prices, by=by).read(episodes)
    return _advised(runs, floor, prices=prices, faults=noted, seen=seen)


def advise_ledger(
    ledger: Ledger,
    *,
    tariffs: Tariffs | None = None,
    floor: QualityFloor = FLOOR,
    faults: Faults | None = None,
    seen: Callable[[], None] = lambda: None,
) -> Advice:
    """Say what to change in the agents that a ledger was kept of, by workflow, tenant and model.

    A ledger has no texts: what takes them is left out, and what prompts have in common is told by fingerprints, or else
    by their lengths, as an upper bound.

    Args:
        ledger: The ledger.
        tariffs: The prices for what is replayed; None has each model at list price. What was paid is what was booked.
        floor: The quality that a saving may not go below.
        faults: Where entries are noted that cannot be read.
        seen: Called after each run.

    Returns:
        The findings, the largest saving first.

    Example:
        >>> from langchain_agentcost.ledger import open_ledger
        >>> advise_ledger(open_ledger("memory://")).findings
        ()
    """
    prices, noted = tariffs or Tariffs(), faults if faults is not None else Faults()
    runs = LedgerReader(prices, noted).read(ledger)
    return _advised(runs, floor, prices=prices, faults=noted, seen=seen)


def _advised(
    runs: Iterable[SeenRun], floor: QualityFloor, *, prices: Tariffs, faults: Faults, seen: Callable[[], None]
) -> Advice:
    adviser, complete = Adviser(floor), True
    try:
        for run in runs:
            adviser.see(run)
            seen()
    except KeyboardInterrupt:
        complete = False
    return adviser.advice(prices=prices.version, faults=faults, complete=complete)
