from __future__ import annotations

import asyncio
import json
import operator
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from time import sleep
from typing import Annotated, Any, Literal, TypedDict

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.channels import DeltaChannel
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.func import entrypoint, task
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, RetryPolicy, Send, interrupt

from langchain_agentcost import CostMeter
from langchain_agentcost.checkpoint import CostCheckpointer
from langchain_agentcost.meter import install_global, meter_costs, uninstall_global
from langchain_agentcost.testing import FakeMeteredChatModel
from tests.checkpoint.cents import (
    ASK,
    acalling,
    calling,
    cent_model,
    cents,
    chain,
    checkpointer,
    nanos,
    on,
    stamp,
    steps,
    totals,
)

Durability = Literal["sync", "async", "exit"]
ALL: tuple[Durability, ...] = ("sync", "async", "exit")


@pytest.fixture(params=["memory", "sqlite"])
def inner(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BaseCheckpointSaver[Any]]:
    """A saver in memory, then one in a file."""
    if request.param == "memory":
        yield InMemorySaver()
        return
    with SqliteSaver.from_conn_string(str(tmp_path / "threads.db")) as saver:
        yield saver


class SlowSaver(InMemorySaver):
    """Saves a checkpoint long after its superstep, as a far store does."""

    def put(self, *args: Any) -> Any:
        """Save, late."""
        sleep(0.03)
        return super().put(*args)

    async def aput(self, *args: Any) -> Any:
        """Save, late."""
        await asyncio.sleep(0.03)
        return super().put(*args)


EXPECTED = {"sync": cents(0, 0, 1, 3, 4), "async": cents(0, 0, 1, 3, 4), "exit": cents(4)}


@pytest.mark.parametrize("durability", ALL)
def test_each_step_states_its_own_cost(inner: BaseCheckpointSaver[Any], durability: Durability) -> None:
    """The total at a step is what calls up to it have cost, in every durability mode and back end."""
    saver = checkpointer(inner)
    model = cent_model()
    graph = chain(calling(model), calling(model, calls=2), calling(model)).compile(checkpointer=saver)
    graph.invoke(ASK, on(saver), durability=durability)
    assert totals(saver) == EXPECTED[durability]


@pytest.mark.parametrize("durability", ALL)
def test_a_save_that_is_late_states_no_later_calls(durability: Durability) -> None:
    """Where a save takes longer than the next supersteps, its stamp is the same."""
    saver = checkpointer(SlowSaver())
    model = cent_model()
    graph = chain(calling(model), calling(model, calls=2), calling(model)).compile(checkpointer=saver)
    graph.invoke(ASK, on(saver), durability=durability)
    assert totals(saver) == EXPECTED[durability]


@pytest.mark.parametrize("durability", ALL)
async def test_async_steps_state_their_own_cost(durability: Durability, tmp_path: Path) -> None:
    """Async graphs have the same stamps, over a slow saver and over a database."""
    model = cent_model()
    async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "threads.db")) as sqlite:
        for inner in (SlowSaver(), sqlite):
            saver = checkpointer(inner)
            graph = chain(acalling(model), acalling(model)).compile(checkpointer=saver)
            await graph.ainvoke(ASK, on(saver), durability=durability)
            stated = [step.total_usd for step in reversed(await saver.acost_history(on(saver)))]
            assert stated == (cents(2) if durability == "exit" else cents(0, 0, 1, 2))


@pytest.mark.parametrize("durability", ALL)
def test_a_thread_goes_on_in_another_process(inner: BaseCheckpointSaver[Any], durability: Durability) -> None:
    """A meter that knows nothing of a thread goes on from the total that its latest checkpoint states."""
    model = cent_model()
    for _ in range(2):
        saver = checkpointer(inner)
        chain(calling(model)).compile(checkpointer=saver).invoke(ASK, on(saver), durability=durability)
    assert totals(saver) == (cents(1, 2) if durability == "exit" else cents(0, 0, 1, 1, 1, 2))


