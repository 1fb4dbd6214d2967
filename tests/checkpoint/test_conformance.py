from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from typing import Any

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple
from langgraph.checkpoint.conformance import checkpointer_test, validate
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from langchain_agentcost import CostMeter
from langchain_agentcost.checkpoint import CostCheckpointer

Savers = Callable[[], AsyncGenerator[BaseCheckpointSaver[Any], None]]
BASE = {"put", "put_writes", "get_tuple", "list", "delete_thread"}


class Awaited(BaseCheckpointSaver[Any]):
    """A sync checkpointer for a suite that only awaits."""

    def __init__(self, saver: BaseCheckpointSaver[Any]) -> None:
        super().__init__(serde=saver.serde)
        self._saver = saver

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Get."""
        return self._saver.get_tuple(config)

    async def alist(self, config: RunnableConfig | None, **options: Any) -> AsyncIterator[CheckpointTuple]:
        """Go through."""
        for saved in self._saver.list(config, **options):
            yield saved

    async def aput(self, *given: Any) -> RunnableConfig:
        """Put."""
        return self._saver.put(*given)

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Put writes."""
        self._saver.put_writes(config, writes, task_id, task_path)

    async def adelete_thread(self, thread_id: str) -> None:
        """Delete."""
        self._saver.delete_thread(thread_id)


class Managing(InMemorySaver):
    """A saver that can do all that a checkpointer may be able to."""

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Remove what runs saved."""
        for namespaces in self.storage.values():
            for saved in namespaces.values():
                for checkpoint_id, (_, metadata, _) in list(saved.items()):
                    if self.serde.loads_typed(metadata).get("run_id") in run_ids:
                        del saved[checkpoint_id]

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy a thread."""
        for namespace, saved in list(self.storage[source_thread_id].items()):
            self.storage[target_thread_id][namespace].update(saved)
        tables: Any = (self.writes, self.blobs)
        for table in tables:
            for (thread, *rest), value in list(table.items()):
                if thread == source_thread_id:
                    table[(target_thread_id, *rest)] = value

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Remove older checkpoints, or all."""
        for thread in thread_ids:
            if strategy == "delete":
                self.delete_thread(thread)
            for saved in list(self.storage.get(thread, {}).values()):
                for checkpoint_id in sorted(saved)[:-1]:
                    del saved[checkpoint_id]


def wrapped(inner: BaseCheckpointSaver[Any]) -> CostCheckpointer:
    """The wrapper."""
    return CostCheckpointer(inner, meter=CostMeter())


async def in_memory() -> AsyncGenerator[BaseCheckpointSaver[Any], None]:
    """Around memory."""
    yield wrapped(InMemorySaver())


async def sqlite() -> AsyncGenerator[BaseCheckpointSaver[Any], None]:
    """Around the sync database; its sync methods are asked."""
    with SqliteSaver.from_conn_string(":memory:") as inner:
        yield Awaited(wrapped(inner))


async def async_sqlite() -> AsyncGenerator[BaseCheckpointSaver[Any], None]:
    """Around the async database."""
    async with AsyncSqliteSaver.from_conn_string(":memory:") as inner:
        yield wrapped(inner)


async def managing() -> AsyncGenerator[BaseCheckpointSaver[Any], None]:
    """Around one that can also copy, prune and delete by run."""
    yield wrapped(Managing())


@pytest.mark.parametrize(
    ("savers", "passed"),
    [
        (in_memory, BASE),
        (sqlite, BASE),
        (async_sqlite, BASE),
        (managing, {*BASE, "delete_for_runs", "copy_thread", "prune"}),
    ],
)
async def test_the_wrapper_conforms(savers: Savers, passed: set[str]) -> None:
    """LangGraph's own suite passes in full: what the inner checkpointer can do the wrapper can do, and says no more."""
    report = await validate(checkpointer_test(name=savers.__name__)(savers))
    assert report.conformance_level() == "FULL"
    assert {name for name, result in report.results.items() if result.passed} == passed


def test_every_method_of_the_interface_is_handed_on() -> None:
    """A method that a newer LangGraph adds, and the wrapper does not know, makes this test fail."""
    ours, interface = type(wrapped(Managing())), BaseCheckpointSaver
    methods = [name for name, found in vars(interface).items() if callable(found) and not name.startswith("_")]
    left_out = [name for name in methods if getattr(ours, name) is getattr(interface, name)]
    assert left_out == ["delete_for_runs", "copy_thread", "prune"]  # those that the inner one lacks


def test_attributes_are_the_inner_ones() -> None:
    """What platforms look for besides methods is found, and what is nowhere raises as usual."""
    inner = InMemorySaver()
    saver = wrapped(inner)
    assert saver.storage is inner.storage
    assert saver.serde is inner.serde
    assert saver.config_specs == inner.config_specs
    assert not hasattr(saver, "nothing_of_this_name")
    assert type(saver).__name__ == "CostCheckpointer"
    assert isinstance(saver, CostCheckpointer)


def test_an_allowlist_makes_a_copy_around_a_copy() -> None:
    """With a strict serializer LangGraph compiles a copy: its inner checkpointer is the copy, its costs are shared."""
    inner = InMemorySaver(serde=JsonPlusSerializer(allowed_msgpack_modules=[("tests.checkpoint.cents", "stamp")]))
    saver = wrapped(inner)
    copied = saver.with_allowlist([("tests.checkpoint.cents", "ASK")])
    assert copied is not saver
    assert isinstance(copied, CostCheckpointer)
    assert copied.inner is not inner
    assert copied.serde is copied.inner.serde is not inner.serde
    assert copied.meter is saver.meter
