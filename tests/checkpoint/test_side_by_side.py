"""Threads of one id, in two stores or run by two graphs at once: each run is stamped with its own calls."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from itertools import repeat
from threading import Event, Thread
from typing import Any, Literal

import pytest
from langchain_core.messages import AIMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import MessagesState

from langchain_agentcost import CostMeter
from langchain_agentcost.checkpoint import CostCheckpointer
from langchain_agentcost.errors.limits import BudgetExceeded
from langchain_agentcost.limits.budget import Budget
from langchain_agentcost.limits.memory import MemoryBudgetStore
from tests.checkpoint.cents import ASK, calling, cent_model, cents, chain, checkpointer, nanos, on, stamp, steps, totals

Durability = Literal["sync", "async", "exit"]
ALL: tuple[Durability, ...] = ("sync", "async", "exit")
in_every_mode = pytest.mark.parametrize("durability", ALL)


def pair(**options: Any) -> tuple[CostCheckpointer, CostCheckpointer]:
    """Two stores whose graphs run on one meter."""
    meter = CostMeter(**options)
    return CostCheckpointer(InMemorySaver(), meter=meter), CostCheckpointer(InMemorySaver(), meter=meter)


def says(text: str) -> Callable[[MessagesState], Any]:
    """A node that calls nobody."""
    return lambda state: {"messages": [AIMessage(text)]}


def waits(called: Event, go_on: Event) -> Callable[[MessagesState], Any]:
    """A node that pays for a call and is then held up."""

    def node(state: MessagesState) -> Any:
        cent_model().invoke("How much?")
        called.set()
        assert go_on.wait(20)
        return {"messages": [AIMessage("paid")]}

    return node


def overlapping(paying: CostCheckpointer, free: CostCheckpointer, durability: Durability) -> None:
    """Run a graph that pays, and within its time one that does not, on a thread of the same id."""
    called, go_on = Event(), Event()
    slow = chain(waits(called, go_on), says("paid")).compile(checkpointer=paying)
    fast = chain(says("free"), says("free")).compile(checkpointer=free)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(lambda: slow.invoke(ASK, on(paying), durability=durability))
        assert called.wait(20)
        try:
            fast.invoke(ASK, on(free), durability=durability)
        finally:
            go_on.set()
        running.result(20)


async def overlapping_async(paying: CostCheckpointer, free: CostCheckpointer, durability: Durability) -> None:
    """The same in one event loop."""
    called, go_on = asyncio.Event(), asyncio.Event()

    async def node(state: MessagesState) -> Any:
        await cent_model().ainvoke("How much?")
        called.set()
        await go_on.wait()
        return {"messages": [AIMessage("paid")]}

    slow = chain(node, says("paid")).compile(checkpointer=paying)
    fast = chain(says("free"), says("free")).compile(checkpointer=free)
    running = asyncio.create_task(slow.ainvoke(ASK, on(paying), durability=durability))
    await called.wait()
    await fast.ainvoke(ASK, on(free), durability=durability)
    go_on.set()
    await running


def payers(saver: CostCheckpointer) -> list[str]:
    """The last message of each checkpoint that states a call since its parent."""
    found = []
    for step in saver.cost_history(on(saver)):
        if step.llm_calls:
            saved = saver.get_tuple(on(saver, checkpoint_id=step.checkpoint_id))
            assert saved is not None
            found.append(str(saved.checkpoint["channel_values"]["messages"][-1].content))
    return found


PAID = {"sync": cents(0, 0, 1, 0), "async": cents(0, 0, 1, 0), "exit": cents(1)}
FREE = {"sync": cents(0, 0, 0, 0), "async": cents(0, 0, 0, 0), "exit": cents(0)}


class TestTwoStores:
    """Two checkpointers on one meter, with a thread "t" in both."""

    @in_every_mode
    def test_each_states_the_calls_of_its_own_graph(self, durability: Durability) -> None:
        """A run that calls nobody costs nothing, whatever the other store's thread pays meanwhile."""
        paying, free = pair()
        overlapping(paying, free, durability)
        assert (steps(paying), steps(free)) == (PAID[durability], FREE[durability])
        assert (nanos(stamp(paying)), nanos(stamp(free))) == ((10_000_000, 10_000_000), (0, 0))

    @in_every_mode
    async def test_async_graphs_do_as_well(self, durability: Durability) -> None:
        """In one event loop each run keeps its own calls."""
        paying, free = pair()
        await overlapping_async(paying, free, durability)
        assert (steps(paying), steps(free)) == (PAID[durability], FREE[durability])
        assert (nanos(stamp(paying)), nanos(stamp(free))) == ((10_000_000, 10_000_000), (0, 0))

    @in_every_mode
    def test_what_failed_in_one_is_no_cost_of_the_other(self, durability: Durability) -> None:
        """A thread's total counts what no checkpoint accounts for yet, and only of its own store."""
        paying, free = pair()

        def fails(state: MessagesState) -> Any:
            cent_model().invoke("How much?")
            raise ValueError("no")

        with pytest.raises(ValueError, match="no"):
            chain(fails).compile(checkpointer=paying).invoke(ASK, on(paying), durability=durability)
        chain(says("free")).compile(checkpointer=free).invoke(ASK, on(free), durability=durability)
        chain(says("free")).compile(checkpointer=paying).invoke(ASK, on(paying), durability=durability)
        assert nanos(stamp(free)) == (0, 0)
        assert nanos(stamp(paying))[1] == 10_000_000

    @in_every_mode
    def test_a_raw_thread_pays_for_the_graph_that_runs(self, durability: Durability) -> None:
        """Where a call does not know its graph, the store that was last asked for its thread accounts for it, alone."""
        other, mine = pair()

        def node(state: MessagesState) -> Any:
            call = {"callbacks": mine.meter.callbacks, "metadata": {"thread_id": "t"}}
            raw = Thread(target=lambda: cent_model().invoke("How much?", call))  # type: ignore[arg-type]  # a config
            raw.start()
            raw.join()
            return {"messages": [AIMessage("paid")]}

        for saver, work in ((other, says("free")), (mine, node), (other, says("free"))):
            chain(work).compile(checkpointer=saver).invoke(ASK, on(saver), durability=durability)
        assert (nanos(stamp(mine)), nanos(stamp(other))) == ((10_000_000, 10_000_000), (0, 0))

    @in_every_mode
    def test_budgets_are_restored_from_the_right_store(self, durability: Durability) -> None:
        """In a new process each thread goes on with what it has spent itself, and no other's."""
        budget = Budget(usd="0.025", per="session")
        paying, free = pair()
        for _ in range(2):
            overlapping(paying, free, durability)
        assert [_calls_left(saver, budget) for saver in (paying, free)] == [1, 3]


