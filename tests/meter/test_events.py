"""Every way to call a model leaves one entry a paid call, priced once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import CallbackManager, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, FakeListLLM
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult, Generation
from langchain_core.runnables import RunnableLambda
from langgraph.graph import START, MessagesState, StateGraph

from langchain_agentcost import CostMeter, Entry, PriceNotFoundWarning, UsageMissingWarning
from langchain_agentcost.finops import reprice
from langchain_agentcost.testing import FakeCounts, FakeMeteredChatModel

PROMPT = "Where is my order?"
COUNTS = FakeCounts(10_000, 500, cache_read_tokens=8_192)
PRICE = Decimal("0.0011856")
"""What COUNTS cost on gpt-4o-mini: 1,808 x 0.15 + 8,192 x 0.075 + 500 x 0.60 $ per million tokens."""


def priced_model(**changes: Any) -> FakeMeteredChatModel:
    """A model that consumes COUNTS at each call."""
    return FakeMeteredChatModel(
        **{"model": "gpt-4o-mini", "counts": COUNTS, "answers": ["It is on its way."], **changes}
    )


@pytest.fixture
def meter() -> Iterator[CostMeter]:
    """A meter that keeps its entries in memory."""
    with CostMeter() as made:
        yield made


def entries(meter: CostMeter) -> list[Entry]:
    """What is in the meter's ledger."""
    return list(meter.ledger.entries())


def only(meter: CostMeter) -> Entry:
    """The one entry of the meter's ledger."""
    [entry] = entries(meter)
    return entry


def cost_of(entry: Entry) -> Decimal:
    """The known cost of an entry."""
    assert entry.cost is not None
    return entry.cost.usd


def graph_of(model: Any) -> Any:
    """A graph with one node that calls the model."""
    builder = StateGraph(MessagesState)
    builder.add_node("answer", lambda state: {"messages": [model.invoke(state["messages"])]})
    builder.add_edge(START, "answer")
    return builder.compile(name="desk")


class TestSync:
    """The synchronous ways."""

    def test_invoke(self, meter: CostMeter) -> None:
        """One call, one entry, with cached tokens at their own price."""
        priced_model().invoke(PROMPT, {"callbacks": meter.callbacks})
        entry = only(meter)
        assert (entry.kind, entry.status, entry.attribution.model) == ("llm", "ok", "gpt-4o-mini")
        assert cost_of(entry) == PRICE
        assert entry.duration_s is not None
        assert entry.first_token_s is None

    def test_stream(self, meter: CostMeter) -> None:
        """A stream is one call too, and knows when its first token came."""
        assert list(priced_model().stream(PROMPT, {"callbacks": meter.callbacks}))
        entry = only(meter)
        assert cost_of(entry) == PRICE
        assert entry.first_token_s is not None
        assert entry.duration_s is not None
        assert 0 <= entry.first_token_s <= entry.duration_s

    def test_batch(self, meter: CostMeter) -> None:
        """A batch runs in threads; each input is a call."""
        priced_model().batch([PROMPT] * 8, {"callbacks": meter.callbacks})
        assert [cost_of(entry) for entry in entries(meter)] == [PRICE] * 8

    @pytest.mark.parametrize("mode", ["values", "updates", "messages"])
    def test_every_stream_mode_of_a_graph(self, meter: CostMeter, mode: str) -> None:
        """Streaming messages out of a graph drives the model in another way, and costs the same."""
        graph = graph_of(priced_model())
        assert list(graph.stream({"messages": [PROMPT]}, {"callbacks": meter.callbacks}, stream_mode=mode))
        assert cost_of(only(meter)) == PRICE

    def test_the_name_that_was_asked_for_is_kept(self, meter: CostMeter) -> None:
        """A later pricing finds a price that is stated for it, as the first one did."""
        with CostMeter(prices={"models": [{"model": "prod-chat", "input": 2, "output": 0}]}) as own:
            answer = priced_model().invoke(PROMPT)
            alias = FakeMeteredChatModel(model="prod-chat", answers=[answer], counts=COUNTS)
            alias.invoke(PROMPT, {"callbacks": own.callbacks})
            entry = only(own)
            result = reprice(own.ledger, own.prices)
        assert (entry.attribution.model, entry.name) == ("gpt-4o-mini", "prod-chat")
        assert cost_of(entry) == Decimal("0.02")
        assert result.corrected == 0

    def test_structured_output(self, meter: CostMeter) -> None:
        """The model call inside a structured-output chain is metered like any other."""
        call = {"name": "Order", "args": {"number": 42}, "id": "c1", "type": "tool_call"}
        model = priced_model(answers=[AIMessage("", tool_calls=[call])])
        schema = {"title": "Order", "type": "object", "properties": {"number": {"type": "integer"}}}
        found = model.with_structured_output(schema).invoke(PROMPT, {"callbacks": meter.callbacks})
        assert found == {"number": 42}
        assert cost_of(only(meter)) == PRICE

    def test_several_answers_are_billed_once(self, meter: CostMeter) -> None:
        """With n > 1 each generation repeats the usage of the whole response."""
        priced_model(n=3).invoke(PROMPT, {"callbacks": meter.callbacks})
        assert cost_of(only(meter)) == PRICE

    def test_a_text_model_is_metered_by_estimate(self, meter: CostMeter) -> None:
        """A model that reports nothing is counted here, flagged, and its price is unknown rather than 0."""
        with pytest.warns(PriceNotFoundWarning), pytest.warns(UsageMissingWarning, match="counts are estimates"):
            FakeListLLM(responses=["It is on its way."]).invoke(PROMPT, {"callbacks": meter.callbacks})
        entry = only(meter)
        assert entry.usage is not None
        assert entry.usage.estimated
        assert entry.usage.input_tokens > 0
        assert entry.usage.output_tokens > 0
        assert entry.cost is None


