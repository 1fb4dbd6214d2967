"""Hits that caches tell of: each is one entry, with what it spared, and nothing that was not."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import dispatch_custom_event
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Send

from langchain_agentcost import BreakerTripped, Budget, CircuitBreaker, CostMeter, Entry, MeteringWarning
from langchain_agentcost.caching.reporting import atell, new_hit_id, tell
from langchain_agentcost.errors import PriceNotFoundWarning
from langchain_agentcost.ledger import MemoryLedger
from langchain_agentcost.limits.doctor import examine
from langchain_agentcost.meter import metered_embeddings
from langchain_agentcost.pricing.spared import TOOL_WITHOUT_A_PRICE
from langchain_agentcost.saving import CACHE_HIT, LANGCHAIN_CACHE, CacheHit, SparedCall
from langchain_agentcost.testing import FakeCounts, FakeMeteredChatModel
from langchain_agentcost.usage import Usage

PRICES = {
    "models": [
        {"model": "small", "input": "1", "cache_read": "0.1", "output": "4"},
        {"model": "large", "input": "10", "output": "40"},
    ],
    "tools": {"search": "0.004"},
}
SMALL = SparedCall(model="small", provider="acme", usage=Usage(1_000, 100, cache_read_tokens=400))
SMALL_NANO = 600_000 + 40_000 + 400_000
"""600 uncached tokens at 1, 400 cached at 0.1 and 100 generated at 4 USD a million, in nano-USD."""
LARGE = SparedCall(model="large", provider="acme", usage=Usage(100, 10))
LARGE_NANO = 1_000_000 + 400_000
SEARCH = SparedCall(tool="search")


def hit_of(*spared: SparedCall, cache: str = "semantic", **said: Any) -> CacheHit:
    """A hit with an id of its own."""
    return CacheHit(id=new_hit_id(), cache=cache, spared=spared, **said)


def metered(**options: Any) -> CostMeter:
    """A meter with the prices above, and entries in memory."""
    return CostMeter(prices=PRICES, **options)


def telling(*hits: CacheHit) -> Any:
    """A node that tells of hits, from sync and from async code."""

    def node(state: MessagesState) -> dict[str, Any]:
        for hit in hits:
            assert tell(hit)
        return {"messages": [AIMessage("from the cache")]}

    async def anode(state: MessagesState) -> dict[str, Any]:
        for hit in hits:
            assert await atell(hit)
        return {"messages": [AIMessage("from the cache")]}

    return RunnableLambda(node, anode)


def graph_of(node: Any, *, name: str = "desk") -> Any:
    """A graph with one node, "answer"."""
    return StateGraph(MessagesState).add_node("answer", node).add_edge(START, "answer").compile(name=name)


QUESTION: Any = {"messages": [("user", "Where is my order?")]}


def hits_in(meter: CostMeter) -> list[Entry]:
    """The hits in the meter's ledger."""
    return list(meter.ledger.entries({"kind": "cache_hit"}))


def hit_in(meter: CostMeter) -> Entry:
    """The one hit in the meter's ledger."""
    [entry] = hits_in(meter)
    return entry


def saved_nano(entry: Entry) -> int:
    """What is known to be saved."""
    assert entry.saved is not None
    return entry.saved.total_nano


