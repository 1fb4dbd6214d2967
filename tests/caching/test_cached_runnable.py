"""A model behind a cache: what a hit looks like, how calls are shared, and that all of LangChain still works on it."""

from __future__ import annotations

from collections.abc import Callable
from operator import add
from typing import Annotated, Any, TypedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.callbacks import UsageMetadataCallbackHandler
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import ConfigurableField, Runnable, RunnableLambda
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from langgraph.types import Send
from pydantic import BaseModel

from langchain_agentcost import CostMeter
from langchain_agentcost.caching.answer import MARK
from langchain_agentcost.caching.cached_runnable import CachedRunnable
from langchain_agentcost.caching.scope import Scope
from langchain_agentcost.caching.semantic import SemanticCache
from langchain_agentcost.chat_model import names_of
from langchain_agentcost.errors import CacheWarning
from langchain_agentcost.testing import FakeCounts, FakeMeteredChatModel
from tests.caching.desk import (
    COUNTS,
    QUESTION,
    WAYS,
    added_up,
    booked,
    cached,
    caller,
    calls,
    cancel,
    desk_model,
    echo,
    exact_cache,
    graph_of,
    looks_once,
    saved_nano,
    texts,
    track,
)


def without_id(message: BaseMessage) -> BaseMessage:
    """A message to compare: every answer has an id of its own, and a mark with its age."""
    said = {key: value for key, value in message.response_metadata.items() if key != MARK}
    return message.model_copy(update={"id": None, "response_metadata": said})


every_way = pytest.mark.parametrize("ways", [(a, b) for a in WAYS for b in WAYS], ids="-then-".join)

ANSWERS: dict[str, AIMessage] = {
    "text": AIMessage("Within thirty days, if it is unused.", response_metadata={"logprobs": {"content": []}}),
    "calls": AIMessage(
        "I look.",
        tool_calls=[
            {"name": "track", "args": {"order": "7", "deep": {"é\ud800": [1, 2.5, None, True]}}, "id": "c1"},
            {"name": "track", "args": {}, "id": "c2"},
        ],
    ),
    "silent calls": AIMessage("", tool_calls=[{"name": "track", "args": {"order": "7"}, "id": "c1"}]),
}


