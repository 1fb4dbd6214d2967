"""The LangGraph task that a callback runs in: what limits need of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import getclosurevars
from typing import Any, NoReturn

from langchain_core.runnables.config import var_child_runnable_config
from langgraph.errors import GraphInterrupt
from langgraph.runtime import RunControl, get_runtime
from langgraph.types import Interrupt

from langchain_agentcost.errors.limits import LimitUnavailable

_CHECKPOINTER = "__pregel_checkpointer"
"""Where LangGraph hands its checkpointer down. It has no public name, and `execution_info.thread_id` is set from the
config without one, too."""

_ANSWERS = "__pregel_resume_map"
"""Where LangGraph hands down the answers of `Command(resume={id: answer})`."""

_SCRATCHPAD = "__pregel_scratchpad"
"""Where a task finds the answer of `Command(resume=answer)`, and those to its own `interrupt` calls, in their order."""

_WRITE, _GIVEN = "__pregel_send", "__resume__"
"""How a task says, and under which name, which of its `interrupt` calls have been answered."""

_TASK, _WAITING = "__pregel_task_id", "__interrupt__"
"""The id of a task, and the name under which the checkpoint has what it waits for."""


class Graph:
    """A LangGraph task, seen from a callback within it.

    Args:
        configurable: The task's `configurable`.
        control: What drains the run; None where the run has none.
        resumed: Whether the run was resumed with a `Command(resume=…)`. It then has one answer alone, unless
            LangGraph hands down several by their ids.
    """

    def __init__(self, configurable: Mapping[str, Any], control: RunControl | None, *, resumed: bool = False) -> None:
        self._configurable = configurable
        self._control = control
        self._has_one_answer = resumed and not configurable.get(_ANSWERS)
        self.task = str(configurable.get("checkpoint_ns") or "")
        """The task's namespace: that of a task around it is its beginning, up to a "|"."""
        thread = configurable.get("thread_id")
        self.thread = str(thread) if thread is not None else None

    @classmethod
    def around(cls, *, resumed: bool = False) -> Graph | None:
        """The task that this code runs in; None outside LangGraph."""
        config = var_child_runnable_config.get()
        configurable = (config or {}).get("configurable") or {}
        if _CHECKPOINTER not in configurable:
            return None
        try:
            runtime = get_runtime()
        except (RuntimeError, KeyError):  # the callback runs outside the node's context
            return None
        return cls(configurable, runtime.control, resumed=resumed)

    @property
    def can_drain(self) -> bool:
        """Whether the run can be stopped before its next superstep."""
        return self._control is not None

    def drain(self, reason: str) -> None:
        """Stop the run before its next superstep: what runs now is finished and kept."""
        if self._control is not None and not self._control.drain_requested:
            self._control.request_drain(reason)

    def require_checkpointer(self) -> None:
        """Refuse to go on where a person could be asked and the answer could not find the way back.

        Raises:
            LimitUnavailable: If the graph has no checkpointer.
        """
        if not self._configurable.get(_CHECKPOINTER):
            raise LimitUnavailable(
                'A budget or breaker of this meter asks a person (action "interrupt"), and this graph has no '
                "checkpointer to wait with. Compile it with one, builder.compile(checkpointer=…), or choose another "
                "action."
            )

    def pause(self, question: str, payload: Any) -> NoReturn:
        """Pause this task until a question of this id is answered. Answers to the user's own questions are kept.

        One that the task was resumed with, and did not get to, is kept too: the answer to our question will take the
        place that LangGraph has it in.

        Raises:
            GraphInterrupt: Always.
        """
        scratchpad, write = self._configurable.get(_SCRATCHPAD), self._configurable.get(_WRITE)
        given = list(scratchpad.resume) if scratchpad is not None else []
        if self._has_one_answer and self._waits_itself(len(given)):
            unheard = self._last_answer(take=True)
            given += [unheard] if unheard is not None else []
        if write is not None and given:
            write([(_GIVEN, given)])
        raise GraphInterrupt((Interrupt(value=payload, id=question),))

    @property
    def answers(self) -> Mapping[str, Any]:
        """What the run was resumed with, by the ids of the questions; empty where it named none."""
        return self._configurable.get(_ANSWERS) or {}

    @property
    def only_answer(self) -> Any:
        """The answer that the run was resumed with, where that names no question: only one waited. None if taken."""
        return self._last_answer() if self._has_one_answer else None

    def take_only_answer(self) -> None:
        """Take that answer, so that no `interrupt` of the task is given it."""
        self._last_answer(take=True)

    def drop_old_answer(self, *, is_ours: Callable[[Any], bool]) -> None:
        """Keep an answer from being given twice.

        LangGraph keeps the last answer that named no question, and gives it to the next `interrupt` that has none even
        where the run goes on for another reason: because a question of ours was answered by its id, or elsewhere.

        Args:
            is_ours: Whether an answer reads as one to a question of ours.
        """
        old = None if self._has_one_answer else self._last_answer()
        if old is not None and (old in self._configurable[_SCRATCHPAD].resume or is_ours(old)):
            self._last_answer(take=True)

    def _waits_itself(self, answered: int) -> bool:
        """Whether an `interrupt` of this task waits, and none of a subgraph's, a sibling's or ours.

        Only the checkpoint knows, and a task sees it nowhere but where its scratchpad looks for answers.

        Args:
            answered: How many of its `interrupt` calls have been answered.
        """
        scratchpad = self._configurable.get(_SCRATCHPAD)
        seen = getclosurevars(scratchpad.get_null_resume).nonlocals.get("pending_writes", ()) if scratchpad else ()
        names = (self.task, f"{self.task}|{answered}")  # the first interrupt, and each in older versions, has no number
        mine = {Interrupt.from_ns(None, name).id for name in names}
        waiting = (found for task, name, found in seen if (task, name) == (self._configurable.get(_TASK), _WAITING))
        return any(interrupt.id in mine for found in waiting for interrupt in found)

    def _last_answer(self, *, take: bool = False) -> Any:
        scratchpad = self._configurable.get(_SCRATCHPAD)
        return scratchpad.get_null_resume(take) if scratchpad is not None else None
