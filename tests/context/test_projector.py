"""The projector in real agents and graphs, sync, async and streaming."""

from __future__ import annotations

import json
import logging
import warnings
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage, messages_to_dict
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import GraphBubbleUp
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, create_react_agent, tools_condition
from langgraph.prebuilt.chat_agent_executor import AgentState
from langgraph.warnings import LangGraphDeprecatedSinceV10

from langchain_agentcost.canonical import as_json
from langchain_agentcost.checkpoint.before_node import BeforeNode
from langchain_agentcost.checkpoint.checkpointer import CostCheckpointer
from langchain_agentcost.context.blocks import validate
from langchain_agentcost.context.context_middleware import ContextMiddleware
from langchain_agentcost.context.context_node import ContextNode
from langchain_agentcost.context.decision import EvictionPolicy
from langchain_agentcost.context.horizon import StepBudget
from langchain_agentcost.context.projecting_model import Beside, ModelFacts
from langchain_agentcost.context.projecting_state import CONTEXT_KEY, ContextState
from langchain_agentcost.context.projecting_telling import CONTEXT_CHANGED
from langchain_agentcost.context.projector import ContextProjector
from langchain_agentcost.context.references.references import References
from langchain_agentcost.context.summarizer import Summarizer
from langchain_agentcost.context.summary_writers import FreshWriter
from langchain_agentcost.context.worth import CacheRates
from langchain_agentcost.errors import ContextWarning
from langchain_agentcost.meter import CostMeter
from langchain_agentcost.testing import FakeMeteredChatModel

ROUNDS = 34
FACTS = ModelFacts(rates=CacheRates(read=Decimal(300), write=Decimal(3_750)), ttl_s=300)
FREE = ModelFacts(rates=CacheRates(read=Decimal(300), write=Decimal(300)))
CONFIG: Any = {"configurable": {"thread_id": "1"}, "recursion_limit": 200}


@tool
def count(bay: int) -> str:
    """Count a bay."""
    return " ".join(f"crate {bay}-{at} stands here" for at in range(80))


def next_call(prompt: list[BaseMessage]) -> AIMessage:
    """The clerk counts one bay after the other."""
    asked = [int(str(call["id"])[1:]) for one in prompt if isinstance(one, AIMessage) for call in one.tool_calls]
    number = max(asked, default=-1) + 1
    if number >= ROUNDS:
        return AIMessage("All are counted.")
    return AIMessage("", tool_calls=[{"name": "count", "args": {"bay": number}, "id": f"c{number}"}])


def projector(**options: Any) -> ContextProjector:
    """A projector for runs of 35 calls."""
    return ContextProjector(**{"model": FACTS, "policy": EvictionPolicy(keep=2), "horizon": StepBudget(35), **options})


def history(turns: int) -> list[BaseMessage]:
    """A question and some turns."""
    said: list[BaseMessage] = [HumanMessage("Count all bays.")]
    for number in range(turns):
        call = {"name": "count", "args": {"bay": number}, "id": f"c{number}"}
        said += [
            AIMessage("", tool_calls=[call]),
            ToolMessage(count.invoke({"bay": number}), tool_call_id=f"c{number}"),
        ]
    return said


def sent(prompt: list[BaseMessage]) -> list[str]:
    """A prompt as bytes, message by message."""
    return [as_json(one) for one in messages_to_dict(prompt)]


def check_prompts(prompts: list[list[BaseMessage]], cuts: int) -> None:
    """All are sound, and all but so many begin with the one before."""
    assert all(not validate(prompt) for prompt in prompts)
    broken = 0
    for before, after in pairwise(prompts):
        broken += sent(after)[: len(before)] != sent(before)
    assert broken == cuts >= 1


def agent_of(model: FakeMeteredChatModel, **options: Any) -> Any:
    """An agent with the middleware, and its thread kept."""
    middleware = ContextMiddleware(projector(**options), facts=lambda _: FACTS)
    return create_agent(
        model, [count], system_prompt="You count.", middleware=[middleware], checkpointer=InMemorySaver()
    )


def epochs(agent: Any) -> int:
    """How many cuts the thread has had."""
    plan: Any = agent.get_state(CONFIG).values[CONTEXT_KEY]["plan"]
    return int(plan["epoch"])


QUESTION: Any = {"messages": [HumanMessage("Count all bays.")]}


