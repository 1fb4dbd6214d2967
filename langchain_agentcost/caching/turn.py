"""One model call as a cache sees it, and which calls it leaves alone."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal, get_args

from langchain_core.messages import AIMessage, HumanMessage

from langchain_agentcost.caching.answer import StoredAnswer
from langchain_agentcost.caching.ask import Ask
from langchain_agentcost.caching.keys import PromptKey
from langchain_agentcost.caching.likeness import Candidate
from langchain_agentcost.caching.timely import timely
from langchain_agentcost.errors import CacheError
from langchain_agentcost.saving import CacheHit

Caution = Literal["temperature", "later_turns", "tool_calls", "timely"]
"""What is not cached unless it is allowed: sampled answers; similar questions after the first turn; similar questions
whose answer calls tools; questions about the time at which they are asked."""

CAUTIONS: tuple[Caution, ...] = get_args(Caution)


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """An answer out of the cache.

    Args:
        answer: The answer.
        hit: What is told of it.
    """

    answer: StoredAnswer
    hit: CacheHit

    @property
    def mark(self) -> dict[str, Any]:
        """What the served message says of where it comes from."""
        return {"cache": self.hit.cache, "age_s": self.hit.age_s, "similarity": self.hit.similarity}

    @property
    def message(self) -> AIMessage:
        """The message to give in place of the model's."""
        return self.answer.served(self.mark)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One call as the cache sees it, from before it is made until its answer is known.

    Args:
        ask: The call.
        key: Where its answer is kept; None where it is not to be cached.
        served: The answer, where there is one.
        candidate: The similar question whose answer is compared with the model's, to learn whether it would have done.
        vector: The embedding of the user's text.
        epoch: The store's, from before the call.
        tags: What ends the entry.
        renews: Whether the very same prompt is there, and this call renews it.
        exact_idle_s: How long ago the same prompt was asked for before, in seconds.
        partition_idle_s: How long ago anything in the partition was.
    """

    ask: Ask
    key: PromptKey | None = None
    served: Served | None = None
    candidate: Candidate | None = None
    vector: bytes | None = None
    epoch: int | None = None
    tags: tuple[str, ...] = ()
    renews: bool = False
    exact_idle_s: float = 0.0
    partition_idle_s: float = 0.0


def checked_cautions(allow: Collection[Caution]) -> frozenset[Caution]:
    """Give what is allowed.

    Raises:
        CacheError: If something else is named.
    """
    unknown = [name for name in allow if name not in CAUTIONS]
    if isinstance(allow, str) or unknown:
        raise CacheError(f"allow names some of {', '.join(CAUTIONS)}, not {allow!r}.")
    return frozenset(allow)


def refusal(ask: Ask, allowed: frozenset[Caution]) -> str | None:
    """Give why a call is not cached; None where it is."""
    if ask.fingerprint is None:
        return "unkeyable"
    if not ask.messages:
        return "empty"
    if ask.temperature and "temperature" not in allowed:
        return "temperature"
    if "timely" not in allowed and any(timely(said.text) for said in ask.messages if isinstance(said, HumanMessage)):
        return "timely"
    return None
