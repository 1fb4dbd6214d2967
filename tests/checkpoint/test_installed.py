from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, TypedDict

import pytest
from langchain_core.messages import AnyMessage, BaseMessage, HumanMessage
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda
from langgraph.cache.memory import InMemoryCache
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Command, Send

from langchain_agentcost import CostMeter
from langchain_agentcost.caching import ScopedCache
from langchain_agentcost.checkpoint import CacheNode, CostCheckpointer, NotInstalledWarning
from langchain_agentcost.context.memory import noted
from langchain_agentcost.context.summarization import SummarizationNode
from langchain_agentcost.context.summarizer import Summarizer
from langchain_agentcost.context.summary_writers import FreshWriter
from langchain_agentcost.errors import CacheError, ContextError
from tests.checkpoint.cents import ASK, calling, cent_model, chain, checkpointer, on, totals


class Marked(TypedDict, total=False):
    """A channel of what is put before a node."""

    marked: int


class Latest:
    """Shows a node its latest messages only, and counts how often it was asked before it."""

    name = "latest"
    schema: type[Any] | None = Marked

    def node(self) -> Runnable[Any, Any]:
        """Count."""
        return RunnableLambda(lambda state: {"marked": state.get("marked", 0) + 1})

    def view(self, messages: Sequence[BaseMessage], state: Mapping[str, Any]) -> Sequence[BaseMessage]:
        """Show one message, and the count."""
        return [HumanMessage(f"{state.get('marked', 0)}: {messages[-1].text}")]


class Question(TypedDict, total=False):
    """What is asked, and answered."""

    question: str
    answer: str


def looking_up(calls: list[str]) -> Any:
    """A graph that notes what it is asked."""

    def look(state: Question) -> Question:
        calls.append(state["question"])
        return {"answer": f"{state['question']}!"}

    return StateGraph(Question).add_node("look", look).add_edge(START, "look").compile()


def configured(meter: CostMeter, thread: str) -> RunnableConfig:
    """The config of one tenant's run."""
    return {
        "configurable": {"thread_id": thread},
        "callbacks": meter.callbacks,
        "metadata": {"tenant": "acme", "user": "ann"},
    }


def test_a_subgraph_is_cached_by_compile() -> None:
    """A node that is a graph runs once for equal questions; the second thread's stamp says that it cost nothing."""
    saver, calls = checkpointer(InMemorySaver()), list[str]()
    saver = CostCheckpointer(InMemorySaver(), meter=saver.meter, cache_nodes=[CacheNode("help", key=["question"])])
    builder = StateGraph(Question).add_node("help", looking_up(calls)).add_edge(START, "help")
    graph = saver.compile(builder)
    answers = [graph.invoke({"question": "where"}, configured(saver.meter, thread)) for thread in ("a", "b")]
    assert answers == [{"question": "where", "answer": "where!"}] * 2
    assert calls == ["where"]
    assert dict(graph.get_subgraphs()).keys() == {"help"}


def test_a_plain_node_is_cached_for_who_asks() -> None:
    """A node that is a function gets our key and our cache: it serves a tenant what it computed for them, once."""
    saver, calls = CostCheckpointer(InMemorySaver(), meter=CostMeter(), cache_nodes=["look"]), list[str]()

    def look(state: Question) -> Question:
        calls.append(state["question"])
        return {"answer": "there"}

    graph = saver.compile(StateGraph(Question).add_node("look", look).add_edge(START, "look"))
    cache = saver.cache
    assert cache is not None
    for thread in ("a", "b"):
        config = configured(saver.meter, thread)
        with cache.serving(config):
            assert graph.invoke({"question": "where"}, config)["answer"] == "there"
    assert (calls, cache.counts) == (["where"], {"misses": 1, "hits": 1})


def test_a_given_cache_is_the_one_that_is_used() -> None:
    """A ScopedCache of the caller's is used for all graphs; another cache is made one."""
    mine = ScopedCache(InMemoryCache(), version="1")
    saver = CostCheckpointer(InMemorySaver(), meter=CostMeter(), cache=mine)
    assert saver.compile(chain(calling(cent_model()))).cache is saver.cache is mine
    other = CostCheckpointer(InMemorySaver(), meter=CostMeter(), cache=InMemoryCache())
    assert other.cache is None
    assert other.compile(chain(calling(cent_model()))).cache is other.cache
    assert isinstance(other.cache, ScopedCache)


