"""Nodes of a graph whose results are kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from langgraph.graph import StateGraph
from langgraph.managed.base import is_managed_value
from langgraph.pregel import Pregel
from langgraph.types import CachePolicy

from langchain_agentcost.caching import cached_subgraph, scoped_key
from langchain_agentcost.caching.subgraph import CachedSubgraph
from langchain_agentcost.errors import CacheError


@dataclass(frozen=True, slots=True)
class CacheNode:
    """How the results of a node are kept.

    Args:
        node: The node's name.
        key: The channels that its result depends on; none stands for all of its input.
        ttl_s: How long a result is served, in seconds; None is for ever.
        options: Of a node that is a graph, what else `cached_subgraph` takes: `scope`, `read_tools`, `semantic`, ….
    """

    node: str
    key: Sequence[str] = ()
    ttl_s: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


def cache_node(builder: StateGraph[Any, Any, Any, Any], wanted: CacheNode | str) -> None:
    """Keep the results of a node: a graph becomes a `cached_subgraph`, anything else is given a `CachePolicy`.

    Raises:
        CacheError: If there is no such node, or options are given for one that is no graph.
    """
    wanted = CacheNode(wanted) if isinstance(wanted, str) else wanted
    spec = builder.nodes.get(wanted.node)
    if spec is None:
        raise CacheError(
            f"The graph has no node {wanted.node!r} to cache. It has {', '.join(map(repr, builder.nodes))}."
        )
    graph = spec.runnable
    if isinstance(graph, CachedSubgraph):
        return
    if isinstance(graph, Pregel):
        key, options = wanted.key or _input_of(graph), {"ttl_s": wanted.ttl_s, **wanted.options}
        builder.nodes[wanted.node] = replace(spec, runnable=cached_subgraph(graph, key=key, **options))
        return
    if wanted.options:
        raise CacheError(f"The node {wanted.node!r} is no graph: options={dict(wanted.options)!r} are for those.")
    policy = CachePolicy(key_func=scoped_key(*wanted.key), ttl=wanted.ttl_s)
    builder.nodes[wanted.node] = replace(spec, cache_policy=policy)


def _input_of(graph: Pregel[Any, Any, Any, Any]) -> Sequence[str]:
    """The channels that a graph takes."""
    builder = getattr(graph, "builder", None)
    if builder is None:
        return [graph.input_channels] if isinstance(graph.input_channels, str) else list(graph.input_channels)
    return [name for name, channel in builder.schemas[builder.input_schema].items() if not is_managed_value(channel)]
