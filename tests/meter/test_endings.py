"""Every way in which a call can end leaves one entry, with what it consumed by then."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.runnables import RunnableLambda, RunnableParallel
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, interrupt
from pydantic import BaseModel

from langchain_agentcost import CostMeter, Entry, MeteringWarning, Usage, meter_costs, metered_embeddings
from langchain_agentcost.recent import MAX_REMEMBERED
from langchain_agentcost.testing import FakeCounts, FakeMeteredChatModel
from tests.canned_provider import CannedProvider, openai_chat


@pytest.fixture
def meter() -> Iterator[CostMeter]:
    """A meter that keeps its entries in memory."""
    with CostMeter() as made:
        yield made


def model(**changes: Any) -> FakeMeteredChatModel:
    """A model with a price."""
    return FakeMeteredChatModel(**{"model": "gpt-4o-mini", "counts": FakeCounts(1_000, 10), **changes})


def entries(meter: CostMeter) -> list[Entry]:
    """What is in the meter's ledger."""
    return list(meter.ledger.entries())


def only(meter: CostMeter) -> Entry:
    """The one entry of the meter's ledger."""
    [entry] = entries(meter)
    return entry


def is_estimated(entry: Entry) -> bool:
    """Whether an entry was left under way: aborted, with an estimate that has a price."""
    assert entry.usage is not None
    assert entry.cost is not None
    assert entry.usage.input_tokens > 0
    assert entry.cost.usd > 0
    return entry.usage.estimated


class TestCancelled:
    """Async calls whose task is cancelled: LangChain tells nothing of them."""

    async def test_a_timeout_around_a_call(self, meter: CostMeter) -> None:
        """The provider was at work, so the prompt is billed by estimate."""
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(model(latency_s=5).ainvoke("Hi", {"callbacks": meter.callbacks}), 0.01)
        await asyncio.sleep(0)
        entry = only(meter)
        assert (entry.status, entry.error_type) == ("aborted", "CancelledError")
        assert is_estimated(entry)

    async def test_a_timeout_around_a_graph(self, meter: CostMeter) -> None:
        """The calls of its nodes are booked to their nodes."""

        async def answer(state: MessagesState) -> dict[str, Any]:
            return {"messages": [await model(latency_s=5).ainvoke(state["messages"])]}

        app = StateGraph(MessagesState).add_node("answer", answer).add_edge(START, "answer").compile()
        asked: Any = {"messages": [HumanMessage("Hi")]}
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(app.ainvoke(asked, {"callbacks": meter.callbacks}), 0.1)
        await asyncio.sleep(0.01)
        entry = only(meter)
        assert (entry.status, entry.attribution.node) == ("aborted", "answer")
        assert is_estimated(entry)

    async def test_a_sibling_that_fails_takes_others_along(self, meter: CostMeter) -> None:
        """What the others had under way is not lost."""

        async def slow(state: MessagesState) -> dict[str, Any]:
            return {"messages": [await model(latency_s=5).ainvoke("Hi")]}

        async def broken(state: MessagesState) -> dict[str, Any]:
            await asyncio.sleep(0.05)
            raise ConnectionError("down")

        builder = StateGraph(MessagesState).add_node("slow", slow).add_node("broken", broken)
        app = builder.add_edge(START, "slow").add_edge(START, "broken").compile()
        asked: Any = {"messages": [HumanMessage("Hi")]}
        with pytest.raises(ConnectionError):
            await app.ainvoke(asked, {"callbacks": meter.callbacks})
        await asyncio.sleep(0.01)
        assert is_estimated(only(meter))

    async def test_an_async_tool(self, meter: CostMeter) -> None:
        """Tools are watched too."""

        @tool
        async def look_up() -> str:
            """Look it up."""
            await asyncio.sleep(5)
            return "found"

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(look_up.ainvoke({}, {"callbacks": meter.callbacks}), 0.01)
        await asyncio.sleep(0)
        assert (only(meter).kind, only(meter).status) == ("tool", "aborted")

    async def test_a_task_with_many_calls_keeps_no_trace_of_those_that_ended(self, meter: CostMeter) -> None:
        """A server's task may live for months."""
        for _ in range(3):
            await model().ainvoke("Hi", {"callbacks": meter.callbacks})
        task = asyncio.current_task()
        assert task is not None
        assert "_task_ended" not in repr(task)
        assert [entry.status for entry in entries(meter)] == ["ok"] * 3

    def test_a_cancelled_embedding_was_under_way(self, meter: CostMeter) -> None:
        """It is estimated like a model call; texts that can be read once are read once."""

        class Slow(DeterministicFakeEmbedding):
            async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
                await asyncio.sleep(5)
                return []

        made = metered_embeddings(Slow(size=2), meter=meter, model="text-embedding-3-small", provider="openai")

        async def run() -> None:
            await asyncio.wait_for(made.aembed_documents(["some words"] * 9), 0.01)

        with pytest.raises(TimeoutError):
            asyncio.run(run())
        assert is_estimated(only(meter))
        once: Any = (text for text in ["one", "two"])
        assert len(made.embed_documents(once)) == 2
        assert entries(meter)[1].usage is not None
        assert entries(meter)[1].usage != Usage(estimated=True)


