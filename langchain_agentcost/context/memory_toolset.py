"""Tools by which a model keeps its own working memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from langchain_core.messages import ToolMessage
from langchain_core.tools import BaseTool, tool
from langgraph.prebuilt import ToolRuntime
from langgraph.types import Command

from langchain_agentcost.context.memory import Kind, noted

MEMORY_KEY = "working_memory"
"""The state's key where nothing else is said."""

_KINDS: Mapping[str, Kind] = {"fact": "facts", "artifact": "artifacts", "task": "open_tasks"}


def memory_tools(key: str = MEMORY_KEY) -> list[BaseTool]:
    """Make the tools `remember` and `forget_task`, for a `ToolNode` or `create_agent`.

    Their descriptions take about 150 tokens of the prefix, which a prompt cache serves.

    Args:
        key: The key of the working memory in the state.

    Example:
        >>> [tool.name for tool in memory_tools()]
        ['remember', 'forget_task']
    """

    @tool
    def remember(
        kind: Literal["fact", "artifact", "task"],
        name: Annotated[str, "a short name; the same name again replaces the note"],
        text: Annotated[str, "one sentence, with ids and paths to the letter"],
        runtime: ToolRuntime,
    ) -> Command[Any]:
        """Note what must not be forgotten: a fact, an artifact that you made or changed, or a task still open."""
        return _updated(key, runtime, {_KINDS[kind]: {name: text}}, f"Noted: {name}.")

    @tool
    def forget_task(name: Annotated[str, "the name that you noted it under"], runtime: ToolRuntime) -> Command[Any]:
        """Take an open task off your notes, because it is done or no longer wanted."""
        return _updated(key, runtime, {"open_tasks": {name: None}}, f"Off the notes: {name}.")

    return [remember, forget_task]


def _updated(
    key: str, runtime: ToolRuntime, changes: Mapping[str, Mapping[str, str | None]], said: str
) -> Command[Any]:
    state: Any = runtime.state
    memory = state.get(key) if isinstance(state, Mapping) else getattr(state, key, None)
    answer = ToolMessage(said, tool_call_id=runtime.tool_call_id or "")
    return Command(update={key: noted(memory, **changes), "messages": [answer]})
