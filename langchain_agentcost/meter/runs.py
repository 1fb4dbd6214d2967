"""Which workflow run an event belongs to.

LangChain hands every event a run id and its parent's. A workflow run is one root run with everything below it:
subgraphs, tools, sub-agents in tools, and what a `Command(resume=…)` goes on with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from itertools import count
from math import inf
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4
from weakref import ref

from langchain_core.messages import AIMessage
from langchain_core.utils.utils import LC_ID_PREFIX

from langchain_agentcost.recent import Recent

if TYPE_CHECKING:
    from langchain_agentcost.meter.run_limits import RunLimits


class WorkflowRun:
    """One root run: its id, its name, and the counter of its steps.

    Args:
        run_id: The root run's id.
        name: The name of the root graph or runnable; None where the first event was no chain.
        metadata: The root's metadata; None where the root was not seen.
    """

    __slots__ = (
        "_answers", "_asked", "_next_step", "_unpaid", "id", "labels", "limits", "metadata", "name", "part", "resumed",
        "root_id", "step",
    )  # fmt: skip

    def __init__(self, run_id: UUID, name: str | None = None, metadata: Mapping[str, Any] | None = None) -> None:
        self.root_id = run_id
        self.id = str(run_id)
        self.name = name
        self.metadata = metadata
        self.labels: dict[str, Any] | None = None
        """What the root's metadata and `configurable` say; read at the first event, None before."""
        self.limits: RunLimits | None = None
        """What limits remember of it; None where there are none."""
        self.resumed = False
        """Whether it goes on because of a `Command(resume=…)`."""
        self.part: str | None = None
        """Which part of the run this is, where another process ran the ones before: its steps are numbered anew."""
        self.step: int | None = None
        """The latest step; None before the first model call."""
        self._next_step = count(1)
        self._unpaid = [1]
        self._asked: dict[str, int] = {}
        self._answers: dict[str, tuple[float, ref[AIMessage]]] = {}

    def new_step(self) -> int:
        """Number a model call. `itertools.count` makes the numbers unique over threads."""
        self.step = next(self._next_step)
        return self.step

    def take_task_fee(self) -> int:
        """Give 1 to the first billed call of the run, which carries the fee per task, and 0 to every other."""
        try:
            return self._unpaid.pop()
        except IndexError:
            return 0

    def passed_on(self, message: AIMessage | None, started: float) -> bool:
        """Say whether an answer came from a call inside this one, and remember it.

        A model that calls another one in a graph's node is its sibling there, not its parent: what tells it is that it
        returns an answer that another call got after it had started itself. It is the same message, or it has the id
        that langchain-core makes of the other call's run.

        Args:
            message: The answer.
            started: When the call started, on any clock that goes forward.

        Returns:
            True where the provider was called by the other call.
        """
        if message is None or message.id is None:
            return False
        began, earlier = self._answers.get(message.id) or (-inf, None)
        self._answers[message.id] = (started, ref(message))
        same = earlier is not None and (message.id.startswith(LC_ID_PREFIX) or earlier() is message)
        return same and began >= started

    def asked_for(self, tool_calls: list[Any], step: int) -> None:
        """Remember which step asked for which tool calls."""
        for call in tool_calls:
            if call.get("id"):
                self._asked[call["id"]] = step

    def ended(self) -> None:
        """Forget what only matters while calls are under way."""
        self._answers.clear()
        self._asked.clear()

    def step_of(self, tool_call_id: str | None) -> int | None:
        """The step that asked for a tool call; the latest one where no model asked."""
        return self._asked.pop(tool_call_id, self.step) if tool_call_id else self.step


_roots: ContextVar[tuple[UUID | None, UUID | None]] = ContextVar("langchain_agentcost_roots", default=(None, None))
"""The last two calls that this thread or task made with no run around them."""


def root_before(run_id: UUID, parent_id: UUID | None) -> UUID | None:
    """The call that this thread or task made before this one, where neither has a run around it.

    A thread makes one call after the other: when the next one starts, the one before is over, or a stream.
    """
    if parent_id is not None:
        return None
    last, before = _roots.get()
    if last == run_id:  # another meter has noted this one
        return before
    _roots.set((run_id, last))
    return last