class TestRefused:
    """Calls that another handler stops, and entries that a ledger refuses."""

    def test_calls_that_another_handler_stops_do_not_pile_up(self, meter: CostMeter) -> None:
        """LangChain never says that they ended, so the oldest are forgotten."""

        class Stop(BaseCallbackHandler):
            raise_error = True

            def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
                raise PermissionError("no")

        start: Any = {"run_id": None, "metadata": {}, "tags": []}
        with pytest.raises(PermissionError):
            model().invoke("Hi", {"callbacks": [meter, Stop()]})
        for number in range(MAX_REMEMBERED + 50):
            meter.on_chat_model_start({}, [[HumanMessage("Hi")]], **{**start, "run_id": UUID(int=number + 1)})
        assert len(meter.books._open) == MAX_REMEMBERED
        assert entries(meter) == []

    def test_an_entry_that_no_ledger_takes_does_not_hold_up_the_others(self, meter: CostMeter) -> None:
        """It is warned about and counted as lost."""
        absurd = FakeMeteredChatModel(
            model="absurd", usage="none", answers=[AIMessage("x", usage_metadata=huge(10**12))], stream_usage=False
        )
        prices = {"models": [{"model": "absurd", "input": 1_000_000, "output": 1}]}
        with CostMeter(meter.ledger, prices=prices) as costly:
            with pytest.warns(MeteringWarning, match="the ledger"):
                absurd.invoke("one", {"callbacks": costly.callbacks})
            model().invoke("two", {"callbacks": costly.callbacks})
            assert len(entries(meter)) == 1
            with pytest.warns(MeteringWarning, match="1 ledger entries could not be written"):
                costly.close()

    def test_odd_metadata_loses_no_call(self, meter: CostMeter) -> None:
        """Lists, numbers and None where text is expected are made labels or left out."""
        config: Any = {
            "callbacks": meter.callbacks,
            "tags": [5, None],
            "metadata": {"langgraph_checkpoint_ns": 7, "tenant": ["a"], "ls_provider": ["x"], "user": None, 3: 4},
        }
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model().invoke("Hi", config)
        entry = only(meter)
        assert (entry.attribution.tenant, entry.attribution.user) == ("['a']", None)
        assert entry.attribution.model == "gpt-4o-mini"


def huge(tokens: int) -> Any:
    """Usage of an absurd size."""
    return {"input_tokens": tokens, "output_tokens": 0, "total_tokens": tokens}


