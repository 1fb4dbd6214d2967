from __future__ import annotations

import asyncio
import pickle
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from threading import Barrier
from typing import Any

import ormsgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.cache.base import BaseCache
from langgraph.cache.memory import InMemoryCache
from langgraph.cache.sqlite import SqliteCache
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import CachePolicy, Send, interrupt

from langchain_agentcost.caching import ScopedCache
from langchain_agentcost.caching.codec import StrictSerializer
from langchain_agentcost.caching.node_cache import CACHE
from langchain_agentcost.caching.node_key import scoped_key
from langchain_agentcost.errors import CacheError, CacheWarning
from langchain_agentcost.testing import FakeCounts, FakeMeteredChatModel
from tests.caching.asked_graphs import Asked, Listener, of, parent_of


class Node:
    """A node that counts its runs."""

    __agentcost_fingerprint__ = "a node of these tests"

    def __init__(self, answer: str = "yes") -> None:
        self.runs = 0
        self.answer = answer

    def __call__(self, state: Asked) -> Asked:
        """Answer."""
        self.runs += 1
        return {"answer": f"{self.answer} {self.runs}"}


POLICY = CachePolicy(key_func=scoped_key("question"))


def built(node: Any, schema: Any = Asked, policy: CachePolicy[Any] = POLICY) -> Any:
    """A graph of one node that is cached."""
    return StateGraph(schema).add_node("work", node, cache_policy=policy).add_edge(START, "work")


@pytest.fixture(params=["memory", "sqlite"])
def inner(request: pytest.FixtureRequest, tmp_path: Path) -> BaseCache[Any]:
    """A cache of LangGraph's."""
    return InMemoryCache() if request.param == "memory" else SqliteCache(path=str(tmp_path / "cache.db"))


def asked(graph: Any, cache: ScopedCache, config: Any = None, question: str = "q") -> Any:
    """Ask a graph as somebody."""
    config = config or of()
    with cache.serving(config):
        return graph.invoke({"question": question}, config)["answer"]


async def aasked(graph: Any, cache: ScopedCache, config: Any = None, question: str = "q") -> Any:
    """Ask a graph as somebody, from async code."""
    config = config or of()
    with cache.serving(config):
        return (await graph.ainvoke({"question": question}, config))["answer"]


def test_a_node_runs_once_for_its_tenant(inner: BaseCache[Any]) -> None:
    """Users of a tenant share what a node gave; another tenant's graph runs it again."""
    node = Node()
    cache = ScopedCache(inner, built(node))
    graph = built(node).compile(cache=cache)
    said = [asked(graph, cache, of(tenant, user)) for tenant in "abca" for user in ("ann", "bob")]
    assert said == ["yes 1", "yes 1", "yes 2", "yes 2", "yes 3", "yes 3", "yes 1", "yes 1"]
    assert cache.counts == {"misses": 3, "hits": 5}


async def test_async_callers_are_told_apart_too(inner: BaseCache[Any]) -> None:
    """Three tenants in tasks of one loop get results of their own, and share them with sync callers."""
    node = Node()
    cache = ScopedCache(inner, built(node))
    graph = built(node).compile(cache=cache)
    first = [await aasked(graph, cache, of(tenant)) for tenant in "abc"]
    assert len(set(first)) == 3
    assert await asyncio.gather(*(aasked(graph, cache, of(tenant)) for tenant in "abc")) == first
    assert [await asyncio.to_thread(asked, graph, cache, of(tenant)) for tenant in "abc"] == first


def test_threads_are_told_apart(inner: BaseCache[Any]) -> None:
    """Tenants that ask at the same time, in threads, never get one another's results."""
    cache = ScopedCache(inner, version="1")
    graph = built(lambda state, config: {"answer": config["metadata"]["tenant"]}).compile(cache=cache)
    together = Barrier(6)

    def ask(tenant: str) -> Any:
        together.wait()
        return [asked(graph, cache, of(tenant)) for _ in range(3)]

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(ask, "abcabc")) == [[tenant] * 3 for tenant in "abcabc"]


NAMES = st.text(st.characters(codec=None, categories=None) | st.sampled_from("\0,|:/ "), max_size=4)


@settings(max_examples=40, deadline=None)
@given(one=st.tuples(NAMES, NAMES), other=st.tuples(NAMES, NAMES))
def test_no_two_callers_share_whatever_they_are_called(one: tuple[str, str], other: tuple[str, str]) -> None:
    """Whatever characters names consist of, only the same user of the same tenant is served."""
    node = Node()
    cache = ScopedCache(InMemoryCache(), built(node), scope="user")
    graph = built(node).compile(cache=cache)
    assert (asked(graph, cache, of(*one)) == asked(graph, cache, of(*other))) == (one == other)


