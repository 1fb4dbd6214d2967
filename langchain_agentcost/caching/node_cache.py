"""LangGraph's node caches made safe to share: whose a result is, and of which graph, is a part of its place.

LangGraph looks results up by a node's name and input alone, so they are served to other tenants, and to other graphs
whose nodes have the same name (langchain-ai/langgraph#8753). `ScopedCache` stands before any of its caches.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock
from time import time
from typing import Any, NamedTuple
from uuid import uuid4

from langchain_core.runnables import RunnableConfig
from langgraph.cache.base import BaseCache, FullKey, Namespace
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from langchain_agentcost.attribution import AttributionMap
from langchain_agentcost.caching.billed_now import LastAsked, billed_now
from langchain_agentcost.caching.codec import StrictSerializer
from langchain_agentcost.caching.graph_fingerprint import graph_fingerprint
from langchain_agentcost.caching.keys import keyed
from langchain_agentcost.caching.node_writes import NodeWrites
from langchain_agentcost.caching.reporting import atell, new_hit_id, tell
from langchain_agentcost.caching.scope import Caller, Runs, Scope, checked_scope
from langchain_agentcost.caching.tags import named_tags, written_tags
from langchain_agentcost.caching.tally import Tally
from langchain_agentcost.errors import CacheError, Unkeyable, Unreadable, Unstorable
from langchain_agentcost.saving import CacheHit

CACHE = "node"
"""The cache's name in ledger and reports."""

_CALLER: ContextVar[Caller | None] = ContextVar("agentcost_node_cache_caller", default=None)
"""Who is served. LangGraph asks a cache outside of any node, where no config can be seen; `serving` sets it."""

_BEGUN: ContextVar[Mapping[tuple[str, FullKey], _Begun]] = ContextVar("agentcost_node_cache_begun", default={})  # noqa: B039  # never changed, always replaced
"""What was looked up in vain in this context, and so may be kept in it: LangGraph keeps what nodes wrote in copies of
the context in which it asked the cache."""

_MOST_BEGUN = 1_000
"""How many of them a context remembers."""


