"""A person is asked where a budget or breaker has no room, and the answer counts: once, for what it says."""

from __future__ import annotations

import asyncio
import operator
from collections.abc import Iterator, Mapping
from dataclasses import replace
from time import sleep
from typing import Annotated, Any, TypedDict

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolCall
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.types import Command, Send

from langchain_agentcost.errors import BudgetError
from langchain_agentcost.errors.limits import BreakerTripped, BudgetExceeded, LimitUnavailable
from langchain_agentcost.limits import approvals
from langchain_agentcost.limits.alerts import Alert
from langchain_agentcost.limits.breakers import CircuitBreaker
from langchain_agentcost.limits.budget import Budget
from tests.meter.halting.world import PER_CALL, World, allowing, fake_model, store_of, world


class State(TypedDict):
    """Every answer that was paid."""

    messages: Annotated[list[AnyMessage], operator.add]


ASKED: Any = {"messages": []}
NANO = int(PER_CALL * 10**9)
"""What a call costs, in nano-USD."""


@pytest.fixture
def model() -> Any:
    """A model with a counter of its own."""
    return fake_model()


def chain(model: Any, *, calls: int) -> Any:
    """A graph of so many nodes, each of which calls the model once."""
    graph = StateGraph(State)
    for number in range(calls):
        graph.add_node(f"n{number}", lambda _: {"messages": [model.invoke("Hi")]})
        graph.add_edge(f"n{number - 1}" if number else START, f"n{number}")
    return graph.compile(InMemorySaver())


def asked_in(state: Any) -> list[Any]:
    """What is pending."""
    return list(state.get("__interrupt__", ()))


@pytest.fixture
def w() -> Iterator[World]:
    """A session's budget of two calls that asks a person."""
    with world(allowing(2, "usd", on_limit="interrupt")) as made:
        yield made


class TestQuestion:
    """What a person is shown."""

    def test_it_says_all_that_is_needed_to_decide(self, w: World, model: Any) -> None:
        """Why, whose budget, how much, which thread and run, and which answers there are; never a text of the run."""
        [asked] = asked_in(chain(model.bind(max_tokens=50), calls=3).invoke(ASKED, w.config))
        shown = asked.value
        assert shown["type"] == "agentcost.approval"
        assert (shown["limit"], shown["spent"], shown["needed"], shown["again"]) == ("0.1", "0.1", "0.05", "0")
        assert (shown["thread"], shown["scope"]) == ("t1", "session budget:usd|session=t1")
        assert {*shown["answers"]} == {"approve", "deny", "{'raise_by': AMOUNT}", "{'raise_to': AMOUNT}"}
        assert shown["run"] == next(iter(w.meter.ledger.entries())).attribution.run
        assert "Hi" not in str(shown).split()

    def test_its_command_resumes_the_run(self, w: World, model: Any) -> None:
        """As it is written, with the graph and the meter at hand."""
        graph = chain(model.bind(max_tokens=50), calls=3)
        [asked] = asked_in(graph.invoke(ASKED, w.config))
        done = eval(asked.value["resume"], {"graph": graph, "meter": w.meter, "Command": Command})  # noqa: S307
        assert len(done["messages"]) == len(model.prompts) == 3
        assert w.account.spent == w.account.cap - NANO

    def test_alert_and_store_hold_it_for_other_processes(self, model: Any) -> None:
        """Both carry the thread and the command, and are told once however often the run comes back."""
        told: list[Alert] = []
        with world(allowing(0, on_limit="interrupt"), alerts=[told.append]) as w:
            graph = chain(model, calls=1)
            [asked] = asked_in(graph.invoke(ASKED, w.config))
            graph.invoke(None, w.config)
            [kept] = approvals.pending(store_of(w.meter))
            [alert] = [alert for alert in told if alert.kind == "approval"]
        assert kept.id == asked.id == asked.value["approval"] == alert.evidence["approval"]
        assert kept.resume == asked.value["resume"] == alert.evidence["resume"]
        assert (kept.thread, alert.evidence["thread"]) == ("t1", "t1")

    def test_without_a_checkpointer_the_first_call_is_refused(self, w: World, model: Any) -> None:
        """Long before the limit: a question that cannot be answered must not come up in production."""
        graph = StateGraph(State).add_node("n", lambda _: {"messages": [model.invoke("Hi")]}).add_edge(START, "n")
        with pytest.raises(LimitUnavailable, match="no checkpointer"):
            graph.compile().invoke(ASKED, w.config)
        assert model.prompts == []

    def test_outside_a_graph_it_raises(self, model: Any) -> None:
        """Nobody could be asked there."""
        with world(allowing(1, on_limit="interrupt")) as w:
            model.invoke("Hi", w.config)
            with pytest.raises(BudgetExceeded):
                model.invoke("Hi", w.config)
        assert len(model.prompts) == 1


