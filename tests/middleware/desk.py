"""An agent to hold to limits: it looks an order up again and again until somebody stops it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from itertools import takewhile
from typing import Any

from langchain.agents import create_agent
from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

from langchain_agentcost import CostMeter
from langchain_agentcost.middleware import agentcost_middleware
from langchain_agentcost.prompt_tail import TAIL_ID
from langchain_agentcost.testing import FakeCounts, FakeMeteredChatModel
from tests.canned_provider import CannedProvider

COUNTS = FakeCounts(1_000, 500)
"""What a call of the desk's model consumes, unless its answer is capped."""

PRICE = Decimal("0.00125")
"""What that costs on gpt-5-mini: 1,000 x 0.25 + 500 x 2.00 $ per million tokens."""

NO_TOOLS: Mapping[str, Any] = {"tools": []}
"""An agent that only talks."""

QUESTION: Any = {"messages": "Where is my order?"}


class ObedientModel(FakeMeteredChatModel):
    """A model whose answers are never longer than `max_tokens`."""

    def _counted(self, messages: list[BaseMessage], answer: AIMessage, kwargs: Mapping[str, Any]) -> FakeCounts:
        counts = super()._counted(messages, answer, kwargs)
        return FakeCounts(counts.input_tokens, min(counts.output_tokens, kwargs.get("max_tokens", 128_000)))


@tool
def track(order: str) -> str:
    """Say where an order is."""
    return f"Order {order} is in Lyon."


def looks_again(messages: list[BaseMessage]) -> AIMessage:
    """Ask for another look, never for the same order."""
    order = len(messages)
    return AIMessage("", tool_calls=[{"name": "track", "args": {"order": str(order)}, "id": f"look-{order}"}])


def looks_twice(messages: list[BaseMessage]) -> AIMessage:
    """Ask for two looks, then answer."""
    said = [message for message in messages if message.id != TAIL_ID]
    turn = takewhile(lambda message: not isinstance(message, HumanMessage), reversed(said))
    done = sum(isinstance(message, ToolMessage) for message in turn) >= 2
    return AIMessage("It is in Lyon.") if done else looks_again(messages)


def model_of(
    answers: Callable[[list[BaseMessage]], AIMessage] | Sequence[str | AIMessage] = looks_again, **changes: Any
) -> ObedientModel:
    """A model with a price that consumes COUNTS."""
    return ObedientModel(**{"model": "gpt-5-mini", "counts": COUNTS, "answers": answers, **changes})


def agent_of(
    meter: CostMeter,
    model: BaseChatModel | None = None,
    *,
    before: Sequence[Any] = (),
    after: Sequence[Any] = (),
    options: Mapping[str, Any] | None = None,
    **middleware: Any,
) -> Any:
    """An agent with the middleware, other middleware before or after it, and further options of `create_agent`."""
    stack = [*before, *agentcost_middleware(meter, **middleware), *after]
    return create_agent(model or model_of(), **{"tools": [track], **(options or {})}, middleware=stack)


def openai(provider: CannedProvider, **fields: Any) -> ChatOpenAI:
    """OpenAI's model, served by the provider."""
    return ChatOpenAI(**{"model": "gpt-5-mini", "base_url": provider.openai_url, "api_key": "none", **fields})


def claude(provider: CannedProvider, **fields: Any) -> ChatAnthropic:
    """Anthropic's model, served by the provider."""
    return ChatAnthropic(**{"model": "claude-haiku-4-5", "base_url": provider.url, "api_key": "none", **fields})


def config_of(meter: CostMeter, **configurable: Any) -> Any:
    """The config of a run of the session s1."""
    return {"callbacks": meter.callbacks, "metadata": {"session": "s1"}, "configurable": configurable}


def last(state: Mapping[str, Any]) -> AIMessage:
    """The message that an agent ended with."""
    message = state["messages"][-1]
    assert isinstance(message, AIMessage)
    return message


def unanswered(state: Mapping[str, Any]) -> set[str | None]:
    """The tool calls of a history that no message answers: providers refuse such a history."""
    messages = state["messages"]
    asked = {call["id"] for message in messages if isinstance(message, AIMessage) for call in message.tool_calls}
    return asked - {message.tool_call_id for message in messages if isinstance(message, ToolMessage)}


def reserved(meter: CostMeter, scope: str = "session=s1") -> Decimal | int:
    """What is still reserved for the subject."""
    return sum((left.reserved for left in meter.remaining(scope)), start=Decimal(0))


def spent(meter: CostMeter, scope: str = "session=s1") -> Decimal | int:
    """What the subject spent of its first limit."""
    return meter.remaining(scope)[0].spent


def _streamed(agent: Any, config: Any) -> Any:
    return list(agent.stream(QUESTION, config, stream_mode="values"))[-1]


async def _astreamed(agent: Any, config: Any) -> Any:
    return [state async for state in agent.astream(QUESTION, config, stream_mode="values")][-1]


WAYS: Mapping[str, Callable[[Any, Any], Any]] = {
    "invoke": lambda agent, config: agent.invoke(QUESTION, config),
    "ainvoke": lambda agent, config: asyncio.run(agent.ainvoke(QUESTION, config)),
    "stream": _streamed,
    "astream": lambda agent, config: asyncio.run(_astreamed(agent, config)),
}
"""How an agent is asked."""
