"""Graphs that call a model four times (64 times where they fan out), and every way to drive them."""

from __future__ import annotations

import asyncio
import operator
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Annotated, Any, TypedDict

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolCall
from langchain_core.runnables import RunnableConfig, RunnableParallel
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import NodeError
from langgraph.graph import END, START, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import RetryPolicy, Send

from tests.meter.halting.model_doors import settled
from tests.meter.halting.world import World

CALLS = 4
FAN_OUT = 64


class State(TypedDict):
    """What the graphs keep: every answer that was paid."""

    messages: Annotated[list[AnyMessage], operator.add]


@dataclass(frozen=True, slots=True)
class Shape:
    """A graph.

    Args:
        build: Makes it, with sync or async nodes.
        calls: How many calls it makes.
        keeps: Whether paid siblings are kept: False where they are inside one node, which is run again as a whole.
    """

    build: Callable[[World, bool], StateGraph[State]]
    calls: int = CALLS
    keeps: bool = True

    def compiled(self, world: World, *, is_async: bool) -> Any:
        """The graph, with a checkpointer."""
        return self.build(world, is_async).compile(checkpointer=InMemorySaver())


def node(world: World, *, is_async: bool) -> Any:
    """A node that calls the model once."""

    def work(state: State) -> dict[str, Any]:
        return {"messages": [world.model.invoke("Hi")]}

    async def awork(state: State) -> dict[str, Any]:
        return {"messages": [await world.model.ainvoke("Hi")]}

    return awork if is_async else work


def _more(state: State) -> str:
    answers = [message for message in state["messages"] if isinstance(message, AIMessage)]
    return "work" if len(answers) < CALLS else END


def _loop(world: World, is_async: bool, **of_node: Any) -> StateGraph[State]:
    graph = StateGraph(State).add_node("work", node(world, is_async=is_async), **of_node)
    return graph.add_edge(START, "work").add_conditional_edges("work", _more)


def _retried(world: World, is_async: bool) -> StateGraph[State]:
    policy = RetryPolicy(initial_interval=0.001, jitter=False, max_attempts=3, retry_on=lambda _: True)
    return _loop(world, is_async, retry_policy=policy)


def _handled(world: World, is_async: bool) -> StateGraph[State]:
    def handle(state: State, error: NodeError) -> dict[str, Any]:
        raise AssertionError(f"a limit was handed to the error handler: {error}")

    return _loop(world, is_async, error_handler=handle)


def _fan_out(world: World, is_async: bool) -> StateGraph[State]:
    graph = StateGraph(State).add_node("work", node(world, is_async=is_async))
    return graph.add_conditional_edges(START, lambda _: [Send("work", {"messages": []})] * FAN_OUT, ["work"])


def _side_by_side(world: World, is_async: bool) -> StateGraph[State]:
    graph = StateGraph(State)
    for number in range(CALLS):
        graph.add_node(f"work{number}", node(world, is_async=is_async)).add_edge(START, f"work{number}")
    return graph


def _subgraph(world: World, is_async: bool) -> StateGraph[State]:
    return StateGraph(State).add_node("inner", _loop(world, is_async).compile()).add_edge(START, "inner")


def _asked(*names: str) -> AIMessage:
    calls = [
        ToolCall(name=name, args={"text": str(n)}, id=f"call-{n}", type="tool_call") for n, name in enumerate(names)
    ]
    return AIMessage("", tool_calls=calls)


def _model_in_a_tool(world: World, is_async: bool) -> StateGraph[State]:
    @tool
    def research(text: str) -> str:
        """Ask the model."""
        return str(world.model.invoke(text).content)

    @tool("research")
    async def aresearch(text: str) -> str:
        """Ask the model."""
        return str((await world.model.ainvoke(text)).content)

    tools = ToolNode([aresearch if is_async else research], handle_tool_errors=True)
    return _tools(tools, "research")


def _agent_in_a_tool(world: World, is_async: bool) -> StateGraph[State]:
    inner = StateGraph(State).add_node("think", node(world, is_async=is_async)).add_edge(START, "think").compile()

    @tool
    def delegate(text: str) -> str:
        """Ask another agent."""
        return str(inner.invoke({"messages": [HumanMessage(text)]})["messages"][-1].content)

    @tool("delegate")
    async def adelegate(text: str) -> str:
        """Ask another agent."""
        return str((await inner.ainvoke({"messages": [HumanMessage(text)]}))["messages"][-1].content)

    tools = ToolNode([adelegate if is_async else delegate], handle_tool_errors=True)
    return _tools(tools, "delegate")