class TestAnswer:
    """What the answers do."""

    @pytest.mark.parametrize(
        ("answer", "cap"),
        [
            ("approve", 4),
            (True, 4),
            ({"decision": "approve"}, 4),
            ({"raise_by": str(PER_CALL)}, 3),
            ({"raise_by": 3 * PER_CALL}, 5),
            ({"raise_to": float(4 * PER_CALL)}, 4),
        ],
    )
    @pytest.mark.parametrize("is_async", [False, True])
    @pytest.mark.parametrize("named", [False, True])
    def test_going_on(self, w: World, model: Any, answer: Any, cap: int, is_async: bool, named: bool) -> None:
        """The limit is what the answer makes it, and what was paid before the question is not paid again."""
        graph = chain(model.bind(max_tokens=50), calls=3)
        [asked] = asked_in(graph.invoke(ASKED, w.config))
        resume: Command[Any] = Command(resume={asked.id: answer} if named else answer)
        done = asyncio.run(graph.ainvoke(resume, w.config)) if is_async else graph.invoke(resume, w.config)
        assert len(done["messages"]) == len(model.prompts) == 3
        assert (w.account.cap, w.account.spent) == (cap * NANO, 3 * NANO)

    def test_too_little_is_asked_about_again(self, w: World, model: Any) -> None:
        """With the new figures."""
        graph = chain(model.bind(max_tokens=50), calls=3)
        [asked] = asked_in(graph.invoke(ASKED, w.config))
        [again] = asked_in(graph.invoke(Command(resume={asked.id: {"raise_by": "0.01"}}), w.config))
        assert (again.value["limit"], again.id != asked.id) == ("0.11", True)
        assert len(model.prompts) == 2

    def test_several_wait_at_once(self, model: Any) -> None:
        """Each has its own id; what siblings paid is kept."""
        graph = StateGraph(State).add_node("n", lambda _: {"messages": [model.invoke("Hi")]})
        graph.add_conditional_edges(START, lambda _: [Send("n", ASKED)] * 5, ["n"])
        app = graph.compile(InMemorySaver())
        with world(allowing(2, on_limit="interrupt")) as w:
            waiting = asked_in(app.invoke(ASKED, w.config))
            assert (len(waiting), len(model.prompts), len({asked.id for asked in waiting})) == (3, 2, 3)
            with pytest.raises(RuntimeError, match="specify the interrupt id"):
                app.invoke(Command(resume="approve"), w.config)
            one, *rest = waiting
            still = asked_in(app.invoke(Command(resume={one.id: {"raise_by": 1}}), w.config))
            assert {asked.id for asked in still} == {asked.id for asked in rest}
            done = app.invoke(Command(resume={asked.id: "approve" for asked in still}), w.config)
            assert len(done["messages"]) == len(model.prompts) == 5
            assert not approvals.pending(store_of(w.meter))

    def test_one_of_several_is_denied(self, model: Any) -> None:
        """The run stops; what others were allowed and paid is kept, and the denied call is never made."""
        graph = StateGraph(State).add_node("n", lambda _: {"messages": [model.invoke("Hi")]})
        graph.add_conditional_edges(START, lambda _: [Send("n", ASKED)] * 3, ["n"])
        app = graph.compile(InMemorySaver())
        with world(allowing(1, on_limit="interrupt")) as w:
            first, second = asked_in(app.invoke(ASKED, w.config))
            app.invoke(Command(resume={first.id: "approve"}), w.config)
            with pytest.raises(BudgetExceeded, match="denied"):
                app.invoke(Command(resume={second.id: "deny"}), w.config)
            assert len(model.prompts) == 2

    @pytest.mark.parametrize("denied", [0, 1, 2])
    def test_a_denial_loses_no_answer_that_came_with_it(self, model: Any, denied: int) -> None:
        """What the others were answered in the same command is kept, though the run stops before they hear of it."""

        def late(state: dict[str, int]) -> Any:
            sleep(0.05 * (state["number"] != denied))
            return {"messages": [model.invoke("Hi")]}

        graph: Any = StateGraph(State).add_node("n", late)
        graph.add_conditional_edges(START, lambda _: [Send("n", {"number": number}) for number in range(3)], ["n"])
        app = graph.compile(InMemorySaver())
        with world(allowing(0, on_limit="interrupt")) as w:
            waiting = asked_in(app.invoke(ASKED, w.config))
            no = waiting[denied].id
            said = {asked.id: "deny" if asked.id == no else "approve" for asked in waiting}
            with pytest.raises(BudgetExceeded, match="denied"):
                app.invoke(Command(resume=said), {**w.config, "max_concurrency": 1} if denied == 0 else w.config)
            kept = {name: approvals.find(store_of(w.meter), name) for name in said}
            assert {name: k.status if k else None for name, k in kept.items()} == {
                name: "denied" if name == no else "approved" for name in said
            }


