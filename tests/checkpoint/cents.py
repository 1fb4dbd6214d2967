"""Graphs whose model calls cost a cent each, and what stamps say of them."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable, RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import START, MessagesState, StateGraph

from langchain_agentcost import CostMeter
from langchain_agentcost.checkpoint import CostCheckpointer, Stamp
from langchain_agentcost.limits.memory import MemoryBudgetStore
from langchain_agentcost.testing import FakeCounts, FakeMeteredChatModel

CENT = FakeCounts(40_000, 0)
"""What costs one cent: gpt-5-mini takes $0.25 for a million input tokens."""


def cent_model(**options: Any) -> FakeMeteredChatModel:
    """A model whose every call costs one cent."""
    return FakeMeteredChatModel(counts=CENT, **options)


def calling(model: Runnable[Any, AIMessage], *, calls: int = 1) -> Any:
    """A node that asks the model so many times."""

    def node(state: MessagesState) -> dict[str, list[AIMessage]]:
        return {"messages": [model.invoke("How much?") for _ in range(calls)]}

    return node


def acalling(model: FakeMeteredChatModel) -> Any:
    """An async node that asks the model once."""

    async def node(state: MessagesState) -> dict[str, list[AIMessage]]:
        return {"messages": [await model.ainvoke("How much?")]}

    return node


def chain(*nodes: Any) -> StateGraph[MessagesState]:
    """A graph of nodes "a", "b", … one after the other."""
    builder, before = StateGraph(MessagesState), START
    for name, node in zip("abcdefgh", nodes, strict=False):
        builder.add_node(name, node)
        builder.add_edge(before, name)
        before = name
    return builder


def checkpointer(inner: BaseCheckpointSaver[Any], **options: Any) -> CostCheckpointer:
    """A checkpointer as a new process makes it: with a meter, and budgets, that know nothing yet."""
    return CostCheckpointer(inner, meter=CostMeter(**{"store": MemoryBudgetStore(), **options}))


def on(saver: CostCheckpointer, thread: str = "t", **configurable: Any) -> RunnableConfig:
    """The config of a metered run on a thread."""
    return {"configurable": {"thread_id": thread, **configurable}, "callbacks": saver.meter.callbacks}


def totals(saver: CostCheckpointer, thread: str = "t") -> list[Decimal | None]:
    """What each checkpoint says was spent on the path to it, oldest first."""
    return [step.total_usd for step in reversed(saver.cost_history(on(saver, thread)))]


def steps(saver: CostCheckpointer, thread: str = "t") -> list[Decimal | None]:
    """What each checkpoint says was spent since its parent, oldest first."""
    return [step.cost_usd for step in reversed(saver.cost_history(on(saver, thread)))]


def stamp(saver: CostCheckpointer, thread: str = "t") -> Stamp:
    """The stamp of a thread's latest checkpoint."""
    saved = saver.get_tuple(on(saver, thread))
    found = Stamp.of(saved.metadata) if saved is not None else None
    assert found is not None
    return found


def nanos(found: Stamp) -> tuple[int, int]:
    """What the path has cost, and what the thread has spent, in nano-USD."""
    assert found.thread is not None
    return found.total.cost_nano, found.thread.spent.cost_nano


def cents(*amounts: int) -> Sequence[Decimal]:
    """Amounts in cents."""
    return [Decimal(amount).scaleb(-2) for amount in amounts]


ASK: Any = {"messages": [("user", "How much?")]}