class ScopedCache(BaseCache[Any]):
    """A node cache that serves results to nobody but whom they belong to, with bounded size, tags and counts.

    Where a graph is run by itself, say who asks: `with cache.serving(config): graph.invoke(…, config)`. Where it is a
    subgraph, or called in a node or a tool, that is seen. A caller who is not known is not cached for.

    Kept are a node's writes as plain data and LangChain messages; messages are served with new ids and no usage. Equal
    nodes that run at the same time all run, and of the very first ones not all may be kept. What a node does besides is
    not seen: only cache nodes that write nothing outside of the state.

    A hit is told to the meter where the graph runs within another one. LangGraph shows no run at the outermost level:
    there it is only counted.

    Args:
        inner: Any cache of `langgraph.cache`. Its serializer, where it is LangGraph's default, becomes a strict one.
        graph: The `StateGraph` that is compiled with it, or the graph; None where there is none yet, as for
            `create_agent`, which then needs a version.
        scope: Who shares results. Without a known tenant it is the session.
        version: A version, of your own, of what the graph does.
        tags: What all results depend on, for `invalidate`.
        max_entries: How many results this process keeps in it; the one that was not asked for for longest goes first.
            What an earlier process left behind is not counted, and ends by its policy's `ttl`.
        secret: Makes stored hashes unguessable; see `keyed`.
        attribution: Which metadata names tenant, user and session.

    Raises:
        CacheError: If neither graph nor version is given, or there is no room.

    Example:
        >>> from langgraph.cache.memory import InMemoryCache
        >>> from langgraph.graph import StateGraph
        >>> from langgraph.types import CachePolicy
        >>> from langchain_agentcost.caching.node_key import scoped_key
        >>> policy = CachePolicy(key_func=scoped_key("question"))
        >>> builder = StateGraph(dict).add_node("look", lambda state: {"answer": "there"}, cache_policy=policy)
        >>> cache = ScopedCache(InMemoryCache(), builder)
        >>> graph = builder.add_edge("__start__", "look").compile(cache=cache)
        >>> with cache.serving({"metadata": {"tenant": "acme"}}):
        ...     answers = [graph.invoke({"question": "where?"}) for _ in range(2)]
        >>> cache.counts
        {'misses': 1, 'hits': 1}
    """

    def __init__(  # noqa: PLR0913  # the one object that holds the configuration; all but the cache have a default
        self,
        inner: BaseCache[Any],
        graph: Any = None,
        *,
        scope: Scope = "tenant",
        version: str = "",
        tags: Iterable[str] = (),
        max_entries: int = 10_000,
        secret: bytes | None = None,
        attribution: AttributionMap | None = None,
    ) -> None:
        if graph is None and not version:
            raise CacheError("Give the graph, or a version that no other graph has: results are kept by it.")
        if max_entries < 1:
            raise CacheError(f"max_entries is a whole number above 0, not {max_entries!r}.")
        if type(inner.serde) is JsonPlusSerializer:
            inner.serde = StrictSerializer()
        super().__init__(serde=inner.serde)
        self._inner = inner
        self._graph = graph
        self._scope = checked_scope(scope)
        self._version = version
        self._tags = tuple(tags)
        self._secret = secret
        self._table = attribution
        self._name = str(uuid4())
        self._runs = Runs()
        self._asked = LastAsked()
        self._order = _Order(max_entries)
        self._tally = Tally()
        self._fingerprint: str | None = None

    @property
    def counts(self) -> dict[str, int]:
        """What happened, by name.

        "hits", "misses", "evicted", "poisoned" (bytes that this cache did not write), "faults" (of the inner cache),
        and of results that were not kept "refused_" with the reason: "unscoped", "unkeyable" (the graph), "unstorable".
        """
        return self._tally.counts

    @contextmanager
    def serving(self, config: RunnableConfig | None = None) -> Iterator[None]:
        """Say who asks in this block, as the metadata and the `configurable` of a config say it.

        Args:
            config: The config that the graph is run with.
        """
        token = _CALLER.set(Caller.of(config, table=self._table, run=str(uuid4())))
        try:
            yield
        finally:
            _CALLER.reset(token)

    def get(self, keys: Sequence[FullKey]) -> dict[FullKey, Any]:
        """Give what is kept for this caller."""
        places = self._places(keys)
        if not places:
            return {}
        found = self._found(places, self._read(_wanted(places)))
        if found.marks:
            self._tally.safely(lambda: self._inner.set(found.marks))
        for hit in found.hits:
            tell(hit)
        return found.values

    async def aget(self, keys: Sequence[FullKey]) -> dict[FullKey, Any]:
        """Give what is kept for this caller, to async code."""
        places = self._places(keys)
        if not places:
            return {}
        found = self._found(places, await self._aread(_wanted(places)))
        if found.marks:
            await self._tally.asafely(lambda: self._inner.aset(found.marks))
        for hit in found.hits:
            await atell(hit)
        return found.values

    def set(self, pairs: Mapping[FullKey, tuple[Any, int | None]]) -> None:
        """Keep what nodes wrote, where it may be kept."""
        kept, evicted = self._kept(pairs)
        if kept:
            self._tally.safely(lambda: self._inner.set(kept))
        if evicted:
            self._tally.safely(lambda: self._inner.clear(evicted))

    async def aset(self, pairs: Mapping[FullKey, tuple[Any, int | None]]) -> None:
        """Keep what nodes wrote, where it may be kept, from async code."""
        kept, evicted = self._kept(pairs)
        if kept:
            await self._tally.asafely(lambda: self._inner.aset(kept))
        if evicted:
            await self._tally.asafely(lambda: self._inner.aclear(evicted))

    def clear(self, namespaces: Sequence[Namespace] | None = None) -> None:
        """End all results of nodes, for every caller; None empties the inner cache, whoever else uses it."""
        if namespaces is None:
            self._inner.clear()
        else:
            self._inner.set(_marked(map(self._node_tag, namespaces)))

    async def aclear(self, namespaces: Sequence[Namespace] | None = None) -> None:
        """End all results of nodes, for every caller, from async code; see `clear`."""
        if namespaces is None:
            await self._inner.aclear()
        else:
            await self._inner.aset(_marked(map(self._node_tag, namespaces)))

    def invalidate(self, *names: str, config: RunnableConfig | None = None) -> None:
        """End the results with any of these tags, also those that are being made.

        Args:
            *names: Tags of `tags=`, or "node:" and a node's name.
            config: Says of which tenant; None takes that of the `serving` block or run that this code is in.
        """
        self._inner.set(_marked(written_tags(names, self._caller(config), secret=self._secret)))

    async def ainvalidate(self, *names: str, config: RunnableConfig | None = None) -> None:
        """End the results with any of these tags, from async code; see `invalidate`."""
        await self._inner.aset(_marked(written_tags(names, self._caller(config), secret=self._secret)))

    def _caller(self, config: RunnableConfig | None = None) -> Caller:
        known = _CALLER.get() if config is None else None
        return known or Caller.of(config, table=self._table, run=self._runs.current())

    def _places(self, keys: Sequence[FullKey]) -> dict[FullKey, _Place]:
        """Where results are kept for this caller; nowhere, where it is not known, or it is not known what the graph is.

        Every result has a namespace of its own in the inner cache: LangGraph's caches can only clear namespaces.
        """
        caller = self._caller()
        namespace, fingerprint = caller.namespace(self._scope), self._graph_is()
        if namespace is None:
            self._tally.count("refused_unscoped", len(keys))
            self._tally.warn(_UNSCOPED)
        if namespace is None or fingerprint is None:
            return {}
        places = {}
        for full in keys:
            (*_, node), key = full
            part = keyed("node", str(len(namespace)), *namespace, fingerprint, *full[0], key, secret=self._secret)
            names = named_tags((*self._tags, f"node:{node}"), caller, self._scope, secret=self._secret)
            places[full] = _Place(((part,), _ENTRY), (*names, self._node_tag(full[0])))
        return places

    def _node_tag(self, namespace: Namespace) -> str:
        return keyed("all of a node", self._graph_is(), *namespace, secret=self._secret)

    def _graph_is(self) -> str | None:
        """What the graph is, worked out when it is first asked for: it is complete by then."""
        if self._fingerprint is None:
            try:
                self._fingerprint = (
                    keyed("version", self._version)
                    if self._graph is None
                    else graph_fingerprint(self._graph, version=self._version)
                )
            except Unkeyable as error:
                self._tally.count("refused_unkeyable")
                self._tally.warn("No node is cached", f": {error}")
        return self._fingerprint

    def _read(self, wanted: Sequence[FullKey]) -> dict[FullKey, Any]:
        """Ask the inner cache, one by one where it cannot read all: what somebody else put there ends nothing else."""
        held = self._tally.safely(lambda: self._inner.get(wanted), tell=len(wanted) == 1)
        if held is None and len(wanted) > 1:
            return {key: value for one in wanted for key, value in self._read((one,)).items()}
        return held or {}

    async def _aread(self, wanted: Sequence[FullKey]) -> dict[FullKey, Any]:
        held = await self._tally.asafely(lambda: self._inner.aget(wanted), tell=len(wanted) == 1)
        if held is None and len(wanted) > 1:
            return {key: value for one in wanted for key, value in (await self._aread((one,))).items()}
        return held or {}

    def _found(self, places: Mapping[FullKey, _Place], held: Mapping[FullKey, Any]) -> _Found:
        """Tell what is alive of what is held, and remember what is not as begun."""
        tags = {tag for place in places.values() for tag in place.tags}
        missing = _marked(tag for tag in tags if not isinstance(held.get(_mark_key(tag)), bytes))
        marks = {tag: bytes(held.get(key) or missing[key][0]) for tag in tags for key in (_mark_key(tag),)}
        values, hits, begun = {}, [], {}
        for full, place in places.items():
            expected = tuple(marks[tag] for tag in place.tags)
            writes = self._alive(held.get(place.key), expected)
            if writes is None:
                begun[self._name, full] = _Begun(place, expected)
                continue
            values[full], hit = self._hit(place, writes)
            hits.append(hit)
        self._tally.count("misses", len(begun))
        self._tally.count("hits", len(hits))
        _remember(begun)
        return _Found(values, hits, missing)

    def _alive(self, held: Any, marks: tuple[bytes, ...]) -> NodeWrites | None:
        if held is None:
            return None
        try:
            writes = NodeWrites.from_bytes(held)
        except Unreadable:
            self._tally.count("poisoned")
            return None
        return writes if writes.marks == marks else None

    def _hit(self, place: _Place, writes: NodeWrites) -> tuple[list[tuple[str, Any]], CacheHit]:
        now_s, (part,) = time(), place.key[0]
        idle_s, age_s = self._asked.idle_s(part, now_s), max(0.0, now_s - writes.kept_s)
        self._order.used(place.key[0])
        spared = tuple(billed_now(call, shared_share=1, idle_s=idle_s) for call in writes.spared())
        hit = CacheHit(id=new_hit_id(), cache=CACHE, spared=spared, age_s=age_s, entry=part)
        return writes.served({"cache": CACHE, "age_s": round(age_s, 3)}), hit

    def _kept(self, pairs: Mapping[FullKey, tuple[Any, int | None]]) -> tuple[dict[FullKey, Any], list[Namespace]]:
        """What is to be kept, and what has to go for it. What was not looked up here first has nobody to belong to."""
        begun, kept = _BEGUN.get(), {}
        evicted: list[Namespace] = []
        for full, (writes, ttl_s) in pairs.items():
            known = begun.get((self._name, full))
            if known is None:
                continue
            try:
                written = NodeWrites(writes=tuple(writes), marks=known.marks, kept_s=time())
                kept[known.place.key] = (written.to_bytes(), ttl_s)
            except Unstorable:
                self._tally.count("refused_unstorable")
                continue
            self._asked.idle_s(known.place.key[0][0], time())
            evicted += self._order.used(known.place.key[0])
        self._tally.count("evicted", len(evicted))
        return kept, evicted