class TestAHit:
    """What is served in place of the model's answer."""

    @every_way
    @pytest.mark.parametrize("said", ANSWERS.values(), ids=ANSWERS)
    def test_it_says_what_the_model_said_whichever_way_it_was_asked_first_and_then(
        self, ways: tuple[str, str], said: AIMessage
    ) -> None:
        """Content, tool calls and how it finished are the same; usage is 0, the id is new, and the mark is there."""
        asked = cached(desk_model((said,)))
        first, second = (WAYS[way](asked, None) for way in ways)
        assert calls(asked) == 1
        assert (
            (second.content, second.tool_calls) == (first.content, first.tool_calls) == (said.content, said.tool_calls)
        )
        assert second.response_metadata.items() >= first.response_metadata.items()
        assert second.usage_metadata is not None
        assert second.usage_metadata["total_tokens"] == 0
        assert second.id != first.id
        assert (second.response_metadata[MARK]["cache"], MARK in first.response_metadata) == ("exact", False)

    @pytest.mark.parametrize("said", ANSWERS.values(), ids=ANSWERS)
    def test_a_stream_comes_in_the_pieces_that_it_came_in(self, said: AIMessage) -> None:
        """The text is cut where the model's stream was cut, and the last piece says that it is the last."""
        asked = cached(desk_model((said,)))
        first, second = (list(asked.stream(QUESTION)) for _ in range(2))
        assert calls(asked) == 1
        whole = [chunk.text for chunk in first if chunk.text]
        assert [chunk.text for chunk in second if chunk.text] == whole
        assert isinstance(second[-1], AIMessageChunk)
        assert second[-1].chunk_position == "last"
        assert len({chunk.id for chunk in second}) == 1

    @given(st.text(), st.text(min_size=1))
    def test_a_replayed_stream_adds_up_to_the_invoked_answer_for_any_text(self, said: str, asked_for: str) -> None:
        """Whatever the answer is, the pieces lose nothing of it."""
        asked = cached(desk_model((said,)), allow=["timely"])
        first = added_up(list(asked.stream(asked_for)))
        streamed, invoked = added_up(list(asked.stream(asked_for))), asked.invoke(asked_for)
        assert calls(asked) == 1
        assert without_id(streamed) == without_id(invoked)
        assert invoked.content == first.content

    def test_content_in_blocks_comes_back_in_blocks(self) -> None:
        """An answer of blocks is replayed as one piece."""
        said = AIMessage([{"type": "text", "text": "Within thirty days.", "index": 0}])
        asked = cached(desk_model((said,), usage="anthropic", model=None))
        asked.invoke(QUESTION)
        assert added_up(list(asked.stream(QUESTION))).content == asked.invoke(QUESTION).content == said.content

    def test_a_miss_streams_as_the_model_does(self) -> None:
        """The cache hands each piece on before the next one is there."""
        model = desk_model(("one two three",))
        asked = cached(model)
        stream = asked.stream(QUESTION)
        assert next(stream).text == "one"
        assert not asked.cache.shelf.store.room().entries
        assert len(list(stream)) == 3

    @pytest.mark.parametrize("ids", [("1", "2"), (None, "2")])
    def test_ids_and_usage_of_messages_never_cause_a_miss(self, ids: tuple[str | None, str]) -> None:
        """A history is what was said in it, whoever numbered the messages and whatever they took."""
        asked = cached()
        for number, id_ in enumerate(ids):
            call = {"name": "track", "args": {}, "id": f"c{number}"}
            said = AIMessage("", id=id_, tool_calls=[call], response_metadata={"n": number})
            found = ToolMessage("Lyon", tool_call_id=f"c{number}", id=id_)
            asked.invoke([SystemMessage("Be kind.", id=id_), HumanMessage("Where?", id=id_), said, found])
        assert calls(asked) == 1

    async def test_events_are_streamed_on_a_miss_and_on_a_hit(self) -> None:
        """`astream_events` shows the model on a miss; on a hit it shows the hit, the same pieces, and no model."""
        asked = cached(desk_model(("one two three",)))
        runs = [[event async for event in asked.astream_events(QUESTION, version="v2")] for _ in range(2)]
        kinds = [{event["event"] for event in run} for run in runs]
        assert "on_chat_model_stream" in kinds[0]
        assert "on_custom_event" in kinds[1]
        assert not any(kind.startswith("on_chat_model") for kind in kinds[1])
        said = ["".join(e["data"]["chunk"].text for e in run if e["event"] == "on_chain_stream") for run in runs]
        assert said == ["one two three"] * 2

    def test_a_hit_from_a_store_in_a_file_is_as_one_from_memory(self, tmp_path: Any) -> None:
        """After a restart the answer is there with its pieces."""
        for count in (1, 0):
            asked = cached(desk_model(("one two three",)), store=f"sqlite:///{tmp_path}/cache.db")
            pieces = [chunk.text for chunk in asked.stream(QUESTION)]
            assert (calls(asked), [piece for piece in pieces if piece]) == (count, ["one", " two", " three"])
            asked.cache.close()


class TestWhatIsMetered:
    """A hit is one entry that costs nothing, and no call."""

    @pytest.mark.parametrize("way", WAYS)
    def test_a_hit_costs_nothing_and_says_what_it_saved(self, way: str) -> None:
        """One entry of a hit, priced as a prompt that OpenAI's own cache would have known; tokens are those paid."""
        asked, meter, counted = cached(), CostMeter(), UsageMetadataCallbackHandler()
        config = caller() | {"callbacks": [*meter.callbacks, counted]}
        for _ in range(3):
            WAYS[way](asked, config)
        assert (len(booked(meter, "llm")), len(booked(meter, "cache_hit"))) == (1, 2)
        [paid] = booked(meter, "llm")
        assert paid.cost is not None
        for hit in booked(meter, "cache_hit"):
            assert (hit.name, hit.attribution.tenant, hit.attribution.user) == ("exact", "acme", "ann")
            assert hit.attribution.model == "gpt-4.1"
            assert hit.usage is not None
            assert hit.usage.cache_read_tokens == 2_944  # of 3,000, in steps of 128
            assert 0 < saved_nano(hit) < paid.cost.total_nano
        total = meter.report().total
        assert (total.llm_calls, total.usage.total_tokens) == (1, COUNTS.total_tokens)
        assert [used["total_tokens"] for used in counted.usage_metadata.values()] == [COUNTS.total_tokens]

    async def test_hits_in_a_graph_are_those_of_their_nodes(self) -> None:
        """The node, the session and the tenant of the run stand at the hit, sync and async."""
        asked, meter = cached(scope="tenant"), CostMeter()
        graph = graph_of(asked)
        config: Any = {**caller(), "callbacks": meter.callbacks, "configurable": {"thread_id": "s1"}}
        graph.invoke({"messages": QUESTION}, config)
        graph.invoke({"messages": QUESTION}, config)
        await graph.ainvoke({"messages": QUESTION}, config)
        assert calls(asked) == 1
        said = [hit.attribution for hit in booked(meter, "cache_hit")]
        assert [(one.node, one.tenant, one.session, one.step) for one in said] == [("answer", "acme", "s1", 1)] * 2

    def test_outside_of_any_run_a_hit_is_served_all_the_same(self) -> None:
        """Nobody listens, and nobody has to."""
        asked = cached()
        assert {asked.invoke(QUESTION).text for _ in range(2)} == {"Within 30 days."}


