"""What a cached subgraph is asked, and the hashes under which the answer to that is kept."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from langchain_core.messages import BaseMessage
from langchain_core.runnables import RunnableConfig
from langgraph.runtime import get_runtime

from langchain_agentcost.attribution import AttributionMap
from langchain_agentcost.caching.fill import Graph
from langchain_agentcost.caching.keys import canonical_messages, keyed
from langchain_agentcost.caching.plain import plain_json
from langchain_agentcost.caching.scope import Caller, Namespace
from langchain_agentcost.caching.state_change import State, channels_of, plain_texts
from langchain_agentcost.errors import CacheError


class Question(NamedTuple):
    """What is asked, by whom, and where its answer is kept.

    Args:
        partition: The hash of everything but the key's channels.
        key: The hash of all of it.
        state: What the graph is given.
        channels: The same, by channel.
        caller: Who asks.
    """

    partition: str
    key: str
    state: Any
    channels: State
    caller: Caller


class Asking:
    """How questions become hashes, for one graph.

    Args:
        key: The channels that decide, as `checked_key` gave them.
        fingerprint: What the graph does.
        ignored: Entries of `configurable` and fields of the context that do not count.
        attribution: Which entries say who asks: those do not count either, but by the namespace.
        secret: See `keyed`.
    """

    def __init__(
        self,
        key: tuple[str, ...],
        fingerprint: str,
        *,
        ignored: Iterable[str] = (),
        attribution: AttributionMap | None = None,
        secret: bytes | None = None,
    ) -> None:
        self.key = key
        self.fingerprint = fingerprint
        table = attribution or AttributionMap()
        who = (name for dimension in ("tenant", "user", "session") for name in table.keys_of(dimension))
        self._ignored = frozenset((*ignored, *who, *_LANGGRAPH_S))
        self._secret = secret

    def question(self, state: Any, caller: Caller, namespace: Namespace, config: RunnableConfig) -> Question:
        """Give what is asked.

        Args:
            state: What the graph is given.
            caller: Who asks.
            namespace: Who may share the answer.
            config: The run's.

        Raises:
            Unkeyable: If a value has no form that could be compared.
        """
        channels = channels_of(state)
        around = plain_json(_surroundings(config, self._ignored))
        asked = plain_json([[canonical(channels[name])] if name in channels else [] for name in self.key])
        partition = keyed(
            "subgraph", str(len(namespace)), *namespace, self.fingerprint, around, *self.key, secret=self._secret
        )
        return Question(partition, keyed(partition, asked, secret=self._secret), state, channels, caller)


def checked_key(graph: Graph, key: Sequence[str]) -> tuple[str, ...]:
    """Give the channels that decide, if a graph's answers can depend on them alone.

    Raises:
        CacheError: If there is none, the graph does not have one of them, or it has a checkpointer of its own.
    """
    names = (key,) if isinstance(key, str) else tuple(key)
    channels = getattr(graph, "channels", None)
    if not names:
        raise CacheError("key= names no channel, so every question would have the same answer.")
    if channels is None:
        raise CacheError("The graph runs elsewhere: nobody sees here whether its tools write. Cache it where it runs.")
    if unknown := [name for name in names if name not in channels]:
        raise CacheError(f"key= names {listed(unknown)}, which the graph does not have. It has {listed(channels)}.")
    if getattr(graph, "checkpointer", None) not in (None, False):
        raise CacheError(
            "The graph has a checkpointer of its own, so its answers depend on what it was asked before. Compile it "
            "without one: as a subgraph it has its parent's."
        )
    return names


def goes_on(config: RunnableConfig) -> bool:
    """Whether a run goes on from a checkpoint: after an interrupt or an error, or on a retry."""
    return bool((config.get("configurable") or {}).get(_RESUMING))


def canonical(value: Any) -> Any:
    """Give a value without what changes from message to message though it says the same."""
    if isinstance(value, BaseMessage):
        return canonical_messages([value])
    if isinstance(value, list):
        if value and all(isinstance(item, BaseMessage) for item in value):
            return canonical_messages(value)
        return [canonical(item) for item in value]
    if type(value) is dict:
        return {name: canonical(item) for name, item in value.items()}
    return plain_texts(value)


def listed(names: Iterable[str]) -> str:
    """Give names for a sentence."""
    return ", ".join(repr(name) for name in names) or "nothing"


_RESUMING = "__pregel_resuming"
"""LangGraph's flag for it in `configurable`."""

_LANGGRAPH_S = ("thread_id", "checkpoint_id", "checkpoint_ns", "checkpoint_map", "run_id", "graph_id", "assistant_id")
"""Entries of `configurable` that LangGraph puts there itself, besides those that begin with its name."""


def _surroundings(config: RunnableConfig, ignored: frozenset[str]) -> list[Any]:
    """What a graph is given beside its state, without who asks: `scope` says how far that counts."""
    configured = {
        name: value
        for name, value in (config.get("configurable") or {}).items()
        if name not in ignored and not name.startswith(("__pregel", "langgraph_"))
    }
    try:
        context: Any = getattr(get_runtime(), "context", None)
    except (RuntimeError, KeyError):  # outside LangGraph
        context = None
    if context is None:
        return [configured]
    try:
        fields = channels_of(context)
    except CacheError:
        return [configured, context]
    return [configured, {name: value for name, value in fields.items() if name not in ignored}]
