"""Two systems that were recorded on the same tasks: the one that costs less, and the one that costs more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from langchain_agentcost.replay.outcomes.records import TaskRecord, TierRecord

MIN_TASKS = 10
"""With fewer tasks in common nothing can be said."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A cheap and a strong tier, on the tasks that both were recorded on.

    Args:
        benchmark: The benchmark.
        cheap: The tier that is tried first.
        strong: The tier that everything is compared with.
        tasks: The names of the tasks.
    """

    benchmark: str
    cheap: TierRecord
    strong: TierRecord
    tasks: tuple[str, ...]

    def __iter__(self) -> Iterator[tuple[TaskRecord, TaskRecord]]:
        """Give both records, task by task."""
        return ((self.cheap.tasks[task], self.strong.tasks[task]) for task in self.tasks)


def pairs(
    tiers: Mapping[str, Sequence[TierRecord]], wanted: Sequence[str] = (), *, min_tasks: int = MIN_TASKS
) -> Iterator[Pair]:
    """Give all pairs of systems with different models and the same tasks, the cheaper one by measured cost first.

    Args:
        tiers: The systems of each benchmark, as `Outcomes.tiers` gives them.
        wanted: Models or systems, by name; none takes all.
        min_tasks: How many tasks a pair has at least.
    """
    for benchmark, systems in tiers.items():
        chosen = [tier for tier in systems if not wanted or tier.name in wanted or tier.model in wanted]
        for place, first in enumerate(chosen):
            for second in chosen[place + 1 :]:
                tasks = tuple(sorted(first.tasks.keys() & second.tasks.keys()))
                if first.model != second.model and len(tasks) >= min_tasks:
                    cheap, strong = sorted((first, second), key=lambda tier: _cost(tier, tasks))
                    yield Pair(benchmark, cheap, strong, tasks)


def _cost(tier: TierRecord, tasks: Sequence[str]) -> int:
    return sum(tier.tasks[task].cost_nano for task in tasks)
