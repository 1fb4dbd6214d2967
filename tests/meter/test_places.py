"""Every call is booked where it belongs: node path, step, agent, tool, tenant, workflow run."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import Annotated, Any, TypedDict
from uuid import uuid4

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import SummarizationMiddleware
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Command, RetryPolicy, Send, interrupt

from langchain_agentcost import AttributionMap, CostMeter, Entry
from langchain_agentcost.testing import FakeCounts, FakeMeteredChatModel

HI: Any = {"messages": [HumanMessage("Hi")]}


@pytest.fixture
def meter() -> Iterator[CostMeter]:
    """A meter with a price for one tool."""
    with CostMeter(prices={"tools": {"look_up": {"per_call": "0.002"}}}) as made:
        yield made


def model(*answers: str | AIMessage) -> FakeMeteredChatModel:
    """A model whose calls cost the same."""
    return FakeMeteredChatModel(answers=answers or ("OK",), counts=FakeCounts(1_000, 100), model="gpt-4o-mini")


def asks(name: str, **arguments: Any) -> AIMessage:
    """An answer that asks for a tool."""
    return AIMessage("", tool_calls=[{"name": name, "args": arguments, "id": f"call-{uuid4()}", "type": "tool_call"}])


def of_kind(meter: CostMeter, kind: str) -> list[Entry]:
    """The entries of a kind, in order."""
    return list(meter.ledger.entries(where={"kind": kind}))


def calling(chat: Any) -> Any:
    """A node that calls a model."""
    return lambda state: {"messages": [chat.invoke(state["messages"])]}


def nested() -> Any:
    """A supervisor graph whose worker is a subgraph with a subgraph in it."""
    inner = StateGraph(MessagesState).add_node("search", calling(model())).add_edge(START, "search").compile()
    worker = StateGraph(MessagesState).add_node("plan", calling(model())).add_node("research", inner)
    worker.add_edge(START, "plan").add_edge("plan", "research")
    desk = StateGraph(MessagesState).add_node("triage", calling(model())).add_node("worker", worker.compile())
    desk.add_node("verify", calling(model()))
    desk.add_edge(START, "triage").add_edge("triage", "worker").add_edge("worker", "verify")
    return desk.compile(name="desk")


class TestNodes:
    """Paths and steps."""

    def test_a_node_is_its_path_through_subgraphs(self, meter: CostMeter) -> None:
        """The same node name in two subgraphs is two places, and the step counter does not restart in them."""
        nested().invoke(HI, {"callbacks": meter.callbacks})
        places = [(e.attribution.node, e.attribution.step) for e in of_kind(meter, "llm")]
        assert places == [("triage", 1), ("worker/plan", 2), ("worker/research/search", 3), ("verify", 4)]

    def test_the_agent_is_the_subgraph_and_at_the_top_the_graph(self, meter: CostMeter) -> None:
        """Without a name of its own an agent is called by where it runs."""
        nested().invoke(HI, {"callbacks": meter.callbacks})
        assert [e.attribution.agent for e in of_kind(meter, "llm")] == ["desk", "worker", "research", "desk"]

    def test_one_root_run_is_one_workflow_run(self, meter: CostMeter) -> None:
        """Its id is the `run_id` of the config, and its workflow is the graph's name."""
        run_id = uuid4()
        nested().invoke(HI, {"callbacks": meter.callbacks, "run_id": run_id})
        assert {(e.attribution.run, e.attribution.workflow) for e in of_kind(meter, "llm")} == {(str(run_id), "desk")}

    def test_a_node_that_checks_is_verification(self, meter: CostMeter) -> None:
        """Nodes named verify and the like are told apart from the work; metadata says it for any other."""
        nested().invoke(HI, {"callbacks": meter.callbacks})
        assert [e.attribution.purpose for e in of_kind(meter, "llm")] == [None, None, None, "verification"]

    async def test_fan_out_shares_one_counter(self, meter: CostMeter) -> None:
        """Branches that run at once get steps of their own."""

        class State(TypedDict):
            parts: Annotated[list[str], operator.add]

        async def work(state: dict[str, Any], config: RunnableConfig) -> dict[str, Any]:
            return {"parts": [(await model().ainvoke(str(state["i"]), config)).text]}

        builder = StateGraph(State).add_node("work", work)
        builder.add_conditional_edges(START, lambda _: [Send("work", {"i": i}) for i in range(6)])
        await builder.compile().ainvoke({"parts": []}, {"callbacks": meter.callbacks})
        assert sorted(e.attribution.step or 0 for e in of_kind(meter, "llm")) == [1, 2, 3, 4, 5, 6]

    def test_a_node_retry_is_an_attempt(self, meter: CostMeter) -> None:
        """LangGraph runs the node again; each paid call says which try it was of."""
        tries = iter([True, True, False])

        def flaky(state: MessagesState) -> dict[str, Any]:
            answer = model().invoke(state["messages"])
            if next(tries):
                raise ConnectionError("the store is down")
            return {"messages": [answer]}

        policy = RetryPolicy(initial_interval=0.001, max_attempts=3)
        builder = StateGraph(MessagesState).add_node("flaky", flaky, retry_policy=policy).add_edge(START, "flaky")
        builder.compile().invoke(HI, {"callbacks": meter.callbacks})
        assert [e.attribution.attempt for e in of_kind(meter, "llm")] == [1, 2, 3]


