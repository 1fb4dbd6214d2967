from __future__ import annotations

import asyncio
import sys
from decimal import Decimal
from importlib import reload
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import ToolRetryMiddleware
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import StructuredTool, ToolException, tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode

from langchain_agentcost import CostMeter
from langchain_agentcost.caching import tool_middleware
from langchain_agentcost.caching.tool_cache import ToolCache
from langchain_agentcost.caching.tool_middleware import ToolCacheMiddleware
from langchain_agentcost.caching.tools import ToolCachePolicy
from langchain_agentcost.errors import MissingExtra
from langchain_agentcost.saving import CACHE_HIT, CacheHit


class Asking(GenericFakeChatModel):
    """A model that asks for tools as it is told."""

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        """Take any tools."""
        return self


def asks(*calls: tuple[str, str], first: int = 0) -> AIMessage:
    """An answer that asks for tools, each for an item."""
    numbered = enumerate(calls, start=first)
    return AIMessage(
        "", tool_calls=[{"name": name, "args": {"item": item}, "id": f"c{n}"} for n, (name, item) in numbered]
    )


class Hits(BaseCallbackHandler):
    """Hears hits."""

    def __init__(self) -> None:
        self.heard: list[CacheHit] = []

    def on_custom_event(self, name: str, data: Any, **kwargs: Any) -> None:
        """A hit."""
        if name == CACHE_HIT:
            self.heard.append(CacheHit.from_event(data))


class Shop:
    """A world with one number in it, and tools for it."""

    def __init__(self) -> None:
        self.left = 7
        self.made: list[str] = []

    def tools(self) -> list[StructuredTool]:
        """A read, a write, and an async read."""

        def stock(item: str) -> str:
            """Say how many there are."""
            self.made.append(f"stock {item}")
            return f"{self.left} {item}"

        def sell(item: str) -> str:
            """Sell one."""
            self.made.append(f"sell {item}")
            self.left -= 1
            return "sold"

        return [StructuredTool.from_function(function) for function in (stock, sell)]


POLICIES = {"stock": ToolCachePolicy("read", scope="session", price=Decimal("0.01"))}
CONFIG: RunnableConfig = {"metadata": {"tenant": "acme", "session": "s1"}}


def agent(shop: Shop, middleware: list[Any], *answers: AIMessage) -> Any:
    """An agent that asks for these tools and then stops."""
    return create_agent(Asking(messages=iter([*answers, AIMessage("done")])), shop.tools(), middleware=middleware)


def said(result: Any) -> list[tuple[str, Any]]:
    """What the tools said, with the ids of their calls."""
    return [(m.tool_call_id, m.content) for m in result["messages"] if isinstance(m, ToolMessage)]


READS = (asks(("stock", "lamp")), asks(("stock", "lamp"), first=1), asks(("stock", "chair"), first=2))


def test_an_agents_repeated_reads_are_served() -> None:
    """Each answers its own call; a meter is told of the tool and its price, and of no tokens."""
    shop, hits = Shop(), Hits()
    middleware = ToolCacheMiddleware(POLICIES)
    result = agent(shop, [middleware], *READS).invoke({"messages": []}, {**CONFIG, "callbacks": [hits]})
    assert said(result) == [("c0", "7 lamp"), ("c1", "7 lamp"), ("c2", "7 chair")]
    assert shop.made == ["stock lamp", "stock chair"]
    [hit] = hits.heard
    assert (hit.cache, hit.saved_nano, [call.as_dict() for call in hit.spared]) == ("tool", 10**7, [{"tool": "stock"}])
    assert middleware.cache.counts["hits"] == 1


async def test_an_agents_repeated_reads_are_served_async() -> None:
    """The same by ainvoke, with sync tools."""
    shop, hits = Shop(), Hits()
    given: Any = {**CONFIG, "callbacks": [hits]}
    result = await agent(shop, [ToolCacheMiddleware(POLICIES)], *READS).ainvoke({"messages": []}, given)
    assert said(result) == [("c0", "7 lamp"), ("c1", "7 lamp"), ("c2", "7 chair")]
    assert shop.made == ["stock lamp", "stock chair"]
    assert len(hits.heard) == 1


def test_an_agents_repeated_task_makes_no_tool_call() -> None:
    """Another run of the session is served all of it."""
    shop, cache = Shop(), ToolCache(POLICIES)
    for _ in range(3):
        agent(shop, [ToolCacheMiddleware(cache)], *READS).invoke({"messages": []}, CONFIG)
    assert shop.made == ["stock lamp", "stock chair"]


