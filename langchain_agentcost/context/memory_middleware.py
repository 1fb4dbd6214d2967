"""Working memory inside `langchain.agents.create_agent`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from importlib.util import find_spec
from typing import Annotated, Any, NotRequired

from langchain_agentcost.context.memory import MAX_MEMORY_TOKENS, Place, WorkingMemory, merge_memory, with_memory
from langchain_agentcost.context.memory_toolset import MEMORY_KEY, memory_tools
from langchain_agentcost.errors import MissingExtra

if find_spec("langchain") is None:
    raise MissingExtra("langchain", extra="agents", what="WorkingMemoryMiddleware")

from langchain.agents.middleware import AgentMiddleware, AgentState, ModelRequest, ModelResponse

from langchain_agentcost.context.layout_middleware import MarkBeforeTail

Request = ModelRequest[Any]
Response = ModelResponse[Any]


class WorkingMemoryState(AgentState[Any]):
    """An agent's state with working memory, which a caller may fill beforehand."""

    working_memory: NotRequired[Annotated[WorkingMemory, merge_memory]]


class WorkingMemoryMiddleware(AgentMiddleware[Any, Any, Any]):
    """Gives an agent working memory: a channel, two tools, and its notes at the end of each prompt.

    The notes are in the request only, never in the agent's messages. Put it behind what marks a prompt for Anthropic's
    cache (`AnthropicPromptCachingMiddleware`): the mark for the end of the prompt is then moved before the notes, which
    are other ones at the next call.

    Args:
        max_tokens: How long the notes may be in a prompt.
        place: Where they are said; "within" for models of Mistral, see `with_memory`.
        tools: Whether the model may change its notes; else only nodes and callers do.

    Example:
        >>> from langchain.agents import create_agent
        >>> from langchain_agentcost.testing import FakeMeteredChatModel
        >>> model = FakeMeteredChatModel()
        >>> agent = create_agent(model, middleware=[WorkingMemoryMiddleware()])
        >>> known = {"facts": {"size": "42"}}
        >>> state = agent.invoke({"messages": "Which size?", "working_memory": known})
        >>> "- size: 42" in model.prompts[0][-1].text, len(state["messages"])
        (True, 2)
    """

    state_schema = WorkingMemoryState

    def __init__(self, *, max_tokens: int = MAX_MEMORY_TOKENS, place: Place = "last", tools: bool = True) -> None:
        super().__init__()
        self.max_tokens = max_tokens
        self.place: Place = place
        self.tools = memory_tools() if tools else []
        self._mark = MarkBeforeTail()

    def wrap_model_call(self, request: Request, handler: Callable[[Request], Response]) -> Response:
        """Make the call with the notes at its end."""
        return self._mark.wrap_model_call(self._noted(request), handler)

    async def awrap_model_call(self, request: Request, handler: Callable[[Request], Awaitable[Response]]) -> Response:
        """Make the call with the notes at its end."""
        return await self._mark.awrap_model_call(self._noted(request), handler)

    def _noted(self, request: Request) -> Request:
        state: Mapping[str, Any] = request.state
        messages = with_memory(request.messages, state.get(MEMORY_KEY), max_tokens=self.max_tokens, place=self.place)
        return request.override(messages=messages)  # type: ignore[arg-type]  # the messages it had, and one of the user