def check_agent(agent: Any, model: FakeMeteredChatModel) -> None:
    """The prompts were cut, and the agent's messages were not."""
    assert len(model.prompts) == ROUNDS + 1
    check_prompts(model.prompts, epochs(agent))
    kept = agent.get_state(CONFIG).values["messages"]
    assert len(kept) == 2 * ROUNDS + 2
    assert all(one.text == count.invoke({"bay": at}) for at, one in enumerate(kept[2::2]) if at < ROUNDS)
    assert len(str(model.prompts[-1])) < len(str(kept)) * 0.8


def test_an_agent() -> None:
    """A run of 35 calls is cut at few boundaries, each prompt begins with the one before, and the state keeps all."""
    model = FakeMeteredChatModel(answers=next_call)
    agent = agent_of(model)
    assert sorted(agent.invoke(QUESTION, CONFIG)) == ["messages"]
    check_agent(agent, model)


async def test_an_agent_in_async_code() -> None:
    """The same."""
    model = FakeMeteredChatModel(answers=next_call)
    agent = agent_of(model)
    await agent.ainvoke(QUESTION, CONFIG)
    check_agent(agent, model)


async def test_an_agent_that_streams() -> None:
    """The same, and the streamed updates have no part of the plan but in the model's own."""
    model = FakeMeteredChatModel(answers=next_call)
    agent = agent_of(model)
    assert [1 async for _ in agent.astream(QUESTION, CONFIG, stream_mode="messages")]
    check_agent(agent, model)
    again = FakeMeteredChatModel(answers=next_call)
    agent = agent_of(again)
    assert list(agent.stream(QUESTION, CONFIG, stream_mode="updates"))
    check_agent(agent, again)


def test_a_call_that_is_repeated_from_a_checkpoint_sends_the_same_bytes() -> None:
    """From each checkpoint before a model call, in a process that knows nothing of the first run."""
    model = FakeMeteredChatModel(answers=next_call)
    saver, clock = InMemorySaver(), lambda: 1_000.0

    def made(asked: FakeMeteredChatModel) -> Any:
        own = ContextMiddleware(ContextProjector(policy=EvictionPolicy(keep=2), clock=clock), facts=lambda _: FREE)
        return create_agent(asked, [count], middleware=[own], checkpointer=saver)

    agent = made(model)
    agent.invoke(QUESTION, CONFIG)
    first = model.prompts
    assert epochs(agent) >= 1
    for state in list(agent.get_state_history(CONFIG)):
        if state.next == ("model",):
            again = FakeMeteredChatModel(answers=["Done."])
            made(again).invoke(None, state.config)
            at = sum(isinstance(one, AIMessage) for one in state.values["messages"])
            assert sent(again.prompts[0]) == sent(first[at])


class State(MessagesState, ContextState):
    """A graph's state with the projector's channel."""


def graph_of(node: ContextNode, model: FakeMeteredChatModel) -> Any:
    """A graph of a model and its tool, with the node before the model."""
    bound = model.bind_tools([count])

    def ask(state: Any) -> dict[str, Any]:
        return {"messages": [bound.invoke(node.view(state["messages"], state))]}

    builder: Any = StateGraph(State)
    builder.add_node("context", node.node())
    builder.add_node("ask", ask)
    builder.add_node("tools", ToolNode([count]))
    builder.add_edge(START, "context")
    builder.add_edge("context", "ask")
    builder.add_conditional_edges("ask", tools_condition)
    builder.add_edge("tools", "context")
    return builder.compile(checkpointer=InMemorySaver())


async def test_a_node() -> None:
    """A graph of one's own, sync and async; it is what a checkpointer installs."""
    node = ContextNode(projector(), tools=[count])
    before: BeforeNode = node
    assert before.name == "context"
    for run in ("sync", "async"):
        model = FakeMeteredChatModel(answers=next_call)
        graph = graph_of(node, model)
        if run == "sync":
            graph.invoke(QUESTION, CONFIG)
        else:
            await graph.ainvoke(QUESTION, CONFIG)
        check_prompts(model.prompts, epochs(graph))
        report = node.report(graph.get_state(CONFIG).values)
        assert report.decisions
        assert report.decisions[-1]["calls"] >= 1


def test_a_checkpointer_installs_the_node() -> None:
    """The graph's own state needs no channel for it, and its node sees what is left of the messages."""
    model = FakeMeteredChatModel(answers=next_call)
    bound = model.bind_tools([count])
    builder: Any = StateGraph(MessagesState)
    builder.add_node("ask", lambda state: {"messages": [bound.invoke(state["messages"])]})
    builder.add_node("tools", ToolNode([count]))
    builder.add_edge(START, "ask")
    builder.add_conditional_edges("ask", tools_condition)
    builder.add_edge("tools", "ask")
    node = ContextNode(projector(), tools=[count])
    with CostMeter() as meter:
        saver = CostCheckpointer(InMemorySaver(), meter=meter, summarize_before=["ask"], context=[node])
        graph: Any = saver.compile(builder)
        graph.invoke(QUESTION, {**CONFIG, "callbacks": meter.callbacks})
        check_agent(graph, model)


