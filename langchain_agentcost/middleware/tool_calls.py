"""An agent's tool calls that a limit stopped."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from langchain.agents.middleware import AgentMiddleware, ToolCallRequest
from langchain_core.messages import ToolMessage
from langgraph.types import Command

from langchain_agentcost.errors.limits import LimitReached
from langchain_agentcost.middleware.final_answer import reached_line
from langchain_agentcost.middleware.model_calls import STOPS

Result = ToolMessage | Command[Any]


class AgentCostToolCalls(AgentMiddleware[Any, Any, Any]):
    """Answers a tool call that a limit stopped with a message, so that the history stays one that models take.

    A tool call that a limit stops ends its run, so the agent's next model call ends the agent. Where it was a call
    inside the tool that was stopped, such as a sub-agent's, the agent goes on and decides what to do without it.
    """

    def wrap_tool_call(self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Result]) -> Result:
        """Make a tool call, or say that it was stopped."""
        try:
            return handler(request)
        except STOPS as reached:
            return _stopped(request, reached)

    async def awrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Awaitable[Result]]
    ) -> Result:
        """Make a tool call, or say that it was stopped."""
        try:
            return await handler(request)
        except STOPS as reached:
            return _stopped(request, reached)


def _stopped(request: ToolCallRequest, reached: LimitReached) -> ToolMessage:
    """The answer of a tool that was not run, or of one whose own calls were stopped."""
    call = request.tool_call
    text = f"Not run to its end. {reached_line(reached)}"
    return ToolMessage(text, tool_call_id=call["id"], name=call["name"], status="error")