def _calls_left(saver: CostCheckpointer, budget: Budget) -> int:
    """How many calls a budget lets a thread make in a new process."""
    again = checkpointer(saver.inner, budgets=[budget], store=MemoryBudgetStore())
    graph = chain(calling(cent_model().bind(max_tokens=1))).compile(checkpointer=again)
    for made in range(9):
        try:
            graph.invoke(ASK, on(again))
        except BudgetExceeded:
            return made
    raise AssertionError("No budget stopped it.")


class TestTwoGraphs:
    """Two graphs on one checkpointer, at once on one thread."""

    @in_every_mode
    def test_each_run_states_its_own_calls(self, durability: Durability) -> None:
        """The checkpoint that states a call was saved by the run that made it; the thread's total counts it once."""
        saver, _ = pair()
        overlapping(saver, saver, durability)
        assert payers(saver) == ["paid"]
        assert nanos(stamp(saver))[1] == 10_000_000

    @in_every_mode
    async def test_async_runs_do_as_well(self, durability: Durability) -> None:
        """In one event loop each run keeps its own calls."""
        saver, _ = pair()
        await overlapping_async(saver, saver, durability)
        assert payers(saver) == ["paid"]
        assert nanos(stamp(saver))[1] == 10_000_000

    @in_every_mode
    def test_one_after_the_other_adds_up(self, durability: Durability) -> None:
        """A thread that two graphs take turns on has cost what both have."""
        saver, _ = pair()
        one, two = (chain(*repeat(calling(cent_model()), n)).compile(checkpointer=saver) for n in (1, 2))
        for graph in (one, two, one):
            graph.invoke(ASK, on(saver), durability=durability)
        assert nanos(stamp(saver)) == (40_000_000, 40_000_000)

    @in_every_mode
    def test_a_graph_that_runs_another_pays_for_it_once(self, durability: Durability) -> None:
        """A graph that a node runs, on another thread of conversation, keeps its calls there."""
        saver, _ = pair()
        inner = chain(calling(cent_model())).compile(checkpointer=saver)

        def node(state: MessagesState) -> Any:
            with ThreadPoolExecutor(1) as pool:
                pool.submit(lambda: inner.invoke(ASK, on(saver, "inner"), durability=durability)).result()
            return {"messages": [AIMessage("done")]}

        chain(node, calling(cent_model())).compile(checkpointer=saver).invoke(ASK, on(saver), durability=durability)
        assert (nanos(stamp(saver)), nanos(stamp(saver, "inner"))) == ((10_000_000,) * 2, (10_000_000,) * 2)


