"""The cache of `set_llm_cache`: LangChain's own suites, and what its keys are made of."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.caches import BaseCache
from langchain_core.globals import set_llm_cache
from langchain_core.language_models import FakeListLLM
from langchain_core.load import dumps
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, Generation
from langchain_tests.integration_tests import AsyncCacheTestSuite, SyncCacheTestSuite
from langgraph.graph import START, MessagesState, StateGraph

from langchain_agentcost import CostMeter
from langchain_agentcost.caching.llm_cache import AgentCostLLMCache
from langchain_agentcost.caching.stores import MemoryStore
from langchain_agentcost.errors import CacheWarning
from langchain_agentcost.testing import FakeCounts, FakeMeteredChatModel
from tests.caching.desk import booked, caller, desk_model, graph_of, saved_nano


@pytest.fixture(params=["memory", "sqlite"])
def cache(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AgentCostLLMCache]:
    """An empty cache."""
    url = "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/cache.db"
    made = AgentCostLLMCache(url, scope="global")
    yield made
    made.shelf.close()


class TestSync(SyncCacheTestSuite):
    """LangChain's suite."""

    @pytest.fixture
    def cache(self, cache: BaseCache) -> BaseCache:
        """The cache of this file."""
        return cache


class TestAsync(AsyncCacheTestSuite):
    """LangChain's suite."""

    @pytest.fixture
    async def cache(self, cache: BaseCache) -> BaseCache:
        """The cache of this file."""
        return cache


def answer(text: str = "In Lyon.", **said: Any) -> list[Generation]:
    """What a model gives."""
    return [ChatGeneration(message=AIMessage(text, **said))]


class TestKeys:
    """What a prompt is."""

    @given(st.text(), st.text())
    def test_a_prompt_that_is_no_dump_is_its_own_key(self, one: str, other: str) -> None:
        """Whatever it holds, only its equal hits."""
        cache = AgentCostLLMCache(scope="global")
        cache.update(one, "llm", answer())
        assert (cache.lookup(other, "llm") is None) == (one != other)

    @given(st.text(), st.text())
    def test_other_parameters_are_another_model(self, one: str, other: str) -> None:
        """LangChain's description of the model is a partition."""
        cache = AgentCostLLMCache(scope="global")
        cache.update("Hi", one, answer())
        assert (cache.lookup("Hi", other) is None) == (one != other)

    @given(st.text(), st.text())
    def test_messages_are_told_apart_by_what_they_say(self, one: str, other: str) -> None:
        """Neither the text nor the role of one is mistaken for another's."""
        cache = AgentCostLLMCache(scope="global")
        cache.update(dumps([SystemMessage(one), HumanMessage(other)]), "llm", answer())
        assert cache.lookup(dumps([SystemMessage(one), HumanMessage(other)]), "llm") is not None
        assert cache.lookup(dumps([HumanMessage(one), HumanMessage(other)]), "llm") is None
        assert (cache.lookup(dumps([SystemMessage(other), HumanMessage(one)]), "llm") is None) == (one != other)

    def test_ids_and_what_a_hit_adds_are_not_part_of_it(self) -> None:
        """A history that came out of a cache is the history that went in."""

        def history(number: int, **usage: Any) -> str:
            call = {"name": "track", "args": {"order": "7"}, "id": f"c{number}"}
            counts: Any = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2, **usage}
            messages: list[BaseMessage] = [
                HumanMessage("Where?", id=str(number)),
                AIMessage(
                    "", tool_calls=[call], usage_metadata=counts, response_metadata={"id": number}, id=f"a{number}"
                ),
                ToolMessage("Lyon", tool_call_id=f"c{number}", id=f"t{number}"),
            ]
            return dumps(messages)

        cache = AgentCostLLMCache(scope="global")
        cache.update(history(1), "llm", answer())
        assert cache.lookup(history(2, total_cost=0), "llm") is not None

    @pytest.mark.parametrize("prompt", ["[]", "{}", "null", "[1]", "[{}]", '[{"kwargs": {}}]', "[" * 5_000, '"\ud800"'])
    def test_what_looks_like_a_dump_and_is_none_is_its_own_key(self, prompt: str) -> None:
        """Nothing is taken for messages that are not."""
        cache = AgentCostLLMCache(scope="global")
        cache.update(prompt, "llm", answer())
        assert cache.lookup(prompt, "llm") is not None
        assert cache.lookup(prompt + " ", "llm") is None

    def test_a_dump_with_more_in_it_is_not_the_dump_without(self) -> None:
        """What is not looked at is not left out."""
        cache, plain = AgentCostLLMCache(scope="global"), dumps([HumanMessage("Hi")])
        cache.update(plain, "llm", answer())
        more = json.dumps([{**one, "note": "another prompt"} for one in json.loads(plain)])
        assert cache.lookup(more, "llm") is None


