from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from typing import Annotated, Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool, InjectedToolCallId, StructuredTool, ToolException, tool
from langchain_core.utils.function_calling import convert_to_openai_tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import InjectedState, ToolNode, ToolRuntime
from langgraph.types import Command, Send, interrupt

from langchain_agentcost.caching.tool_cache import ToolCache
from langchain_agentcost.caching.tools import ToolCachePolicy
from langchain_agentcost.caching.wrapped_tool import CachedTool, cached_tool
from langchain_agentcost.errors import CacheError
from langchain_agentcost.saving import CACHE_HIT, CacheHit


class Events(BaseCallbackHandler):
    """Hears tools and hits."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.hits: list[CacheHit] = []

    def on_tool_start(self, serialized: dict[str, Any], input_str: str, **kwargs: Any) -> None:
        """A tool runs."""
        self.heard.append(f"start {serialized['name']}")

    def on_tool_end(self, output: Any, **kwargs: Any) -> None:
        """A tool has run."""
        self.heard.append("end")

    def on_tool_error(self, error: BaseException, **kwargs: Any) -> None:
        """A tool failed."""
        self.heard.append("error")

    def on_custom_event(self, name: str, data: Any, **kwargs: Any) -> None:
        """A hit."""
        if name == CACHE_HIT:
            self.hits.append(CacheHit.from_event(data))


class Shop:
    """A world with one number in it."""

    def __init__(self) -> None:
        self.left = 7
        self.asked = 0

    def stock(self, item: str, most: int = 9) -> str:
        """Say how many there are."""
        self.asked += 1
        return f"{min(self.left, most)} {item}"

    def sell(self, item: str) -> str:
        """Sell one."""
        self.left -= 1
        return f"sold {item}"


def asks(name: str, call_id: str = "c1", **args: Any) -> dict[str, Any]:
    """A tool call."""
    return {"name": name, "args": args, "id": call_id, "type": "tool_call"}


def graph_of(tools: list[Any], **given: Any) -> Any:
    """A graph that runs the calls of its last message."""
    builder = StateGraph(MessagesState).add_node("tools", ToolNode(tools))
    return builder.add_edge(START, "tools").compile(**given)


def said(*calls: dict[str, Any]) -> dict[str, Any]:
    """An input whose last message asks for tools."""
    return {"messages": [AIMessage("", tool_calls=list(calls))]}


def answers(result: dict[str, Any]) -> list[tuple[str, Any]]:
    """What the tools said, with the ids of their calls."""
    return [(m.tool_call_id, m.content) for m in result["messages"] if isinstance(m, ToolMessage)]


SESSION: RunnableConfig = {"metadata": {"tenant": "acme", "session": "s1"}}


@pytest.fixture
def shop() -> Shop:
    """A world."""
    return Shop()


@pytest.fixture
def stock(shop: Shop) -> CachedTool:
    """A read of it, kept for a session."""
    return cached_tool(shop.stock, effect="read", scope="session", cache=ToolCache())


def test_a_cached_tool_is_described_as_the_tool_is(shop: Shop, stock: CachedTool) -> None:
    """Models see the same name, description and schema."""
    plain = tool(shop.stock)
    assert convert_to_openai_tool(stock) == convert_to_openai_tool(plain)
    assert stock.args == plain.args
    assert stock.get_input_jsonschema() == plain.get_input_jsonschema()


def test_it_serves_what_was_asked_before(shop: Shop, stock: CachedTool) -> None:
    """By arguments or by a tool call, each in its own form."""
    for _ in range(2):
        assert stock.invoke({"item": "lamp"}, SESSION) == "7 lamp"
    for call_id in ("c1", "c2"):
        assert stock.invoke(asks("stock", call_id, item="lamp"), SESSION).tool_call_id == call_id
    assert shop.asked == 2
    assert stock.run({"item": "lamp"}, metadata=SESSION["metadata"], config=SESSION) == "7 lamp"
    assert shop.asked == 2


async def test_it_serves_async_what_was_asked_before(shop: Shop, stock: CachedTool) -> None:
    """A sync tool from async code, and both ways into one cache."""
    assert [await stock.ainvoke({"item": "lamp"}, SESSION) for _ in range(2)] == ["7 lamp", "7 lamp"]
    assert await stock.arun({"item": "lamp"}, config=SESSION) == "7 lamp"
    assert stock.invoke({"item": "lamp"}, SESSION) == "7 lamp"
    assert shop.asked == 1


async def test_a_coroutine_can_be_cached() -> None:
    """Of 8 equal calls at the same time one is made."""
    made = []

    @cached_tool(effect="pure", scope="global")
    async def slow(n: int) -> int:
        """Wait."""
        made.append(n)
        await asyncio.sleep(0.01)
        return n

    assert await asyncio.gather(*(slow.ainvoke({"n": 4}) for _ in range(8))) == [4] * 8
    assert made == [4]


def test_events_are_the_tools_own_on_a_miss_and_none_on_a_hit(shop: Shop, stock: CachedTool) -> None:
    """A meter that counts tool calls counts those that were made, once."""
    cached, plain = Events(), Events()
    graph = graph_of([stock])
    for call_id in ("c1", "c2"):
        graph.invoke(said(asks("stock", call_id, item="lamp")), {**SESSION, "callbacks": [cached]})
    graph_of([shop.stock]).invoke(said(asks("stock", item="lamp")), {"callbacks": [plain]})
    assert cached.heard == plain.heard == ["start stock", "end"]
    assert [[call.tool for call in hit.spared] for hit in cached.hits] == [["stock"]]


def test_errors_are_raised_and_handled_as_the_tool_does_it() -> None:
    """What is handled becomes a message, and is not kept."""
    made = []

    def fail(item: str) -> str:
        """Fail."""
        made.append(item)
        raise ToolException("503")

    inner = StructuredTool.from_function(fail, handle_tool_error=True)
    failing = cached_tool(inner, effect="read", scope="session", cache=ToolCache())
    messages = [failing.invoke(asks("fail", item="lamp"), SESSION) for _ in range(2)]
    assert [(message.content, message.status) for message in messages] == [("503", "error")] * 2
    assert len(made) == 2
    with pytest.raises(ToolException):
        cached_tool(fail, effect="read", cache=ToolCache()).invoke({"item": "lamp"})


def test_arguments_that_the_tool_refuses_are_refused(stock: CachedTool) -> None:
    """The error is the tool's own."""
    graph = graph_of([stock])
    result = graph.invoke(said(asks("stock")), SESSION)
    assert "item" in answers(result)[0][1]