class _Place(NamedTuple):
    """Where a result is in the inner cache, and what ends it."""

    key: FullKey
    tags: tuple[str, ...]


class _Begun(NamedTuple):
    """A node that runs because nothing was found, and how its tags were marked before."""

    place: _Place
    marks: tuple[bytes, ...]


class _Found(NamedTuple):
    """What was found, what to tell of it, and marks that have to be made."""

    values: dict[FullKey, Any]
    hits: list[CacheHit]
    marks: dict[FullKey, tuple[bytes, None]]


class _Order:
    """In which order results were last asked for.

    Args:
        most: How many may be kept.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = Lock()
        self._names: OrderedDict[Namespace, None] = OrderedDict()

    def used(self, name: Namespace) -> list[Namespace]:
        """Note that a result is asked for or kept, and give those that have to go."""
        with self._lock:
            self._names[name] = None
            self._names.move_to_end(name)
            return [self._names.popitem(last=False)[0] for _ in range(len(self._names) - self._most)]


_ENTRY = "writes"
_UNSCOPED = (
    "No node is cached: neither a tenant nor a session is known. Run the graph within cache.serving(config), "
    'or share with everybody: scope="global".'
)


def _wanted(places: Mapping[FullKey, _Place]) -> tuple[FullKey, ...]:
    """All keys to read: the entries, and the marks of their tags."""
    tags = sorted({tag for place in places.values() for tag in place.tags})
    return (*(place.key for place in places.values()), *map(_mark_key, tags))


def _mark_key(tag: str) -> FullKey:
    return (keyed("mark", tag),), "mark"


def _marked(tags: Iterable[str]) -> dict[FullKey, tuple[bytes, None]]:
    """New marks: none is ever made twice, so what was begun under an old one, or a lost one, is dead."""
    return {_mark_key(tag): (uuid4().bytes, None) for tag in tags}


def _remember(begun: dict[tuple[str, FullKey], _Begun]) -> None:
    earlier = list(_BEGUN.get().items())[-_MOST_BEGUN:]
    _BEGUN.set({**dict(earlier), **begun})