def test_a_hook_of_the_prebuilt_agent() -> None:
    """`pre_model_hook` sends what is left, and the agent's messages stay."""

    class Own(AgentState, ContextState):
        pass

    model = FakeMeteredChatModel(answers=next_call)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LangGraphDeprecatedSinceV10)
        hook = ContextNode(projector(), tools=[count], steps_per_call=3).hook()
        agent: Any = create_react_agent(
            model, [count], state_schema=Own, pre_model_hook=hook, checkpointer=InMemorySaver()
        )
    agent.invoke(QUESTION, CONFIG)
    check_agent(agent, model)


def test_a_step_limit_of_langgraph_shortens_the_run_that_is_expected() -> None:
    """With few steps left, nothing is cut that would have been."""
    messages = history(20)
    assert projector().project(messages).decision.action.value == "mask"  # type: ignore[union-attr]  # it is there
    made = projector().project(messages, beside=Beside(at_most=1.0))
    assert made.decision is not None
    assert made.decision.remaining == 1.0
    assert made.messages == messages


def test_an_agent_with_a_step_limit() -> None:
    """The middleware reads LangGraph's own count."""
    model = FakeMeteredChatModel(answers=next_call)
    middleware = ContextMiddleware(projector(), facts=lambda _: FACTS, steps_per_call=2)
    agent: Any = create_agent(model, [count], middleware=[middleware], checkpointer=InMemorySaver())
    agent.invoke(QUESTION, {**CONFIG, "recursion_limit": 2 * ROUNDS + 4})
    check_prompts(model.prompts, epochs(agent))
    assert middleware.report(agent.get_state(CONFIG).values, model).decisions[0]["remaining"] < 35


def test_a_runnable_remembers_its_threads() -> None:
    """`projector | model` cuts at boundaries where the config names a thread, and not at all where it names none."""
    model, own = FakeMeteredChatModel(), projector()
    chain = own | model
    for turns in range(ROUNDS):
        chain.invoke(history(turns), CONFIG)
    check_prompts(model.prompts, next(iter(own._threads.values()))["plan"]["epoch"])
    with pytest.warns(ContextWarning, match="thread_id"):
        assert own.invoke(history(20)) == history(20)


async def test_a_runnable_in_async_code() -> None:
    """It gives the same."""
    asked = projector().invoke(history(20), CONFIG)
    assert sent(await projector().ainvoke(history(20), CONFIG)) == sent(asked)


def test_what_changes_a_prompt_is_logged_and_told(caplog: pytest.LogCaptureFixture) -> None:
    """By an INFO line, by a custom event of the run, and in what is stored."""
    told: list[tuple[str, Any]] = []

    class Listener(BaseCallbackHandler):
        def on_custom_event(self, name: str, data: Any, **kwargs: Any) -> None:
            told.append((name, data))

    def run(messages: list[BaseMessage]) -> Any:
        return projector().project(messages).stored

    with caplog.at_level(logging.INFO, logger="langchain_agentcost.context"):
        stored = RunnableLambda(run).invoke(history(20), {"callbacks": [Listener()]})
    [(name, data)] = told
    assert name == CONTEXT_CHANGED
    assert data["action"] == "mask"
    assert data["evicted_tokens"] > 0
    assert "mask at call 21" in caplog.text
    assert stored["audit"]["records"][0]["predicted_nano"] == data["predicted_nano"]


def test_after_a_pause_a_cut_is_free() -> None:
    """What would not pay while the cache lives is cut when the provider has forgotten the prompt."""
    now = [0.0]
    own = projector(horizon=StepBudget(11), clock=lambda: now[0])
    stored = own.project(history(8)).stored
    now[0] = 200
    warm = own.project(history(9), stored).decision
    now[0] = 1_000
    cold = own.project(history(9), stored).decision
    assert warm is not None
    assert cold is not None
    assert (warm.action.value, cold.action.value) == ("none", "mask")