class TestWhose:
    """Who shares an answer."""

    def test_tenants_and_users_of_graphs_do_not_share(self) -> None:
        """The run that the model is called in says whose the answer is."""
        model = desk_model(cache=AgentCostLLMCache(scope="user"))
        graph = graph_of(model)
        for config in (caller(), caller(), caller("other"), caller("acme", "bob"), caller()):
            graph.invoke({"messages": "Where?"}, config)
        assert len(model.prompts) == 3

    def test_outside_of_any_nothing_is_cached(self) -> None:
        """And it is said once."""
        model = desk_model(cache=AgentCostLLMCache())
        with pytest.warns(CacheWarning, match="Nothing is cached"):
            model.invoke("Hi")
        model.invoke("Hi")
        assert len(model.prompts) == 2


class TestAHit:
    """What a model with this cache gives."""

    @pytest.mark.parametrize("how", ["sync", "async"])
    async def test_it_is_booked_as_one_that_the_providers_cache_would_have_known(self, how: str) -> None:
        """No paid tokens, one hit, and the saving of a prompt of which the most would have been read from a cache."""
        model, meter = desk_model(cache=AgentCostLLMCache(scope="user")), CostMeter()
        graph, config = graph_of(model), caller() | {"callbacks": meter.callbacks}
        for _ in range(2):
            if how == "sync":
                graph.invoke({"messages": "Where?"}, config)
            else:
                await graph.ainvoke({"messages": "Where?"}, config)
        [paid], [hit] = booked(meter, "llm"), booked(meter, "cache_hit")
        assert (len(model.prompts), meter.report().total.usage) == (1, paid.usage)
        assert (hit.attribution.node, hit.attribution.tenant) == ("answer", "acme")
        assert hit.usage is not None
        assert hit.usage.cache_read_tokens == 2_944
        assert paid.cost is not None
        assert 0 < saved_nano(hit) < paid.cost.total_nano

    def test_a_served_message_has_an_id_of_its_own(self) -> None:
        """A history that has the first answer already takes the second for another message."""
        model = desk_model(cache=AgentCostLLMCache(scope="global"))
        assert len({model.invoke("Hi").id for _ in range(3)}) == 3

    def test_all_generations_come_back(self) -> None:
        """A call with several answers gives as many again."""
        model = desk_model(cache=AgentCostLLMCache(scope="global"), n=2, counts=FakeCounts(10, 2))
        first, second = (model.generate([[HumanMessage("Hi")]]).generations[0] for _ in range(2))
        assert ([one.text for one in first], len(second), len(model.prompts)) == ([one.text for one in second], 2, 1)

    def test_it_works_for_models_of_text(self) -> None:
        """`set_llm_cache` serves old LLM classes too, sync and async."""
        set_llm_cache(AgentCostLLMCache(scope="global"))
        try:
            model = FakeListLLM(responses=["one", "two", "three"])
            said = [model.invoke("Hi"), asyncio.run(model.ainvoke("Hi")), model.invoke("Ho")]
        finally:
            set_llm_cache(None)
        assert said == ["one", "one", "two"]