def seen_by(*, branching: Any = None, command: bool = False) -> tuple[CostCheckpointer, Any, Any]:
    """An agent with something before it, where an edge, a branch or a command leads to it."""
    model = cent_model()

    def agent(state: MessagesState) -> dict[str, Any]:
        assert "marked" not in state
        return {"messages": [model.invoke(state["messages"])]}

    def start(state: MessagesState) -> Any:
        return Command(goto="agent") if command else {}

    builder = StateGraph(MessagesState).add_node("start", start).add_node("agent", agent).add_edge(START, "start")
    if branching is not None:
        builder.add_conditional_edges("start", branching)
    elif not command:
        builder.add_edge("start", "agent")
    builder.add_edge("agent", END)
    saver = CostCheckpointer(InMemorySaver(), meter=CostMeter(), summarize_before=["agent"], context=[Latest()])
    return saver, saver.compile(builder), model


@pytest.mark.parametrize("branching", [None, lambda state: "agent", lambda state: ["agent"]])
def test_a_node_sees_what_is_made_before_it(branching: Any) -> None:
    """Edges and branches lead to the node before; the node sees its view, and the state keeps every message."""
    saver, graph, model = seen_by(branching=branching)
    for _ in range(2):
        graph.invoke(ASK, on(saver))
    assert [[message.text for message in prompt] for prompt in model.prompts] == [["1: How much?"], ["2: How much?"]]
    state = graph.get_state(on(saver))
    assert [message.text for message in state.values["messages"]] == ["How much?", "OK"] * 2
    assert state.values["marked"] == 2
    assert {"latest_agent", "agent", "start"} <= set(graph.get_graph().nodes)


@pytest.mark.parametrize("jump", ["send", "command"])
def test_what_jumps_to_a_node_sees_the_view_as_it_is(jump: str) -> None:
    """A `Send` or a `Command` by the node's name starts it at once; it still sees the view."""
    sent = {"branching": lambda state: [Send("agent", state)]} if jump == "send" else {"command": True}
    saver, graph, model = seen_by(**sent)
    graph.invoke(ASK, on(saver))
    assert [message.text for message in model.prompts[0]] == ["0: How much?"]


def test_nodes_that_join_lead_to_what_is_before() -> None:
    """Where several nodes have to end first, what is before the node waits for them."""
    model = cent_model()
    builder = StateGraph(MessagesState)
    for name in ("a", "b"):
        builder.add_node(name, lambda state: {}).add_edge(START, name)
    builder.add_node("agent", lambda state: {"messages": [model.invoke(state["messages"])]})
    builder.add_edge(["a", "b"], "agent")
    saver = CostCheckpointer(InMemorySaver(), meter=CostMeter(), summarize_before=["agent"], context=[Latest()])
    saver.compile(builder).invoke(ASK, on(saver))
    assert [[message.text for message in prompt] for prompt in model.prompts] == [["1: How much?"]]


async def test_memory_is_said_at_the_end_of_a_nodes_messages() -> None:
    """The graph gets a channel for notes, a node writes one, and the next call sees it, sync and async."""
    model = cent_model()

    def agent(state: MessagesState) -> dict[str, Any]:
        assert "working_memory" not in state
        found = {"working_memory": noted({}, facts={"size": "42"})}
        return {"messages": [model.invoke(state["messages"])], **found}

    builder = StateGraph(MessagesState).add_node("agent", agent).add_edge(START, "agent")
    saver = CostCheckpointer(InMemorySaver(), meter=CostMeter(), memory=["agent"])
    graph = saver.compile(builder)
    graph.invoke(ASK, on(saver))
    await graph.ainvoke(ASK, on(saver))
    assert "- size: 42" not in model.prompts[0][-1].text
    assert "- size: 42" in model.prompts[1][-1].text
    assert all("working_memory" not in message.text for message in graph.get_state(on(saver)).values["messages"])


def test_a_state_that_is_a_class_is_seen_too() -> None:
    """Dataclass states keep their class: the node sees the view in its messages."""

    @dataclass
    class State:
        messages: list[AnyMessage] = field(default_factory=list)
        marked: int = 0

    seen = list[State]()

    def agent(state: State) -> dict[str, Any]:
        seen.append(state)
        return {}

    class Shown(Latest):
        def node(self) -> Runnable[Any, Any]:
            return RunnableLambda(lambda state: {"marked": state.marked + 1})

    builder = StateGraph(State).add_node("agent", agent).add_edge(START, "agent")
    saver = CostCheckpointer(InMemorySaver(), meter=CostMeter(), summarize_before=["agent"], context=[Shown()])
    saver.compile(builder).invoke({"messages": [HumanMessage("How much?")]}, on(saver))
    assert [(message.text, one.marked) for one in seen for message in one.messages] == [("1: How much?", 1)]