def loop_of(asked: CachedRunnable) -> Any:
    """An agent made by hand: a model with a tool, in a loop."""
    bound = asked.bind_tools([track])

    def answer(state: MessagesState) -> Any:
        return {"messages": [bound.invoke(state["messages"])]}

    async def aanswer(state: MessagesState) -> Any:
        return {"messages": [await bound.ainvoke(state["messages"])]}

    graph = StateGraph(MessagesState).add_node("answer", RunnableLambda(answer, aanswer))
    graph.add_node("tools", ToolNode([track])).add_edge(START, "answer").add_edge("tools", "answer")
    return graph.add_conditional_edges("answer", tools_condition).compile()


class Work(TypedDict):
    """Questions to ask side by side."""

    questions: list[str]
    said: Annotated[list[str], add]


class TestInGraphs:
    """LangGraph around and inside."""

    @pytest.mark.parametrize("how", ["sync", "async"])
    async def test_an_agent_that_is_run_again_makes_no_call_at_all(self, how: str) -> None:
        """Two steps four times: 2, 0, 0, 0 real calls."""
        model = desk_model(looks_once)
        agent = loop_of(CachedRunnable(model, exact_cache()))
        made = []
        for _ in range(4):
            before = len(model.prompts)
            done = (
                agent.invoke({"messages": "Where is order 7?"})
                if how == "sync"
                else await agent.ainvoke({"messages": "Where is order 7?"})
            )
            made.append(len(model.prompts) - before)
            assert texts(done)[-1] == "Your order is in Lyon."
        assert made == [2, 0, 0, 0]

    @pytest.mark.parametrize("mode", ["messages", "updates"])
    async def test_streams_of_a_graph_show_the_answer_on_a_miss_and_on_a_hit(self, mode: Any) -> None:
        """The text arrives once, token by token on a miss, and whole on a hit."""
        graph = graph_of(cached(desk_model(("one two three",))))
        runs = [list(graph.stream({"messages": QUESTION}, stream_mode=mode)) for _ in range(2)]
        runs.append([part async for part in graph.astream({"messages": QUESTION}, stream_mode=mode)])
        if mode == "messages":
            assert ["".join(part[0].text for part in run) for run in runs] == ["one two three"] * 3
            assert len(runs[0]) > len(runs[1]) == 1
        else:
            assert [run[0]["answer"]["messages"][0].text for run in runs] == ["one two three"] * 3

    def test_branches_of_a_fan_out_share_one_call(self) -> None:
        """Eight equal branches at the same time make one call, and eight different ones make eight."""
        asked = cached(desk_model(echo, latency_s=0.05), scope="run")

        def spread(state: Work) -> list[Send]:
            return [Send("ask", {"questions": [one]}) for one in state["questions"]]

        def ask(state: Work) -> Any:
            return {"said": [asked.invoke(state["questions"][0]).text]}

        graph = StateGraph(Work).add_node("ask", ask).add_conditional_edges(START, spread, ["ask"]).compile()
        done = graph.invoke({"questions": ["A?"] * 8, "said": []})
        assert (done["said"], calls(asked)) == (["You asked: A?"] * 8, 1)
        graph.invoke({"questions": [f"{n}?" for n in range(8)], "said": []})
        assert calls(asked) == 9

    def test_a_subgraph_has_the_run_and_the_metadata_of_its_parent(self) -> None:
        """What a parent's node asked is not asked again in a subgraph of the run, but in the next run."""
        asked = cached(scope="run")
        inner = graph_of(asked)
        outer = (
            StateGraph(MessagesState)
            .add_node("first", inner)
            .add_node("second", lambda state: inner.invoke({"messages": state["messages"][:1]}))
        )
        question: Any = {"messages": QUESTION}
        graph = outer.add_edge(START, "first").add_edge("first", "second").compile()
        graph.invoke(question)
        assert calls(asked) == 1
        graph.invoke(question)
        assert calls(asked) == 2