def test_it_learns_how_long_runs_are() -> None:
    """After runs of 15 calls more are expected of a run than after runs of 3; a run keeps what it began with."""
    expected = {}
    for length in (3, 15):
        own = projector(horizon=None)
        for _ in range(16):
            stored: Any = None
            for turns in range(length + 1):  # a call counts when its answer is there
                stored = own.project(history(turns), stored).stored
        made = own.project(history(0))
        assert made.decision is not None
        expected[length] = made.decision.remaining
        assert len(made.stored["lengths"]) == 16
    assert expected[15] > 3 * expected[3]


def test_a_thread_that_began_without_it_counts_its_answers() -> None:
    """The first call that it sees of a long thread is not the first call."""
    assert projector().project(history(20)).stored["step"] == 21


@pytest.mark.parametrize("run", ["sync", "async"])
async def test_a_summary_that_pays_is_written(run: str) -> None:
    """Whoever writes it, it stands in place of old blocks, behind the first message of the user."""
    writer = FakeMeteredChatModel(answers=["Intent\n- Count the bays.\nDecisions\n- One by one."])
    policy = EvictionPolicy(keep=2, notes=EvictionPolicy().notes)
    own = projector(model=FREE, policy=policy, summarizer=Summarizer(FreshWriter(writer), max_tokens=200))
    messages = history(20)
    made = own.project(messages) if run == "sync" else await own.aproject(messages)
    assert made.decision is not None
    assert made.decision.action.value == "summarise"
    assert "One by one." in made.messages[1].text
    assert len(made.messages) < 10
    assert len(writer.prompts) == 1
    assert made.messages == own.view(messages, json.loads(json.dumps(made.stored)))


def test_a_limit_that_stops_a_summary_stops_the_graph() -> None:
    """What is meant to stop a run passes; any other failure of a writer does not."""

    class Stop(GraphBubbleUp):
        pass

    for failure, passes in ((Stop(), True), (ValueError("down"), False)):
        writer = FakeMeteredChatModel(failures={1: failure})
        own = projector(model=FREE, summarizer=Summarizer(FreshWriter(writer), max_tokens=200))
        if passes:
            with pytest.raises(Stop):
                own.project(history(20))
        else:
            assert own.project(history(20)).decision is not None


@pytest.mark.parametrize("run", ["sync", "async"])
async def test_what_is_cut_can_be_read_back(run: str) -> None:
    """With references, a note names one, and the whole is under it."""
    references = References()
    own = projector(model=FREE, references=references)
    made = own.project(history(20)) if run == "sync" else await own.aproject(history(20))
    assert made.decision is not None
    assert made.decision.action.value == "offload"
    note = made.messages[2].text
    ref = note.rsplit('ref="', 1)[1].split('"')[0]
    assert references.read(ref, lines="1-2").startswith("crate 0-0 stands here")
    assert "zzzz" not in str(made.messages)


def test_facts_of_models() -> None:
    """A name, a model and a model with tools give the same facts; a window and a lifetime may be given."""
    model = FakeMeteredChatModel(model="gpt-4.1", provider="openai")
    assert ModelFacts.of(model) == ModelFacts.of(model.bind_tools([count]))
    facts = ModelFacts.of("claude-sonnet-4-5", ttl_s=3_600, window_tokens=1_000)
    assert facts.rates is not None
    assert (facts.ttl_s, facts.rates.window_tokens) == (3_600, 1_000)
    assert facts.is_cold(4_000)
    assert not facts.is_cold(3_000)
    assert not ModelFacts().is_cold(9e9)
    assert ModelFacts.of(RunnableLambda(lambda _: "")) == ModelFacts()


def test_tools_and_system_prompt_count_into_the_window() -> None:
    """A prompt that fits alone does not fit beside a long system prompt."""
    narrow = ModelFacts(rates=CacheRates(read=Decimal(300), write=Decimal(3_750), window_tokens=9_000))
    own = ContextProjector(narrow, horizon=StepBudget(7))
    alone = own.project(history(6)).decision
    beside = own.project(history(6), beside=Beside(system=SystemMessage("Be kind to all. " * 1_700))).decision
    assert alone is not None
    assert beside is not None
    assert (alone.action.value, beside.action.value) == ("none", "drop")
    assert beside.why == "the prompt would not fit its window"


def test_a_rewritten_history_starts_a_new_plan() -> None:
    """A plan for other messages changes nothing, and its cuts save nothing any more."""
    own = projector()
    stored = own.project(history(20)).stored
    made = own.project([HumanMessage("Something else.")], stored)
    assert made.messages == [HumanMessage("Something else.")]
    assert [record["active"] for record in made.stored["audit"]["records"]] == [False]
