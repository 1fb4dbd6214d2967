"""A question of a budget and the user's own `interrupt` never get each other's answers.

LangGraph runs a paused node again from its start and hands answers to `interrupt` calls by their order: the trap is a
budget's question that comes in between, and is asked in one execution of the node and not in another.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Annotated, Any, TypedDict

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.types import Command, interrupt

from langchain_agentcost import CostMeter
from langchain_agentcost.errors.limits import BudgetExceeded
from langchain_agentcost.limits import approvals
from langchain_agentcost.limits.memory import MemoryBudgetStore
from tests.meter.halting.world import PRICES, allowing, fake_model


class State(TypedDict):
    """What the node got to know."""

    got: Annotated[list[str], operator.add]


class Desk:
    """One node of model calls and the user's own questions, in a graph that can be paused.

    Args:
        script: What the node does, in order: "model" or the name of a question.
        cap: How many model calls fit into the session's budget.
    """

    def __init__(self, script: str, *, cap: int) -> None:
        self.model = fake_model()
        self.store = MemoryBudgetStore()
        self.meter = CostMeter(prices=PRICES, budgets=[allowing(cap, on_limit="interrupt")], store=self.store)
        self.config: Any = {"callbacks": self.meter.callbacks, "configurable": {"thread_id": "t1"}}

        def work(state: State) -> dict[str, Any]:
            done = [self.model.invoke("Hi").text if part == "model" else interrupt(part) for part in script.split()]
            return {"got": done}

        self.app = StateGraph(State).add_node("work", work).add_edge(START, "work").compile(InMemorySaver())
        self.asked: list[str] = []

    def run(self, given: Any) -> Any:
        """Run or resume, and note what is asked."""
        state = self.app.invoke(given, self.config)
        self.asked += [self.name(asked) for asked in state.get("__interrupt__", ())]
        return state

    def name(self, asked: Any) -> str:
        """What a pending question is: the user's own, or "budget"."""
        return asked.value if isinstance(asked.value, str) else "budget"

    def play(self, answering: Callable[[Any], Any], *, at_most: int = 30) -> list[str]:
        """Run to the end; `answering` makes the resume of what is pending. Gives what the node got."""
        state = self.run({"got": []})
        for _ in range(at_most):
            if not (pending := state.get("__interrupt__")):
                return list(state["got"])
            [asked] = pending
            state = self.run(answering(asked))
        raise AssertionError(f"It never ends: {self.asked}")


@pytest.fixture
def desk() -> Iterator[Callable[..., Desk]]:
    """Makes desks, and closes their meters."""
    made: list[Desk] = []

    def make(script: str, *, cap: int) -> Desk:
        made.append(Desk(script, cap=cap))
        return made[-1]

    yield make
    for each in made:
        each.meter.close()


def alone(asked: Any) -> Command[Any]:
    """Answer as `Command(resume=answer)`, where only the last such answer is kept: ours with room for all calls."""
    return Command(resume=f"answer to {asked.value}" if isinstance(asked.value, str) else {"raise_by": 10})


def by_id(asked: Any) -> Command[Any]:
    """Answer as `Command(resume={id: answer})`, ours with the command of the payload."""
    return Command(resume={asked.id: f"answer to {asked.value}" if isinstance(asked.value, str) else "approve"})


def ours_by_id(asked: Any) -> Command[Any]:
    """The user's as they always were, ours with the command of the payload."""
    return alone(asked) if isinstance(asked.value, str) else by_id(asked)


def ours_alone(asked: Any) -> Command[Any]:
    """The other way round."""
    return by_id(asked) if isinstance(asked.value, str) else alone(asked)


def all_alone(asked: Any) -> Command[Any]:
    """All as `Command(resume=answer)`, ours approved: with little room, so that calls made again ask again."""
    return Command(resume=f"answer to {asked.value}" if isinstance(asked.value, str) else "approve")


HOW = {
    "alone": alone,
    "by id": by_id,
    "ours by id": ours_by_id,
    "ours alone": ours_alone,
    "all alone": all_alone,
}
SCRIPTS = [
    "q1 model",
    "model q1",
    "q1 model q2",
    "model q1 model q2",
    "model q1 q2 model model q3",
    "q1 q2 q3 model q4 model",
]


