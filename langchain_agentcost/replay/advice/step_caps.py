"""Step limits over recorded runs: each is chosen on one half of the tasks and tried on the other."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field

from langchain_agentcost.canonical import digest
from langchain_agentcost.replay.advice.saved import Saved
from langchain_agentcost.replay.advice.seen import SeenRun

_CAPS = 60
CAPS: tuple[int, ...] = tuple(sorted({round(4 * 2 ** (step / 4)) for step in range(_CAPS)}))
"""The limits that are tried: from 4 on, each about a fifth above the one before."""


@dataclass(slots=True)
class Tried:
    """What limits did to the tasks on which they were not chosen.

    Args:
        saved: What they saved, by task.
        successes: Successes among those runs.
        kept: Those that were not stopped.
    """

    saved: Saved = field(default_factory=Saved)
    successes: int = 0
    kept: int = 0


@dataclass(slots=True)
class _Half:
    """One half of the tasks."""

    longest: int = 0
    """The most calls of a run that succeeded."""
    successes: Counter[int] = field(default_factory=Counter)
    """Successes by how many calls they had."""
    bills: dict[str, int] = field(default_factory=dict)
    over: dict[str, Counter[int]] = field(default_factory=dict)
    """What each task cost beyond each limit."""


class StepCaps:
    """Sums over judged runs, for step limits. What a task cost beyond a limit is kept, and no run."""

    def __init__(self) -> None:
        self._halves = (_Half(), _Half())

    def add(self, run: SeenRun) -> None:
        """Add a judged run."""
        half = self._halves[digest(run.task)[0] & 1]
        calls = len(run.calls)
        if run.success:
            half.successes[calls] += 1
            half.longest = max(half.longest, calls)
        half.bills[run.task] = half.bills.get(run.task, 0) + run.amount
        left = run.amount
        over = half.over.setdefault(run.task, Counter())
        done = 0
        for cap in CAPS:
            if cap >= calls:
                break
            left -= sum(call.amount for call in run.calls[done:cap])
            done = cap
            over[cap] += left

    def cap(self) -> int | None:
        """Give the limit that all recorded successes need; None where there is no success."""
        longest = max(half.longest for half in self._halves)
        return _at_least(longest) if longest else None

    def tried(self) -> Tried:
        """Try on each half of the tasks the limit that the successes of the other half need."""
        made = Tried()
        for half, other in (self._halves, self._halves[::-1]):
            cap = _at_least(other.longest) if other.longest else None
            for task, bill in half.bills.items():
                made.saved.add(task, 0 if cap is None else half.over[task][cap], bill)
            made.successes += half.successes.total()
            made.kept += sum(count for calls, count in half.successes.items() if cap is None or calls <= cap)
        return made


def _at_least(calls: int) -> int:
    return CAPS[min(bisect_left(CAPS, calls), len(CAPS) - 1)]
