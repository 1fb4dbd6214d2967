"""A checkpointer around another one that stamps on every checkpoint what it has cost."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
)
from langgraph.checkpoint.serde.base import SerializerProtocol

from langchain_agentcost.checkpoint.budgets import restore_budgets
from langchain_agentcost.checkpoint.history import StepCost
from langchain_agentcost.checkpoint.thread_costs import At, Learned, ThreadCosts
from langchain_agentcost.checkpoint.unfinished import without
from langchain_agentcost.meter import CostMeter
from langchain_agentcost.meter.checkpoint_spend import CheckpointSpend


class StampingSaver(BaseCheckpointSaver[Any]):
    """Hands everything to another checkpointer, and adds stamps to metadata. State is never touched.

    Args:
        inner: The checkpointer that keeps the threads.
        meter: The meter that the graph's runs are passed to.
    """

    def __init__(self, inner: BaseCheckpointSaver[Any], *, meter: CostMeter) -> None:
        self._inner = inner
        self.meter = meter
        self._costs = ThreadCosts(meter, inner)
        self.__class__ = _able_as(type(self), type(inner))  # type: ignore[arg-type]  # mypy: types have no hash

    def __getattr__(self, name: str) -> Any:
        """What platforms look for besides the interface is the inner checkpointer's."""
        if name.startswith("__") or name == "_inner":  # while it is copied there is no inner one yet
            raise AttributeError(name)
        return getattr(self._inner, name)

    @property
    def inner(self) -> BaseCheckpointSaver[Any]:
        """The checkpointer that keeps the threads."""
        return self._inner

    @property
    def spend(self) -> CheckpointSpend:
        """What the meter knows was spent from the checkpoints that are kept here."""
        return self._costs.spend

    @property
    def serde(self) -> SerializerProtocol:
        """The inner checkpointer's serializer."""
        return self._inner.serde

    @serde.setter
    def serde(self, serde: SerializerProtocol) -> None:
        self._inner.serde = serde

    @property
    def config_specs(self) -> list[Any]:
        """What the inner checkpointer wants in a config."""
        return self._inner.config_specs

    def get(self, config: RunnableConfig) -> Checkpoint | None:
        """Give a checkpoint's state."""
        saved = self.get_tuple(config)
        return saved.checkpoint if saved is not None else None

    async def aget(self, config: RunnableConfig) -> Checkpoint | None:
        """Give a checkpoint's state."""
        saved = await self.aget_tuple(config)
        return saved.checkpoint if saved is not None else None

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Give a checkpoint. Where its thread has spent more than this process knows, budgets are told."""
        self._costs.looked_up(config)
        saved = self._inner.get_tuple(config)
        if saved is None:
            return None
        learned = self._read(saved, config)
        if learned is not None:
            restore_budgets(self.meter, config, learned)
        return without(saved)

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Give a checkpoint; see `get_tuple`."""
        self._costs.looked_up(config)
        saved = await self._inner.aget_tuple(config)
        if saved is None:
            return None
        learned = self._read(saved, config)
        if learned is not None:
            await self._arestore(config, learned)
        return without(saved)

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002  # LangGraph's name for it
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """Go through checkpoints. `filter={"agentcost_unpriced_calls": 0}` works: stamps are metadata."""
        for saved in self._inner.list(config, filter=filter, before=before, limit=limit):
            yield without(saved)

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002  # LangGraph's name for it
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """Go through checkpoints; see `list`."""
        async for saved in self._inner.alist(config, filter=filter, before=before, limit=limit):
            yield without(saved)

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Keep a checkpoint, with its stamp."""
        lacks = self._costs.lacks(config)
        if lacks is not None:
            latest = self._inner.get_tuple(lacks._replace(checkpoint=None).config)
            if not self._is_read(lacks, latest):
                self._is_read(lacks, self._inner.get_tuple(lacks.config), latest=False)
        with self._unless_saved(config, checkpoint):
            return self._inner.put(config, checkpoint, self._stamped(config, checkpoint, metadata), new_versions)

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Keep a checkpoint, with its stamp."""
        lacks = self._costs.lacks(config)
        if lacks is not None:
            latest = await self._inner.aget_tuple(lacks._replace(checkpoint=None).config)
            if not self._is_read(lacks, latest):
                self._is_read(lacks, await self._inner.aget_tuple(lacks.config), latest=False)
        with self._unless_saved(config, checkpoint):
            return await self._inner.aput(config, checkpoint, self._stamped(config, checkpoint, metadata), new_versions)

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Keep what a task wrote, and beside it what the superstep has spent so far."""
        self._inner.put_writes(config, writes, task_id, task_path)
        spent = self._costs.unfinished(config)
        if spent is not None:
            self._inner.put_writes(config, spent.writes, spent.task_id)

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Keep what a task wrote, and beside it what the superstep has spent so far."""
        await self._inner.aput_writes(config, writes, task_id, task_path)
        spent = self._costs.unfinished(config)
        if spent is not None:
            await self._inner.aput_writes(config, spent.writes, spent.task_id)

    def delete_thread(self, thread_id: str) -> None:
        """Remove a thread."""
        self._inner.delete_thread(thread_id)
        self._costs.forget(thread_id)

    async def adelete_thread(self, thread_id: str) -> None:
        """Remove a thread."""
        await self._inner.adelete_thread(thread_id)
        self._costs.forget(thread_id)

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Remove what runs saved. What they spent stays spent: the thread's total keeps it while it is known here."""
        self._inner.delete_for_runs(run_ids)

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Remove what runs saved; see `delete_for_runs`."""
        await self._inner.adelete_for_runs(run_ids)

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy a thread, with its stamps: the copy's path has cost what the original's has, the copy itself nothing."""
        self._inner.copy_thread(source_thread_id, target_thread_id)

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy a thread; see `copy_thread`."""
        await self._inner.acopy_thread(source_thread_id, target_thread_id)

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Remove older checkpoints. The ones that stay say what all of the path has cost."""
        self._inner.prune(thread_ids, strategy=strategy)

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Remove older checkpoints; see `prune`."""
        await self._inner.aprune(thread_ids, strategy=strategy)

    def get_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """Give the writes that channels are rebuilt from."""
        return self._inner.get_delta_channel_history(config=config, channels=channels)

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """Give the writes that channels are rebuilt from."""
        return await self._inner.aget_delta_channel_history(config=config, channels=channels)

    def get_next_version(self, current: Any, channel: None) -> Any:
        """Number a channel's next version."""
        return self._inner.get_next_version(current, channel)

    def with_allowlist(self, extra_allowlist: Collection[tuple[str, ...]]) -> BaseCheckpointSaver[Any]:
        """Give a copy around a copy of the inner checkpointer that reads these types besides."""
        inner = self._inner.with_allowlist(extra_allowlist)
        if inner is self._inner:
            return self
        clone = copy.copy(self)
        clone._inner = inner  # noqa: SLF001  # a copy of this one
        return clone

    def cost_history(self, config: RunnableConfig, *, limit: int | None = None) -> Sequence[StepCost]:
        """What each checkpoint of a thread has cost, newest first, branches that were left included.

        Args:
            config: Names the thread; its `checkpoint_ns` a subgraph's, where it says one.
            limit: At most so many.
        """
        return [StepCost.of(saved) for saved in self._inner.list(_of_one_graph(config), limit=limit)]

    async def acost_history(self, config: RunnableConfig, *, limit: int | None = None) -> Sequence[StepCost]:
        """What each checkpoint of a thread has cost, newest first; see `cost_history`."""
        return [StepCost.of(saved) async for saved in self._inner.alist(_of_one_graph(config), limit=limit)]

    def _read(self, saved: CheckpointTuple, config: RunnableConfig) -> Learned | None:
        learned: Learned | None = None
        with self.meter.journal.harmless("reading a checkpoint's cost"):
            learned = self._costs.read(saved, latest=At.of(config).checkpoint is None)
        return learned  # noqa: RET504  # mypy takes a block that may swallow for one that does not

    def _stamped(
        self, config: RunnableConfig, checkpoint: Checkpoint, metadata: CheckpointMetadata
    ) -> CheckpointMetadata:
        """The metadata with its stamp. A fault of ours leaves it as it is: the thread is kept all the same."""
        with self.meter.journal.harmless("stamping a checkpoint"):
            metadata = self._costs.stamped(config, checkpoint, metadata)
        return metadata  # noqa: RET504  # likewise

    @contextmanager
    def _unless_saved(self, config: RunnableConfig, checkpoint: Checkpoint) -> Iterator[None]:
        """Take the stamp back where the inner checkpointer fails."""
        try:
            yield
        except BaseException:
            with self.meter.journal.harmless("stamping a checkpoint"):
                self._costs.not_saved(config, checkpoint)
            raise

    def _is_read(self, at: At, saved: CheckpointTuple | None, *, latest: bool = True) -> bool:
        """Note a checkpoint that was read, if it is the one that is wanted."""
        if saved is None or saved.checkpoint["id"] != at.checkpoint:
            return False
        with self.meter.journal.harmless("reading a checkpoint's cost"):
            self._costs.read(saved, latest=latest)
        return True

    async def _arestore(self, config: RunnableConfig, learned: Learned) -> None:
        """Tell budgets what was learned; a store over a network is not asked on the event loop."""
        enforcer = self.meter.enforcer
        if enforcer is not None and enforcer.store.remote:
            await asyncio.to_thread(restore_budgets, self.meter, config, learned)
        else:
            restore_budgets(self.meter, config, learned)


_OPTIONAL = (
    "delete_thread", "delete_for_runs", "copy_thread", "prune",
    "adelete_thread", "adelete_for_runs", "acopy_thread", "aprune",
)  # fmt: skip
"""Methods by whose being overridden platforms tell what a checkpointer can do."""


@lru_cache(maxsize=64)
def _able_as(outer: type[StampingSaver], inner: type) -> type[StampingSaver]:
    """The class of a wrapper that can do what the inner checkpointer can, as platforms see by looking at classes.

    The LangGraph server, and the conformance suite, take a method that is `BaseCheckpointSaver`'s own for one that is
    not there, and do without it. A method of ours that only raises would be called.
    """
    base = BaseCheckpointSaver
    missing = [name for name in _OPTIONAL if getattr(inner, name, None) is getattr(base, name)]
    if not missing:
        return outer
    return type(outer.__name__, (outer,), {"__module__": outer.__module__, **{n: getattr(base, n) for n in missing}})


def _of_one_graph(config: RunnableConfig) -> RunnableConfig:
    return At.of(config)._replace(checkpoint=None).config