@pytest.mark.parametrize("arguments", [{"effect": "read"}, {}, {"effect": "write"}, {"effect": "read", "ttl_s": 9}])
def test_a_tool_that_is_not_pure_needs_the_cache_of_its_graph(arguments: dict[str, Any]) -> None:
    """A cache of its own would see no write."""
    with pytest.raises(CacheError, match="see every write"):
        cached_tool(**arguments)


def test_a_policy_without_an_effect_is_refused() -> None:
    """A time to live alone does not say what the tool does."""
    with pytest.raises(CacheError, match="ttl_s mean nothing"):
        cached_tool(cache=ToolCache(), ttl_s=5)


def test_without_an_effect_the_cache_decides(shop: Shop) -> None:
    """By its policies; what has none is a write, and ends reads."""
    cache = ToolCache({"stock": ToolCachePolicy("read", scope="session")})
    stock, sell = cached_tool(shop.stock, cache=cache), cached_tool(shop.sell, cache=cache)
    seen = [stock.invoke({"item": "lamp"}, SESSION) for _ in range(2)]
    sell.invoke({"item": "lamp"}, SESSION)
    assert [*seen, stock.invoke({"item": "lamp"}, SESSION)] == ["7 lamp", "7 lamp", "6 lamp"]


def test_a_write_of_the_same_cache_ends_reads(shop: Shop) -> None:
    """In one message, and over runs of a session."""
    cache = ToolCache()
    stock = cached_tool(shop.stock, effect="read", scope="session", tags=("stock:{item}",), cache=cache)
    sell = cached_tool(shop.sell, effect="write", tags=("stock:{item}",), cache=cache)
    graph = graph_of([stock, sell])
    lamp, chair = asks("stock", "c1", item="lamp"), asks("stock", "c2", item="chair")
    graph.invoke(said(lamp, chair), SESSION)
    graph.invoke(said(asks("sell", "c3", item="lamp")), SESSION)
    assert answers(graph.invoke(said(lamp, chair), SESSION)) == [("c1", "6 lamp"), ("c2", "7 chair")]
    assert shop.asked == 3


