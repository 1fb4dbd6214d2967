"""Limits that a ledger's own runs suggest: what all but the largest of them needed, and some room."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, Context, Decimal
from math import ceil
from typing import Any, NamedTuple

from langchain_agentcost.errors import BudgetError
from langchain_agentcost.ledger.base import Ledger, Where
from langchain_agentcost.ledger.entry import PRICED, Entry
from langchain_agentcost.limits.budget import Budget, limit_shown
from langchain_agentcost.money import from_nano
from langchain_agentcost.reported import shown

IDLE = timedelta(days=7)
"""A run or session without a call for so long is taken as finished. It bounds how many are kept in mind."""

_MEASURES = (("steps", "run"), ("total_tokens", "step"), ("usd", "run"), ("usd", "session"))
"""What is measured: the keyword of `Budget` that limits it, and whose it is."""

_KINDS = ("llm", "cache_hit", "correction")


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A limit, with the evidence for it.

    Args:
        unit: "steps", "total_tokens" or "usd".
        per: "run", "step" or "session".
        where: The workflow, where there is one, and the model: whose calls it is about.
        quantile: The share of runs, steps or sessions that needed no more than `measured`.
        measured: That amount, within 1 %: USD as `Decimal`, counts as `int`.
        count: How many runs, steps or sessions were seen.
        needed: How many it takes for that quantile to mean something.
        unpriced: How many more were left out because the cost of a call in them is not known.
        budget: The limit; None where too few were seen.
    """

    unit: str
    per: str
    where: Mapping[str, str]
    quantile: float
    measured: Decimal | int
    count: int
    needed: int
    unpriced: int = 0
    budget: Budget | None = None

    def __str__(self) -> str:
        """Say it in a sentence."""
        of = " ".join(self.where.values())
        unknown = f"; {self.unpriced:,} more have calls without a price" if self.unpriced else ""
        seen = f"{of}: {self.quantile:.4g} of {self.count:,} {self.per}s took at most {self.measured:,} {self.unit}"
        if self.budget is None:
            return f"{seen}, which are too few to suggest a limit: it takes {self.needed:,}{unknown}."
        limit = limit_shown(self.unit, self.budget.limits[self.unit])
        return f"{seen}: at most {limit:,} {self.unit} a {self.per}{unknown}."


