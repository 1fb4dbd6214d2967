"""Who and what a call is booked to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from typing import Any, Self

MAX_VALUE_CHARS = 200
"""Longer values are cut: attribution is for grouping, and a label of this length is a mistake or an attack."""


@dataclass(frozen=True, slots=True)
class Attribution:
    """The dimensions that a ledger entry can be grouped by; None where the run did not say.

    Args:
        tenant: The customer or business unit that pays.
        user: The person or service account that asked.
        session: The conversation, by default LangGraph's thread.
        workflow: The application, by default the name of the root graph.
        run: The workflow run: one root run, across subgraphs and resumes.
        agent: `create_agent`'s name, else the innermost subgraph, else the workflow.
        node: The full path of graph nodes, such as "research/search".
        step: The number of the model call within the workflow run, from 1; a tool call has the step that asked for it.
        attempt: Which try this was, from 1, by LangGraph's node retry or `with_retry`.
        tool: The tool or retriever that ran.
        provider: Who served the model, as LangChain names it.
        model: The model that answered, as the provider names it.
        deployment: The environment or release.
        variant: The arm of an experiment.
        purpose: None for the agent's own work, else what kind of overhead: "summarization", "verification", ….
        tags: Further dimensions of the user's choice, as sorted (name, value) pairs.

    Example:
        >>> Attribution(tenant="acme", node="research/search").node
        'research/search'
    """

    tenant: str | None = None
    user: str | None = None
    session: str | None = None
    workflow: str | None = None
    run: str | None = None
    agent: str | None = None
    node: str | None = None
    step: int | None = None
    attempt: int = 1
    tool: str | None = None
    provider: str | None = None
    model: str | None = None
    deployment: str | None = None
    variant: str | None = None
    purpose: str | None = None
    tags: tuple[tuple[str, str], ...] = ()


DIMENSIONS: tuple[str, ...] = tuple(f.name for f in fields(Attribution) if f.name != "tags")
"""Every field of `Attribution` but the tags, in order."""

READABLE = ("tenant", "user", "session", "workflow", "agent", "deployment", "variant", "purpose")
"""The dimensions that metadata may state."""

_DEFAULT_KEYS: dict[str, tuple[str, ...]] = {
    "tenant": ("tenant", "tenant_id", "organization_id", "org_id"),
    "user": ("user", "user_id", "langgraph_auth_user_id"),
    "session": ("session", "session_id", "conversation_id", "thread_id"),
    "workflow": ("workflow", "workflow_name", "graph_id"),
    "agent": ("agent", "lc_agent_name"),
    "deployment": ("deployment", "environment", "revision_id"),
    "variant": ("variant", "experiment_variant"),
    "purpose": ("agentcost_purpose", "lc_source"),
}

ROUTING_TAGS = ("agentcost_tier", "agentcost_policy", "agentcost_role")
"""What routers put into the metadata of their calls (`routed.py`), of few values each: always tags."""

_TAG = "tag"
"""What a rule fills that makes a tag of its key."""

_DEFAULT_PURPOSES = dict.fromkeys(
    ("critic", "critique", "grade", "grader", "judge", "reflect", "review", "reviewer", "validate", "validator",
     "verify", "verifier"),
    "verification",
)  # fmt: skip
"""Node names that say that a node checks other nodes' work."""