def test_metadata_is_plain_json(inner: BaseCheckpointSaver[Any]) -> None:
    """What is stamped is JSON, money is exact text, and any saver can filter by it."""
    saver = checkpointer(inner)
    chain(calling(cent_model())).compile(checkpointer=saver).invoke(ASK, on(saver))
    [saved] = saver.list(on(saver), filter={"agentcost_usd": "0.01"})
    written = {key: value for key, value in saved.metadata.items() if key.startswith("agentcost_")}
    assert json.loads(json.dumps(written)) == written == stamp(saver).as_metadata()
    assert written["agentcost_step"] == {"usd": "0.01", "llm_calls": 1, "input_tokens": 40_000}


def ask_person(state: MessagesState) -> dict[str, list[AIMessage]]:
    """A node that pays for a call and then waits for a person; it pays again when it goes on."""
    answer = cent_model().invoke("Is it allowed?")
    interrupt("May I?")
    return {"messages": [answer]}


def beside() -> StateGraph[MessagesState]:
    """A step of two tasks: one asks a person, one does not; then one more."""
    builder = StateGraph(MessagesState)
    builder.add_node("ask", ask_person)
    builder.add_node("work", calling(cent_model()))
    builder.add_node("last", calling(cent_model()))
    for name in ("ask", "work"):
        builder.add_edge(START, name)
    return builder.add_edge(["ask", "work"], "last")


@pytest.mark.parametrize("durability", ALL)
@pytest.mark.parametrize("elsewhere", [False, True])
def test_an_interrupted_step_costs_what_both_its_runs_paid(
    inner: BaseCheckpointSaver[Any], durability: Durability, elsewhere: bool
) -> None:
    """A step that waits for a person has cost what was paid before and after, also where another process goes on."""
    saver = checkpointer(inner)
    beside().compile(checkpointer=saver).invoke(ASK, on(saver), durability=durability)
    assert totals(saver)[-1] == 0
    if elsewhere:
        saver = checkpointer(inner)
    beside().compile(checkpointer=saver).invoke(Command(resume="yes"), on(saver), durability=durability)
    assert totals(saver)[-1] == Decimal("0.04")
    if durability != "exit":
        assert steps(saver)[-2:] == cents(3, 1)


def test_a_step_that_two_processes_paid_is_counted_on_one_branch(inner: BaseCheckpointSaver[Any]) -> None:
    """What another process paid for an unfinished step is in the step that ends it, not in other children as well."""
    saver = checkpointer(inner)
    waiting = beside().compile(checkpointer=saver).invoke(ASK, on(saver))
    assert "__interrupt__" in waiting
    saver = checkpointer(inner)
    graph = beside().compile(checkpointer=saver)
    before = graph.get_state({"configurable": {"thread_id": "t"}})
    graph.invoke(Command(resume="yes"), on(saver))
    graph.update_state(before.config, {"messages": [("user", "Or else?")]}, as_node="work")
    assert [steps(saver)[-1], totals(saver)[-1]] == [0, 0]
    assert sum(filter(None, steps(saver))) == Decimal("0.04")


def test_a_graph_never_sees_what_an_unfinished_step_has_spent() -> None:
    """Pending writes are those of the graph's tasks, whatever is kept beside them."""
    inner = InMemorySaver()
    saver = checkpointer(inner)
    beside().compile(checkpointer=saver).invoke(ASK, on(saver))
    (kept, *_), (ours, *_) = inner.list(on(saver)), saver.list(on(saver))
    assert len(kept.pending_writes or ()) > len(ours.pending_writes or ())
    assert {channel for _, channel, _ in ours.pending_writes or ()} == {
        "__interrupt__",
        "messages",
        "join:ask+work:last",
    }
    assert saver.get_tuple(on(saver)) == ours


