"""What a feature tells a meter when a call was not made: the event that caches send through LangChain's callbacks.

A cache knows what the call consumed that filled an entry; a meter knows what that costs today. So the event carries
counts and names, and the meter makes the money of them. Whoever listens for custom events gets plain data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from langchain_agentcost.usage import Usage

CACHE_HIT = "agentcost.cache_hit"
"""The name of the custom event."""

LANGCHAIN_CACHE = "langchain"
"""What the cache of `set_llm_cache` is called: LangChain itself says that it answered, and no event does."""

CACHE_PURPOSE = "cache"
"""The purpose of the calls that a cache itself makes, for embeddings and judges: what it saves is less what they cost.
A model call has it by its metadata, `{"agentcost_purpose": "cache"}`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SparedCall:
    """A model or tool call that was not made.

    Args:
        model: The model that answered when the entry was filled; None for a tool.
        provider: Its provider, as LangChain names them.
        usage: What the call would have consumed now, with what the provider's prompt cache would have served; None
            where that is not known.
        tool: The tool; None for a model.

    Example:
        >>> SparedCall(tool="search").as_dict()
        {'tool': 'search'}
    """

    model: str | None = None
    provider: str | None = None
    usage: Usage | None = None
    tool: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Give it as plain data, without what is empty or 0."""
        return {name: value for name, value in _without_zeros(asdict(self)).items() if value is not None}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what `as_dict` wrote.

        Raises:
            TypeError: If there is a field that no such call has.
            InvalidUsage: If a count is not a whole number of at least 0.
        """
        usage = data.get("usage")
        return cls(**{**data, "usage": None if usage is None else _usage(usage)})


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheHit:
    """A hit of a cache.

    Args:
        id: Its own id: a hit that is told twice counts once.
        cache: The cache's name, such as "exact", "semantic", "tool" or "subgraph".
        spared: The calls that it took the place of.
        saved_nano: What was saved, in nano-USD, where whoever made the cache states it; None has the meter price the
            spared calls.
        similarity: How near the text of a semantic hit was, a cosine; None for an exact one.
        age_s: How old the entry was, in seconds.
        entry: A hash of the entry's key; None does not say. Two hits with the same one are the same call with the same
            result, which tells a meter of a run that goes round in circles.
        failed: Whether what was served is a failure that the cache remembers.

    Example:
        >>> hit = CacheHit(id="1", cache="tool", spared=(SparedCall(tool="search"),))
        >>> CacheHit.from_event(hit.as_event()) == hit
        True
    """

    id: str
    cache: str
    spared: tuple[SparedCall, ...] = ()
    saved_nano: int | None = None
    similarity: float | None = None
    age_s: float | None = None
    entry: str | None = None
    failed: bool = False

    def as_event(self) -> dict[str, Any]:
        """Give the event's data: plain values that JSON can hold."""
        return {
            "id": self.id,
            "cache": self.cache,
            "spared": [call.as_dict() for call in self.spared],
            "saved_nano": self.saved_nano,
            "similarity": self.similarity,
            "age_s": self.age_s,
            "entry": self.entry,
            "failed": self.failed,
        }

    @classmethod
    def from_event(cls, data: Mapping[str, Any]) -> Self:
        """Read an event's data.

        Raises:
            KeyError: If it has no id or no cache.
            TypeError: If a field is not one of a hit, or an amount is not a whole number.
            InvalidUsage: If a count is not a whole number of at least 0.
        """
        if not isinstance(data.get("saved_nano"), int | None):
            raise TypeError("saved_nano is a whole number of nano-USD, or None.")
        spared = tuple(SparedCall.from_dict(call) for call in data.get("spared", ()))
        return cls(**{**data, "id": data["id"], "cache": data["cache"], "spared": spared})


def _without_zeros(data: dict[str, Any]) -> dict[str, Any]:
    usage = data["usage"]
    return data if usage is None else {**data, "usage": {name: value for name, value in usage.items() if value}}


def _usage(data: Mapping[str, Any]) -> Usage:
    """Read counts; JSON has made lists of the tuples among them."""
    tools = tuple((str(name), int(count)) for name, count in data.get("server_tools", ()))
    return Usage(**{**data, "server_tools": tools, "anomalies": tuple(data.get("anomalies", ()))})