class TestPaid:
    """Failures that were paid for."""

    @pytest.mark.parametrize("reason", ["length", "content_filter"])
    def test_an_answer_that_the_client_refuses_to_parse(self, meter: CostMeter, reason: str) -> None:
        """OpenAI's client raises where structured output was cut; the completion was billed."""

        class Order(BaseModel):
            number: int

        usage = {"prompt_tokens": 1_000, "completion_tokens": 100, "total_tokens": 1_100}
        usage["prompt_tokens_details"] = {"cached_tokens": 400}  # type: ignore[assignment]
        body = openai_chat("{", usage=usage, model="gpt-4o-mini-2024-07-18")
        body["choices"][0]["finish_reason"] = reason
        with CannedProvider(body) as provider:
            chat = ChatOpenAI(model="gpt-4o-mini", base_url=provider.openai_url, api_key="none", max_retries=0)  # type: ignore[arg-type]
            with pytest.raises(Exception, match=r"(?i)length|filter"):
                chat.with_structured_output(Order).invoke("Hi", {"callbacks": meter.callbacks})
        entry = only(meter)
        assert entry.status == "error"
        if reason == "length":
            assert entry.cost is not None
            assert entry.cost.usd == (600 * Decimal("0.15") + 400 * Decimal("0.075") + 100 * Decimal("0.6")) / 10**6

    def test_a_stream_that_reports_its_input_first(self, meter: CostMeter) -> None:
        """Left in the middle, its output is what came through, not the 0 of the first chunk."""

        class InputFirst(FakeMeteredChatModel):
            def _stream(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
                yield ChatGenerationChunk(message=AIMessageChunk(content="", usage_metadata=huge(1_000)))
                for _ in range(500):
                    yield ChatGenerationChunk(message=AIMessageChunk(content="word "))

        stream = InputFirst(model="gpt-4o-mini").stream("Hi", {"callbacks": meter.callbacks})
        for _ in range(400):
            next(stream)
        stream.close()  # type: ignore[attr-defined]
        usage = only(meter).usage
        assert usage is not None
        assert (usage.input_tokens, usage.estimated) == (1_000, True)
        assert usage.output_tokens > 300

    def test_a_connection_that_was_never_made_is_not_billed(self, meter: CostMeter) -> None:
        """Only a timeout of a request that was sent is."""

        class ConnectTimeout(Exception):
            """As httpx names it."""

        class ReadTimeout(Exception):
            """As httpx names it."""

        for error in (ConnectTimeout("no"), ReadTimeout("slow")):
            with pytest.raises(type(error)):
                model(failures={1: error}).invoke("Hi", {"callbacks": meter.callbacks})
        never, late = entries(meter)
        assert never.usage is None
        assert never.cost is not None
        assert never.cost.usd == 0
        assert is_estimated(late)

    def test_a_paused_tool_is_not_paid_yet(self) -> None:
        """It runs again when the graph goes on, and is paid then."""

        @tool
        def approve() -> str:
            """Ask."""
            return str(interrupt("May I?"))

        def node(state: MessagesState) -> dict[str, Any]:
            return {"messages": [HumanMessage(approve.invoke({}))]}

        app = StateGraph(MessagesState).add_node("ask", node).add_edge(START, "ask").compile(InMemorySaver())
        with CostMeter(prices={"tools": {"approve": {"per_call": "0.1"}}}) as meter:
            config: Any = {"callbacks": meter.callbacks, "configurable": {"thread_id": "t"}}
            asked: Any = {"messages": [HumanMessage("Hi")]}
            app.invoke(asked, config)
            app.invoke(Command(resume="yes"), config)
            paused, done = entries(meter)
        assert (paused.status, paused.cost) == ("aborted", None)
        assert done.cost is not None
        assert done.cost.usd == Decimal("0.1")

    def test_a_requested_tier_that_the_answer_does_not_confirm(self, meter: CostMeter) -> None:
        """It is priced as requested, and flagged; a tier that the answer states is believed."""
        usage = {"prompt_tokens": 1_000, "completion_tokens": 100, "total_tokens": 1_100}
        settings: Any = {"api_key": "none", "service_tier": "priority"}
        answers: list[dict[str, Any]] = [{}, {"service_tier": "default"}]
        for stated in answers:
            with CannedProvider(openai_chat(usage=usage, model="gpt-5.4", **stated)) as provider:
                chat = ChatOpenAI(model="gpt-5.4", base_url=provider.openai_url, **settings)
                chat.invoke("Hi", {"callbacks": meter.callbacks})
        silent, standard = (entry.cost for entry in entries(meter))
        assert silent is not None
        assert standard is not None
        assert silent.usd == 2 * standard.usd
        assert silent.flags == ("priority tier requested, not confirmed by the answer",)
        assert standard.flags == ()


class TestRuns:
    """What belongs to a run, and what to a call."""

    def test_one_calls_metadata_does_not_label_the_next(self, meter: CostMeter) -> None:
        """Only the root speaks for the whole run."""

        def two(text: str) -> None:
            model().invoke(text, {"metadata": {"tenant": "acme", "user_id": "ann"}})
            model().invoke(text)

        chain: Any = RunnableLambda(two)
        chain.invoke("Hi", {"callbacks": meter.callbacks, "metadata": {"variant": "B"}})
        first, second = (entry.attribution for entry in entries(meter))
        assert (first.tenant, first.user, first.variant) == ("acme", "ann", "B")
        assert (second.tenant, second.user, second.variant) == (None, None, "B")

    def test_the_task_fee_goes_to_the_first_call_that_is_billed(self) -> None:
        """A refused first attempt does not swallow it, and no later call pays it again."""
        prices = {"models": [{"model": "gpt-4o-mini", "input": 1, "output": 1, "task": "0.5"}]}
        with CostMeter(prices=prices) as meter:
            flaky = model(failures={1: ConnectionError("503")})
            retrying = flaky.with_retry(stop_after_attempt=2, wait_exponential_jitter=False)
            chain: Any = RunnableLambda(lambda text: [retrying.invoke(text), flaky.invoke(text)])
            chain.invoke("Hi", {"callbacks": meter.callbacks})
            fees = [entry.cost.request for entry in entries(meter) if entry.cost]
        assert fees == [Decimal(0), Decimal("0.5"), Decimal(0)]

    def test_an_outcome_of_the_resuming_run_is_one_of_the_run(self, meter: CostMeter) -> None:
        """Whoever resumed it knows only the run_id that he passed."""

        def approve(state: MessagesState) -> dict[str, Any]:
            return {"messages": [HumanMessage(interrupt("May I?"))]}

        app = StateGraph(MessagesState).add_node("ask", approve).add_edge(START, "ask").compile(InMemorySaver())
        config: Any = {"callbacks": meter.callbacks, "configurable": {"thread_id": "t"}}
        first, second = uuid4(), uuid4()
        asked: Any = {"messages": [HumanMessage("Hi")]}
        begin: Any = {**config, "run_id": first}
        resume: Any = {**config, "run_id": second}
        app.invoke(asked, begin)
        app.invoke(Command(resume="yes"), resume)
        meter.record_outcome("approved", success=True, run=second)
        assert only(meter).attribution.run == str(first)

    def test_equal_answers_of_two_calls_at_once_are_two_calls(self, meter: CostMeter) -> None:
        """An id that a custom model uses twice is not proof that one call was inside the other."""
        both: Any = RunnableParallel(
            slow=model(answers=[AIMessage("x", id="always-1")], latency_s=0.1),
            quick=model(answers=[AIMessage("x", id="always-1")]),
        )
        both.invoke("Hi", {"callbacks": meter.callbacks})
        assert len(entries(meter)) == 2


class TestBlocks:
    """meter_costs in generators."""

    async def test_a_generator_that_is_closed_elsewhere(self) -> None:
        """Its context is not the one that opened the block; nothing is raised and the meter is closed."""
        seen: list[CostMeter] = []

        async def words() -> AsyncIterator[str]:
            with meter_costs() as meter:
                seen.append(meter)
                yield "one"
                yield "two"

        stream = words()
        await anext(stream)
        await asyncio.create_task(stream.aclose())  # type: ignore[attr-defined]
        assert entries(seen[0]) == []
