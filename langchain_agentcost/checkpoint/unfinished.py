"""What an unfinished superstep has spent, kept beside the writes of its tasks.

A checkpoint is saved when its superstep is over. One that is interrupted, or fails, has spent money that no checkpoint
tells of, and another process may go on with it. So what was spent from a checkpoint is kept among its pending writes,
under a channel that no graph has and task ids that no graph makes. Graphs never see these writes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple
from uuid import uuid4

from langgraph.checkpoint.base import CheckpointTuple

from langchain_agentcost.meter.checkpoint_spend import AMOUNTS, ByRun, Spent, together

CHANNEL = "__agentcost_spent__"


class Unfinished(NamedTuple):
    """A write that says what was spent.

    Args:
        writes: The write.
        task_id: The task that it is put under.
    """

    writes: Sequence[tuple[str, Any]]
    task_id: str

    @classmethod
    def of(cls, spent: ByRun, *, thread: str, by: str) -> Unfinished:
        """Make the write.

        Args:
            spent: What was spent, by workflow run.
            thread: The thread that spent it.
            by: Who writes: its own amounts it knows already.
        """
        runs = {run: [getattr(amounts, name) for name in AMOUNTS] for run, amounts in spent.items()}
        value = {"by": by, "thread": thread, "runs": runs}
        return cls([(CHANNEL, value)], str(uuid4()))


def without(saved: CheckpointTuple) -> CheckpointTuple:
    """A checkpoint as its graph has to see it."""
    if not any(channel == CHANNEL for _, channel, _ in saved.pending_writes or ()):
        return saved
    return saved._replace(pending_writes=[write for write in saved.pending_writes or () if write[1] != CHANNEL])


def spent_elsewhere(saved: CheckpointTuple, *, here: str, thread: str) -> dict[str, Spent]:
    """What other processes spent from a checkpoint in this thread, by workflow run.

    Args:
        saved: The checkpoint.
        here: The name of this process's writer.
        thread: The thread. A copy of a thread has the writes of the thread that it is a copy of.
    """
    values = (value for _, channel, value in saved.pending_writes or () if channel == CHANNEL)
    return together(
        _read(value["runs"])
        for value in values
        if isinstance(value, dict) and value.get("by") != here and value.get("thread") == thread
    )


def _read(runs: Any) -> dict[str, Spent]:
    pairs: Iterable[tuple[str, Sequence[int]]] = runs.items() if isinstance(runs, dict) else ()
    return {run: Spent(*amounts[: len(AMOUNTS)]) for run, amounts in pairs}