def suggest_limits(
    ledger: Ledger,
    *,
    quantile: float = 0.99,
    margin: Decimal | float | str = "1.25",
    where: Where | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> tuple[Suggestion, ...]:
    """Suggest limits for each workflow and model, from what its runs took.

    Steps and USD per run, tokens per step and USD per session. A limit is the quantile with the margin, rounded up to
    two digits. All runs count, also those that failed: name the good ones with `where` to leave the others out.

    Args:
        ledger: Where the runs are. It is read once, in the order of time; runs and sessions without a call for 7 days
            are added up and forgotten.
        quantile: The share of runs that the limits should let through without the margin, above 0 and below 1.
        margin: What the quantile is multiplied by, at least 1.
        where: Only entries for which these conditions hold.
        since: Only entries from this instant on.
        until: Only entries before this instant.

    Returns:
        The suggestions by workflow and model, as far as there are numbers.

    Raises:
        BudgetError: If quantile or margin cannot be.
        QueryError: If `where` names a column that does not exist, or an instant has no time zone.

    Example:
        >>> from langchain_agentcost.ledger import open_ledger
        >>> suggest_limits(open_ledger("memory://"))
        ()
    """
    factor = Decimal(str(margin))
    if not 0 < quantile < 1:
        raise BudgetError(f"A quantile is above 0 and below 1, not {shown(quantile)}.")
    if not factor.is_finite() or factor < 1:
        raise BudgetError(f"A margin is a number from 1, not {shown(margin)}.")
    seen = _Seen()
    for entry in ledger.entries(where, since, until):
        if entry.kind in _KINDS and entry.attribution.model is not None:
            seen.add(entry)
    seen.finish()
    return tuple(_suggestions(seen, quantile, factor))


class _Subject(NamedTuple):
    """Whose amounts are added up: what limits are suggested for."""

    workflow: str
    model: str


@dataclass(slots=True)
class _Sum:
    """What a run or a session took of one subject so far."""

    last: datetime
    steps: int = 0
    nano: int = 0
    unpriced: int = 0


@dataclass(slots=True)
class _Amounts:
    """How often each amount was seen, to three digits, so that there are never many."""

    counts: Counter[int] = field(default_factory=Counter)
    unpriced: int = 0

    def at(self, quantile: float) -> int:
        """Give the amount that this share does not exceed, by nearest rank."""
        rank = ceil(quantile * self.counts.total())
        for amount in sorted(self.counts):
            rank -= self.counts[amount]
            if rank <= 0:
                return amount
        return 0


class _Seen:
    """What the entries say, in one pass."""

    def __init__(self) -> None:
        self.amounts: dict[tuple[_Subject, str, str], _Amounts] = {}
        self._asked: dict[_Subject, _Subject] = {}
        """Limits see the name that a model is asked for under; entries have the one that answered."""
        self._open: dict[str, OrderedDict[tuple[_Subject, str], _Sum]] = {
            "run": OrderedDict(),
            "session": OrderedDict(),
        }

    def add(self, entry: Entry) -> None:
        """Count an entry; they come in the order of time."""
        labels = entry.attribution
        answered = _Subject(labels.workflow or "", labels.model or "")
        if entry.kind == "llm":
            self._asked[answered] = _Subject(answered.workflow, entry.name or answered.model)
        subject = self._asked.get(answered, answered)
        if entry.kind == "llm" and entry.usage is not None:
            self._count(subject, "total_tokens", "step", entry.usage.total_tokens)
        for per, name in (("run", labels.run), ("session", labels.session)):
            if name is not None:
                self._add_up(per, (subject, name), entry)

    def finish(self) -> None:
        """Count what is still open."""
        for per, sums in self._open.items():
            for (subject, _), one in sums.items():
                self._close(per, subject, one)
            sums.clear()

    def _add_up(self, per: str, key: tuple[_Subject, str], entry: Entry) -> None:
        sums = self._open[per]
        while sums and next(iter(sums.values())).last < entry.at - IDLE:
            (subject, _), idle = sums.popitem(last=False)
            self._close(per, subject, idle)
        one = sums.setdefault(key, _Sum(entry.at))
        sums.move_to_end(key)
        one.last = entry.at
        one.steps += entry.kind != "correction"
        one.nano += entry.cost.total_nano if entry.cost else 0
        one.unpriced += entry.kind == "llm" and entry.cost is None
        one.unpriced -= entry.kind == "correction" and entry.name == PRICED

    def _close(self, per: str, subject: _Subject, one: _Sum) -> None:
        if per == "run":
            self._count(subject, "steps", per, one.steps)
        if one.unpriced > 0:
            self.amounts.setdefault((subject, "usd", per), _Amounts()).unpriced += 1
        else:
            self._count(subject, "usd", per, one.nano)

    def _count(self, subject: _Subject, unit: str, per: str, amount: int) -> None:
        amounts = self.amounts.setdefault((subject, unit, per), _Amounts())
        amounts.counts[int(_up(Decimal(amount), digits=3))] += 1


def _suggestions(seen: _Seen, quantile: float, margin: Decimal) -> Iterator[Suggestion]:
    needed = ceil(round(1 / (1 - quantile), 6))
    for subject in sorted({subject for subject, _, _ in seen.amounts}):
        where = {name: value for name, value in subject._asdict().items() if value}
        for unit, per in _MEASURES:
            amounts = seen.amounts.get((subject, unit, per))
            if amounts is None:
                continue
            count, whole = amounts.counts.total(), amounts.at(quantile)
            measured = from_nano(whole).normalize() if unit == "usd" else whole
            budget = None
            if count >= needed and whole:
                limit: dict[str, Any] = {unit: _up(measured * margin, digits=2, whole=unit != "usd")}
                budget = Budget(per=per, where=where, **limit)
            yield Suggestion(unit, per, where, quantile, measured, count, needed, amounts.unpriced, budget)


def _up(amount: Decimal, *, digits: int, whole: bool = False) -> Decimal:
    """Round up to so many digits."""
    rounded = Context(prec=digits, rounding=ROUND_CEILING).plus(amount)
    return rounded.to_integral_value(ROUND_CEILING) if whole else rounded
