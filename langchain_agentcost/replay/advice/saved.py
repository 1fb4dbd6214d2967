"""What a change would have saved, added up by task: the saving with its interval, and what it may have harmed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from langchain_agentcost.interval import bootstrap
from langchain_agentcost.replay.advice.seen import AS_IT_WAS, SeenRun, Unit
from langchain_agentcost.replay.result import HARMS
from langchain_agentcost.replay.strategy import Fidelity


@dataclass(frozen=True, slots=True)
class Saving:
    """What is expected to be saved.

    Args:
        unit: What the amounts are in.
        amount: What is saved: nano-USD or tokens, negative where it costs more.
        bill: What it is saved of.
        fidelity: How far that can be believed.
        low: The lower end of its 95 % bootstrap interval over tasks, in percent of the bill; None for fewer than two.
        high: The upper end.
        off_pct: What it would be in percent without prompt caching; None where that is not the question.
        on_pct: What it is in percent of what the same runs would cost with prompt caching, likewise.
    """

    unit: Unit
    amount: int
    bill: int
    fidelity: Fidelity
    low: float | None = None
    high: float | None = None
    off_pct: float | None = None
    on_pct: float | None = None

    @property
    def pct(self) -> float:
        """The saving in percent of the bill."""
        return 100 * self.amount / self.bill if self.bill else 0.0


@dataclass(slots=True)
class Saved:
    """Amounts saved and spent, by task.

    Args:
        tasks: For each task, what was saved and what was spent.
        off_saved: What would be saved without prompt caching, at list price.
        off_bill: What would be spent without it.
        on_bill: What would be spent with it, on the same scale as the bill.
    """

    tasks: dict[str, tuple[int, int]] = field(default_factory=dict)
    off_saved: int = 0
    off_bill: int = 0
    on_bill: int = 0

    def add(self, task: str, saved: int, bill: int) -> None:
        """Add what a run saved and spent."""
        before = self.tasks.get(task, (0, 0))
        self.tasks[task] = (before[0] + saved, before[1] + bill)

    @property
    def amount(self) -> int:
        """What was saved."""
        return sum(saved for saved, _ in self.tasks.values())

    @property
    def spent(self) -> int:
        """What was spent."""
        return sum(bill for _, bill in self.tasks.values())

    def saving_pct(self) -> float:
        """Give the saving in percent of what was spent, without its interval."""
        return 100 * self.amount / self.spent if self.spent else 0.0

    def on_pct(self) -> float | None:
        """Give the saving in percent of what would be spent with prompt caching."""
        return 100 * self.amount / self.on_bill if self.on_bill else None

    def off_pct(self) -> float | None:
        """Give what would be saved without prompt caching, in percent of what would be spent without it."""
        return 100 * self.off_saved / self.off_bill if self.off_bill else None

    def saving(self, unit: Unit, fidelity: Fidelity, *, of: int | None = None) -> Saving:
        """Give the saving.

        Args:
            unit: What the amounts are in.
            fidelity: How far they can be believed.
            of: The bill that the share is saved of, where only a part of the runs was looked at; None is theirs.
        """
        saved, spent = self.amount, self.spent
        amounts = [self.tasks[task] for task in sorted(self.tasks)]  # intervals must not depend on who came first
        ends = bootstrap([bill - one for one, bill in amounts], [bill for _, bill in amounts])
        whole = spent if of is None else of
        return Saving(
            unit,
            amount=round(saved * whole / spent) if spent and whole != spent else saved,
            bill=whole,
            fidelity=fidelity,
            low=ends[0] if ends else None,
            high=ends[1] if ends else None,
            off_pct=self.off_pct(),
            on_pct=self.on_pct(),
        )


@dataclass(slots=True)
class WhatIf:
    """A strategy over the runs of one traffic.

    Args:
        strategy: Its label.
        saved: What it saves, by task.
        runs: Runs that were replayed.
        successes: Those of them that succeeded.
        touched: Successes that it stopped, or from which it took something that a recorded call used.
        stopped: Runs that it stopped.
        stops: Why.
        tally: What it counted.
    """

    strategy: str
    saved: Saved = field(default_factory=Saved)
    runs: int = 0
    successes: int = 0
    touched: int = 0
    stopped: int = 0
    stops: Counter[str] = field(default_factory=Counter)
    tally: Counter[str] = field(default_factory=Counter)

    def add(self, run: SeenRun) -> None:
        """Add a run, if the strategy was replayed on it."""
        outcome = run.outcomes.get(self.strategy)
        if outcome is None:
            return
        before = run.outcomes[AS_IT_WAS]
        self.saved.add(run.task, run.saved(self.strategy), run.amount)
        self.saved.off_saved += before.off_nano - outcome.off_nano
        self.saved.off_bill += before.off_nano
        self.saved.on_bill += run.billed(before.on_nano)
        self.runs += 1
        self.tally += outcome.tally
        if outcome.stopped is not None:
            self.stopped += 1
            self.stops[outcome.stopped] += 1
        if run.success:
            self.successes += 1
            self.touched += outcome.stopped is not None or any(outcome.tally[harm] for harm in HARMS)