def _wants_state(customer: Annotated[str, InjectedState("customer")], item: str) -> str:
    """Look."""
    return f"{customer} {item}"


def _wants_runtime(item: str, runtime: ToolRuntime) -> str:
    """Look."""
    return f"{runtime.state['customer']} {item}"


class CustomerState(MessagesState):
    """A state with a customer in it."""

    customer: str


@pytest.mark.parametrize(
    ("function", "policy"),
    [(_wants_state, {}), (_wants_runtime, {"vary_on": ("state.customer",)}), (_wants_runtime, {})],
)
def test_injected_arguments_reach_the_tool_and_the_key(function: Callable[..., Any], policy: dict[str, Any]) -> None:
    """Two customers never share what depends on the customer."""
    made: list[str] = []
    inner = StructuredTool.from_function(function, name="look")
    inner.func = _counted(function, made)
    cached = cached_tool(inner, effect="read", scope="session", cache=ToolCache(), **policy)
    builder = StateGraph(CustomerState).add_node("tools", ToolNode([cached]))
    graph: Any = builder.add_edge(START, "tools").compile()
    for customer in ("ann", "bob", "ann"):
        result = graph.invoke({**said(asks("look", item="lamp")), "customer": customer}, SESSION)
        assert answers(result) == [("c1", f"{customer} lamp")]
    assert len(made) == (3 if function is _wants_runtime and not policy else 2)


def _counted(function: Callable[..., Any], made: list[str]) -> Callable[..., Any]:
    @wraps(function)
    def counting(*args: Any, **kwargs: Any) -> Any:
        made.append("call")
        return function(*args, **kwargs)

    return counting


def test_commands_pass_through() -> None:
    """A tool that changes the state is run each time, with its own call's id."""

    def move(call_id: Annotated[str, InjectedToolCallId]) -> Command[Any]:
        """Move."""
        return Command(update={"messages": [ToolMessage("moved", tool_call_id=call_id)]})

    graph = graph_of([cached_tool(move, effect="read", scope="session", cache=ToolCache())])
    seen = [answers(graph.invoke(said(asks("move", call_id)), SESSION)) for call_id in ("c1", "c2")]
    assert seen == [[("c1", "moved")], [("c2", "moved")]]


def test_artifacts_of_retrievers_are_served() -> None:
    """Documents come back as documents."""

    @tool(response_format="content_and_artifact")
    def retrieve(text: str) -> tuple[str, list[Document]]:
        """Look up."""
        return text, [Document(text, metadata={"made": len(made)})]

    made: list[str] = []
    cached = cached_tool(retrieve, effect="read", scope="session", cache=ToolCache())
    first, second = (cached.invoke(asks("retrieve", call_id, text="lamp"), SESSION) for call_id in ("c1", "c2"))
    assert second.artifact == first.artifact == [Document("lamp", metadata={"made": 0})]
    assert "agentcost_cache" in second.response_metadata


def test_a_fan_out_asks_once_and_knows_its_run(shop: Shop) -> None:
    """Eight branches by Send, one call; the next run asks again, since the scope is the run."""
    cache = ToolCache()
    stock = cached_tool(shop.stock, effect="read", cache=cache)
    node = ToolNode([stock])
    builder = StateGraph(MessagesState).add_node("tools", node)
    calls = [asks("stock", f"c{number}", item="lamp") for number in range(8)]
    builder.add_conditional_edges(START, lambda state: [Send("tools", [call]) for call in calls], ["tools"])
    graph = builder.compile()
    assert sorted(answers(graph.invoke({"messages": []}))) == [(call["id"], "7 lamp") for call in calls]
    assert shop.asked == 1
    graph.invoke({"messages": []})
    assert shop.asked == 2
    assert cache.counts["hits"] == 14


