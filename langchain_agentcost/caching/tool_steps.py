"""The steps of a tool call that a cache sees: a read looks up and keeps, a write ends what was kept.

Each step is a method, so that every order of the steps of calls at the same time can be tried. What makes all of them
safe: a read takes the store's epoch before it looks at anything, a write raises it when it is over, and what was begun
before that is not kept after it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import RLock
from time import time
from typing import Any, NamedTuple

from langchain_agentcost.caching.keys import keyed
from langchain_agentcost.caching.lifetime import Lifetime
from langchain_agentcost.caching.scope import SCOPES, Caller, Namespace, Scope
from langchain_agentcost.caching.shelf import Shelf
from langchain_agentcost.caching.store import Cached
from langchain_agentcost.caching.tags import named_tags, owner_tags, written_tags
from langchain_agentcost.caching.tool_inputs import AskedTool
from langchain_agentcost.caching.tool_results import ToolResult
from langchain_agentcost.caching.tools import ToolCachePolicy
from langchain_agentcost.errors import StoreUnavailable, Unstorable
from langchain_agentcost.recent import Recent


class Kept(NamedTuple):
    """A result that was found.

    Args:
        result: What the tool gave.
        age_s: How long ago, in seconds.
        stale: Whether it is past its soft time to live: served, and to be renewed.
    """

    result: ToolResult
    age_s: float
    stale: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A call that may be served, from before anything is looked at.

    Args:
        asked: The call.
        policy: How its tool is cached.
        writes: What is known of writes.
        cache: The cache's name.
        epoch: The store's, from before the call was begun.
        namespace: Whose results may be served.
        key: What equal calls have in common.
        names: What it shows: the policy's tags, filled in.
    """

    asked: AskedTool
    policy: ToolCachePolicy
    writes: Writes
    cache: str
    epoch: int
    namespace: Namespace
    key: str
    names: tuple[str, ...]

    @property
    def partition(self) -> str:
        """Where it is looked for."""
        return keyed("tools", self.cache, *self.namespace, secret=self._shelf.secret)

    @property
    def flight(self) -> str:
        """What equal calls at the same time have in common: no write has ended between their beginnings."""
        return f"{self.partition} {self.key} {self.epoch}"

    def look_up(self) -> Kept | None:
        """Give what an equal call gave, if it may be served."""
        found = self._shelf.get(self.partition, self.key, ToolResult.loaded)
        if found is None:
            return None
        now, entry = time(), found.entry
        stale = entry.stale_s is not None and entry.stale_s <= now
        return Kept(found.value, max(0.0, now - entry.created_s), stale)

    def keep(self, value: Any) -> bytes | None:
        """Keep what the tool gave.

        Args:
            value: It.

        Returns:
            Its bytes, for the equal calls that wait for it; None where it is theirs to make the call.
        """
        result, lifetime = ToolResult(value), self.policy.lifetime
        if result.failed:
            if self.policy.negative_ttl_s is None:
                self._shelf.count("errors")
                return None
            lifetime = Lifetime(ttl_s=self.policy.negative_ttl_s)
        try:
            data = result.dumped(self.asked)
        except Unstorable:
            self._shelf.count("unstorable")
            return None
        self._put(data, lifetime, failed=result.failed)
        return data

    def _put(self, data: bytes, lifetime: Lifetime, *, failed: bool) -> None:
        now = time()
        terms = lifetime.terms(now)
        entry = Cached(
            partition=self.partition,
            key=self.key,
            value=data,
            epoch=self.epoch,
            created_s=now,
            expires_s=terms.expires_s,
            stale_s=terms.stale_s,
            tags=tuple(self._tags(failed=failed)),
        )
        run = self.asked.caller.run if self.policy.effect == "read" else None
        with self.writes.unless_written(run) as may_put:
            if not (may_put and self._shelf.put(entry)):
                self._shelf.count("overtaken")

    def _tags(self, *, failed: bool) -> Iterator[str]:
        caller, scope, secret = self.asked.caller, self.policy.scope or "run", self._shelf.secret
        yield keyed("tool cache", self.cache, secret=secret)
        yield from owner_tags(caller, scope, secret=secret)
        if self.policy.effect == "read":
            yield from named_tags(self.names, caller, scope, secret=secret)
            yield keyed("tool reads", *self.namespace, secret=secret)
            if scope != "global" and caller.tenant is not None:
                yield keyed("tool reads of", caller.tenant, secret=secret)
        if failed:
            yield keyed("tool errors", *self.namespace, secret=secret)

    @property
    def _shelf(self) -> Shelf:
        return self.writes.shelf


@dataclass(frozen=True, slots=True)
class Writing:
    """A call that may change the world. Whatever becomes of it, `end` it: it may have written before it failed.

    Args:
        writes: What is known of writes.
        tags: What it ends.
    """

    writes: Writes
    tags: tuple[str, ...]

    def end(self) -> None:
        """End what may not be so any more."""
        self.writes.end(self.tags)


class Writes:
    """What is known of writes: in which runs nobody knew what they changed, and what could not be ended yet.

    Args:
        shelf: Where the results are.
    """

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self._runs: Recent[str, str] = Recent()
        self._owed: set[str] = set()
        self._lock = RLock()

    def begin(self, caller: Caller, names: Iterable[str], *, scope: Scope | None) -> Writing:
        """Begin a write.

        Args:
            caller: Who writes.
            names: What it changes; none where nobody knows.
            scope: How far an unknown write reaches; None is all reads of its tenant, and what its caller sees.
        """
        secret, wanted = self.shelf.secret, tuple(names)
        seen = [keyed("tool errors", *namespace, secret=secret) for namespace in _seen(caller, "global")]
        if wanted:
            return Writing(self, (*seen, *written_tags(wanted, caller, secret=secret)))
        if caller.run is not None:
            with self._lock:
                self._runs.put(caller.run, caller.run)
        reach = scope if scope is not None and caller.run is not None else "global"
        ended = [keyed("tool reads", *namespace, secret=secret) for namespace in _seen(caller, reach)]
        if reach == "global" and caller.tenant is not None:
            ended.append(keyed("tool reads of", caller.tenant, secret=secret))
        return Writing(self, (*seen, *ended))

    def unknown_in(self, run: str | None) -> bool:
        """Tell whether something unknown was written in a run."""
        return self._runs.get(run) is not None

    @contextmanager
    def unless_written(self, run: str | None) -> Iterator[bool]:
        """Tell whether nothing unknown was written in a run, and let nothing begin to be until this is left.

        Such a write may reach no further than its own run, so that no tag in the store tells of it.
        """
        with self._lock:
            yield not self.unknown_in(run)

    def end(self, tags: Iterable[str]) -> None:
        """End results by tags; where the store cannot be reached, before anything is served again."""
        with self._lock:
            self._owed.update(tags)
        self.settle()

    def settle(self) -> bool:
        """End what is still to be ended; whether nothing is left."""
        if not self._owed:
            return True
        with self._lock:
            try:
                self.shelf.end(tuple(self._owed))
            except StoreUnavailable as error:
                self.shelf.fault("a write could not end what was kept; nothing is served until it can", error)
                return False
            self._owed.clear()
        return True


def _seen(caller: Caller, reach: Scope) -> set[Namespace]:
    """Whose results a caller may be served, up to a scope."""
    namespaces = (caller.namespace(scope) for scope in SCOPES[: SCOPES.index(reach) + 1])
    return {namespace for namespace in namespaces if namespace is not None}
