"""The checkpointer that knows what threads cost, and that puts caches and summaries into graphs.

On a LangGraph server, langgraph.json names it, `{"checkpointer": {"path": "./costs.py:checkpointer"}}`, where costs.py
is

```python
meter = CostMeter("sqlite:///costs.db")


@asynccontextmanager
async def checkpointer():
    async with AsyncSqliteSaver.from_conn_string("threads.db") as saver:
        yield CostCheckpointer(saver, meter=meter)
```

A `CostCheckpointer` in a module serves as well. The graphs of the server run with the meter where they are exported as
`graph.with_config(callbacks=meter.callbacks)`, or the module calls `install_global(meter)`. The server passes its own
checkpointer to graphs, so nodes are added where a graph is made: `install(builder)`, and then `builder.compile()`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar
from weakref import WeakSet

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
from langchain_agentcost.errors import AgentCostWarning, ContextError, give_warning
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
        context: What is put before the nodes of `summarize_before`, in order, such as a `SummarizationNode`: any
            `BeforeNode`.

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
        context: Sequence[BeforeNode] = (),
    ) -> None:
        super().__init__(inner, meter=meter)
        self._given = cache if cache is not None else InMemoryCache()
        self._cache_nodes = cache_nodes
        self._summarize_before = summarize_before
        self._memory = memory
        self._context = context
        self._installed: WeakSet[StateGraph[Any, Any, Any, Any]] = WeakSet()
        self._cache: ScopedCache | None = cache if isinstance(cache, ScopedCache) else None
        self._told = not (cache_nodes or summarize_before or memory)
        """Whether nothing has to be said of what is not installed."""

    @property
    def cache(self) -> ScopedCache | None:
        """The cache that was given, else that of the graph that was installed last; None before there is one."""
        return self._cache

    def install(
        self,
        builder: Builder,
        *,
        cache_nodes: Sequence[CacheNode | str] | None = None,
        summarize_before: Sequence[str] | None = None,
        memory: Sequence[str] | None = None,
        context: Sequence[BeforeNode] | None = None,
    ) -> Builder:
        """Put caches, summaries and memory into a graph, before it is compiled. A second time nothing happens.

        Threads that were saved before go on: nodes keep their names, and channels are only added.

        Args:
            builder: The graph, with all its nodes and edges.
            cache_nodes: As for the constructor, whose argument holds where it is None.
            summarize_before: Likewise.
            memory: Likewise.
            context: Likewise.

        Returns:
            The builder.

        Raises:
            CacheError: If there is no such node to cache, or it cannot be cached.
            ContextError: If there is no such node to summarise before, or nothing that would.
        """
        if not isinstance(self._given, ScopedCache):
            self._cache = ScopedCache(self._given, builder)
        if builder in self._installed:
            return builder
        summarized = self._summarize_before if summarize_before is None else summarize_before
        remembering = self._memory if memory is None else memory
        context = self._context if context is None else context
        if summarized and not context:
            raise ContextError(_NO_CONTEXT)
        for node in (*summarized, *remembering):
            if node not in builder.nodes:
                raise ContextError(f"The graph has no node {node!r}. It has {', '.join(map(repr, builder.nodes))}.")
        for wanted in self._cache_nodes if cache_nodes is None else cache_nodes:
            cache_node(builder, wanted)
        for node in dict.fromkeys((*summarized, *remembering)):
            several = context if node in summarized else ()
            put_before(builder, node, [*several, MemoryBefore()] if node in remembering else several)
        self._installed.add(builder)
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
        return builder.compile(**{"checkpointer": self, "cache": self._cache, **options})

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


_NO_CONTEXT = (
    "summarize_before= names nodes, and nothing says what is put before them: pass "
    "context=[SummarizationNode(Summarizer(FreshWriter(model)))], or any BeforeNode."
)