@pytest.mark.parametrize("cap", [0, 1, 2])
@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("how", HOW)
def test_each_gets_its_own_answer(desk: Callable[..., Desk], script: str, how: str, cap: int) -> None:
    """However often the node is run again, and whichever way people answer."""
    at = desk(script, cap=cap)
    got = at.play(HOW[how])
    assert got == [("OK" if part == "model" else f"answer to {part}") for part in script.split()]
    assert {*at.asked} - {"budget"} == {*script.split()} - {"model"}


@pytest.mark.parametrize("cap", [0, 1])
@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("how", ["alone", "by id"])
def test_it_may_be_answered_in_the_store(desk: Callable[..., Desk], script: str, how: str, cap: int) -> None:
    """Another process approves, and the thread goes on with `invoke(None, …)`: nothing is given to the wrong one."""
    at = desk(script, cap=cap)

    def answering(asked: Any) -> Any:
        if isinstance(asked.value, str):
            return HOW[how](asked)
        approvals.answer(at.store, asked.value["approval"], "approve")
        return None

    assert at.play(answering) == [("OK" if part == "model" else f"answer to {part}") for part in script.split()]


def test_a_node_keeps_no_answer_of_a_graph_within_it(desk: Callable[..., Desk]) -> None:
    """What the inner graph's `interrupt` is answered is never given to one of the node that runs it."""
    at = desk("", cap=1)

    def within(state: State) -> dict[str, Any]:
        return {"got": [interrupt("inner")]}

    inner = StateGraph(State).add_node("within", within).add_edge(START, "within").compile(checkpointer=True)

    def around(state: State) -> dict[str, Any]:
        at.model.invoke("Hi")
        return {"got": [*inner.invoke({"got": []})["got"], interrupt("outer")]}

    at.app = StateGraph(State).add_node("around", around).add_edge(START, "around").compile(InMemorySaver())
    assert at.play(alone) == ["answer to inner", "answer to outer"]
    assert "budget" in at.asked


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_calls_that_are_made_fit_the_limit(desk: Callable[..., Desk], script: str) -> None:
    """Every call, also one that is made again because its node is, has the room that a person gave."""
    at = desk(script, cap=1)
    at.play(by_id)
    [account] = at.store.accounts()
    assert len(at.model.prompts) == account.spent <= account.cap
    assert account.reserved == 0
    assert not approvals.pending(at.store)


def test_a_question_costs_the_user_none_of_theirs(desk: Callable[..., Desk]) -> None:
    """The user is asked each of their questions once, where people answer ours by id."""
    at = desk("q1 model q2 model q3", cap=1)
    at.play(ours_by_id)
    assert [asked for asked in at.asked if asked != "budget"] == ["q1", "q2", "q3"]


def test_an_answer_that_is_none_is_asked_for_again(desk: Callable[..., Desk]) -> None:
    """What we do not understand neither approves nor denies."""
    at = desk("model", cap=0)
    [asked] = at.run({"got": []})["__interrupt__"]
    too_little = [{"raise_by": 0}, {"raise_by": -1}, {"raise_to": 0}]
    for nonsense in ("perhaps", {"raise_by": "much"}, {"decision": "perhaps"}, 1, *too_little):
        [again] = at.run(Command(resume={asked.id: nonsense}))["__interrupt__"]
        assert again.id == asked.id
    assert at.run(Command(resume={asked.id: {"decision": "approve"}}))["got"] == ["OK"]


@pytest.mark.parametrize("no", ["deny", False, {"decision": "deny"}])
def test_a_denial_stops_the_run(desk: Callable[..., Desk], no: Any) -> None:
    """It raises, the provider is not hit; whoever resumes the thread after that is asked anew."""
    at = desk("q1 model", cap=0)
    at.run({"got": []})
    [asked] = at.run(Command(resume="answer to q1"))["__interrupt__"]
    with pytest.raises(BudgetExceeded, match="denied"):
        at.run(Command(resume={asked.id: no}))
    assert at.model.prompts == []
    [anew] = at.run(None)["__interrupt__"]
    assert anew.id != asked.id
    assert at.run(by_id(anew))["got"] == ["answer to q1", "OK"]


def test_a_limit_that_was_raised_meanwhile_needs_no_answer(desk: Callable[..., Desk]) -> None:
    """The question is taken back, and a later answer to the user's own question is not taken for its."""
    at = desk("model q1", cap=0)
    at.run({"got": []})
    at.store.raise_limit(at.store.accounts()[0].scope, 2)
    [asked] = at.run(None)["__interrupt__"]
    assert asked.value == "q1"
    assert not approvals.pending(at.store)
    assert at.run(Command(resume="approve"))["got"] == ["OK", "approve"]