class TestWhatIsBooked:
    """One entry a hit, priced today."""

    @pytest.mark.parametrize("how", ["invoke", "stream", "ainvoke", "astream"])
    async def test_a_hit_in_a_node_however_the_graph_is_run(self, how: str) -> None:
        """The entry has the place of the node, the spared tokens, no cost and today's price as the saving."""
        graph, meter = graph_of(telling(hit_of(SMALL))), metered()
        config = {"callbacks": meter.callbacks, "metadata": {"user": "ann"}, "configurable": {"thread_id": "s1"}}
        if how == "invoke":
            graph.invoke(QUESTION, config)
        elif how == "stream":
            list(graph.stream(QUESTION, config, stream_mode="messages"))
        elif how == "ainvoke":
            await graph.ainvoke(QUESTION, config)
        else:
            _ = [chunk async for chunk in graph.astream(QUESTION, config)]
        entry = hit_in(meter)
        said = entry.attribution
        assert (entry.name, entry.status, entry.usage) == ("semantic", "ok", SMALL.usage)
        assert entry.cost is not None
        assert (entry.cost.total_nano, saved_nano(entry)) == (0, SMALL_NANO)
        assert (said.provider, said.model, said.tool) == ("acme", "small", None)
        assert (said.workflow, said.node, said.user, said.session, said.step) == ("desk", "answer", "ann", "s1", 1)

    def test_a_hit_of_several_models_names_none_and_adds_them_up(self) -> None:
        """What a subgraph's calls consumed is one usage, and each is priced at its own model."""
        meter = metered()
        graph_of(telling(hit_of(SMALL, LARGE, SEARCH, cache="subgraph"))).invoke(
            QUESTION, {"callbacks": meter.callbacks}
        )
        entry = hit_in(meter)
        assert (entry.attribution.model, entry.attribution.tool) == (None, None)
        assert entry.usage == Usage(1_100, 110, cache_read_tokens=400)
        assert saved_nano(entry) == SMALL_NANO + LARGE_NANO + 4_000_000

    def test_what_a_cache_states_is_taken_as_it_is(self) -> None:
        """A stated saving needs no price, and is that of a tool."""
        meter = metered()
        graph_of(telling(hit_of(SEARCH, cache="tool", saved_nano=7))).invoke(QUESTION, {"callbacks": meter.callbacks})
        entry = hit_in(meter)
        assert entry.saved is not None
        assert (entry.saved.total_nano, entry.saved.tool_nano) == (7, 7)
        assert (entry.attribution.tool, entry.usage) == ("search", None)

    def test_a_model_without_a_price_leaves_the_saving_unknown(self) -> None:
        """Unknown is None and is counted, also where other calls of the hit have a price."""
        meter = metered()
        unknown = SparedCall(model="nobody-knows", usage=Usage(5, 5))
        with pytest.warns(PriceNotFoundWarning, match="nobody-knows"):
            graph_of(telling(hit_of(SMALL, unknown))).invoke(QUESTION, {"callbacks": meter.callbacks})
        assert hit_in(meter).saved is None
        assert meter.report().total.unpriced_savings == 1

    def test_a_model_call_of_which_nothing_is_known_leaves_the_saving_unknown(self) -> None:
        """Without a usage there is no price."""
        meter = metered()
        graph_of(telling(hit_of(SparedCall(model="small")))).invoke(QUESTION, {"callbacks": meter.callbacks})
        entry = hit_in(meter)
        assert (entry.usage, entry.saved) == (None, None)

    def test_a_tool_without_a_price_is_no_unknown_saving(self) -> None:
        """It never stood on a bill, so no report complains that its price is missing."""
        meter = metered()
        free = SparedCall(tool="clock")
        graph_of(telling(hit_of(free, cache="tool"), hit_of(free, SMALL))).invoke(
            QUESTION, {"callbacks": meter.callbacks}
        )
        alone, beside = sorted(hits_in(meter), key=saved_nano)
        assert (saved_nano(alone), saved_nano(beside)) == (0, SMALL_NANO)
        assert all(entry.saved is not None and TOOL_WITHOUT_A_PRICE in entry.saved.flags for entry in (alone, beside))
        total = meter.report().total
        assert (total.unpriced_savings, total.flagged_calls) == (0, 0)

    def test_a_hit_of_a_model_is_a_step_and_one_of_a_tool_is_none(self) -> None:
        """Steps are numbered as if the model had been called; a tool has the step of the call before."""
        meter = metered()
        graph_of(telling(hit_of(SMALL), hit_of(SEARCH, cache="tool"), hit_of(SMALL))).invoke(
            QUESTION, {"callbacks": meter.callbacks}
        )
        assert [(entry.name, entry.attribution.step) for entry in hits_in(meter)] == [
            ("semantic", 1),
            ("tool", 1),
            ("semantic", 2),
        ]

    def test_hits_count_neither_as_model_calls_nor_as_consumption(self) -> None:
        """A report's tokens and costs are those that were paid."""
        meter = metered()
        graph_of(telling(hit_of(SMALL))).invoke(QUESTION, {"callbacks": meter.callbacks})
        total = meter.report().total
        assert (total.llm_calls, total.cache_hits, total.usage.total_tokens, total.cost.total_nano) == (0, 1, 0, 0)
        assert total.saved.total_nano == SMALL_NANO

    @given(st.lists(st.integers(0, 10**6), min_size=1, max_size=4))
    def test_tokens_of_a_hit_are_the_sum_of_what_it_spared(self, counts: list[int]) -> None:
        """No token is lost or made up."""
        meter = metered()
        spared = [SparedCall(model="small", usage=Usage(count, 1)) for count in counts]
        graph_of(telling(hit_of(*spared))).invoke(QUESTION, {"callbacks": meter.callbacks})
        entry = hit_in(meter)
        assert entry.usage == Usage(sum(counts), len(counts))
        assert saved_nano(entry) == sum(counts) * 1_000 + len(counts) * 4_000


