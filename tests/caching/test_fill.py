from __future__ import annotations

import asyncio
from typing import Any, TypedDict

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import CallbackManager, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langchain_core.tools import BaseTool, StructuredTool, ToolException, tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Command, Send, interrupt

from langchain_agentcost.caching.fill import Fill, arun, reads, run
from langchain_agentcost.caching.reporting import new_hit_id, tell
from langchain_agentcost.caching.tools import ToolCachePolicy
from langchain_agentcost.saving import CacheHit, SparedCall
from langchain_agentcost.testing import FakeCounts, FakeMeteredChatModel
from langchain_agentcost.usage import Usage
from tests.caching.asked_graphs import Asked, calling, one_node

READS = reads(["look_up"])


@tool
def look_up(word: str) -> str:
    """Look a word up."""
    return f"{word}: a word"


def filled(node: Any, schema: Any = Asked, state: Any = None, **compiled: Any) -> Fill:
    """Run a graph of one node."""
    return run(one_node(node, schema, **compiled), state or {"question": "q"}, {}, is_read=READS)


def asking(model: BaseChatModel) -> Any:
    """A node that asks a model."""
    return lambda state: {"answer": str(model.invoke(state["question"]).text)}


def model_of(tokens: int = 100, **made: Any) -> FakeMeteredChatModel:
    """A model whose calls have known counts."""
    return FakeMeteredChatModel(counts=FakeCounts(tokens, 7), **made)


def test_a_run_gives_what_invoke_gives_and_says_what_was_written() -> None:
    """The output is that of `invoke`, and channels that no node wrote are not among the written ones."""
    graph = one_node(lambda state: {"answer": "yes"})
    state = {"question": "q", "known": "k"}
    fill = run(graph, state, {}, is_read=READS)
    assert fill.output == graph.invoke(state)
    assert fill.written == {"answer"}
    assert fill.refusal is None


def test_a_model_call_is_spared_with_its_counts_model_and_provider() -> None:
    """A call is remembered as the provider reported it, by the model that answered."""
    fill = filled(asking(model_of(model="gpt-4.1")))
    (call,) = fill.spared
    assert call.usage is not None
    assert (call.usage.input_tokens, call.usage.output_tokens, call.provider) == (100, 7, "openai")
    assert call.model is not None
    assert call.model.startswith("gpt-4.1")


async def test_an_async_run_is_seen_as_a_sync_one_is() -> None:
    """The same calls are remembered of a run in an event loop."""
    model = model_of()

    async def ask(state: Asked) -> Asked:
        return {"answer": str((await model.ainvoke(state["question"])).text)}

    fill = await arun(one_node(ask), {"question": "q"}, {}, is_read=READS)
    assert len(fill.spared) == 1
    assert fill.output["answer"] == "OK"


class Fanned(TypedDict):
    """Nothing but a question."""

    question: str


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_every_branch_of_a_fan_out_counts(mode: str) -> None:
    """Calls of parallel branches, in threads or tasks, are all there."""
    model = model_of()

    def ask(state: Fanned) -> None:
        model.invoke(state["question"])

    graph = StateGraph(Fanned).add_node("ask", ask)
    graph.add_conditional_edges(START, lambda state: [Send("ask", {"question": str(n)}) for n in range(8)], ["ask"])
    compiled = graph.compile()
    state = {"question": "q"}
    fill = (
        run(compiled, state, {}, is_read=READS)
        if mode == "sync"
        else asyncio.run(arun(compiled, state, {}, is_read=READS))
    )
    assert len(fill.spared) == 8


def test_a_streamed_call_counts_once() -> None:
    """A call that a node streams is remembered with the usage of its last piece."""
    model = model_of()
    fill = filled(lambda state: {"answer": "".join(str(piece.text) for piece in model.stream("q"))})
    assert [call.usage and call.usage.input_tokens for call in fill.spared] == [100]


class Passing(BaseChatModel):
    """A model that passes its calls on, telling its inner one of its callbacks or not."""

    inner: BaseChatModel
    as_child: bool
    anew: bool = False

    @property
    def _llm_type(self) -> str:
        return "passing"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        config: RunnableConfig = {}
        if self.as_child and run_manager is not None:
            handlers = run_manager.handlers
            config = {"callbacks": CallbackManager(handlers, handlers, parent_run_id=run_manager.run_id)}
        answer = self.inner.invoke(messages, config)
        assert isinstance(answer, AIMessage)
        if self.anew:
            answer = AIMessage(f"They say: {answer.text}", usage_metadata=answer.usage_metadata)
        return ChatResult(generations=[ChatGeneration(message=answer)])


@pytest.mark.parametrize("as_child", [True, False])
def test_a_call_that_is_passed_on_counts_once(as_child: bool) -> None:
    """A model around another one is not a second call, whether it is its parent or its sibling."""
    fill = filled(asking(Passing(inner=model_of(), as_child=as_child)))
    assert len(fill.spared) == 1


def test_what_langchains_cache_served_is_not_spared_again() -> None:
    """A call that LangChain's own cache answered was not paid for."""
    model = model_of()
    model.cache = InMemoryCache()
    node = asking(model)
    assert [len(filled(node).spared) for _ in range(2)] == [1, 0]


def test_a_failed_call_is_not_spared() -> None:
    """Of a call that failed and was made again, only the one that worked counts."""
    model = model_of(failures={1: ConnectionError()})
    fill = filled(asking(model.with_retry(wait_exponential_jitter=False)))  # type: ignore[arg-type]
    assert len(fill.spared) == 1
    assert fill.refusal is None


