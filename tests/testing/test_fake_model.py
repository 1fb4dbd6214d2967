"""The fake chat model: real callbacks, any provider's usage, any failure; and the fixture with a meter in memory."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.outputs import LLMResult
from langchain_core.tools import tool
from langgraph.graph import END, START, MessagesState, StateGraph

import langchain_agentcost.testing as testing
from langchain_agentcost.meter import CostMeter
from langchain_agentcost.testing import USAGE_SHAPES, FakeCounts, FakeMeteredChatModel
from langchain_agentcost.testing.fixture import agentcost_meter
from langchain_agentcost.tokens import estimate_message
from langchain_agentcost.usage import Usage

__all__ = ["agentcost_meter"]

COUNTS = FakeCounts(1000, 100, cache_read_tokens=300, cache_write_tokens=200, reasoning_tokens=50)
CALL = {"name": "track", "args": {"order_id": "ORD-1"}, "id": "c1", "type": "tool_call"}


class Events(BaseCallbackHandler):
    """Keeps what a run told its callbacks."""

    def __init__(self) -> None:
        self.metadata: list[dict[str, Any]] = []
        self.results: list[LLMResult] = []
        self.errors: list[BaseException] = []
        self.tokens: list[str] = []

    def on_chat_model_start(self, *_: Any, metadata: dict[str, Any] | None = None, **__: Any) -> None:
        """Keep the metadata."""
        self.metadata.append(metadata or {})

    def on_llm_new_token(self, token: Any, **_: Any) -> None:
        """Keep the token."""
        self.tokens.append(token)

    def on_llm_end(self, response: LLMResult, **_: Any) -> None:
        """Keep the result."""
        self.results.append(response)

    def on_llm_error(self, error: BaseException, **_: Any) -> None:
        """Keep the error."""
        self.errors.append(error)


def joined(chunks: list[AIMessageChunk]) -> AIMessageChunk:
    """What a stream adds up to."""
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    return whole


@pytest.mark.parametrize("name", USAGE_SHAPES)
async def test_each_shape_is_read_back_as_what_was_counted(name: str) -> None:
    """Invoked and streamed, sync and async, a shape's usage is the counts that were asked for."""
    model = FakeMeteredChatModel(usage=name, counts=COUNTS, answers=["Hello there"])
    writes = {"cache_write_1h_tokens": 200} if name == "anthropic-1h" else {"cache_write_tokens": 200}
    if name == "gemini-thinking":
        writes = {}
    tier = name.partition("-")[2] if name.startswith("openai-") else None
    expected = Usage(1000, 100, 300, reasoning_tokens=50, service_tier=tier, **writes)  # type: ignore[arg-type]
    answers: list[BaseMessage] = [
        model.invoke("Hi"),
        await model.ainvoke("Hi"),
        joined(list(model.stream("Hi"))),
        joined([chunk async for chunk in model.astream("Hi")]),
    ]
    for answer in answers:
        assert answer.text == "Hello there"
        assert Usage.from_message(answer) == (None if name == "none" else expected)


def test_shapes_are_what_the_real_classes_say() -> None:
    """Priority keys are prefixed and their rest is stated, as langchain-openai does it."""
    metadata = USAGE_SHAPES["openai-priority"].usage_metadata(COUNTS)
    assert metadata["input_token_details"] == {
        "audio": 0,
        "priority_cache_read": 300,
        "priority_cache_creation": 200,
        "priority": 700,
    }
    assert metadata["output_token_details"] == {"audio": 0, "priority_reasoning": 50, "priority": 50}


def test_answers_come_in_order_and_the_last_again() -> None:
    """A list is walked once; its last answer is given from then on."""
    model = FakeMeteredChatModel(answers=["one", AIMessage("two")])
    assert [model.invoke("Hi").text for _ in range(3)] == ["one", "two", "two"]


def test_an_answer_can_be_a_function_of_the_prompt() -> None:
    """A callable sees the messages."""
    model = FakeMeteredChatModel(answers=lambda messages: messages[-1].text.upper())
    assert model.invoke("hello").text == "HELLO"