def test_two_graphs_with_the_same_node_name_never_share(inner: BaseCache[Any]) -> None:
    """Graphs that captured different things keep their results apart in one inner cache."""

    def saying(text: str) -> Any:
        return built(lambda state: {"answer": text})

    for text in ("v1", "v2", "v1"):
        cache = ScopedCache(inner, saying(text))
        assert asked(saying(text).compile(cache=cache), cache) == text


def test_a_graph_that_is_built_anew_finds_its_results(inner: BaseCache[Any]) -> None:
    """The next process, with the same graph and inner cache, is served."""
    node = Node()
    for _ in range(2):
        cache = ScopedCache(inner, built(node))
        assert asked(built(node).compile(cache=cache), cache) == "yes 1"


def test_who_is_not_known_is_not_cached_for() -> None:
    """Outside a block that says who asks, every run is made, and one warning says why."""
    node = Node()
    cache = ScopedCache(InMemoryCache(), built(node))
    graph = built(node).compile(cache=cache)
    with pytest.warns(CacheWarning, match="serving"):
        graph.invoke({"question": "q"}, of())
    graph.invoke({"question": "q"}, of())
    assert node.runs == 2
    assert cache.counts == {"refused_unscoped": 2}


def test_within_another_graph_it_is_seen_who_asks() -> None:
    """A subgraph's cache needs no block, and tells the meter of its hits."""
    model = FakeMeteredChatModel(answers=["said"], counts=FakeCounts(100, 5), model="gpt-4.1")
    policy = CachePolicy(key_func=scoped_key("messages"))

    def say(state: MessagesState) -> Any:
        return {"messages": [model.invoke(state["messages"])]}

    builder = built(say, MessagesState, policy)
    cache, listener = ScopedCache(InMemoryCache(), builder), Listener()
    graph = parent_of(builder.compile(cache=cache), MessagesState)
    for tenant in "aab":
        graph.invoke({"messages": [HumanMessage("Hi")]}, of(tenant, listener=listener))
    assert len(model.prompts) == 2
    (hit,) = listener.hits
    assert (hit.cache, listener.model_calls) == (CACHE, 2)
    assert [call.usage and call.usage.input_tokens for call in hit.spared] == [100]
    assert hit.spared[0].provider == "openai"


async def test_within_another_graph_async_hits_are_told() -> None:
    """The same from async code."""
    node = Node()
    cache, listener = ScopedCache(InMemoryCache(), built(node)), Listener()
    graph = parent_of(built(node).compile(cache=cache))
    for _ in range(2):
        await graph.ainvoke({"question": "q"}, of(listener=listener))
    assert len(listener.hits) == 1


def test_a_message_without_an_id_hits_and_is_served_with_a_new_one() -> None:
    """Ids of messages do not keep a node from being found, and a thread that is served twice holds both answers."""
    model = FakeMeteredChatModel(answers=["said"])
    policy = CachePolicy(key_func=lambda state: scoped_key("last")({"last": state["messages"][-1]}))

    def say(state: MessagesState) -> Any:
        return {"messages": [model.invoke(state["messages"][-1:])]}

    builder = built(say, MessagesState, policy)
    cache = ScopedCache(InMemoryCache(), builder)
    graph = builder.compile(cache=cache, checkpointer=InMemorySaver())
    for _ in range(3):
        with cache.serving(of()):
            out = graph.invoke({"messages": [HumanMessage("Hi")]}, of())
    assert [message.text for message in out["messages"]] == ["Hi", "said"] * 3
    assert len(model.prompts) == 1
    assert isinstance(out["messages"][-1], AIMessage)
    assert out["messages"][-1].usage_metadata == {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}


def test_equal_branches_share_what_an_earlier_run_gave() -> None:
    """Each of several equal branches is served, or runs for itself: none is left out."""
    node = Node()
    builder = StateGraph(Asked).add_node("work", node, cache_policy=POLICY)
    builder.add_conditional_edges(START, lambda state: [Send("work", {"question": "q"})], ["work"])
    cache = ScopedCache(InMemoryCache(), builder)
    graph = builder.compile(cache=cache)
    assert [asked(graph, cache) for _ in range(2)] == ["yes 1", "yes 1"]


