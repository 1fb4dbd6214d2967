"""The LangGraph task that a callback runs in: what limits need of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.runnables.config import var_child_runnable_config
from langgraph.runtime import RunControl, get_runtime

from langchain_agentcost.errors.limits import LimitUnavailable

_CHECKPOINTER = "__pregel_checkpointer"
"""Where LangGraph hands its checkpointer down. It has no public name, and `execution_info.thread_id` is set from the
config without one, too."""


class Graph:
    """A LangGraph task, seen from a callback within it.

    Args:
        configurable: The task's `configurable`.
        control: What drains the run; None where the run has none.
        thread: Its thread; None without one.
    """

    def __init__(self, configurable: Mapping[str, Any], control: RunControl | None, thread: str | None) -> None:
        self._configurable = configurable
        self._control = control
        self.thread = thread

    @classmethod
    def around(cls) -> Graph | None:
        """The task that this code runs in; None outside LangGraph."""
        config = var_child_runnable_config.get()
        configurable = (config or {}).get("configurable") or {}
        if _CHECKPOINTER not in configurable:
            return None
        try:
            runtime = get_runtime()
        except (RuntimeError, KeyError):  # the callback runs outside the node's context
            return None
        thread = configurable.get("thread_id")
        return cls(configurable, runtime.control, str(thread) if thread is not None else None)

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