class TestOnce:
    """Nothing is counted twice."""

    def test_a_hit_that_is_told_twice_counts_once(self) -> None:
        """The id decides, not how often somebody says it; the steps after it are not shifted."""
        meter, hit = metered(), hit_of(SMALL)
        graph_of(telling(hit, hit, hit_of(SMALL))).invoke(QUESTION, {"callbacks": meter.callbacks})
        assert [entry.attribution.step for entry in hits_in(meter)] == [1, 2]

    def test_two_meters_on_one_ledger_count_a_hit_once(self) -> None:
        """The id of the entry follows from the run and the hit, so every meter makes the same."""
        ledger = MemoryLedger()
        first, second = metered(ledger=ledger), metered(ledger=ledger)
        graph_of(telling(hit_of(SMALL))).invoke(QUESTION, {"callbacks": [first, second, first]})
        assert len(list(ledger.entries())) == 1

    def test_two_meters_with_ledgers_of_their_own_each_see_it(self) -> None:
        """Each has the whole bill."""
        first, second = metered(), metered()
        graph_of(telling(hit_of(SMALL))).invoke(QUESTION, {"callbacks": [first, second]})
        assert hit_in(first).id == hit_in(second).id
        UUID(hit_in(first).id)

    def test_a_hit_in_a_subgraph_is_booked_there_once(self) -> None:
        """LangGraph hands the handler down; the event comes once, from the inner node."""
        meter = metered()
        outer = (
            StateGraph(MessagesState).add_node("research", graph_of(telling(hit_of(SMALL)))).add_edge(START, "research")
        )
        outer.compile(name="outer").invoke(QUESTION, {"callbacks": meter.callbacks})
        said = hit_in(meter).attribution
        assert (said.workflow, said.agent, said.node) == ("outer", "research", "research/answer")

    def test_hits_of_parallel_branches_are_all_booked(self) -> None:
        """Branches run in threads; each has its own hit and step."""
        meter = metered()
        fan = StateGraph(MessagesState).add_node("answer", telling_anew())
        fan.add_conditional_edges(START, lambda state: [Send("answer", state) for _ in range(16)])
        fan.compile().invoke(QUESTION, {"callbacks": meter.callbacks})
        assert sorted(entry.attribution.step or 0 for entry in hits_in(meter)) == list(range(1, 17))

    async def test_hits_of_parallel_tasks_are_all_booked(self) -> None:
        """So do tasks, over several runs of one meter."""
        meter = metered()
        graph = graph_of(telling_anew())
        await asyncio.gather(*(graph.ainvoke(QUESTION, {"callbacks": meter.callbacks}) for _ in range(8)))
        assert len({entry.attribution.run for entry in hits_in(meter)}) == 8

    def test_a_hit_within_a_tool_belongs_to_the_tool_call(self) -> None:
        """The tool ran and is booked as a call; what a cache spared inside it is beside it."""

        @tool
        def research(query: str) -> str:
            """Research."""
            tell(hit_of(SMALL))
            return "found"

        meter = metered()
        call = {"name": "research", "args": {"query": "q"}, "id": "c1", "type": "tool_call"}
        graph = StateGraph(MessagesState).add_node("tools", ToolNode([research])).add_edge(START, "tools").compile()
        graph.invoke({"messages": [AIMessage("", tool_calls=[call])]}, {"callbacks": meter.callbacks})
        [hit], [run] = hits_in(meter), list(meter.ledger.entries({"kind": "tool"}))
        assert (hit.parent_id, hit.attribution.node, hit.attribution.tool) == (run.id, "tools", None)

    def test_the_cache_of_langchain_goes_by_its_name(self) -> None:
        """Nobody tells of its hits, and they stand among the others; a dated model's name is not taken for a cache."""
        meter = metered()
        model = FakeMeteredChatModel(model="small", cache=InMemoryCache(), counts=FakeCounts(1_000, 100))
        for _ in range(2):
            model.invoke("Hi", {"callbacks": meter.callbacks})
        entry = hit_in(meter)
        assert (entry.name, saved_nano(entry)) == (LANGCHAIN_CACHE, 1_400_000)