def test_the_oldest_results_go_where_there_is_no_room(inner: BaseCache[Any]) -> None:
    """Of three questions in a cache for two, the one that was not asked for for longest is forgotten."""
    node = Node()
    cache = ScopedCache(inner, built(node), max_entries=2)
    graph = built(node).compile(cache=cache)
    said = [asked(graph, cache, question=question) for question in ("a", "b", "a", "c", "a", "b")]
    assert said == ["yes 1", "yes 2", "yes 1", "yes 3", "yes 1", "yes 4"]
    assert cache.counts["evicted"] == 2


def test_a_tag_ends_its_tenants_results(inner: BaseCache[Any]) -> None:
    """What is invalidated for one tenant is still served to another, by its tag or the node's name."""
    node = Node()
    cache = ScopedCache(inner, built(node), tags=["orders"])
    graph = built(node).compile(cache=cache)
    for number, tag in enumerate(("orders", "node:work")):
        said = [asked(graph, cache, of(tenant)) for tenant in "ab"]
        cache.invalidate(tag, config=of("a"))
        cache.invalidate("other", config=of("b"))
        again = [asked(graph, cache, of(tenant)) for tenant in "ab"]
        assert [old == new for old, new in zip(said, again, strict=True)] == [False, True], number


async def test_an_invalidation_during_a_run_ends_its_result(inner: BaseCache[Any]) -> None:
    """What was read before a write is not served after it, in sync and async runs."""
    node = Node()

    def read(state: Asked) -> Asked:
        seen = node(state)
        if node.runs in (1, 3):
            cache.invalidate("orders", config=of())
        return seen

    cache = ScopedCache(inner, version="1", tags=["orders"])
    graph = built(read).compile(cache=cache)
    assert [await aasked(graph, cache) for _ in range(3)] == ["yes 1", "yes 2", "yes 2"]
    await cache.ainvalidate("orders", config=of())
    assert [await asyncio.to_thread(asked, graph, cache) for _ in range(3)] == ["yes 3", "yes 4", "yes 4"]


def test_a_graphs_own_clear_ends_its_nodes_results(inner: BaseCache[Any]) -> None:
    """`clear_cache` of a graph ends what its nodes gave, for every tenant; other graphs keep theirs."""
    nodes = Node("a"), Node("b")
    caches = [ScopedCache(inner, version=node.answer) for node in nodes]
    graphs = [built(node).compile(cache=cache) for node, cache in zip(nodes, caches, strict=True)]
    for graph, cache in zip(graphs, caches, strict=True):
        asked(graph, cache)
    graphs[0].clear_cache()
    assert asked(graphs[0], caches[0]) == "a 2"
    assert asked(graphs[1], caches[1]) == "b 1"


async def test_clearing_all_empties_the_inner_cache(inner: BaseCache[Any]) -> None:
    """Without namespaces everything goes."""
    node = Node()
    cache = ScopedCache(inner, built(node))
    graph = built(node).compile(cache=cache)
    await aasked(graph, cache)
    await cache.aclear()
    assert await aasked(graph, cache) == "yes 2"
    await graph.aclear_cache()
    assert await aasked(graph, cache) == "yes 3"


class Opened:
    """Would run when pickle reads it."""

    def __reduce__(self) -> Any:
        """Say what to run."""
        return (pytest.fail, ("pickle was read",))


POISONS = [
    ("pickle", pickle.dumps(Opened())),
    ("msgpack", ormsgpack.packb(ormsgpack.Ext(0, ormsgpack.packb(("pathlib", "Path", "/etc/passwd"))))),
    ("msgpack", b"\xc1"),
    ("json", b'{"lc": 2, "type": "constructor", "id": ["os", "system"]}'),
    ("bytes", b"\x93\x01\x02\x03"),
    ("null", b""),
]


@pytest.mark.parametrize(("encoding", "data"), POISONS)
def test_foreign_bytes_are_a_miss(tmp_path: Path, encoding: str, data: bytes) -> None:
    """Whatever somebody wrote into the file is counted, runs nothing, and is answered by the node."""
    path, node = tmp_path / "cache.db", Node()
    cache = ScopedCache(SqliteCache(path=str(path)), built(node))
    graph = built(node).compile(cache=cache)
    asked(graph, cache)
    with sqlite3.connect(path) as file:
        file.execute("UPDATE cache SET encoding = ?, val = ? WHERE key = 'writes'", (encoding, data))
    file.close()
    assert asked(graph, cache) == "yes 2"
    assert asked(graph, cache) == "yes 2"
    assert cache.counts.get("poisoned", 0) == (0 if encoding == "null" else 1)