def test_a_write_between_reads_is_seen() -> None:
    """After a tool that nobody described, every read of the run is made."""
    shop = Shop()
    turns = [
        asks(("stock", "lamp")),
        asks(("sell", "lamp"), first=1),
        *(asks(("stock", "lamp"), first=n) for n in (2, 3)),
    ]
    result = agent(shop, [ToolCacheMiddleware(POLICIES)], *turns).invoke({"messages": []}, CONFIG)
    assert said(result) == [("c0", "7 lamp"), ("c1", "sold"), ("c2", "6 lamp"), ("c3", "6 lamp")]
    assert shop.made.count("stock lamp") == 3


def test_parallel_calls_of_one_answer_are_made_once() -> None:
    """Four equal calls in one message make one, each with its answer."""
    shop = Shop()
    result = agent(shop, [ToolCacheMiddleware(POLICIES)], asks(*[("stock", "lamp")] * 4)).invoke(
        {"messages": []}, CONFIG
    )
    assert said(result) == [(f"c{n}", "7 lamp") for n in range(4)]
    assert shop.made == ["stock lamp"]


async def test_parallel_async_calls_of_one_answer_are_made_once() -> None:
    """The same in an event loop."""
    made = []

    @tool
    async def stock(item: str) -> str:
        """Say how many there are."""
        made.append(item)
        await asyncio.sleep(0.01)
        return item

    model = Asking(messages=iter([asks(*[("stock", "lamp")] * 4), AIMessage("done")]))
    bot: Any = create_agent(model, [stock], middleware=[ToolCacheMiddleware(POLICIES)])
    assert said(await bot.ainvoke({"messages": []}, CONFIG)) == [(f"c{n}", "lamp") for n in range(4)]
    assert made == ["lamp"]


def test_retries_of_a_write_end_reads_once_all_are_made() -> None:
    """The cache is outermost: it sees one call, however often it is tried."""
    tried = []

    @tool
    def sell(item: str) -> str:
        """Sell one."""
        tried.append(item)
        if len(tried) < 2:
            raise TimeoutError
        return "sold"

    retry = ToolRetryMiddleware(max_retries=2, initial_delay=0, jitter=False)
    model = Asking(messages=iter([asks(("sell", "lamp")), AIMessage("done")]))
    middleware = ToolCacheMiddleware(POLICIES)
    create_agent(model, [sell], middleware=[middleware, retry]).invoke({"messages": []}, CONFIG)
    assert len(tried) == 2
    assert middleware.cache.counts == {"writes": 1}


def test_a_tool_node_of_a_graph_is_served() -> None:
    """The same cache without langchain, in sync and async graphs."""
    shop, cache = Shop(), ToolCache(POLICIES)
    node = ToolNode(shop.tools(), wrap_tool_call=cache.wrap_tool_call, awrap_tool_call=cache.awrap_tool_call)
    graph: Any = StateGraph(MessagesState).add_node("tools", node).add_edge(START, "tools").compile()
    seen = [said(graph.invoke({"messages": [asks(("stock", "lamp"), first=n)]}, CONFIG)) for n in range(2)]
    seen.append(said(asyncio.run(graph.ainvoke({"messages": [asks(("stock", "lamp"), first=2)]}, CONFIG))))
    assert seen == [[(f"c{n}", "7 lamp")] for n in range(3)]
    assert shop.made == ["stock lamp"]


def test_handled_errors_of_a_node_are_not_kept() -> None:
    """ToolNode makes messages of errors; they are made again."""
    made = []

    @tool
    def stock(item: str) -> str:
        """Say how many there are."""
        made.append(item)
        raise TimeoutError("503")

    cache = ToolCache(POLICIES)
    node = ToolNode([stock], wrap_tool_call=cache.wrap_tool_call, handle_tool_errors=True)
    graph: Any = StateGraph(MessagesState).add_node("tools", node).add_edge(START, "tools").compile()
    for n in range(2):
        [(_, text)] = said(graph.invoke({"messages": [asks(("stock", "lamp"), first=n)]}, CONFIG))
        assert "503" in text
    assert len(made) == 2
    assert cache.counts["errors"] == 2


