"""The model cache inside `langchain.agents.create_agent`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from typing import Any

from langchain_core.messages import AIMessage
from langchain_core.runnables.config import ensure_config

from langchain_agentcost.caching.ask import Ask
from langchain_agentcost.caching.semantic import SemanticCache
from langchain_agentcost.caching.serving import athrough, through
from langchain_agentcost.errors import MissingExtra

if find_spec("langchain") is None:
    raise MissingExtra("langchain", extra="agents", what="ModelCacheMiddleware")

from langchain.agents.middleware import AgentMiddleware, ModelRequest, ModelResponse

from langchain_agentcost.caching.structured import described, response_of

Request = ModelRequest[Any]
Response = ModelResponse[Any]


class ModelCacheMiddleware(AgentMiddleware[Any, Any, Any]):
    """Puts a cache before an agent's model calls.

    Put it behind middleware that changes what is asked, such as a dynamic prompt, and before what repeats, replaces or
    limits calls: a hit then needs neither retries nor a budget. `[*prompts, ModelCacheMiddleware(…), *limits]`.

    What comes after it may answer with another model, a fallback or a cheaper one: that answer is kept as the model's
    that was asked. An answer that no model gave, such as that a budget is reached, is not kept, and neither is
    structured output that did not parse.

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
            return _answer(made[0], request)

        message = through(self.cache, _ask(request), call)
        return made[0] if made else response_of(message, request.response_format)

    async def awrap_model_call(self, request: Request, handler: Callable[[Request], Awaitable[Response]]) -> Response:
        """Answer a model call from the cache, or make it, in async code."""
        made: list[Response] = []

        async def call() -> AIMessage:
            made.append(await handler(request))
            return _answer(made[0], request)

        message = await athrough(self.cache, _ask(request), call)
        return made[0] if made else response_of(message, request.response_format)


def _ask(request: Request) -> Ask:
    messages = [*([request.system_message] if request.system_message is not None else []), *request.messages]
    sent = {
        **request.model_settings,
        "tools": request.tools,
        "tool_choice": request.tool_choice,
        "response_format": described(request.response_format),
        "agent": ensure_config().get("metadata", {}).get("lc_agent_name"),  # it signs its messages
    }
    return Ask.of(request.model, messages, sent)


def _answer(response: Response, request: Request) -> AIMessage:
    """The model's own message, without its id where it is not to be kept: structured output that did not come of it."""
    message = next((one for one in response.result if isinstance(one, AIMessage)), AIMessage(""))
    missing = request.response_format is not None and response.structured_response is None
    broken = missing and (len(response.result) > 1 or not message.tool_calls)
    return message.model_copy(update={"id": None}) if broken else message