class TestWhen:
    """Whether a person is asked at all."""

    @pytest.mark.parametrize(
        "limit", [allowing(2, "usd", on_limit="interrupt"), allowing(4, "usd", thresholds={0.5: "interrupt"})]
    )
    def test_it_is_given_the_evidence_and_no_stops_the_call(self, model: Any, limit: Budget) -> None:
        """A limit and a share of one ask nobody where it says no, and leave no question behind."""
        seen: list[Mapping[str, Any]] = []

        def never(evidence: Mapping[str, Any]) -> bool:
            seen.append(evidence)
            return False

        with world(replace(limit, when=never)) as w:
            with pytest.raises(BudgetExceeded) as stopped:
                chain(model.bind(max_tokens=50), calls=3).invoke(ASKED, w.config)
            [evidence] = seen
            assert (evidence["limit"], evidence["spent"]) == (stopped.value.limit, 2 * PER_CALL)
            assert (evidence["needed"], evidence["unit"]) == (PER_CALL, "usd")
            assert (evidence["scope"], evidence["budget"]) == (w.account.scope, "session budget")
            assert (evidence["thread"], evidence["run"]) == ("t1", stopped.value.evidence["run"])
            assert (len(model.prompts), approvals.pending(store_of(w.meter))) == (2, ())

    @pytest.mark.parametrize("yes", [lambda evidence: evidence["spent"] == 2, lambda evidence: evidence["nothing"]])
    def test_a_person_is_asked_where_it_says_so_or_fails(self, model: Any, yes: Any) -> None:
        """Its own error neither makes the call nor keeps the question from people."""
        with world(allowing(2, on_limit="interrupt", when=yes)) as w:
            graph = chain(model, calls=3)
            [asked] = asked_in(graph.invoke(ASKED, w.config))
            assert len(model.prompts) == 2
            assert len(graph.invoke(Command(resume={asked.id: "approve"}), w.config)["messages"]) == 3

    def test_it_goes_with_a_question(self) -> None:
        """Where nobody is asked, or nothing could be called, a budget is refused."""
        with pytest.raises(BudgetError, match="on_limit"):
            Budget(steps=1, when=lambda _: True)
        with pytest.raises(BudgetError, match="a function"):
            Budget(steps=1, on_limit="interrupt", when=True)  # type: ignore[arg-type]