class Broken(InMemoryCache[Any]):
    """A cache whose server is gone."""

    def get(self, keys: Any) -> Any:
        """Fail."""
        raise ConnectionError("gone")

    def set(self, keys: Any) -> None:
        """Fail."""
        raise ConnectionError("gone")


@pytest.mark.filterwarnings("ignore::langchain_agentcost.errors.CacheWarning")
async def test_a_cache_that_fails_breaks_no_run() -> None:
    """Where the inner cache cannot be reached, nodes run and faults are counted."""
    node = Node()
    cache = ScopedCache(Broken(), built(node))
    graph = built(node).compile(cache=cache)
    assert asked(graph, cache) == "yes 1"
    assert await aasked(graph, cache) == "yes 2"
    assert cache.counts["faults"] >= 2


def test_what_cannot_be_stored_is_not_kept() -> None:
    """A node that wrote an object runs every time."""
    runs: list[int] = []

    def work(state: Asked) -> Any:
        runs.append(1)
        return {"answer": Barrier(1)}

    cache = ScopedCache(InMemoryCache(), version="1")
    graph = built(work).compile(cache=cache)
    for _ in range(2):
        asked(graph, cache)
    assert len(runs) == 2
    assert cache.counts == {"misses": 2, "refused_unstorable": 2}


def test_an_interrupted_node_is_not_kept() -> None:
    """A node that asks a person asks every time."""
    cache = ScopedCache(InMemoryCache(), version="1")
    builder = built(lambda state: {"answer": interrupt("May I?")})
    graph = builder.compile(cache=cache, checkpointer=InMemorySaver())
    for thread in "12":
        with cache.serving(of(thread=thread)):
            assert "__interrupt__" in graph.invoke({"question": "q"}, of(thread=thread))


def test_a_hit_shows_in_the_stream() -> None:
    """LangGraph's own mark of a cached node is still there."""
    node = Node()
    cache = ScopedCache(InMemoryCache(), built(node))
    graph = built(node).compile(cache=cache)
    asked(graph, cache)
    with cache.serving(of()):
        (update,) = graph.stream({"question": "q"}, of(), stream_mode="updates")
    assert update == {"work": {"answer": "yes 1"}, "__metadata__": {"cached": True}}


def test_a_graph_without_a_value_is_not_cached_and_says_so() -> None:
    """A captured client without a version: nodes run, and one warning says what to do."""
    client = iter([1])
    builder = built(lambda state: {"answer": str(client)})
    cache = ScopedCache(InMemoryCache(), builder)
    graph = builder.compile(cache=cache)
    with pytest.warns(CacheWarning, match="version="):
        asked(graph, cache)
    assert set(cache.counts) == {"refused_unkeyable"}


def test_a_policys_time_is_the_inner_caches(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ttl of a policy reaches the cache that keeps the result."""
    kept: list[Any] = []
    memory = InMemoryCache[Any]()
    put = memory.set

    def spied(pairs: Any) -> None:
        kept.extend(pairs.items())
        put(pairs)

    monkeypatch.setattr(memory, "set", spied)
    node = Node()
    builder = built(node, policy=CachePolicy(key_func=scoped_key("question"), ttl=60))
    cache = ScopedCache(memory, builder)
    asked(builder.compile(cache=cache), cache)
    assert {ttl_s for (_, name), (_, ttl_s) in kept if name == "writes"} == {60}


def test_the_inner_caches_default_serializer_becomes_strict() -> None:
    """LangGraph's serializer reads whatever types it is told to; a cache that is handed over reads safe ones."""
    memory = InMemoryCache[Any]()
    ScopedCache(memory, version="1")
    assert isinstance(memory.serde, StrictSerializer)


def test_a_key_of_channels_needs_them_and_tells_them_apart() -> None:
    """A missing channel is an error; without names all channels count; what has no value never hits."""
    key = scoped_key("question")
    with pytest.raises(CacheError, match="'question'"):
        key({"known": "k"})
    assert key({"question": "q", "known": "a"}) == key({"question": "q", "known": "b"})
    assert scoped_key()({"question": "q", "known": "a"}) != scoped_key()({"question": "q", "known": "b"})
    assert key({"question": Barrier(1)}) != key({"question": Barrier(1)})


@pytest.mark.parametrize("made", [{}, {"version": "1", "max_entries": 0}, {"version": "1", "scope": "world"}])
def test_a_cache_that_cannot_be_is_refused(made: Any) -> None:
    """Neither a graph nor a version, no room, or a scope that is none is an error when it is made."""
    with pytest.raises(ValueError, match=r"version|max_entries|scope"), nullcontext():
        ScopedCache(InMemoryCache(), **made)
