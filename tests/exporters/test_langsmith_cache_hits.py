"""Hits that caches tell of, on the LangSmith runs that they happened in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import dispatch_custom_event
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Send

from langchain_agentcost import CostMeter
from langchain_agentcost.caching.reporting import atell, new_hit_id, tell
from langchain_agentcost.errors import MeteringWarning, PriceNotFoundWarning
from langchain_agentcost.saving import CACHE_HIT, CacheHit, SparedCall
from langchain_agentcost.testing.collector import LangSmithCollector
from langchain_agentcost.usage import Usage
from tests.exporters.langsmith_world import QUESTION, Canned, Traced, costs, metadata

SMALL = SparedCall(model="small", provider="canned", usage=Usage(10_000, 500, cache_read_tokens=8_192))
SMALL_USD = 0.0011856
UNKNOWN = SparedCall(model="nobody-knows", usage=Usage(1, 1))


def hit_of(*spared: SparedCall, cache: str = "semantic") -> CacheHit:
    """A hit with an id of its own."""
    return CacheHit(id=new_hit_id(), cache=cache, spared=spared)


def telling(*hits: CacheHit) -> Any:
    """A node that tells of hits, from sync and from async code."""

    def node(state: MessagesState) -> dict[str, Any]:
        for hit in hits:
            tell(hit)
        return {"messages": [AIMessage("from the cache")]}

    async def anode(state: MessagesState) -> dict[str, Any]:
        for hit in hits:
            await atell(hit)
        return {"messages": [AIMessage("from the cache")]}

    return RunnableLambda(node, anode)


def graph_of(node: Any) -> Any:
    """A graph with one node, "answer"."""
    return StateGraph(MessagesState).add_node("answer", node).add_edge(START, "answer").compile(name="desk")


@pytest.fixture
def traced() -> Iterator[Traced]:
    """A tracer on a collector that takes compressed traces."""
    with LangSmithCollector(zstd=True) as collector:
        yield Traced(collector)


def hits_on(run: Any) -> dict[str, Any]:
    """What a run shows of hits."""
    names = ("agentcost_cache", "agentcost_cache_hits", "agentcost_saved_usd", "agentcost_unpriced_hits")
    return {name: metadata(run)[name] for name in names if name in metadata(run)}


def with_hits(traced: Traced) -> list[Any]:
    """The posted runs that show hits."""
    return [run for run in traced.runs() if hits_on(run)]


@pytest.mark.parametrize("wire", [{"zstd": True}, {"zstd": False}, {"multipart": False}], ids=["zstd", "plain", "json"])
@pytest.mark.parametrize("how", ["invoke", "ainvoke", "astream"])
async def test_a_hit_is_on_the_run_of_its_node(wire: dict[str, Any], how: str) -> None:
    """The run carries count and saving in every encoding; no chain run carries a cost."""
    with LangSmithCollector(**wire) as collector:
        traced = Traced(collector)
        graph, config = graph_of(telling(hit_of(SMALL))), {"callbacks": traced.callbacks}
        if how == "invoke":
            graph.invoke(QUESTION, config)
        elif how == "ainvoke":
            await graph.ainvoke(QUESTION, config)
        else:
            _ = [chunk async for chunk in graph.astream(QUESTION, config)]
        [run] = with_hits(traced)
        assert metadata(run)["langgraph_node"] == "answer"
        assert hits_on(run) == {
            "agentcost_cache": "semantic",
            "agentcost_cache_hits": 1,
            "agentcost_saved_usd": SMALL_USD,
        }
        assert not any(costs(one) for one in traced.runs())


def test_several_hits_of_a_run_add_up(traced: Traced) -> None:
    """Money is added up in whole nano-USD, so the sum is the one that a bill would show."""
    search = SparedCall(tool="search")
    graph = graph_of(telling(hit_of(SMALL), hit_of(SMALL), hit_of(search, cache="tool")))
    graph.invoke(QUESTION, {"callbacks": traced.callbacks})
    [run] = with_hits(traced)
    assert hits_on(run) == {
        "agentcost_cache": "semantic, tool",
        "agentcost_cache_hits": 3,
        "agentcost_saved_usd": 0.0063712,
    }
    root = metadata(traced.root())
    assert (root["agentcost_summary_cache_hits"], root["agentcost_summary_saved_usd"]) == (3, 0.0063712)
    assert root["agentcost_summary_total_usd"] == 0


def test_a_hit_without_a_price_is_only_counted(traced: Traced) -> None:
    """What is not known is not shown as $0; beside a known saving its number is."""
    with pytest.warns(PriceNotFoundWarning):
        graph_of(telling(hit_of(UNKNOWN))).invoke(QUESTION, {"callbacks": traced.callbacks})
    [run] = with_hits(traced)
    assert hits_on(run) == {"agentcost_cache": "semantic", "agentcost_cache_hits": 1, "agentcost_unpriced_hits": 1}


def test_a_tool_without_a_price_is_only_counted(traced: Traced) -> None:
    """It saved time, and no money that a bill would show."""
    clock = hit_of(SparedCall(tool="clock"), cache="tool")
    graph_of(telling(clock)).invoke(QUESTION, {"callbacks": traced.callbacks})
    [run] = with_hits(traced)
    assert hits_on(run) == {"agentcost_cache": "tool", "agentcost_cache_hits": 1}


def test_a_price_that_is_missing_is_no_fault_where_warnings_are_errors(traced: Traced) -> None:
    """The trace goes out with the hit, as it does with a call that has no price."""
    graph_of(telling(hit_of(UNKNOWN))).invoke(QUESTION, {"callbacks": traced.callbacks})
    [run] = with_hits(traced)
    assert hits_on(run)["agentcost_unpriced_hits"] == 1


def test_a_hit_that_is_told_twice_is_shown_once(traced: Traced) -> None:
    """The id decides."""
    hit = hit_of(SMALL)
    graph_of(telling(hit, hit)).invoke(QUESTION, {"callbacks": traced.callbacks})
    [run] = with_hits(traced)
    assert hits_on(run)["agentcost_cache_hits"] == 1
    assert metadata(traced.root())["agentcost_summary_cache_hits"] == 1


def test_a_hit_in_a_subgraph_is_on_the_inner_run_alone(traced: Traced) -> None:
    """The root adds it up once, as it does with costs."""
    outer = StateGraph(MessagesState).add_node("research", graph_of(telling(hit_of(SMALL)))).add_edge(START, "research")
    outer.compile(name="outer").invoke(QUESTION, {"callbacks": traced.callbacks})
    [run] = with_hits(traced)
    assert metadata(run)["langgraph_node"] == "answer"
    assert metadata(traced.root())["agentcost_summary_saved_usd"] == SMALL_USD


def test_a_hit_within_a_tool_is_on_the_run_of_the_tool(traced: Traced) -> None:
    """A tool run has its own price beside what a cache spared inside it."""

    @tool
    def search(query: str) -> str:
        """Search."""
        tell(hit_of(SMALL))
        return "found"

    call = {"name": "search", "args": {"query": "q"}, "id": "c1", "type": "tool_call"}
    graph = StateGraph(MessagesState).add_node("tools", ToolNode([search])).add_edge(START, "tools").compile()
    graph.invoke({"messages": [AIMessage("", tool_calls=[call])]}, {"callbacks": traced.callbacks})
    [run] = with_hits(traced)
    assert (run["run_type"], costs(run), hits_on(run)["agentcost_saved_usd"]) == (
        "tool",
        {"total_cost": 0.004},
        SMALL_USD,
    )


def test_branches_in_threads_lose_none(traced: Traced) -> None:
    """Each branch has a run of its own, and the root the sum of all."""

    def node(state: MessagesState) -> dict[str, Any]:
        tell(hit_of(SMALL))
        return {"messages": []}

    fan = StateGraph(MessagesState).add_node("answer", node)
    fan.add_conditional_edges(START, lambda state: [Send("answer", state) for _ in range(8)])
    fan.compile().invoke(QUESTION, {"callbacks": traced.callbacks})
    assert len(with_hits(traced)) == 8
    assert metadata(traced.root())["agentcost_summary_cache_hits"] == 8


def test_hits_of_langchains_cache_are_counted_beside_them_once(traced: Traced) -> None:
    """Those are on their model runs; the root's sum has both kinds."""
    model = Canned(cache=InMemoryCache())

    def node(state: MessagesState) -> dict[str, Any]:
        tell(hit_of(SMALL))
        return {"messages": [model.invoke("Hi"), model.invoke("Hi")]}

    graph_of(node).invoke(QUESTION, {"callbacks": traced.callbacks})
    root = metadata(traced.root())
    assert (root["agentcost_summary_cache_hits"], root["agentcost_summary_llm_calls"]) == (2, 1)
    assert root["agentcost_summary_saved_usd"] == 2 * SMALL_USD