class TestPeople:
    """Tenants, users, sessions."""

    def test_metadata_and_configurable(self, meter: CostMeter) -> None:
        """What LangGraph keeps out of the metadata is found all the same, also in subgraphs."""
        config: RunnableConfig = {
            "callbacks": meter.callbacks,
            "metadata": {"tenant": "acme"},
            "configurable": {"user_id": "ann", "thread_id": "t-1"},
        }
        nested().invoke(HI, config)
        assert {(e.attribution.tenant, e.attribution.user, e.attribution.session) for e in of_kind(meter, "llm")} == {
            ("acme", "ann", "t-1")
        }

    def test_an_own_table(self) -> None:
        """A user's keys, tags and constants are read beside the usual ones."""
        table = AttributionMap({"tenant": "cost_center"}, tags=["ticket"], constants={"deployment": "eu"})
        with CostMeter(attribution=table) as meter:
            model().invoke("Hi", {"callbacks": meter.callbacks, "metadata": {"cost_center": "cc-7", "ticket": 12}})
            [entry] = of_kind(meter, "llm")
        assert (entry.attribution.tenant, entry.attribution.deployment) == ("cc-7", "eu")
        assert entry.attribution.tags == (("ticket", "12"),)

    def test_a_constant_yields_to_what_a_run_states(self) -> None:
        """It fills in where metadata and configurable say nothing, at the first call and at the later ones."""
        table = AttributionMap(constants={"tenant": "house", "deployment": "eu"})
        with CostMeter(attribution=table) as meter:
            nested().invoke(HI, {"callbacks": meter.callbacks, "configurable": {"tenant_id": "acme"}})
            places = {(e.attribution.tenant, e.attribution.deployment) for e in of_kind(meter, "llm")}
        assert places == {("acme", "eu")}

    def test_hostile_labels_are_only_labels(self, meter: CostMeter) -> None:
        """SQL, control characters and a million letters are cut and kept as text."""
        hostile = {"tenant": "x'); DROP TABLE entry;--", "user": "a\nb", "session": "s" * 1_000_000}
        model().invoke("Hi", {"callbacks": meter.callbacks, "metadata": hostile})
        [entry] = of_kind(meter, "llm")
        assert entry.attribution.tenant == "x'); DROP TABLE entry;--"
        assert entry.attribution.user == "a b"
        assert len(entry.attribution.session or "") == 200
        assert meter.report(by="tenant", where={"tenant": hostile["tenant"]}).total.calls == 1