def test_a_tool_that_a_cache_answered_is_not_spared_again() -> None:
    """A tool that says it was served from a cache did not run."""

    def serve(word: str) -> str:
        tell(CacheHit(id=new_hit_id(), cache="tool", spared=(SparedCall(tool="look_up"),)))
        return word

    served = StructuredTool.from_function(serve, name="look_up", description="Look up.")
    assert filled(lambda state: {"answer": served.invoke({"word": "a"})}).spared == ()


def test_a_call_without_counts_is_spared_without_counts() -> None:
    """What a provider did not report is unknown, not nothing."""
    fill = filled(asking(FakeMeteredChatModel(usage="openai", stream_usage=False)))
    assert fill.spared[0].usage is not None
    silent: Any = RunnableLambda(lambda state: {"answer": "".join(str(p.text) for p in SILENT.stream("q"))})
    assert [call.usage for call in filled(silent).spared] == [None]


SILENT = FakeMeteredChatModel(stream_usage=False)


def tool_run(called: BaseTool) -> Fill:
    """Run one tool as an agent's node does."""
    graph = one_node(ToolNode([called]), MessagesState)
    state = {"messages": [HumanMessage("q"), calling(called.name, **dict.fromkeys(called.args, "x"))]}
    return run(graph, state, {}, is_read=READS)


def test_a_read_is_spared_and_refuses_nothing() -> None:
    """A tool that is known to read is remembered by its name."""
    fill = tool_run(look_up)
    assert fill.spared == (SparedCall(tool="look_up"),)
    assert fill.refusal is None


def unknown(word: str) -> str:
    """Do something."""
    return word


def refusing(word: str) -> str:
    """Refuse."""
    raise ToolException("no")


def failing(word: str) -> str:
    """Fail."""
    raise ToolException("no")


@pytest.mark.parametrize(
    ("called", "refusal"),
    [
        (StructuredTool.from_function(unknown), "write_tool"),
        (StructuredTool.from_function(unknown, metadata={"readOnlyHint": False}), "write_tool"),
        (StructuredTool.from_function(unknown, metadata={"readOnlyHint": True, "destructiveHint": True}), "write_tool"),
        (StructuredTool.from_function(unknown, metadata={"readOnlyHint": True}), None),
        (StructuredTool.from_function(unknown, metadata={"annotations": {"readOnlyHint": True}}), None),
        (StructuredTool.from_function(refusing, name="look_up", handle_tool_error=True), "tool_failed"),
    ],
)
def test_what_a_tool_is_known_to_do_decides(called: BaseTool, refusal: str | None) -> None:
    """A run is refused for a tool that may write, and for one that failed, also where the graph went on."""
    assert tool_run(called).refusal == refusal


def test_a_tool_that_raised_within_a_node_refuses_the_run() -> None:
    """A node that makes the best of a tool's error gives no answer for others."""
    called = StructuredTool.from_function(failing, name="look_up")

    def work(state: Asked) -> Asked:
        try:
            called.invoke({"word": "x"})
        except ToolException:
            return {"answer": "do not know"}
        return {}

    assert filled(work).refusal == "tool_failed"


def test_policies_say_which_tools_read() -> None:
    """A mapping of policies is a rule: what is in it counts by its effect, what is not by its own hints."""
    rule = reads({"a": ToolCachePolicy("read"), "b": ToolCachePolicy("pure"), "c": ToolCachePolicy()})
    hinted = {"readOnlyHint": True}
    assert [rule(name, {}) for name in "abcd"] == [True, True, False, False]
    assert [rule(name, hinted) for name in "cd"] == [False, True]


def test_an_interrupt_of_a_graph_with_its_own_saver_is_in_its_output() -> None:
    """A graph that is not a subgraph gives its interrupts as `invoke` does, and the run is refused."""
    graph = one_node(lambda state: {"answer": interrupt("May I?")}, checkpointer=InMemorySaver())
    config: RunnableConfig = {"configurable": {"thread_id": "1"}}
    fill = run(graph, {"question": "q"}, config, is_read=READS)
    assert [asked.value for asked in fill.output["__interrupt__"]] == ["May I?"]
    assert fill.refusal == "interrupted"


def test_a_caught_interrupt_below_refuses_the_run() -> None:
    """A run in whose depths a person was asked is refused, though it came to an end of its own."""
    asks = one_node(lambda state: {"answer": interrupt("May I?")}, checkpointer=InMemorySaver())

    def work(state: Asked) -> Asked:
        asks.invoke(state, {"configurable": {"thread_id": "own"}})
        return {"answer": "anyway"}

    assert filled(work).refusal == "interrupted"


def test_a_run_that_goes_on_below_is_refused() -> None:
    """A run in whose depths something was resumed shows only the rest of it."""
    asks = one_node(lambda state: {"answer": interrupt("May I?")}, checkpointer=InMemorySaver())
    own: RunnableConfig = {"configurable": {"thread_id": "own"}}
    asks.invoke({"question": "q"}, own)

    def work(state: Asked) -> Asked:
        return {"answer": asks.invoke(Command(resume="yes"), own)["answer"]}

    fill = filled(work)
    assert (fill.output["answer"], fill.refusal) == ("yes", "resumed")


def test_a_call_whose_answer_is_said_anew_counts_once() -> None:
    """A model that makes an answer of its own of another one's is no second call."""
    fill = filled(asking(Passing(inner=model_of(), as_child=True, anew=True)))
    assert [call.usage and call.usage.input_tokens for call in fill.spared] == [100]


def test_counts_of_a_run_add_up() -> None:
    """The calls of a run that asks several models are those the models were asked."""
    models = [model_of(tokens) for tokens in (10, 20, 30)]

    def ask(state: Asked) -> Asked:
        return {"answer": " ".join(str(model.invoke("q").text) for model in models)}

    usages = [call.usage for call in filled(ask).spared if call.usage is not None]
    assert sum(usages, Usage()).input_tokens == 60