class TestWhose:
    """Who shares an answer."""

    @pytest.mark.parametrize(
        ("scope", "shared", "apart"),
        [
            ("tenant", caller("acme", "bob"), caller("other", "ann")),
            ("user", caller("acme", "ann", session="2"), caller("acme", "bob")),
            ("session", caller("acme", "ann", session="1"), caller("acme", "ann", session="2")),
        ],
    )
    def test_nobody_outside_of_the_scope_gets_it(self, scope: Scope, shared: Any, apart: Any) -> None:
        """The same caller shares; the next tenant, user or session does not."""
        asked = cached(desk_model(("first", "second")), scope=scope)
        asked.invoke(QUESTION, caller("acme", "ann", session="1"))
        assert (asked.invoke(QUESTION, shared).text, asked.invoke(QUESTION, apart).text) == ("first", "second")

    def test_without_a_tenant_a_session_shares_whatever_the_scope_says(self) -> None:
        """A user's name alone is not enough to share by."""
        asked = cached(desk_model(("first", "second")), scope="tenant")
        said = [asked.invoke(QUESTION, caller(None, "ann", session=one)).text for one in ("1", "1", "2")]
        assert said == ["first", "first", "second"]

    def test_where_nobody_is_known_nothing_is_cached_and_it_is_said_once(self) -> None:
        """Two calls outside of everything are two calls, with one warning."""
        asked = cached(scope="user")
        with pytest.warns(CacheWarning, match="Nothing is cached"):
            asked.invoke(QUESTION)
        for _ in range(2):
            asked.invoke(QUESTION)  # a second warning would be an error
        assert (calls(asked), asked.cache.counts) == (3, {"refused_unscoped": 3})

    def test_metadata_bound_to_the_cached_model_counts(self) -> None:
        """`with_config` names the tenant as the call's own config does."""
        asked = cached(scope="tenant")
        for tenant in ("a", "b", "a"):
            asked.with_config(metadata={"tenant": tenant}).invoke(QUESTION)
        assert calls(asked) == 2


class Shaped(FakeMeteredChatModel):
    """A model whose annotations fallbacks can read, as they can those of providers' classes."""

    def with_structured_output(self, schema: Any, *, include_raw: bool = False, **kwargs: Any) -> Runnable[Any, Any]:
        """As any model does."""
        return super().with_structured_output(schema, include_raw=include_raw, **kwargs)