def test_a_run_that_failed_is_paid_by_what_follows(inner: BaseCheckpointSaver[Any]) -> None:
    """What a step had paid before it failed is in the next checkpoint, be that the retried step or new input."""
    model = cent_model(failures={2: RuntimeError("down")})
    saver = checkpointer(inner)
    graph = chain(calling(model, calls=2)).compile(checkpointer=saver)
    with pytest.raises(RuntimeError, match="down"):
        graph.invoke(ASK, on(saver))
    assert totals(saver)[-1] == 0
    saver = checkpointer(inner)
    graph = chain(calling(model, calls=2)).compile(checkpointer=saver)
    graph.invoke(None, on(saver))
    assert totals(saver)[-1] == Decimal("0.03")
    failing = chain(calling(cent_model(failures={2: RuntimeError("down")}), calls=2)).compile(checkpointer=saver)
    with pytest.raises(RuntimeError, match="down"):
        failing.invoke(ASK, on(saver))
    graph.invoke(ASK, on(saver))
    assert steps(saver)[-3:] == cents(1, 0, 2)
    assert [step.source for step in saver.cost_history(on(saver), limit=3)] == ["loop", "loop", "input"]


def test_every_try_of_a_retried_node_counts() -> None:
    """A node that LangGraph tries again costs what all tries have cost."""
    model = cent_model(failures={2: ConnectionError("reset")})
    saver = checkpointer(InMemorySaver())
    builder = StateGraph(MessagesState)
    builder.add_node("a", calling(model, calls=2), retry_policy=RetryPolicy(initial_interval=0.001, jitter=False))
    builder.add_edge(START, "a").compile(checkpointer=saver).invoke(ASK, on(saver))
    newest = saver.cost_history(on(saver))[0]
    assert (newest.cost_usd, newest.llm_calls) == (Decimal("0.03"), 4)


@pytest.mark.parametrize("durability", ALL)
def test_send_fans_out_into_one_step(durability: Durability) -> None:
    """Tasks that `Send` starts are all in the step that they run in."""
    saver = checkpointer(InMemorySaver())
    builder = StateGraph(MessagesState).add_node("look", calling(cent_model()))
    builder.add_conditional_edges(START, lambda state: [Send("look", state) for _ in range(5)], ["look"])
    builder.compile(checkpointer=saver).invoke(ASK, on(saver), durability=durability)
    assert steps(saver)[-1] == Decimal("0.05")


@pytest.mark.parametrize("durability", ALL)
def test_a_subgraph_is_part_of_its_roots_step(durability: Durability) -> None:
    """The root's step has all of a subgraph's cost; the subgraph's own checkpoints say what is spent in it."""
    model = cent_model()
    sub = chain(calling(model), calling(model)).compile()
    saver = checkpointer(InMemorySaver())
    graph = chain(calling(model), sub, calling(model)).compile(checkpointer=saver)
    graph.invoke(ASK, on(saver), durability=durability)
    assert totals(saver) == (cents(4) if durability == "exit" else cents(0, 0, 1, 3, 4))
    if durability != "exit":
        everything = list(saver.list({"configurable": {"thread_id": "t"}}))
        namespaces = {saved.config["configurable"]["checkpoint_ns"] for saved in everything} - {""}
        [inside] = [list(saver.cost_history(on(saver, checkpoint_ns=name))) for name in namespaces]
        assert [step.total_usd for step in reversed(inside)] == cents(0, 0, 1, 2)


def test_an_agent_in_a_tool_is_part_of_the_step() -> None:
    """A graph that a tool runs without a thread of its own costs the thread that it is called in."""
    inside = chain(calling(cent_model())).compile()

    @tool
    def research(question: str) -> str:
        """Look something up."""
        return str(inside.invoke(ASK)["messages"][-1].content)

    def node(state: MessagesState) -> dict[str, list[AIMessage]]:
        return {"messages": [AIMessage(research.invoke("where?"))]}

    saver = checkpointer(InMemorySaver())
    chain(node).compile(checkpointer=saver).invoke(ASK, on(saver))
    newest = saver.cost_history(on(saver))[0]
    assert (newest.cost_usd, newest.llm_calls, newest.tool_calls) == (Decimal("0.01"), 1, 1)