class TestWhere:
    """Wherever the call is."""

    def test_a_model_in_a_tool_of_an_agent(self) -> None:
        """The question comes up through tool and tool node, and the answer goes down the same way."""
        inner = fake_model(answers=["sent"])

        @tool
        def look_up(order: str) -> str:
            """Look an order up."""
            return str(inner.invoke(order).text)

        call = ToolCall(name="look_up", args={"order": "7"}, id="call-1", type="tool_call")
        outer = fake_model(answers=[AIMessage("", tool_calls=[call]), "It is on its way."])
        agent = create_agent(outer, [look_up], checkpointer=InMemorySaver())
        with world(allowing(1, on_limit="interrupt")) as w:
            state: Any = agent.invoke({"messages": [HumanMessage("Where is it?")]}, w.config)
            while waiting := asked_in(state):
                state = agent.invoke(Command(resume={waiting[0].id: {"raise_by": 1}}), w.config)
            assert state["messages"][-1].text == "It is on its way."
            assert (len(outer.prompts), len(inner.prompts), w.account.spent) == (2, 1, 3)

    def test_a_tool_call(self) -> None:
        """A tool that has no room runs when a person says so, and once."""
        ran: list[str] = []

        @tool
        def pay(amount: str) -> str:
            """Pay."""
            ran.append(amount)
            return "paid"

        call = ToolCall(name="pay", args={"amount": "7"}, id="call-1", type="tool_call")
        agent = create_agent(
            fake_model(answers=[AIMessage("", tool_calls=[call]), "Done."]), [pay], checkpointer=InMemorySaver()
        )
        with world(Budget(tool_calls=0, tool="pay", on_limit="interrupt")) as w:
            asked: Any = {"messages": [HumanMessage("Pay them.")]}
            [waiting] = asked_in(agent.invoke(asked, w.config))
            assert ran == []
            assert agent.invoke(Command(resume={waiting.id: "approve"}), w.config)["messages"][-1].text == "Done."
        assert ran == ["7"]


class TestNothingToRaise:
    """Questions that no limit is raised for."""

    def test_a_share_of_the_limit(self, model: Any) -> None:
        """Approved once it is passed for good, and the limit itself still holds."""
        with world(allowing(4, thresholds={0.5: "interrupt"})) as w:
            graph = chain(model, calls=5)
            [asked] = asked_in(graph.invoke(ASKED, w.config))
            assert (len(model.prompts), {*asked.value["answers"]}) == (2, {"approve", "deny"})
            with pytest.raises(BudgetExceeded):
                graph.invoke(Command(resume="approve"), w.config)
            assert (len(model.prompts), w.account.cap) == (4, 4)

    def test_a_call_that_is_too_dear_by_itself(self, model: Any) -> None:
        """One call is let through; the next one asks again."""
        with world(Budget(output_tokens=40, per="call", on_limit="interrupt")) as w:
            graph = chain(model.bind(max_tokens=50), calls=2)
            [first] = asked_in(graph.invoke(ASKED, w.config))
            [second] = asked_in(graph.invoke(Command(resume={first.id: "approve"}), w.config))
            assert len(model.prompts) == 1
            assert len(graph.invoke(Command(resume={second.id: "approve"}), w.config)["messages"]) == 2

    @pytest.mark.parametrize("yes", [True, False])
    def test_a_breaker(self, model: Any, yes: bool) -> None:
        """Approved, the run goes on and is not asked about the same breaker again; denied, it trips."""
        breaker = CircuitBreaker(kind="no_progress", warn=None, stop=2, on_trip="interrupt")
        with world(breaker) as w:
            graph = chain(model, calls=5)
            assert asked_in(graph.invoke(ASKED, w.config))
            made = len(model.prompts)
            assert made < 5
            if yes:
                assert len(graph.invoke(Command(resume="approve"), w.config)["messages"]) == 5
            else:
                with pytest.raises(BreakerTripped, match="denied"):
                    graph.invoke(Command(resume="deny"), w.config)
                assert len(model.prompts) == made

    def test_a_frozen_account_asks_nobody(self, w: World, model: Any) -> None:
        """A person has said no to all of it already."""
        graph = chain(model, calls=3)
        graph.invoke(ASKED, w.config)
        store_of(w.meter).freeze(w.account.scope)
        with pytest.raises(BudgetExceeded, match="frozen") as stopped:
            graph.invoke(None, w.config)
        assert f"budgets freeze STORE '{w.account.scope}' --thaw" in str(stopped.value)

    def test_an_unknown_price_asks_nobody(self, w: World) -> None:
        """No approval would make it known."""
        with pytest.raises(BudgetExceeded, match="price"):
            chain(fake_model(model="made-up-9"), calls=1).invoke(ASKED, w.config)