def test_subgraphs_and_their_parents_are_one_run(shop: Shop) -> None:
    """What the parent read, its subgraph is served."""
    stock = cached_tool(shop.stock, effect="read", cache=ToolCache())
    inner = graph_of([stock])
    builder = StateGraph(MessagesState).add_node("tools", ToolNode([stock])).add_node("inner", inner)
    ask = said(asks("stock", item="lamp"))
    builder.add_node("ask", lambda state: ask)
    graph: Any = builder.add_edge(START, "tools").add_edge("tools", "ask").add_edge("ask", "inner").compile()
    assert len(answers(graph.invoke(ask))) == 2
    assert shop.asked == 1


def test_threads_share_a_cache(shop: Shop, stock: CachedTool) -> None:
    """Runs in eight threads of one session."""
    graph = graph_of([stock])
    with ThreadPoolExecutor(8) as pool:
        results = pool.map(lambda n: graph.invoke(said(asks("stock", f"c{n}", item="lamp")), SESSION), range(8))
        assert [answers(result) for result in results] == [[(f"c{n}", "7 lamp")] for n in range(8)]
    assert shop.asked == 1


def test_a_tool_that_asks_a_person_goes_on_where_it_was_interrupted() -> None:
    """An interrupt is no result: it passes, and the answer of the resumed call is kept."""
    made = []

    def confirm(item: str) -> str:
        """Ask."""
        made.append(item)
        return f"{interrupt('sure?')} {item}"

    cached = cached_tool(confirm, effect="read", scope="session", cache=ToolCache())
    graph = graph_of([cached], checkpointer=InMemorySaver())
    config = {**SESSION, "configurable": {"thread_id": "t"}}
    assert "__interrupt__" in graph.invoke(said(asks("confirm", item="lamp")), config)
    assert answers(graph.invoke(Command(resume="yes"), config)) == [("c1", "yes lamp")]
    assert len(made) == 2


async def test_async_graphs_are_served(shop: Shop) -> None:
    """ToolNode awaits it; the scope is the run."""
    stock = cached_tool(shop.stock, effect="read", cache=ToolCache())
    graph = graph_of([stock])
    result = await graph.ainvoke(said(asks("stock", "c1", item="lamp"), asks("stock", "c2", item="lamp")))
    assert answers(result) == [("c1", "7 lamp"), ("c2", "7 lamp")]
    assert shop.asked == 1


def test_a_tool_without_a_schema_is_called_by_text() -> None:
    """Older tools take one text."""
    made = []

    class Echo(BaseTool):
        """A tool as it was written in 2023."""

        name: str = "echo"
        description: str = "Echo."

        def _run(self, text: str) -> str:
            made.append(text)
            return text

    cached = cached_tool(Echo(), effect="pure", scope="global")
    assert [cached.invoke(text) for text in ("a", "a", "b")] == ["a", "a", "b"]
    assert made == ["a", "b"]
    assert convert_to_openai_tool(cached) == convert_to_openai_tool(Echo())


def test_behind_the_node_and_in_the_tool_one_cache_is_one(shop: Shop) -> None:
    """A cached tool in a node that asks the same cache is served once, and asked once."""
    cache = ToolCache()
    stock = cached_tool(shop.stock, effect="read", scope="session", cache=cache)
    node = ToolNode([stock], wrap_tool_call=cache.wrap_tool_call)
    graph: Any = StateGraph(MessagesState).add_node("tools", node).add_edge(START, "tools").compile()
    for call_id in ("c1", "c2"):
        graph.invoke(said(asks("stock", call_id, item="lamp")), SESSION)
    assert shop.asked == 1
    assert cache.counts["hits"] == 1
