"""A graph as a node whose results are kept: the same question runs it once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from time import time
from typing import TYPE_CHECKING, Any, NamedTuple

from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda
from langgraph.errors import GraphInterrupt, ParentCommand

from langchain_agentcost.attribution import AttributionMap
from langchain_agentcost.caching.billed_now import LastAsked, billed_now
from langchain_agentcost.caching.fill import Fill, Graph, IsRead, ReadTools, arun, reads, run
from langchain_agentcost.caching.graph_fingerprint import FINGERPRINT, graph_fingerprint
from langchain_agentcost.caching.lifetime import Lifetime, Renewals
from langchain_agentcost.caching.reporting import atell, new_hit_id, tell
from langchain_agentcost.caching.scope import Scope, checked_scope
from langchain_agentcost.caching.shelf import Found, Shelf
from langchain_agentcost.caching.similar_questions import Similar, SimilarQuestions
from langchain_agentcost.caching.singleflight import SingleFlight
from langchain_agentcost.caching.state_change import State, StateChange, StoredChange, accumulating
from langchain_agentcost.caching.store import Cached, CacheStore
from langchain_agentcost.caching.subgraph_question import Asking, Question, checked_key, goes_on
from langchain_agentcost.caching.tags import named_tags, owner_tags, written_tags
from langchain_agentcost.errors import CacheError, Unkeyable, Unstorable
from langchain_agentcost.saving import CacheHit

if TYPE_CHECKING:
    from langchain_agentcost.caching.semantic import SemanticCache

CACHE = "subgraph"
"""The cache's name in ledger and reports."""

Tags = Iterable[str] | Callable[[State], Iterable[str]]
"""What an entry depends on, in the user's own names such as "orders:7"; a function is given the state."""


def cached_subgraph(  # noqa: PLR0913  # the one place where such a cache is set up; all but the key have a default
    graph: Graph,
    *,
    key: Sequence[str],
    scope: Scope = "user",
    version: str = "",
    ttl_s: float | None = None,
    soft_ttl_s: float | None = None,
    semantic: SemanticCache | None = None,
    tags: Tags = (),
    read_tools: ReadTools = (),
    ignored: Sequence[str] = (),
    store: Shelf | CacheStore | str | None = None,
    secret: bytes | None = None,
    attribution: AttributionMap | None = None,
    name: str | None = None,
) -> CachedSubgraph:
    """Make a node of a graph that is run once for equal questions.

    Only the channels in `key` decide whether two questions are equal, so the graph must depend on nothing else of the
    state. What else decides is seen to: who asks (`scope`), what the graph does (`graph_fingerprint`), the context of
    the run, and the entries of `configurable` that are not about who asks.

    Kept is what the graph's nodes wrote, never what they were given. Nothing is kept of a run that was interrupted or
    resumed, ran a tool that is not known to read, had a tool fail or an answer cut short, or gave what cannot be
    stored; `counts` says how often and why. What node functions do on their own is not seen: they must not write.

    Args:
        graph: A compiled graph, without a checkpointer of its own: it has the parent's.
        key: The channels whose values a result depends on. Ids of messages play no part.
        scope: Who shares results. Without a known tenant and user, "user" is the session.
        version: A version of your own. Needed where a part of the graph has no value, as clients do not.
        ttl_s: How long a result is served, in seconds; None is for ever.
        soft_ttl_s: After how long the next caller renews it, while others are still served, in seconds.
        semantic: Also serves questions whose first channel says the same in other words, once that is proven to be
            right as often as its budget wants. None serves equal questions only.
        tags: What results depend on, for `invalidate`.
        read_tools: The tools that only read: their names, their `ToolCachePolicy`s by name, or a rule of name and
            metadata. Every other one may write, unless MCP's `readOnlyHint` says that it does not.
        ignored: Entries of `configurable` and fields of the context that do not change what the graph does.
        store: Where results are kept: a shelf, a store or its URL; None is memory.
        secret: See `Shelf`; a shelf has its own.
        attribution: Which metadata names tenant, user and session; with a shelf, the same that it has.
        name: The node's name in traces; None has the graph's.

    Returns:
        The node, to be given to `add_node`, or invoked.

    Raises:
        CacheError: If the key is empty or names no channel of the graph, the graph keeps a state of its own, or a time
            cannot be.
        ValueError: If the scope is none.
        Unkeyable: If a part of the graph has no value, and no version is given.

    Example:
        >>> from langgraph.graph import MessagesState, StateGraph
        >>> class State(MessagesState):
        ...     question: str
        ...     answer: str
        >>> builder = StateGraph(State).add_node("look", lambda state: {"answer": state["question"].upper()})
        >>> node = cached_subgraph(builder.add_edge("__start__", "look").compile(), key=["question"], scope="global")
        >>> [node.invoke({"question": "where?"})["answer"] for _ in range(2)], node.counts
        (['WHERE?', 'WHERE?'], {'misses': 1, 'hits': 1})
    """
    if isinstance(store, Shelf) and secret is not None:
        raise CacheError("A shelf has its own secret: give it to the shelf.")
    shelf = store if isinstance(store, Shelf) else Shelf(store, secret=secret, attribution=attribution)
    asking = Asking(
        checked_key(graph, key),
        graph_fingerprint(graph, version=version),
        ignored=ignored,
        attribution=attribution,
        secret=shelf.secret,
    )
    terms = _Terms(
        similar=SimilarQuestions(semantic, asking.key, ttl_s=ttl_s) if semantic is not None else None,
        asking=asking,
        scope=checked_scope(scope),
        lifetime=Lifetime(ttl_s=ttl_s, soft_ttl_s=soft_ttl_s),
        tags=tags if callable(tags) else tuple(tags),
        is_read=reads(read_tools),
    )
    return CachedSubgraph(graph, terms, shelf, name=name or getattr(graph, "name", None) or "subgraph")