def test_beside_a_meter_both_say_the_same(traced: Traced) -> None:
    """One event, two readers, one price."""
    meter = CostMeter(prices=traced.tracer.desk.prices)
    graph_of(telling(hit_of(SMALL))).invoke(QUESTION, {"callbacks": [meter, *traced.callbacks]})
    [entry] = meter.ledger.entries()
    assert entry.saved is not None
    assert float(entry.saved.usd) == hits_on(with_hits(traced)[0])["agentcost_saved_usd"]


def test_the_shared_metadata_of_the_run_stays_as_it_is(traced: Traced) -> None:
    """LangChain hands one mapping to all handlers."""
    given = {"order": 7}
    graph_of(telling(hit_of(SMALL))).invoke(QUESTION, {"callbacks": traced.callbacks, "metadata": given})
    assert given == {"order": 7}


def test_an_event_that_is_no_hit_lets_the_trace_through(traced: Traced) -> None:
    """A fault of a cache is warned about once, and the plain trace goes out."""

    def node(state: MessagesState) -> dict[str, Any]:
        dispatch_custom_event(CACHE_HIT, {"cache": "c"})
        dispatch_custom_event("progress", {"id": "1"})
        return {"messages": []}

    with pytest.warns(MeteringWarning, match="without costs: KeyError"):
        graph_of(node).invoke(QUESTION, {"callbacks": traced.callbacks})
    assert traced.root()["end_time"] is not None
    assert not with_hits(traced)