class TestAgents:
    """create_agent, its tools, and agents inside tools."""

    def test_a_tool_has_the_step_that_asked_for_it(self, meter: CostMeter) -> None:
        """Two tool calls of one answer share its step; the next answer is the next step."""

        @tool
        def look_up(order: int) -> str:
            """Look an order up."""
            return f"order {order} left on Monday"

        both = AIMessage("", tool_calls=[*asks("look_up", order=1).tool_calls, *asks("look_up", order=2).tool_calls])
        agent = create_agent(model(both, "Both left on Monday."), [look_up], name="clerk")
        agent.invoke(HI, {"callbacks": meter.callbacks})
        assert [(e.attribution.node, e.attribution.step) for e in of_kind(meter, "llm")] == [("model", 1), ("model", 2)]
        tools = of_kind(meter, "tool")
        assert [(e.attribution.tool, e.attribution.step, e.attribution.agent) for e in tools] == [
            ("look_up", 1, "clerk"),
            ("look_up", 1, "clerk"),
        ]
        assert [str(e.cost.usd.normalize()) for e in tools if e.cost] == ["0.002", "0.002"]
        assert all(e.duration_s is not None for e in tools)

    def test_an_agent_inside_a_tool_belongs_to_the_run(self, meter: CostMeter) -> None:
        """Its calls carry its own name, the path through the tool node, and the run's next steps."""
        helper = create_agent(model("42"), [], name="helper")

        @tool
        def ask_helper(question: str) -> str:
            """Ask the helper."""
            return str(helper.invoke({"messages": [HumanMessage(question)]})["messages"][-1].text)

        agent = create_agent(model(asks("ask_helper", question="?"), "It is 42."), [ask_helper], name="boss")
        run_id = uuid4()
        agent.invoke(HI, {"callbacks": meter.callbacks, "run_id": run_id})
        calls = [e.attribution for e in of_kind(meter, "llm")]
        assert [(a.agent, a.node, a.step) for a in calls] == [
            ("boss", "model", 1),
            ("helper", "tools/model", 2),
            ("boss", "model", 3),
        ]
        assert {a.run for a in calls} == {str(run_id)}

    def test_middleware_calls_are_overhead(self, meter: CostMeter) -> None:
        """A summary that middleware makes is told apart from the agent's own work."""
        middleware = SummarizationMiddleware(model("summary"), trigger=("messages", 2), keep=("messages", 1))
        agent = create_agent(model("done"), [], middleware=[middleware])
        history: list[Any] = [HumanMessage("one"), AIMessage("two"), HumanMessage("three")]
        agent.invoke({"messages": history}, {"callbacks": meter.callbacks})
        assert [e.attribution.purpose for e in of_kind(meter, "llm")] == ["summarization", None]

    def test_a_tool_that_fails(self, meter: CostMeter) -> None:
        """It is booked with the error's name, never its text."""

        @tool
        def look_up(order: int) -> str:
            """Look an order up."""
            raise ValueError("order of ann@example.org")

        with pytest.raises(ValueError, match="ann"):
            look_up.invoke({"order": 1}, {"callbacks": meter.callbacks})
        [entry] = of_kind(meter, "tool")
        assert (entry.status, entry.error_type) == ("error", "ValueError")
        assert "example.org" not in repr(entry)

    def test_a_retriever(self, meter: CostMeter) -> None:
        """Retrievers are timed and counted under their name."""

        class Shelf(BaseRetriever):
            def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
                return [Document("a page")]

        Shelf().invoke("where?", {"callbacks": meter.callbacks})
        [entry] = of_kind(meter, "retriever")
        assert (entry.attribution.tool, entry.status, entry.cost) == ("Shelf", "ok", None)
        assert meter.report(by="tool").total.unpriced_calls == 0


class TestPauses:
    """Human approval."""

    def test_a_resumed_run_goes_on_as_the_same_run(self, meter: CostMeter) -> None:
        """LangGraph starts a new root run; the workflow run and its steps continue."""

        def approve(state: MessagesState) -> dict[str, Any]:
            return {"messages": [HumanMessage(interrupt("May I?"))]}

        builder = StateGraph(MessagesState).add_node("draft", calling(model())).add_node("approve", approve)
        builder.add_node("send", calling(model()))
        builder.add_edge(START, "draft").add_edge("draft", "approve").add_edge("approve", "send").add_edge("send", END)
        graph = builder.compile(checkpointer=InMemorySaver())
        config: RunnableConfig = {"callbacks": meter.callbacks, "configurable": {"thread_id": "t"}, "run_id": uuid4()}
        graph.invoke(HI, config)
        graph.invoke(Command(resume="yes"), {**config, "run_id": uuid4()})
        first, second = (e.attribution for e in of_kind(meter, "llm"))
        assert first.run == second.run == str(config["run_id"])
        assert (first.step, second.step) == (1, 2)

    def test_a_new_question_in_the_same_thread_is_a_new_run(self, meter: CostMeter) -> None:
        """Only a resume continues a run."""
        graph = StateGraph(MessagesState).add_node("answer", calling(model())).add_edge(START, "answer")
        app = graph.compile(checkpointer=InMemorySaver())
        config: RunnableConfig = {"callbacks": meter.callbacks, "configurable": {"thread_id": "t"}}
        app.invoke(HI, config)
        app.invoke(HI, config)
        assert len({e.attribution.run for e in of_kind(meter, "llm")}) == 2