def test_a_branch_costs_its_own_path_and_the_thread_both(inner: BaseCheckpointSaver[Any]) -> None:
    """Going back to an older checkpoint starts a path that has cost less; the thread has paid for both."""
    saver = checkpointer(inner)
    model = cent_model()
    graph = chain(calling(model), calling(model)).compile(checkpointer=saver)
    graph.invoke(ASK, on(saver))
    after_a = next(saved for saved in graph.get_state_history(on(saver)) if saved.next == ("b",))
    saver = checkpointer(inner)
    graph = chain(calling(model), calling(model)).compile(checkpointer=saver)
    graph.invoke(None, {**after_a.config, "callbacks": saver.meter.callbacks})
    assert nanos(stamp(saver)) == (20_000_000, 30_000_000)
    assert sum(filter(None, steps(saver))) == Decimal("0.03")


def test_an_update_costs_nothing_and_goes_on(inner: BaseCheckpointSaver[Any]) -> None:
    """A checkpoint that a person writes has its parent's total, and is not taken for an unmetered run."""
    saver = checkpointer(inner)
    graph = chain(calling(cent_model()), calling(cent_model())).compile(checkpointer=saver, interrupt_before=["b"])
    graph.invoke(ASK, on(saver))
    graph.update_state({"configurable": {"thread_id": "t"}}, {"messages": [("user", "Really?")]})
    graph.invoke(None, on(saver))
    assert totals(saver) == cents(0, 0, 1, 1, 2)
    assert not any(step.unmetered for step in saver.cost_history(on(saver)))


def test_an_update_of_an_empty_thread_is_no_gap() -> None:
    """A thread that begins with a person's update has cost nothing before its first run."""
    saver = checkpointer(InMemorySaver())
    graph = chain(calling(cent_model())).compile(checkpointer=saver)
    graph.update_state({"configurable": {"thread_id": "t"}}, {"messages": [("user", "Hi")]}, as_node="__start__")
    graph.invoke(None, on(saver))
    newest = saver.cost_history(on(saver))[0]
    assert (newest.total_usd, newest.unmetered) == (Decimal("0.01"), False)


def test_what_has_no_price_is_never_zero() -> None:
    """A cost of which nothing is known is None; one that is partly known says how many calls it lacks."""
    saver = checkpointer(InMemorySaver())
    unknown = FakeMeteredChatModel(model="nobody-knows-9", provider="nobody")
    graph = chain(calling(unknown), calling(cent_model())).compile(checkpointer=saver)
    with pytest.warns(UserWarning, match="nobody-knows-9"):
        graph.invoke(ASK, on(saver))
    assert steps(saver)[-2:] == [None, Decimal("0.01")]
    assert totals(saver)[-2:] == [None, Decimal("0.01")]
    newest, before, *_ = saver.cost_history(on(saver))
    assert (before.unpriced_calls, newest.unpriced_calls) == (1, 0)
    assert stamp(saver).total.unpriced_calls == 1


def test_a_run_without_the_meter_leaves_a_gap() -> None:
    """Totals after an unmetered run are lower bounds and say so; a thread that is never metered has no stamp."""
    saver = checkpointer(InMemorySaver())
    graph = chain(calling(cent_model())).compile(checkpointer=saver)
    graph.invoke(ASK, {"configurable": {"thread_id": "t"}})
    assert all((step.total_usd, step.unmetered) == (None, True) for step in saver.cost_history(on(saver)))
    graph.invoke(ASK, on(saver))
    newest = saver.cost_history(on(saver))[0]
    assert (newest.total_usd, newest.unmetered) == (Decimal("0.01"), True)


def test_a_copy_has_spent_nothing_itself() -> None:
    """A copied thread has the path's cost, and a total of its own from there on."""

    class Copying(InMemorySaver):
        def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
            for saved in reversed(list(self.list({"configurable": {"thread_id": source_thread_id}}))):
                parent = saved.parent_config["configurable"]["checkpoint_id"] if saved.parent_config else None
                named = {"thread_id": target_thread_id, "checkpoint_ns": "", "checkpoint_id": parent}
                versions = saved.checkpoint["channel_versions"]
                self.put({"configurable": named}, saved.checkpoint, saved.metadata, versions)

    saver = checkpointer(Copying())
    graph = chain(calling(cent_model())).compile(checkpointer=saver)
    graph.invoke(ASK, on(saver))
    saver.copy_thread("t", "copy")
    graph.invoke(ASK, on(saver, "copy"))
    assert nanos(stamp(saver, "copy")) == (20_000_000, 10_000_000)


