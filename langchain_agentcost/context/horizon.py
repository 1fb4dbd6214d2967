"""How many more calls a run will make: what a cut must pay for itself in."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable
from typing import Protocol

from langchain_agentcost.ledger import Ledger
from langchain_agentcost.recent import Recent

RUNS_KEPT = 1_000
"""Of so many runs the lengths are kept: the latest."""

PRIOR_RUNS = 2
"""What is assumed where nothing is known weighs as much as so many runs."""


class Horizon(Protocol):
    """Expects the length of a run."""

    def remaining(self, step: int) -> float:
        """Give the calls that are expected, the one about to be made among them: at least 1.

        Args:
            step: The number of the call about to be made; the first is 1.
        """
        ...


class StepBudget:
    """A run that makes as many calls as it may.

    Args:
        steps: How many calls a run may make.

    Example:
        >>> StepBudget(20).remaining(5)
        16.0
    """

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def remaining(self, step: int) -> float:
        """Give what is left of the budget."""
        return float(max(1, self.steps - step + 1))


class StepHistory:
    """Learns how long runs of one kind are: of one workflow, agent or node.

    It gives the mean residual life: how many more calls those runs made that made as many as this one. `PRIOR_RUNS`
    more are assumed that go on for as long again as this run has, the median guess of what one knows nothing else of
    (Gott, Nature 363, 1993), but not longer than a run of this kind goes on from any of its calls in the mean. Where no
    run is known at all, it is half as long: by the same rule two runs in three go on at least so far.

    Args:
        lengths: The calls of runs that have ended.

    Example:
        >>> history = StepHistory([10, 30])
        >>> history.remaining(11), StepHistory().remaining(11)
        (14.0, 5.5)
    """

    def __init__(self, lengths: Iterable[int] = ()) -> None:
        self._sorted: list[int] = []
        self._latest: list[int] = []
        for length in lengths:
            self.ended(length)

    @classmethod
    def from_ledger(cls, ledger: Ledger, *, workflow: str | None = None, node: str | None = None) -> StepHistory:
        """Read the lengths of earlier runs: how many model calls each made.

        Args:
            ledger: The ledger.
            workflow: Runs of this workflow only.
            node: Calls of this node only, by its full path.
        """
        wanted = {name: value for name, value in (("workflow", workflow), ("node", node)) if value is not None}
        counted = ledger.totals(by=("run",), where={"kind": "llm", **wanted})
        return cls(total.calls for total in counted if total.calls)

    def ended(self, length: int, *, instead_of: int | None = None) -> None:
        """Learn of a run that has ended; the longest ago of `RUNS_KEPT` is forgotten.

        Args:
            length: How many calls it made.
            instead_of: What was learned of this run before: it went on.
        """
        if length < 1:
            return
        if instead_of in self._latest:
            self._latest.remove(instead_of)
            del self._sorted[bisect_left(self._sorted, instead_of)]
        insort(self._sorted, length)
        self._latest.append(length)
        if len(self._latest) > RUNS_KEPT:
            del self._sorted[bisect_left(self._sorted, self._latest.pop(0))]

    def remaining(self, step: int) -> float:
        """Give the calls that are expected, the one about to be made among them."""
        longer = self._sorted[bisect_left(self._sorted, step) :]
        known = sum(length - step + 1 for length in longer)
        return (PRIOR_RUNS * self._prior(step) + known) / (PRIOR_RUNS + len(longer))

    def sample(self, most: int) -> tuple[int, ...]:
        """Give lengths that stand for all, evenly spread over them: to keep with a run what was known when it began.

        Args:
            most: How many at most.

        Example:
            >>> StepHistory(range(1, 100)).sample(3)
            (17, 50, 83)
        """
        known, many = self._sorted, min(most, len(self._sorted))
        return tuple(known[(2 * at + 1) * len(known) // (2 * many)] for at in range(many))

    def _prior(self, step: int) -> float:
        if not self._sorted:
            return max(1.0, step / 2)
        mean = sum(length * (length + 1) for length in self._sorted) / 2 / sum(self._sorted)
        return max(1.0, min(float(step), mean))


class Horizons:
    """A history for each kind of run, in one process.

    Example:
        >>> horizons = Horizons()
        >>> horizons.of("refunds").ended(12)
        >>> horizons.of("refunds").remaining(3) > horizons.of("greetings").remaining(3)
        True
    """

    def __init__(self) -> None:
        self._known: Recent[str, StepHistory] = Recent(RUNS_KEPT)

    def of(self, kind: str) -> StepHistory:
        """Give the history of a kind of run."""
        history = self._known.get(kind)
        if history is None:
            history = StepHistory()
            self._known.put(kind, history)
        return history
