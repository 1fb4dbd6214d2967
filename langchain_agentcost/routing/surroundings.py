"""Where a call stands: what its config says of the graph, the thread and the step that it is made in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.messages import BaseMessage
from langchain_core.runnables import RunnableConfig

from langchain_agentcost.attribution import label, node_path
from langchain_agentcost.routing.operations import Facts
from langchain_agentcost.routing.request import RouteRequest

STEP = "router_step"
"""The key of the metadata that names the kind of step, where the graph's node does not: "extract", "plan", …."""

_NO_KIND = ("agent", "call_model", "model", "llm")
"""Nodes that every agent has: the agent's own name says more."""

_IMAGES = ("image", "image_url", "input_image")


def requested(messages: Sequence[BaseMessage], facts: Facts, config: RunnableConfig) -> RouteRequest:
    """Make the request of a call.

    Args:
        messages: Its prompt.
        facts: What is bound.
        config: Its config.
    """
    metadata = config.get("metadata") or {}
    configurable = config.get("configurable") or {}
    return RouteRequest(
        messages=tuple(messages),
        tools=facts.tools,
        forced_tool=facts.forced_tool,
        schema=facts.schema,
        node=step_of(metadata),
        thread=thread_of(metadata, configurable),
        max_output_tokens=facts.max_output_tokens,
        images=any(_has_image(message.content) for message in messages),
        settings=facts.settings,
        metadata=metadata,
        configurable=configurable,
    )


def step_of(metadata: Mapping[str, Any]) -> str | None:
    """Name the step: as the metadata says, else by the graph's node, else by the agent that the node is in.

    Example:
        >>> step_of({"langgraph_node": "extract", "langgraph_checkpoint_ns": "extract:1"})
        'extract'
        >>> step_of({"langgraph_node": "model", "langgraph_checkpoint_ns": "planner:1|model:2"})
        'planner'
    """
    stated = metadata.get(STEP)
    if stated is not None:
        return label(stated)
    node = metadata.get("langgraph_node")
    if node not in _NO_KIND:
        return node if isinstance(node, str) else None
    agent = metadata.get("lc_agent_name")
    path = [name for name in node_path(str(metadata.get("langgraph_checkpoint_ns") or "")) if name not in _NO_KIND]
    return label(agent) if agent else path[-1] if path else None


def thread_of(metadata: Mapping[str, Any], configurable: Mapping[str, Any]) -> str | None:
    """Name the conversation; None where nothing says so."""
    named = configurable.get("thread_id") or metadata.get("thread_id") or metadata.get("session_id")
    return None if named is None else str(named)


def _has_image(content: Any) -> bool:
    return isinstance(content, list) and any(
        isinstance(block, Mapping) and block.get("type") in _IMAGES for block in content
    )
