"""The projector where a call is tried again, where it is a Runnable inside a graph, and where nothing is cached."""

from __future__ import annotations

import operator
from decimal import Decimal
from threading import get_ident
from typing import Annotated, Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import ModelRetryMiddleware
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from langgraph.types import RetryPolicy, Send
from typing_extensions import TypedDict

from langchain_agentcost.context.context_middleware import ContextMiddleware
from langchain_agentcost.context.context_node import ContextNode
from langchain_agentcost.context.decision import Decision, EvictionPolicy, Situation
from langchain_agentcost.context.horizon import StepBudget
from langchain_agentcost.context.plan import Action
from langchain_agentcost.context.projecting_model import ModelFacts
from langchain_agentcost.context.projecting_state import CONTEXT_KEY
from langchain_agentcost.context.projector import ContextProjector
from langchain_agentcost.context.summarizer import Summarizer
from langchain_agentcost.context.summary_writers import FreshWriter
from langchain_agentcost.testing import FakeMeteredChatModel
from tests.context.test_projector import (
    CONFIG,
    FREE,
    QUESTION,
    ROUNDS,
    State,
    check_prompts,
    count,
    history,
    next_call,
    projector,
    sent,
)

FALLS = {1: ConnectionError("503"), 2: ConnectionError("503"), 3: ConnectionError("503")}


def summarised(writer: FakeMeteredChatModel) -> ContextProjector:
    """A projector that has summaries written, and learns how long runs are."""
    return projector(model=FREE, horizon=None, summarizer=Summarizer(FreshWriter(writer), max_tokens=200))


def writer() -> FakeMeteredChatModel:
    """Writes another summary each time."""
    return FakeMeteredChatModel(answers=[f"Decisions\n- One by one, in way {number}." for number in range(9)])


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("run", ["sync", "async"])
async def test_a_call_that_is_tried_again_is_the_same(run: str, kept: bool) -> None:
    """Each attempt sends the same prompt, the summary is paid for once, and one cut is told of."""
    told: list[Any] = []

    class Listener(BaseCallbackHandler):
        def on_custom_event(self, name: str, data: Any, **kwargs: Any) -> None:
            told.append(data)

    clerk, model = writer(), FakeMeteredChatModel(answers=["All are counted."] * 9, failures=FALLS)
    own = summarised(clerk)
    agent: Any = create_agent(
        model,
        middleware=[
            ModelRetryMiddleware(max_retries=5, initial_delay=0, jitter=False),
            ContextMiddleware(own, facts=lambda _: FREE),
        ],
        checkpointer=InMemorySaver() if kept else None,
    )
    asked, config = {"messages": history(20)}, {**CONFIG, "callbacks": [Listener()]}
    if not kept:
        config.pop("configurable")
    if run == "sync":
        agent.invoke(asked, config)
    else:
        await agent.ainvoke(asked, config)
    assert len(model.prompts) == 4
    assert len({str(sent(prompt)) for prompt in model.prompts}) == 1
    assert "in way 0" in model.prompts[0][1].text
    assert (len(clerk.prompts), len(told)) == (1, 1)
    assert own._horizons.of("/").sample(9) == (21,)
    assert not own._attempts._made.values()


def test_a_node_that_is_tried_again_is_the_same() -> None:
    """By LangGraph's own retry: the task is the same."""
    clerk, model = writer(), FakeMeteredChatModel(answers=["All are counted."] * 9, failures=FALLS)
    node = ContextNode(summarised(clerk))

    def ask(state: Any, config: RunnableConfig) -> dict[str, Any]:
        update = node.invoke(state, config)
        return {"messages": [model.invoke(node.view(state["messages"], update))], **update}

    builder: Any = StateGraph(State)
    again = RetryPolicy(max_attempts=5, initial_interval=0, jitter=False)
    builder.add_node("ask", ask, retry_policy=again)
    builder.add_edge(START, "ask")
    graph = builder.compile(checkpointer=InMemorySaver())
    graph.invoke({"messages": history(20)}, CONFIG)
    assert len({str(sent(prompt)) for prompt in model.prompts}) == 1
    assert (len(model.prompts), len(clerk.prompts)) == (4, 1)
    assert graph.get_state(CONFIG).values[CONTEXT_KEY]["step"] == 21


