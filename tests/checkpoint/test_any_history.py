from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from typing import Any, Literal

from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, interrupt

from langchain_agentcost.checkpoint import CostCheckpointer
from langchain_agentcost.meter.checkpoint_spend import CheckpointSpend, Place, Spent, Taker
from langchain_agentcost.testing import FakeMeteredChatModel
from tests.checkpoint.cents import ASK, cent_model, checkpointer, nanos, on, stamp

Durability = Literal["sync", "async", "exit"]


class Desk:
    """A thread on which anything may happen, over and over, in one process after the other."""

    def __init__(self) -> None:
        self.inner = InMemorySaver()
        self.model = cent_model()
        self.fails = self.asks = False
        self.new_process()

    def new_process(self) -> None:
        """Forget everything that is not in the store."""
        self.saver = checkpointer(self.inner)
        self.graph = _graph(self).compile(checkpointer=self.saver)

    def run(self, given: Any, durability: Durability, config: RunnableConfig | None = None) -> None:
        """Run, whatever comes of it."""
        with suppress(ConnectionError):
            self.graph.invoke(given, config or on(self.saver), durability=durability)

    def start(self, durability: Durability, trouble: str) -> None:
        """Ask something new, which may fail or wait on its way."""
        self.fails, self.asks = trouble == "fails", trouble == "asks"
        self.run(ASK, durability)
        self.fails = self.asks = False

    def go_on(self, durability: Durability) -> None:
        """Go on where the thread stands."""
        state = self.graph.get_state(on(self.saver))
        if state.next:
            self.run(Command(resume="yes") if state.interrupts else None, durability)

    def go_back(self, durability: Durability, which: int) -> None:
        """Go on from an older checkpoint."""
        history = [state for state in self.graph.get_state_history(on(self.saver)) if state.next]
        if history:
            config = history[which % len(history)].config
            self.run(None, durability, {**config, "callbacks": self.saver.meter.callbacks})

    def update(self) -> None:
        """Let a person write something."""
        if self.graph.get_state(on(self.saver)).values:
            self.graph.update_state(on(self.saver), {"messages": [("user", "Hm.")]}, as_node="b")


def _graph(desk: Desk) -> StateGraph[MessagesState]:
    def paying(meanwhile: Callable[[], object]) -> Any:
        def node(state: MessagesState) -> dict[str, Any]:
            answer = desk.model.invoke("How much?")
            meanwhile()
            return {"messages": [answer, desk.model.invoke("And then?")]}

        return node

    def fail() -> None:
        if desk.fails:
            raise ConnectionError("reset")

    def ask() -> None:
        if desk.asks:
            interrupt("May I?")

    builder = StateGraph(MessagesState).add_node("a", paying(lambda: None)).add_edge(START, "a")
    for name, before, meanwhile in (("b", "a", fail), ("c", "b", ask), ("d", "b", lambda: None)):
        builder.add_node(name, paying(meanwhile)).add_edge(before, name)
    return builder


durabilities = st.sampled_from(["sync", "async", "exit"])
events = st.one_of(
    st.tuples(st.just("start"), durabilities, st.sampled_from(["", "fails", "asks"])),
    st.tuples(st.just("go_on"), durabilities),
    st.tuples(st.just("go_back"), durabilities, st.integers(0, 9)),
    st.tuples(st.just("update")),
    st.tuples(st.just("new_process")),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(events, max_size=8))
def test_a_thread_knows_every_cent_that_it_has_spent(happened: list[tuple[Any, ...]]) -> None:
    """Whatever happens to a thread, in whatever process, its total is what its calls have cost, and no path more."""
    desk = Desk()
    for name, *given_ in happened:
        getattr(desk, name)(*given_)
    desk.run(ASK, "sync")
    path, thread = nanos(stamp(desk.saver))
    assert thread == len(desk.model.prompts) * 10_000_000
    assert path <= thread
    history = desk.saver.cost_history(on(desk.saver))
    own = {step.checkpoint_id: (step.parent_id, step.cost_usd or Decimal(0)) for step in history}
    for step in history:
        at, along = step.checkpoint_id, Decimal(0)
        while at in own:
            parent, cost = own[at]
            along, at = along + cost, parent or ""
        assert step.total_usd == along


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9), st.integers(1, 5))))
def test_every_amount_is_taken_once(happened: list[tuple[bool, int, int]]) -> None:
    """In any order of calls and saves, what is taken and what is left is what was noted."""
    spend, noted, taken, last = CheckpointSpend(), 0, 0, "000"
    for number, (saves, which, amount) in enumerate(happened, start=1):
        if saves:
            parent, last = last, f"{number:03}"
            took = spend.take("t", "", parent=f"{which:03}" if which % 2 else parent, before=last, by=Taker())
            spend.saw("t", "", last)
            taken += sum(spent.llm_calls for spent in took.values())
        else:
            noted += amount
            spend.note(Place("t", {"": f"{which:03}"}), "run", Spent(llm_calls=amount))
    rest = spend.take("t", "", parent=None, before="zzz", by=Taker())
    assert taken + sum(spent.llm_calls for spent in rest.values()) + spend.left("t", None).llm_calls == noted


def test_a_fault_of_ours_keeps_the_thread(monkeypatch: Any) -> None:
    """Where stamping fails, the checkpoint is kept without a stamp and the run goes on."""
    saver: CostCheckpointer = checkpointer(InMemorySaver())
    monkeypatch.setattr("langchain_agentcost.checkpoint.thread_costs.is_metered", None)
    model = FakeMeteredChatModel()
    builder = StateGraph(MessagesState).add_node("a", lambda state: {"messages": [model.invoke("Hi")]})
    graph = builder.add_edge(START, "a").compile(checkpointer=saver)
    graph.invoke(ASK, on(saver))
    assert len(graph.get_state(on(saver)).values["messages"]) == 2
    assert saver.cost_history(on(saver))[-1].total_usd is None
