"""What limits remember of a workflow run while it runs in this process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
    """What stopped the run: retries and fallbacks are stopped by it at once."""
    calls: dict[str, Iterator[int]] = field(default_factory=dict)
    """The next call's number, for each task of the graph."""
    forgiven: set[str] = field(default_factory=set)
    """Breakers that a person has overruled."""
    passed: set[str] = field(default_factory=set)
    """Places of graphs at which a call was made: run again, they must not ask what they did not ask before."""
    under_way: dict[str, Sequence[Admission]] = field(default_factory=dict)
    noted: bool = False
    clock: Lock = field(default_factory=Lock)
    since: float | None = field(default_factory=perf_counter)
    """Up to when the run's time is accounted for; None while it is paused."""

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