class TestWhatIsAsked:
    """LangChain's ways to make a model of a model."""

    def test_tools_in_another_order_are_the_same_and_other_tools_are_not(self) -> None:
        """What a model may call is part of the question."""
        asked = cached()
        for tools in ([track, cancel], [cancel, track], [track], []):
            (asked.bind_tools(tools) if tools else asked).invoke(QUESTION)
        assert calls(asked) == 3

    @pytest.mark.parametrize("bound", [{"stop": ["."]}, {"model": "gpt-5"}, {"seed": 3}, {"max_tokens": 5}])
    def test_what_is_bound_is_part_of_the_question(self, bound: dict[str, Any]) -> None:
        """Bound before, bound after, or passed in the call: one question, and another than without it."""
        asked = cached()
        asked.invoke(QUESTION)
        asked.bind(**bound).invoke(QUESTION)
        asked.invoke(QUESTION, **bound)
        CachedRunnable(asked.model.bind(**bound), asked.cache).invoke(QUESTION)
        assert calls(asked) == 2

    @pytest.mark.parametrize(
        "sampled",
        [
            lambda asked: asked.bind(temperature=0.7),
            lambda asked: CachedRunnable(asked.model.bind(temperature=0.7), asked.cache),
            lambda asked: CachedRunnable(asked.model.with_fallbacks([asked.model.bind(temperature=0.7)]), asked.cache),
            lambda asked: CachedRunnable(asked.model.bind(temperature=0.7).with_retry(), asked.cache),
            lambda asked: asked.bind(temperature=0.7).with_config(tags=["x"]),
        ],
        ids=["bind", "bound", "fallback", "retry", "config"],
    )
    def test_a_temperature_is_seen_wherever_it_is_set(self, sampled: Callable[[CachedRunnable], Any]) -> None:
        """A sampled answer is not one to give to everybody."""
        asked = cached()
        for _ in range(2):
            sampled(asked).invoke(QUESTION)
        assert (calls(asked), asked.cache.counts) == (2, {"refused_temperature": 2})

    def test_a_temperature_that_the_run_configures_is_seen(self) -> None:
        """A configurable field counts as the run sets it."""

        class Warm(FakeMeteredChatModel):
            temperature: float = 0.0

        model = Warm().configurable_fields(temperature=ConfigurableField(id="t"))
        asked = CachedRunnable(model, exact_cache())
        for _ in range(2):
            asked.invoke(QUESTION, {"configurable": {"t": 0.9}})
            asked.invoke(QUESTION, {"configurable": {"t": 0.0}})
        assert asked.cache.counts == {"refused_temperature": 2, "misses": 1, "exact": 1}

    def test_sampled_answers_are_cached_where_that_is_allowed(self) -> None:
        """Another temperature is another question."""
        asked = cached(allow=["temperature"])
        for temperature in (0.7, 0.7, 0.2):
            asked.bind(temperature=temperature).invoke(QUESTION)
        assert calls(asked) == 2

    @pytest.mark.parametrize("include_raw", [True, False])
    @pytest.mark.parametrize("how", ["sync", "async"])
    async def test_structured_output_is_made_of_the_cached_answer(self, *, include_raw: bool, how: str) -> None:
        """The parsed object is there on a hit, and another schema is another question."""

        class Order(BaseModel):
            number: int

        class Parcel(BaseModel):
            number: int

        call = {"name": "Order", "args": {"number": 7}, "id": "1"}
        asked = cached(desk_model((AIMessage("", tool_calls=[call]),)))
        shaped = asked.with_structured_output(Order, include_raw=include_raw)
        for _ in range(2):
            found = shaped.invoke(QUESTION) if how == "sync" else await shaped.ainvoke(QUESTION)
            assert (found["parsed"] if include_raw else found) == Order(number=7)
        assert calls(asked) == 1
        asked.with_structured_output(Parcel, include_raw=True).invoke(QUESTION)
        assert calls(asked) == 2

    @pytest.mark.parametrize("outside", [True, False])
    def test_structured_output_keeps_the_fallbacks(self, *, outside: bool) -> None:
        """Where the first model is down, the second one's answer is parsed, and each is cached as its own."""

        class Order(BaseModel):
            number: int

        call = AIMessage("", tool_calls=[{"name": "Order", "args": {"number": 7}, "id": "1"}])
        down = Shaped(failures={number: ConnectionError("down") for number in range(1, 9)})
        up, cache = Shaped(answers=(call,), model="gpt-5"), exact_cache()
        both: Any = (
            CachedRunnable(down, cache).with_fallbacks([CachedRunnable(up, cache)])
            if outside
            else CachedRunnable(down.with_fallbacks([up]), cache)
        )
        shaped = both.with_structured_output(Order)
        assert [shaped.invoke(QUESTION) for _ in range(2)] == [Order(number=7)] * 2
        assert (len(down.prompts), len(up.prompts)) == (2, 1)

    async def test_it_is_a_step_of_a_sequence(self) -> None:
        """Prompt before, parser behind, in every way of calling; streams stay streams."""
        asked = cached(desk_model(("one two three",)))
        chain = (
            ChatPromptTemplate.from_messages([("system", "Be kind."), ("user", "{text}")]) | asked | StrOutputParser()
        )
        assert [piece for piece in chain.stream({"text": QUESTION}) if piece] == ["one", " two", " three"]
        assert [piece async for piece in chain.astream({"text": QUESTION}) if piece] == ["one", " two", " three"]
        assert chain.invoke({"text": QUESTION}) == await chain.ainvoke({"text": QUESTION}) == "one two three"
        assert calls(asked) == 1

    def test_fallbacks_between_cached_models_keep_their_tools_and_their_answers_apart(self) -> None:
        """Tools are bound to both; the answer of the second is not kept for the first."""
        cache = exact_cache()
        weak = CachedRunnable(desk_model(("weak",), failures={1: ConnectionError("down")}), cache)
        strong = CachedRunnable(desk_model(("strong",), model="gpt-5"), cache)
        both: Any = weak.with_fallbacks([strong]).bind_tools([track])
        assert [both.invoke(QUESTION).text for _ in range(3)] == ["strong", "weak", "weak"]
        assert (calls(weak), calls(strong)) == (2, 1)
        assert strong.bind_tools([track]).invoke(QUESTION).text == "strong"
        assert calls(strong) == 1

    def test_retries_around_and_inside_make_the_call_again(self) -> None:
        """An error is not kept."""
        for wrap in (
            lambda asked: asked.with_retry(wait_exponential_jitter=False),
            lambda asked: CachedRunnable(asked.model.with_retry(wait_exponential_jitter=False), asked.cache),
        ):
            asked = cached(desk_model(failures={1: ConnectionError("down")}))
            assert {wrap(asked).invoke(QUESTION).text for _ in range(2)} == {"Within 30 days."}
            assert calls(asked) == 2

    def test_a_chain_in_place_of_a_model_is_called_as_it_is(self) -> None:
        """What cannot be compared is not cached, and streams whatever it streams."""
        model = desk_model(("one two",))
        asked = CachedRunnable(model | StrOutputParser(), exact_cache())
        assert [asked.invoke(QUESTION), "".join(map(str, asked.stream(QUESTION)))] == ["one two", "one two"]
        assert (len(model.prompts), asked.cache.counts) == (2, {"refused_unkeyable": 2})

    async def test_a_chain_in_place_of_a_model_is_streamed_from_async_code(self) -> None:
        """The same with `await`."""
        asked: Any = CachedRunnable(desk_model(("one two",)) | StrOutputParser(), exact_cache())
        assert [piece async for piece in asked.astream(QUESTION) if piece] == ["one", " two"]

    def test_an_empty_prompt_is_the_models_own_affair(self) -> None:
        """There is nothing to compare."""
        asked = cached()
        for _ in range(2):
            asked.invoke([])
        assert asked.cache.counts == {"refused_empty": 2}