class TestWhatIsNotKept:
    """Answers that are no good to anybody else."""

    @pytest.mark.parametrize(
        "kept",
        [
            answer(response_metadata={"finish_reason": "length"}),
            answer(response_metadata={"stop_reason": "max_tokens"}),
            answer(invalid_tool_calls=[{"name": "track", "args": "{", "id": "1", "error": "no JSON"}]),
            [*answer(), *answer(response_metadata={"finish_reason": "content_filter"})],
            [Generation(text="In", generation_info={"finish_reason": "length"})],
            [ChatGeneration(message=AIMessage("x", additional_kwargs={"client": object()}))],
        ],
        ids=["length", "max_tokens", "call", "one of two", "text", "no JSON"],
    )
    def test_cut_short_refused_broken_or_unwritable(self, kept: list[Generation]) -> None:
        """They are a miss, and counted."""
        cache = AgentCostLLMCache(scope="global")
        cache.update("Hi", "llm", kept)
        assert cache.lookup("Hi", "llm") is None
        assert sum(count for name, count in cache.shelf.counts.items() if name.startswith("refused")) == 1

    @pytest.mark.parametrize("how", ["sync", "async"])
    async def test_what_is_forgotten_while_it_is_made(self, how: str) -> None:
        """The answer is given, and not kept; the next one is."""
        cache = AgentCostLLMCache(scope="user")

        def answers(messages: list[BaseMessage]) -> str:
            if len(model.prompts) == 1:
                cache.shelf.forget(tenant="acme", user="ann")
            return "In Lyon."

        model = desk_model(answers, cache=cache)
        graph = graph_of(model)
        for _ in range(3):
            if how == "sync":
                graph.invoke({"messages": "Where?"}, caller())
            else:
                await graph.ainvoke({"messages": "Where?"}, caller())
        assert len(model.prompts) == 2

    def test_bytes_that_are_no_answer_are_a_miss(self) -> None:
        """And counted."""
        store = MemoryStore()
        cache = AgentCostLLMCache(store, scope="global")
        cache.update("Hi", "llm", answer())
        for place, kept in store._entries.items():
            store._entries[place] = kept._replace(entry=_with(kept.entry, b"\x80\x04."))
        assert cache.lookup("Hi", "llm") is None
        assert cache.shelf.counts["poisoned"] == 1

    def test_a_store_that_cannot_be_reached(self) -> None:
        """The model answers; one warning."""
        store = MemoryStore()
        store.close()
        model = desk_model(cache=AgentCostLLMCache(store, scope="global"))
        with pytest.warns(CacheWarning, match="store failed"):
            model.invoke("Hi")
        model.invoke("Hi")
        assert len(model.prompts) == 2


def _with(entry: Any, value: bytes) -> Any:
    return replace(entry, value=value)


def test_a_graphs_state_is_the_same_with_hits() -> None:
    """Three turns of a graph that is asked the same three times end alike, from three calls."""
    model = desk_model(lambda messages: f"answer {len(messages)}", cache=AgentCostLLMCache(scope="global"))

    def turn(state: MessagesState) -> Any:
        return {"messages": [model.invoke(state["messages"]), HumanMessage("And then?")]}

    graph = (
        StateGraph(MessagesState).add_sequence([("a", turn), ("b", turn), ("c", turn)]).add_edge(START, "a").compile()
    )
    question: Any = {"messages": "Where?"}
    ends = [[message.text for message in graph.invoke(question)["messages"]] for _ in range(3)]
    assert (ends[0] == ends[1] == ends[2], len(model.prompts)) == (True, 3)


def test_answers_of_a_model_are_forgotten_by_its_name() -> None:
    """Whoever withdraws a model can be sure that nothing of it is served any more."""
    cache = AgentCostLLMCache(scope="global")
    for name in ("gpt-5-mini", "gpt-4.1"):
        FakeMeteredChatModel(model=name, cache=cache).invoke("Hi")
    kept = cache.shelf.store.room().entries
    [model] = {FakeMeteredChatModel(model="gpt-4.1").invoke("Hi").response_metadata["model_name"]}
    assert (cache.shelf.forget(model=model), kept, cache.shelf.store.room().entries) == (1, 2, 1)