class TestAsync:
    """The asynchronous twins."""

    async def test_ainvoke(self, meter: CostMeter) -> None:
        """One call, one entry."""
        await priced_model().ainvoke(PROMPT, {"callbacks": meter.callbacks})
        assert cost_of(only(meter)) == PRICE

    async def test_astream(self, meter: CostMeter) -> None:
        """One stream, one entry."""
        assert [chunk async for chunk in priced_model().astream(PROMPT, {"callbacks": meter.callbacks})]
        assert cost_of(only(meter)) == PRICE

    async def test_abatch(self, meter: CostMeter) -> None:
        """Tasks do not get into each other's way."""
        await priced_model().abatch([PROMPT] * 8, {"callbacks": meter.callbacks})
        assert [cost_of(entry) for entry in entries(meter)] == [PRICE] * 8

    @pytest.mark.filterwarnings("ignore:The v3 streaming protocol:langchain_core._api.LangChainBetaWarning")
    @pytest.mark.parametrize("version", ["v2", "v3"])
    async def test_stream_events(self, meter: CostMeter, version: Any) -> None:
        """Event streams add handlers of their own; the call is still one."""
        graph = graph_of(priced_model())
        made = graph.astream_events({"messages": [PROMPT]}, {"callbacks": meter.callbacks}, version=version)
        events: AsyncIterator[Any] = await made if version == "v3" else made
        assert [event async for event in events]
        assert cost_of(only(meter)) == PRICE

    async def test_a_graph_in_async(self, meter: CostMeter) -> None:
        """A sync handler sees async graphs."""
        await graph_of(priced_model()).ainvoke({"messages": [PROMPT]}, {"callbacks": meter.callbacks})
        assert cost_of(only(meter)) == PRICE


class TestFailures:
    """What fails, is left, or is tried again."""

    def test_each_paid_attempt_of_a_retry_counts(self, meter: CostMeter) -> None:
        """A refused call costs nothing, the one that is answered costs its price, and says which try it was."""
        model = priced_model(failures={1: ConnectionError("503")})
        retrying = model.with_retry(stop_after_attempt=3, wait_exponential_jitter=False)
        retrying.invoke(PROMPT, {"callbacks": meter.callbacks})
        first, second = entries(meter)
        assert (first.status, first.error_type, cost_of(first)) == ("error", "ConnectionError", Decimal(0))
        assert (second.status, cost_of(second), second.attribution.attempt) == ("ok", PRICE, 2)

    def test_a_fallback_is_booked_to_the_model_that_answered(self, meter: CostMeter) -> None:
        """The failed model and its fallback are two calls under their own names."""
        broken = priced_model(model="gpt-4.1", failures={1: ValueError("overloaded")})
        broken.with_fallbacks([priced_model()]).invoke(PROMPT, {"callbacks": meter.callbacks})
        assert [(e.attribution.model, e.status) for e in entries(meter)] == [
            ("gpt-4.1", "error"),
            ("gpt-4o-mini", "ok"),
        ]

    def test_a_stream_that_breaks_is_estimated(self, meter: CostMeter) -> None:
        """What came through is billed by the provider; its count is lost, so it is estimated and says so."""
        model = priced_model(answers=["one two three four five six seven"], break_stream_after=4)
        with pytest.raises(ConnectionError):
            list(model.stream(PROMPT, {"callbacks": meter.callbacks}))
        entry = only(meter)
        assert entry.status == "error"
        assert entry.usage is not None
        assert entry.usage.estimated
        assert entry.usage.input_tokens > 0
        assert entry.usage.output_tokens >= 4
        assert cost_of(entry) > 0

    def test_a_stream_that_breaks_inside_invoke_is_estimated_from_what_went_by(self, meter: CostMeter) -> None:
        """LangChain hands over no text then; the tokens that streamed past were counted."""
        graph = graph_of(priced_model(answers=["one two three four five six"], break_stream_after=4))
        with pytest.raises(ConnectionError):
            list(graph.stream({"messages": [PROMPT]}, {"callbacks": meter.callbacks}, stream_mode="messages"))
        entry = only(meter)
        assert entry.usage is not None
        assert entry.usage.estimated
        assert entry.usage.output_tokens >= 4

    def test_a_stream_that_is_left_is_aborted(self, meter: CostMeter) -> None:
        """A consumer that stops listening has still caused what was generated."""
        stream = priced_model().stream(PROMPT, {"callbacks": meter.callbacks})
        next(stream)
        stream.close()  # type: ignore[attr-defined]
        entry = only(meter)
        assert (entry.status, entry.error_type) == ("aborted", "GeneratorExit")
        assert entry.usage is not None
        assert entry.usage.estimated
        assert cost_of(entry) > 0

    def test_a_stream_without_usage_is_estimated(self, meter: CostMeter) -> None:
        """ChatOpenAI with a custom base_url streams no usage: one warning, and estimates from then on."""
        model = priced_model(stream_usage=False)
        with pytest.warns(UsageMissingWarning, match="stream_usage=True"):
            list(model.stream(PROMPT, {"callbacks": meter.callbacks}))
        list(model.stream(PROMPT, {"callbacks": meter.callbacks}))
        assert [entry.usage is not None and entry.usage.estimated for entry in entries(meter)] == [True, True]