class TestFaults:
    """Whatever an event holds, the run goes on."""

    @pytest.mark.parametrize(
        "data",
        [
            None,
            "a hit",
            {},
            {"id": "1"},
            {"id": "1", "cache": "c", "spared": [{"usage": {"input_tokens": -1}}]},
            {"id": "1", "cache": "c", "spared": [{"colour": "red"}]},
            {"id": "1", "cache": "c", "saved_nano": "much"},
            {"id": "1", "cache": "c", "surprise": 1},
        ],
        ids=str,
    )
    def test_an_event_that_is_no_hit_is_warned_about(self, data: Any) -> None:
        """A fault of a cache is no fault of the run."""
        meter = metered()
        with pytest.warns(MeteringWarning, match="on_custom_event"):
            graph_of(sending(CACHE_HIT, data)).invoke(QUESTION, {"callbacks": meter.callbacks})
        assert not hits_in(meter)

    def test_events_of_others_are_left_alone(self) -> None:
        """A custom event may be anybody's."""
        meter = metered()
        graph = graph_of(sending("progress", {"id": "1", "cache": "c"}))
        graph.invoke(QUESTION, {"callbacks": meter.callbacks})
        assert not list(meter.ledger.entries())

    def test_a_meter_that_is_off_hears_nothing(self) -> None:
        """The kill switch holds for hits too."""
        meter = metered(mode="off")
        graph_of(telling(hit_of(SMALL))).invoke(QUESTION, {"callbacks": [meter]})
        assert not list(meter.ledger.entries())

    def test_outside_any_run_nobody_can_be_told(self) -> None:
        """LangChain has no callbacks there; the cache learns that nobody heard."""
        assert not tell(hit_of(SMALL))

    def test_a_cache_with_an_odd_name_is_written_as_a_label(self) -> None:
        """Names go into reports and tables, so they are cut and cleaned as labels are."""
        meter = metered()
        graph_of(telling(hit_of(SMALL, cache="a\nb" + "x" * 1_000))).invoke(QUESTION, {"callbacks": meter.callbacks})
        name = hit_in(meter).name
        assert name is not None
        assert "\n" not in name
        assert len(name) < 1_000


class TestLimits:
    """A hit takes nothing of a limit, and a loop over hits is still a loop."""

    def test_hits_take_nothing_of_a_budget(self) -> None:
        """Steps, calls and tokens are left for calls that are made."""
        meter = metered(budgets=[Budget(steps=1, llm_calls=1, total_tokens=3_000)])
        model = FakeMeteredChatModel(model="small", counts=FakeCounts(1_000, 100))

        def node(state: MessagesState) -> dict[str, Any]:
            for _ in range(5):
                tell(hit_of(SMALL))
            return {"messages": [model.invoke(state["messages"], max_tokens=100)]}

        graph_of(node).invoke(QUESTION, {"callbacks": meter.callbacks})
        total = meter.report().total
        assert (total.llm_calls, total.cache_hits) == (1, 5)

    def test_the_doctor_misses_nothing_where_there_were_hits(self) -> None:
        """A hit holds nothing, so a store without a hold for it is whole."""
        meter = metered(budgets=[Budget(steps=5)])
        model = FakeMeteredChatModel(model="small", counts=FakeCounts(1_000, 100))

        def node(state: MessagesState) -> dict[str, Any]:
            tell(hit_of(SMALL))
            return {"messages": [model.invoke(state["messages"])]}

        graph_of(node).invoke(QUESTION, {"callbacks": meter.callbacks})
        assert meter.enforcer is not None
        seen = examine(meter.enforcer.store, meter.ledger)
        assert (seen.healthy, seen.holds, seen.compared) == (True, 1, 1)

    def test_a_loop_over_a_cached_tool_is_stopped(self) -> None:
        """A breaker counts results that came out of a cache like others, by the entry that was served."""
        meter = metered(breakers=[CircuitBreaker.identical_calls(4, warn=None)])
        with pytest.raises(BreakerTripped, match="look_up was called 4 times"):
            looping_agent("same").invoke(QUESTION, {"callbacks": meter.callbacks})
        assert len(hits_in(meter)) == 4

    def test_hits_of_different_entries_are_no_loop(self) -> None:
        """An agent that reads ten cached pages gets somewhere."""
        meter = metered(breakers=[CircuitBreaker.identical_calls(4, warn=None)])
        looping_agent("other").invoke(QUESTION, {"callbacks": meter.callbacks})
        assert len(hits_in(meter)) == 10

    def test_failures_that_a_cache_remembers_are_failures(self) -> None:
        """Asking ten times for what failed once is a row of errors."""
        meter = metered(breakers=[CircuitBreaker.tool_errors(3, warn=None)])
        with pytest.raises(BreakerTripped, match="3 tool calls in a row failed"):
            looping_agent("other", failed=True).invoke(QUESTION, {"callbacks": meter.callbacks})