def test_prompts_are_kept_for_the_test_to_look_at() -> None:
    """Every call is recorded, failed ones too."""
    model = FakeMeteredChatModel(failures={1: TimeoutError("slow")})
    with pytest.raises(TimeoutError):
        model.invoke("first")
    model.invoke("second")
    assert [prompt[0].text for prompt in model.prompts] == ["first", "second"]


def test_counts_can_follow_from_the_texts() -> None:
    """Without counts a longer prompt has more tokens, and bound tools count as input."""
    model = FakeMeteredChatModel()
    short, long = HumanMessage("Hi"), HumanMessage("Hi, where is my parcel? " * 50)
    usages = [Usage.from_message(model.invoke([message])) for message in (short, long)]
    assert [usage.input_tokens for usage in usages if usage] == [estimate_message(short), estimate_message(long)]
    bound = Usage.from_message(model.bind_tools([track]).invoke([short]))
    assert bound is not None
    assert bound.input_tokens > estimate_message(short)


def test_counts_can_be_a_function() -> None:
    """A callable sees prompt and answer."""
    model = FakeMeteredChatModel(counts=lambda prompt, answer: FakeCounts(len(prompt), len(answer.text)))
    assert Usage.from_message(model.invoke("Hi")) == Usage(1, 2)


def test_an_answers_own_usage_wins() -> None:
    """A test can state any usage, right or wrong."""
    own = {"input_tokens": 7, "output_tokens": 1, "total_tokens": 99}
    answer = AIMessage("Hi").model_copy(update={"usage_metadata": own})
    assert FakeMeteredChatModel(answers=[answer]).invoke("Hi").usage_metadata == own


def test_a_stream_without_usage_is_a_custom_base_url() -> None:
    """With stream_usage=False only streams lack usage."""
    model = FakeMeteredChatModel(stream_usage=False)
    assert Usage.from_message(joined(list(model.stream("Hi")))) is None
    assert Usage.from_message(model.invoke("Hi")) is not None


def test_callbacks_see_provider_model_and_tokens() -> None:
    """LangChain's metadata names the shape's provider and model, and tokens are announced one by one."""
    events = Events()
    model = FakeMeteredChatModel(usage="anthropic", answers=["Hello over there"])
    list(model.stream("Hi", config={"callbacks": [events]}))
    assert (events.metadata[0]["ls_provider"], events.metadata[0]["ls_model_name"]) == ("anthropic", "claude-haiku-4-5")
    assert [token for token in events.tokens if token] == ["Hello", " over", " there"]


def test_model_and_provider_can_be_named_and_bound() -> None:
    """Names given by the test, or by bind(model=…), reach metadata and answer without a snapshot's date."""
    events = Events()
    model = FakeMeteredChatModel(model="mine-1", provider="me").bind(model="mine-2")
    answer = model.invoke("Hi", config={"callbacks": [events]})
    assert answer.response_metadata["model_name"] == "mine-2"
    assert (events.metadata[0]["ls_provider"], events.metadata[0]["ls_model_name"]) == ("me", "mine-2")


def test_several_answers_carry_the_whole_usage_each() -> None:
    """With n=2 both generations say the same, and reading the result does not double it."""
    events = Events()
    FakeMeteredChatModel(n=2, counts=COUNTS).invoke("Hi", config={"callbacks": [events]})
    assert len(events.results[0].generations[0]) == 2
    usage = Usage.from_llm_result(events.results[0])[1]
    assert usage is not None
    assert usage.input_tokens == 1000


async def test_a_failure_comes_at_its_call_and_only_there() -> None:
    """Call 2 fails, retried it succeeds; the callbacks see both."""
    events = Events()
    model = FakeMeteredChatModel(failures={2: ConnectionError("reset")})
    await model.ainvoke("Hi")
    again = model.with_retry(
        retry_if_exception_type=(ConnectionError,), stop_after_attempt=2, wait_exponential_jitter=False
    )
    assert (await again.ainvoke("Hi", config={"callbacks": [events]})).text == "OK"
    assert (len(events.errors), len(events.results)) == (1, 1)


