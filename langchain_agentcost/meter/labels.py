"""What a callback's metadata, tags and surroundings say about where a call belongs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackManager
from langchain_core.runnables.config import var_child_runnable_config
from langgraph.runtime import get_runtime

from langchain_agentcost.attribution import ROUTING_TAGS, AttributionMap, label, node_path
from langchain_agentcost.meter.runs import WorkflowRun

_OF_THE_RUN = ("tenant", "user", "session", "workflow", "deployment", "variant", "tags")
"""What holds for a whole workflow run, so that its outcomes carry it too."""

_RETRY_TAG = "retry:attempt:"
"""How `with_retry` tags its attempts, from the second on."""


_UNSTATED: dict[str, Any] = {"provider": None, "model": None, "tool": None, "step": None}
"""What metadata does not say, and the events themselves may."""


def labels_of(
    run: WorkflowRun, table: AttributionMap, metadata: Mapping[str, Any] | None, tags: Sequence[Any] | None
) -> dict[str, Any]:
    """Read a call's attribution from everything LangChain and LangGraph say about it.

    Args:
        run: The workflow run that it belongs to. Its labels are read once and kept.
        table: Which key fills which dimension.
        metadata: The callback's metadata.
        tags: The callback's tags.

    Returns:
        Keyword arguments of `Attribution`; provider, model, tool and step are there, and None.
    """
    metadata = metadata or {}
    if run.labels is None:
        found = table.read(run.metadata, _configurable())
        run.labels = {name: found[name] for name in _OF_THE_RUN if name in found}
        if "tags" in run.labels:
            # Where a routed call is the root itself, what was decided for it holds for no outcome and no other call.
            run.labels["tags"] = tuple(pair for pair in run.labels["tags"] if pair[0] not in ROUTING_TAGS)
        if run.name:
            run.labels.setdefault("workflow", label(run.name))
    stated = table.stated(metadata)
    labels = {**_UNSTATED, **run.labels, **stated, "run": run.id}
    if "tags" in stated and "tags" in run.labels:
        labels["tags"] = tuple(sorted({**dict(run.labels["tags"]), **dict(stated["tags"])}.items()))
    checkpoint_ns = metadata.get("langgraph_checkpoint_ns")
    if checkpoint_ns and isinstance(checkpoint_ns, str):
        _add_place(labels, checkpoint_ns, table)
    elif "workflow" in labels:
        labels.setdefault("agent", labels["workflow"])
    attempt = _attempt(tags, in_graph=bool(checkpoint_ns))
    if attempt > 1:
        labels["attempt"] = attempt
    return labels


def current_run_id() -> UUID | None:
    """The id of the LangChain run that this code runs in; None outside any."""
    config = var_child_runnable_config.get()
    callbacks = config.get("callbacks") if config else None
    return callbacks.parent_run_id if isinstance(callbacks, BaseCallbackManager) else None


def current_metadata() -> Mapping[str, Any]:
    """The metadata of the run that this code runs in; empty outside any."""
    config = var_child_runnable_config.get()
    return (config or {}).get("metadata") or {}


def _configurable() -> Mapping[str, Any]:
    """The `configurable` of the run that this code runs in: LangGraph keeps most of it out of the metadata."""
    config = var_child_runnable_config.get()
    return (config or {}).get("configurable") or {}


@lru_cache(maxsize=4096)
def _place(checkpoint_ns: str) -> tuple[str, str | None, str]:
    """A namespace's node path, the subgraph that holds the node, and the node's own name."""
    path = node_path(checkpoint_ns)
    return "/".join(path), path[-2] if len(path) > 1 else None, path[-1] if path else ""


def _add_place(labels: dict[str, Any], checkpoint_ns: str, table: AttributionMap) -> None:
    labels["node"], subgraph, name = _place(checkpoint_ns)
    agent = subgraph or labels.get("workflow")
    if agent:
        labels.setdefault("agent", agent)
    purpose = table.purposes.get(name)
    if purpose:
        labels.setdefault("purpose", purpose)


def _attempt(tags: Sequence[Any] | None, *, in_graph: bool) -> int:
    """Which try a call is: the later one of `with_retry`'s tag and LangGraph's node retry."""
    attempt = 1
    for tag in tags or ():
        if isinstance(tag, str) and tag.startswith(_RETRY_TAG) and tag[len(_RETRY_TAG) :].isdecimal():
            attempt = max(attempt, int(tag[len(_RETRY_TAG) :]))
    if in_graph:
        try:
            info = get_runtime().execution_info
        except (RuntimeError, AttributeError):  # the callback runs outside the node's context
            return attempt
        attempt = max(attempt, info.node_attempt if info else 1)
    return attempt
