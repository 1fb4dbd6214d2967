"""What limits remember of a workflow run while it runs in this process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from threading import Lock
from time import perf_counter

from langchain_agentcost.errors.limits import LimitReached
from langchain_agentcost.limits.limiter import Admission
from langchain_agentcost.limits.watch import Watch


@dataclass(slots=True)
class RunLimits:
    """What limits remember of a workflow run, in this process."""

    watch: Watch
    trip: LimitReached | None = None
    """What stopped the whole run, such as a breaker."""
    trips: dict[str, LimitReached] = field(default_factory=dict)
    """What stopped calls of the run, by account: retries and fallbacks on the same account are stopped at once."""
    calls: dict[str, Iterator[int]] = field(default_factory=dict)
    """The next call's number, for each task of the graph."""
    redone: dict[str, Counter[str]] = field(default_factory=dict)
    """What the calls of each task may take, by account: what is paid again when the task is paused and runs again."""
    forgiven: set[str] = field(default_factory=set)
    """Breakers that a person has overruled."""
    under_way: dict[str, Sequence[Admission]] = field(default_factory=dict)
    noted: bool = False
    clock: Lock = field(default_factory=Lock)
    since: float | None = field(default_factory=perf_counter)
    """Up to when the run's time is accounted for; None while it is paused."""

    def task_started(self, task: str) -> None:
        """Number a task's calls from 1 again: LangGraph runs it, perhaps not for the first time."""
        self.calls.pop(task, None)
        self.redone.pop(task, None)

    def admitted(self, task: str, admissions: Iterable[Admission]) -> None:
        """Note that a task makes a call."""
        taken = self.redone.setdefault(task, Counter())
        for admission in admissions:
            for _, line in admission.charges:
                taken[line.scope] += line.worst(admission.output_tokens)

    def paid_again(self, task: str, scope: str) -> int:
        """What goes on an account again when a task is paused here, and runs again with the tasks around it."""
        parts = task.split("|")
        around = ["|".join(parts[: depth + 1]) for depth in range(len(parts))]
        return sum(self.redone[name][scope] for name in around if name in self.redone)

    def elapsed_ms(self) -> int:
        """Take the time that no call has accounted for."""
        with self.clock:
            now = perf_counter()
            taken = int((now - self.since) * 1000) if self.since is not None else 0
            self.since = now if self.since is None else self.since + taken / 1000
            return taken

    def give_back(self, elapsed_ms: int) -> None:
        """Put time back that was taken for a call that was not made."""
        with self.clock:
            if self.since is not None:
                self.since -= elapsed_ms / 1000