def test_a_thread_of_the_plain_graph_goes_on_installed(tmp_path: Path) -> None:
    """A thread that was saved, and left in the middle, before anything was installed goes on after it."""

    def builder() -> StateGraph[MessagesState]:
        return chain(calling(cent_model()), calling(cent_model()))

    with SqliteSaver.from_conn_string(str(tmp_path / "threads.db")) as inner:
        plain = builder().compile(checkpointer=inner, interrupt_before=["b"])
        plain.invoke(ASK, {"configurable": {"thread_id": "t"}})
        saver = CostCheckpointer(
            inner, meter=CostMeter(), cache_nodes=["a"], summarize_before=["b"], memory=["b"], context=[Latest()]
        )
        graph = saver.compile(builder())
        graph.invoke(None, on(saver))
        with pytest.warns(UserWarning, match="serving"):
            graph.invoke(ASK, on(saver))
        assert len(graph.get_state(on(saver)).values["messages"]) == 6
        assert saver.cost_history(on(saver))[0].total_usd == Decimal("0.03")
        assert saver.cost_history(on(saver))[0].unmetered


def test_what_is_configured_and_not_installed_is_said_once() -> None:
    """A checkpointer that is given to a plain compile says once that it adds nothing, and saves all the same."""
    saver = CostCheckpointer(InMemorySaver(), meter=CostMeter(), cache_nodes=["a"])
    graph = chain(calling(cent_model())).compile(checkpointer=saver)
    with pytest.warns(NotInstalledWarning, match=r"checkpointer\.compile\(builder\)") as said:
        runs = [graph.invoke(ASK, on(saver)) for _ in range(2)]
    assert (len(runs), len(said)) == (2, 1)
    assert totals(saver)[-1] == Decimal("0.02")


def test_installing_twice_is_installing_once() -> None:
    """`compile` after `install` adds nothing a second time, and `install` returns the builder."""
    saver = CostCheckpointer(InMemorySaver(), meter=CostMeter(), context=[Latest()])
    builder = chain(calling(cent_model()))
    assert saver.install(builder, summarize_before=["a"]) is builder
    assert set(saver.compile(builder).get_graph().nodes) == {"__start__", "__end__", "latest_a", "a"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"cache_nodes": ["nowhere"]}, "no node 'nowhere'"),
        ({"cache_nodes": [CacheNode("a", options={"scope": "user"})]}, "is no graph"),
        ({"memory": ["nowhere"]}, "no node 'nowhere'"),
        ({"summarize_before": ["nowhere"], "context": [Latest()]}, "no node 'nowhere'"),
        ({"summarize_before": ["a"]}, "context="),
    ],
)
def test_what_cannot_be_installed_is_refused(options: Any, said: str) -> None:
    """A node that is not there, or options that would be ignored, are refused when the graph is made."""
    saver = CostCheckpointer(InMemorySaver(), meter=CostMeter(), **options)
    with pytest.raises((CacheError, ContextError), match=said):
        saver.compile(chain(calling(cent_model())))


def test_what_is_before_a_node_keeps_no_other_from_being_cached() -> None:
    """A graph with a view before one node still has a value, so another node's results are kept."""
    calls = list[str]()

    def look(state: MessagesState) -> dict[str, Any]:
        calls.append("look")
        return {}

    summarize = SummarizationNode(Summarizer(FreshWriter(cent_model())))
    saver = CostCheckpointer(
        InMemorySaver(),
        meter=CostMeter(),
        cache_nodes=["a"],
        summarize_before=["b"],
        memory=["b"],
        context=[summarize],
    )
    graph = saver.compile(chain(look, calling(cent_model())))
    assert saver.cache is not None
    for thread in ("a", "b"):
        config = configured(saver.meter, thread)
        with saver.cache.serving(config):
            graph.invoke(ASK, config)
    assert (calls, saver.cache.counts) == (["look"], {"misses": 1, "hits": 1})