class TestSavings:
    """What a hit would have cost now."""

    def test_a_prompt_that_the_provider_does_not_cache_saves_all_of_it(self) -> None:
        """Below OpenAI's 1,024 tokens each call is billed in full."""
        asked, meter = cached(desk_model(counts=FakeCounts(500, 10))), CostMeter()
        for _ in range(2):
            asked.invoke(QUESTION, {"callbacks": meter.callbacks})
        [paid], [hit] = booked(meter, "llm"), booked(meter, "cache_hit")
        assert paid.cost is not None
        assert saved_nano(hit) == paid.cost.total_nano

    def test_calls_that_are_shared_are_hits_too(self) -> None:
        """Seven of eight are told as such."""
        asked, meter = cached(desk_model(latency_s=0.1)), CostMeter()
        asked.batch([QUESTION] * 8, {"callbacks": meter.callbacks, "max_concurrency": 8})
        hits = booked(meter, "cache_hit")
        assert (len(booked(meter, "llm")), len(hits)) == (1, 7)
        assert {hit.name for hit in hits} <= {"coalesced", "exact"}
        assert len({hit.id for hit in hits}) == 7


def test_one_cache_of_many_models_keeps_them_apart() -> None:
    """A model's answer is never another one's."""
    cache = SemanticCache(embeddings=False, scope="global")
    small, large = (CachedRunnable(desk_model((name,), model=name), cache) for name in ("gpt-5-mini", "gpt-5"))
    assert [one.invoke(QUESTION).text for one in (small, large, small, large)] == ["gpt-5-mini", "gpt-5"] * 2


def test_names_and_window_are_the_models() -> None:
    """Whoever asks what a cached model is called, such as a router for its price, is told of the model itself."""
    model = FakeMeteredChatModel(model="gpt-4.1").bind(stop=["."])
    assert names_of(CachedRunnable(model, SemanticCache(embeddings=False, scope="global")))[0] == "gpt-4.1"