def test_a_copy_by_put_keeps_its_stamp() -> None:
    """The LangGraph server copies threads by putting what it read: what comes with a stamp keeps it."""
    saver = checkpointer(InMemorySaver())
    graph = chain(calling(cent_model())).compile(checkpointer=saver)
    graph.invoke(ASK, on(saver))
    for saved in reversed(list(saver.list(on(saver)))):
        parent = saved.parent_config["configurable"]["checkpoint_id"] if saved.parent_config else None
        config = on(saver, "copy", checkpoint_ns="", checkpoint_id=parent)
        saver.put(config, saved.checkpoint, saved.metadata, saved.checkpoint["channel_versions"])
    assert totals(saver, "copy") == totals(saver) == cents(0, 0, 1)
    graph.invoke(ASK, on(saver, "copy"))
    assert totals(saver, "copy") == cents(0, 0, 1, 1, 1, 2)


def test_two_wrappers_of_one_meter_count_once(inner: BaseCheckpointSaver[Any]) -> None:
    """Wrappers that are made for each request count an interrupted step once, as they share the meter."""
    meter = CostMeter()
    saver = CostCheckpointer(inner, meter=meter)
    beside().compile(checkpointer=saver).invoke(ASK, on(saver))
    saver = CostCheckpointer(inner, meter=meter)
    beside().compile(checkpointer=saver).invoke(Command(resume="yes"), on(saver))
    assert totals(saver)[-1] == Decimal("0.04")


@pytest.mark.parametrize("durability", ALL)
def test_a_save_that_fails_loses_no_cost(durability: Durability) -> None:
    """What a checkpoint that could not be saved was to account for is in the one that is saved after it."""

    class Failing(InMemorySaver):
        fails = False

        def put(self, *args: Any) -> Any:
            """Save, or not."""
            if self.fails and args[2]["step"] == 4:
                raise OSError("The disk is full.")
            return super().put(*args)

    inner = Failing()
    saver = checkpointer(inner)
    graph = chain(calling(cent_model())).compile(checkpointer=saver)
    graph.invoke(ASK, on(saver), durability=durability)
    inner.fails = True
    with pytest.raises(OSError, match="full"):
        graph.invoke(ASK, on(saver), durability=durability)
    inner.fails = False
    graph.invoke(ASK, on(saver), durability=durability)
    assert nanos(stamp(saver)) == (30_000_000, 30_000_000)


def test_a_deleted_thread_begins_anew() -> None:
    """Nothing of a deleted thread is in a new one of the same name."""
    saver = checkpointer(InMemorySaver())
    graph = chain(calling(cent_model())).compile(checkpointer=saver)
    graph.invoke(ASK, on(saver))
    saver.delete_thread("t")
    graph.invoke(ASK, on(saver))
    assert nanos(stamp(saver)) == (10_000_000, 10_000_000)


@pytest.mark.parametrize("durability", ALL)
def test_delta_channels_replay_byte_for_byte(inner: BaseCheckpointSaver[Any], durability: Durability) -> None:
    """A graph with a DeltaChannel has the same state at every checkpoint with the wrapper and without."""

    class Log(TypedDict):
        lines: Annotated[list[str], DeltaChannel(operator.add, snapshot_frequency=3)]

    def write(state: Log) -> dict[str, list[str]]:
        cent_model().invoke("Write")
        return {"lines": [f"line {len(state['lines'])}"]}

    def graph(saver: BaseCheckpointSaver[Any]) -> Any:
        builder = StateGraph(Log)
        for name, before in (("a", START), ("b", "a"), ("c", "b")):
            builder.add_node(name, write).add_edge(before, name)
        return builder.compile(checkpointer=saver)

    saver, plain = checkpointer(inner), InMemorySaver()
    for _ in range(3):
        wrapped = graph(saver)
        wrapped.invoke({"lines": ["go"]}, on(saver), durability=durability)
        graph(plain).invoke({"lines": ["go"]}, {"configurable": {"thread_id": "t"}}, durability=durability)
    ours = [repr(state.values) for state in wrapped.get_state_history(on(saver))]
    unwrapped = [repr(state.values) for state in graph(inner).get_state_history(on(saver))]
    theirs = [repr(state.values) for state in graph(plain).get_state_history(on(saver))]
    assert ours == theirs == unwrapped
    assert len(wrapped.get_state(on(saver)).values["lines"]) == 12