def _tools(tools: ToolNode, name: str) -> StateGraph[State]:
    """Four tool calls, each a task of its own, as create_agent runs them."""
    graph = (
        StateGraph(State).add_node("ask", lambda _: {"messages": [_asked(*[name] * CALLS)]}).add_node("tools", tools)
    )

    def each(state: State) -> list[Send]:
        return [Send("tools", [call]) for call in state["messages"][-1].tool_calls]  # type: ignore[union-attr]

    return graph.add_edge(START, "ask").add_conditional_edges("ask", each, ["tools"])


def _pool(world: World, is_async: bool) -> StateGraph[State]:
    def work(state: State, config: RunnableConfig) -> dict[str, Any]:
        with ThreadPoolExecutor(CALLS) as pool:
            return {"messages": list(pool.map(lambda _: world.model.invoke("Hi", config), range(CALLS)))}

    async def awork(state: State) -> dict[str, Any]:
        return {"messages": list(await asyncio.gather(*[world.model.ainvoke("Hi") for _ in range(CALLS)]))}

    return StateGraph(State).add_node("work", awork if is_async else work).add_edge(START, "work")


def _parallel(world: World, is_async: bool) -> StateGraph[State]:
    each = RunnableParallel({str(n): world.model for n in range(CALLS)})

    def work(state: State) -> dict[str, Any]:
        return {"messages": list(each.invoke("Hi").values())}

    async def awork(state: State) -> dict[str, Any]:
        return {"messages": list((await each.ainvoke("Hi")).values())}

    return StateGraph(State).add_node("work", awork if is_async else work).add_edge(START, "work")


SHAPES: dict[str, Shape] = {
    "loop": Shape(_loop),
    "node RetryPolicy": Shape(_retried),
    "node error_handler": Shape(_handled),
    "branches": Shape(_side_by_side),
    "Send x 64": Shape(_fan_out, calls=FAN_OUT),
    "subgraph": Shape(_subgraph),
    "model in a tool": Shape(_model_in_a_tool),
    "sub-agent in a tool": Shape(_agent_in_a_tool),
    "pool or gather in a node": Shape(_pool, keeps=False),
    "RunnableParallel in a node": Shape(_parallel, keeps=False),
}

Drive = Callable[[Any, Any, Any], Any]


def _adrive(call: Callable[[Any, Any, Any], Any]) -> Drive:
    return lambda app, asked, config: asyncio.run(settled(call(app, asked, config)))


async def _consumed(stream: Any) -> None:
    async for _ in stream:
        pass


async def _ainvoke(app: Any, asked: Any, config: Any) -> None:
    await app.ainvoke(asked, config)


async def _astream(app: Any, asked: Any, config: Any) -> None:
    await _consumed(app.astream(asked, config, stream_mode="updates"))


async def _astream_messages(app: Any, asked: Any, config: Any) -> None:
    await _consumed(app.astream(asked, config, stream_mode="messages"))


async def _astream_events(app: Any, asked: Any, config: Any) -> None:
    await _consumed(app.astream_events(asked, config, version="v2"))


async def _astream_events_v3(app: Any, asked: Any, config: Any) -> None:
    await _consumed(await app.astream_events(asked, config, version="v3"))


SYNC: dict[str, Drive] = {
    "invoke": lambda app, asked, config: app.invoke(asked, config),
    "stream updates": lambda app, asked, config: list(app.stream(asked, config, stream_mode="updates")),
    "stream messages": lambda app, asked, config: list(app.stream(asked, config, stream_mode="messages")),
    "stream_events v3": lambda app, asked, config: list(app.stream_events(asked, config, version="v3")),
}

ASYNC: dict[str, Drive] = {
    "ainvoke": _adrive(_ainvoke),
    "astream updates": _adrive(_astream),
    "astream messages": _adrive(_astream_messages),
    "astream_events v2": _adrive(_astream_events),
    "astream_events v3": _adrive(_astream_events_v3),
}