def test_a_stream_breaks_after_the_tokens_that_it_was_told_to() -> None:
    """Two words arrive, then the connection is gone and the run ends in an error."""
    events = Events()
    model = FakeMeteredChatModel(answers=["one two three four"], break_stream_after=2)
    seen: list[str] = []
    with pytest.raises(ConnectionError, match="after 2 tokens"):
        seen.extend(chunk.text for chunk in model.stream("Hi", config={"callbacks": [events]}))
    assert events.tokens == ["one", " two"]
    assert len(events.errors) == 1


@tool
def track(order_id: str) -> str:
    """Tell where an order is."""
    return f"{order_id} is on its way"


def test_tool_calls_survive_invoking_and_streaming() -> None:
    """An answer's tool calls come back whole, also from chunks."""
    model = FakeMeteredChatModel(answers=[AIMessage("Let me look.", tool_calls=[CALL])]).bind_tools([track])
    assert model.invoke("Hi").tool_calls == [CALL]
    chunks = [chunk for chunk in model.stream("Hi") if isinstance(chunk, AIMessageChunk)]
    assert joined(chunks).tool_calls == [CALL]
    assert joined(chunks).text == "Let me look."


def test_it_waits_as_long_as_it_was_told_to() -> None:
    """Concurrent async calls wait side by side: the latency is awaited, it does not block the loop."""
    order: list[str] = []

    async def call(name: str, latency_s: float) -> None:
        await FakeMeteredChatModel(latency_s=latency_s).ainvoke("Hi")
        order.append(name)

    async def both() -> None:
        await asyncio.gather(call("slow", 0.2), call("fast", 0.0))

    asyncio.run(both())
    assert order == ["fast", "slow"]


def test_threads_share_a_model_without_losing_a_call() -> None:
    """Forty calls from eight threads are forty prompts and each answer is given once."""
    model = FakeMeteredChatModel(answers=[str(i) for i in range(40)])
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda i: model.invoke(str(i)).text, range(40)))
    assert sorted(answers, key=int) == [str(i) for i in range(40)]
    assert len(model.prompts) == 40


@pytest.mark.parametrize(("fields", "said"), [({"usage": "nope"}, "choose from openai"), ({"answers": []}, "is empty")])
def test_what_cannot_work_is_refused_at_once(fields: dict[str, Any], said: str) -> None:
    """A wrong shape or no answers fail when the model is made, with what to do about it."""
    with pytest.raises(ValueError, match=said):
        FakeMeteredChatModel(**fields)


def test_a_graph_runs_on_it_and_the_fixture_meters_it(agentcost_meter: CostMeter) -> None:
    """Two nodes call the model; the meter of the fixture has two entries with their nodes and counts."""
    model = FakeMeteredChatModel(counts=COUNTS)

    def ask(state: MessagesState) -> dict[str, Any]:
        return {"messages": [model.invoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("draft", ask)
    graph.add_node("verify", ask)
    graph.add_edge(START, "draft")
    graph.add_edge("draft", "verify")
    graph.add_edge("verify", END)
    graph.compile().invoke({"messages": [HumanMessage("Hi")]}, config={"callbacks": agentcost_meter.callbacks})
    entries = list(agentcost_meter.ledger.entries())
    assert sorted(entry.attribution.node or "" for entry in entries) == ["draft", "verify"]
    assert sum(entry.usage.input_tokens for entry in entries if entry.usage) == 2000


def test_the_room_offers_its_tools_and_nothing_else() -> None:
    """Every public name can be had, and a wrong one is an AttributeError."""
    for name in testing.__all__:
        assert getattr(testing, name) is not None
    with pytest.raises(AttributeError, match="nope"):
        testing.nope  # noqa: B018