class TestOnce:
    """What would count a call twice, and does not."""

    def test_a_langchain_cache_hit_costs_nothing(self, meter: CostMeter) -> None:
        """The hit is free, and says what it saved."""
        model = priced_model(cache=InMemoryCache())
        model.invoke(PROMPT, {"callbacks": meter.callbacks})
        model.invoke(PROMPT, {"callbacks": meter.callbacks})
        paid, hit = entries(meter)
        assert (paid.kind, cost_of(paid)) == ("llm", PRICE)
        assert (hit.kind, cost_of(hit)) == ("cache_hit", Decimal(0))
        assert hit.saved is not None
        assert hit.saved.usd == PRICE
        total = meter.report(by="model").total
        assert (total.cost.usd, total.saved.usd, total.llm_calls, total.cache_hits) == (PRICE, PRICE, 1, 1)

    def test_a_cache_that_keeps_plain_text_is_never_billed(self, meter: CostMeter) -> None:
        """Such a hit carries no usage at all; estimating it would bill a call that never was."""
        cache = InMemoryCache()
        model = priced_model(cache=cache)
        model.invoke(PROMPT)
        cache._cache = {key: [Generation(text="It is on its way.")] for key in cache._cache}
        model.invoke(PROMPT, {"callbacks": meter.callbacks})
        entry = only(meter)
        assert (entry.kind, entry.usage, entry.saved, cost_of(entry)) == ("cache_hit", None, None, Decimal(0))

    def test_the_same_meter_passed_twice_counts_once(self, meter: CostMeter) -> None:
        """On the model and in the call, and again inside the node."""
        model = priced_model(callbacks=[meter]).with_config(callbacks=[meter])
        model.invoke(PROMPT, {"callbacks": [meter, meter]})
        assert cost_of(only(meter)) == PRICE

    def test_two_meters_on_one_ledger_count_once(self, meter: CostMeter) -> None:
        """An entry's id is the run's id, and the ledger takes it once."""
        other = CostMeter(meter.ledger)
        priced_model().invoke(PROMPT, {"callbacks": [meter, other]})
        assert cost_of(only(meter)) == PRICE

    def test_a_model_that_wraps_a_model_counts_once(self, meter: CostMeter) -> None:
        """Both fire events and both report the usage; only the inner one is a call to a provider."""
        Wrapper(inner=priced_model()).invoke(PROMPT, {"callbacks": meter.callbacks})
        entry = only(meter)
        assert cost_of(entry) == PRICE
        assert entry.attribution.step == 1

    def test_a_model_that_calls_a_model_in_a_node_counts_once(self, meter: CostMeter) -> None:
        """There LangGraph makes the two siblings; the answer that is passed on gives the outer one away."""
        graph_of(Passing(inner=priced_model())).invoke({"messages": [PROMPT]}, {"callbacks": meter.callbacks})
        assert cost_of(only(meter)) == PRICE

    def test_the_same_answer_twice_in_a_row_is_two_calls(self, meter: CostMeter) -> None:
        """Only a call that was under way when another one answered can have passed its answer on."""
        model = priced_model(answers=[AIMessage("It is on its way.", id="always-the-same")])
        chain: Any = RunnableLambda(lambda text: [model.invoke(text), model.invoke(text)])
        chain.invoke(PROMPT, {"callbacks": meter.callbacks})
        assert [cost_of(entry) for entry in entries(meter)] == [PRICE, PRICE]


class Passing(BaseChatModel):
    """A chat model that calls another one as anybody would, without handing its run on."""

    inner: Any

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=self.inner.invoke(messages))])

    @property
    def _llm_type(self) -> str:
        return "passing"


class Wrapper(BaseChatModel):
    """A chat model that passes the call on to another one, as routers and guards do."""

    inner: Any

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        assert run_manager is not None
        below = CallbackManager(run_manager.handlers, parent_run_id=run_manager.run_id)
        return ChatResult(generations=[ChatGeneration(message=self.inner.invoke(messages, {"callbacks": below}))])

    @property
    def _llm_type(self) -> str:
        return "wrapper"