class TestOverhead:
    """What a cache itself costs can be told from the agent's work."""

    def test_embeddings_of_a_cache_have_its_purpose(self) -> None:
        """The purpose that is stated wins over that of the run."""
        meter = metered()
        vectors = metered_embeddings(
            DeterministicFakeEmbedding(size=2), model="text-embedding-3-small", provider="openai", purpose="cache"
        )
        plain = metered_embeddings(DeterministicFakeEmbedding(size=2), model="text-embedding-3-small")

        def node(state: MessagesState) -> dict[str, Any]:
            vectors.embed_query("Where is my order?")
            plain.embed_query("Where is my order?")
            return {"messages": []}

        config = {"callbacks": meter.callbacks, "metadata": {"agentcost_purpose": "verification"}}
        graph_of(node).invoke(QUESTION, config)
        assert [entry.attribution.purpose for entry in meter.ledger.entries()] == ["cache", "verification"]

    def test_a_judge_has_it_by_its_metadata(self) -> None:
        """A model call that a cache makes says so in its config."""
        meter = metered()
        judge = FakeMeteredChatModel(model="small", counts=FakeCounts(10, 1))

        def node(state: MessagesState) -> dict[str, Any]:
            judge.invoke("Same?", {"metadata": {"agentcost_purpose": "cache"}})
            return {"messages": []}

        graph_of(node).invoke(QUESTION, {"callbacks": meter.callbacks})
        [entry] = meter.ledger.entries()
        assert (entry.attribution.purpose, entry.cost and entry.cost.usd) == ("cache", Decimal("0.000014"))


def sending(name: str, data: Any) -> Any:
    """A node that sends any custom event."""

    def node(state: MessagesState) -> dict[str, Any]:
        dispatch_custom_event(name, data)
        return {"messages": []}

    return node


def telling_anew() -> Any:
    """A node that tells of a new hit each time."""

    def node(state: MessagesState) -> dict[str, Any]:
        tell(hit_of(SMALL))
        return {"messages": []}

    async def anode(state: MessagesState) -> dict[str, Any]:
        await atell(hit_of(SMALL))
        return {"messages": []}

    return RunnableLambda(node, anode)


def looping_agent(entries: str, *, failed: bool = False) -> Any:
    """An agent that asks ten times for a tool whose every result comes out of a cache, as a tool cache gives it."""

    @tool
    def look_up(key: str) -> str:
        """Look something up."""
        raise AssertionError("the cache answers")

    def served(request: Any, execute: Any) -> ToolMessage:
        entry = "e" if entries == "same" else request.tool_call["id"]
        tell(hit_of(SparedCall(tool="look_up"), cache="tool", entry=entry, failed=failed))
        return ToolMessage("nothing", tool_call_id=request.tool_call["id"])

    def answer(messages: Any) -> AIMessage:
        done = sum(isinstance(message, ToolMessage) for message in messages)
        asked = [{"name": "look_up", "args": {"key": f"k{done}"}, "id": f"call-{done}"}] if done < 10 else []
        return AIMessage("" if asked else "Done.", tool_calls=asked)

    model = FakeMeteredChatModel(model="small", answers=answer)
    graph = StateGraph(MessagesState)
    graph.add_node("model", lambda state: {"messages": [model.invoke(state["messages"])]})
    graph.add_node("tools", ToolNode([look_up], wrap_tool_call=served))
    graph.add_edge(START, "model").add_edge("tools", "model")
    graph.add_conditional_edges("model", lambda state: "tools" if state["messages"][-1].tool_calls else "__end__")
    return graph.compile()
