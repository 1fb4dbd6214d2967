"""The checkpointer that knows what threads cost, and that puts caches and summaries into graphs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from langchain_core.runnables import RunnableConfig
from langgraph.cache.base import BaseCache
from langgraph.cache.memory import InMemoryCache
from langgraph.checkpoint.base import BaseCheckpointSaver, ChannelVersions, Checkpoint, CheckpointMetadata
from langgraph.graph import StateGraph
from langgraph.graph.state import CompiledStateGraph

from langchain_agentcost.caching import ScopedCache
from langchain_agentcost.checkpoint.before_node import BeforeNode, MemoryBefore, put_before
from langchain_agentcost.checkpoint.cached_nodes import CacheNode, cache_node
from langchain_agentcost.checkpoint.saver import StampingSaver
from langchain_agentcost.errors import AgentCostWarning, CacheError, give_warning
from langchain_agentcost.meter import CostMeter

Builder = TypeVar("Builder", bound=StateGraph[Any, Any, Any, Any])


class NotInstalledWarning(AgentCostWarning):
    """A checkpointer was told to cache or summarise, and saves for a graph that it was never put into."""


class CostCheckpointer(StampingSaver):
    """Keeps threads in another checkpointer, and stamps on each checkpoint what it has cost.

    Every method is the inner checkpointer's, and state is never touched. What is added is metadata, in plain JSON:
    `agentcost_usd` and counts for the path to a checkpoint, `agentcost_step` since its parent, `agentcost_thread` for
    the whole thread, `agentcost_run` for its latest workflow run; see `Stamp`. Amounts are those of the calls that were
    made from a checkpoint, so they are exact with durability "sync", "async" and "exit" alike. Runs must be metered:
    pass `meter.callbacks` in their config, or install the meter.

    A thread that goes on in a new process has its budgets per session and per run there; see `restore_budgets`.

    A checkpointer cannot add nodes to a graph that is compiled elsewhere. `compile(builder)` does, or
    `install(builder)` before `builder.compile(checkpointer=…)`.

    Args:
        inner: The checkpointer that keeps the threads, such as `SqliteSaver`.
        meter: The meter that the runs are passed to.
        cache: Where results of nodes are kept: a `ScopedCache`, or any cache of LangGraph, which is made one. None is
            memory.
        cache_nodes: Nodes whose results are kept: their names, or `CacheNode`s. A node that is a graph keeps its own;
            of others say who asks, `with checkpointer.cache.serving(config):`.
        summarize_before: Nodes that see their messages as `context` makes them.
        memory: Nodes that see the working memory at the end of their messages: the graph gets a channel for it.
        context: What is put before the nodes of `summarize_before`.

    Example:
        >>> from langgraph.checkpoint.memory import InMemorySaver
        >>> from langgraph.graph import MessagesState
        >>> from langchain_agentcost.testing import FakeMeteredChatModel
        >>> model, meter = FakeMeteredChatModel(), CostMeter()
        >>> builder = StateGraph(MessagesState).add_node("agent", lambda state: {"messages": model.invoke("Hi")})
        >>> checkpointer = CostCheckpointer(InMemorySaver(), meter=meter)
        >>> graph = checkpointer.compile(builder.add_edge("__start__", "agent"))
        >>> config = {"configurable": {"thread_id": "t"}, "callbacks": meter.callbacks}
        >>> answer = graph.invoke({"messages": "Hi"}, config)
        >>> [step.llm_calls for step in checkpointer.cost_history(config)]
        [1, 0, 0]
    """

    def __init__(
        self,
        inner: BaseCheckpointSaver[Any],
        *,
        meter: CostMeter,
        cache: BaseCache[Any] | None = None,
        cache_nodes: Sequence[CacheNode | str] = (),
        summarize_before: Sequence[str] = (),
        memory: Sequence[str] = (),
        context: BeforeNode | None = None,
    ) -> None:
        super().__init__(inner, meter=meter)
        self._given = cache if cache is not None else InMemoryCache()
        self._cache_nodes = cache_nodes
        self._summarize_before = summarize_before
        self._memory = memory
        self._context = context
        self._caches: WeakKeyDictionary[StateGraph[Any, Any, Any, Any], ScopedCache] = WeakKeyDictionary()
        self._told = not (cache_nodes or summarize_before or memory)
        """Whether nothing has to be said of what is not installed."""

    @property
    def cache(self) -> ScopedCache | None:
        """The cache of the graph that was installed last; None before there is one."""
        if isinstance(self._given, ScopedCache):
            return self._given
        return next(reversed(list(self._caches.values())), None)

    def install(
        self,
        builder: Builder,
        *,
        cache_nodes: Sequence[CacheNode | str] | None = None,
        summarize_before: Sequence[str] | None = None,
        memory: Sequence[str] | None = None,
    ) -> Builder:
        """Put caches, summaries and memory into a graph, before it is compiled. A second time nothing happens.

        Threads that were saved before go on: nodes keep their names, and channels are only added.

        Args:
            builder: The graph, with all its nodes and edges.
            cache_nodes: As for the constructor, whose argument holds where it is None.
            summarize_before: Likewise.
            memory: Likewise.

        Returns:
            The builder.

        Raises:
            CacheError: If there is no such node, or it cannot be cached.
        """
        if builder in self._caches:
            return builder
        summarized = _stated(summarize_before, self._summarize_before)
        remembering = _stated(memory, self._memory)
        for wanted in self._cache_nodes if cache_nodes is None else cache_nodes:
            cache_node(builder, wanted)
        for node in dict.fromkeys((*summarized, *remembering)):
            if node not in builder.nodes:
                raise CacheError(f"The graph has no node {node!r}. It has {', '.join(map(repr, builder.nodes))}.")
            several = [self._context_before()] if node in summarized else []
            put_before(builder, node, [*several, MemoryBefore()] if node in remembering else several)
        given = self._given
        self._caches[builder] = given if isinstance(given, ScopedCache) else ScopedCache(given, builder)
        self._told = True
        return builder

    def compile(
        self, builder: StateGraph[Any, Any, Any, Any], **options: Any
    ) -> CompiledStateGraph[Any, Any, Any, Any]:
        """Install what the constructor was told, and compile the graph with this checkpointer and its cache.

        Args:
            builder: The graph.
            **options: What else `StateGraph.compile` takes.
        """
        self.install(builder)
        return builder.compile(**{"checkpointer": self, "cache": self._caches[builder], **options})

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Keep a checkpoint, with its stamp."""
        self._tell_if_not_installed()
        return super().put(config, checkpoint, metadata, new_versions)

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Keep a checkpoint, with its stamp."""
        self._tell_if_not_installed()
        return await super().aput(config, checkpoint, metadata, new_versions)

    def _context_before(self) -> BeforeNode:
        if self._context is None:
            raise CacheError(
                "summarize_before= names nodes, and context= says nothing of how they are to be summarised."
            )
        return self._context

    def _tell_if_not_installed(self) -> None:
        if not self._told:
            self._told = True
            give_warning(
                NotInstalledWarning(
                    "This checkpointer was told to cache or summarise, but it was given to builder.compile(): a "
                    "checkpointer adds no nodes to a graph. Nothing is cached or summarised. Use "
                    "checkpointer.compile(builder), or checkpointer.install(builder) before builder.compile()."
                )
            )


def _stated(here: Sequence[str] | None, before: Sequence[str]) -> Sequence[str]:
    return before if here is None else here