class TestNothingIsLost:
    """What no run will account for itself is accounted for by the next."""

    @in_every_mode
    def test_a_call_that_ends_after_its_run(self, durability: Durability) -> None:
        """A call that is answered when its run's last checkpoint is saved is the next run's to state."""
        saver, _ = pair()
        go_on, late = Event(), []

        class Held(type(cent_model())):  # type: ignore[misc]  # a class that is known when it runs
            def _generate(self, *args: Any, **kwargs: Any) -> Any:
                assert go_on.wait(20)
                return super()._generate(*args, **kwargs)

        held = Held(counts=cent_model().counts)

        def node(state: MessagesState) -> Any:
            late.append(pool.submit(copy_context().run, held.invoke, "How much?"))
            return {"messages": [AIMessage("started")]}

        with ThreadPoolExecutor(1) as pool:
            graph = chain(node, says("done")).compile(checkpointer=saver)
            graph.invoke(ASK, on(saver), durability=durability)
            go_on.set()
        assert late[0].exception() is None
        chain(says("free")).compile(checkpointer=saver).invoke(ASK, on(saver), durability=durability)
        assert nanos(stamp(saver)) == (10_000_000, 10_000_000)

    @in_every_mode
    def test_a_run_whose_store_fails(self, durability: Durability) -> None:
        """A run that could not save accounts for nothing; the next one does, though the failed one is still held."""

        class Fails(InMemorySaver):
            def put(self, config: Any, checkpoint: Any, metadata: Any, new_versions: Any) -> Any:
                if broken and metadata["step"] >= 1:
                    raise OSError("full")
                return super().put(config, checkpoint, metadata, new_versions)

        broken = ["yes"]
        saver = CostCheckpointer(Fails(), meter=CostMeter())
        graph = chain(*repeat(calling(cent_model()), 3)).compile(checkpointer=saver)
        with pytest.raises(OSError, match="full") as held:
            graph.invoke(ASK, on(saver), durability=durability)
        broken.clear()
        made = len([entry for entry in saver.meter.ledger.entries() if entry.kind == "llm"])
        chain(says("free")).compile(checkpointer=saver).invoke(ASK, on(saver), durability=durability)
        assert held.value.args == ("full",)
        assert nanos(stamp(saver))[1] == made * 10_000_000 > 0

    def test_a_graph_with_a_copy_of_its_checkpointer(self) -> None:
        """LangGraph may keep a copy, and drop the checkpointer that it was made of."""
        copied: Any = checkpointer(InMemorySaver()).with_allowlist([("some", "Type")])
        gc.collect()
        chain(calling(cent_model())).compile(checkpointer=copied).invoke(ASK, on(copied))
        assert totals(copied) == cents(0, 0, 1)