@dataclass(frozen=True, slots=True)
class AttributionMap:
    """Which keys of a run's metadata and `configurable` fill which dimension: one table, that users extend.

    The first key that is there wins; the user's keys come before the defaults, and metadata before `configurable`.

    Args:
        keys: For each dimension, the keys to read, first choice first. They are put before the defaults.
        tags: Keys that become tags of the same name, beside `ROUTING_TAGS`.
        constants: Dimensions that are the same for the whole process, such as the deployment.
        purposes: What calls in a node of this name are for, where their metadata does not say. It is put before the
            defaults, which call nodes named verify, judge, review and the like "verification"; an empty purpose undoes
            one of them.

    Raises:
        ValueError: If a dimension cannot be read from metadata.

    Example:
        >>> table = AttributionMap({"tenant": ("customer",)}, tags=("ticket",))
        >>> table.read({"customer": "acme", "ticket": 7})
        {'tenant': 'acme', 'tags': (('ticket', '7'),)}
    """

    keys: Mapping[str, Iterable[str]] = field(default_factory=dict)
    tags: Iterable[str] = ()
    constants: Mapping[str, str] = field(default_factory=dict)
    purposes: Mapping[str, str] = field(default_factory=dict)
    _rules: dict[str, tuple[tuple[str, int], ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in (*self.keys, *self.constants):
            if name not in READABLE:
                raise ValueError(f"{name!r} cannot be read from metadata; choose from {', '.join(READABLE)}.")
        rules: dict[str, tuple[tuple[str, int], ...]] = dict.fromkeys((*ROUTING_TAGS, *self.tags), ((_TAG, 0),))
        for name, defaults in _DEFAULT_KEYS.items():
            keys = self.keys.get(name, ())
            for rank, key in enumerate(dict.fromkeys(((keys,) if isinstance(keys, str) else tuple(keys)) + defaults)):
                rules[key] = (*rules.get(key, ()), (name, rank))
        object.__setattr__(self, "_rules", rules)
        object.__setattr__(self, "purposes", {**_DEFAULT_PURPOSES, **self.purposes})

    def with_tags(self, tags: Iterable[str]) -> Self:
        """Give the same table with further keys that become tags.

        Example:
            >>> AttributionMap().with_tags(["team"]).read({"team": "red"})
            {'tags': (('team', 'red'),)}
        """
        known = [key for key, rules in self._rules.items() if (_TAG, 0) in rules]
        if set(tags := tuple(tags)) <= set(known):
            return self
        return replace(self, keys={name: self.keys_of(name) for name in self.keys}, tags=(*known, *tags))

    def keys_of(self, dimension: str) -> tuple[str, ...]:
        """Give the keys that fill a dimension, first choice first: what has to be hidden where a dimension is secret.

        Example:
            >>> AttributionMap({"user": "customer"}).keys_of("user")[:2]
            ('customer', 'user')
        """
        ranked = [(rank, key) for key, rules in self._rules.items() for name, rank in rules if name == dimension]
        return tuple(key for _, key in sorted(ranked))

    def read(self, metadata: Mapping[str, Any] | None, configurable: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Give the dimensions that a run states, else the constants, as keyword arguments of `Attribution`.

        Args:
            metadata: The metadata that LangChain hands to callbacks.
            configurable: The run's `configurable`, which LangGraph keeps out of the metadata.

        Returns:
            The dimensions found, and `tags` where there are any.
        """
        return {**self.constants, **self.stated(metadata, configurable)}

    def stated(
        self, metadata: Mapping[str, Any] | None, configurable: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Give what `read` gives without the constants: what a run states itself."""
        found: dict[str, Any] = {}
        tags: dict[str, str] = {}
        for source in (configurable, metadata):
            if source:
                self._read_source(source, found, tags)
        if tags:
            found["tags"] = tuple(sorted(tags.items()))
        return found

    def _read_source(self, source: Mapping[str, Any], found: dict[str, Any], tags: dict[str, str]) -> None:
        """Go through what is there, which is less than what may be; of two keys the one of the lower rank wins."""
        ranks: dict[str, int] = {}
        for key, value in source.items():
            for name, rank in self._rules.get(key, ()) if value is not None else ():
                if name == _TAG:
                    tags[key] = label(value)
                elif rank <= ranks.get(name, rank):
                    ranks[name] = rank
                    found[name] = label(value)


def label(value: object) -> str:
    """Make a value fit to be grouped by: text without control characters, cut to `MAX_VALUE_CHARS`.

    Example:
        >>> label("a" + chr(0) + "b"), len(label("x" * 1_000_000))
        ('a b', 200)
    """
    text = value if isinstance(value, str) else str(value)
    text = text[:MAX_VALUE_CHARS]
    return text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)


@lru_cache(maxsize=4096)
def node_path(checkpoint_ns: str) -> tuple[str, ...]:
    """Take the node names out of LangGraph's checkpoint namespace.

    Args:
        checkpoint_ns: `langgraph_checkpoint_ns` of the run's metadata, "node:uuid|inner:uuid".

    Returns:
        The names from the outermost graph's node to the innermost one's.

    Example:
        >>> node_path("research:dd69671c|search:3f367ba0")
        ('research', 'search')
    """
    return tuple(label(part.partition(":")[0]) for part in checkpoint_ns.split("|") if part)
