"""Which workflow run an event belongs to.

LangChain hands every event a run id and its parent's. A workflow run is one root run with everything below it:
subgraphs, tools, sub-agents in tools, and what a `Command(resume=…)` goes on with.
"""

from __future__ import annotations

from itertools import count
from typing import Any, Generic, TypeVar
from uuid import UUID, uuid4

MAX_REMEMBERED = 10_000
"""How many finished, paused or parentless runs are remembered; the oldest are forgotten first."""

K = TypeVar("K")
V = TypeVar("V")


class WorkflowRun:
    """One root run: its id, its name, and the counter of its steps.

    Args:
        run_id: The root run's id.
        name: The name of the root graph or runnable; None where the first event was no chain.
    """

    __slots__ = ("_answers", "_asked", "_next_step", "id", "labels", "name", "root_id", "step")

    def __init__(self, run_id: UUID, name: str | None = None) -> None:
        self.root_id = run_id
        self.id = str(run_id)
        self.name = name
        self.labels: dict[str, Any] | None = None
        """What `configurable` and the root's metadata say; read at the first event, None before."""
        self.step: int | None = None
        """The latest step; None before the first model call."""
        self._next_step = count(1)
        self._asked: dict[str, int] = {}
        self._answers: Recent[str, float] = Recent()

    def new_step(self) -> int:
        """Number a model call. `itertools.count` makes the numbers unique over threads."""
        self.step = next(self._next_step)
        return self.step

    def passed_on(self, message_id: str | None, started: float) -> bool:
        """Say whether an answer came from a call inside this one, and remember it.

        A model that calls another one in a graph's node is its sibling there, not its parent: what tells it is that it
        returns, under the same id, an answer that another call got after it had started itself.

        Args:
            message_id: The answer's id.
            started: When the call started, on any clock that goes forward.

        Returns:
            True where the provider was called by the other call.
        """
        if message_id is None:
            return False
        earlier = self._answers.get(message_id)
        self._answers.put(message_id, started)
        return earlier is not None and earlier >= started

    def asked_for(self, tool_calls: list[Any], step: int) -> None:
        """Remember which step asked for which tool calls."""
        for call in tool_calls:
            if call.get("id"):
                self._asked[call["id"]] = step

    def step_of(self, tool_call_id: str | None) -> int | None:
        """The step that asked for a tool call; the latest one where no model asked."""
        return self._asked.pop(tool_call_id, self.step) if tool_call_id else self.step


class Recent(Generic[K, V]):
    """A mapping of bounded size that forgets its oldest items, so that a process can run for months."""

    def __init__(self) -> None:
        self._items: dict[K, V] = {}

    def put(self, key: K, value: V) -> None:
        """Remember an item, and forget the oldest one where there are too many."""
        self._items[key] = value
        while len(self._items) > MAX_REMEMBERED:
            self._items.pop(next(iter(self._items)), None)

    def get(self, key: K) -> V | None:
        """The item; None where it was forgotten."""
        return self._items.get(key)

    def pop(self, key: K) -> V | None:
        """Take the item out; None where it was forgotten."""
        return self._items.pop(key, None)


class RunBook:
    """The workflow runs that are open, found by any run id below them.

    Only single dictionary operations touch shared state, so threads and tasks need no lock.
    """

    def __init__(self) -> None:
        self._open: dict[UUID, WorkflowRun] = {}
        self._strays: Recent[UUID, WorkflowRun] = Recent()
        self._paused: Recent[str, WorkflowRun] = Recent()
        self._finished: Recent[str, WorkflowRun] = Recent()

    def opened(self, run_id: UUID, parent_id: UUID | None, name: str | None = None) -> WorkflowRun:
        """Note that a run started, and say which workflow run it belongs to."""
        run = self._of(parent_id) if parent_id else None
        if run is None:
            run = WorkflowRun(run_id, name)
        self._open[run_id] = run
        return run

    def closed(self, run_id: UUID) -> WorkflowRun | None:
        """Note that a run ended; give its workflow run, None where the start was never seen."""
        run = self._open.pop(run_id, None)
        if run is not None and run.root_id == run_id:
            self._finished.put(run.id, run)
        return run

    def find(self, run_id: UUID) -> WorkflowRun | None:
        """The workflow run that an open run belongs to."""
        return self._open.get(run_id)

    def around(self, run_id: UUID | None) -> WorkflowRun:
        """The workflow run that code in this run belongs to; one of its own where it is in none."""
        return self._of(run_id) if run_id else WorkflowRun(uuid4())

    def known(self, run_id: str | None) -> dict[str, Any] | None:
        """The labels of an open or finished workflow run; None where it was never seen or is forgotten."""
        if run_id is None:
            return None
        finished = self._finished.get(run_id)
        run = finished or next((run for run in list(self._open.values()) if run.id == run_id), None)
        return run.labels if run else None

    def paused(self, run_id: UUID | None, checkpoint_id: str) -> None:
        """Note that a graph stopped for a human at this checkpoint."""
        run = self._open.get(run_id) if run_id else None
        if run is not None:
            self._paused.put(checkpoint_id, run)

    def resumed(self, run_id: UUID | None, checkpoint_id: str) -> None:
        """Go on with the workflow run that stopped at this checkpoint, under its id and step counter."""
        run = self._paused.pop(checkpoint_id)
        if run is not None and run_id in self._open:
            self._open[run_id] = run

    def _of(self, parent_id: UUID) -> WorkflowRun:
        """A parent's workflow run. A parent that was never seen (the meter came in later) stands for its own."""
        run = self._open.get(parent_id) or self._strays.get(parent_id)
        if run is None:
            run = WorkflowRun(parent_id)
            self._strays.put(parent_id, run)
        return run
