"""A budget holds inside create_agent, whose middleware retries, falls back and makes messages of errors."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import (
    AgentMiddleware,
    ModelFallbackMiddleware,
    ModelRetryMiddleware,
    ToolRetryMiddleware,
)
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolCall, ToolMessage
from langchain_core.tools import BaseTool, tool
from langgraph.checkpoint.memory import InMemorySaver

from langchain_agentcost.errors.limits import BudgetExceeded
from langchain_agentcost.limits.budget import Budget
from langchain_agentcost.testing import FakeMeteredChatModel
from tests.meter.halting.world import World, allowing, fake_model, world

ROUNDS = 3
"""How often the model asks for tools before it answers."""

ASKED: Any = {"messages": [HumanMessage("Where is my order?")]}


def asking(messages: list[BaseMessage], *, at_once: int = 1) -> AIMessage:
    """Ask for the tool three times, then answer."""
    rounds = sum(bool(getattr(message, "tool_calls", None)) for message in messages)
    if rounds >= ROUNDS:
        return AIMessage("It is on its way.")
    return AIMessage("", tool_calls=[_call(rounds, n) for n in range(at_once)])


def _call(rounds: int, number: int) -> ToolCall:
    return ToolCall(name="look_up", args={"order": f"{rounds}{number}"}, id=f"call-{rounds}-{number}", type="tool_call")


def patient(kind: type[Any]) -> Callable[[FakeMeteredChatModel], AgentMiddleware]:
    """A middleware that retries whatever it can."""
    return lambda _: kind(max_retries=2, retry_on=(Exception,), initial_delay=0.001, jitter=False)


MIDDLEWARE: dict[str, Callable[[FakeMeteredChatModel], AgentMiddleware]] = {
    "ModelRetryMiddleware": patient(ModelRetryMiddleware),
    "ToolRetryMiddleware": patient(ToolRetryMiddleware),
    "ModelFallbackMiddleware": ModelFallbackMiddleware,
}


class Agent:
    """An agent whose model and tool count their own calls.

    Args:
        middleware: What stands around them.
        is_async: Whether to drive it by ainvoke.
        inner: What the tool asks in turn; None for a tool that only counts.
        at_once: How many tools the model asks for at once.
    """

    def __init__(
        self, middleware: str, *, is_async: bool, inner: FakeMeteredChatModel | None = None, at_once: int = 1
    ) -> None:
        self.model = fake_model(answers=lambda messages: asking(messages, at_once=at_once))
        self.fallback = fake_model(answers=asking)
        self.inner = inner or fake_model()
        self.is_async = is_async
        self.looked_up: list[str] = []
        self.app = create_agent(
            self.model,
            [self._tool(inner)],
            middleware=[MIDDLEWARE[middleware](self.fallback)],
            checkpointer=InMemorySaver(),
        )

    @property
    def model_calls(self) -> int:
        """How many model calls were made, by the models' own counters."""
        return len(self.model.prompts) + len(self.fallback.prompts) + len(self.inner.prompts)

    def run(self, w: World, asked: Any = None) -> Any:
        """Run it, or resume it."""
        return asyncio.run(self.app.ainvoke(asked, w.config)) if self.is_async else self.app.invoke(asked, w.config)

    def _tool(self, inner: FakeMeteredChatModel | None) -> BaseTool:
        @tool
        def look_up(order: str) -> str:
            """Look an order up."""
            self.looked_up.append(order)
            return inner.invoke(order).text if inner is not None else "sent"

        return look_up


HOW = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
AROUND = pytest.mark.parametrize("middleware", MIDDLEWARE)


@HOW
@AROUND
@pytest.mark.parametrize("cap", [0, 2])
def test_model_calls_of_an_agent(middleware: str, cap: int, is_async: bool) -> None:
    """No middleware swallows the limit, retries it or asks another model; a resume pays what is missing."""
    with world(allowing(cap)) as w:
        agent = Agent(middleware, is_async=is_async)
        with pytest.raises(BudgetExceeded):
            agent.run(w, ASKED)
        assert agent.model_calls == cap
        w.allow_more(ROUNDS + 1 - cap)
        assert agent.run(w)["messages"][-1].text == "It is on its way."
        assert agent.model_calls == ROUNDS + 1
        assert (w.account.reserved, w.account.headroom) == (0, 0)


@HOW
@AROUND
@pytest.mark.parametrize("cap", [0, 2])
def test_tool_calls_of_an_agent(middleware: str, cap: int, is_async: bool) -> None:
    """A tool that is denied does not run, and the model is not handed an error message to work around."""
    with world(Budget(tool_calls=cap, tool="look_up", per="session")) as w:
        agent = Agent(middleware, is_async=is_async)
        with pytest.raises(BudgetExceeded):
            agent.run(w, ASKED)
        assert len(agent.looked_up) == cap
        said = agent.app.get_state(w.config).values["messages"]
        assert not [m for m in said if isinstance(m, ToolMessage) and m.status == "error"]
        w.allow_more(ROUNDS - cap)
        assert agent.run(w)["messages"][-1].text == "It is on its way."
        assert len(agent.looked_up) == ROUNDS


@HOW
@AROUND
def test_tools_at_once(middleware: str, is_async: bool) -> None:
    """Of four tool calls at once two run, are kept, and are not run again when the other two may."""
    with world(Budget(tool_calls=2, per="session")) as w:
        agent = Agent(middleware, is_async=is_async, at_once=4)
        with pytest.raises(BudgetExceeded):
            agent.run(w, ASKED)
        assert len(agent.looked_up) == 2
        w.allow_more(4 * ROUNDS - 2)
        agent.run(w)
        assert len(agent.looked_up) == len({*agent.looked_up}) == 4 * ROUNDS


@HOW
@AROUND
def test_a_model_inside_a_tool_of_an_agent(middleware: str, is_async: bool) -> None:
    """The limit that a tool's own model runs into goes through the tool, the tool node and all middleware."""
    with world(allowing(1)) as w:
        agent = Agent(middleware, is_async=is_async, inner=fake_model())
        with pytest.raises(BudgetExceeded):
            agent.run(w, ASKED)
        assert (agent.model_calls, len(agent.inner.prompts)) == (1, 0)
