"""The cache-safe layout inside `langchain.agents.create_agent`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from importlib.util import find_spec
from typing import Any, Literal

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.tools import BaseTool

from langchain_agentcost.context.layout import lay_out
from langchain_agentcost.context.lint.schemas import lean_schema, reads_type_lists
from langchain_agentcost.context.lint.stable import stable_schema
from langchain_agentcost.context.lint.tool_parts import described, name_of, parameters_of
from langchain_agentcost.errors import MissingExtra
from langchain_agentcost.prompt_tail import TAIL_ID

if find_spec("langchain") is None:
    raise MissingExtra("langchain", extra="agents", what="CacheSafeLayout")

from langchain.agents.middleware import AgentMiddleware, ModelRequest, ModelResponse

Request = ModelRequest[Any]
Response = ModelResponse[Any]
Tool = BaseTool | dict[str, Any]


def cache_safe_layout(
    *, lean: bool = True, varying: Collection[str] = (), ttl: Literal["5m", "1h"] = "5m"
) -> list[AgentMiddleware[Any, Any, Any]]:
    """Make the middleware that lays an agent's prompts out for the provider's prompt cache. Put it last.

    Anthropic caches only what is marked. The marks are langchain-anthropic's own (`AnthropicPromptCachingMiddleware`,
    where that package is installed): this only sees to it that the one for the end of the prompt stands before what
    changes. Leave the middleware out of your own list, or it marks twice.

    Args:
        lean: Whether tools are described in fewer tokens, with the same information.
        varying: Texts that are known to change from call to call; see `templated`.
        ttl: How long Anthropic is asked to keep the prefix.

    Returns:
        The middleware, for the end of `create_agent(middleware=…)`: what comes behind it could put something else last.

    Example:
        >>> from langchain.agents import create_agent
        >>> from langchain_agentcost.testing import FakeMeteredChatModel
        >>> agent = create_agent(
        ...     FakeMeteredChatModel(), system_prompt="Today is 2026-11-30.", middleware=cache_safe_layout()
        ... )
        >>> len(agent.invoke({"messages": "Where is my order?"})["messages"])
        2
    """
    made: list[AgentMiddleware[Any, Any, Any]] = [CacheSafeLayout(lean=lean, varying=varying)]
    if find_spec("langchain_anthropic") is not None:
        # Only here: it is no dependency, and its import takes a second.
        from langchain_anthropic.middleware import AnthropicPromptCachingMiddleware  # noqa: PLC0415

        made += [AnthropicPromptCachingMiddleware(ttl=ttl, unsupported_model_behavior="ignore"), MarkBeforeTail()]
    return made


class CacheSafeLayout(AgentMiddleware[Any, Any, Any]):
    """Lays out each request: `lay_out` for its messages, tools in one order with their keys in one order.

    The tail that says what changes is in the request only, never in the agent's state. Tools stay LangChain tools,
    with another schema: what runs them is not touched.

    Args:
        lean: Whether tools are described in fewer tokens, with the same information.
        varying: Texts that are known to change from call to call; see `templated`.
    """

    def __init__(self, *, lean: bool = True, varying: Collection[str] = ()) -> None:
        super().__init__()
        self._lean = lean
        self._varying = frozenset(varying)
        self._known: tuple[Sequence[Tool], bool, list[Tool]] = ((), False, [])

    def wrap_model_call(self, request: Request, handler: Callable[[Request], Response]) -> Response:
        """Make the call with the prompt laid out."""
        return handler(self._laid_out(request))

    async def awrap_model_call(self, request: Request, handler: Callable[[Request], Awaitable[Response]]) -> Response:
        """Make the call with the prompt laid out."""
        return await handler(self._laid_out(request))

    def _laid_out(self, request: Request) -> Request:
        system = [request.system_message] if request.system_message is not None else []
        made = lay_out([*system, *request.messages], varying=self._varying)
        return request.override(
            system_message=made.system,
            messages=made.history,  # type: ignore[arg-type]  # the messages it had, and one of the user
            tools=self._tools(request.tools, request.model),
        )

    def _tools(self, tools: Sequence[Tool], model: BaseChatModel) -> list[Tool]:
        """The tools in order; those of the call before are known again, as the schemas of an agent seldom change."""
        portable = not reads_type_lists(model._llm_type)  # noqa: SLF001  # LangChain's own
        before, same, made = self._known
        if (
            portable is not same
            or len(before) != len(tools)
            or any(a is not b for a, b in zip(before, tools, strict=True))
        ):
            made = sorted((self._tool(tool, portable=portable) for tool in tools), key=_name)
            self._known = (list(tools), portable, made)
        return made

    def _tool(self, tool: Tool, *, portable: bool) -> Tool:
        """A tool whose schema is in order. One that cannot be described in one way for all providers stays as it is."""
        if isinstance(tool, dict):
            return self._ordered(tool, portable=portable)
        told = described(tool) if tool.args_schema is not None else None
        parameters = parameters_of(told) if told is not None else {}
        if told is None or not parameters or "provider_tool_definition" in (tool.extras or {}):
            return tool
        made = self._ordered(told, portable=portable)
        update = {"args_schema": dict(parameters_of(made)), "description": made["function"].get("description", "")}
        return tool.model_copy(update=update)

    def _ordered(self, tool: Mapping[str, Any], *, portable: bool) -> dict[str, Any]:
        return stable_schema(lean_schema(tool, portable=portable) if self._lean else tool)


class MarkBeforeTail(AgentMiddleware[Any, Any, Any]):
    """Puts langchain-anthropic's mark for the end of the prompt before the tail, which is another one at each call.

    It stands behind `AnthropicPromptCachingMiddleware`. Without a tail, or without a mark, it does nothing.
    """

    def wrap_model_call(self, request: Request, handler: Callable[[Request], Response]) -> Response:
        """Make the call with the mark before the tail."""
        return handler(_marked_before_tail(request))

    async def awrap_model_call(self, request: Request, handler: Callable[[Request], Awaitable[Response]]) -> Response:
        """Make the call with the mark before the tail."""
        return await handler(_marked_before_tail(request))


def _marked_before_tail(request: Request) -> Request:
    mark = request.model_settings.get("cache_control")
    messages = list(request.messages)
    if mark is None or len(messages) < 2 or messages[-1].id != TAIL_ID:
        return request
    marked = _marked(messages[-2], mark)
    if marked is messages[-2]:  # it has no place for a mark
        return request
    messages[-2] = marked
    settings = {name: value for name, value in request.model_settings.items() if name != "cache_control"}
    return request.override(messages=messages, model_settings=settings)


def _marked(message: BaseMessage, mark: Mapping[str, Any]) -> Any:
    content = [{"type": "text", "text": message.content}] if isinstance(message.content, str) else message.content
    if not message.content or not isinstance(content[-1], dict):
        return message
    return message.model_copy(update={"content": [*content[:-1], {**content[-1], "cache_control": mark}]})


def _name(tool: Tool) -> str:
    return name_of(tool) if isinstance(tool, dict) else tool.name