def test_a_tool_that_does_not_exist_is_answered_by_the_node() -> None:
    """The model made its name up: it counts as a write, and nothing breaks."""
    cache = ToolCache(POLICIES)
    node = ToolNode([], wrap_tool_call=cache.wrap_tool_call)
    graph: Any = StateGraph(MessagesState).add_node("tools", node).add_edge(START, "tools").compile()
    [(_, text)] = said(graph.invoke({"messages": [asks(("made_up", "lamp"))]}, CONFIG))
    assert "not a valid tool" in text


def test_the_run_of_an_agent_is_the_usual_scope() -> None:
    """Without a scope, what one run read is read again by the next."""
    shop, cache = Shop(), ToolCache({"stock": ToolCachePolicy("read")})
    for _ in range(2):
        agent(shop, [ToolCacheMiddleware(cache)], *READS).invoke({"messages": []}, CONFIG)
    assert shop.made == ["stock lamp", "stock chair"] * 2


def test_a_sub_agent_in_a_tool_shares_the_run() -> None:
    """What the outer agent read, the inner one is served."""
    shop, cache = Shop(), ToolCache({"stock": ToolCachePolicy("read"), "help": ToolCachePolicy("read")})
    inner = agent(shop, [ToolCacheMiddleware(cache)], asks(("stock", "lamp")))

    def helper(item: str) -> str:
        """Ask another agent."""
        return str(said(inner.invoke({"messages": []})))

    tools = [*shop.tools(), StructuredTool.from_function(helper, name="help")]
    model = Asking(messages=iter([asks(("stock", "lamp")), asks(("help", "lamp"), first=1), AIMessage("done")]))
    outer: Any = create_agent(model, tools, middleware=[ToolCacheMiddleware(cache)])
    assert said(outer.invoke({"messages": []})) == [("c0", "7 lamp"), ("c1", "[('c0', '7 lamp')]")]
    assert shop.made == ["stock lamp"]


def test_without_langchain_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to install."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"langchain-agentcost\[agents\]"):
        reload(sys.modules[tool_middleware.__name__])
    monkeypatch.undo()
    reload(tool_middleware)


@pytest.mark.parametrize("priced", [True, False])
def test_a_meter_books_what_was_saved_and_no_call(priced: bool) -> None:
    """Per hit the tool's price, and not one token; the tool's calls are those that were made."""
    meter = CostMeter()
    policy = ToolCachePolicy("read", price=Decimal("0.01") if priced else None)
    middleware = ToolCacheMiddleware({"stock": policy})
    agent(Shop(), [middleware], *READS).invoke({"messages": []}, {"callbacks": meter.callbacks})
    entries = list(meter.ledger.entries())
    [hit] = [entry for entry in entries if entry.kind == "cache_hit"]
    assert hit.saved is not None
    assert hit.saved.total_nano == (10**7 if priced else 0)
    assert not (hit.usage and hit.usage.total_tokens)
    assert len([entry for entry in entries if entry.kind == "tool"]) == 2


def test_a_loop_over_cached_results_is_a_loop() -> None:
    """Hits of the same call with the same result have the same entry, so that breakers see the run go in circles."""
    shop, hits, cache = Shop(), Hits(), ToolCache({"stock": ToolCachePolicy("read", tags=("stock:{item}",))})
    looking = [asks(("stock", item), first=n) for n, item in enumerate(["lamp", "lamp", "lamp", "chair", "chair"])]
    given: Any = {**CONFIG, "callbacks": [hits]}
    agent(shop, [ToolCacheMiddleware(cache)], *looking).invoke({"messages": []}, given)
    assert [hits.heard[0].entry == hit.entry for hit in hits.heard] == [True, True, False]
    shop.left = 6
    agent(shop, [ToolCacheMiddleware(cache)], *looking).invoke({"messages": []}, given)
    assert len({hit.entry for hit in hits.heard}) == 4


def test_a_cached_error_is_told_as_one() -> None:
    """A breaker of errors in a row counts it."""
    hits = Hits()

    @tool
    def stock(item: str) -> str:
        """Say how many there are."""
        raise ToolException("no such item")

    stock.handle_tool_error = True
    policies = {"stock": ToolCachePolicy("read", negative_ttl_s=60)}
    model = Asking(messages=iter([asks(("stock", "x")), asks(("stock", "x"), first=1), AIMessage("done")]))
    bot: Any = create_agent(model, [stock], middleware=[ToolCacheMiddleware(policies)])
    result = bot.invoke({"messages": []}, {"callbacks": [hits]})
    assert [m.status for m in result["messages"] if isinstance(m, ToolMessage)] == ["error", "error"]
    assert [hit.failed for hit in hits.heard] == [True]
