"""How each tier of a router has done: what its runs cost and how many of them succeeded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from langchain_agentcost.finops.amounts import Amount
from langchain_agentcost.finops.outcomes import Unit, records_of, units_of
from langchain_agentcost.finops.selection import Selection
from langchain_agentcost.ledger.base import Ledger
from langchain_agentcost.ledger.entry import Entry
from langchain_agentcost.ledger.fold import unpriced
from langchain_agentcost.ledger.query import column_of
from langchain_agentcost.routed import EVALUATION_PURPOSE, ROLE, TIER

_SPENT_BY = ("llm", "embedding", "tool", "retriever", "correction")


@dataclass(frozen=True, slots=True)
class Measured:
    """How a tier has done on the runs that it alone answered.

    Args:
        name: The tier.
        runs: Runs with an outcome whose routed calls all were this tier's.
        solved: Those of them that succeeded.
        nano: What they cost together, all that was spent in them, in nano-USD; None where some of it has no price.

    Example:
        >>> small = Measured("small", runs=10, solved=4, nano=2_000_000_000)
        >>> str(small.per_run), str(small.per_success)
        ('$0.20', '$0.50')
    """

    name: str
    runs: int
    solved: int
    nano: int | None

    @property
    def per_run(self) -> Amount | None:
        """What a run costs; None where there is none."""
        return self._over(self.runs)

    @property
    def per_success(self) -> Amount | None:
        """What a success costs, failed runs paid along; None where there is none."""
        return self._over(self.solved)

    def _over(self, count: int) -> Amount | None:
        if not count:
            return None
        return Amount(None, "unknown") if self.nano is None else Amount(round(Fraction(self.nano, count)))


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a ledger's outcomes say of tiers.

    Args:
        tiers: By name, how each tier has done that answered a run alone.
        mixed: Runs with an outcome that several tiers answered: they say nothing of one tier.
    """

    tiers: Mapping[str, Measured] = field(default_factory=dict)
    mixed: int = 0


def measured(
    selection: Selection, *, outcome: str | None = None, models: Mapping[str, str] | None = None
) -> Measurement:
    """Say how tiers have done, by the outcomes of the runs that each answered alone.

    A run is what the outcome was recorded for: a workflow run, or a session. All that was spent in it is its cost, but
    for shadow calls: a judge that checks a draft is what an answer of that tier costs.

    A run says how good a tier is on what the router gave it: a stronger tier gets the harder ones, and looks the worse
    for it. Only where both answered the same examples can two tiers be compared without that in mind.

    Args:
        selection: Which spending counts. Outcomes count whenever they were recorded.
        outcome: Only outcomes of this name; None takes all but "abandoned", and a run succeeded where all of them say
            so.
        models: The tier of a model, by the name that is asked for. Calls that no router made count for it, so that the
            runs of before the router say something too.

    Returns:
        What was found.
    """
    said = _verdicts(selection.ledger, outcome)
    runs: dict[Unit, _Run] = {}
    decided: dict[str, Unit] = {}
    for entry in _spending(selection) if said else ():
        unit = _unit_of(entry, said, decided)
        if unit is not None:
            runs.setdefault(unit, _Run()).add(entry)
    return _by_tier(((run, said[unit]) for unit, run in runs.items()), models or {})


def _unit_of(entry: Entry, said: Mapping[Unit, bool], decided: dict[str, Unit]) -> Unit | None:
    """Say which run an entry belongs to: calls of one decision go together, though each may be a run of its own."""
    who = entry.attribution
    unit = decided.get(entry.decision or "")
    if unit is None:
        unit = next((unit for unit in units_of(who.run, who.session) if unit in said), None)
        if unit is not None and entry.decision is not None:
            decided[entry.decision] = unit
    return unit


def _verdicts(ledger: Ledger, outcome: str | None) -> dict[Unit, bool]:
    """Say of each run or session whether it succeeded: of several outcomes all must say so."""
    said: dict[Unit, bool] = {}
    for records in records_of(ledger, outcome).values():
        for unit, entry in records.items():
            if entry.success is not None:
                said[unit] = said.get(unit, True) and entry.success
    return said


def _spending(selection: Selection) -> Iterable[Entry]:
    where = {**(selection.where or {}), "kind": _SPENT_BY}
    return selection.ledger.entries(where, selection.since, selection.until)


class _Run:
    """What is known of a run: who answered it, and what it cost."""

    __slots__ = ("models", "nano", "tiers", "unpriced")

    def __init__(self) -> None:
        self.tiers: set[str] = set()
        self.models: set[str] = set()
        self.nano = self.unpriced = 0

    def add(self, entry: Entry) -> None:
        role, who = column_of(entry, f"tag:{ROLE}"), entry.attribution
        if role == "shadow" or who.purpose == EVALUATION_PURPOSE:
            return
        self.nano += entry.cost.total_nano if entry.cost is not None else 0
        self.unpriced += unpriced(entry)
        if entry.kind != "llm" or entry.status != "ok" or role == "judge":
            return
        tier = column_of(entry, f"tag:{TIER}") if role is not None else None
        if tier is not None:
            self.tiers.add(str(tier))
        else:
            self.models.add(entry.name or who.model or "")

    def answered_by(self, models: Mapping[str, str]) -> set[str]:
        """Give the tiers that answered; none where a model did that is of no tier, and no router was asked."""
        if not self.tiers and not self.models <= models.keys():
            return set()
        return self.tiers | {models[model] for model in self.models if model in models}


def _by_tier(runs: Iterable[tuple[_Run, bool]], models: Mapping[str, str]) -> Measurement:
    found: dict[str, list[tuple[_Run, bool]]] = {}
    mixed = 0
    for run, solved in runs:
        tiers = run.answered_by(models)
        if len(tiers) == 1:
            found.setdefault(tiers.pop(), []).append((run, solved))
        mixed += len(tiers) > 1
    return Measurement({name: _sum(name, theirs) for name, theirs in sorted(found.items())}, mixed)


def _sum(name: str, runs: list[tuple[_Run, bool]]) -> Measured:
    known = all(run.unpriced <= 0 for run, _ in runs)
    return Measured(
        name, len(runs), sum(solved for _, solved in runs), sum(run.nano for run, _ in runs) if known else None
    )
