"""The tool cache inside `langchain.agents.create_agent`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from importlib.util import find_spec
from typing import Any

from langchain_core.messages import ToolMessage
from langgraph.types import Command

from langchain_agentcost.caching.tool_cache import ToolCache
from langchain_agentcost.caching.tools import ToolCachePolicy
from langchain_agentcost.errors import MissingExtra

if find_spec("langchain") is None:
    raise MissingExtra("langchain", extra="agents", what="ToolCacheMiddleware")

from langchain.agents.middleware import AgentMiddleware, ToolCallRequest

Result = ToolMessage | Command[Any]


class ToolCacheMiddleware(AgentMiddleware[Any, Any, Any]):
    """Serves an agent's tool calls from a cache. Put it first: what is served must not be retried, or asked about.

    Args:
        cache: The cache, or policies by the tools' names for one in memory.

    Example:
        >>> from langchain.agents import create_agent
        >>> from langchain_agentcost.testing import FakeMeteredChatModel
        >>> middleware = ToolCacheMiddleware({"get_order": ToolCachePolicy("read", ttl_s=60)})
        >>> agent = create_agent(FakeMeteredChatModel(), middleware=[middleware])
    """

    def __init__(self, cache: ToolCache | Mapping[str, ToolCachePolicy]) -> None:
        super().__init__()
        self.cache = cache if isinstance(cache, ToolCache) else ToolCache(cache)

    def wrap_tool_call(self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Result]) -> Result:
        """Serve a tool call, or make it."""
        return self.cache.wrap_tool_call(request, handler)

    async def awrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Awaitable[Result]]
    ) -> Result:
        """Serve a tool call, or make it."""
        return await self.cache.awrap_tool_call(request, handler)