MAX_OPEN = 100_000
"""How many runs may be open at once: some never end, because LangChain does not say so."""


class RunBook:
    """The workflow runs that are open, found by any run id below them.

    Only single dictionary operations touch shared state, so threads and tasks need no lock.
    """

    def __init__(self) -> None:
        self._open: Recent[UUID, WorkflowRun] = Recent(MAX_OPEN)
        self._strays: Recent[UUID, WorkflowRun] = Recent()
        self._paused: Recent[str, WorkflowRun] = Recent()
        self._continues: Recent[str, str] = Recent()
        self._finished: Recent[str, WorkflowRun] = Recent()

    def opened(
        self,
        run_id: UUID,
        parent_id: UUID | None,
        name: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> WorkflowRun:
        """Note that a run started, and say which workflow run it belongs to."""
        run = self._of(parent_id) if parent_id else WorkflowRun(run_id, name, metadata)
        self._open.put(run_id, run)
        return run

    def closed(self, run_id: UUID) -> WorkflowRun | None:
        """Note that a run ended. Gives the workflow run where it was the root that did."""
        run = self._open.pop(run_id)
        if run is None or run.root_id != run_id:
            return None
        run.ended()
        self._finished.put(run.id, run)
        return run

    def around(self, run_id: UUID | None) -> WorkflowRun:
        """The workflow run that code in this run belongs to; one of its own where it is in none."""
        return self._of(run_id) if run_id else WorkflowRun(uuid4())

    def named(self, run_id: str) -> str:
        """The workflow run of a root run: its own id, or that of the run that it went on with."""
        return self._continues.get(run_id) or run_id

    def known(self, run_id: str | None) -> dict[str, Any] | None:
        """The labels of an open or finished workflow run; None where it was never seen or is forgotten."""
        if run_id is None:
            return None
        finished = self._finished.get(run_id)
        run = finished or next((run for run in self._open.values() if run.id == run_id), None)
        return run.labels if run else None

    def is_open(self, run_id: UUID) -> bool:
        """Whether a run is under way."""
        return self._open.get(run_id) is not None

    def paused(self, run_id: UUID | None, checkpoint_id: str) -> None:
        """Note that a graph stopped for a human at this checkpoint."""
        run = self._open.get(run_id)
        if run is not None:
            self._paused.put(checkpoint_id, run)

    def resumed(
        self, run_id: UUID | None, checkpoint_id: str, recall: Callable[[str | None], str | None] = lambda _: None
    ) -> None:
        """Go on with the workflow run that stopped at this checkpoint, under its id and step counter.

        Args:
            run_id: The root run that goes on.
            checkpoint_id: The checkpoint that it goes on from.
            recall: What knows of a thread which workflow run it was in, where another process ran it.
        """
        here = self._open.get(run_id)
        if here is None or run_id is None:
            return
        run = self._paused.pop(checkpoint_id) or self._recalled(here, recall)
        if run is not None and run is not here:
            self._continues.put(here.id, run.id)
            run.root_id, run.resumed = run_id, here.resumed
            self._open.put(run_id, run)

    def _recalled(self, here: WorkflowRun, recall: Callable[[str | None], str | None]) -> WorkflowRun | None:
        """The workflow run of a thread that was stopped: kept from then, or made anew under its id."""
        thread = (here.metadata or {}).get("thread_id")
        known = recall(str(thread)) if thread is not None else None
        if known is None or known == here.id:
            return None
        run = self._finished.get(known)
        if run is None:
            run = WorkflowRun(here.root_id, here.name, here.metadata)
            run.id, run.part = known, uuid4().hex[:8]
        return run

    def _of(self, parent_id: UUID) -> WorkflowRun:
        """A parent's workflow run. A parent that was never seen (the meter came in later) stands for its own."""
        run = self._open.get(parent_id) or self._strays.get(parent_id)
        if run is None:
            run = WorkflowRun(parent_id)
            self._strays.put(parent_id, run)
        return run