class CachedSubgraph(RunnableLambda[Any, Any]):
    """A node that `cached_subgraph` makes; LangGraph finds the graph inside it, streams it and resumes it.

    Attributes:
        graph: The graph.
    """

    def __init__(self, graph: Graph, terms: _Terms, shelf: Shelf, *, name: str) -> None:
        super().__init__(self._serve, self._aserve, name=name)
        self.graph = graph
        self._terms = terms
        self._shelf = shelf
        self._flights = SingleFlight()
        self._renewals = Renewals()
        self._asked = LastAsked()
        setattr(self, FINGERPRINT, terms.asking.fingerprint)

    @property
    def deps(self) -> list[Runnable[Any, Any]]:
        """The graph: where LangGraph looks for subgraphs."""
        return [self.graph]

    @property
    def counts(self) -> dict[str, int]:
        """What happened, by name, of all caches on the shelf together.

        "hits", "coalesced" (hits of a run that was still under way), "similar" (hits in other words), "misses",
        "renewed", "poisoned", and of runs that were not kept "refused_" with the reason: "write_tool", "tool_failed",
        "cut_short", "interrupted", "resumed", "parent_command", "raised", "unstorable", "unkeyable", "unscoped", and
        "overtaken" by an invalidation.
        """
        return self._shelf.counts

    def invalidate(self, *names: str, config: RunnableConfig | None = None) -> None:
        """End the results with any of these tags, also those that are being made.

        Args:
            *names: The tags, as `tags` gave them.
            config: Says of which tenant; None takes the run that this code is in.

        Raises:
            StoreUnavailable: If the store cannot be reached.
        """
        tags = written_tags(names, self._shelf.caller(config), secret=self._shelf.secret)
        self._shelf.end(tags)
        if self._terms.similar is not None:
            self._terms.similar.end(tags)

    def _serve(self, state: Any, config: RunnableConfig) -> Any:
        ask = self._ask(state, config)
        if ask is None:
            return run(self.graph, state, config, is_read=self._terms.is_read).output
        found, shared = self._find(ask), False
        if found is None or self._renews(ask, found):
            filled, shared = self._flights.do(ask.key, lambda: self._fill(ask, config, renews=found))
            if shared:
                filled = self._fill(ask, config)
            found = filled.found
            if found is None:
                if filled.hit is not None:
                    tell(filled.hit, config)
                return filled.output
        hit, output = self._hit(ask, found, shared=shared)
        tell(hit, config)
        return output

    async def _aserve(self, state: Any, config: RunnableConfig) -> Any:
        ask = self._ask(state, config)
        if ask is None:
            return (await arun(self.graph, state, config, is_read=self._terms.is_read)).output
        found, shared = await self._shelf.off_loop(self._find, ask), False
        if found is None or self._renews(ask, found):
            filled, shared = await self._flights.ado(ask.key, lambda: self._afill(ask, config, renews=found))
            if shared:
                filled = await self._afill(ask, config)
            found = filled.found
            if found is None:
                if filled.hit is not None:
                    await atell(filled.hit, config)
                return filled.output
        hit, output = self._hit(ask, found, shared=shared)
        await atell(hit, config)
        return output

    def _ask(self, state: Any, config: RunnableConfig) -> Question | None:
        """What is asked; None, and a count, where no answer may be looked for."""
        caller = self._shelf.caller(config)
        namespace = caller.namespace(self._terms.scope)
        if goes_on(config):
            self._shelf.count("refused_resumed")  # nobody else's answer is what this run was interrupted for
        elif namespace is None:
            self._shelf.unscoped()
        else:
            try:
                return self._terms.asking.question(state, caller, namespace, config)
            except Unkeyable:
                self._shelf.count("refused_unkeyable")
        return None

    def _find(self, ask: Question) -> Found[StoredChange] | None:
        return self._shelf.get(ask.partition, ask.key, StoredChange.from_bytes)

    def _renews(self, ask: Question, found: Found[StoredChange]) -> bool:
        """Whether an entry is past its soft end, and this caller is the one to renew it."""
        stale_s, now_s = found.entry.stale_s, time()
        return stale_s is not None and now_s >= stale_s and self._renewals.claim(ask.key, now_s)

    def _fill(self, ask: Question, config: RunnableConfig, renews: Found[StoredChange] | None = None) -> _Filled:
        found = self._find(ask) if renews is None else None
        if found is not None:  # kept since this caller looked
            return _Filled(None, found)
        similar, turn = self._terms.similar, None
        if similar is not None and renews is None:
            turn = similar.begin(ask, config)
            if (served := similar.served(turn)) is not None:
                return self._in_other_words(ask, served)
        kept_under = _KeptUnder(self._shelf.epoch(), self._named_tags(ask))
        with self._begun(ask, renews):
            fill = run(self.graph, ask.state, config, is_read=self._terms.is_read)
        stored = self._keep(ask, fill, kept_under, renews)
        if similar is not None and turn is not None and stored is not None:
            similar.finish(turn, stored, kept_under.tags or ())
        return _Filled(fill.output, None)

    async def _afill(self, ask: Question, config: RunnableConfig, renews: Found[StoredChange] | None = None) -> _Filled:
        off_loop = self._shelf.off_loop
        found = await off_loop(self._find, ask) if renews is None else None
        if found is not None:
            return _Filled(None, found)
        similar, turn = self._terms.similar, None
        if similar is not None and renews is None:
            turn = await similar.abegin(ask, config)
            if (served := similar.served(turn)) is not None:
                return self._in_other_words(ask, served)
        kept_under = _KeptUnder(await off_loop(self._shelf.epoch), self._named_tags(ask))
        with self._begun(ask, renews):
            fill = await arun(self.graph, ask.state, config, is_read=self._terms.is_read)
        stored = await off_loop(self._keep, ask, fill, kept_under, renews)
        if similar is not None and turn is not None and stored is not None:
            await similar.afinish(turn, stored, kept_under.tags or ())
        return _Filled(fill.output, None)

    def _in_other_words(self, ask: Question, served: Similar) -> _Filled:
        self._shelf.count("similar")
        hit = replace(served.hit, cache=CACHE)
        return _Filled(served.stored.change.onto(ask.channels, _mark(hit)), None, hit)

    @contextmanager
    def _begun(self, ask: Question, renews: Found[StoredChange] | None) -> Iterator[None]:
        """Count a run, and why it did not end."""
        self._asked.idle_s(ask.key, time())
        self._shelf.count("misses" if renews is None else "renewed")
        try:
            yield
        except BaseException as error:
            self._shelf.count(f"refused_{_why(error)}")
            raise

    def _keep(
        self, ask: Question, fill: Fill, kept_under: _KeptUnder, renews: Found[StoredChange] | None
    ) -> StoredChange | None:
        """Keep what a run came to, or count why not; what it was to renew is then of no use either."""
        refusal, stored = fill.refusal, None
        if refusal is None:
            try:
                stored = StoredChange(self._change(ask, fill), fill.spared)
                refusal = self._put(ask, stored, kept_under)
            except Unstorable:
                refusal = "unstorable"
        if refusal is None:
            return stored
        self._shelf.count(f"refused_{refusal}")
        if renews is not None:
            self._shelf.remove(renews.entry)
        return None

    def _change(self, ask: Question, fill: Fill) -> StateChange:
        channels = accumulating(getattr(self.graph, "channels", {}))
        return StateChange.between(
            ask.channels, fill.output, wrote=fill.written, accumulating=channels, key=self._terms.asking.key
        )

    def _put(self, ask: Question, stored: StoredChange, kept_under: _KeptUnder) -> str | None:
        """Keep a result; why it is not kept, where it is not."""
        epoch, tags = kept_under
        if tags is None:
            return "unstorable"
        kept = epoch is not None and self._shelf.put(self._entry(ask, stored.to_bytes(), epoch, tags))
        return None if kept else "overtaken"

    def _entry(self, ask: Question, value: bytes, epoch: int, tags: tuple[str, ...]) -> Cached:
        terms, now_s = self._terms, time()
        ends = terms.lifetime.terms(now_s)
        owners = owner_tags(ask.caller, terms.scope, secret=self._shelf.secret)
        return Cached(
            partition=ask.partition,
            key=ask.key,
            value=value,
            epoch=epoch,
            created_s=now_s,
            expires_s=ends.expires_s,
            stale_s=ends.stale_s,
            tags=(*owners, *tags),
        )

    def _named_tags(self, ask: Question) -> tuple[str, ...] | None:
        """What ends the result, by the user's own rule; None where that fails: then nothing is kept."""
        terms = self._terms
        try:
            names = tuple(terms.tags(ask.channels) if callable(terms.tags) else terms.tags)
        except Exception as error:  # noqa: BLE001  # a rule of the user's own must not lose the run
            self._shelf.fault("tags= failed, the run is not kept", error)
            return None
        return named_tags(names, ask.caller, terms.scope, secret=self._shelf.secret)

    def _hit(self, ask: Question, found: Found[StoredChange], *, shared: bool) -> tuple[CacheHit, dict[str, Any]]:
        """What is told of a hit, and what is served."""
        now_s = time()
        idle_s = self._asked.idle_s(ask.key, now_s)
        age_s = max(0.0, now_s - found.entry.created_s)
        self._shelf.count("coalesced" if shared else "hits")
        spared = tuple(billed_now(call, shared_share=1, idle_s=idle_s) for call in found.value.spared)
        hit = CacheHit(id=new_hit_id(), cache=CACHE, spared=spared, age_s=age_s, entry=ask.key)
        return hit, found.value.change.onto(ask.channels, _mark(hit))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Terms:
    """What `cached_subgraph` was told, checked."""

    asking: Asking
    similar: SimilarQuestions | None
    scope: Scope
    lifetime: Lifetime
    tags: Tags
    is_read: IsRead


class _KeptUnder(NamedTuple):
    """What a result is kept under, from before its run: the store's epoch, and the tags that end it."""

    epoch: int | None
    tags: tuple[str, ...] | None


class _Filled(NamedTuple):
    """What this caller's run gave, or the entry that made it needless, or what a similar question's result gave."""

    output: Any
    found: Found[StoredChange] | None
    hit: CacheHit | None = None


def _mark(hit: CacheHit) -> dict[str, Any]:
    """What served messages say of where they come from."""
    return {"cache": hit.cache, "age_s": hit.age_s, "similarity": hit.similarity}


def _why(error: BaseException) -> str:
    if isinstance(error, GraphInterrupt):
        return "interrupted"
    return "parent_command" if isinstance(error, ParentCommand) else "raised"
