"""The model cache inside `langchain.agents.create_agent`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from importlib.util import find_spec
from typing import Any, Self

from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable, RunnableConfig
from pydantic import TypeAdapter

from langchain_agentcost.caching.ask import Ask
from langchain_agentcost.caching.semantic import SemanticCache
from langchain_agentcost.caching.serving import athrough, through
from langchain_agentcost.errors import MissingExtra

if find_spec("langchain") is None:
    raise MissingExtra("langchain", extra="agents", what="ModelCacheMiddleware")

from langchain.agents.middleware import AgentMiddleware, ModelRequest, ModelResponse

Request = ModelRequest[Any]
Response = ModelResponse[Any]


class ModelCacheMiddleware(AgentMiddleware[Any, Any, Any]):
    """Puts a cache before an agent's model calls. Put it first: a hit then needs neither retries nor a budget.

    Args:
        cache: The cache; many agents may share one.

    Example:
        >>> from langchain.agents import create_agent
        >>> from langchain_agentcost.testing import FakeMeteredChatModel
        >>> model = FakeMeteredChatModel()
        >>> cache = SemanticCache(embeddings=False, scope="global")
        >>> agent = create_agent(model, middleware=[ModelCacheMiddleware(cache)])
        >>> runs = [agent.invoke({"messages": "What is a refund?"}) for _ in range(2)]
        >>> len(model.prompts), cache.counts["exact"]
        (1, 1)
    """

    def __init__(self, cache: SemanticCache) -> None:
        super().__init__()
        self.cache = cache

    def wrap_model_call(self, request: Request, handler: Callable[[Request], Response]) -> Response:
        """Answer a model call from the cache, or make it."""
        made: list[Response] = []

        def call() -> AIMessage:
            made.append(handler(request))
            return _answer(made[0])

        message = through(self.cache, _ask(request), call)
        if made:
            return made[0]
        return _response(message) if request.response_format is None else handler(_saying(request, message))

    async def awrap_model_call(self, request: Request, handler: Callable[[Request], Awaitable[Response]]) -> Response:
        """Answer a model call from the cache, or make it, in async code."""
        made: list[Response] = []

        async def call() -> AIMessage:
            made.append(await handler(request))
            return _answer(made[0])

        message = await athrough(self.cache, _ask(request), call)
        if made:
            return made[0]
        return _response(message) if request.response_format is None else await handler(_saying(request, message))


class _Saying(Runnable[Any, AIMessage]):
    """A model that says what it was given, so that the agent itself makes structured output of a cached answer."""

    def __init__(self, model: Any, message: AIMessage) -> None:
        self.profile = getattr(model, "profile", None)
        self._message = message

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Self:
        """Stay as it is."""
        return self

    def bind(self, **kwargs: Any) -> Self:
        """Stay as it is."""
        return self

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> AIMessage:  # noqa: A002  # LangChain's name
        """Say it."""
        return self._message


def _saying(request: Request, message: AIMessage) -> Request:
    model: Any = _Saying(request.model, message)
    return request.override(model=model)


def _ask(request: Request) -> Ask:
    messages = [*([request.system_message] if request.system_message is not None else []), *request.messages]
    sent = {
        **request.model_settings,
        "tools": request.tools,
        "tool_choice": request.tool_choice,
        "response_format": _format(request.response_format),
    }
    return Ask.of(request.model, messages, sent)


def _format(wanted: Any) -> Any:
    """Structured output as it can be compared: how it is asked for, and its JSON schema."""
    if wanted is None or isinstance(wanted, dict):
        return wanted
    schema = getattr(wanted, "schema", wanted)
    described = schema if isinstance(schema, dict) else TypeAdapter(schema).json_schema()
    return {"strategy": type(wanted).__name__ if schema is not wanted else "auto", "schema": described}


def _answer(response: Response) -> AIMessage:
    """The model's own message; tool messages beside it are made of it."""
    return next(message for message in response.result if isinstance(message, AIMessage))


def _response(message: AIMessage) -> Response:
    return ModelResponse(result=[message])