def test_a_chain_that_is_tried_again_is_the_same() -> None:
    """`(projector | model).with_retry()` outside any graph."""
    clerk, model = writer(), FakeMeteredChatModel(answers=["All are counted."] * 9, failures=FALLS)
    own = summarised(clerk)
    chain = (own | model).with_retry(stop_after_attempt=5, wait_exponential_jitter=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tenacity.nap.time.sleep", lambda _: None)
        chain.invoke(history(20), CONFIG)
    assert len({str(sent(prompt)) for prompt in model.prompts}) == 1
    assert (len(model.prompts), len(clerk.prompts)) == (4, 1)
    assert next(iter(own._threads.values()))["step"] == 21


def test_another_call_is_decided_about_anew() -> None:
    """What is remembered of one call is nothing to a call with another history, or with other prices."""
    own = projector(horizon=StepBudget(35))
    first = own.project(history(20), config=CONFIG)
    assert own.project(history(20), config=CONFIG).decision is first.decision
    assert own.project(history(21), config=CONFIG).messages != first.messages
    other = projector(horizon=StepBudget(35))
    assert sent(own.project(history(21), config=CONFIG).messages) == sent(other.project(history(21)).messages)


def runnable_graph(own: ContextProjector, model: FakeMeteredChatModel) -> Any:
    """A graph whose model's node asks through the Runnable."""
    chain = own | model.bind_tools([count])
    builder: Any = StateGraph(MessagesState)
    builder.add_node("ask", lambda state: {"messages": [chain.invoke(state["messages"])]})
    builder.add_node("tools", ToolNode([count]))
    builder.add_edge(START, "ask")
    builder.add_conditional_edges("ask", tools_condition)
    builder.add_edge("tools", "ask")
    return builder.compile(checkpointer=InMemorySaver())


def test_a_runnable_in_a_graph_remembers_its_plan() -> None:
    """Each step of a graph is another task, and the thread is the same."""
    own, model = projector(), FakeMeteredChatModel(answers=next_call)
    graph = runnable_graph(own, model)
    graph.invoke(QUESTION, CONFIG)
    [stored] = own._threads.values()
    assert stored["step"] == ROUNDS + 1
    check_prompts(model.prompts, stored["plan"]["epoch"])


def test_runnables_in_subgraphs_and_side_by_side_keep_apart() -> None:
    """Two agents of one node at the same time, each with its own question, and each is cut at few places."""
    own = projector()
    models = {f"clerk {one}": FakeMeteredChatModel(answers=next_call) for one in "ab"}
    agents = {name: runnable_graph(own, model) for name, model in models.items()}

    class Work(TypedDict):
        done: Annotated[list[AnyMessage], operator.add]

    def work(name: str, config: RunnableConfig) -> dict[str, Any]:
        asked = {"messages": [HumanMessage(f"Count all bays, {name}.")]}
        return {"done": agents[name].invoke(asked, config)["messages"][-1:]}

    builder: Any = StateGraph(Work)
    builder.add_node("work", work)
    builder.add_conditional_edges(START, lambda _: [Send("work", name) for name in models], ["work"])
    builder.add_edge("work", END)
    done = builder.compile(checkpointer=InMemorySaver()).invoke({"done": []}, CONFIG)["done"]
    assert [one.text for one in done] == ["All are counted."] * 2
    first, second = own._threads.values()
    assert first["plan"]["epoch"] == second["plan"]["epoch"]
    for model in models.values():
        check_prompts(model.prompts, first["plan"]["epoch"])


def answered(messages: list[BaseMessage], **details: int) -> list[BaseMessage]:
    """A history whose answers report their usage."""
    usage: Any = {"input_tokens": 5_000, "output_tokens": 1, "total_tokens": 5_001, "input_token_details": details}
    return [one.model_copy(update={"usage_metadata": usage}) if isinstance(one, AIMessage) else one for one in messages]


def test_a_cache_that_is_not_marked_is_none() -> None:
    """Where two answers had nothing to do with a cache, all input costs the same, and what may go goes at once."""
    facts = ModelFacts.of("claude-sonnet-4-5", window_tokens=100_000)
    plain = facts.as_billed(answered(history(2)))
    assert plain.rates is not None
    assert (plain.rates.read, plain.rates.write, plain.rates.window_tokens) == (Decimal(3_000), Decimal(3_000), 100_000)
    assert not plain.is_cold(9e9)
    own = projector(model=facts, horizon=StepBudget(9), policy=EvictionPolicy(keep=2))
    told = own.project(answered(history(6))).decision
    assert told is not None
    assert told.action is Action.MASK
    for cached in (answered(history(6), cache_read=1), answered(history(6), cache_creation=1), history(6)):
        assert facts.as_billed(cached) is facts
        said = own.project(cached).decision
        assert said is not None
        assert said.action is Action.NONE


def test_a_provider_that_caches_unasked_is_taken_at_its_word() -> None:
    """And so are prices that were given."""
    for facts in (ModelFacts.of("gpt-4.1"), FREE):
        assert facts.as_billed(answered(history(9))) is facts
    assert ModelFacts.of("claude-sonnet-4-5").as_billed(answered(history(1))).unmarked is not None


def test_the_saving_is_reported_at_the_plain_price() -> None:
    """Where nothing is cached, a token that is not sent saves all of its price."""
    facts = ModelFacts.of("claude-sonnet-4-5")
    own = projector(model=facts, horizon=StepBudget(35))
    stored: Any = None
    for turns in range(6, 9):
        stored = own.project(answered(history(turns)), stored).stored
    report = own.report(stored, answered(history(9)))
    saved = sum(row["read_tokens"] for row in report.decisions)
    assert report.realised == saved * Decimal("0.000003")
    assert saved > 0


async def test_a_long_history_is_decided_about_in_a_thread() -> None:
    """A short one is not worth it."""
    threads: list[int] = []

    class Notes:
        def decide(self, situation: Situation) -> Decision:
            threads.append(get_ident())
            return Decision(action=Action.NONE, plan=situation.plan, why="", step=situation.step)

    own = projector(decider=Notes())
    await own.aproject(history(2))
    await own.aproject([HumanMessage("Count. " * 10_000)])
    assert threads[0] == get_ident()
    assert threads[1] != get_ident()
