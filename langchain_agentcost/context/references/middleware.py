"""References inside `langchain.agents.create_agent`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from typing import Any

from langchain_agentcost.context.references.read_ref import read_ref_tool
from langchain_agentcost.context.references.references import References
from langchain_agentcost.context.references.results import Result
from langchain_agentcost.errors import MissingExtra

if find_spec("langchain") is None:
    raise MissingExtra("langchain", extra="agents", what="ReferenceMiddleware")

from langchain.agents.middleware import AgentMiddleware, ModelRequest, ModelResponse, ToolCallRequest


class ReferenceMiddleware(AgentMiddleware[Any, Any, Any]):
    """Puts an agent's large tool results aside as they come, gives it `read_ref`, and counts what that saves.

    Put it behind what changes the prompt, so that it counts what is sent, and before a tool cache, which is to keep
    whole results.

    Args:
        references: Who keeps the results; None keeps them in memory.

    Example:
        >>> from langchain.agents import create_agent
        >>> from langchain_agentcost.testing import FakeMeteredChatModel
        >>> agent = create_agent(FakeMeteredChatModel(), middleware=[ReferenceMiddleware()])
    """

    def __init__(self, references: References | None = None) -> None:
        super().__init__()
        self.references = references or References()
        self.tools = [read_ref_tool(self.references)]

    def wrap_tool_call(self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Result]) -> Result:
        """Make a tool call, and its result short."""
        result: Result = self.references.wrap_tool_call(request, handler)
        return result

    async def awrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Awaitable[Result]]
    ) -> Result:
        """Make a tool call, and its result short."""
        result: Result = await self.references.awrap_tool_call(request, handler)
        return result

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any]:
        """Count what is sent."""
        self.references.count_prompt(request.messages)
        return handler(request)

    async def awrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]]
    ) -> ModelResponse[Any]:
        """Count what is sent."""
        await self.references.acount_prompt(request.messages)
        return await handler(request)