@pytest.mark.parametrize("durability", ALL)
def test_a_workflow_of_tasks_is_stamped(durability: Durability) -> None:
    """The functional API's tasks are in the checkpoint that their workflow ends with, wherever it waited before."""

    @task
    def paid(question: str) -> str:
        return cent_model().invoke(question).text

    saver = checkpointer(InMemorySaver())

    @entrypoint(checkpointer=saver)
    def workflow(question: str) -> str:
        answers = [future.result() for future in [paid(question), paid(question)]]
        return f"{interrupt('May I?')}: {answers}"

    workflow.invoke("How much?", on(saver), durability=durability)
    workflow.invoke(Command(resume="yes"), on(saver), durability=durability)
    assert totals(saver)[-1] == Decimal("0.02")


def test_a_meter_that_is_not_passed_is_found() -> None:
    """Runs within `meter_costs`, under an installed meter, or of a graph bound to one are metered: no step is a gap."""
    meter = CostMeter()
    saver = CostCheckpointer(InMemorySaver(), meter=meter)
    graph = chain(calling(cent_model())).compile(checkpointer=saver)
    with meter_costs(meter):
        graph.invoke(ASK, {"configurable": {"thread_id": "t"}})
    install_global(meter)
    try:
        graph.invoke(ASK, {"configurable": {"thread_id": "t"}})
    finally:
        uninstall_global()
    graph.with_config(callbacks=meter.callbacks).invoke(ASK, {"configurable": {"thread_id": "t"}})
    assert totals(saver) == cents(0, 0, 1, 1, 1, 2, 2, 2, 3)
    assert not any(step.unmetered for step in saver.cost_history(on(saver)))


def test_a_thread_within_a_thread_has_its_own_cost() -> None:
    """A graph that a node calls with another thread is booked to that one, not to the thread of the node."""
    saver = checkpointer(InMemorySaver())
    inside = chain(calling(cent_model())).compile(checkpointer=saver)

    def node(state: MessagesState) -> dict[str, Any]:
        inside.invoke(ASK, {"configurable": {"thread_id": "inner"}})
        return {}

    chain(node, calling(cent_model())).compile(checkpointer=saver).invoke(ASK, on(saver))
    assert (totals(saver), totals(saver, "inner")) == (cents(0, 0, 0, 1), cents(0, 0, 1))


def test_a_subgraph_that_remembers_goes_on_from_its_own_total() -> None:
    """A subgraph with checkpoints of its own adds up over its runs, beside its root."""
    saver = checkpointer(InMemorySaver())
    sub = chain(calling(cent_model())).compile(checkpointer=True, name="sub")
    graph = StateGraph(MessagesState).add_node("sub", sub).add_edge(START, "sub").compile(checkpointer=saver)
    for _ in range(2):
        graph.invoke(ASK, on(saver))
    assert totals(saver)[-1] == Decimal("0.02")
    assert saver.cost_history(on(saver, checkpoint_ns="sub"))[0].total_usd == Decimal("0.02")


async def test_an_agent_is_stamped_by_step(inner: BaseCheckpointSaver[Any]) -> None:
    """`create_agent` with tools that run side by side, streamed: each superstep has its own cost."""

    @tool
    def price(item: str) -> str:
        """Say what an item costs."""
        return "42"

    called = [{"name": "price", "args": {"item": name}, "id": name} for name in ("a", "b")]
    model = cent_model(answers=[AIMessage("", tool_calls=called), AIMessage("84")])
    saver = checkpointer(inner)
    agent = create_agent(model, [price], checkpointer=saver)
    for _ in agent.stream(ASK, on(saver), stream_mode="messages"):
        pass
    assert totals(saver) == cents(0, 0, 1, 1, 2)
    assert [step.tool_calls for step in saver.cost_history(on(saver))] == [0, 2, 0, 0, 0]
